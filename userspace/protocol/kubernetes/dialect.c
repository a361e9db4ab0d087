/* SPDX-License-Identifier: Apache-2.0
 *
 * dialect: requests of the API in place of plain HTTP's.
 */
#include "protocol/http/dialect.h"

#include "base/memory.h"
#include "base/text.h"
#include "protocol/kubernetes/kubernetes.h"

/* Who the agent is, the resource's credentials say. */
static bool impersonates(const struct http_fields *fields)
{
	struct slice prefix = slice_from_string("impersonate-");

	for (size_t i = 0; i < fields->count; i++) {
		if (text_equal_ignore_case(
			    slice_head(fields->items[i].name, prefix.length), prefix))
			return true;
	}
	return false;
}

/* However many types it has: one is enough. */
static bool applies(const struct http_fields *fields)
{
	struct slice prefix = slice_from_string("application/apply-patch");

	for (size_t i = 0; i < fields->count; i++) {
		if (http_field_is(&fields->items[i], "content-type") &&
			text_equal_ignore_case(
				slice_head(fields->items[i].value, prefix.length), prefix))
			return true;
	}
	return false;
}

static bool is_stream(const struct http_pairs *p)
{
	static const enum operation streams[] = {OPERATION_KUBE_EXEC, OPERATION_KUBE_ATTACH,
		OPERATION_KUBE_PORTFORWARD, OPERATION_KUBE_PROXY};

	for (size_t i = 0; p->count && i < ARRAY_SIZE(streams); i++) {
		if (p->items[0].operation == streams[i])
			return true;
	}
	return false;
}

static bool asks_for_spdy(const struct http_request *r)
{
	size_t upgrades;
	const struct http_field *upgrade = http_fields_find(&r->head.fields, "upgrade", &upgrades);

	return upgrades == 1 && r->head.minor == 1 &&
		text_equal_ignore_case(upgrade->value, slice_from_string("SPDY/3.1")) &&
		http_fields_list_has(&r->head.fields, "connection", slice_from_string("upgrade"));
}

static bool read_request(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	const struct kubernetes_request request = {.method = r->head.method,
		.path = target->path,
		.query = http_target_query(r->head.target),
		.applies = applies(&r->head.fields)};

	if (!r->host->observes && impersonates(&r->head.fields)) {
		*ret = (struct http_problem){403,
			"who the agent is, is not for it to say "
			"(Impersonate-User and the like)"};
		return false;
	}
	if (target->form != HTTP_TARGET_PATH) {
		r->pairs.unknown |= ACTION_UNKNOWN_TEXT;
		r->pairs.problem = "a target that is no path";
		return true;
	}
	kubernetes_pairs_read(&request, &r->paths, &r->pairs);
	if (!is_stream(&r->pairs))
		return true;
	r->websocket = http_asks_for_websocket(r);
	r->spdy = !r->websocket && asks_for_spdy(r);
	r->streams = r->websocket || r->spdy;
	return true;
}

/* What runs, and where, as it is meant: the query has it encoded. The words of a command stand
 * behind each other. */
static int describe(struct http_request *r)
{
	static const char *const shown[] = {"command", "container"};
	int error = 0;

	for (size_t i = 0; r->streams && error == 0 && i < ARRAY_SIZE(shown); i++) {
		struct slice query = http_target_query(r->head.target), name, value;
		struct buffer room;
		bool bad, any = false;

		buffer_init(&room, LIMIT_HTTP_HEAD);
		while (error == 0 && kubernetes_query_next(&query, &room, &name, &value, &bad)) {
			if (bad || !slice_equal_string(name, shown[i]))
				continue;
			error = any ? buffer_append_byte(&r->text, ' ')
				    : buffer_append_format(&r->text, "\n%s: ", shown[i]);
			if (error == 0)
				error = text_append_visible(&r->text, value);
			any = true;
		}
		buffer_done(&room);
	}
	return error;
}

const struct http_dialect http_kubernetes = {.protocol = PROTOCOL_KUBERNETES,
	.read = read_request,
	.describe = describe,
	.refuse = kubernetes_status_write};
