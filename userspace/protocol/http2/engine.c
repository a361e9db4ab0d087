/* SPDX-License-Identifier: Apache-2.0
 *
 * engine: what the pipe calls: verdicts, what waits for people, and the end.
 */
#include <errno.h>

#include "protocol/http/shown.h"
#include "protocol/http2/http2.h"

static struct http2 *http2_of(struct protocol_engine *base)
{
	return http_engine_of(base)->h2;
}

/* The stream of a lane that waits for its verdict; NULL: it does not wait any more. */
static struct http2_stream *find(struct protocol_engine *base, uint32_t lane)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(
		http2_of(base)->sessions[SIDE_AGENT], (int32_t)lane);

	return s && s->state == HTTP2_VERDICT && list_is_empty(&s->asking) ? s : NULL;
}

int http2_open(struct http_engine *e, bool ready)
{
	struct http2 *h = e->h2 = memory_new(sizeof(*h));
	int r;

	h->e = e;
	list_init(&h->streams);
	list_init(&h->closed);
	list_init(&h->asking);
	list_init(&h->reading);
	list_init(&h->reports);
	e->base.protocol = e->base.protocol->id == PROTOCOL_KUBERNETES ? &protocol_kubernetes2
								       : &protocol_http2;
	e->agent = HTTP_AGENT_HEAD;
	r = http2_agent_begin(h);
	if (r == 0 && ready)
		r = http2_server_begin(h);
	return r < 0 ? r : http2_flush(h);
}

void http2_close(struct http2 *h)
{
	if (!h)
		return;
	nghttp2_session_del(h->sessions[SIDE_AGENT]);
	nghttp2_session_del(h->sessions[SIDE_SERVER]);
	h->sessions[SIDE_AGENT] = h->sessions[SIDE_SERVER] = NULL;
	list_for_each_safe (position, &h->streams)
		http2_stream_free(list_entry(position, struct http2_stream, link));
	http2_streams_free_closed(h);
	/* Nobody is told any more. */
	list_for_each_safe (position, &h->reports)
		free(list_entry(position, struct http2_report, link));
	free(h);
}

/* --- verdicts --- */

/* What of the body came already was on its way to the server. */
static void begin_collecting(struct http2_stream *s)
{
	struct http2_flow *f = &s->flows[SIDE_SERVER];
	struct http_request *r = &s->request;
	struct slice came = buffer_slice(&f->data);

	if (buffer_append_slice(&r->content, came) < 0 ||
		!http2_stream_hold(s, SIDE_SERVER, came.length)) {
		buffer_wipe(&r->content);
		http2_too_large(s);
		return;
	}
	s->h->passing -= came.length;
	buffer_clear(&f->data);
	http2_stream_settle(s, SIDE_SERVER);
	s->state = HTTP2_COLLECT;
	if (s->agent_ended) {
		http2_collected(s);
	} else if (r->expects && !r->continued) {
		r->continued = true;
		http2_say_continue(s);
	}
}

void http2_ask(struct http2_stream *s)
{
	if (http_request_wants_body(&s->request)) {
		begin_collecting(s);
		return;
	}
	s->state = HTTP2_VERDICT;
	list_append(&s->h->asking, &s->asking);
}

void http2_collected(struct http2_stream *s)
{
	struct http_request *r = &s->request;

	r->collected = true;
	http_request_decode(r);
	/* Beyond what a connection may hold it is not known. */
	if (!http2_stream_hold(
		    s, SIDE_SERVER, buffer_length(&r->content) + buffer_length(&r->decoded))) {
		buffer_wipe(&r->decoded);
		r->is_decoded = false;
		http2_stream_hold(s, SIDE_SERVER, buffer_length(&r->content));
	}
	http2_ask(s);
}

void http2_too_large(struct http2_stream *s)
{
	http2_stream_hold(s, SIDE_SERVER, 0);
	s->request.too_large = true;
	http2_collected(s);
}

/* Behind what the WebSocket said, and before the session's end. */
static bool next_report(struct http2 *h, struct protocol_event *ret)
{
	struct http2_report *report;

	const struct event_queue *queue = &h->e->events;

	if (list_is_empty(&h->reports) ||
		(queue->count && queue->items[queue->first].type != EVENT_CLOSE))
		return false;
	report = list_entry(h->reports.next, struct http2_report, link);
	list_remove(&report->link);
	memcpy(h->reported, report->tag, sizeof(h->reported));
	*ret = (struct protocol_event){.type = EVENT_RESULT};
	ret->result.action = report->action;
	ret->result.bytes = report->bytes;
	ret->result.tag = slice_from_string(h->reported);
	free(report);
	return true;
}

/* What the last event was about is recorded: WebSockets are read on. True: that gave another. */
static bool read_on(struct http2 *h)
{
	if (list_is_empty(&h->reading) || h->e->agent == HTTP_AGENT_DONE)
		return false;
	if (http2_sockets_read(h) < 0 || http2_flush(h) < 0)
		http2_fail(h, REASON_INTERNAL, "out of memory");
	return h->e->events.count || !list_is_empty(&h->reports);
}

static bool engine_next_event(struct protocol_engine *base, struct protocol_event *ret)
{
	struct http2 *h = http2_of(base);
	struct http2_stream *s;

	if (h->e->events.count == 0)
		http2_streams_free_closed(h);
	if (next_report(h, ret) || event_queue_take(&h->e->events, ret))
		return true;
	if (h->dropped_count) {
		*ret = (struct protocol_event){.type = EVENT_DROPPED};
		ret->dropped.lane = h->dropped[--h->dropped_count];
		ret->dropped.why = "the agent gave it up";
		return true;
	}
	if (list_is_empty(&h->asking) || h->e->agent == HTTP_AGENT_DONE)
		return read_on(h) && engine_next_event(base, ret);
	s = list_entry(h->asking.next, struct http2_stream, asking);
	list_remove(&s->asking);
	*ret = (struct protocol_event){.type = EVENT_ACTION};
	ret->action.lane = (uint32_t)s->id;
	http_request_ask(&s->request, ret);
	return true;
}

static int engine_mask(struct protocol_engine *base, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	struct http2_stream *s = find(base, lane);

	if (s)
		s->request.records = record_rows;
	return s ? http_request_mask(&s->request, rules, ret) : 0;
}

static int engine_would_refuse(struct protocol_engine *base, uint32_t lane,
	const struct mask_rules *rules, struct protocol_refusal *ret)
{
	struct http2_stream *s = find(base, lane);

	return s ? http_request_would_refuse(&s->request, rules, ret) : 0;
}

/* What has come of its content by now nobody looked at before it was allowed. */
static bool content_passes(struct http2_stream *s)
{
	if (!http2_stream_passes(s, buffer_slice(&s->request.content)))
		return false;
	return s->tunnel || s->socket ||
		http2_stream_passes(s, buffer_slice(&s->flows[SIDE_SERVER].data));
}

static int engine_release(struct protocol_engine *base, uint32_t lane, uint64_t number)
{
	struct http2_stream *s = find(base, lane);
	int r = 0;

	if (!s)
		return 0;
	s->request.number = number;
	if (s->h->e->abort_text) {
		http2_stream_fail(s, s->h->e->abort.reason, s->h->e->abort_text);
		http2_say_goodbye(s->h);
	} else if (content_passes(s) && (!s->tunnel || http2_tunnel_may_lead(s))) {
		s->state = HTTP2_READY;
		if (s->agent_ended)
			http2_stream_looked_at(s);
		r = http2_go_on(s);
	}
	return r < 0 ? r : http2_flush(s->h);
}

static int engine_refuse(struct protocol_engine *base, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal)
{
	struct http2_stream *s = find(base, lane);

	if (!s)
		return 0;
	s->request.number = number;
	http2_answer(s, http_status_of(refusal->reason), refusal);
	return http2_flush(s->h);
}

/* --- what waits for people --- */

static int engine_bind(struct protocol_engine *base, uint32_t lane, struct protocol_binding *ret)
{
	struct http2_stream *s = find(base, lane);

	/* Nobody is shown trailers, nor is the decision bound to them. */
	if (!s || (s->flows[SIDE_SERVER].trailers && s->flows[SIDE_SERVER].trailers->fields.count))
		return -ENOTSUP;
	if (s->request.too_large)
		return -E2BIG;
	if (!s->request.collected && s->request.has_body) {
		begin_collecting(s);
		return http2_flush(s->h) < 0 ? -ENOMEM : -EAGAIN;
	}
	return http_request_bind(&s->request, ret);
}

/* A PING: libraries see that somebody is there, and nobody takes it for an answer. */
static bool engine_reassure(struct protocol_engine *base, uint32_t lane, struct slice text)
{
	struct http2 *h = http2_of(base);

	(void)lane;
	(void)text;
	if (!h->pinged && h->e->agent != HTTP_AGENT_DONE)
		h->pinged =
			nghttp2_submit_ping(h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, NULL) == 0;
	return http2_flush(h) == 0;
}

static bool engine_judge_again(struct protocol_engine *base, uint32_t lane, bool anew)
{
	struct http2_stream *s = find(base, lane);

	(void)anew;
	if (!s)
		return false;
	http2_ask(s);
	return http2_flush(s->h) == 0;
}

/* --- bytes --- */

static int engine_input(
	struct protocol_engine *base, enum side side, struct slice in, size_t *ret_taken)
{
	*ret_taken = 0;
	if (http_engine_of(base)->agent != HTTP_AGENT_DONE)
		return http2_input(http2_of(base), side, in, ret_taken);
	*ret_taken = in.length;
	return 0;
}

static size_t engine_needs(struct protocol_engine *base, enum side side, struct slice in)
{
	(void)base;
	(void)side;
	(void)in;
	return 1;
}

static bool engine_wants(const struct protocol_engine *base, enum side side)
{
	const struct http_engine *e = container_of(base, const struct http_engine, base);

	if (e->agent == HTTP_AGENT_DONE)
		return true;
	return e->h2->sessions[side] && !http2_is_full(e->h2, side) && http_event_has_room(e) &&
		e->h2->dropped_count == 0 && list_is_empty(&e->h2->asking) &&
		list_is_empty(&e->h2->reading) && list_is_empty(&e->h2->reports);
}

/* Whether a stream was released and is not over. */
static bool engine_is_busy(const struct protocol_engine *base)
{
	const struct http2 *h = container_of(base, const struct http_engine, base)->h2;

	list_for_each (position, &h->streams) {
		if (list_entry(position, struct http2_stream, link)->state >= HTTP2_READY)
			return true;
	}
	return false;
}

static void engine_end(struct protocol_engine *base, enum side side)
{
	struct http2 *h = http2_of(base);

	if (h->e->agent == HTTP_AGENT_DONE)
		return;
	if (side == SIDE_AGENT) {
		list_for_each (position, &h->streams)
			http2_socket_report(list_entry(position, struct http2_stream, link));
		http_close(h->e, REASON_NONE, "");
	} else {
		http2_server_gone(h);
	}
}

/* Idle: what an administrator does is told at once, what a server does to the next request. */
static bool can_wait(const struct http2 *h, enum reason reason)
{
	return h->stream_count == 0 && http_reason_can_wait(reason);
}

static void engine_abort(struct protocol_engine *base, const struct protocol_refusal *refusal)
{
	struct http2 *h = http2_of(base);

	if (h->e->agent == HTTP_AGENT_DONE)
		return;
	if (can_wait(h, refusal->reason)) {
		http_abort_later(h->e, refusal);
	} else {
		char *text = memory_copy_text(refusal->text.data, refusal->text.length);

		http2_fail(h, refusal->reason, text);
		http2_flush(h);
		free(text);
	}
}

#define HTTP2_ENGINE                                                                               \
	.connects_late = true, .ends_behind = true, .asks_again = true,                            \
	.close = http_engine_close, .input = engine_input, .needs = engine_needs,                  \
	.wants = engine_wants, .is_busy = engine_is_busy, .end = engine_end,                       \
	.next_event = engine_next_event, .mask = engine_mask, .would_refuse = engine_would_refuse, \
	.release = engine_release, .refuse = engine_refuse, .bind = engine_bind,                   \
	.show = http_shown_put, .reassure = engine_reassure, .judge_again = engine_judge_again,    \
	.abort = engine_abort, .connected = http2_connected, .tls_done = http2_tls_done,           \
	.proven = http2_proven

const struct protocol protocol_http2 = {.id = PROTOCOL_HTTP, HTTP2_ENGINE};
const struct protocol protocol_kubernetes2 = {.id = PROTOCOL_KUBERNETES, HTTP2_ENGINE};
