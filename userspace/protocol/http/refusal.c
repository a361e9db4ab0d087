/* SPDX-License-Identifier: Apache-2.0
 *
 * refusal: what a response of our own says (docs/http.md).
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "protocol/http/dialect.h"

/* Bytes of a text: who denied it, and all of their reason. */
#define MESSAGE_MOST (LIMIT_REVIEW_REASON + 512)

static const struct {
	enum reason reason;
	unsigned status;
} statuses[] = {
	{REASON_UPSTREAM_UNREACHABLE, 502},
	{REASON_UPSTREAM_TLS, 502},
	{REASON_UPSTREAM_CLOSED, 502},
	{REASON_UPSTREAM_PROTOCOL, 502},
	{REASON_LIMIT, 502},
	{REASON_AUTHENTICATION, 502},
	{REASON_TIMEOUT, 504},
	{REASON_PROTOCOL_VIOLATION, 400},
	{REASON_RECORDING_FAILED, 503},
	{REASON_SHUTDOWN, 503},
	{REASON_KILLED, 503},
	{REASON_POLICY_CHANGED, 503},
	{REASON_INTERNAL, 500},
};

unsigned http_status_of(enum reason reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].reason == reason)
			return statuses[i].status;
	}
	return 403;
}

enum reason http_problem_reason(const struct http_problem *problem)
{
	return problem->status == 421 ? REASON_MISDIRECTED : REASON_PROTOCOL_VIOLATION;
}

/* What is no UTF-8 and control bytes are shown as \xNN. */
int http_refusal_put_string(struct buffer *b, struct slice text)
{
	struct buffer visible;
	struct slice shown;
	int r;

	buffer_init(&visible, LIMIT_HTTP_ANSWER);
	r = text_append_visible(&visible, text);
	shown = buffer_slice(&visible);
	if (r == 0)
		r = buffer_append_byte(b, '"');
	for (size_t i = 0; r == 0 && i < shown.length; i++) {
		uint8_t c = shown.data[i];

		if (c < ' ') {
			r = buffer_append_format(b, "\\u%04x", c);
			continue;
		}
		if (c == '"' || c == '\\')
			r = buffer_append_byte(b, '\\');
		if (r == 0)
			r = buffer_append_byte(b, c);
	}
	buffer_done(&visible);
	return r < 0 ? r : buffer_append_byte(b, '"');
}

static int put_member(struct buffer *b, const char *name, struct slice value)
{
	int r = buffer_append_format(b, "%s\"%s\": ", buffer_length(b) ? ", " : "{", name);

	if (r == 0)
		r = value.length ? http_refusal_put_string(b, value)
				 : buffer_append_string(b, "null");
	return r;
}

int http_refusal_put_message(struct buffer *out, const struct protocol_refusal *refusal)
{
	struct slice text = text_head(refusal->text, MESSAGE_MOST);
	char *message = memory_format("wayleave: %.*s", SLICE_PRINT(text));
	int r = http_refusal_put_string(out, slice_from_string(message));

	free(message);
	return r;
}

/* What stands behind `error`, in either form. */
static int put_rest(struct buffer *out, const struct protocol_refusal *refusal)
{
	int r = put_member(out, "rule", refusal->rule);

	if (r == 0)
		r = buffer_append_string(out, ", \"message\": ");
	if (r == 0)
		r = http_refusal_put_message(out, refusal);
	if (r == 0)
		r = put_member(out, "review", refusal->review);
	return r < 0 ? r : buffer_append_string(out, "}\n");
}

int http_refusal_write(struct buffer *out, unsigned status, const struct protocol_refusal *refusal)
{
	int r = put_member(out, "error", slice_from_string(reason_get(refusal->reason)->metric));

	(void)status;
	return r < 0 ? r : put_rest(out, refusal);
}

int http_refusal_write_nested(struct buffer *out, const struct protocol_refusal *refusal)
{
	const char *name = reason_get(refusal->reason)->metric;
	int r = buffer_append_format(out,
		"{\"error\": {\"type\": \"%s\", \"code\": \"%s\", \"param\": null, \"message\": ",
		name, name);

	if (r == 0)
		r = http_refusal_put_message(out, refusal);
	if (r == 0)
		r = buffer_append_byte(out, '}');
	return r < 0 ? r : put_rest(out, refusal);
}

bool http_request_nests_errors(const struct http_request *r)
{
	size_t count;

	http_fields_find(&r->head.fields, "x-stainless-lang", &count);
	return count > 0;
}

int http_request_refuse(const struct http_request *r, struct buffer *out, unsigned status,
	const struct protocol_refusal *refusal)
{
	const struct http_dialect *dialect = r->origin->dialect;

	return r->nests_errors && dialect == &http_plain ? http_refusal_write_nested(out, refusal)
							 : dialect->refuse(out, status, refusal);
}
