/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/dialect.h"

#include <ctype.h>
#include <errno.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/coding.h"

void http_request_init(
	struct http_request *r, struct protocol_host *host, const struct http_origin *origin)
{
	memset(r, 0, sizeof(*r));
	r->host = host;
	r->origin = origin;
	buffer_init(&r->text, 2 * LIMIT_HTTP_HEAD);
	/* Each header may give a path; each path is read twice, three bytes for one. */
	buffer_init(&r->paths, 8 * LIMIT_HTTP_HEAD);
	buffer_init(&r->content, HTTP_CONTENT_MOST);
	buffer_init(&r->shown, 4 * HTTP_CONTENT_MOST);
	buffer_init(&r->decoded, LIMIT_HTTP_BODY_HELD);
	buffer_init(&r->bound, 2 * LIMIT_HTTP_HEAD);
	buffer_init(&r->accept, LIMIT_HTTP_HEAD);
}

void http_request_done(struct http_request *r)
{
	buffer_done(&r->text);
	buffer_done(&r->paths);
	buffer_wipe(&r->content);
	buffer_wipe(&r->shown);
	buffer_wipe(&r->decoded);
	buffer_wipe(&r->bound);
	buffer_done(&r->accept);
	if (r->mask)
		http_mask_done(r->mask);
	free(r->mask);
	http_decoder_free(r->decoder);
	http_request_forget_writing(r);
}

void http_request_ask(struct http_request *r, struct protocol_event *event)
{
	http_request_show_body(r);
	http_facts_add_get(r);
	event->action.phase = ACTION_RUN;
	event->action.action = &r->action;
	if (r->body.data.length) {
		event->action.values = &r->body;
		event->action.value_count = 1;
	}
}

/* --- masks --- */

static int bind_masks(struct http_request *r, const struct mask_rules *rules,
	const struct mask_json *own, size_t own_count)
{
	struct mask_rules all = rules ? *rules : (struct mask_rules){.serial = 0};
	struct mask_json *json = memory_new_array(all.json_count + own_count + 1, sizeof(*json));
	int error;

	if (!r->mask) {
		r->mask = memory_new(sizeof(*r->mask));
		http_mask_init(r->mask);
	}
	if (all.json_count)
		memcpy(json, all.json, all.json_count * sizeof(*json));
	if (own_count)
		memcpy(json + all.json_count, own, own_count * sizeof(*json));
	all.json = json;
	all.json_count += own_count;
	error = http_mask_bind(r->mask, r->host->detectors, r->host->hasher, &all);
	free(json);
	return error;
}

bool http_type_is_json(struct slice type)
{
	struct slice json = slice_from_string("application/json");

	return text_equal_ignore_case(slice_head(type, json.length), json) &&
		(type.length == json.length || memchr("; \t", type.data[json.length], 3));
}

static struct slice take_type(struct slice *rest)
{
	const uint8_t *comma = memchr(rest->data, ',', rest->length);
	struct slice type = comma ? slice_head(*rest, (size_t)(comma - rest->data)) : *rest;

	*rest = slice_from(*rest, type.length + 1);
	while (type.length && (type.data[0] == ' ' || type.data[0] == '\t'))
		type = slice_from(type, 1);
	return type;
}

/* What can be masked is JSON: of what the agent takes, that is what the server is asked for. */
static int accept_json(struct http_request *r)
{
	const struct http_fields *fields = &r->head.fields;
	int error = 0;

	buffer_clear(&r->accept);
	for (size_t i = 0; i < fields->count; i++) {
		struct slice rest = fields->items[i].value;

		while (http_field_is(&fields->items[i], "accept") && rest.length && error == 0) {
			struct slice type = take_type(&rest);

			if (!http_type_is_json(type))
				continue;
			if (buffer_length(&r->accept))
				error = buffer_append_string(&r->accept, ", ");
			if (error == 0)
				error = buffer_append_slice(&r->accept, type);
		}
	}
	if (error == 0 && buffer_length(&r->accept) == 0)
		error = buffer_append_string(&r->accept, "application/json");
	return error;
}

struct slice http_request_accept(const struct http_request *r)
{
	return r->masked && r->as_json ? buffer_slice(&r->accept) : SLICE_EMPTY;
}

/* NULL: what the request asks for is read. */
static const char *why_not_masked(const struct http_request *r, const struct mask_rules *rules)
{
	if (r->beyond.port)
		return "denied: masks don't reach into a connection that a proxy makes";
	if (r->forwards)
		return "denied: what a port-forward carries can't be masked";
	if (http_request_comparing_problem(r))
		return http_request_comparing_problem(r);
	if (r->tunnels || (r->spdy && !r->streams))
		return "denied: what is relayed unread can't be masked";
	if (r->streams && rules && rules->json_count)
		return "denied: paths in JSON can't be masked in what a program writes";
	if (r->archives && rules && rules->binary == MASK_BINARY_REFUSE)
		return "denied: an archive is binary, which the rule refuses";
	return NULL;
}

int http_request_mask(
	struct http_request *r, const struct mask_rules *rules, struct protocol_refusal *ret)
{
	const struct http_dialect *dialect = r->origin->dialect;
	const struct mask_json *own = NULL;
	size_t own_count = 0;
	const char *why = http_request_begin_writing(r);

	if (why) {
		*ret = (struct protocol_refusal){
			.reason = REASON_MASK_WRITTEN_BACK, .text = slice_from_string(why)};
		return -EPERM;
	}
	if (dialect->masks && !r->host->shows_secrets)
		own = dialect->masks(r, &own_count);
	r->masked = own_count || (rules && (rules->detects || rules->json_count));
	if (!r->masked)
		return 0;
	why = why_not_masked(r, rules);
	if (why) {
		*ret = (struct protocol_refusal){
			.reason = REASON_MASK_IMPOSSIBLE, .text = slice_from_string(why)};
		return -EPERM;
	}
	if (r->copies && (own_count || (rules && rules->json_count))) {
		*ret = (struct protocol_refusal){.reason = REASON_MASK_IMPOSSIBLE,
			.text = slice_from_string("denied: a JSON Patch could copy what is masked "
						  "(\"copy\", \"move\", "
						  "\"test\"); send a merge patch")};
		return -EPERM;
	}
	if (bind_masks(r, rules, own, own_count) == 0 && (!r->as_json || accept_json(r) == 0))
		return 0;
	*ret = (struct protocol_refusal){.reason = REASON_MASK_IMPOSSIBLE,
		.text = slice_from_string("denied: too many paths mask the response")};
	return -EPERM;
}

/* 0; -EPERM, with the reason. */
static int check_whole(
	struct http_request *r, const struct mask_rules *rules, struct protocol_refusal *ret)
{
	const char *why = NULL;
	int error;

	if (r->barred.status) {
		*ret = (struct protocol_refusal){.reason = http_problem_reason(&r->barred),
			.text = slice_from_string(r->barred.text)};
		return -EPERM;
	}
	error = http_request_mask(r, rules, ret);
	if (error == 0 && r->collected)
		why = http_request_content_problem(r, buffer_slice(&r->content));
	if (!why)
		return error;
	*ret = (struct protocol_refusal){
		.reason = REASON_MASK_WRITTEN_BACK, .text = slice_from_string(why)};
	return -EPERM;
}

int http_request_would_refuse(
	struct http_request *r, const struct mask_rules *rules, struct protocol_refusal *ret)
{
	int error = check_whole(r, rules, ret);

	r->masked = false; /* it was only to tell */
	/* One reason is enough; and else its content is still to pass. */
	r->is_written &= error == 0;
	http_request_begin_writing(r);
	return error;
}

bool http_websocket_is_extended(const struct http_request *r)
{
	const struct http_field *field =
		http_fields_find(&r->head.fields, "sec-websocket-extensions", NULL);

	return r->websocket && field && field->value.length;
}

const char *http_request_upgrade(const struct http_request *r)
{
	return r->websocket ? "websocket" : r->spdy ? "SPDY/3.1" : NULL;
}

/* --- what people decide about --- */

/* These differ from one attempt of a client to its next, and decide nothing. */
static const char *const volatile_headers[] = {"date", "user-agent", "traceparent", "tracestate",
	"x-request-id", "x-amzn-trace-id", "connection", "keep-alive", "expect",
	/* gRPC's: how long its client waits, to the microsecond, and how often it has tried. */
	"grpc-timeout", "grpc-previous-rpc-attempts",
	/* The same of OpenAI's and Anthropic's libraries (Stainless), AWS's and Google's. */
	"x-stainless-retry-count", "x-stainless-timeout", "x-stainless-read-timeout",
	"amz-sdk-request", "amz-sdk-invocation-id", "x-amz-date", "x-goog-api-client"};

/* And these between a client's attempt over one transport of a stream and that over the other. */
static const char *const transport_headers[] = {"upgrade", "sec-websocket-key",
	"sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions",
	"x-stream-protocol-version", "content-length", "accept-encoding", "origin"};

static bool is_bound(const struct http_request *r, const struct http_field *field)
{
	return !http_field_is_one_of(field, volatile_headers, ARRAY_SIZE(volatile_headers)) &&
		!(r->streams &&
			http_field_is_one_of(
				field, transport_headers, ARRAY_SIZE(transport_headers)));
}

/* AWS's signature is another one at each second, of what is bound anyway. What stands before it in
 * the value, with its name; empty: there is none. */
static struct slice unsigned_begin(const struct http_field *field)
{
	static const char signature[] = "Signature=";
	struct slice value = field->value;
	const uint8_t *found;

	if (!http_field_is(field, "authorization") ||
		!slice_starts_with(value, slice_from_string("AWS4-")))
		return SLICE_EMPTY;
	found = memmem(value.data, value.length, signature, strlen(signature));
	return found ? slice_head(value, (size_t)(found - value.data) + strlen(signature))
		     : SLICE_EMPTY;
}

/* And what stands behind it. */
static struct slice unsigned_end(const struct http_field *field, struct slice begin)
{
	struct slice rest = slice_from(field->value, begin.length);

	while (begin.length && rest.length && isxdigit(rest.data[0]))
		rest = slice_from(rest, 1);
	return rest;
}

static int bind_field(const struct http_field *field, struct buffer *out)
{
	struct slice begin = unsigned_begin(field);
	struct slice end = unsigned_end(field, begin);

	return buffer_append_format(out, "%.*s: %.*s%.*s\n", SLICE_PRINT(field->name),
		SLICE_PRINT(begin), SLICE_PRINT(end));
}

static int put_head(struct http_request *r)
{
	const struct http_fields *fields = &r->head.fields;
	int error = 0;

	buffer_clear(&r->bound);
	for (size_t i = 0; error == 0 && i < fields->count; i++) {
		if (is_bound(r, &fields->items[i]))
			error = bind_field(&fields->items[i], &r->bound);
	}
	return error;
}

int http_request_bind(struct http_request *r, struct protocol_binding *ret)
{
	if (put_head(r) < 0)
		return -E2BIG;
	*ret = (struct protocol_binding){
		.bound = {buffer_slice(&r->bound), buffer_slice(&r->content)}};
	return 0;
}
