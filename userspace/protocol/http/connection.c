/* SPDX-License-Identifier: Apache-2.0
 *
 * connection: first bytes, TLS on either side, the upstream connection, tunnels, and the end.
 */
#include <errno.h>

#include "protocol/http2/http2.h"
#include "protocol/tls_hello.h"

#define HTTP_1 "http/1.1"
#define HTTP_2 "h2"

void http_start_tls(struct http_engine *e, enum side side, const char *alpn)
{
	struct protocol_event *event = http_event(e, EVENT_TLS);

	event->tls.side = side;
	event->tls.alpn = alpn;
	event->tls.resumes = true;
}

/* --- the agent's first bytes --- */

static void copy_name(char *to, struct slice from)
{
	size_t n = from.length < HTTP_NAME_MOST ? from.length : 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = from.data[i];

		to[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	if (n && to[n - 1] == '.')
		n--;
	to[n] = '\0';
}

/* At a place that no resource names, TLS may hold what is not HTTP, and is then relayed. */
static bool may_be_something_else(const struct http_engine *e)
{
	return e->base.host->unnamed && !e->base.host->asks_first && e->origin.tls && !e->logged_in;
}

/* Then the server may be who speaks first. */
static void reach_server(struct http_engine *e)
{
	if (!may_be_something_else(e) || e->agent != HTTP_AGENT_HEAD || e->abort_text)
		return;
	if (e->server == HTTP_SERVER_NONE) {
		http_connect(e, false);
	} else if (e->server == HTTP_SERVER_PLAIN) {
		e->server = HTTP_SERVER_TLS;
		http_start_tls(e, SIDE_SERVER, HTTP_1);
	}
}

bool http_is_something_else(struct http_engine *e, enum side side, struct slice in)
{
	if (!may_be_something_else(e) || e->agent != HTTP_AGENT_HEAD)
		return false;
	if (side == SIDE_AGENT)
		return http_detect_method(in) == DETECTION_NO;
	return e->server == HTTP_SERVER_IDLE;
}

/* --- which protocol --- */

/* Who offers only HTTP/2, where it is not to be had, fails in the handshake. Who offers neither, as
 * clients of HTTP/1.0 do, is not told of one. */
static void accept_tls(struct http_engine *e)
{
	const char *alpn = e->offers_1 || e->offers_2 ? HTTP_1 : NULL;

	e->agent = HTTP_AGENT_TLS;
	http_start_tls(e, SIDE_AGENT, e->speaks_2 ? HTTP_2 : alpn);
}

/* The agent is to be offered what the server really has, so the server is asked first. */
static void ask_server(struct http_engine *e)
{
	e->agent = HTTP_AGENT_OFFERED;
	http_connect(e, true);
}

static void server_has_chosen(struct http_engine *e, struct slice alpn)
{
	e->server = HTTP_SERVER_IDLE;
	e->speaks_2 = slice_equal_string(alpn, HTTP_2);
	accept_tls(e);
}

void http_offer_failed(struct http_engine *e)
{
	e->server = HTTP_SERVER_NONE;
	e->speaks_2 = !e->offers_1;
	accept_tls(e);
}

/* The server was reached before it was known what for, in vain: who is still to ask is told then.
 */
static void failed_early(struct http_engine *e, enum reason reason, const char *text)
{
	const struct protocol_refusal refusal = {.reason = reason, .text = slice_from_string(text)};

	http_abort_later(e, &refusal);
	if (e->agent == HTTP_AGENT_OFFERED)
		http_offer_failed(e);
	else
		e->server = HTTP_SERVER_NONE;
}

static bool is_early(const struct http_engine *e)
{
	return e->agent == HTTP_AGENT_OFFERED ||
		(may_be_something_else(e) && e->agent == HTTP_AGENT_HEAD);
}

/* RFC 9113, 3.4: what a client of HTTP/2 sends first, in clear where it knows of it. */
static bool is_preface(struct slice in, bool *ret_more)
{
	struct slice preface = slice_of(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);

	*ret_more = in.length < preface.length && slice_starts_with(preface, in);
	return slice_starts_with(in, preface);
}

int http_first_bytes(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	struct protocol_host *host = e->base.host;
	struct tls_hello hello;
	bool more, meant;

	if (is_preface(in, &more))
		return http2_open(e, false);
	if (more)
		return 0;
	if (in.data[0] != TLS_RECORD_HANDSHAKE) {
		e->agent = HTTP_AGENT_HEAD;
		return http_agent_input(e, in, ret_taken);
	}
	switch (tls_hello_read(in, &hello)) {
	case TLS_HELLO_MORE:
		return 0;
	case TLS_HELLO_BAD:
		return http_close(e, REASON_AGENT_TLS, "not a TLS ClientHello");
	default:
		break;
	}
	copy_name(e->origin.sni, slice_from_string(hello.name));
	meant = !host->place ||
		host->place(host, slice_from_string(e->origin.sni), 0, e->origin.sni[0]) == 0;
	if (meant && host->tls_passthrough) {
		e->passthrough = true;
		http_facts_of_hello(&e->request);
		return http_ask(e);
	}
	e->origin.tls = true;
	e->offers_1 = !hello.has_alpn || tls_hello_offers(&hello, HTTP_1);
	e->offers_2 = tls_hello_offers(&hello, HTTP_2);
	/* None left: the request is told so, as the handshake has no words for it. */
	if (e->offers_2 && !meant)
		http_offer_failed(e);
	else if (e->offers_2 && http_wants_server_tls(e) && !e->base.host->asks_first)
		ask_server(e);
	else
		accept_tls(e);
	return 0;
}

size_t http_first_needs(struct slice in)
{
	return in.length && in.data[0] == TLS_RECORD_HANDSHAKE ? tls_hello_needs(in) : 1;
}

/* --- the server's connection --- */

bool http_wants_server_tls(const struct http_engine *e)
{
	if (e->passthrough || e->base.host->upstream_tls == UPSTREAM_TLS_OFF)
		return false;
	return e->origin.tls || e->base.host->upstream_tls == UPSTREAM_TLS_ON;
}

static int server_is_ready(struct http_engine *e)
{
	e->server = HTTP_SERVER_IDLE;
	/* It may take its time from here on. */
	http_event(e, EVENT_LOGIN);
	return http_go_on(e);
}

int http_go_on(struct http_engine *e)
{
	if (e->agent != HTTP_AGENT_READY)
		return 0;
	switch (e->server) {
	case HTTP_SERVER_NONE:
		http_connect(e, true);
		return 0;
	case HTTP_SERVER_PLAIN:
		if (!http_wants_server_tls(e))
			return server_is_ready(e);
		e->server = HTTP_SERVER_TLS;
		http_start_tls(e, SIDE_SERVER, HTTP_1);
		return 0;
	case HTTP_SERVER_IDLE:
		if (e->reused && !http_repeats(e)) {
			http_connect(e, false);
			return 0;
		}
		if (e->unreadable) {
			e->agent = HTTP_AGENT_HEAD;
			return 0;
		}
		if (e->passthrough) {
			protocol_begun(e->base.host, e->request.number, true);
			http_begin_tunnel(e, NULL);
			return 0;
		}
		return http_inject(e);
	default:
		return 0;
	}
}

void http_connected(struct http_engine *e)
{
	if (e->server > HTTP_SERVER_CONNECTING)
		return;
	e->server = HTTP_SERVER_PLAIN;
	e->verified = false;
	http_see_server(e);
	if (e->agent == HTTP_AGENT_OFFERED) {
		e->server = HTTP_SERVER_TLS;
		http_start_tls(e, SIDE_SERVER, http_offer(e));
		return;
	}
	reach_server(e);
	http_go_on(e);
}

static void agent_tls_done(struct http_engine *e, const struct protocol_tls_result *result)
{
	if (e->agent != HTTP_AGENT_TLS)
		return;
	e->agent = HTTP_AGENT_HEAD;
	if (result->error < 0)
		http_close(e, REASON_AGENT_TLS, result->text);
	else if (e->speaks_2 && http2_open(e, e->server == HTTP_SERVER_IDLE) < 0)
		http_close(e, REASON_INTERNAL, "out of memory");
	else if (!e->speaks_2)
		reach_server(e);
}

static void server_tls_done(struct http_engine *e, const struct protocol_tls_result *result)
{
	if (e->server != HTTP_SERVER_TLS)
		return;
	e->verified = result->verified;
	if (result->error < 0 && is_early(e))
		failed_early(e, REASON_UPSTREAM_TLS, result->text);
	else if (result->error < 0)
		http_fail(e, REASON_UPSTREAM_TLS, result->text);
	else if (e->agent == HTTP_AGENT_OFFERED)
		server_has_chosen(e, result->alpn);
	else
		server_is_ready(e);
}

void http_tls_done(struct http_engine *e, enum side side, const struct protocol_tls_result *result)
{
	if (side == SIDE_AGENT)
		agent_tls_done(e, result);
	else
		server_tls_done(e, result);
}

/* --- tunnels --- */

void http_begin_tunnel(struct http_engine *e, const char *note)
{
	e->agent = HTTP_AGENT_TUNNEL;
	e->server = HTTP_SERVER_TUNNEL;
	if (note)
		http_note(e, REASON_NONE, note);
}

int http_relay_something_else(struct http_engine *e)
{
	if (e->abort_text)
		return http_close(e, e->abort.reason, e->abort_text);
	if (e->server == HTTP_SERVER_IDLE)
		http_begin_tunnel(e, "TLS that holds no HTTP: relayed unread");
	return 0;
}

int http_tunnel(struct http_engine *e, enum side side, struct slice in, size_t *ret_taken)
{
	*ret_taken = in.length;
	return e->base.host->pass(e->base.host, side_other(side), in);
}

static void tunnel_end(struct http_engine *e, enum side side)
{
	e->ended[side] = true;
	if (e->tunnel.events) {
		http_tunnel_end(e, side);
		return;
	}
	if (e->stream)
		http_upgrade_end(e, side);
	if (e->agent == HTTP_AGENT_DONE)
		return;
	protocol_pass_end(e->base.host, side);
	if ((e->ended[SIDE_AGENT] && e->ended[SIDE_SERVER]) ||
		protocol_ends_both(e->base.host, side))
		http_close(e, REASON_NONE, "");
}

/* --- the end --- */

/* It sends no more, and may still want its response. */
static void agent_end(struct http_engine *e)
{
	e->ended[SIDE_AGENT] = true;
	switch (e->agent) {
	case HTTP_AGENT_VERDICT:
	case HTTP_AGENT_READY:
	case HTTP_AGENT_SECRET:
		return;
	case HTTP_AGENT_SENT:
		/* The server learns what it would have learned without us. */
		e->base.host->shut(e->base.host, SIDE_SERVER);
		return;
	default:
		http_close(e, REASON_NONE, "");
	}
}

static void server_end(struct http_engine *e)
{
	/* Whoever noticed first has said so. */
	if (e->server == HTTP_SERVER_NONE)
		return;
	if (is_early(e) && e->server < HTTP_SERVER_IDLE) {
		failed_early(e, REASON_UPSTREAM_CLOSED, "the server closed the connection");
		return;
	}
	switch (e->agent) {
	case HTTP_AGENT_OFFERED:
	case HTTP_AGENT_FIRST:
	case HTTP_AGENT_TLS:
	case HTTP_AGENT_VERDICT:
	case HTTP_AGENT_COLLECT:
	case HTTP_AGENT_READY:
	case HTTP_AGENT_SECRET:
		/* Tired of waiting: there will be another connection when it is wanted. */
		if (e->server == HTTP_SERVER_IDLE)
			e->server = HTTP_SERVER_NONE;
		else
			http_fail(e, REASON_UPSTREAM_CLOSED, "the server closed the connection");
		return;
	case HTTP_AGENT_HEAD:
	case HTTP_AGENT_DRAIN:
		e->server = HTTP_SERVER_NONE;
		/* One of its own it would have just made. */
		if (!e->reused)
			http_close(e, REASON_NONE, "");
		return;
	default:
		http_server_end(e);
	}
}

void http_end(struct http_engine *e, enum side side)
{
	if (e->agent == HTTP_AGENT_DONE)
		return;
	if (e->agent == HTTP_AGENT_TUNNEL)
		tunnel_end(e, side);
	else if (side == SIDE_AGENT)
		agent_end(e);
	else
		server_end(e);
}
