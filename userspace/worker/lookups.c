/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/lookups.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "protocol/dns.h"
#include "worker/lookups_internal.h"
#include "worker/place.h"
#include "worker/session_internal.h"

#define SESSION_ID_DIGITS 8
#define SERVER_IDLE (60 * NANOSECONDS_PER_SECOND)
#define REPORT_EVERY NANOSECONDS_PER_SECOND /* of what a flood is refused for */
#define TEXT_MOST (DNS_NAME_SIZE + 16)
#define REFUSAL_MOST 1024

/* An agent that asks: what it may ask at once comes back with time. */
struct asker {
	struct list link; /* in lookups.askers */
	uint32_t agent;
	uint32_t waiting; /* queries */
	uint32_t servers;
	double allowance; /* queries */
	uint64_t filled, reported; /* monotonic */
};

/* One name server of one agent: a session in the recording, while it is asked. */
struct server {
	struct list link; /* in lookups.servers */
	struct asker *asker;
	uint8_t address[16];
	struct recorder_session record;
	struct identifier id;
	uint32_t waiting;
	uint64_t used; /* monotonic */
	uint64_t sent, received; /* bytes */
};

struct lookup_key {
	uint64_t network;
	uint8_t server[16], client[16];
	uint16_t port, id;
	uint32_t unused; /* it is hashed as bytes */
};

struct lookup {
	struct table_node node;
	struct list link; /* in lookups.all */
	struct lookup_key key;
	struct server *server;
	uint64_t number; /* of the action */
	uint64_t until; /* monotonic */
	uint16_t type, class;
	char name[DNS_NAME_SIZE];
};

/* A datagram that waits for the monitor. */
struct delivery {
	struct worker *worker;
	uint64_t queue;
	uint32_t packet, agent;
};

void lookups_init(struct lookups *l)
{
	table_init(&l->table);
	list_init(&l->all);
	list_init(&l->servers);
	list_init(&l->askers);
}

/* --- agents and name servers --- */

static struct asker *get_asker(struct lookups *l, uint32_t agent)
{
	struct asker *a;

	list_for_each (position, &l->askers) {
		a = list_entry(position, struct asker, link);
		if (a->agent == agent)
			return a;
	}
	a = memory_new(sizeof(*a));
	*a = (struct asker){
		.agent = agent, .allowance = LIMIT_LOOKUPS_BURST, .filled = clock_monotonic()};
	list_append(&l->askers, &a->link);
	return a;
}

static bool may_ask(struct asker *a, uint64_t now)
{
	a->allowance +=
		(double)(now - a->filled) / NANOSECONDS_PER_SECOND * LIMIT_LOOKUPS_PER_SECOND;
	a->filled = now;
	if (a->allowance > LIMIT_LOOKUPS_BURST)
		a->allowance = LIMIT_LOOKUPS_BURST;
	if (a->allowance < 1)
		return false;
	a->allowance -= 1;
	return true;
}

bool lookups_may_ask(struct worker *w, uint32_t agent)
{
	return may_ask(get_asker(&w->lookups, agent), clock_monotonic());
}

static struct server *find_server(const struct lookups *l, uint32_t agent, const uint8_t *address)
{
	list_for_each (position, &l->servers) {
		struct server *s = list_entry(position, struct server, link);

		if (s->asker->agent == agent &&
			memcmp(s->address, address, sizeof(s->address)) == 0)
			return s;
	}
	return NULL;
}

static void forget_server(struct worker *w, struct server *s)
{
	recorder_session_end(
		w->recorder, &s->record, REASON_NONE, SLICE_EMPTY, s->received, s->sent);
	s->asker->servers--;
	list_remove(&s->link);
	free(s);
}

/* NULL: the agent asks too many. */
static struct server *get_server(struct worker *w, struct asker *asker, const uint8_t *address)
{
	struct server *s = find_server(&w->lookups, asker->agent, address);

	if (s || asker->servers >= LIMIT_LOOKUP_SERVERS_AGENT)
		return s;
	s = memory_new(sizeof(*s));
	s->asker = asker;
	s->id = identifier_new('s', SESSION_ID_DIGITS);
	memcpy(s->address, address, sizeof(s->address));
	list_append(&w->lookups.servers, &s->link);
	asker->servers++;
	return s;
}

/* --- queries that wait --- */

static struct lookup *find(const struct lookups *l, const struct lookup_key *key)
{
	struct table_node *node = table_find(&l->table, table_hash(key, sizeof(*key)));

	for (; node; node = table_find_next(&l->table, node)) {
		struct lookup *q = container_of(node, struct lookup, node);

		if (memcmp(&q->key, key, sizeof(*key)) == 0)
			return q;
	}
	return NULL;
}

static void forget(struct lookups *l, struct lookup *q)
{
	q->server->waiting--;
	q->server->asker->waiting--;
	table_remove(&l->table, &q->node);
	list_remove(&q->link);
	free(q);
}

static void remember(struct lookups *l, struct server *s, const struct lookup_key *key,
	const struct dns_message *m, uint64_t number)
{
	/* The same once more: what was sent first was lost. */
	struct lookup *q = find(l, key);

	if (q)
		forget(l, q);
	q = memory_new(sizeof(*q));
	q->key = *key;
	q->server = s;
	q->number = number;
	q->type = m->type;
	q->class = m->class;
	memcpy(q->name, m->name, sizeof(q->name));
	q->until = clock_monotonic() + LIMIT_LOOKUP_TIME * NANOSECONDS_PER_MILLISECOND;
	s->waiting++;
	s->asker->waiting++;
	table_insert(&l->table, &q->node, table_hash(key, sizeof(*key)));
	list_append(&l->all, &q->link);
}

void lookups_tick(struct worker *w, uint64_t now)
{
	list_for_each_safe (position, &w->lookups.all) {
		struct lookup *q = list_entry(position, struct lookup, link);

		if (now < q->until)
			break;
		forget(&w->lookups, q);
	}
	list_for_each_safe (position, &w->lookups.servers) {
		struct server *s = list_entry(position, struct server, link);

		if (s->waiting == 0 && now - s->used > SERVER_IDLE)
			forget_server(w, s);
	}
	list_for_each_safe (position, &w->lookups.askers) {
		struct asker *a = list_entry(position, struct asker, link);

		if (a->servers == 0 && now - a->filled > SERVER_IDLE) {
			list_remove(&a->link);
			free(a);
		}
	}
}

/* --- judging --- */

struct query {
	struct worker *worker;
	const struct policy_agent *agent;
	struct policy_scope *scope;
	struct dns_message message;
	bool understood;
	struct asker *asker;
	struct server *server;
	char text[TEXT_MOST];
};

uint32_t lookups_find_resource(const struct policy *p, const uint8_t server[16], uint16_t port)
{
	struct policy_candidate found;
	struct address address;

	memcpy(address.bytes, server, sizeof(address.bytes));
	return policy_match_datagrams(p, &address, port, &found, 1) ? found.resource
								    : POLICY_EGRESS;
}

static void describe(struct query *q)
{
	const char *type = dns_type_name(q->message.type);

	if (type)
		snprintf(q->text, sizeof(q->text), "%s %s", q->message.name, type);
	else
		snprintf(q->text, sizeof(q->text), "%s TYPE%u", q->message.name, q->message.type);
}

static void record_server(const struct query *q, const struct packet *packet)
{
	const struct policy *p = policy_scope_policy(q->scope);
	const struct policy_subject *subject = policy_scope_subject(q->scope);
	char address[64];
	struct session_facts facts = {
		.id = slice_from_string(q->server->id.text),
		.agent = q->agent->name,
		.principal = subject->principal->name,
		.resource = subject->resource == POLICY_EGRESS
			? slice_from_string("egress")
			: p->resources[subject->resource].name,
		.protocol = PROTOCOL_UDP,
		.pid = UINT64_MAX,
		.uid = UINT64_MAX,
		.cgroup = UINT64_MAX,
		.process_start = UINT64_MAX,
		.observed = p->mode == POLICY_OBSERVE,
	};

	place_text(packet->destination, packet->destination_port, address, sizeof(address));
	facts.address = slice_from_string(address);
	recorder_session_start(q->worker->recorder, &q->server->record, &facts);
}

/* Why it may not leave, whatever rules say; a sentence in `text`. */
static enum reason check(const struct query *q, uint64_t now, struct buffer *text)
{
	const struct lookups *l = &q->worker->lookups;
	const char *problem = NULL;
	enum reason reason = REASON_LIMIT;

	/* First, so that nobody's flood is recorded. */
	if (!may_ask(q->asker, now)) {
		problem = "too many queries to name servers";
	} else if (who_is_suspended(&q->worker->who, q->agent, 0)) {
		reason = REASON_SUSPENDED;
		problem = "";
	} else if (q->asker->waiting >= LIMIT_LOOKUPS_AGENT || l->table.count >= LIMIT_LOOKUPS) {
		problem = "too many queries to name servers wait for their answers";
	} else if (!q->understood) {
		reason = REASON_NOT_UNDERSTOOD;
		problem = "a query to a name server";
	} else if (dns_name_is_random(q->message.name, LIMIT_LOOKUP_RUN) &&
		!policy_has_name(
			policy_scope_policy(q->scope), slice_from_string(q->message.name))) {
		problem = "the name looks like encoded data";
	}
	if (!problem)
		return REASON_NONE;
	refusal_text(reason, slice_from_string(problem), text);
	return reason;
}

/* What rules say. A name server that no resource names may be asked whatever no rule denies. */
static enum reason judge_name(const struct query *q, const struct action *action,
	struct record_action *record, struct slice *rule, struct buffer *text)
{
	bool unnamed = policy_scope_subject(q->scope)->resource == POLICY_EGRESS;
	struct verdict verdict;

	policy_judge(q->scope, action, &verdict);
	if (verdict.rule) {
		*rule = verdict.rule->name;
		record->rules = rule;
		record->rule_count = 1;
	}
	if (verdict.kind == VERDICT_ALLOW || (unnamed && verdict.kind == VERDICT_REVIEW))
		return REASON_NONE;
	if (verdict.kind == VERDICT_REVIEW) {
		refusal_text(REASON_REVIEW_IMPOSSIBLE,
			slice_from_string("nobody can be asked about a name"), text);
		return REASON_REVIEW_IMPOSSIBLE;
	}
	if (verdict.reason == REASON_NOT_COVERED && unnamed)
		return REASON_NONE;
	verdict_text(&verdict, action, text);
	return verdict.reason;
}

/* A flood is told of, not recorded. */
static bool is_worth_recording(struct asker *a, enum reason reason, uint64_t now)
{
	if (reason != REASON_LIMIT && reason != REASON_NOT_UNDERSTOOD && reason != REASON_SUSPENDED)
		return true;
	if (a->reported && now - a->reported < REPORT_EVERY)
		return false;
	a->reported = now;
	return true;
}

/* Judges and records. True: it may leave, as the action with that number. */
static bool judge(struct query *q, uint64_t *ret_number)
{
	const struct action_pair pair = {.operation = OPERATION_RESOLVE,
		.state = q->understood ? OBJECT_KNOWN : OBJECT_UNKNOWN,
		.object = slice_from_string(q->message.name)};
	const struct action action = {.protocol = PROTOCOL_UDP,
		.pairs = &pair,
		.pair_count = 1,
		.text = slice_from_string(q->text)};
	bool observes = policy_scope_policy(q->scope)->mode == POLICY_OBSERVE;
	struct record_action record = {.action = &action, .verdict = RECORD_VERDICT_ALLOW};
	uint64_t now = clock_monotonic();
	struct slice rule;
	struct buffer text;
	bool passes;

	buffer_init(&text, REFUSAL_MOST);
	record.reason = check(q, now, &text);
	if (record.reason == REASON_NONE)
		record.reason = judge_name(q, &action, &record, &rule, &text);
	passes = record.reason == REASON_NONE || (observes && q->understood);
	if (record.reason != REASON_NONE) {
		record.verdict = RECORD_VERDICT_DENY;
		record.observed = observes;
		record.message = buffer_slice(&text);
		q->worker->statistics.reasons[record.reason]++;
	}
	if (passes || is_worth_recording(q->asker, record.reason, now))
		*ret_number = recorder_action(q->worker->recorder, &q->server->record, &record);
	buffer_done(&text);
	return passes;
}

static enum queue_answer judge_query(struct worker *w, uint64_t network,
	const struct policy_agent *agent, const struct packet *packet)
{
	struct query q = {.worker = w, .agent = agent, .asker = get_asker(&w->lookups, agent->id)};
	const struct policy_subject subject = {
		.agent = agent,
		.principal = who_principal_of_any(&w->who, agent),
		.resource = lookups_find_resource(
			w->policy, packet->destination, packet->destination_port),
		.protocol = PROTOCOL_UDP,
	};
	struct lookup_key key = {.network = network, .port = packet->source_port};
	uint64_t number = 0;
	bool passes, fresh;

	q.understood = dns_parse(packet->payload, &q.message) == 0 && !q.message.response;
	q.server = get_server(w, q.asker, packet->destination);
	if (!q.server) {
		w->statistics.reasons[REASON_LIMIT]++;
		return QUEUE_REFUSE;
	}
	q.scope = policy_scope_get(w->policy, &subject);
	fresh = q.server->used == 0;
	q.server->used = clock_monotonic();
	if (fresh)
		record_server(&q, packet);
	describe(&q);
	passes = judge(&q, &number);
	policy_scope_put(q.scope);
	if (!passes)
		return QUEUE_REFUSE;
	memcpy(key.server, packet->destination, sizeof(key.server));
	memcpy(key.client, packet->source, sizeof(key.client));
	key.id = q.message.id;
	q.server->sent += packet->payload.length;
	remember(&w->lookups, q.server, &key, &q.message, number);
	return QUEUE_PASS_ALONE;
}

/* --- answers --- */

static void on_pinned(void *context, int status, struct slice payload, int fd)
{
	struct delivery *d = context;

	(void)status;
	(void)payload;
	(void)fd;
	flow_queues_answer(d->worker, d->queue, d->packet, d->agent, QUEUE_PASS_ALONE);
	free(d);
}

void lookups_ask_to_pin(struct worker *w, struct message_pin *request, const struct dns_message *m,
	channel_reply *reply, void *context)
{
	struct buffer text;
	int r = 0;

	request->address_count = (uint32_t)m->address_count;
	buffer_init(&text, sizeof(m->addresses) + sizeof(m->name));
	for (size_t i = 0; r == 0 && i < m->address_count; i++) {
		struct message_pin_address one = {.lifetime = m->addresses[i].lifetime};

		memcpy(one.bytes, m->addresses[i].bytes, sizeof(one.bytes));
		r = buffer_append(&text, &one, sizeof(one));
	}
	if (r == 0)
		r = buffer_append_slice(&text, slice_from_string(m->name));
	channel_ask(&w->channel, MESSAGE_PIN, request, sizeof(*request), buffer_slice(&text), -1,
		reply, context);
	buffer_done(&text);
}

static void pin(struct worker *w, const struct lookup *q, const struct dns_message *m,
	const struct flow_packet *packet)
{
	struct message_pin request = {.network = packet->network, .agent = q->server->asker->agent};
	struct delivery *d = memory_new(sizeof(*d));

	*d = (struct delivery){w, packet->queue, packet->id, request.agent};
	memcpy(request.server, q->key.server, sizeof(request.server));
	lookups_ask_to_pin(w, &request, m, on_pinned, d);
}

static void record_answer(
	struct worker *w, const struct lookup *q, const struct dns_message *m, struct slice payload)
{
	struct record_result result = {.bytes = payload.length};
	struct buffer tag;
	char text[INET6_ADDRSTRLEN], code[24];
	int r = 0;

	buffer_init(&tag, DNS_ADDRESSES_MOST * (INET6_ADDRSTRLEN + 1));
	for (size_t i = 0; r == 0 && i < m->address_count; i++) {
		r = buffer_append_format(&tag, "%s%s", i ? " " : "",
			place_text_of_address(m->addresses[i].bytes, text, sizeof(text)));
	}
	result.tag = buffer_slice(&tag);
	result.rows = m->address_count;
	if (m->code) {
		snprintf(code, sizeof(code), "RCODE %u", m->code);
		result.error_code = slice_from_string(code);
	}
	recorder_result(w->recorder, &q->server->record, q->number, &result);
	buffer_done(&tag);
}

static bool judge_answer(struct worker *w, const struct flow_packet *queued,
	const struct packet *packet, enum queue_answer *ret)
{
	struct lookup_key key = {.network = queued->network, .port = packet->destination_port};
	struct dns_message m;
	struct lookup *q;
	bool pins;

	*ret = QUEUE_DROP;
	if (packet->source_port != DNS_PORT || dns_parse(packet->payload, &m) < 0 || !m.response)
		return true;
	memcpy(key.server, packet->source, sizeof(key.server));
	memcpy(key.client, packet->destination, sizeof(key.client));
	key.id = m.id;
	q = find(&w->lookups, &key);
	if (!q || q->server->asker->agent != queued->agent || q->type != m.type ||
		q->class != m.class || strcmp(q->name, m.name) != 0)
		return true;
	q->server->received += packet->payload.length;
	record_answer(w, q, &m, packet->payload);
	pins = m.address_count && policy_needs_answers(w->policy, slice_from_string(m.name));
	if (pins)
		pin(w, q, &m, queued);
	forget(&w->lookups, q);
	*ret = QUEUE_PASS_ALONE;
	return !pins;
}

bool lookups_judge(
	struct worker *w, const struct flow_packet *queued, bool inbound, enum queue_answer *ret)
{
	const struct policy_agent *agent = policy_find_agent(w->policy, queued->agent);
	struct packet packet;

	*ret = inbound ? QUEUE_DROP : QUEUE_REFUSE;
	if (!agent || packet_parse(queued->bytes, &packet) < 0 || packet.transport != IPPROTO_UDP)
		return true;
	if (inbound)
		return judge_answer(w, queued, &packet, ret);
	/* What isn't seen may be a tunnel. */
	if (!packet.whole)
		return true;
	*ret = judge_query(w, queued->network, agent, &packet);
	return true;
}
