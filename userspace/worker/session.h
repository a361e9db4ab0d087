/* SPDX-License-Identifier: Apache-2.0
 *
 * session: one connection of an agent and its upstream connection, from accept to the last freed
 * byte.
 *
 *   session.c   what is recorded of it; legs; closing; freeing
 *   session_begin.c  accepted socket → origin → the connection, judged
 *   session_scope.c  agent, resource and rules
 *   upstream.c  the connection to the server; reuse.c: left to, and taken from, other sessions
 *   delegate.c  sessions that a process of their own carries; allowance.c: how fast
 *   inner.c     sessions that another one carries; ferry.c: in its own connection
 *   detect.c    first bytes at places that no resource names
 *   tunnel.c    what becomes of a session that asked a proxy for a connection elsewhere
 *   pipe.c      the six steps; decide.c: judge and record; hold.c: waiting for people
 *
 * A session is freed only by session_reap(), at the end of a loop turn, when nothing of it is in
 * flight anywhere.
 */
#ifndef WAYLEAVE_WORKER_SESSION_H
#define WAYLEAVE_WORKER_SESSION_H

#include "base/limits.h"
#include "capture/origin.h"
#include "policy/host.h"
#include "protocol/opaque.h"
#include "worker/allowance.h"
#include "worker/inner.h"
#include "worker/leg.h"
#include "worker/place.h"
#include "worker/process.h"
#include "worker/share.h"
#include "worker/state.h"
#include "worker/tls.h"

#define SESSION_CANDIDATES_MOST 8
#define SESSION_DETAIL_MOST 256
#define SESSION_NAME_SIZE 64

enum session_state {
	SESSION_BEGINNING, /* nothing is read before it is known who it is */
	SESSION_DETECTING, /* which protocol, at a place that no resource names */
	SESSION_DELEGATING, /* the process that is to speak it is being made */
	SESSION_OPEN,
	SESSION_CLOSING, /* what is queued is still sent */
	SESSION_DEAD, /* sockets closed; waits until nothing is in flight */
};

/* Whether the connection itself waits for people before anything leaves: where it is relayed
 * unread.
 */
enum connection_state { CONNECTION_FREE, CONNECTION_ASKS, CONNECTION_APPROVED };

enum upstream_state { UPSTREAM_NONE, UPSTREAM_CONNECTING, UPSTREAM_CONNECTED, UPSTREAM_FAILED };

struct session_job {
	struct job job;
	struct session *session;
	struct protocol_job *work;
};

/* A name that was found to mean the resource that was settled, and under what: each request says it
 * again. */
struct session_place_found {
	uint64_t scope; /* its serial, of rules and hosts; 0: none was */
	uint64_t answers; /* the version of the table of what resolvers answered */
	uint64_t time; /* monotonic, nanoseconds */
	bool certified;
	char name[256];
};

struct session {
	struct worker *worker;
	struct list link; /* worker.sessions, or worker.dead */
	struct list dirty; /* in worker.dirty */
	struct table_node id_node, key_node;
	struct identifier id;
	uint64_t deadline; /* monotonic; 0: none. For the login, and for closing */
	enum session_state state;
	enum reason reason; /* why it ended */
	/* Why the engine was told to end it, which it does as soon as the agent can be told. */
	enum reason aborted;
	char detail[SESSION_DETAIL_MOST];

	struct origin origin;
	struct flow
		*flow; /* of datagrams, until it is answered: no connection (flow.h); else NULL */
	char address[HOST_NAME_MOST + 8]; /* what was dialled, or what a proxy did, as text */
	/* A proxy was asked for this connection, and it is `address` that `origin` says the place
	 * of; where that is a name, which only the proxy can look up, `beyond` is the name in
	 * `address`, and `origin` knows the port alone. */
	bool tunnelled;
	struct slice beyond;
	bool enters; /* the proxy has made it, and it is still to be judged (tunnel.h) */
	struct inner inner; /* how it is carried, where another session carries it */
	struct list ferries; /* what it carries itself (ferry.h) */
	const struct policy_agent *agent; /* of the scope's policy */
	struct share share;
	uint32_t resource; /* index, or POLICY_EGRESS */
	struct slice matched_name; /* of the resource's hosts; of the policy */
	char answered[HOST_NAME_MOST + 1]; /* what a resolver said it of; empty: none did */
	char place[256]; /* the name by which the agent settled the resource */
	bool placed;
	bool certified; /* the server had to show a certificate for that name */
	struct session_place_found place_found;
	struct policy_scope *scope; /* reference */

	struct leg legs[2]; /* by enum side */
	struct buffer partial[2]; /* received, not yet taken by the engine */
	bool end_waits[2]; /* the side sends no more, and the engine is told behind `partial` */
	bool looks_up; /* at a name server of the host's, over TCP: lookups.h */
	bool unread; /* relayed since a violation that was only observed */
	bool sharing; /* the engine's input lies in the leg's block, so output may share it */
	struct protocol_host host;
	struct protocol_engine *engine; /* NULL while detecting */

	enum connection_state connection;
	enum upstream_state upstream;
	bool reconnects; /* when the last connection is gone */
	struct protocol_connect wanted; /* for the connection that is made next */
	struct reuse *reuse; /* reuse.h; owned. NULL: nobody else gets the server's connection */
	bool leaves_server; /* it ends, and somebody else may have that */
	struct ring_operation connect;
	uint64_t asked_generation; /* of the policy by which the monitor was asked for a socket */
	enum reason refused; /* SESSION_DELEGATING: the connection, for `detail`; else none */
	int passing; /* over which its process gets descriptors; -1: none */
	/* The agent's connection as the kernel knows it, of a session with a process or of what one
	 * carries; -1: none, or the leg's. */
	int proof;
	struct allowance allowance; /* of its process */
	struct sockaddr_storage upstream_address;
	char upstream_name[384]; /* what is connected to, as text */
	char sni[256]; /* that the agent sent; empty: none */
	bool waits_for_certificate;
	bool agent_tls_wanted; /* EVENT_TLS came */
	const char *agent_alpn;
	unsigned outstanding; /* replies of the monitor and jobs that are still to come */

	struct list holds; /* its actions that wait for people */
	struct list approved; /* those that go on by it, and have not reached the server yet */
	struct list again; /* in worker.holds_known or holds_asked */
	struct unit *unit; /* actions that were approved and are still to come; NULL: none */
	/* The action that people approved last, and how the monitor knows its wait; 0: none. */
	uint64_t approved_action, approved_wait;
	struct recorder_session record;
	bool exe_answered; /* the monitor said what it knows of the program */
	bool exe_certain; /* the program is that path's */
	struct process process;
	char exe[256];
	char user[SESSION_NAME_SIZE], database[SESSION_NAME_SIZE];
	char application[SESSION_NAME_SIZE];
	char identity[128]; /* as the server's logs are to have it */
	struct buffer cancel_key; /* under which worker.keys knows it */
	bool gives_up; /* the server is being told that nobody wants what it does */
	bool cancelling; /* it brought a cancel request, and waits for the workers' answers */
	int cancel_answers; /* that are still to come */
};

/* Its server's leg is the bridge to the process that speaks for it. */
static inline bool session_is_delegated(const struct session *s)
{
	return s->engine && s->engine->protocol->delegated;
}

static inline struct session *session_of_leg(struct leg *leg, enum side *ret_side)
{
	struct session *s = leg->owner;

	*ret_side = leg == &s->legs[SIDE_AGENT] ? SIDE_AGENT : SIDE_SERVER;
	return s;
}

/* A connection was accepted; takes the descriptor. */
void session_accept(struct worker *w, int fd);
/* Something is to be done for it at the end of this turn. */
void session_touch(struct session *s);
/* Ends it: what is queued is sent, then both sides are closed. `detail` may be NULL. */
void session_close(struct session *s, enum reason reason, const char *detail);
/* Ends it at once; the agent gets a reset. */
void session_reset(struct session *s, enum reason reason, const char *detail);
/* Ends it with an error in the protocol's own words. */
void session_abort(struct session *s, enum reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* End of turn: after everything was recorded (`recorded` 0), or could not be. */
void session_finish_turn(struct session *s, int recorded);
/* Frees what can be freed. */
void session_reap(struct worker *w);
/* Every half second: deadlines. */
void session_tick(struct worker *w, uint64_t now);
/* The policy was replaced: scopes are taken anew, sessions without a place in it end. */
void session_reload(struct session *s);
/* Whom agents act for changed: perhaps this one. */
void session_on_principals(struct session *s);
struct session *session_find(struct worker *w, struct slice id);
/* Facts for the recording changed. */
void session_record_facts(struct session *s, bool start);
/* Something for the recording that is no action. */
void session_record_note(struct session *s, enum reason reason, const char *text);

/* The connection itself is recorded as an action that the rules let pass. */
void session_record_connection(struct session *s);
/* At a place that no resource names, what was detected decides which rules matter. */
void session_take_protocol(struct session *s, enum protocol_id protocol);

/* As struct protocol_host's place(). */
int session_place(struct session *s, struct slice name, uint16_t port, bool certified);

/* upstream.c */
SSL_CTX *upstream_context(struct worker *w, uint32_t resource, struct error *e);
/* Also a further time, when the server has closed the last connection. */
void upstream_connect(struct session *s);
/* End of turn. */
void upstream_finish_turn(struct session *s);
/* The engine that the session has now learns that the connection stands. */
void upstream_tell_engine(struct session *s);
void upstream_start_tls(struct session *s, const struct protocol_tls *tls);
/* NULL: what no resource names. Of the scope's policy. */
const struct policy_resource *upstream_resource(const struct session *s);
/* The name that TLS with the server asks for, and verifies. May lie in `room`. */
const char *upstream_server_name(const struct session *s, char *room, size_t size);
/* Where it is connected to, by that policy. */
void upstream_put_name(const struct session *s, char *ret, size_t size);
/* A socket for another connection to where upstream_address, which it fills, is; or negative errno.
 */
int upstream_new_socket(struct session *s, socklen_t *ret_length);
/* The reply brings a connection to the Unix socket that the resource names. */
void upstream_ask_for_unix_socket(struct session *s, channel_reply *reply, void *context);

/* delegate.c */
/* Asks for the process. `refused` not REASON_NONE: to tell the agent `text`, and no more. */
void delegate_begin(struct session *s, enum reason refused, struct slice text);
/* Gives it the connection to the server, and closes it here; or negative errno. */
int delegate_connected(struct session *s, int fd);
/* Gives it further ones for a lane, which stay the caller's; BRIDGE_CARRY says that they are there.
 * -EAGAIN: it does not take them. */
int delegate_pass(struct session *s, uint32_t lane, const int *fds, size_t count);

/* detect.c */
void detect_on_bytes(struct session *s);
void detect_on_end(struct session *s);
/* Nothing, or too little, was said in time. */
void detect_on_silence(struct session *s);
/* The connection was approved: nothing has left yet. */
void detect_on_approved(struct session *s);

/* pipe.c */
void pipe_open(struct session *s, const struct protocol *protocol);
/* Bytes that `side` sent. */
void pipe_received(struct session *s, enum side side, struct slice bytes);
/* It sends no more: the engine is told, now or behind what it is still to take. */
void pipe_ended(struct session *s, enum side side);
/* Something changed: offers what is kept to the engine, and receives what it wants. */
void pipe_go_on(struct session *s);
/* What the agent may read now, and what it was told, follows the policy of this scope. */
void pipe_set_scope(struct session *s);
/* A side has ended: tells the engine how. */
void pipe_set_endings(struct session *s);

#endif
