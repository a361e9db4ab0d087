/* SPDX-License-Identifier: Apache-2.0
 *
 * tunnel: CONNECT on a stream (RFC 9113, 8.5). The request is judged as HTTP/1.1's is, and then
 * where it leads (http/connect.c). Once the proxy has made the connection, the content of the two
 * streams is that connection's: the host carries it as a session of its own (struct
 * protocol_tunnel), and only copies of it pass here.
 *
 * A window is opened again for what that session has got. What it says waits for the receiver's
 * window in the stream's flow; both are bounded for each stream, and hold up no other.
 */
#include <errno.h>

#include "protocol/http2/http2.h"

/* What that session says is not taken while so much of it waits. */
#define WAITING_MOST (LIMIT_HTTP2_STREAM_WINDOW / 8)

struct http2_tunnel {
	struct protocol_tunnel carried;
	struct http2_stream *s;
	struct buffer early; /* what the agent said before the proxy has answered */
	bool open; /* the proxy has made the connection */
	bool refused; /* it made none */
	bool over; /* the session has no more for either side */
	bool told[2]; /* it has no more for that side; or that side takes none */
	/* With which a side's stream ends once what waits for it has left; 0: as it should. */
	uint32_t errors[2];
};

static struct protocol_host *host_of(const struct http2_tunnel *k)
{
	return k->s->request.host;
}

static struct http2_tunnel *tunnel_of(struct protocol_tunnel *t)
{
	return container_of(t, struct http2_tunnel, carried);
}

static int32_t id_with(const struct http2_stream *s, enum side side)
{
	if (!s->h->sessions[side])
		return 0;
	return side == SIDE_AGENT ? s->id : s->server_id;
}

void http2_tunnel_new(struct http2_stream *s)
{
	struct http2_tunnel *k = s->tunnel = memory_new(sizeof(*k));

	k->s = s;
	buffer_init(&k->early, 2 * LIMIT_HTTP2_STREAM_WINDOW);
}

static void drop(struct http2_tunnel *k)
{
	if (k->carried.carrier)
		host_of(k)->tunnel_drop(&k->carried);
}

void http2_tunnel_free(struct http2_stream *s)
{
	struct http2_tunnel *k = s->tunnel;

	if (!k)
		return;
	drop(k);
	buffer_wipe(&k->early);
	free(k);
	s->tunnel = NULL;
}

bool http2_tunnel_is_open(const struct http2_stream *s)
{
	return s->tunnel && s->tunnel->open;
}

bool http2_tunnel_is_over(const struct http2_stream *s)
{
	return s->tunnel && s->tunnel->over;
}

/* Of those that end with the server alone there are no more than of others. Where the agent gave
 * its stream up, whatever it said is of no use. */
bool http2_tunnel_outlives(const struct http2_stream *s, uint32_t error)
{
	return http2_tunnel_is_open(s) && s->server_id &&
		(s->tunnel->over || (!error && s->agent_ended && s->answered)) &&
		s->h->stream_count <= LIMIT_HTTP2_STREAMS;
}

/* --- how a stream ends --- */

/* What the session said last to that side has left, or goes first. */
static void end_stream(struct http2_tunnel *k, enum side to)
{
	struct http2_stream *s = k->s;
	struct http2_flow *f = &s->flows[to];

	if (!id_with(s, to) || !k->told[to])
		return;
	if (!k->errors[to])
		http2_stream_end(s, to);
	else if (k->over && buffer_length(&f->data) == 0)
		nghttp2_submit_rst_stream(
			s->h->sessions[to], NGHTTP2_FLAG_NONE, id_with(s, to), k->errors[to]);
}

void http2_tunnel_sent(struct http2_stream *s, enum side to)
{
	if (s->tunnel->errors[to])
		end_stream(s->tunnel, to);
}

static void check_over(struct http2_tunnel *k)
{
	if (!k->told[SIDE_AGENT] || !k->told[SIDE_SERVER] || k->over)
		return;
	k->over = true;
	drop(k);
	for (enum side to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		if (k->errors[to])
			end_stream(k, to);
	}
	/* Where its end has left already. */
	http2_stream_cut(k->s);
}

/* --- what the session says --- */

static int on_data(struct protocol_tunnel *t, enum side to, struct slice bytes)
{
	struct http2_stream *s = tunnel_of(t)->s;
	int r;

	/* Whoever was to get it has given its stream up. */
	if (!id_with(s, to))
		return 0;
	r = buffer_append_slice(&s->flows[to].data, bytes);
	http2_stream_wake(s, to);
	return r < 0 ? r : http2_flush(s->h);
}

static void on_end(struct protocol_tunnel *t, enum side to, bool reset)
{
	struct http2_tunnel *k = tunnel_of(t);
	struct http2 *h = k->s->h;

	k->told[to] = true;
	/* RFC 9113, 8.5: so a proxy says that there was a reset. */
	if (reset && !k->errors[to])
		k->errors[to] = to == SIDE_AGENT ? NGHTTP2_CONNECT_ERROR : NGHTTP2_CANCEL;
	end_stream(k, to);
	check_over(k);
	if (http2_flush(h) < 0)
		http2_fail(h, REASON_INTERNAL, "out of memory");
}

static void consume(struct http2_stream *s, enum side from, size_t bytes)
{
	if (id_with(s, from))
		nghttp2_session_consume_stream(s->h->sessions[from], id_with(s, from), bytes);
}

static void on_taken(struct protocol_tunnel *t, enum side from, size_t bytes)
{
	struct http2_stream *s = tunnel_of(t)->s;
	struct http2 *h = s->h;

	consume(s, from, bytes);
	if (http2_flush(h) < 0)
		http2_fail(h, REASON_INTERNAL, "out of memory");
}

static bool on_wants(const struct protocol_tunnel *t, enum side to)
{
	const struct http2_tunnel *k = container_of(t, const struct http2_tunnel, carried);

	return buffer_length(&k->s->flows[to].data) <= WAITING_MOST;
}

static const struct protocol_tunnel_events events = {
	.data = on_data, .end = on_end, .taken = on_taken, .wants = on_wants};

/* --- what comes --- */

int http2_tunnel_take(struct http2_stream *s, enum side from, struct slice data)
{
	struct http2_tunnel *k = s->tunnel;

	if (!k->open && !k->refused)
		return buffer_append_slice(&k->early, data);
	if (k->carried.carrier)
		return host_of(k)->tunnel_write(&k->carried, from, data);
	consume(s, from, data.length);
	/* As of a connection that nobody has any more (RFC 9293, 3.10.7.1). */
	if (k->over && from == SIDE_SERVER && !k->errors[SIDE_SERVER]) {
		k->errors[SIDE_SERVER] = NGHTTP2_CANCEL;
		nghttp2_submit_rst_stream(s->h->sessions[SIDE_SERVER], NGHTTP2_FLAG_NONE,
			s->server_id, NGHTTP2_CANCEL);
	}
	return 0;
}

/* Nothing but content is the connection's (RFC 9113, 8.5). */
static bool has_trailers(struct http2_stream *s)
{
	struct http2_flow *f = &s->flows[SIDE_AGENT];

	if (!f->trailers)
		return false;
	http2_flow_drop_trailers(f);
	http2_note(s->h, REASON_UPSTREAM_PROTOCOL, "trailers behind a CONNECT");
	nghttp2_submit_rst_stream(s->h->sessions[SIDE_SERVER], NGHTTP2_FLAG_NONE, s->server_id,
		NGHTTP2_PROTOCOL_ERROR);
	return true;
}

void http2_tunnel_end(struct http2_stream *s, enum side from)
{
	struct http2_tunnel *k = s->tunnel;

	if (from == SIDE_SERVER && has_trailers(s))
		return;
	s->server_ended |= from == SIDE_SERVER;
	if (k->carried.carrier)
		host_of(k)->tunnel_end(&k->carried, from, false);
}

/* The agent gets what the session still says of it, and then the server's own words. */
void http2_tunnel_closed(struct http2_stream *s, uint32_t error)
{
	struct http2_tunnel *k = s->tunnel;
	bool whole = s->server_ended && k->told[SIDE_SERVER];

	/* Without an error, and without an end: it is cut short all the same. */
	if (!error && !s->server_ended)
		error = NGHTTP2_CONNECT_ERROR;
	s->server_ended = true;
	if (k->over || whole || k->errors[SIDE_SERVER])
		return;
	if (error && !k->told[SIDE_AGENT])
		k->errors[SIDE_AGENT] = error;
	k->told[SIDE_SERVER] = true;
	buffer_wipe(&s->flows[SIDE_SERVER].data);
	if (k->carried.carrier)
		host_of(k)->tunnel_end(&k->carried, SIDE_SERVER, true);
	check_over(k);
}

bool http2_tunnel_leave(struct http2_stream *s)
{
	struct http2_tunnel *k = s->tunnel;

	if (!http2_tunnel_is_open(s))
		return false;
	k->over = k->told[SIDE_AGENT] = k->told[SIDE_SERVER] = true;
	drop(k);
	http2_server_forget(s, NGHTTP2_CANCEL);
	http2_stream_stop(s);
	if (id_with(s, SIDE_AGENT))
		nghttp2_submit_rst_stream(s->h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, s->id,
			NGHTTP2_CONNECT_ERROR);
	return true;
}

/* --- the proxy's answer --- */

/* What the agent said meanwhile goes nowhere. */
void http2_tunnel_refused(struct http2_stream *s)
{
	struct http2_tunnel *k = s->tunnel;

	k->refused = true;
	consume(s, SIDE_AGENT, buffer_length(&k->early));
	buffer_wipe(&k->early);
	http2_stream_end(s, SIDE_SERVER);
}

int http2_tunnel_opened(struct http2_stream *s)
{
	struct http2_tunnel *k = s->tunnel;
	struct protocol_host *host = host_of(k);
	const struct http_beyond *beyond = &s->request.beyond;
	int r;

	k->carried.events = &events;
	r = host->tunnel
		? host->tunnel(host, &k->carried, slice_from_string(beyond->name), beyond->port)
		: -ENOTSUP;
	if (r < 0)
		return r;
	k->open = true;
	if (buffer_length(&k->early))
		r = host->tunnel_write(&k->carried, SIDE_AGENT, buffer_slice(&k->early));
	buffer_wipe(&k->early);
	if (s->agent_ended)
		http2_tunnel_end(s, SIDE_AGENT);
	return r;
}

/* --- whether it may be --- */

bool http2_tunnel_may_lead(struct http2_stream *s)
{
	struct protocol_refusal refusal;
	struct buffer why;
	bool may;

	buffer_init(&why, LIMIT_HTTP_ANSWER);
	may = http_connect_check(&s->request, true, &refusal.reason, &why) == 0;
	if (!may) {
		refusal = (struct protocol_refusal){
			.reason = refusal.reason, .text = buffer_slice(&why)};
		http2_answer(s, 403, &refusal);
	}
	buffer_done(&why);
	return may;
}
