/* SPDX-License-Identifier: Apache-2.0
 *
 * dialect: requests of the API in place of plain HTTP's.
 */
#include "protocol/http/dialect.h"

#include "base/memory.h"
#include "base/text.h"
#include "protocol/kubernetes/archive.h"
#include "protocol/kubernetes/channels.h"
#include "protocol/kubernetes/forward.h"
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

/* Where browsers put a token. The server would take it, should it not like the resource's. */
static bool brings_token(const struct http_request *r)
{
	const struct http_fields *fields = &r->head.fields;
	static const char protocol[] = "base64url.bearer.authorization.k8s.io.";

	if (!r->host->credentials.given)
		return false;
	for (size_t i = 0; i < fields->count; i++) {
		if (http_field_is(&fields->items[i], "sec-websocket-protocol") &&
			fields->items[i].value.length &&
			memmem(fields->items[i].value.data, fields->items[i].value.length, protocol,
				sizeof(protocol) - 1))
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

/* The value's type, before its parameters; empty: it has others than the one that says nothing. */
static struct slice type_of(struct slice value)
{
	const uint8_t *end = value.length ? memchr(value.data, ';', value.length) : NULL;
	struct slice rest;

	if (!end)
		return value;
	rest = slice_from(value, (size_t)(end - value.data) + 1);
	while (rest.length && rest.data[0] == ' ')
		rest = slice_from(rest, 1);
	return text_equal_ignore_case(rest, slice_from_string("charset=utf-8"))
		? slice_head(value, (size_t)(end - value.data))
		: SLICE_EMPTY;
}

/* Whether a patch may say "copy", or "test", of a value that it does not have: as JSON Patch does,
 * and whatever is not surely another kind. */
static bool copies(const struct http_request *r)
{
	static const char *const others[] = {"application/merge-patch+json",
		"application/strategic-merge-patch+json", "application/apply-patch+yaml",
		"application/apply-patch+cbor"};
	size_t count;
	const struct http_field *type = http_fields_find(&r->head.fields, "content-type", &count);
	struct slice value = count == 1 ? type_of(type->value) : SLICE_EMPTY;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (slice_equal_string(value, others[i]))
			return false;
	}
	return true;
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
	r->copies = slice_equal_string(r->head.method, "PATCH") &&
		!does(r, unstructured, ARRAY_SIZE(unstructured)) && copies(r);
}

/* Whether the command is called to write an archive. */
static bool archives(struct slice query)
{
	struct slice name, value;
	struct buffer room, words;
	bool bad, found;
	uint8_t *space;
	int error;

	buffer_init(&room, LIMIT_HTTP_HEAD);
	buffer_init(&words, LIMIT_HTTP_HEAD);
	error = buffer_reserve(&room, query.length + 1, &space);
	while (error == 0 && kubernetes_query_next(&query, &room, &name, &value, &bad)) {
		if (bad || !slice_equal_string(name, "command"))
			continue;
		error = buffer_append_slice(&words, value);
		if (error == 0)
			error = buffer_append_byte(&words, ' ');
	}
	found = error == 0 && kubernetes_writes_archive(buffer_slice(&words));
	buffer_done(&room);
	buffer_done(&words);
	return found;
}

/* An API server is no proxy. Where we only observe, what is asked of it as of one goes on, and what
 * comes of that is told as a proxy's is. */
static bool read_no_path(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	r->pairs.unknown |= ACTION_UNKNOWN_TEXT;
	r->pairs.problem = "a target that is no path";
	if (target->form != HTTP_TARGET_AUTHORITY || !r->host->observes)
		return true;
	return http_request_bar(r, 403, "an API server is no proxy", ret) &&
		http_request_read_beyond(r, target, ret);
}

static bool read_request(
	struct http_request *r, const struct http_target *target, struct http_problem *ret)
{
	static const enum operation streams[] = {
		OPERATION_KUBE_EXEC, OPERATION_KUBE_ATTACH, OPERATION_KUBE_PORTFORWARD};
	static const enum operation proxies[] = {OPERATION_KUBE_PROXY};
	bool streaming;
	const struct kubernetes_request request = {.method = r->head.method,
		.path = target->path,
		.query = http_target_query(r->head.target),
		.applies = applies(&r->head.fields)};

	if (impersonates(&r->head.fields) &&
		!http_request_bar(r, 403,
			"who the agent is, is not for it to say "
			"(Impersonate-User and the like)",
			ret))
		return false;
	if (brings_token(r) &&
		!http_request_bar(r, 403,
			"who the agent is, is not for it to say (a token in "
			"Sec-WebSocket-Protocol)",
			ret))
		return false;
	if (target->form != HTTP_TARGET_PATH)
		return read_no_path(r, target, ret);
	kubernetes_pairs_read(&request, &r->paths, &r->pairs);
	read_content(r);
	streaming = does(r, streams, ARRAY_SIZE(streams));
	if (!streaming && !does(r, proxies, ARRAY_SIZE(proxies)))
		return true;
	r->websocket = http_asks_for_websocket(r);
	r->spdy = !r->websocket && asks_for_spdy(r);
	/* What a proxied request does is for its method and headers to say, upgraded or not. */
	r->streams = streaming && (r->websocket || r->spdy);
	if (r->spdy && !streaming)
		kubernetes_pairs_add_spdy(&r->pairs);
	r->forwards = does(r, &streams[2], 1);
	r->terminal = kubernetes_query_asks(request.query, "tty");
	r->archives = r->streams && !r->forwards && archives(request.query);
	/* Should it be answered without one, that is as text. */
	r->as_json &= !r->streams;
	return true;
}

/* A parameter's values, behind each other. */
static int describe_parameter(struct http_request *r, const char *wanted)
{
	struct slice query = http_target_query(r->head.target), name, value;
	struct buffer room;
	bool bad, any = false;
	uint8_t *space;
	int error;

	buffer_init(&room, LIMIT_HTTP_HEAD);
	error = buffer_reserve(&room, query.length + 1, &space);
	while (error == 0 && kubernetes_query_next(&query, &room, &name, &value, &bad)) {
		if (bad || !slice_equal_string(name, wanted))
			continue;
		error = any ? buffer_append_byte(&r->text, ' ')
			    : buffer_append_format(&r->text, "\n%s: ", wanted);
		if (error == 0)
			error = text_append_visible(&r->text, value);
		any = true;
	}
	buffer_done(&room);
	return error;
}

/* What runs, and where, or whose log it is, as it is meant: the query has it encoded. */
static int describe(struct http_request *r)
{
	static const enum operation logs[] = {OPERATION_KUBE_LOGS};
	int error = r->streams ? describe_parameter(r, "command") : 0;

	if (error == 0 && (r->streams || does(r, logs, ARRAY_SIZE(logs))))
		error = describe_parameter(r, "container");
	return error;
}

static const struct mask_json *own_masks(const struct http_request *r, size_t *ret_count)
{
	return kubernetes_secrets_masks(&r->pairs, ret_count);
}

static bool hide(const struct http_request *r, struct slice content, struct buffer *ret)
{
	return kubernetes_content_hide(&r->pairs, content, ret);
}

/* A form that is none of the two is a WebSocket like others. */
static struct http_stream *open_forward(const struct http_request *r, struct event_queue *events)
{
	struct http_stream *s;

	if (!r->websocket)
		return kubernetes_forward_spdy_new(r, events);
	s = kubernetes_forward_messages_new(r, events);
	return s ? s : http_messages_new(r, events);
}

static struct http_stream *open_stream(
	const struct http_request *r, struct event_queue *events, const char **ret_problem)
{
	if (!r->streams)
		return r->websocket ? http_messages_new(r, events) : NULL;
	if (r->forwards)
		return open_forward(r, events);
	return r->websocket ? kubernetes_messages_new(r, events, ret_problem)
			    : kubernetes_spdy_new(r, events, ret_problem);
}

/* kubectl's proxy passed on whom its own clients asked for (Debian 12 has such a one). */
const struct http_dialect http_kubernetes = {.protocol = PROTOCOL_KUBERNETES,
	.passes_own_host = true,
	.read = read_request,
	.describe = describe,
	.masks = own_masks,
	.hide = hide,
	.open_stream = open_stream,
	.refuse = kubernetes_status_write};
