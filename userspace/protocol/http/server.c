/* SPDX-License-Identifier: Apache-2.0
 *
 * server: responses: they belong to the one request in flight.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "protocol/http/engine.h"

void http_server_expect(struct http_engine *e)
{
	http_head_clear(&e->answer);
	e->server = HTTP_SERVER_HEAD;
}

/* --- the end of a response --- */

static void report(struct http_engine *e)
{
	struct protocol_event *event = http_event(e, EVENT_RESULT);

	event->result.action = e->request.number;
	event->result.bytes = e->response.seen;
	event->result.tag = slice_from_string(e->request.tag);
	if (e->request.status >= 400)
		event->result.error_code = slice_head(event->result.tag, 3);
	event->result.not_begun = e->request.streams && e->request.status >= 400;
}

static int complete(struct http_engine *e)
{
	report(e);
	if (!e->response_closes && e->request.closes && e->agent == HTTP_AGENT_SENT)
		e->server = HTTP_SERVER_IDLE;
	if (e->response_closes || e->request.closes)
		return http_close(e, REASON_NONE, "");
	e->server = HTTP_SERVER_ANSWERED;
	return e->agent == HTTP_AGENT_SENT ? http_agent_next(e) : 0;
}

/* --- bodies --- */

/* Sends what of the masked content is in e->masked, and the head before it. */
static int send_masked(struct http_engine *e, bool last)
{
	struct slice content = buffer_slice(&e->masked);
	bool chunked = http_response_is_chunked(e);
	char size[24];
	int n = snprintf(size, sizeof(size), "%zx\r\n", content.length), r = 0;

	if (e->head_held && (content.length || last))
		r = http_write(e, SIDE_AGENT, buffer_slice(&e->held_head));
	e->head_held &= !(content.length || last);
	if (r == 0 && chunked && content.length)
		r = http_write(e, SIDE_AGENT, slice_of(size, (size_t)n));
	if (r == 0)
		r = http_write(e, SIDE_AGENT, content);
	if (r == 0 && chunked && content.length)
		r = http_write(e, SIDE_AGENT, slice_from_string("\r\n"));
	/* Trailers would pass unmasked. */
	if (r == 0 && chunked && last)
		r = http_write(e, SIDE_AGENT, slice_from_string("0\r\n\r\n"));
	buffer_clear(&e->masked);
	return r;
}

static void note_content(struct http_engine *e)
{
	const char *note = http_response_note(&e->request);

	if (note)
		http_note(e, REASON_NONE, note);
}

static int mask_data(struct http_engine *e, struct slice data, bool last)
{
	int r = http_response_mask(&e->request, data, last, &e->masked);
	enum reason reason;
	const char *why = r < 0 ? http_response_mask_problem(r, &reason) : NULL;

	if (why)
		return http_fail(e, reason, why);
	if (r < 0)
		return r;
	note_content(e);
	return send_masked(e, last);
}

static int pass_data(struct http_engine *e, struct slice data)
{
	if (e->request.masked)
		return mask_data(e, data, false);
	return http_pass_data(e, SIDE_AGENT, &e->response, data);
}

static int finish_body(struct http_engine *e)
{
	int r = 0;

	if (e->request.masked && e->response.kind != HTTP_BODY_NONE) {
		r = mask_data(e, SLICE_EMPTY, true);
		return r < 0 || e->agent == HTTP_AGENT_DONE ? r : complete(e);
	}
	buffer_clear(&e->out);
	if (e->response.kind == HTTP_BODY_CHUNKED)
		r = http_rewrite_trailers(e, &e->response);
	if (r == -EBADMSG)
		return http_refuse_response(e, "its trailers", SLICE_EMPTY);
	if (r == 0)
		r = http_write(e, SIDE_AGENT, buffer_slice(&e->out));
	return r < 0 ? r : complete(e);
}

static int input_body(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	int r = 0;

	while (r == 0 && e->server == HTTP_SERVER_BODY) {
		struct slice data;
		size_t taken;
		enum http_piece piece = http_body_next(&e->response, in, &taken, &data);

		in = slice_from(in, taken);
		*ret_taken += taken;
		if (piece == HTTP_PIECE_NONE)
			return 0;
		if (piece == HTTP_PIECE_BAD)
			return http_refuse_response(e, "a chunk", SLICE_EMPTY);
		r = piece == HTTP_PIECE_DATA ? pass_data(e, data) : finish_body(e);
	}
	return r;
}

/* --- heads --- */

static bool ends_connection(const struct http_engine *e)
{
	const struct http_head *m = &e->request.head;

	if (e->response.kind == HTTP_BODY_UNTIL_END)
		return true;
	if (m->minor == 0)
		return !http_fields_list_has(
			&m->fields, "connection", slice_from_string("keep-alive"));
	return http_fields_list_has(&m->fields, "connection", slice_from_string("close"));
}

/* A final response to an expectation, in place of 100: whether the agent still sends its body, and
 * whether what it sends is that to the server, nobody can tell (RFC 9110, 10.1.1). */
static bool leaves_body_in_doubt(const struct http_engine *e)
{
	return e->request.expects && !e->request.continued && e->agent == HTTP_AGENT_BODY;
}

static int send_head(struct http_engine *e)
{
	int r = http_rewrite_response(e);

	if (r == 0)
		r = http_write(e, SIDE_AGENT, buffer_slice(&e->out));
	http_head_clear(&e->answer);
	return r;
}

static int switch_protocols(struct http_engine *e)
{
	const char *problem = http_upgrade_open(e);
	int r;

	if (problem)
		return http_refuse_response(e, problem, buffer_slice(&e->answer.held));
	r = send_head(e);
	if (!e->stream)
		report(e);
	http_upgrade_begin(e);
	return r;
}

/* RFC 9110, 15.2: the final response is still to come. */
static int interim(struct http_engine *e)
{
	bool unwanted = e->request.minor == 0 ||
		(e->request.status == 100 && (!e->request.expects || e->request.continued));

	if (e->request.status == 101)
		return switch_protocols(e);
	if (++e->request.interims > LIMIT_HTTP_INTERIM)
		return http_refuse_response(
			e, "interim responses without end", buffer_slice(&e->answer.held));
	if (e->request.status == 100)
		e->request.continued = true;
	if (!unwanted)
		return send_head(e);
	http_head_clear(&e->answer);
	return 0;
}

static int begin_masking(struct http_engine *e)
{
	uint64_t length = e->response.kind == HTTP_BODY_LENGTH ? e->response.length : 0;
	const char *why = http_response_begin_masking(&e->request, length);
	int r;

	buffer_clear(&e->masked);
	if (why)
		return http_fail(e, REASON_MASK_IMPOSSIBLE, why);
	e->response_closes |= e->request.minor == 0;
	r = http_rewrite_response(e);
	e->head_held = http_response_waits(&e->request);
	buffer_clear(&e->held_head);
	if (r == 0 && e->head_held)
		r = buffer_append_slice(&e->held_head, buffer_slice(&e->out));
	else if (r == 0)
		r = http_write(e, SIDE_AGENT, buffer_slice(&e->out));
	http_head_clear(&e->answer);
	e->server = HTTP_SERVER_BODY;
	return r;
}

/* Whatever it says of a length, what follows is the connection (RFC 9110, 9.3.6). */
static int open_tunnel(struct http_engine *e)
{
	int r = http_connect_is_carried(e) ? http_tunnel_begin(e) : 0;

	if (r < 0)
		return http_fail(e, REASON_LIMIT, "no more connections can be carried");
	r = send_head(e);
	report(e);
	return r < 0 ? r : http_connect_established(e);
}

#define TAKEN_FOR_GET                                                                              \
	"denied: the server opened no WebSocket, and answered as it does a GET, which no rule "    \
	"had to allow"

/* It was judged as a WebSocket, and no rule had to allow the GET for which a server takes it that
 * opens none: what may not be read, or where it is, would be had by asking so. */
static bool is_taken_for_get(const struct http_engine *e)
{
	return e->request.websocket && e->request.action.protocol == PROTOCOL_HTTP &&
		e->request.status < 400;
}

/* The status line's, as much as there is room for. */
static void put_tag(const struct http_head *m, char *ret, size_t size)
{
	struct slice reason = slice_head(m->reason, size - HTTP_STATUS_DIGITS - 2);

	http_status_put(m->status, ret);
	ret += HTTP_STATUS_DIGITS;
	*ret++ = ' ';
	if (reason.length)
		memcpy(ret, reason.data, reason.length);
	ret[reason.length] = '\0';
}

static int on_head(struct http_engine *e)
{
	struct http_head *m = &e->request.head;
	struct http_problem problem;
	int r;

	/* Sent before the request came. */
	if (e->reused && http_is_timeout(buffer_slice(&e->answer.held)) && http_repeats(e))
		return http_repeat(e);
	e->reused = false;
	if (!http_head_read_response(buffer_slice(&e->answer.held), m, &problem))
		return http_refuse_response(e, problem.text, buffer_slice(&e->answer.held));
	e->request.status = m->status;
	http_see_response(e);
	put_tag(m, e->request.tag, sizeof(e->request.tag));
	if (m->status < 200)
		return interim(e);
	if (e->request.beyond.port && m->status < 300)
		return open_tunnel(e);
	if (is_taken_for_get(e)) {
		if (!e->base.host->observes)
			return http_fail(e, REASON_NOT_COVERED, TAKEN_FOR_GET);
		http_note(e, REASON_NOT_COVERED, TAKEN_FOR_GET);
	}
	if (!http_body_of_response(&e->response, m, e->request.to_head, &problem))
		return http_refuse_response(e, problem.text, buffer_slice(&e->answer.held));
	e->response_closes = ends_connection(e) || leaves_body_in_doubt(e);
	if (e->request.masked && e->response.kind != HTTP_BODY_NONE)
		return begin_masking(e);
	r = send_head(e);
	e->server = HTTP_SERVER_BODY;
	return r;
}

static int input_head(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	struct http_problem problem;
	int r = http_head_take(&e->answer, in, ret_taken, &problem);

	if (r < 0 || (r == 0 && !problem.status))
		return r;
	if (problem.status)
		return http_refuse_response(e, problem.text, buffer_slice(&e->answer.held));
	return on_head(e);
}

int http_server_input(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	size_t before = *ret_taken;
	int r;

	if (e->server == HTTP_SERVER_HEAD) {
		r = input_head(e, in, ret_taken);
		if (r < 0 || e->server != HTTP_SERVER_BODY)
			return r;
		in = slice_from(in, *ret_taken - before);
	}
	if (e->server == HTTP_SERVER_BODY)
		return input_body(e, in, ret_taken);
	if (http_is_something_else(e, SIDE_SERVER, in))
		return http_relay_something_else(e);
	/* It would be taken for the answer to the next request. */
	*ret_taken += in.length;
	if (e->reused && e->server <= HTTP_SERVER_IDLE) {
		/* Nobody was asked for anything yet: there is another connection for that. */
		if (e->server == HTTP_SERVER_IDLE)
			e->server = HTTP_SERVER_NONE;
		return 0;
	}
	return http_close(e, REASON_UPSTREAM_PROTOCOL, "the server spoke unasked");
}

/* Nothing but an end in order tells that this was all of it (RFC 9112, 8), and the agent's must not
 * tell so either. */
static int break_off(struct http_engine *e)
{
	static const char text[] = "the server broke its connection off within its response";

	if (e->head_held)
		return http_fail(e, REASON_UPSTREAM_CLOSED, text);
	protocol_pass_end(e->base.host, SIDE_SERVER);
	return http_close(e, REASON_UPSTREAM_CLOSED, text);
}

int http_server_end(struct http_engine *e)
{
	bool in_order = e->base.host->endings[SIDE_SERVER] == ENDING_IN_ORDER;

	if (e->server == HTTP_SERVER_BODY && e->response.kind == HTTP_BODY_UNTIL_END)
		return in_order ? finish_body(e) : break_off(e);
	if (e->server == HTTP_SERVER_HEAD && e->reused && !buffer_length(&e->answer.held) &&
		http_repeats(e))
		return http_repeat(e);
	/* Without one byte of a response, clients that may will ask again by themselves, as
	 * without us; what is cut short, they see. */
	if (e->server == HTTP_SERVER_HEAD && buffer_length(&e->answer.held))
		return http_fail(e, REASON_UPSTREAM_CLOSED,
			"the server closed the connection within its response");
	protocol_pass_end(e->base.host, SIDE_SERVER);
	return http_close(e, REASON_UPSTREAM_CLOSED, "the server closed the connection");
}
