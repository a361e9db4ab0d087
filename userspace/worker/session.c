/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/session_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/cancel.h"
#include "worker/ferry.h"
#include "worker/hold.h"
#include "worker/reuse.h"
#include "worker/unit.h"

#define SESSION_ID_DIGITS 8
/* How long a closing session waits for the agent to read what it was told, and to close; see
 * agent_still_reads(). */
#define SESSION_LINGER (2 * NANOSECONDS_PER_SECOND)
#define SESSION_PARTIAL_MOST (LIMIT_ROW_MASKED + (1u << 20))

/* --- recording --- */

/* The groups of its principal, each on a line; the buffer holds LIMIT_TOKEN_BYTES. */
static void join_groups(const struct session *s, struct buffer *ret)
{
	const struct principal *p = policy_scope_subject(s->scope)->principal;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->group_count; i++) {
		if (i)
			r = buffer_append_byte(ret, '\n');
		if (r == 0)
			r = buffer_append_slice(ret, p->groups[i]);
	}
}

void session_record_facts(struct session *s, bool start)
{
	const struct policy *p = s->scope ? policy_scope_policy(s->scope) : NULL;
	struct buffer groups;
	bool is_ours = session_has_process(s);
	struct session_facts facts = {
		.id = slice_from_string(s->id.text),
		.agent = s->agent ? s->agent->name : SLICE_EMPTY,
		.protocol = s->engine ? s->engine->protocol->id
			: s->scope    ? policy_scope_subject(s->scope)->protocol
				      : PROTOCOL_TCP,
		.address = slice_from_string(s->address),
		.upstream = slice_from_string(s->upstream_name),
		.exe = slice_from_string(s->exe),
		.exe_hash = slice_from_string(s->process.hash),
		.arguments = slice_from_string(s->process.arguments),
		.parents = slice_from_string(s->process.parents),
		.database = slice_from_string(s->database),
		.user = slice_from_string(s->user),
		.pid = is_ours ? s->origin.pid : UINT64_MAX,
		.uid = is_ours ? s->origin.uid : UINT64_MAX,
		.cgroup = is_ours ? s->origin.cgroup : UINT64_MAX,
		.process_start = is_ours ? s->origin.start_time : UINT64_MAX,
		.observed = p && p->mode == POLICY_OBSERVE,
	};

	buffer_init(&groups, LIMIT_TOKEN_BYTES);
	if (p) {
		facts.principal = policy_scope_subject(s->scope)->principal->name;
		facts.on_behalf_of = policy_scope_subject(s->scope)->principal->on_behalf_of;
		join_groups(s, &groups);
		facts.groups = buffer_slice(&groups);
	}
	if (p)
		facts.resource = s->resource == POLICY_EGRESS ? slice_from_string("egress")
							      : p->resources[s->resource].name;
	if (start)
		recorder_session_start(s->worker->recorder, &s->record, &facts);
	else
		recorder_session_change(s->worker->recorder, &s->record, &facts);
	buffer_done(&groups);
	session_touch(s);
}

void session_record_note(struct session *s, enum reason reason, const char *text)
{
	recorder_note(s->worker->recorder, &s->record, reason, slice_from_string(text));
	session_touch(s);
}

void session_touch(struct session *s)
{
	if (list_is_empty(&s->dirty))
		list_append(&s->worker->dirty, &s->dirty);
}

/* --- its legs --- */

static void on_leg_received(struct leg *leg, struct slice bytes)
{
	enum side side;
	struct session *s = session_of_leg(leg, &side);

	/* What another session carries was counted in that one. A process says nothing that
	 * counts: what it takes itself does (allowance.h). */
	if (!s->inner.is && !session_is_delegated(s))
		share_moved(s, bytes.length);
	if (s->state == SESSION_CLOSING) {
		/* Whoever came next would take it for an answer. */
		if (side == SIDE_SERVER && bytes.length)
			s->leaves_server = false;
		leg_receive(leg); /* thrown away, until the peer has read what we said */
		return;
	}
	if (bytes.length == 0)
		session_touch(s);
	pipe_received(s, side, bytes);
}

static void on_leg_ended(struct leg *leg, int error)
{
	enum side side;
	struct session *s = session_of_leg(leg, &side);

	(void)error;
	session_touch(s);
	s->allowance.gone |= side == SIDE_SERVER;
	if (s->state == SESSION_DETECTING)
		detect_on_end(s);
	if (s->state != SESSION_OPEN)
		return;
	pipe_set_endings(s);
	if (side == SIDE_AGENT && s->engine->protocol->ends_behind)
		hold_give_up(s);
	pipe_ended(s, side);
}

/* Who closes its connection does not wait for people; the rest of what it sent is still taken. */
static void on_leg_leaves(struct leg *leg)
{
	enum side side;
	struct session *s = session_of_leg(leg, &side);

	if (side == SIDE_AGENT && s->state == SESSION_OPEN)
		hold_give_up(s);
}

static void on_leg_sent(struct leg *leg)
{
	enum side side;
	struct session *s = session_of_leg(leg, &side);

	if (s->state == SESSION_OPEN && leg_queued(leg) < LEG_QUEUE_HIGH)
		pipe_go_on(s);
	session_touch(s);
}

static void on_leg_closed(struct leg *leg)
{
	struct session *s = leg->owner;

	/* session_reap() looks at all that are dead. */
	if (s->state != SESSION_DEAD)
		session_touch(s);
}

static const struct leg_events leg_events = {
	.received = on_leg_received,
	.ended = on_leg_ended,
	.leaves = on_leg_leaves,
	.sent = on_leg_sent,
	.closed = on_leg_closed,
};

/* --- closing --- */

static uint64_t bytes_sent(const struct session *s, enum side to)
{
	return session_is_delegated(s) ? s->host.carried[to] : s->legs[to].sent_bytes;
}

static void remember_end(struct session *s, enum reason reason, const char *detail)
{
	hold_leave_all(s, "the session ended", reason == REASON_NONE);
	flow_on_end(s);
	ferries_leave(s);
	s->reason = reason;
	snprintf(s->detail, sizeof(s->detail), "%s", detail ? detail : "");
	if (reason != REASON_NONE) {
		s->worker->statistics.reasons[reason]++;
		/* An agent that leaves does so as without us. */
		cancel_statement(s);
	}
	recorder_session_end(s->worker->recorder, &s->record, reason, slice_from_string(s->detail),
		bytes_sent(s, SIDE_AGENT), bytes_sent(s, SIDE_SERVER));
}

void session_close(struct session *s, enum reason reason, const char *detail)
{
	if (s->state >= SESSION_CLOSING)
		return;
	s->state = SESSION_CLOSING;
	remember_end(s, reason, detail);
	s->deadline = clock_monotonic() + SESSION_LINGER;
	leg_shut(&s->legs[SIDE_AGENT]);
	session_touch(s);
}

static void become_dead(struct session *s)
{
	struct worker *w = s->worker;

	if (s->state == SESSION_DEAD)
		return;
	s->state = SESSION_DEAD;
	recorder_session_unread(w->recorder, &s->record, false);
	ring_cancel(&w->ring, &s->connect);
	table_remove(&w->ids, &s->id_node);
	if (buffer_length(&s->cancel_key))
		table_remove(&w->keys, &s->key_node);
	if (s->waits_for_certificate)
		certificates_forget(&w->certificates, s);
	list_remove(&s->again);
	list_remove(&s->link);
	list_append(&w->dead, &s->link);
	allowance_end(s);
	share_give_back(s);
	w->statistics.sessions--;
}

void session_reset(struct session *s, enum reason reason, const char *detail)
{
	if (s->state == SESSION_DEAD)
		return;
	if (s->state < SESSION_CLOSING)
		remember_end(s, reason, detail);
	if (s->inner.ferry)
		ferry_on_reset(s->inner.ferry);
	leg_close(&s->legs[SIDE_AGENT], true);
	leg_close(&s->legs[SIDE_SERVER], false);
	become_dead(s);
}

void session_abort(struct session *s, enum reason reason, const char *format, ...)
{
	struct protocol_refusal refusal = {.reason = reason};
	char detail[SESSION_DETAIL_MOST], text[SESSION_DETAIL_MOST + 128];
	va_list arguments;

	/* Once: while the disk is full, every turn would say it again. What comes on top of a
	 * server that is gone is told all the same. */
	if (s->state == SESSION_DEAD || s->aborted == reason)
		return;
	s->aborted = reason;
	/* Its end has been told; it only may not take its time any more. */
	if (s->state == SESSION_CLOSING)
		return;
	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	if (!s->engine) {
		session_reset(s, reason, detail);
		return;
	}
	snprintf(text, sizeof(text), reason_get(reason)->agent, detail);
	refusal.text = slice_from_string(text);
	s->engine->protocol->abort(s->engine, &refusal);
	pipe_go_on(s);
	session_touch(s);
}

/* Whether the agent has yet to take what it was sent in a session that its peers have ended: it may
 * read as slowly as while the session was open. What we ended is not waited for. */
static bool agent_still_reads(const struct session *s)
{
	bool is_ours = s->aborted != REASON_NONE ||
		(s->reason != REASON_NONE && s->reason != REASON_UPSTREAM_CLOSED);

	return !is_ours && !leg_is_taken(&s->legs[SIDE_AGENT]);
}

/* Nothing more is expected of it: it closed its connection, or is to see that we break it off,
 * which takes away what its kernel has no room for yet. */
static bool agent_is_done(const struct session *s)
{
	const struct leg *agent = &s->legs[SIDE_AGENT];

	return agent->state == LEG_ENDED || (agent->abrupt && !agent->tls && !agent_still_reads(s));
}

/* Closes what has nothing more to send; the agent's end may first read what it was told. */
static void go_on_closing(struct session *s)
{
	struct leg *agent = &s->legs[SIDE_AGENT], *server = &s->legs[SIDE_SERVER];

	/* Poolers know whose statement it is as long as the connection stands. */
	if (!s->gives_up && !reuse_leave(s)) {
		leg_shut(server);
		if (leg_queued(server) == 0 || server->broken)
			leg_close(server, false);
	}
	if (agent_is_done(s) && (leg_queued(agent) == 0 || agent->broken)) {
		if (agent->abrupt && s->inner.ferry)
			ferry_on_reset(s->inner.ferry);
		leg_close(agent, false);
	} else {
		leg_receive(agent);
	}
	if (agent->state == LEG_CLOSED && server->state == LEG_CLOSED)
		become_dead(s);
}

static bool is_full(const struct session *s)
{
	return leg_queued(&s->legs[SIDE_AGENT]) >= LEG_QUEUE_HIGH ||
		leg_queued(&s->legs[SIDE_SERVER]) >= LEG_QUEUE_HIGH;
}

void session_finish_turn(struct session *s, int recorded)
{
	bool was_full;

	if (s->state == SESSION_DEAD)
		return;
	if (recorded < 0) {
		/* Nothing that could not be recorded leaves. */
		leg_drop_queue(&s->legs[SIDE_SERVER]);
		session_abort(s, REASON_RECORDING_FAILED, "%s", strerror(-recorded));
		leg_shut(&s->legs[SIDE_SERVER]);
	}
	ferries_finish_turn(s);
	was_full = is_full(s);
	leg_flush(&s->legs[SIDE_AGENT]);
	leg_flush(&s->legs[SIDE_SERVER]);
	if (s->state == SESSION_CLOSING)
		go_on_closing(s);
	else
		upstream_finish_turn(s);
	if (s->state == SESSION_OPEN && was_full && !is_full(s)) {
		pipe_go_on(s);
		session_touch(s);
	}
}

static bool session_is_idle(const struct session *s)
{
	return leg_is_idle(&s->legs[SIDE_AGENT]) && leg_is_idle(&s->legs[SIDE_SERVER]) &&
		!s->connect.in_flight && s->outstanding == 0 && list_is_empty(&s->dirty);
}

static void session_free(struct session *s)
{
	list_remove(&s->link);
	if (s->engine)
		s->engine->protocol->close(s->engine);
	leg_done(&s->legs[SIDE_AGENT]);
	leg_done(&s->legs[SIDE_SERVER]);
	buffer_done(&s->partial[SIDE_AGENT]);
	buffer_done(&s->partial[SIDE_SERVER]);
	buffer_wipe(&s->cancel_key);
	if (s->inner.server >= 0)
		close(s->inner.server);
	if (s->inner.ferry)
		ferry_on_freed(s->inner.ferry);
	if (s->passing >= 0)
		close(s->passing);
	if (s->proof >= 0)
		close(s->proof);
	policy_scope_put(s->scope);
	process_done(&s->process);
	unit_free(s->unit);
	reuse_done(s);
	free(s);
}

void session_reap(struct worker *w)
{
	list_for_each_safe (position, &w->dead) {
		struct session *s = list_entry(position, struct session, link);

		if (session_is_idle(s))
			session_free(s);
	}
}

/* Nothing tells when the agent has taken what it was sent, so it is looked at each time. */
static void tick_closing(struct session *s, uint64_t now)
{
	if (now >= s->deadline && agent_still_reads(s)) {
		s->deadline = now + SESSION_LINGER;
		recorder_session_unread(s->worker->recorder, &s->record, true);
	}
	if (now >= s->deadline)
		session_reset(s, s->reason, NULL);
	else if (s->legs[SIDE_AGENT].abrupt)
		session_touch(s);
}

void session_tick(struct worker *w, uint64_t now)
{
	list_for_each_safe (position, &w->sessions) {
		struct session *s = list_entry(position, struct session, link);

		allowance_turn(s);
		if (!allowance_check(s)) {
			session_reset(s, REASON_LIMIT,
				"its process took more than this agent may move in a second");
			continue;
		}
		if (s->state == SESSION_CLOSING) {
			tick_closing(s, now);
			continue;
		}
		if (s->deadline == 0 || now < s->deadline)
			continue;
		if (s->cancelling) {
			session_close(s, REASON_NONE, NULL);
		} else if (s->state == SESSION_BEGINNING) {
			session_begin(s);
		} else if (s->state == SESSION_DETECTING && s->connection == CONNECTION_ASKS) {
			detect_on_silence(s);
		} else if (s->upstream == UPSTREAM_CONNECTING) {
			s->upstream = UPSTREAM_FAILED;
			ring_cancel(&w->ring, &s->connect);
			s->deadline = now + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
			session_abort(
				s, REASON_UPSTREAM_UNREACHABLE, "%s: timed out", s->upstream_name);
		} else {
			session_reset(s, REASON_TIMEOUT, "the login took too long");
		}
	}
}

/* --- the list of them --- */

struct session *session_new(struct worker *w, int fd, const struct origin *origin)
{
	struct session *s = memory_new(sizeof(*s));
	const int on = 1;

	if (fd >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	}
	s->worker = w;
	s->origin = *origin;
	s->inner.server = -1;
	s->passing = s->proof = s->allowance.server = -1;
	s->id = identifier_new('s', SESSION_ID_DIGITS);
	s->deadline = clock_monotonic() + LIMIT_TOKEN_TIME * NANOSECONDS_PER_MILLISECOND;
	/* A Unix socket's path is known with its resource (session_take_scope). */
	if (origin->family == AF_UNIX)
		snprintf(s->address, sizeof(s->address), "unix");
	else
		place_text(origin->address, origin->port, s->address, sizeof(s->address));
	list_init(&s->dirty);
	list_init(&s->share.link);
	s->share.slot = -1;
	list_init(&s->holds);
	list_init(&s->approved);
	list_init(&s->again);
	list_init(&s->ferries);
	list_append(&w->sessions, &s->link);
	table_insert(&w->ids, &s->id_node, table_hash_slice(slice_from_string(s->id.text)));
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		leg_init(&s->legs[side], &w->ring, &leg_events, s);
		buffer_init(&s->partial[side], SESSION_PARTIAL_MOST);
	}
	buffer_init(&s->cancel_key, 4 + 256);
	if (fd >= 0)
		leg_open(&s->legs[SIDE_AGENT], fd);
	w->statistics.sessions++;
	w->statistics.sessions_total++;
	return s;
}

struct session *session_find(struct worker *w, struct slice id)
{
	struct table_node *node = table_find(&w->ids, table_hash_slice(id));

	for (; node; node = table_find_next(&w->ids, node)) {
		struct session *s = container_of(node, struct session, id_node);

		if (slice_equal_string(id, s->id.text))
			return s;
	}
	return NULL;
}
