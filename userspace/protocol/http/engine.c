/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/engine.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "protocol/http/dialect.h"
#include "protocol/http/shown.h"
#include "protocol/http/stream.h"
#include "protocol/http2/http2.h"
#include "protocol/kubernetes/kubernetes.h"
#include "protocol/tls_hello.h"

struct protocol_event *http_event(struct http_engine *e, enum protocol_event_type type)
{
	return event_queue_add(&e->events, type);
}

/* A handler adds at most three, and the end one. */
bool http_event_has_room(const struct http_engine *e)
{
	return event_queue_has_room(&e->events, 4);
}

void http_note(struct http_engine *e, enum reason reason, const char *text)
{
	struct protocol_event *event = http_event(e, EVENT_NOTE);

	event->note.reason = reason;
	event->note.text = slice_from_string(text);
}

static bool engine_next_event(struct protocol_engine *base, struct protocol_event *ret)
{
	return event_queue_take(&http_engine_of(base)->events, ret);
}

int http_write(struct http_engine *e, enum side to, struct slice bytes)
{
	return bytes.length ? e->base.host->write(e->base.host, to, bytes) : 0;
}

int http_pass_data(
	struct http_engine *e, enum side to, const struct http_body *framing, struct slice data)
{
	char size[24];
	int n, r;

	if (framing->kind != HTTP_BODY_CHUNKED)
		return e->base.host->pass(e->base.host, to, data);
	n = snprintf(size, sizeof(size), "%zx\r\n", data.length);
	r = http_write(e, to, slice_of(size, (size_t)n));
	if (r == 0)
		r = e->base.host->pass(e->base.host, to, data);
	if (r == 0)
		r = http_write(e, to, slice_from_string("\r\n"));
	return r;
}

int http_close(struct http_engine *e, enum reason reason, const char *text)
{
	bool leaves_server = reason == REASON_NONE && http_leaves_server(e);
	struct protocol_event *event;
	char *copy;

	if (e->agent == HTTP_AGENT_DONE)
		return 0;
	e->agent = HTTP_AGENT_DONE;
	e->server = HTTP_SERVER_DONE;
	http_upgrade_report(e);
	copy = memory_copy_string(text);
	free(e->abort_text);
	e->abort_text = copy;
	event = event_queue_add_last(&e->events, EVENT_CLOSE);
	event->note.reason = reason;
	event->note.text = slice_from_string(e->abort_text);
	event->note.leaves_server = leaves_server;
	return 0;
}

int http_ask(struct http_engine *e)
{
	if (http_request_wants_body(&e->request))
		return http_collect(e);
	e->agent = HTTP_AGENT_VERDICT;
	http_request_ask(&e->request, http_event(e, EVENT_ACTION));
	return 0;
}

static struct protocol_engine *open_as(const struct protocol *protocol,
	const struct http_dialect *dialect, struct protocol_host *host)
{
	struct http_engine *e = memory_new(sizeof(*e));

	e->base.protocol = protocol;
	e->base.host = host;
	e->origin.dialect = dialect;
	buffer_init(&e->head.held, LIMIT_HTTP_HEAD);
	buffer_init(&e->answer.held, LIMIT_HTTP_HEAD);
	http_request_init(&e->request, host, &e->origin);
	buffer_init(&e->out, 2 * LIMIT_HTTP_HEAD + 3 * LIMIT_SECRET_BYTES + LIMIT_HTTP_BODY_HELD);
	buffer_init(&e->held_head, 2 * LIMIT_HTTP_HEAD);
	/* A mask may be longer than what it hides. */
	buffer_init(&e->masked, 4 * LIMIT_HTTP_BODY_MASKED);
	http_body_init(&e->framing);
	http_body_init(&e->response);
	return &e->base;
}

static struct protocol_engine *open_http(struct protocol_host *host)
{
	return open_as(&protocol_http, &http_plain, host);
}

static struct protocol_engine *open_kubernetes(struct protocol_host *host)
{
	return open_as(&protocol_kubernetes, &http_kubernetes, host);
}

void http_engine_close(struct protocol_engine *base)
{
	struct http_engine *e = http_engine_of(base);

	buffer_wipe(&e->head.held);
	buffer_wipe(&e->answer.held);
	http2_close(e->h2);
	if (e->tunnel.carrier)
		e->base.host->tunnel_drop(&e->tunnel);
	http_request_done(&e->request);
	buffer_wipe(&e->out);
	buffer_wipe(&e->masked);
	buffer_done(&e->held_head);
	http_body_done(&e->framing);
	http_body_done(&e->response);
	if (e->stream)
		e->stream->kind->free(e->stream);
	free(e->abort_text);
	free(e);
}

static int engine_input(
	struct protocol_engine *base, enum side side, struct slice in, size_t *ret_taken)
{
	struct http_engine *e = http_engine_of(base);

	*ret_taken = 0;
	if (e->agent == HTTP_AGENT_DONE) {
		*ret_taken = in.length;
		return 0;
	}
	if (e->agent == HTTP_AGENT_TUNNEL && e->tunnel.events)
		return http_tunnel_input(e, side, in, ret_taken);
	if (e->agent == HTTP_AGENT_TUNNEL && e->stream)
		return http_upgrade_input(e, side, in, ret_taken);
	if (e->agent == HTTP_AGENT_TUNNEL && e->server == HTTP_SERVER_TUNNEL)
		return http_tunnel(e, side, in, ret_taken);
	if (side == SIDE_SERVER)
		return http_server_input(e, in, ret_taken);
	if (e->agent == HTTP_AGENT_FIRST)
		return http_first_bytes(e, in, ret_taken);
	return http_agent_input(e, in, ret_taken);
}

static size_t engine_needs(struct protocol_engine *base, enum side side, struct slice in)
{
	const struct http_engine *e = http_engine_of(base);

	return side == SIDE_AGENT && e->agent == HTTP_AGENT_FIRST ? http_first_needs(in) : 1;
}

static bool engine_wants(const struct protocol_engine *base, enum side side)
{
	const struct http_engine *e = container_of(base, const struct http_engine, base);

	if (e->agent == HTTP_AGENT_DONE)
		return true;
	if (!http_event_has_room(e))
		return false;
	if (e->agent == HTTP_AGENT_TUNNEL && e->tunnel.events)
		return http_tunnel_wants(e, side);
	if (side == SIDE_SERVER)
		return e->server != HTTP_SERVER_TLS && e->server != HTTP_SERVER_PLAIN &&
			!e->speaks_2; /* it waits for who is to read it */
	switch (e->agent) {
	case HTTP_AGENT_OFFERED:
	case HTTP_AGENT_TLS:
	case HTTP_AGENT_VERDICT:
	case HTTP_AGENT_READY:
	case HTTP_AGENT_SECRET:
	case HTTP_AGENT_SENT:
		return false;
	default:
		return true;
	}
}

/* SPDY's pings and what is refused of its streams are answered here, and so is who sends TLS to
 * what a proxy leads to. */
static bool engine_passes_on(const struct protocol_engine *base)
{
	const struct http_engine *e = container_of(base, const struct http_engine, base);

	if (e->agent == HTTP_AGENT_TUNNEL)
		return !e->tunnel.events && !e->request.spdy;
	return e->agent == HTTP_AGENT_BODY;
}

static bool engine_is_busy(const struct protocol_engine *base)
{
	switch (container_of(base, const struct http_engine, base)->agent) {
	case HTTP_AGENT_READY:
	case HTTP_AGENT_SECRET:
	case HTTP_AGENT_BODY:
	case HTTP_AGENT_SENT:
	case HTTP_AGENT_TUNNEL:
		return true;
	default:
		return false;
	}
}

static int engine_mask(struct protocol_engine *base, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	struct http_request *request = &http_engine_of(base)->request;

	(void)lane;
	request->records = record_rows;
	return http_request_mask(request, rules, ret);
}

static int engine_would_refuse(struct protocol_engine *base, uint32_t lane,
	const struct mask_rules *rules, struct protocol_refusal *ret)
{
	struct http_engine *e = http_engine_of(base);

	(void)lane;
	return http_request_would_refuse(&e->request, rules, ret);
}

static int engine_release(struct protocol_engine *base, uint32_t lane, uint64_t number)
{
	struct http_engine *e = http_engine_of(base);
	const char *why;
	bool refused;
	int r;

	(void)lane;
	assert(e->agent == HTTP_AGENT_VERDICT);
	e->request.number = number;
	e->once = e->base.host->reviewed;
	if (e->abort_text)
		return http_abort_now(e);
	/* Before anything of it leaves; what was not collected is looked at as it passes. */
	why = http_request_content_problem(&e->request, buffer_slice(&e->request.content));
	if (why && !e->base.host->observes)
		return http_fail(e, REASON_MASK_WRITTEN_BACK, why);
	if (why)
		http_note(e, REASON_MASK_WRITTEN_BACK, why);
	if (e->request.tunnels && !e->passthrough) {
		r = http_connect_release(e, &refused);
		if (refused)
			protocol_begun(e->base.host, number, false);
		if (r < 0 || refused)
			return r;
	}
	e->agent = HTTP_AGENT_READY;
	return http_go_on(e);
}

static int engine_refuse(struct protocol_engine *base, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal)
{
	struct http_engine *e = http_engine_of(base);
	char text[256];
	int r;

	(void)lane;
	assert(e->agent == HTTP_AGENT_VERDICT);
	e->request.number = number;
	if (e->passthrough) {
		snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(refusal->text));
		e->base.host->reset(e->base.host, refusal);
		return http_close(e, refusal->reason, text);
	}
	http_agent_plan_drain(e);
	r = http_answer(e, http_status_of(refusal->reason), refusal, e->request.closes);
	return r < 0 ? r : http_agent_answered(e);
}

/* Who ends a session wants it ended now; what a server did can be told where somebody asks. */
bool http_reason_can_wait(enum reason reason)
{
	return reason != REASON_KILLED && reason != REASON_SHUTDOWN &&
		reason != REASON_RECORDING_FAILED && reason != REASON_POLICY_CHANGED &&
		reason != REASON_PROTOCOL_VIOLATION && reason != REASON_INTERNAL;
}

void http_abort_later(struct http_engine *e, const struct protocol_refusal *refusal)
{
	if (e->abort_text)
		return;
	e->abort_text = memory_copy_text(refusal->text.data, refusal->text.length);
	e->abort.reason = refusal->reason;
	e->abort.text = slice_from_string(e->abort_text);
}

bool http_abort_is_of_server(const struct http_engine *e)
{
	unsigned status = http_status_of(e->abort.reason);

	return status == 502 || status == 504;
}

int http_abort_now(struct http_engine *e)
{
	if (e->passthrough)
		e->base.host->reset(e->base.host, &e->abort);
	else
		http_answer(e, http_status_of(e->abort.reason), &e->abort, true);
	return http_close(e, e->abort.reason, e->abort_text);
}

static void engine_abort(struct protocol_engine *base, const struct protocol_refusal *refusal)
{
	struct http_engine *e = http_engine_of(base);
	bool idle = e->agent <= HTTP_AGENT_HEAD;
	char *text;

	if (e->agent == HTTP_AGENT_DONE)
		return;
	if (idle && http_reason_can_wait(refusal->reason)) {
		http_abort_later(e, refusal);
		if (e->agent == HTTP_AGENT_OFFERED)
			http_offer_failed(e);
		return;
	}
	text = memory_copy_text(refusal->text.data, refusal->text.length);
	http_fail(e, refusal->reason, text);
	free(text);
}

static void engine_end(struct protocol_engine *base, enum side side)
{
	http_end(http_engine_of(base), side);
}

static void engine_connected(struct protocol_engine *base)
{
	http_connected(http_engine_of(base));
}

static void engine_tls_done(
	struct protocol_engine *base, enum side side, const struct protocol_tls_result *result)
{
	http_tls_done(http_engine_of(base), side, result);
}

/* The methods that can begin a connection which nothing else is known of. */
static const char *const methods[] = {"GET ", "HEAD ", "OPTIONS ", "POST ", "PUT ", "PATCH ",
	"DELETE ", "TRACE ", "CONNECT ", "PROPFIND ", "REPORT ", "MKCOL ", "COPY ", "MOVE ",
	"LOCK ", "UNLOCK ", "SEARCH ", "PRI * HTTP/2.0"};

enum detection http_detect_method(struct slice in)
{
	enum detection best = DETECTION_NO;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		struct slice method = slice_from_string(methods[i]);

		if (slice_starts_with(in, method))
			return DETECTION_YES;
		if (slice_starts_with(method, in))
			best = DETECTION_MORE;
	}
	return best;
}

/* TLS that says nothing of what is in it may be HTTP's: who leaves ALPN out gets by no rule. */
static enum detection detect_tls(struct slice in)
{
	struct tls_hello hello;

	switch (tls_hello_read(in, &hello)) {
	case TLS_HELLO_MORE:
		return DETECTION_MORE;
	case TLS_HELLO_READ:
		return !hello.has_alpn || tls_hello_offers(&hello, "http/1.1") ||
				tls_hello_offers(&hello, "h2")
			? DETECTION_YES
			: DETECTION_NO;
	default:
		return DETECTION_NO;
	}
}

static enum detection engine_detect(struct slice from_agent, struct slice from_server)
{
	if (from_server.length)
		return DETECTION_NO; /* a server waits for its client */
	if (from_agent.length == 0)
		return DETECTION_MORE;
	if (from_agent.data[0] == TLS_RECORD_HANDSHAKE)
		return detect_tls(from_agent);
	return http_detect_method(from_agent);
}

/* What is the same whoever opened it. */
#define HTTP_ENGINE                                                                                \
	.connects_late = true, .ends_behind = true, .asks_again = true,                            \
	.close = http_engine_close, .input = engine_input, .needs = engine_needs,                  \
	.wants = engine_wants, .passes_on = engine_passes_on, .is_busy = engine_is_busy,           \
	.end = engine_end, .next_event = engine_next_event, .mask = engine_mask,                   \
	.would_refuse = engine_would_refuse, .release = engine_release, .refuse = engine_refuse,   \
	.bind = http_hold_bind, .show = http_shown_put, .reassure = http_hold_reassure,            \
	.judge_again = http_hold_judge_again, .abort = engine_abort,                               \
	.connected = engine_connected, .tls_done = engine_tls_done, .proven = http_inject_proven

const struct protocol protocol_http = {
	.id = PROTOCOL_HTTP, .detect = engine_detect, .open = open_http, HTTP_ENGINE};
/* At places that no resource names, it is plain HTTP. */
const struct protocol protocol_kubernetes = {
	.id = PROTOCOL_KUBERNETES, .open = open_kubernetes, HTTP_ENGINE};
