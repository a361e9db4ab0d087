/* SPDX-License-Identifier: Apache-2.0 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/reason.h"
#include "base/text.h"
#include "monitor/monitor.h"

struct message_statistics status_total(const struct monitor *m)
{
	struct message_statistics sum = {0};

	for (unsigned i = 0; i < m->worker_count; i++) {
		const struct message_statistics *s = &m->workers[i].statistics;

		sum.sessions += s->sessions;
		sum.sessions_total += s->sessions_total;
		sum.actions += s->actions;
		sum.denied += s->denied;
		if (s->recording_error)
			sum.recording_error = s->recording_error;
		for (size_t j = 0; j < MESSAGE_REASONS_MOST; j++)
			sum.reasons[j] += s->reasons[j];
	}
	return sum;
}

static void add_workers(const struct monitor *m, cJSON *object)
{
	cJSON *list = cJSON_AddArrayToObject(object, "workers");

	for (unsigned i = 0; i < m->worker_count; i++) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddNumberToObject(item, "pid", m->workers[i].pid);
		cJSON_AddBoolToObject(item, "ready", m->workers[i].ready);
		cJSON_AddNumberToObject(
			item, "sessions", (double)m->workers[i].statistics.sessions);
		cJSON_AddNumberToObject(item, "failures", m->workers[i].failures);
		cJSON_AddItemToArray(list, item);
	}
}

static void add_counts(const struct monitor *m, uint32_t agent, cJSON *object)
{
	struct steer_agent counts;

	if (capture_get_counts(m->capture, agent, &counts) < 0)
		return;
	cJSON_AddNumberToObject(object, "pending", (double)counts.pending);
	for (unsigned i = 0; i < STEER_COUNT_COUNT; i++)
		cJSON_AddNumberToObject(object, capture_count_text((enum steer_count)i)->metric,
			(double)counts.counts[i]);
}

static void add_texts(const struct config_texts *texts, cJSON *list)
{
	for (size_t i = 0; i < texts->count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(texts->items[i].text));
}

static void add_agent(const struct monitor *m, const struct config_agent *agent, cJSON *list)
{
	cJSON *item = cJSON_CreateObject();

	cJSON_AddStringToObject(item, "name", agent->name.text);
	if (agent->cgroup.text)
		cJSON_AddStringToObject(item, "cgroup", agent->cgroup.text);
	else
		add_texts(&agent->interfaces, cJSON_AddArrayToObject(item, "interfaces"));
	add_counts(m, agent->id, cJSON_AddObjectToObject(item, "connections"));
	cJSON_AddItemToArray(list, item);
}

static void add_reasons(const struct message_statistics *sum, cJSON *object)
{
	for (unsigned i = 0; i < REASON_COUNT && i < MESSAGE_REASONS_MOST; i++) {
		if (sum->reasons[i])
			cJSON_AddNumberToObject(object, reason_get((enum reason)i)->metric,
				(double)sum->reasons[i]);
	}
}

static void add_slack(const struct monitor *m, cJSON *object)
{
	const struct broker_state *state = &m->slack_state;
	const char *why = m->slack_why ? m->slack_why : "";
	uint64_t since = state->failing_since;
	cJSON *slack;
	char text[32];

	if (!m->config->slack)
		return;
	if (!m->broker.pid) {
		why = "the broker is not running";
		since = clock_wall();
	}
	slack = cJSON_AddObjectToObject(object, "slack");
	cJSON_AddStringToObject(slack, "state", since ? "failing" : "ok");
	cJSON_AddNumberToObject(slack, "waiting", state->waiting);
	cJSON_AddNumberToObject(slack, "failing", state->failing);
	if (since) {
		text_from_time(since, text);
		cJSON_AddStringToObject(slack, "since", text);
		cJSON_AddStringToObject(slack, "why", why);
	}
}

static void add_issuers(const struct monitor *m, cJSON *object)
{
	cJSON *list;

	if (m->issuer_count == 0)
		return;
	list = cJSON_AddArrayToObject(object, "issuers");
	for (size_t i = 0; i < m->issuer_count && i < m->config->issuer_count; i++) {
		const struct issuer_state *state = &m->issuers[i];
		cJSON *item = cJSON_CreateObject();
		bool failing = state->last.failing_since || !m->openid.pid;

		cJSON_AddItemToArray(list, item);
		cJSON_AddStringToObject(item, "name", m->config->issuers[i].name.text);
		cJSON_AddStringToObject(item, "state", failing ? "failing" : "ok");
		cJSON_AddNumberToObject(item, "keys", state->last.key_count);
		json_add_time(item, "fetched", state->last.fetched * NANOSECONDS_PER_SECOND);
		json_add_time(item, "since", state->last.failing_since * NANOSECONDS_PER_SECOND);
		json_add_text(item, "why",
			slice_from_string(
				m->openid.pid ? state->why : "the broker is not running"));
	}
}

static void add_host(const struct monitor *m, cJSON *object)
{
	struct message_statistics sum = status_total(m);
	const char *problem = store_problem(m->store);

	if (!problem && sum.recording_error)
		problem = strerror((int)sum.recording_error);
	cJSON_AddStringToObject(
		object, "mode", m->config->mode.value == POLICY_OBSERVE ? "observe" : "enforce");
	cJSON_AddNumberToObject(object, "generation", (double)m->generation);
	cJSON_AddNumberToObject(object, "port", m->listeners.port);
	if (m->reload_problem)
		cJSON_AddStringToObject(object, "reload_problem", m->reload_problem);
	if (problem)
		cJSON_AddStringToObject(object, "recording_problem", problem);
	if (m->retention_warning)
		cJSON_AddStringToObject(object, "retention_warning", m->retention_warning);
	if (book_problem(m->book))
		cJSON_AddStringToObject(object, "reviews_problem", book_problem(m->book));
	cJSON_AddNumberToObject(object, "reviews_pending", (double)book_count_pending(m->book));
	cJSON_AddNumberToObject(object, "grants", (double)book_count_grants(m->book));
	cJSON_AddNumberToObject(object, "sessions", (double)sum.sessions);
	cJSON_AddNumberToObject(object, "sessions_total", (double)sum.sessions_total);
	cJSON_AddNumberToObject(object, "actions", (double)sum.actions);
	cJSON_AddNumberToObject(object, "denied", (double)sum.denied);
	add_reasons(&sum, cJSON_AddObjectToObject(object, "reasons"));
	add_slack(m, object);
	add_issuers(m, object);
	cJSON_AddBoolToObject(object, "unix_sockets", m->unix_fd >= 0);
	cJSON_AddBoolToObject(object, "datagram_limits", capture_limits_datagrams(m->capture));
	worker_limits_describe(&m->limits, object);
	canary_describe(&m->canary, cJSON_AddObjectToObject(object, "canary"));
	add_workers(m, object);
}

/* Frees the object. */
static int print(cJSON *object, struct buffer *ret)
{
	char *text = cJSON_PrintUnformatted(object);
	int r;

	cJSON_Delete(object);
	if (!text)
		return -ENOMEM;
	r = buffer_append_string(ret, text);
	free(text);
	return r;
}

int status_build_canary(struct monitor *m, struct buffer *ret)
{
	cJSON *object = cJSON_CreateObject();

	canary_describe(&m->canary, object);
	return print(object, ret);
}

int status_build(struct monitor *m, uint32_t agent, struct buffer *ret)
{
	cJSON *object = cJSON_CreateObject(), *agents;

	cJSON_AddStringToObject(object, "version", MONITOR_VERSION);
	if (!agent)
		add_host(m, object);
	agents = cJSON_AddArrayToObject(object, "agents");
	for (size_t i = 0; i < m->config->agent_count; i++) {
		if (!agent || m->config->agents[i].id == agent)
			add_agent(m, &m->config->agents[i], agents);
	}
	return print(object, ret);
}
