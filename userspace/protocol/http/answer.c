/* SPDX-License-Identifier: Apache-2.0
 *
 * answer: responses of our own.
 */
#include <errno.h>
#include <stdio.h>

#include "protocol/http/dialect.h"
#include "protocol/http/engine.h"
#include "protocol/http/stream.h"

static const char *phrase_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
		{400, "Bad Request"},
		{403, "Forbidden"},
		{413, "Content Too Large"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Refused";
}

int http_answer(
	struct http_engine *e, unsigned status, const struct protocol_refusal *refusal, bool closes)
{
	struct buffer body;
	int r;

	buffer_init(&body, LIMIT_HTTP_ANSWER);
	buffer_clear(&e->out);
	r = http_request_refuse(&e->request, &body, status, refusal);
	if (r == 0)
		r = buffer_append_format(&e->out,
			"HTTP/1.1 %u %s\r\nContent-Type: application/json\r\n"
			"Content-Length: %zu\r\nCache-Control: no-store\r\n%s\r\n",
			status, phrase_of(status), buffer_length(&body),
			closes                          ? "Connection: close\r\n"
				: e->request.minor == 0 ? "Connection: keep-alive\r\n"
							: "");
	if (r == 0 && !e->request.to_head)
		r = buffer_append_slice(&e->out, buffer_slice(&body));
	if (r == 0)
		r = http_write(e, SIDE_AGENT, buffer_slice(&e->out));
	buffer_done(&body);
	return r;
}

/* Whether a request waits whose response was not begun. */
static bool may_answer(const struct http_engine *e)
{
	switch (e->agent) {
	case HTTP_AGENT_VERDICT:
	case HTTP_AGENT_COLLECT:
	case HTTP_AGENT_READY:
	case HTTP_AGENT_SECRET:
		return !e->passthrough;
	case HTTP_AGENT_BODY:
	case HTTP_AGENT_SENT:
		return e->server == HTTP_SERVER_HEAD || e->head_held;
	default:
		return false;
	}
}

/* A response without a length that ends early must not look complete. */
static bool looks_complete(const struct http_engine *e)
{
	return e->server == HTTP_SERVER_BODY && e->response.kind == HTTP_BODY_UNTIL_END &&
		!e->head_held;
}

int http_fail(struct http_engine *e, enum reason reason, const char *text)
{
	const struct protocol_refusal refusal = {.reason = reason, .text = slice_from_string(text)};

	if (e->agent == HTTP_AGENT_DONE)
		return 0;
	if (e->stream && !e->stream_unread)
		e->stream->kind->leave(e->stream, reason, refusal.text);
	if (may_answer(e))
		http_answer(e, http_status_of(reason), &refusal, true);
	if (looks_complete(e))
		e->base.host->reset(e->base.host, &refusal);
	return http_close(e, reason, text);
}

int http_refuse_request(struct http_engine *e, const struct http_problem *problem)
{
	const struct protocol_refusal refusal = {
		.reason = http_problem_reason(problem),
		.text = slice_from_string(problem->text),
	};

	if (e->base.host->observes && !e->abort_text) {
		http_note(e, refusal.reason, problem->text);
		e->unreadable = true;
		if (e->server == HTTP_SERVER_IDLE)
			return 0;
		e->agent = HTTP_AGENT_READY;
		return http_go_on(e);
	}
	http_answer(e, problem->status, &refusal, true);
	return http_close(e, refusal.reason, problem->text);
}

int http_refuse_response(struct http_engine *e, const char *problem, struct slice came)
{
	char text[256];

	if (e->base.host->observes) {
		http_write(e, SIDE_AGENT, came);
		return -EBADMSG;
	}
	snprintf(text, sizeof(text), reason_get(REASON_UPSTREAM_PROTOCOL)->agent, problem);
	return http_fail(e, REASON_UPSTREAM_PROTOCOL, text);
}
