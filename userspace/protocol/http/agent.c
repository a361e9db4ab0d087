/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: what the agent sends: heads, which are judged; bodies, which pass behind them.
 */
#include <assert.h>
#include <errno.h>

#include "protocol/http/engine.h"

/* --- heads --- */

static void begin_request(struct http_engine *e)
{
	e->request.to_head = e->request.closes = false;
	e->request.minor = 1;
	if (e->logged_in)
		return;
	/* Nothing more is to come before requests are judged. */
	e->logged_in = true;
	http_event(e, EVENT_LOGIN);
}

static int on_head(struct http_engine *e)
{
	struct http_problem problem;

	if (!http_head_read_request(buffer_slice(&e->head.held), &e->request.head, &problem) ||
		!http_facts_read(&e->request, &problem) ||
		!http_body_of_request(&e->framing, &e->request.head, &problem))
		return http_refuse_request(e, &problem);
	e->request.has_body = e->framing.kind != HTTP_BODY_NONE;
	if (e->request.has_body && (e->request.tunnels || http_request_upgrade(&e->request))) {
		/* Some servers would take it for the begin of what passes. */
		problem = (struct http_problem){400, "a CONNECT or an upgrade with a body"};
		return http_refuse_request(e, &problem);
	}
	return e->abort_text && !http_abort_is_of_server(e) ? http_abort_now(e) : http_ask(e);
}

/* RFC 9112, 2.2: an empty line may stand in front of a request. */
static size_t skip_empty_lines(const struct http_engine *e, struct slice in)
{
	size_t skipped = 0;

	while (buffer_length(&e->head.held) == 0 && in.length - skipped >= 2 &&
		in.data[skipped] == '\r' && in.data[skipped + 1] == '\n')
		skipped += 2;
	return skipped;
}

/* What reads on unread must have all of it. */
static int relay_unreadable(struct http_engine *e)
{
	struct slice held = buffer_slice(&e->head.held);
	int r = http_write(e, SIDE_SERVER, slice_head(held, held.length - 1));

	return r < 0 ? r : -EBADMSG;
}

static int input_head(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	size_t skipped = skip_empty_lines(e, in);
	struct http_problem problem;
	int r;

	if (e->unreadable)
		return relay_unreadable(e);
	in = slice_from(in, skipped);
	*ret_taken += skipped;
	if (in.length == 0 ||
		(in.length == 1 && in.data[0] == '\r' && buffer_length(&e->head.held) == 0))
		return 0;
	if (buffer_length(&e->head.held) == 0 && http_is_something_else(e, SIDE_AGENT, in))
		return http_relay_something_else(e);
	r = http_head_take(&e->head, in, ret_taken, &problem);
	if (r == 0 && !problem.status)
		return 0;
	begin_request(e);
	if (r < 0)
		return r;
	r = problem.status ? http_refuse_request(e, &problem) : on_head(e);
	/* Its last byte, of which there is one in any case, is offered again when there is a
	 * server. */
	if (r == 0 && e->unreadable) {
		assert(*ret_taken);
		*ret_taken -= 1;
	}
	return r;
}

/* --- bodies --- */

static int bad_chunk(struct http_engine *e)
{
	if (e->base.host->observes)
		return -EBADMSG;
	return http_fail(e, REASON_PROTOCOL_VIOLATION, "a chunk that can't be read");
}

static int pass_data(struct http_engine *e, struct slice data)
{
	const char *why = http_request_content_problem(&e->request, data);

	if (why && !e->base.host->observes)
		return http_fail(e, REASON_MASK_WRITTEN_BACK, why);
	if (why)
		http_note(e, REASON_MASK_WRITTEN_BACK, why);
	return http_pass_data(e, SIDE_SERVER, &e->framing, data);
}

/* The end of the body that went to the server. */
static int finish_body(struct http_engine *e)
{
	int r = 0;

	buffer_clear(&e->out);
	if (e->framing.kind == HTTP_BODY_CHUNKED)
		r = http_rewrite_trailers(e, &e->framing);
	if (r == -EBADMSG)
		return bad_chunk(e);
	if (r == 0)
		r = http_write(e, SIDE_SERVER, buffer_slice(&e->out));
	http_request_forget_writing(&e->request);
	e->agent = HTTP_AGENT_SENT;
	if (r == 0 && e->server == HTTP_SERVER_ANSWERED)
		return http_agent_next(e);
	return r;
}

static size_t room_to_collect(const struct http_engine *e)
{
	return HTTP_CONTENT_MOST - buffer_length(&e->request.content);
}

static int collect(struct http_engine *e, struct slice data)
{
	int r = buffer_append_slice(&e->request.content, data);

	if (r < 0 || room_to_collect(e))
		return r;
	e->request.too_large = e->request.collected = true;
	return http_ask(e);
}

static int on_data(struct http_engine *e, struct slice data)
{
	switch (e->agent) {
	case HTTP_AGENT_BODY:
		return pass_data(e, data);
	case HTTP_AGENT_COLLECT:
		return collect(e, data);
	default:
		e->drained += data.length;
		return e->drained > LIMIT_HTTP_DRAIN ? http_close(e, REASON_NONE, "") : 0;
	}
}

static int on_body_end(struct http_engine *e)
{
	switch (e->agent) {
	case HTTP_AGENT_BODY:
		return finish_body(e);
	case HTTP_AGENT_COLLECT:
		e->request.collected = true;
		http_request_decode(&e->request);
		e->request.has_trailers =
			e->framing.kind == HTTP_BODY_CHUNKED && buffer_length(&e->framing.line) > 2;
		return http_ask(e);
	default:
		return http_agent_next(e);
	}
}

static int input_body(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	enum http_agent_state state = e->agent;
	int r = 0;

	while (r == 0 && e->agent == state) {
		struct slice data, part = in;
		size_t taken;
		enum http_piece piece;

		if (state == HTTP_AGENT_COLLECT)
			part = slice_head(in, room_to_collect(e));
		piece = http_body_next(&e->framing, part, &taken, &data);
		in = slice_from(in, taken);
		*ret_taken += taken;
		if (piece == HTTP_PIECE_NONE)
			return 0;
		if (piece == HTTP_PIECE_BAD)
			return bad_chunk(e);
		r = piece == HTTP_PIECE_DATA ? on_data(e, data) : on_body_end(e);
	}
	return r;
}

int http_agent_input(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	switch (e->agent) {
	case HTTP_AGENT_HEAD:
		return input_head(e, in, ret_taken);
	case HTTP_AGENT_COLLECT:
	case HTTP_AGENT_BODY:
	case HTTP_AGENT_DRAIN:
		return input_body(e, in, ret_taken);
	default:
		return 0;
	}
}

/* --- what becomes of a request --- */

static int send_collected(struct http_engine *e)
{
	size_t taken = 0;
	int r = 0;

	if (buffer_length(&e->request.content))
		r = http_pass_data(e, SIDE_SERVER, &e->framing, buffer_slice(&e->request.content));
	if (r < 0)
		return r;
	if (!e->request.too_large)
		return finish_body(e);
	/* The rest is still to come, or nothing but its end. */
	buffer_wipe(&e->request.content);
	e->agent = HTTP_AGENT_BODY;
	r = input_body(e, SLICE_EMPTY, &taken);
	if (r == 0 && e->agent == HTTP_AGENT_BODY && e->ended[SIDE_AGENT])
		e->base.host->shut(e->base.host, SIDE_SERVER);
	return r;
}

/* Nothing of a secret in it stays. */
static int send_head(struct http_engine *e)
{
	struct protocol_host *host = e->base.host;
	int r = http_rewrite_request(e);

	if (e->secret.length == 0)
		return r < 0 ? r : http_write(e, SIDE_SERVER, buffer_slice(&e->out));
	if (r == 0)
		r = host->write_secret(host, SIDE_SERVER, buffer_slice(&e->out));
	buffer_wipe(&e->out);
	return r;
}

int http_agent_send(struct http_engine *e)
{
	int r = send_head(e);

	if (r < 0)
		return r;
	protocol_begun(e->base.host, e->request.number, true);
	http_see_request(e);
	http_server_expect(e);
	if (e->request.collected)
		return send_collected(e);
	e->agent = e->framing.kind == HTTP_BODY_NONE ? HTTP_AGENT_SENT : HTTP_AGENT_BODY;
	if (e->ended[SIDE_AGENT])
		e->base.host->shut(e->base.host, SIDE_SERVER);
	return 0;
}

void http_agent_plan_drain(struct http_engine *e)
{
	const struct http_body *b = &e->framing;

	/* Whether a body follows a refused expectation, nobody can tell. */
	if (e->request.expects && !e->request.continued)
		e->request.closes = true;
	if (b->kind == HTTP_BODY_LENGTH && b->left > LIMIT_HTTP_DRAIN)
		e->request.closes = true;
}

int http_agent_answered(struct http_engine *e)
{
	const struct http_body *b = &e->framing;
	size_t taken = 0;

	if (e->request.closes)
		return http_close(e, REASON_NONE, "");
	if (b->kind == HTTP_BODY_NONE || b->complete)
		return http_agent_next(e);
	e->drained = 0;
	e->agent = HTTP_AGENT_DRAIN;
	return input_body(e, SLICE_EMPTY, &taken);
}

int http_agent_next(struct http_engine *e)
{
	http_head_clear(&e->head);
	buffer_clear(&e->request.content);
	buffer_wipe(&e->request.decoded);
	http_request_forget_writing(&e->request);
	e->agent = HTTP_AGENT_HEAD;
	if (e->server == HTTP_SERVER_ANSWERED)
		e->server = HTTP_SERVER_IDLE;
	return e->ended[SIDE_AGENT] ? http_close(e, REASON_NONE, "") : 0;
}
