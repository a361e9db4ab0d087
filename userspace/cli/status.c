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

static double number(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *text(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : NULL;
}

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
	if (text(slack, "since"))
		printf("PROBLEM: slack: failing since %s: %s (%.0f of the %.0f messages that "
		       "wait)\n",
			text(slack, "since"), text(slack, "why"), number(slack, "failing"),
			number(slack, "waiting"));
	else
		printf("slack     ok\n");
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
	printf("wayleaved %s, mode %s, %d of %d workers ready\n", text(status, "version"),
		text(status, "mode"), ready, all);
	if (text(status, "reload_problem"))
		printf("PROBLEM: the newest configuration is not in force: %s\n",
			text(status, "reload_problem"));
	if (text(status, "recording_problem"))
		printf("PROBLEM: recording: %s\n", text(status, "recording_problem"));
	if (text(status, "retention_warning"))
		printf("WARNING: %s\n", text(status, "retention_warning"));
	if (text(status, "reviews_problem"))
		printf("PROBLEM: reviews: %s\n", text(status, "reviews_problem"));
	printf("reviews   %.0f pending, %.0f grants in force\n", number(status, "reviews_pending"),
		number(status, "grants"));
	print_slack(cJSON_GetObjectItemCaseSensitive(status, "slack"));
	printf("sessions  %.0f now, %.0f since the workers started\n", number(status, "sessions"),
		number(status, "sessions_total"));
	printf("actions   %.0f, %.0f of them refused\n", number(status, "actions"),
		number(status, "denied"));
	print_nonzero("  ", cJSON_GetObjectItemCaseSensitive(status, "reasons"));
}

static void print_status(const cJSON *status)
{
	const cJSON *agent, *agents = cJSON_GetObjectItemCaseSensitive(status, "agents");

	if (text(status, "mode"))
		print_host(status);
	cJSON_ArrayForEach(agent, agents)
	{
		printf("agent %s  (cgroup %s)\n", text(agent, "name"), text(agent, "cgroup"));
		print_nonzero("  ", cJSON_GetObjectItemCaseSensitive(agent, "connections"));
	}
}

/* Fetches one payload without descriptors. */
static int fetch(
	const struct cli *cli, const char *verb, enum control_request type, struct buffer *ret)
{
	struct control_client client;
	struct error e;
	int r = control_open(&client, cli->socket, &e);

	if (r == 0) {
		r = control_call(&client, type, SLICE_EMPTY, ret, NULL, NULL, &e);
		control_close(&client);
	}
	return r < 0 ? cli_fail(verb, CLI_REFUSED, "%s", e.text) : CLI_DONE;
}

/* To stdout where it was asked for, else as an error. */
static int usage(int argc, char **argv, const char *help)
{
	bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;

	fputs(help, asked ? stdout : stderr);
	return asked ? CLI_DONE : CLI_USAGE;
}

static void print_certificate(struct slice pem)
{
	cJSON *json = cJSON_CreateObject();

	json_add_text(json, "certificate", pem);
	cli_json_print_line(json);
}

int cli_status(const struct cli *cli, int argc, char **argv)
{
	struct buffer payload;
	cJSON *status;
	int result;

	if (argc != 1)
		return usage(argc, argv,
			"usage: wayleave status [--json]\n\n"
			"Shows what the daemon governs, and how it does; inside an agent, of that "
			"agent alone.\n");
	buffer_init(&payload, CONTROL_PAYLOAD_MOST + 1);
	result = fetch(cli, "status", CONTROL_STATUS, &payload);
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

int cli_ca(const struct cli *cli, int argc, char **argv)
{
	struct buffer payload;
	int result;

	if (argc != 2 || strcmp(argv[1], "show") != 0)
		return usage(argc, argv,
			"usage: wayleave ca show [--json]\n\n"
			"Prints the certificate (PEM) of the authority whose certificates agents "
			"see.\n");
	buffer_init(&payload, CONTROL_PAYLOAD_MOST + 1);
	result = fetch(cli, "ca", CONTROL_CA, &payload);
	if (result == CLI_DONE && cli->json)
		print_certificate(buffer_slice(&payload));
	else if (result == CLI_DONE)
		printf("%.*s", SLICE_PRINT(buffer_slice(&payload)));
	buffer_done(&payload);
	return result;
}
