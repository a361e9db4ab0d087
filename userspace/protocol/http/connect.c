/* SPDX-License-Identifier: Apache-2.0
 *
 * connect: CONNECT, with which an agent asks a proxy for a connection elsewhere (RFC 9110, 9.3.6).
 * The request is judged as any other, with where it leads as its object. Then that connection is,
 * as if the agent made it itself; and what passes in it, once the proxy has made it, is no longer
 * this engine's: the session goes on as that one, or, in TLS, carries it (tunnel.c).
 */
#include <errno.h>

#include "protocol/http/engine.h"

bool http_connect_is_carried(const struct http_engine *e)
{
	return e->origin.tls || http_wants_server_tls(e);
}

int http_connect_check(
	const struct http_request *r, bool carried, enum reason *ret_reason, struct buffer *why)
{
	struct protocol_host *host = r->host;

	*ret_reason = REASON_NOT_BUILT;
	if (!r->beyond.port) {
		buffer_append_string(why, "denied: an API server is no proxy");
		return -EPERM;
	}
	if (host->observes)
		return 0;
	if (!host->beyond || (carried && !host->tunnel)) {
		buffer_append_string(why, "denied: nothing is known of other places");
		return -EPERM;
	}
	return host->beyond(
		host, slice_from_string(r->beyond.name), r->beyond.port, ret_reason, why);
}

int http_connect_release(struct http_engine *e, bool *ret_refused)
{
	struct protocol_refusal refusal;
	struct buffer why;
	int r = 0;

	buffer_init(&why, LIMIT_HTTP_ANSWER);
	*ret_refused = http_connect_check(
			       &e->request, http_connect_is_carried(e), &refusal.reason, &why) < 0;
	if (*ret_refused) {
		refusal = (struct protocol_refusal){
			.reason = refusal.reason, .text = buffer_slice(&why)};
		r = http_answer(e, 403, &refusal, e->request.closes);
		if (r == 0)
			r = http_agent_answered(e);
	}
	buffer_done(&why);
	return r;
}

int http_connect_established(struct http_engine *e)
{
	struct protocol_event *event;

	if (e->ended[SIDE_AGENT])
		return http_close(e, REASON_NONE, "");
	if (e->tunnel.events) {
		http_begin_tunnel(e, NULL);
		return 0;
	}
	event = http_event(e, EVENT_TUNNEL);
	event->tunnel.name = slice_from_string(e->request.beyond.name);
	event->tunnel.port = e->request.beyond.port;
	/* Nothing is taken any more: the rest is for who comes next. */
	e->agent = HTTP_AGENT_SENT;
	e->server = HTTP_SERVER_TLS;
	return 0;
}
