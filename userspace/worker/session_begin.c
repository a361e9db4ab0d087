/* SPDX-License-Identifier: Apache-2.0
 *
 * How a session begins: the connection is the first action that is judged. And what becomes of it
 * when the rules, or whom the agent acts for, change.
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "protocol/dns_stream.h"
#include "protocol/protocols.h"
#include "worker/connection.h"
#include "worker/hold.h"
#include "worker/session_internal.h"
#include "worker/tunnel.h"

enum connection_verdict { CONNECTION_PASSES, CONNECTION_NEEDS_PEOPLE, CONNECTION_REFUSED };

/* Which command sends a datagram the kernel does not say, so nobody could be told that it is their
 * own that they approve. */
static bool is_of_unknown_person(const struct session *s)
{
	return s->flow && who_acts_for_people(&s->worker->who, s->agent);
}

/* People can be asked about what is relayed unread; where `egress` says review, only when it is
 * known that it is. */
static bool can_wait(const struct session *s, const struct verdict *verdict)
{
	const struct policy *p = policy_scope_policy(s->scope);

	if (!protocol_is_unread(policy_scope_subject(s->scope)->protocol) ||
		is_of_unknown_person(s))
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
	struct connection_facts facts;
	struct verdict verdict;

	*ret = (struct record_action){.verdict = RECORD_VERDICT_ALLOW};
	/* Each query is judged. */
	if (s->looks_up)
		return CONNECTION_PASSES;
	if (s->resource == POLICY_EGRESS && s->origin.way == ORIGIN_FORWARDED_NAMED) {
		ret->verdict = RECORD_VERDICT_DENY;
		ret->reason = REASON_LOOPBACK;
		ret->observed = p->mode == POLICY_OBSERVE;
		buffer_append_format(text, reason_get(REASON_LOOPBACK)->agent, s->address);
	} else if (s->resource == POLICY_EGRESS && p->egress == EGRESS_DENY) {
		ret->verdict = RECORD_VERDICT_DENY;
		ret->reason = REASON_EGRESS;
		ret->observed = p->mode == POLICY_OBSERVE;
		buffer_append_format(text, reason_get(REASON_EGRESS)->agent, s->address);
	} else {
		connection_describe(s, &facts);
		policy_judge(s->scope, &facts.action, &verdict);
		ret->observed = !verdict_is_enforced(&verdict);
		if (!ret->observed && can_wait(s, &verdict))
			return CONNECTION_NEEDS_PEOPLE;
		if (verdict.kind == VERDICT_REVIEW) {
			ret->verdict = RECORD_VERDICT_DENY;
			ret->reason = REASON_REVIEW_IMPOSSIBLE;
			refusal_text(ret->reason,
				slice_from_string(is_of_unknown_person(s)
						? "it is not known on whose behalf it is"
						: "nobody can be asked about a connection"),
				text);
		} else if (verdict.kind == VERDICT_DENY) {
			ret->verdict = RECORD_VERDICT_DENY;
			ret->reason = verdict.reason;
			verdict_text(&verdict, &facts.action, text);
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
	struct record_action record = *judged;
	struct connection_facts facts;

	connection_describe(s, &facts);
	record.action = &facts.action;
	recorder_action(s->worker->recorder, &s->record, &record);
}

void session_record_connection(struct session *s)
{
	record_connection(s, &(struct record_action){.verdict = RECORD_VERDICT_ALLOW});
}

static const struct protocol *protocol_of(const struct session *s)
{
	const struct policy *p = policy_scope_policy(s->scope);

	if (s->flow)
		return flow_protocol(s->flow);
	if (s->looks_up)
		return &protocol_dns_stream;
	if (s->resource == POLICY_EGRESS)
		return NULL;
	return protocols_get(p->resources[s->resource].protocol);
}

/* Whether the connection is the only action there is. */
static bool is_unread(const struct session *s)
{
	return protocol_is_unread(s->engine->protocol->id) && !s->engine->protocol->looks_up;
}

static void refuse_connection(
	struct session *s, const struct record_action *record, struct slice text)
{
	const struct protocol_refusal refusal = {.reason = record->reason, .text = text};

	if (s->engine && !is_unread(s))
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
	if (who_check(&s->worker->who, s->agent, s->origin.cgroup, is_observed(s), &ret->reason,
		    text) == WHO_GOOD) {
		ret->reason = REASON_NONE;
		return true;
	}
	ret->verdict = RECORD_VERDICT_DENY;
	ret->message = buffer_slice(text);
	return false;
}

/* By all that the place may mean. That the session is of another one now is not recorded: what is
 * asked about may be a connection that a proxy is still to make. */
static enum connection_verdict judge_candidates(
	struct session *s, struct record_action *ret, struct slice *ret_rule, struct buffer *text)
{
	enum connection_verdict verdict;

	*ret = (struct record_action){.verdict = RECORD_VERDICT_ALLOW};
	/* Else no other candidate is any better. */
	if (!is_identified(s, ret, text))
		return CONNECTION_REFUSED;
	verdict = judge_connection(s, ret, ret_rule, text);
	while (verdict == CONNECTION_REFUSED && session_try_next_candidate(s)) {
		buffer_clear(text);
		verdict = judge_connection(s, ret, ret_rule, text);
	}
	return verdict;
}

void session_record_refusal(struct session *s, enum reason reason, struct slice text)
{
	record_connection(s,
		&(struct record_action){
			.verdict = RECORD_VERDICT_DENY, .reason = reason, .message = text});
}

/* What has to wait for people can't be told from here, where something else was asked for. */
int session_check_connection(struct session *s, enum reason *ret_reason, struct buffer *why)
{
	struct record_action record;
	enum connection_verdict verdict;
	struct slice rule;

	verdict = judge_candidates(s, &record, &rule, why);
	if (verdict == CONNECTION_PASSES)
		return 0;
	if (verdict == CONNECTION_NEEDS_PEOPLE) {
		buffer_clear(why);
		record.verdict = RECORD_VERDICT_DENY;
		record.reason = REASON_REVIEW_IMPOSSIBLE;
		refusal_text(record.reason,
			slice_from_string("nobody can be asked about a connection behind a proxy"),
			why);
	}
	record.message = buffer_slice(why);
	record_connection(s, &record);
	*ret_reason = record.reason;
	return -EPERM;
}

static bool is_within_limits(
	const struct session *s, struct record_action *ret, struct buffer *text)
{
	if (share_may_begin(s, text))
		return true;
	*ret = (struct record_action){.verdict = RECORD_VERDICT_DENY,
		.reason = REASON_LIMIT,
		.message = buffer_slice(text)};
	return false;
}

/* The session's own connection. */
static enum connection_verdict judge_begin(
	struct session *s, struct record_action *ret, struct slice *ret_rule, struct buffer *text)
{
	uint32_t before = s->resource;
	enum connection_verdict verdict = is_within_limits(s, ret, text)
		? judge_candidates(s, ret, ret_rule, text)
		: CONNECTION_REFUSED;

	if (s->resource != before)
		session_record_facts(s, false);
	return verdict;
}

void session_begin(struct session *s)
{
	const struct protocol *protocol = protocol_of(s);
	enum connection_verdict verdict;
	struct record_action record;
	struct buffer text;
	struct slice rule;

	if (s->inner.ferry && !tunnel_may_begin(s))
		return;
	s->deadline = clock_monotonic() + LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	buffer_init(&text, 4096);
	verdict = judge_begin(s, &record, &rule, &text);
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
	if (verdict == CONNECTION_PASSES && s->flow)
		flow_on_passes(s);
	else if (verdict == CONNECTION_PASSES && (!protocol || !protocol->connects_late))
		upstream_connect(s);
	else if (verdict == CONNECTION_NEEDS_PEOPLE)
		wait_for_people(s);
	else if (verdict == CONNECTION_REFUSED)
		refuse_connection(s, &record, buffer_slice(&text));
	buffer_done(&text);
	if (s->state != SESSION_DEAD)
		pipe_go_on(s);
}

void session_begin_when_known(struct session *s)
{
	enum who_answer answer;
	enum reason reason;
	struct buffer text;

	if (policy_scope_policy(s->scope)->asks_exe && !s->exe_answered)
		return;
	if (policy_asks_hash(policy_scope_policy(s->scope), s->agent) && !s->process.answered)
		return;
	buffer_init(&text, 4096);
	answer = who_check(
		&s->worker->who, s->agent, s->origin.cgroup, is_observed(s), &reason, &text);
	buffer_done(&text);
	if (answer != WHO_AWAITED)
		session_begin(s);
}

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
		session_renew_scope(s);
		session_begin_when_known(s);
	}
}

void session_on_hash(struct session *s)
{
	if (!policy_asks_hash(policy_scope_policy(s->scope), s->agent))
		return;
	session_renew_scope(s);
	if (s->engine)
		pipe_set_scope(s);
	if (s->state == SESSION_BEGINNING)
		session_begin_when_known(s);
	else
		hold_judge_again(s);
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

void session_start(struct session *s)
{
	int r;

	if (session_take_scope(s, SLICE_EMPTY) < 0) {
		session_record_facts(s, true);
		session_reset(s, REASON_UNKNOWN_AGENT, NULL);
		return;
	}
	r = share_take(s);
	session_record_facts(s, true);
	if (r < 0) {
		session_reset(s, REASON_LIMIT, s->address);
		return;
	}
	/* Of a process that is not this host's nothing can be found out. */
	if (s->origin.way != ORIGIN_DIALLED) {
		s->exe_answered = true;
		s->process.answered = true;
	} else {
		ask_for_process(s);
		process_ask(s);
	}
	session_begin_when_known(s);
}

void session_accept(struct worker *w, int fd)
{
	struct origin origin;

	if (origin_get(fd, &origin) < 0) {
		strangers_refuse(w, fd, STRANGER_NO_ORIGIN);
		return;
	}
	if (origin.agent == w->start->selftest_agent) {
		channel_tell(&w->channel, MESSAGE_SELFTEST, slice_of(&origin, sizeof(origin)));
		close(fd);
		return;
	}
	if (!w->policy || w->stopping || w->statistics.sessions >= LIMIT_SESSIONS_PER_WORKER) {
		strangers_refuse(w, fd, STRANGER_NO_ROOM);
		return;
	}
	session_start(session_new(w, fd, &origin));
}

/* Under a new policy: what is relayed unread has no further action at which it could be judged. */
static bool may_stay(struct session *s)
{
	enum connection_verdict verdict;
	struct record_action record;
	struct slice rule;
	struct buffer text;

	if (s->engine && !is_unread(s))
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

/* Whether the worker's policy still knows its agent and, by its name, its resource. */
static bool is_still_named(const struct session *s)
{
	const struct policy *now = s->worker->policy, *then = policy_scope_policy(s->scope);

	return policy_find_agent(now, s->origin.agent) &&
		(s->resource == POLICY_EGRESS ||
			policy_find_resource(now, then->resources[s->resource].name));
}

void session_reload(struct session *s)
{
	struct policy_scope *old = s->scope;
	uint32_t resource = s->resource;
	struct slice name = SLICE_EMPTY;
	int r;

	if (s->state >= SESSION_CLOSING) {
		if (s->scope && !is_still_named(s))
			session_abort(s, REASON_POLICY_CHANGED, "%s", "");
		return;
	}
	if (resource != POLICY_EGRESS)
		name = policy_scope_policy(old)->resources[resource].name;
	r = session_take_scope(s, name);
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
	/* What it waited for may not be asked for any more. */
	if (s->state == SESSION_BEGINNING) {
		session_begin_when_known(s);
		return;
	}
	if (s->engine)
		pipe_set_scope(s);
	if (!may_stay(s)) {
		session_abort(s, REASON_POLICY_CHANGED, "%s", "");
		return;
	}
	allowance_turn(s);
	hold_judge_again(s);
}

/* Whether it is judged by other rules from now on. A token that ended changes nothing by itself:
 * what is asked of people, and what was, is the same principal's. */
static bool take_principal(struct session *s)
{
	const struct policy_scope *old = s->scope;

	if (!who_is_known(&s->worker->who, s->agent, s->origin.cgroup))
		return false;
	session_renew_scope(s);
	return s->scope != old;
}

/* Whether something of it goes on without being judged any more: what was released, or what is not
 * judged by actions at all. */
static bool is_carried_on(const struct session *s)
{
	return s->state != SESSION_OPEN || s->deadline || s->unread ||
		s->engine->protocol->is_busy(s->engine);
}

/* The agent is suspended: what is under way ends, and what waits is refused. A session that is idle
 * lives on, and is refused whatever it asks for. */
static void suspend(struct session *s)
{
	if (s->state == SESSION_BEGINNING)
		session_begin_when_known(s); /* and is refused in its protocol's words */
	else if (is_carried_on(s))
		session_abort(s, REASON_SUSPENDED, "%s", "");
	else
		hold_judge_again(s);
}

void session_on_principals(struct session *s)
{
	enum who_answer answer;
	enum reason reason;
	struct buffer text;
	bool changed;

	if (s->state >= SESSION_CLOSING) {
		if (s->agent && who_is_suspended(&s->worker->who, s->agent, s->origin.cgroup))
			session_abort(s, REASON_SUSPENDED, "%s", "");
		return;
	}
	changed = take_principal(s);
	if (changed)
		session_record_facts(s, false);
	if (s->engine && changed)
		pipe_set_scope(s);
	s->host.suspended = who_is_suspended(&s->worker->who, s->agent, s->origin.cgroup);
	if (s->host.suspended) {
		suspend(s);
		return;
	}
	if (s->state == SESSION_BEGINNING) {
		session_begin_when_known(s);
		return;
	}
	buffer_init(&text, 4096);
	answer = who_check(
		&s->worker->who, s->agent, s->origin.cgroup, is_observed(s), &reason, &text);
	buffer_done(&text);
	if (is_observed(s))
		return;
	if (changed && !may_stay(s))
		session_abort(s, REASON_POLICY_CHANGED, "%s", "");
	else if (changed || answer == WHO_REFUSED || hold_waits_for_token(s))
		hold_judge_again(s);
}
