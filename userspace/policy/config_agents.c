/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of agents, and of the people and groups that review.
 */
#include "policy/config_check.h"

#include <string.h>

#include "base/cgroup_pattern.h"
#include "base/limits.h"
#include "policy/host.h"

static bool is_clean_path(const char *path)
{
	const char *part = path;

	for (const char *p = path;; p++) {
		size_t length = (size_t)(p - part);

		if (*p != '/' && *p != '\0')
			continue;
		if (length == 0 || (length == 1 && part[0] == '.') ||
			(length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (*p == '\0')
			return true;
		part = p + 1;
	}
}

/* An agent inside another one would have two names: whose rules would hold? */
static void check_nesting(struct config *c, struct loader *l, const struct config_agent *agent)
{
	for (const struct config_agent *other = c->agents; other < agent; other++) {
		const char *a = agent->cgroup.text, *b = other->cgroup.text;

		if (b && cgroup_pattern_may_nest(a, b))
			loader_error(l, agent->cgroup.place,
				"\"cgroup\": %s and %s of agent \"%s\" (line %u) lie in one "
				"another; "
				"expected separate ones",
				a, b, other->name.text ? other->name.text : "?",
				other->cgroup.place.line);
	}
}

static void check_cgroup(struct config *c, struct loader *l, const struct config_agent *agent)
{
	const char *path = agent->cgroup.text;

	if (!path)
		return;
	if (!is_clean_path(path))
		loader_error(l, agent->cgroup.place,
			"\"cgroup\": expected a path below the cgroup2 root without \"/\" at its "
			"ends "
			"and without \".\" and \"..\", as wayleave.slice/%s, not \"%s\"",
			agent->name.text ? agent->name.text : "NAME", path);
	else
		check_nesting(c, l, agent);
}

/* Where its connections come from. */
static void check_place(struct loader *l, const struct config_agent *agent)
{
	if (agent->place.file && !agent->cgroup.place.file && !agent->interfaces.place.file)
		loader_error(l, agent->place, "an agent needs \"cgroup\" or \"interfaces\"");
}

static void check_id(struct config *c, struct loader *l, struct config_agent *agent)
{
	if (!agent->name.text)
		return;
	agent->id = config_agent_id(agent->name.text);
	if (agent->id == 0)
		loader_error(l, agent->name.place,
			"\"%s\" can't be used: its number is 0; "
			"expected another name",
			agent->name.text);
	for (const struct config_agent *other = c->agents; other < agent; other++) {
		if (other->name.text && other->id == agent->id &&
			strcmp(other->name.text, agent->name.text) != 0)
			loader_error(l, agent->name.place,
				"\"%s\" and \"%s\" have the same number; expected another name",
				agent->name.text, other->name.text);
	}
}

static void check_limit(struct loader *l, const char *key, const struct config_number *limit)
{
	if (limit->place.file && limit->value == 0)
		loader_error(l, limit->place, "\"%s\": expected at least 1", key);
}

static void check_limits(struct loader *l, const struct config_limits *limits)
{
	if (!limits)
		return;
	check_limit(l, "sessions", &limits->sessions);
	check_limit(l, "rate", &limits->rate);
	check_limit(l, "bandwidth", &limits->bandwidth);
}

void config_check_agents(struct config *c, struct loader *l)
{
	struct config_array agents = CONFIG_ARRAY(c->agents, c->agent_count, "agent");
	size_t by_interface = 0, pairs = 0;

	if (c->agent_count > LIMIT_CONFIG_AGENTS) {
		loader_error(l, c->place, "more than %u agents", LIMIT_CONFIG_AGENTS);
		return;
	}
	config_check_unique(l, &agents);
	for (size_t i = 0; i < c->agent_count; i++) {
		struct config_agent *agent = &c->agents[i];

		config_check_name(l, &agent->name, "an agent");
		check_cgroup(c, l, agent);
		config_check_interfaces(c, l, agent);
		check_place(l, agent);
		by_interface += agent->interfaces.place.file != NULL;
		pairs +=
			agent->interfaces.count * (agent->network_count ? agent->network_count : 1);
		check_id(c, l, agent);
		check_limits(l, agent->limits);
	}
	if (by_interface > LIMIT_INTERFACE_AGENTS)
		loader_error(l, c->place, "more than %u agents with \"interfaces\"",
			LIMIT_INTERFACE_AGENTS);
	if (pairs > LIMIT_INTERFACE_ADDRESSES)
		loader_error(l, c->place,
			"\"addresses\": more than %u on all \"interfaces\" together, each agent's "
			"on each of its own",
			LIMIT_INTERFACE_ADDRESSES);
}

static void check_url(struct loader *l, const char *key, const struct config_text *url)
{
	if (url->text && strncmp(url->text, "https://", 8) != 0 &&
		strncmp(url->text, "http://", 7) != 0)
		loader_error(
			l, url->place, "\"%s\": expected https://…, not \"%s\"", key, url->text);
}

/* An address of our own to listen on, as "0.0.0.0:8443". */
static void check_listen(struct loader *l, const struct config_text *listen)
{
	struct host host;
	struct error e;

	if (!listen->text)
		return;
	if (host_parse((char *)node_copy_text(l->arena, listen->text), &host, &e) < 0 ||
		host.kind != HOST_ADDRESS || host.port == HOST_ANY_PORT)
		loader_error(l, listen->place, "\"listen\": expected ADDRESS:PORT, not \"%s\"",
			listen->text);
}

static bool is_loopback(const struct address *a)
{
	static const uint8_t v6[16] = {[15] = 1};

	return address_is_mapped(a) ? a->bytes[12] == 127 : memcmp(a->bytes, v6, 16) == 0;
}

/* Counters are everybody's on this host, and nobody's elsewhere. */
static void check_loopback(struct loader *l, const char *key, const struct config_text *text)
{
	struct host host;

	if (text->text &&
		(host_parse((char *)node_copy_text(l->arena, text->text), &host, NULL) < 0 ||
			host.kind != HOST_ADDRESS || host.port == HOST_ANY_PORT ||
			!is_loopback(&host.address)))
		loader_error(l, text->place,
			"\"%s\": expected ADDRESS:PORT of loopback, as 127.0.0.1:9464, not \"%s\"",
			key, text->text);
}

void config_check_metrics(struct config *c, struct loader *l)
{
	if (!c->metrics)
		return;
	check_loopback(l, "listen", &c->metrics->listen);
	check_loopback(l, "health", &c->metrics->health);
	if (!c->metrics->listen.text && !c->metrics->health.text)
		loader_error(
			l, c->metrics->place, "\"metrics\": expected \"listen\" or \"health\"");
}

static void check_reviewer(struct loader *l, const struct config_reviewer *reviewer)
{
	config_check_name(l, &reviewer->name, "a group of reviewers");
	if (!reviewer->slack && reviewer->local_users.count == 0)
		loader_error(l, reviewer->name.place,
			"\"%s\" has nobody in it; expected \"slack\" or \"local_users\"",
			reviewer->name.text);
	if (reviewer->approvals.value == 0)
		loader_error(l, reviewer->approvals.place, "\"approvals\": expected at least 1");
}

void config_check_people(struct config *c, struct loader *l)
{
	struct config_array people = CONFIG_ARRAY(c->people, c->person_count, "person");

	config_check_unique(l, &people);
	for (size_t i = 0; i < c->reviewer_count; i++)
		check_reviewer(l, &c->reviewers[i]);
	for (size_t i = 0; i < c->person_count; i++) {
		const struct config_person *person = &c->people[i];

		if (!person->slack.text && !person->local.text && person->principals.count == 0)
			loader_error(l, person->place,
				"this person is nobody; expected \"slack\", "
				"\"local\" or \"principals\"");
	}
	if (!c->slack)
		return;
	if (!c->slack->bot_token_file.text && !c->slack->webhook_url_file.text)
		loader_error(l, c->slack->place,
			"slack needs \"bot_token_file\" or \"webhook_url_file\"");
	check_url(l, "api_url", &c->slack->api_url);
	check_listen(l, &c->slack->listen);
	if (c->slack->listen.text && !c->slack->signing_secret_file.text)
		loader_error(l, c->slack->listen.place,
			"\"listen\" needs \"signing_secret_file\": "
			"without it nothing tells Slack's "
			"callbacks from anybody's");
}
