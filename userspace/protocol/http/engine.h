/* SPDX-License-Identifier: Apache-2.0
 *
 * engine: one HTTP/1.1 connection as its two ends see it. Internal to protocol/http/.
 *
 *   connection.c  first bytes, TLS on either side, the upstream connection, tunnels, the end
 *   reuse.c       connections to the server that sessions leave, and others go on with
 *   agent.c       requests: judged, sent on, drained where they are refused
 *   request.h     what a request does, and what of it goes on; shared with HTTP/2
 *   connect.c     what a proxy is asked to connect to; tunnel.c: what it carries in TLS
 *   inject.c      the resource's secret, lent for each request; credentials.h: where it stands
 *   upgrade.c     what comes behind a 101: WebSocket, and Kubernetes' streams
 *   server.c      responses; rewrite.c: heads as they leave; answer.c: our own responses
 *
 * One request is in flight at a time; what the agent sends behind it is not read before it is
 * answered. The upstream connection is asked for when something is released: what is refused, or
 * waits for people, has cost the server nothing.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_ENGINE_H
#define WAYLEAVE_PROTOCOL_HTTP_ENGINE_H

#include "base/memory.h"
#include "protocol/event_queue.h"
#include "protocol/http/body.h"
#include "protocol/http/http.h"
#include "protocol/http/request.h"

enum http_agent_state {
	HTTP_AGENT_FIRST, /* TLS or not */
	HTTP_AGENT_OFFERED, /* it offers HTTP/2; which protocols the server has is being asked */
	HTTP_AGENT_TLS, /* handshake */
	HTTP_AGENT_HEAD, /* a request's head, or nothing yet */
	HTTP_AGENT_VERDICT, /* it is being judged */
	HTTP_AGENT_COLLECT, /* people are to see its body first */
	HTTP_AGENT_READY, /* released; the server is not ready for it */
	HTTP_AGENT_SECRET, /* and that is; what it is to be shown is on its way */
	HTTP_AGENT_BODY, /* the rest of a released request passes */
	HTTP_AGENT_DRAIN, /* the rest of a refused request is thrown away */
	HTTP_AGENT_SENT, /* it has left; the response has not */
	HTTP_AGENT_TUNNEL,
	HTTP_AGENT_DONE, /* nothing is taken any more */
};

enum http_server_state {
	HTTP_SERVER_NONE,
	HTTP_SERVER_CONNECTING,
	HTTP_SERVER_PLAIN, /* connected; whether TLS is wanted is not settled yet */
	HTTP_SERVER_TLS, /* handshake */
	HTTP_SERVER_IDLE, /* ready for a request */
	HTTP_SERVER_HEAD, /* a response's head */
	HTTP_SERVER_BODY,
	HTTP_SERVER_ANSWERED, /* the response is complete, the request is not */
	HTTP_SERVER_TUNNEL,
	HTTP_SERVER_DONE,
};

struct http2;
struct http_stream;

struct http_engine {
	struct protocol_engine base;
	struct http2 *h2; /* the agent speaks HTTP/2 (http2/http2.h); else NULL */
	struct event_queue events;

	enum http_agent_state agent;
	enum http_server_state server;
	bool passthrough; /* a ClientHello that is to be relayed unread */
	bool logged_in; /* the first request came */
	bool unreadable; /* one can't be read, and we only observe: all but its last byte is in
			    `head`, and is relayed unread once there is a server */
	bool offers_1, offers_2; /* the agent in TLS: HTTP/1.1 (or nothing), HTTP/2 */
	bool speaks_2; /* HTTP/2 was chosen */
	bool ended[2]; /* by side */
	bool verified; /* the server proved in TLS who it is */
	bool reused; /* another session left its connection, and it has answered nothing since */
	bool bound; /* it may know by its connection who asks: no other session may have that */
	bool persists; /* it has said that it answers more than once on this connection */
	bool once; /* people let the request pass: it is sent once */
	struct slice secret; /* only while a head is written */
	struct http_origin origin;

	struct http_head_bytes head; /* of the request, as it came */
	struct http_head_bytes answer; /* of the response, as far as it came */
	struct http_request request;
	struct http_body framing; /* of the request */
	struct http_body response; /* its framing */
	struct protocol_tunnel tunnel; /* what a proxy connects to; carried: in TLS (tunnel.c) */
	size_t tunnel_waits[2]; /* bytes of a side that it has not got */
	bool tunnel_told[2]; /* it has no more for that side */
	struct http_stream *stream; /* what a 101 made of the connection; NULL: nothing reads it */
	bool stream_unread; /* it reads no further, and the rest is relayed */
	struct buffer masked; /* content that passes */
	struct buffer held_head; /* of a response, which waits for its content */
	bool head_held;
	bool response_closes; /* no further response comes on this connection */
	struct buffer out; /* for building what leaves */
	uint64_t drained;

	struct protocol_refusal abort; /* to answer the next request with */
	char *abort_text;
};

/* Requests show a secret of the resource's. */
static inline bool http_has_secret(const struct http_engine *e)
{
	return e->base.host->credentials.place != SECRET_NOWHERE;
}

static inline struct http_engine *http_engine_of(struct protocol_engine *e)
{
	return container_of(e, struct http_engine, base);
}

/* engine.c */
/* Whether bytes are the begin of a request. */
enum detection http_detect_method(struct slice in);
struct protocol_event *http_event(struct http_engine *e, enum protocol_event_type type);
bool http_event_has_room(const struct http_engine *e);
/* For the recording; `text` is static, or the engine's. */
void http_note(struct http_engine *e, enum reason reason, const char *text);
int http_write(struct http_engine *e, enum side to, struct slice bytes);
/* Content, which is part of the input, as a chunk where the framing has chunks. */
int http_pass_data(
	struct http_engine *e, enum side to, const struct http_body *framing, struct slice data);
/* Asks for the verdict on e->request, once what rules look into is here. -ENOMEM. */
int http_ask(struct http_engine *e);
/* Nothing more is taken from either side, and the session ends. Always 0. */
int http_close(struct http_engine *e, enum reason reason, const char *text);

void http_engine_close(struct protocol_engine *base);
/* Whether an idle connection is told of it only with its next request that is released. */
bool http_reason_can_wait(enum reason reason);
void http_abort_later(struct http_engine *e, const struct protocol_refusal *refusal);
/* With e->abort_text: whether it is what the server did. Then requests are judged first: what is
 * not allowed has no business knowing how the server is. */
bool http_abort_is_of_server(const struct http_engine *e);
/* Answers the request in hand with it, and the session ends. Always 0. */
int http_abort_now(struct http_engine *e);

/* connection.c */
/* `alpn`: static, as in struct protocol_tls. */
void http_start_tls(struct http_engine *e, enum side side, const char *alpn);
bool http_wants_server_tls(const struct http_engine *e);
/* The server can't be asked what it offers: the agent is told when a request is released. */
void http_offer_failed(struct http_engine *e);
int http_first_bytes(struct http_engine *e, struct slice in, size_t *ret_taken);
size_t http_first_needs(struct slice in);
void http_connected(struct http_engine *e);
void http_tls_done(struct http_engine *e, enum side side, const struct protocol_tls_result *result);
void http_end(struct http_engine *e, enum side side);
/* The request is released: it leaves as soon as there is a server to leave to. */
int http_go_on(struct http_engine *e);
/* Whether `in`, which `side` sent first, shows that this connection speaks something else. */
bool http_is_something_else(struct http_engine *e, enum side side, struct slice in);
/* From here on both sides are relayed unread. */
void http_begin_tunnel(struct http_engine *e, const char *note);
/* The same for what is something else, once there is a server. */
int http_relay_something_else(struct http_engine *e);
int http_tunnel(struct http_engine *e, enum side side, struct slice in, size_t *ret_taken);

/* reuse.c */
/* What TLS with the server offers: both where the agent is to be told what it chose. */
const char *http_offer(const struct http_engine *e);
/* Asks for a connection to the server; `reuses`: for one that another session left, if the request
 * in hand allows that. */
void http_connect(struct http_engine *e, bool reuses);
/* Whether the request in hand may be sent twice. */
bool http_repeats(const struct http_engine *e);
/* The connection that was used again had been given up by the server before the request came: there
 * is a new one for it. */
int http_repeat(struct http_engine *e);
/* Whether a response that begins so tells of a connection that was idle for too long. */
bool http_is_timeout(struct slice head);
/* A connection that stands; the request's head leaves by it; its response's came: what they tell of
 * it. */
void http_see_server(struct http_engine *e);
void http_see_request(struct http_engine *e);
void http_see_response(struct http_engine *e);
/* The session ends: whether another one may go on with the server's connection. */
bool http_leaves_server(const struct http_engine *e);

/* tunnel.c: what the proxy has made is carried from here on. Negative errno: it can't be. */
int http_tunnel_begin(struct http_engine *e);
/* With one that is carried. */
bool http_tunnel_wants(const struct http_engine *e, enum side from);
int http_tunnel_input(struct http_engine *e, enum side from, struct slice in, size_t *ret_taken);
void http_tunnel_end(struct http_engine *e, enum side from);

/* upgrade.c: the server's 101 is in the request's head. NULL: it is what was asked for, and what
 * comes behind it is read from now on, or relayed; else why it is refused. */
const char *http_upgrade_open(struct http_engine *e);
/* Once the 101 has left. */
void http_upgrade_begin(struct http_engine *e);
int http_upgrade_input(struct http_engine *e, enum side from, struct slice in, size_t *ret_taken);
void http_upgrade_end(struct http_engine *e, enum side from);
/* What came of it, before the session ends. */
void http_upgrade_report(struct http_engine *e);

/* agent.c */
int http_agent_input(struct http_engine *e, struct slice in, size_t *ret_taken);
/* The head that was released, and what of its body is here, go to the server. */
int http_agent_send(struct http_engine *e);
/* Before a refusal: whether the connection can go on behind it. */
void http_agent_plan_drain(struct http_engine *e);
/* The request is answered by us: what is left of it is thrown away, or the session ends. */
int http_agent_answered(struct http_engine *e);
/* The response is complete. */
int http_agent_next(struct http_engine *e);

/* server.c */
int http_server_input(struct http_engine *e, struct slice in, size_t *ret_taken);
int http_server_end(struct http_engine *e);
/* Forgets the response. */
void http_server_expect(struct http_engine *e);

/* hold.c: its body is read before it is judged; then http_ask(). -ENOMEM. */
int http_collect(struct http_engine *e);
/* protocol.h's functions for an action that people decide */
int http_hold_bind(struct protocol_engine *base, uint32_t lane, struct protocol_binding *ret);
bool http_hold_reassure(struct protocol_engine *base, uint32_t lane, struct slice text);
bool http_hold_judge_again(struct protocol_engine *base, uint32_t lane, bool anew);

/* connect.c: whether where a CONNECT leads may be, by all but its own verdict; `carried`: in a
 * session of its own. -EPERM: no; appends why, for the agent, to `why`. */
int http_connect_check(
	const struct http_request *r, bool carried, enum reason *ret_reason, struct buffer *why);
/* Whether what the proxy connects to would be. */
bool http_connect_is_carried(const struct http_engine *e);
/* CONNECT was released by the rules: whether where it leads may be, or it is answered.
 */
int http_connect_release(struct http_engine *e, bool *ret_refused);
/* The proxy says that it made the connection, and the agent was told. */
int http_connect_established(struct http_engine *e);

/* inject.c: the request goes to the server, which is ready, with what it is to be shown. */
int http_inject(struct http_engine *e);
/* Why a request with this method can't be shown the secret; NULL: it can. Static. */
const char *http_secret_problem(const struct http_engine *e, struct slice method);
void http_inject_proven(struct protocol_engine *base, int error, struct slice answer);

/* rewrite.c: appends the head in e->request.head as it leaves, to e->out. */
int http_rewrite_request(struct http_engine *e);
int http_rewrite_response(struct http_engine *e);
/* Whether the agent gets it in chunks. */
bool http_response_is_chunked(const struct http_engine *e);
/* Appends the trailers that `framing` holds to e->out, with the end of the chunks before and the
 * empty line behind them. -EBADMSG. */
int http_rewrite_trailers(struct http_engine *e, const struct http_body *framing);

/* answer.c: a response of our own to the request in hand; `closes`: the connection ends with it. */
int http_answer(struct http_engine *e, unsigned status, const struct protocol_refusal *refusal,
	bool closes);
/* A request that can't be judged: answered, and the session ends; where we only observe, it is
 * `unreadable`. */
int http_refuse_request(struct http_engine *e, const struct http_problem *problem);
/* A response that can't be read, of which `came` was taken: the same; where we only observe,
 * -EBADMSG. */
int http_refuse_response(struct http_engine *e, const char *problem, struct slice came);
/* The same for whatever else ends the session while a request may wait for its answer. */
int http_fail(struct http_engine *e, enum reason reason, const char *text);

#endif
