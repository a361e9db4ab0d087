/* SPDX-License-Identifier: Apache-2.0
 *
 * connection: first bytes, TLS on either side, the upstream connection, tunnels, and the end.
 */
#include <errno.h>

#include "protocol/http/engine.h"
#include "protocol/tls_hello.h"

/* Until HTTP/2 is built, this is all that is offered to either side. */
#define ALPN "http/1.1"

static void start_tls(struct http_engine *e, enum side side)
{
	struct protocol_event *event = http_event(e, EVENT_TLS);

	event->tls.side = side;
	event->tls.alpn = ALPN;
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
	return e->base.host->unnamed && e->origin.tls && !e->logged_in;
}

/* Then the server may be who speaks first. */
static void reach_server(struct http_engine *e)
{
	if (!may_be_something_else(e) || e->agent != HTTP_AGENT_HEAD)
		return;
	if (e->server == HTTP_SERVER_NONE) {
		e->server = HTTP_SERVER_CONNECTING;
		http_event(e, EVENT_CONNECT);
	} else if (e->server == HTTP_SERVER_PLAIN) {
		e->server = HTTP_SERVER_TLS;
		start_tls(e, SIDE_SERVER);
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

int http_first_bytes(struct http_engine *e, struct slice in, size_t *ret_taken)
{
	struct protocol_host *host = e->base.host;
	struct tls_hello hello;

	(void)ret_taken;
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
	/* None left: the request is told so, as the handshake has no words for it. */
	if (host->place &&
		host->place(host, slice_from_string(e->origin.sni), 0, e->origin.sni[0]) == 0 &&
		host->tls_passthrough) {
		e->passthrough = true;
		http_facts_of_hello(&e->request);
		return http_ask(e);
	}
	e->origin.tls = true;
	e->agent = HTTP_AGENT_TLS;
	start_tls(e, SIDE_AGENT);
	return 0;
}

size_t http_first_needs(struct slice in)
{
	return in.length && in.data[0] == TLS_RECORD_HANDSHAKE ? tls_hello_needs(in) : 1;
}

/* --- the server's connection --- */

static bool wants_server_tls(const struct http_engine *e)
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
		e->server = HTTP_SERVER_CONNECTING;
		http_event(e, EVENT_CONNECT);
		return 0;
	case HTTP_SERVER_PLAIN:
		if (!wants_server_tls(e))
			return server_is_ready(e);
		e->server = HTTP_SERVER_TLS;
		start_tls(e, SIDE_SERVER);
		return 0;
	case HTTP_SERVER_IDLE:
		if (e->passthrough) {
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
	reach_server(e);
	http_go_on(e);
}

void http_tls_done(struct http_engine *e, enum side side, const struct protocol_tls_result *result)
{
	if (side == SIDE_AGENT) {
		if (e->agent != HTTP_AGENT_TLS)
			return;
		e->agent = HTTP_AGENT_HEAD;
		if (result->error < 0)
			http_close(e, REASON_AGENT_TLS, result->text);
		else
			reach_server(e);
		return;
	}
	if (e->server != HTTP_SERVER_TLS)
		return;
	e->verified = result->verified;
	if (result->error < 0)
		http_fail(e, REASON_UPSTREAM_TLS, result->text);
	else
		server_is_ready(e);
}

/* --- tunnels --- */

void http_begin_tunnel(struct http_engine *e, const char *note)
{
	struct protocol_event *event;

	e->agent = HTTP_AGENT_TUNNEL;
	e->server = HTTP_SERVER_TUNNEL;
	if (!note)
		return;
	event = http_event(e, EVENT_NOTE);
	event->note.reason = REASON_NONE;
	event->note.text = slice_from_string(note);
}

int http_relay_something_else(struct http_engine *e)
{
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
	e->base.host->shut(e->base.host, side_other(side));
	if (e->ended[SIDE_AGENT] && e->ended[SIDE_SERVER])
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
	switch (e->agent) {
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
