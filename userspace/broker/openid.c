/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/openid.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "broker/tell.h"
#include "identity/algorithm.h"
#include "monitor/control.h"

#define TURN_MOST 500 /* milliseconds */

uint64_t openid_now(void)
{
	return clock_wall() / NANOSECONDS_PER_SECOND;
}

uint64_t openid_backoff(unsigned failures)
{
	uint64_t wait = OPENID_RETRY_FIRST;

	for (unsigned i = 1; i < failures && wait < OPENID_RETRY_MOST; i++)
		wait *= 2;
	return (wait < OPENID_RETRY_MOST ? wait : OPENID_RETRY_MOST) * NANOSECONDS_PER_SECOND;
}

/* --- the monitor --- */

int openid_tell(struct openid *o, enum broker_message type, const void *head, size_t length,
	struct slice text)
{
	return tell_monitor(o->channel, type, head, length, text);
}

static struct subject *find_agent(struct openid *o, uint32_t agent)
{
	for (size_t i = 0; i < o->subject_count; i++) {
		if (o->subjects[i].agent == agent)
			return &o->subjects[i];
	}
	return NULL;
}

static struct subject *find_run(struct openid *o, const struct broker_token *head)
{
	list_for_each (position, &o->runs) {
		struct subject *s = list_entry(position, struct subject, link);

		if (s->agent == head->agent && s->run == head->run)
			return s;
	}
	return NULL;
}

static void on_token(struct openid *o, struct slice payload)
{
	struct broker_token head;
	struct subject *agent, *s;

	if (payload.length < sizeof(head))
		return;
	memcpy(&head, payload.data, sizeof(head));
	agent = s = find_agent(o, head.agent);
	if (agent && head.run)
		s = find_run(o, &head);
	if (agent && !s)
		s = subject_new_run(agent, head.run);
	if (s)
		subject_take_token(s, head.serial, slice_from(payload, sizeof(head)));
}

static void on_end(struct openid *o, struct slice payload)
{
	struct broker_token head;
	struct subject *s;

	if (payload.length < sizeof(head))
		return;
	memcpy(&head, payload.data, sizeof(head));
	s = find_run(o, &head);
	if (s)
		subject_free_run(s);
}

static void on_kept_keys(struct openid *o, struct slice payload)
{
	struct broker_keys head;

	if (payload.length < sizeof(head))
		return;
	memcpy(&head, payload.data, sizeof(head));
	if (head.issuer < o->issuer_count)
		issuer_take_kept(
			&o->issuers[head.issuer], slice_from(payload, sizeof(head)), head.fetched);
}

static void on_login(struct openid *o, uint32_t type, struct slice payload)
{
	struct broker_login head;

	if (payload.length < sizeof(head))
		return;
	memcpy(&head, payload.data, sizeof(head));
	if (type == BROKER_LOGIN)
		logins_begin(o, &head);
	else
		logins_end(o, head.id);
}

/* -EAGAIN: there is none. */
static int receive(struct openid *o)
{
	struct control_header header;
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(o->channel, &header, &payload, NULL, NULL);
	if (r == 0 && header.type == BROKER_TOKEN)
		on_token(o, buffer_slice(&payload));
	else if (r == 0 && (header.type == BROKER_LOGIN || header.type == BROKER_LOGOUT))
		on_login(o, header.type, buffer_slice(&payload));
	else if (r == 0 && header.type == BROKER_END)
		on_end(o, buffer_slice(&payload));
	else if (r == 0 && header.type == BROKER_KEYS)
		on_kept_keys(o, buffer_slice(&payload));
	buffer_wipe(&payload);
	return r;
}

int openid_turn(struct openid *o)
{
	struct pollfd polled = {.fd = o->channel};
	uint64_t now;
	int r = 0;

	client_turn(o->client, &polled, 1, TURN_MOST);
	while (polled.revents && r == 0)
		r = receive(o);
	now = clock_monotonic();
	for (size_t i = 0; i < o->issuer_count; i++)
		issuer_tick(&o->issuers[i], now);
	for (size_t i = 0; i < o->subject_count; i++)
		subject_tick(&o->subjects[i], now);
	list_for_each (position, &o->runs)
		subject_tick(list_entry(position, struct subject, link), now);
	logins_tick(o, now);
	return r == -EAGAIN ? 0 : r;
}

/* --- the configuration, which the monitor has checked --- */

static unsigned read_algorithms(const cJSON *list)
{
	const cJSON *item;
	unsigned set = 0;

	cJSON_ArrayForEach(item, list)
	{
		enum algorithm a =
			cJSON_IsString(item) ? algorithm_find(item->valuestring) : ALGORITHM_COUNT;

		if (a != ALGORITHM_COUNT)
			set |= 1u << a;
	}
	return set ? set : ALGORITHMS_ALL;
}

static void read_issuer(struct openid *o, const cJSON *json, struct issuer *ret)
{
	ret->owner = o;
	ret->index = (uint32_t)(ret - o->issuers);
	ret->name = document_get_text(json, "name");
	ret->ca = document_get_text(json, "ca");
	ret->login_client = document_get_text(json, "login_client");
	ret->login_secret = document_get_text(json, "login_secret");
	ret->login_scope = document_get_text(json, "login_scope");
	ret->keys_max_age = (uint64_t)document_get(json, "keys_max_age")->valuedouble;
	ret->rules = (struct token_rules){
		.issuer = document_get_text(json, "url"),
		.audience = document_get_text(json, "audience"),
		.groups_claim = document_get_text(json, "groups_claim"),
		.type = document_get_text(json, "token_type"),
		.algorithms = read_algorithms(document_get(json, "algorithms")),
	};
}

static int read_key(const char *pem, EVP_PKEY **ret, struct error *e)
{
	BIO *bio = pem ? BIO_new_mem_buf(pem, -1) : NULL;

	*ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
	BIO_free(bio);
	if (!pem)
		return 0;
	if (!*ret)
		return error_set(e, -EINVAL, "a client's private key is no PEM");
	return algorithms_of(*ret, e) ? 0 : -EINVAL;
}

static int read_subject(struct openid *o, const cJSON *json, struct subject *ret, struct error *e)
{
	size_t issuer = (size_t)document_get(json, "issuer")->valuedouble;
	struct error problem;

	if (issuer >= o->issuer_count)
		return error_set(e, -EINVAL, "the configuration can't be read");
	ret->owner = o;
	ret->agent = (uint32_t)document_get(json, "id")->valuedouble;
	ret->issuer = &o->issuers[issuer];
	ret->rules = ret->issuer->rules;
	ret->rules.client = document_get_text(json, "client");
	ret->rules.subject = document_get_text(json, "subject");
	ret->client_id = document_get_text(json, "client_id");
	ret->secret = document_get_text(json, "secret");
	ret->scope = document_get_text(json, "scope");
	ret->lives = memory_new(sizeof(*ret->lives));
	buffer_init(&ret->reported, CONTROL_PAYLOAD_MOST);
	if (read_key(document_get_text(json, "key"), &ret->key, &problem) < 0) {
		/* This agent's alone. */
		ret->ask_failures = 1;
		ret->ask_at = UINT64_MAX;
		ret->check_at = 1;
		snprintf(ret->ask_problem, sizeof(ret->ask_problem), "%.200s", problem.text);
	}
	return 0;
}

int openid_init(struct openid *o, int channel, const char *configuration, struct error *e)
{
	const cJSON *issuers, *agents, *item;
	int r = 0;

	*o = (struct openid){.channel = channel};
	list_init(&o->runs);
	list_init(&o->logins);
	o->configuration = cJSON_Parse(configuration);
	issuers = document_get(o->configuration, "issuers");
	agents = document_get(o->configuration, "agents");
	if (!issuers || !agents)
		return error_set(e, -EINVAL, "the configuration can't be read");
	o->issuers = memory_new_array((size_t)cJSON_GetArraySize(issuers), sizeof(*o->issuers));
	cJSON_ArrayForEach(item, issuers) read_issuer(o, item, &o->issuers[o->issuer_count++]);
	o->subjects = memory_new_array((size_t)cJSON_GetArraySize(agents), sizeof(*o->subjects));
	cJSON_ArrayForEach(item, agents)
	{
		if (r == 0)
			r = read_subject(o, item, &o->subjects[o->subject_count++], e);
	}
	return r < 0 ? r : client_new(&o->client, e);
}
