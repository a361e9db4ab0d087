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

static bool asks_for_spdy(const struct http_request *r)
{
	size_t upgrades;
	const struct http_field *upgrade = http_fields_find(&r->head.fields, "upgrade", &upgrades);

	return upgrades == 1 && r->head.minor == 1 &&
		text_equal_ignore_case(upgrade->value, slice_from_string("SPDY/3.1")) &&
		http_fields_list_has(&r->head.fields, "connection", slice_from_string("upgrade"));
}

static bool does(const struct http_request *r, const enum operation *operations, size_t count)
{
	for (size_t i = 0; i < r->pairs.count; i++) {
		for (size_t j = 0; j < count; j++) {
			if (r->pairs.items[i].operation == operations[j])
				return true;
		}
	}
	return false;
}

/* How its content and that of its response are to be read. */
static void read_content(struct http_request *r)
{
	static const enum operation in_lines[] = {OPERATION_KUBE_WATCH, OPERATION_KUBE_LOGS};
	static const enum operation unstructured[] = {OPERATION_KUBE_LOGS, OPERATION_KUBE_PROXY};
	static const enum operation writing[] = {
		OPERATION_KUBE_CREATE, OPERATION_KUBE_UPDATE, OPERATION_KUBE_PATCH};

	r->in_lines = does(r, in_lines, ARRAY_SIZE(in_lines));
	r->as_json = !does(r, unstructured, ARRAY_SIZE(unstructured));
	r->is_written = does(r, writing, ARRAY_SIZE(writing));
}

static bool read_request(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	static const enum operation streams[] = {OPERATION_KUBE_EXEC, OPERATION_KUBE_ATTACH,
		OPERATION_KUBE_PORTFORWARD, OPERATION_KUBE_PROXY};
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
	read_content(r);
	if (!does(r, streams, ARRAY_SIZE(streams)))
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

static const struct mask_json *own_masks(const struct http_request *r, size_t *ret_count)
{
	return kubernetes_secrets_masks(&r->pairs, ret_count);
}

const struct http_dialect http_kubernetes = {.protocol = PROTOCOL_KUBERNETES,
	.read = read_request,
	.describe = describe,
	.masks = own_masks,
	.refuse = kubernetes_status_write};
