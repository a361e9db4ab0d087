/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "protocol/protocols.h"
#include "worker/hold.h"

#define SESSION_ID_DIGITS 8
/* How long a closing session waits for the agent to read what it was told, and to close. */
#define SESSION_LINGER (2 * NANOSECONDS_PER_SECOND)
#define SESSION_PARTIAL_MOST (LIMIT_ROW_MASKED + (1u << 20))

/* --- recording --- */

void session_join_groups(const struct session *s, struct buffer *ret)
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
	struct session_facts facts = {
		.id = slice_from_string(s->id.text),
		.agent = s->agent ? s->agent->name : SLICE_EMPTY,
		.protocol = s->engine ? s->engine->protocol->id
			: s->scope    ? policy_scope_subject(s->scope)->protocol
				      : PROTOCOL_TCP,
		.address = slice_from_string(s->address),
		.upstream = slice_from_string(s->upstream_name),
		.exe = slice_from_string(s->exe),
		.database = slice_from_string(s->database),
		.user = slice_from_string(s->user),
		.pid = s->origin.pid,
		.uid = s->origin.uid,
		.cgroup = s->origin.cgroup,
		.process_start = s->origin.start_time,
		.observed = p && p->mode == POLICY_OBSERVE,
	};

	buffer_init(&groups, LIMIT_TOKEN_BYTES);
	if (p) {
		facts.principal = policy_scope_subject(s->scope)->principal->name;
		session_join_groups(s, &groups);
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

	if (s->state == SESSION_CLOSING) {
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
	if (s->state == SESSION_DETECTING)
		detect_on_end(s);
	if (s->state != SESSION_OPEN)
		return;
	if (side == SIDE_AGENT && s->engine->protocol->ends_behind)
		s->end_waits = true;
	else
		s->engine->protocol->end(s->engine, side);
	pipe_go_on(s);
}

/* Who closes its connection does not wait for people; the rest of what it sent is still taken. */
static void on_leg_leaves(struct leg *leg)
{
	enum side side;
	struct session *s = session_of_leg(leg, &side);

	if (side == SIDE_AGENT && s->state == SESSION_OPEN)
		hold_cancel(s, "the agent closed its connection");
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
	hold_leave(s, "the session ended");
	s->reason = reason;
	snprintf(s->detail, sizeof(s->detail), "%s", detail ? detail : "");
	if (reason != REASON_NONE)
		s->worker->statistics.reasons[reason]++;
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
	leg_shut(&s->legs[SIDE_SERVER]);
	session_touch(s);
}

static void become_dead(struct session *s)
{
	struct worker *w = s->worker;

	if (s->state == SESSION_DEAD)
		return;
	s->state = SESSION_DEAD;
	ring_cancel(&w->ring, &s->connect);
	table_remove(&w->ids, &s->id_node);
	if (buffer_length(&s->cancel_key))
		table_remove(&w->keys, &s->key_node);
	if (s->waits_for_certificate)
		certificates_forget(&w->certificates, s);
	list_remove(&s->link);
	list_append(&w->dead, &s->link);
	w->statistics.sessions--;
}

void session_reset(struct session *s, enum reason reason, const char *detail)
{
	if (s->state == SESSION_DEAD)
		return;
	if (s->state < SESSION_CLOSING)
		remember_end(s, reason, detail);
	leg_close(&s->legs[SIDE_AGENT], true);
	leg_close(&s->legs[SIDE_SERVER], false);
	become_dead(s);
}

void session_abort(struct session *s, enum reason reason, const char *format, ...)
{
	struct protocol_refusal refusal = {.reason = reason};
	char detail[SESSION_DETAIL_MOST], text[SESSION_DETAIL_MOST + 128];
	va_list arguments;

	/* Once: while the disk is full, every turn would say it again. */
	if (s->state >= SESSION_CLOSING || s->aborted)
		return;
	s->aborted = true;
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

/* Closes what has nothing more to send; the agent's end may first read what it was told. */
static void go_on_closing(struct session *s)
{
	struct leg *agent = &s->legs[SIDE_AGENT], *server = &s->legs[SIDE_SERVER];

	if (leg_queued(server) == 0 || server->broken)
		leg_close(server, false);
	if (agent->state == LEG_ENDED && (leg_queued(agent) == 0 || agent->broken))
		leg_close(agent, false);
	else
		leg_receive(agent);
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
	policy_scope_put(s->scope);
	free(s->unit);
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

static void begin(struct session *s);
static void renew_scope(struct session *s);
static void try_to_begin(struct session *s);

void session_tick(struct worker *w, uint64_t now)
{
	list_for_each_safe (position, &w->sessions) {
		struct session *s = list_entry(position, struct session, link);

		if (s->deadline == 0 || now < s->deadline)
			continue;
		if (s->state == SESSION_CLOSING) {
			session_reset(s, s->reason, NULL);
		} else if (s->cancelling) {
			session_close(s, REASON_NONE, NULL);
		} else if (s->state == SESSION_BEGINNING) {
			begin(s);
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

/* --- beginning --- */

static void on_process(void *context, int status, struct slice payload, int fd)
{
	struct session *s = context;

	s->outstanding--;
	s->exe_answered = true;
	if (fd >= 0)
		close(fd);
	if (s->state >= SESSION_CLOSING)
		return;
	if (status >= 0 && payload.length < sizeof(s->exe)) {
		memcpy(s->exe, payload.data, payload.length);
		s->exe[payload.length] = '\0';
		s->exe_certain = status == 0;
	}
	session_record_facts(s, false);
	if (s->state == SESSION_BEGINNING) {
		renew_scope(s);
		try_to_begin(s);
	}
}

/* The program's path: read by the monitor, and checked against what the kernel said at connect. */
static void ask_for_process(struct session *s)
{
	struct message_process request = {
		.pid = s->origin.pid,
		.start_time = s->origin.start_time,
		.exe_inode = s->origin.exe_inode,
		.exe_device = s->origin.exe_device,
	};

	s->outstanding++;
	channel_ask(&s->worker->channel, MESSAGE_PROCESS, &request, sizeof(request), SLICE_EMPTY,
		-1, on_process, s);
}

/* Keeps the candidates that the name means; an address that was dialled means all of them. */
static size_t narrow(const struct session *s, const struct policy *p, struct slice name,
	struct policy_candidate *candidates, size_t count)
{
	struct address address;
	char text[sizeof(s->place)];

	if (name.length == 0)
		return count;
	if (name.length >= sizeof(text))
		return 0;
	memcpy(text, name.data, name.length);
	text[name.length] = '\0';
	if (address_parse(text, &address) == 0)
		return memcmp(address.bytes, s->origin.address, sizeof(address.bytes)) == 0 ? count
											    : 0;
	return policy_narrow(p, name, s->origin.port, candidates, count);
}

static bool is_wildcard(const struct policy_candidate *candidate)
{
	return candidate->name.length && candidate->name.data[0] == '.';
}

/* The agent could send whatever name it likes to whatever address: without a certificate a
 * wildcard means no server at all. */
static size_t keep_proven(struct policy_candidate *candidates, size_t count, bool certified)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (certified || !is_wildcard(&candidates[i]))
			candidates[kept++] = candidates[i];
	}
	return kept;
}

/* The resources that the destination may mean, and the name that settled it, if one did. */
static size_t find_candidates(
	const struct session *s, const struct policy *p, struct policy_candidate *ret)
{
	struct address address;
	size_t count;

	memcpy(address.bytes, s->origin.address, sizeof(address.bytes));
	count = policy_match_address(p, &address, s->origin.port, ret, SESSION_CANDIDATES_MOST);
	if (!s->placed)
		return count;
	return keep_proven(
		ret, narrow(s, p, slice_from_string(s->place), ret, count), s->certified);
}

/* The resource that the destination means; POLICY_EGRESS: none. */
static uint32_t find_resource(struct session *s, const struct policy *p)
{
	struct policy_candidate candidates[SESSION_CANDIDATES_MOST];

	if (find_candidates(s, p, candidates) == 0)
		return POLICY_EGRESS;
	/* Several names of one address: where the protocol names its place, it will be settled
	 * then (session_place). Nothing in PostgreSQL's first bytes tells them apart, so the first
	 * of the configuration it is. */
	s->matched_name = candidates[0].name;
	return candidates[0].resource;
}

static struct policy_scope *scope_for(struct session *s, enum protocol_id protocol)
{
	struct policy_subject subject = {
		.agent = s->agent,
		.principal = who_principal(&s->worker->who, s->agent),
		.exe = s->exe_certain ? slice_from_string(s->exe) : SLICE_EMPTY,
		.resource = s->resource,
		.protocol = protocol,
	};

	return policy_scope_get(s->worker->policy, &subject);
}

/* By what is known of its ends now. */
static void renew_scope(struct session *s)
{
	struct policy_scope *old = s->scope;

	s->scope = scope_for(s, policy_scope_subject(old)->protocol);
	policy_scope_put(old);
}

static void take_candidate(struct session *s, const struct policy_candidate *candidate)
{
	struct policy_scope *old = s->scope;

	s->matched_name = candidate->name;
	if (candidate->resource == s->resource)
		return;
	s->resource = candidate->resource;
	s->scope = scope_for(s, policy_scope_subject(old)->protocol);
	policy_scope_put(old);
	if (s->engine)
		pipe_set_scope(s);
	session_record_facts(s, false);
}

/* Keeps those of the protocol that is spoken. */
static size_t keep_protocol(const struct session *s, const struct policy *p,
	struct policy_candidate *candidates, size_t count)
{
	enum protocol_id protocol = policy_scope_subject(s->scope)->protocol;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (p->resources[candidates[i].resource].protocol == protocol)
			candidates[kept++] = candidates[i];
	}
	return kept;
}

static bool is_among(uint32_t resource, const struct policy_candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (candidates[i].resource == resource)
			return true;
	}
	return false;
}

/* The name that the agent went by says which resource it is, from here on. */
static void settle(struct session *s, struct slice name, bool certified,
	const struct policy_candidate *candidate)
{
	s->placed = true;
	s->certified = certified;
	snprintf(s->place, sizeof(s->place), "%.*s", SLICE_PRINT(name));
	take_candidate(s, candidate);
}

/* Nothing but wildcards spoke for the place, and none of them means the name: no resource names
 * it. */
static int leave_for_egress(struct session *s, struct slice name, bool certified,
	const struct policy_candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_wildcard(&candidates[i]))
			return -EPERM;
	}
	if (s->placed || policy_scope_policy(s->scope)->egress != EGRESS_ALLOW)
		return -EPERM;
	settle(s, name, certified, &(struct policy_candidate){.resource = POLICY_EGRESS});
	return 0;
}

int session_place(struct session *s, struct slice name, uint16_t port, bool certified)
{
	struct policy_candidate all[SESSION_CANDIDATES_MOST];
	struct policy_candidate candidates[SESSION_CANDIDATES_MOST];
	const struct policy *p = policy_scope_policy(s->scope);
	size_t all_count, count;

	if (port && port != s->origin.port)
		return -EPERM;
	if (s->resource == POLICY_EGRESS)
		return 0;
	all_count = find_candidates(s, p, all);
	memcpy(candidates, all, sizeof(candidates));
	count = narrow(s, p, name, candidates, all_count);
	count = keep_proven(candidates, keep_protocol(s, p, candidates, count), certified);
	if (count == 0 && name.length)
		return leave_for_egress(s, name, certified, all, all_count);
	if (count == 0 || (s->placed && !is_among(s->resource, candidates, count)))
		return -EPERM;
	if (s->placed || (name.length == 0 && count > 1))
		return 0;
	/* An address that several names have means none of them. */
	if (count > 1)
		return -EPERM;
	settle(s, name, certified, &candidates[0]);
	return 0;
}

/* The next resource that the place may mean; false: there is none. */
static bool try_next_candidate(struct session *s)
{
	struct policy_candidate candidates[SESSION_CANDIDATES_MOST];
	const struct policy *p = policy_scope_policy(s->scope);
	size_t count;

	if (s->resource == POLICY_EGRESS)
		return false;
	count = keep_protocol(s, p, candidates, find_candidates(s, p, candidates));
	for (size_t i = 0; i < count; i++) {
		if (candidates[i].resource <= s->resource)
			continue;
		take_candidate(s, &candidates[i]);
		return true;
	}
	return false;
}

void session_take_protocol(struct session *s, enum protocol_id protocol)
{
	struct policy_scope *old = s->scope;

	s->scope = scope_for(s, protocol);
	policy_scope_put(old);
}

static int take_scope(struct session *s)
{
	struct policy *p = s->worker->policy;
	enum protocol_id protocol;

	s->agent = policy_find_agent(p, s->origin.agent);
	if (!s->agent)
		return -ENOENT;
	s->resource = find_resource(s, p);
	protocol = s->resource != POLICY_EGRESS ? p->resources[s->resource].protocol
		: s->engine                     ? s->engine->protocol->id
						: PROTOCOL_TCP;
	s->scope = scope_for(s, protocol);
	return 0;
}

static struct action connection_action(const struct session *s)
{
	static const struct action_pair pair = {.operation = OPERATION_CONNECT};

	return (struct action){
		.protocol = policy_scope_subject(s->scope)->protocol,
		.pairs = &pair,
		.pair_count = 1,
		.text = slice_from_string(s->address),
	};
}

enum connection_verdict { CONNECTION_PASSES, CONNECTION_NEEDS_PEOPLE, CONNECTION_REFUSED };

/* People can be asked about what is relayed unread; where `egress` says review, only when it is
 * known that it is. */
static bool can_wait(const struct session *s, const struct verdict *verdict)
{
	const struct policy *p = policy_scope_policy(s->scope);

	if (policy_scope_subject(s->scope)->protocol != PROTOCOL_TCP)
		return false;
	return verdict->kind == VERDICT_REVIEW ||
		(s->resource == POLICY_EGRESS && p->egress == EGRESS_REVIEW &&
			verdict->reason == REASON_NOT_COVERED);
}

/* The connection itself is the first action. Refused: `text` says why. */
static enum connection_verdict judge_connection(
	struct session *s, struct record_action *ret, struct slice *ret_rule, struct buffer *text)
{
	const struct policy *p = policy_scope_policy(s->scope);
	const struct action action = connection_action(s);
	struct verdict verdict;

	*ret = (struct record_action){.verdict = RECORD_VERDICT_ALLOW};
	if (s->resource == POLICY_EGRESS && p->egress == EGRESS_DENY) {
		ret->verdict = RECORD_VERDICT_DENY;
		ret->reason = REASON_EGRESS;
		ret->observed = p->mode == POLICY_OBSERVE;
		buffer_append_format(text, reason_get(REASON_EGRESS)->agent, s->address);
	} else {
		policy_judge(s->scope, &action, &verdict);
		ret->observed = !verdict_is_enforced(&verdict);
		if (!ret->observed && can_wait(s, &verdict))
			return CONNECTION_NEEDS_PEOPLE;
		if (verdict.kind == VERDICT_REVIEW) {
			ret->verdict = RECORD_VERDICT_DENY;
			ret->reason = REASON_REVIEW_IMPOSSIBLE;
			refusal_text(ret->reason,
				slice_from_string("nobody can be asked about a connection"), text);
		} else if (verdict.kind == VERDICT_DENY) {
			ret->verdict = RECORD_VERDICT_DENY;
			ret->reason = verdict.reason;
			verdict_text(&verdict, &action, text);
		}
		if (verdict.outcome->rule_count) {
			*ret_rule = verdict.outcome->rules[0]->name;
			ret->rules = ret_rule;
			ret->rule_count = 1;
		}
	}
	ret->message = buffer_slice(text);
	return ret->verdict == RECORD_VERDICT_ALLOW || ret->observed ? CONNECTION_PASSES
								     : CONNECTION_REFUSED;
}

static void record_connection(struct session *s, const struct record_action *judged)
{
	const struct action action = connection_action(s);
	struct record_action record = *judged;

	record.action = &action;
	recorder_action(s->worker->recorder, &s->record, &record);
}

void session_record_connection(struct session *s)
{
	record_connection(s, &(struct record_action){.verdict = RECORD_VERDICT_ALLOW});
}

static const struct protocol *protocol_of(const struct session *s)
{
	const struct policy *p = policy_scope_policy(s->scope);

	if (s->resource == POLICY_EGRESS)
		return NULL;
	return protocols_get(p->resources[s->resource].protocol);
}

static void refuse_connection(
	struct session *s, const struct record_action *record, struct slice text)
{
	const struct protocol_refusal refusal = {.reason = record->reason, .text = text};

	if (s->engine && s->engine->protocol != &protocol_opaque)
		s->engine->protocol->abort(s->engine, &refusal);
	else
		session_reset(s, record->reason, s->address);
}

/* Nothing leaves before people have said so, not even the connection. What is spoken is found out
 * first, where no resource says it. */
static void wait_for_people(struct session *s)
{
	s->connection = CONNECTION_ASKS;
	s->deadline = 0;
	if (s->engine)
		opaque_judge(s->engine, slice_from_string(s->address));
	else
		s->deadline = clock_monotonic() + LIMIT_SILENCE_TIME * NANOSECONDS_PER_MILLISECOND;
}

static bool is_observed(const struct session *s)
{
	return policy_scope_policy(s->scope)->mode == POLICY_OBSERVE;
}

/* For whom it is must be known before anything is judged. */
static bool is_identified(struct session *s, struct record_action *ret, struct buffer *text)
{
	if (is_observed(s) || who_check(&s->worker->who, s->agent, &ret->reason, text) == WHO_GOOD)
		return true;
	ret->verdict = RECORD_VERDICT_DENY;
	ret->message = buffer_slice(text);
	return false;
}

static void begin(struct session *s)
{
	const struct protocol *protocol = protocol_of(s);
	enum connection_verdict verdict = CONNECTION_REFUSED;
	struct record_action record = {.verdict = RECORD_VERDICT_ALLOW};
	struct buffer text;
	struct slice rule;

	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	buffer_init(&text, 4096);
	if (is_identified(s, &record, &text))
		verdict = judge_connection(s, &record, &rule, &text);
	/* Else no other candidate is any better. */
	while (record.reason != REASON_IDENTITY && record.reason != REASON_SUSPENDED &&
		verdict == CONNECTION_REFUSED && try_next_candidate(s)) {
		buffer_clear(&text);
		verdict = judge_connection(s, &record, &rule, &text);
	}
	if (verdict != CONNECTION_NEEDS_PEOPLE)
		record_connection(s, &record);
	if (protocol && protocol->delegated) {
		delegate_begin(s, verdict == CONNECTION_PASSES ? REASON_NONE : record.reason,
			buffer_slice(&text));
		buffer_done(&text);
		return;
	}
	if (protocol)
		pipe_open(s, protocol);
	else
		s->state = SESSION_DETECTING;
	if (verdict == CONNECTION_PASSES && (!protocol || !protocol->connects_late))
		upstream_connect(s);
	else if (verdict == CONNECTION_NEEDS_PEOPLE)
		wait_for_people(s);
	else if (verdict == CONNECTION_REFUSED)
		refuse_connection(s, &record, buffer_slice(&text));
	buffer_done(&text);
	if (s->state != SESSION_DEAD)
		pipe_go_on(s);
}

/* Begins, unless something that it is judged by is to come in a moment. */
static void try_to_begin(struct session *s)
{
	enum who_answer answer = WHO_GOOD;
	enum reason reason;
	struct buffer text;

	if (policy_scope_policy(s->scope)->asks_exe && !s->exe_answered)
		return;
	buffer_init(&text, 4096);
	if (!is_observed(s))
		answer = who_check(&s->worker->who, s->agent, &reason, &text);
	buffer_done(&text);
	if (answer != WHO_AWAITED)
		begin(s);
}

static struct session *session_new(struct worker *w, int fd, const struct origin *origin)
{
	struct session *s = memory_new(sizeof(*s));
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	s->worker = w;
	s->origin = *origin;
	s->id = identifier_new('s', SESSION_ID_DIGITS);
	s->deadline = clock_monotonic() + LIMIT_TOKEN_TIME * NANOSECONDS_PER_MILLISECOND;
	place_text(origin->address, origin->port, s->address, sizeof(s->address));
	list_init(&s->dirty);
	list_append(&w->sessions, &s->link);
	table_insert(&w->ids, &s->id_node, table_hash_slice(slice_from_string(s->id.text)));
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		leg_init(&s->legs[side], &w->ring, &leg_events, s);
		buffer_init(&s->partial[side], SESSION_PARTIAL_MOST);
	}
	buffer_init(&s->cancel_key, 4 + 256);
	leg_open(&s->legs[SIDE_AGENT], fd);
	w->statistics.sessions++;
	w->statistics.sessions_total++;
	return s;
}

/* Nothing that came without an origin is spoken to: the listener is no open relay. */
static void refuse_stranger(struct worker *w, int fd, enum reason reason, const char *detail)
{
	w->statistics.reasons[reason]++;
	recorder_note(w->recorder, NULL, reason, slice_from_string(detail));
	setsockopt(
		fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(fd);
}

void session_accept(struct worker *w, int fd)
{
	struct origin origin;
	struct session *s;

	if (origin_get(fd, &origin) < 0) {
		refuse_stranger(w, fd, REASON_NO_ORIGIN, "");
		return;
	}
	if (origin.agent == w->start->selftest_agent) {
		channel_tell(&w->channel, MESSAGE_SELFTEST, slice_of(&origin, sizeof(origin)));
		close(fd);
		return;
	}
	if (!w->policy || w->stopping || w->statistics.sessions >= LIMIT_SESSIONS_PER_WORKER) {
		refuse_stranger(w, fd, REASON_LIMIT, "no more sessions are taken");
		return;
	}
	s = session_new(w, fd, &origin);
	if (take_scope(s) < 0) {
		session_record_facts(s, true);
		session_reset(s, REASON_UNKNOWN_AGENT, NULL);
		return;
	}
	session_record_facts(s, true);
	ask_for_process(s);
	try_to_begin(s);
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

/* Under a new policy: what is relayed unread has no further action at which it could be judged. */
static bool may_stay(struct session *s)
{
	enum connection_verdict verdict;
	struct record_action record;
	struct slice rule;
	struct buffer text;

	if (s->engine && s->engine->protocol != &protocol_opaque)
		return true;
	if (s->unread && !s->host.observes)
		return false;
	buffer_init(&text, 1024);
	verdict = judge_connection(s, &record, &rule, &text);
	buffer_done(&text);
	/* What people have approved stays, and what waits for them is judged again. */
	return verdict == CONNECTION_PASSES ||
		(verdict == CONNECTION_NEEDS_PEOPLE && s->connection != CONNECTION_FREE);
}

void session_reload(struct session *s)
{
	struct policy_scope *old = s->scope;
	uint32_t resource = s->resource;
	struct slice name = SLICE_EMPTY;
	int r;

	if (s->state >= SESSION_CLOSING)
		return;
	if (resource != POLICY_EGRESS)
		name = policy_scope_policy(old)->resources[resource].name;
	r = take_scope(s);
	/* A resource is the same when its name is. */
	if (r < 0 || (s->resource == POLICY_EGRESS) != (resource == POLICY_EGRESS) ||
		(resource != POLICY_EGRESS &&
			!slice_equal(name, s->worker->policy->resources[s->resource].name))) {
		if (r < 0)
			s->scope = old;
		else
			policy_scope_put(old);
		s->agent = policy_scope_subject(s->scope)->agent;
		session_abort(s, REASON_POLICY_CHANGED, "%s", "");
		return;
	}
	policy_scope_put(old);
	if (s->state == SESSION_BEGINNING)
		return;
	if (s->engine)
		pipe_set_scope(s);
	if (!may_stay(s))
		session_abort(s, REASON_POLICY_CHANGED, "%s", "");
	else
		hold_judge_again(s);
}

/* Whether it is judged by other rules from now on. A token that ended changes nothing by itself:
 * what is asked of people, and what was, is the same principal's. */
static bool take_principal(struct session *s)
{
	const struct policy_scope *old = s->scope;

	if (!who_is_known(&s->worker->who, s->agent))
		return false;
	renew_scope(s);
	return s->scope != old;
}

static bool is_relayed_unread(const struct session *s)
{
	return s->unread || (s->engine && s->engine->protocol == &protocol_opaque);
}

void session_on_principals(struct session *s)
{
	enum who_answer answer;
	enum reason reason;
	struct buffer text;
	bool changed;

	if (s->state >= SESSION_CLOSING)
		return;
	changed = take_principal(s);
	if (changed)
		session_record_facts(s, false);
	if (s->state == SESSION_BEGINNING) {
		try_to_begin(s);
		return;
	}
	if (s->engine && changed)
		pipe_set_scope(s);
	buffer_init(&text, 4096);
	answer = who_check(&s->worker->who, s->agent, &reason, &text);
	buffer_done(&text);
	if (is_observed(s))
		return;
	/* Nothing of it comes to be judged any more. */
	if (answer == WHO_REFUSED && reason == REASON_SUSPENDED && is_relayed_unread(s))
		session_abort(s, reason, "%s", "");
	else if (changed && !may_stay(s))
		session_abort(s, REASON_POLICY_CHANGED, "%s", "");
	else if (changed || answer == WHO_REFUSED || hold_waits_for_token(s))
		hold_judge_again(s);
}
