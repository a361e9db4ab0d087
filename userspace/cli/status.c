/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave status: what the daemon governs, and how it does. Inside an agent: of that agent alone.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/recordings.h"
#include "monitor/control.h"

static void print_nonzero(const char *indent, const cJSON *counts)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, counts)
	{
		if (cJSON_IsNumber(item) && item->valuedouble != 0)
			printf("%s%-22s %.0f\n", indent, item->string, item->valuedouble);
	}
}

static void print_slack(const cJSON *slack)
{
	if (!slack)
		return;
	if (json_text_of(slack, "since"))
		printf("PROBLEM: slack: failing since %s: %s (%.0f of the %.0f messages that "
		       "wait)\n",
			json_text_of(slack, "since"), json_text_of(slack, "why"),
			json_number_of(slack, "failing"), json_number_of(slack, "waiting"));
	else
		printf("slack     ok\n");
}

static void print_canary(const cJSON *canary)
{
	const cJSON *way;

	if (!json_text_of(canary, "at"))
		return;
	if (strcmp(json_text_of(canary, "state"), "ok") == 0)
		printf("canary    every way out of an agent was stopped at %s\n",
			json_text_of(canary, "at"));
	if (json_text_of(canary, "problem"))
		printf("PROBLEM: canary: %s\n", json_text_of(canary, "problem"));
	cJSON_ArrayForEach(way, cJSON_GetObjectItemCaseSensitive(canary, "ways"))
	{
		if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(way, "stopped")))
			printf("PROBLEM: canary: an agent has a way out: %s\n",
				json_text_of(way, "text"));
	}
}

/* What is set and what is not: a limit that is believed to hold is worse than none. */
static void print_limits(const cJSON *status)
{
	const cJSON *limits = cJSON_GetObjectItemCaseSensitive(status, "worker_limits");
	double memory = json_number_of(limits, "memory"), tasks = json_number_of(limits, "tasks");

	if (json_text_of(limits, "problem")) {
		printf("WARNING: worker_limits: %s\n", json_text_of(limits, "problem"));
	} else {
		printf("workers   have together");
		if (memory)
			printf(" %.0f MiB of memory", memory / (1 << 20));
		if (tasks)
			printf("%s %.0f tasks", memory ? "," : "", tasks);
		printf("%s\n", memory || tasks ? " at most" : " no limits");
	}
	if (json_text_of(limits, "missing"))
		printf("WARNING: worker_limits: cgroup2 has no controller %s here, so that is not "
		       "limited\n",
			json_text_of(limits, "missing"));
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(status, "datagram_limits")))
		printf("WARNING: the kernel's nftables has no limit: an agent's bandwidth does not "
		       "hold for datagrams\n");
}

static void print_host(const cJSON *status)
{
	const cJSON *worker, *workers = cJSON_GetObjectItemCaseSensitive(status, "workers");
	int ready = 0, all = 0;

	cJSON_ArrayForEach(worker, workers)
	{
		all++;
		ready += cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(worker, "ready"));
	}
	printf("wayleaved %s, mode %s, %d of %d workers ready\n", json_text_of(status, "version"),
		json_text_of(status, "mode"), ready, all);
	if (json_text_of(status, "reload_problem"))
		printf("PROBLEM: the newest configuration is not in force: %s\n",
			json_text_of(status, "reload_problem"));
	if (json_text_of(status, "recording_problem"))
		printf("PROBLEM: recording: %s\n", json_text_of(status, "recording_problem"));
	if (json_text_of(status, "retention_warning"))
		printf("WARNING: %s\n", json_text_of(status, "retention_warning"));
	if (json_text_of(status, "reviews_problem"))
		printf("PROBLEM: reviews: %s\n", json_text_of(status, "reviews_problem"));
	printf("reviews   %.0f pending, %.0f grants in force\n",
		json_number_of(status, "reviews_pending"), json_number_of(status, "grants"));
	print_canary(cJSON_GetObjectItemCaseSensitive(status, "canary"));
	print_slack(cJSON_GetObjectItemCaseSensitive(status, "slack"));
	print_limits(status);
	printf("sessions  %.0f now, %.0f since the workers started\n",
		json_number_of(status, "sessions"), json_number_of(status, "sessions_total"));
	printf("actions   %.0f, %.0f of them refused\n", json_number_of(status, "actions"),
		json_number_of(status, "denied"));
	print_nonzero("  ", cJSON_GetObjectItemCaseSensitive(status, "reasons"));
}

static void print_interfaces(const cJSON *list)
{
	const cJSON *name;

	printf("behind");
	cJSON_ArrayForEach(name, list)
	{
		if (cJSON_IsString(name))
			printf(" %s", name->valuestring);
	}
	printf(")\n");
}

static void print_status(const cJSON *status)
{
	const cJSON *agent, *agents = cJSON_GetObjectItemCaseSensitive(status, "agents");

	if (json_text_of(status, "mode"))
		print_host(status);
	cJSON_ArrayForEach(agent, agents)
	{
		printf("agent %s  (", json_text_of(agent, "name"));
		if (json_text_of(agent, "cgroup"))
			printf("cgroup %s)\n", json_text_of(agent, "cgroup"));
		else
			print_interfaces(cJSON_GetObjectItemCaseSensitive(agent, "interfaces"));
		print_nonzero("  ", cJSON_GetObjectItemCaseSensitive(agent, "connections"));
	}
}

int cli_status(const struct cli *cli, int argc, char **argv)
{
	struct buffer payload;
	cJSON *status;
	int result;

	if (argc != 1)
		return cli_usage(argc, argv,
			"usage: wayleave status [--json]\n\n"
			"Shows what the daemon governs, and how it does; inside an agent, of that "
			"agent alone.\n");
	buffer_init(&payload, CONTROL_PAYLOAD_MOST + 1);
	result = cli_fetch(cli, "status", CONTROL_STATUS, &payload);
	if (result == CLI_DONE && cli->json) {
		printf("%.*s\n", SLICE_PRINT(buffer_slice(&payload)));
	} else if (result == CLI_DONE) {
		status = cJSON_ParseWithLength(
			(const char *)buffer_slice(&payload).data, buffer_length(&payload));
		if (status)
			print_status(status);
		else
			result =
				cli_fail("status", CLI_REFUSED, "the daemon's answer is malformed");
		cJSON_Delete(status);
	}
	buffer_done(&payload);
	return result;
}
