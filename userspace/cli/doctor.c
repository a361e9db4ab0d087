/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave doctor: whether this host has what Wayleave needs, and whether an agent's ways out are
 * closed, by having the daemon try them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/doctor.h"
#include "cli/recordings.h"
#include "cli/runtimes.h"
#include "monitor/control.h"
#include "policy/config.h"

#define CANARY_PATIENCE 150 /* tenths of a second */

static const char *const state_names[] = {"ok", "warning", "failed"};

void doctor_note(
	struct doctor *d, enum doctor_state state, const char *name, const char *format, ...)
{
	cJSON *item = cJSON_CreateObject();
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	cJSON_AddStringToObject(item, "name", name);
	cJSON_AddStringToObject(item, "state", state_names[state]);
	cJSON_AddStringToObject(item, "text", text);
	cJSON_AddItemToArray(d->checks, item);
	d->failed |= state == DOCTOR_FAILED;
}

/* --- the configuration, and what it names */

static void check_key(struct doctor *d, const struct config *config, const char *name)
{
	char *path = memory_format("%s/%s", config->state_dir.text, name);
	struct stat s;

	if (stat(path, &s) < 0)
		doctor_note(d, DOCTOR_WARNING, "keys", "%s: %s", path, strerror(errno));
	else if (s.st_uid != 0 || (s.st_mode & 077))
		doctor_note(d, DOCTOR_FAILED, "keys", "%s: not root's alone (mode %o)", path,
			s.st_mode & 07777u);
	else
		doctor_note(d, DOCTOR_OK, "keys", "%s", path);
	free(path);
}

/* A runtime that does not trust the CA is no mistake of the host's. */
static void check_runtimes(struct doctor *d, const struct config *config)
{
	struct error e;

	if (runtimes_report(config, d->runtimes, &e) < 0)
		doctor_note(d, DOCTOR_WARNING, "runtimes", "%s", e.text);
}

static void note_diagnostics(struct doctor *d, const struct diagnostics *found)
{
	for (size_t i = 0; i < found->count; i++) {
		const struct diagnostic *item = &found->items[i];

		doctor_note(d, item->level == DIAGNOSTIC_ERROR ? DOCTOR_FAILED : DOCTOR_WARNING,
			"configuration", "%s:%u: %s", item->file, item->line, item->text);
	}
}

static void check_config(struct doctor *d)
{
	struct diagnostics found;
	struct config *config = NULL;
	int r;

	diagnostics_init(&found);
	r = config_load(d->config_file, 0, &found, &config);
	note_diagnostics(d, &found);
	if (r == 0) {
		doctor_note(d, DOCTOR_OK, "configuration", "%s", d->config_file);
		check_key(d, config, "keys");
		check_key(d, config, "ca/ca.key");
		check_runtimes(d, config);
	}
	config_free(config);
	diagnostics_done(&found);
}

/* --- the daemon */

/* NULL: `e` says why. */
static cJSON *ask(struct doctor *d, enum control_request type, struct error *e)
{
	struct control_client client;
	struct buffer payload;
	cJSON *answer = NULL;
	int r = control_open(&client, d->cli->socket, e);

	if (r < 0)
		return NULL;
	buffer_init(&payload, CONTROL_PAYLOAD_MOST + 1);
	r = control_call(&client, type, SLICE_EMPTY, &payload, NULL, NULL, e);
	control_close(&client);
	if (r == 0) {
		struct slice text = buffer_slice(&payload);

		answer = cJSON_ParseWithLength((const char *)text.data, text.length);
		if (!answer)
			error_set(e, -EBADMSG, "the daemon's answer is malformed");
	}
	buffer_done(&payload);
	return answer;
}

static void check_unix(struct doctor *d, const cJSON *status)
{
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(status, "unix_sockets")))
		doctor_note(d, DOCTOR_OK, "unix sockets",
			"those of resources are turned to the workers");
	else
		doctor_note(d, DOCTOR_WARNING, "unix sockets",
			"agents can't be turned from them (kernel 6.7, a short runtime_dir): those "
			"of resources are hidden from wayleave run's commands, and open to others");
}

static void check_limits(struct doctor *d, const cJSON *status)
{
	const cJSON *limits = cJSON_GetObjectItemCaseSensitive(status, "worker_limits");

	if (json_text_of(limits, "problem"))
		doctor_note(
			d, DOCTOR_WARNING, "worker limits", "%s", json_text_of(limits, "problem"));
	else if (json_text_of(limits, "missing"))
		doctor_note(d, DOCTOR_WARNING, "worker limits",
			"cgroup2 has no controller %s here, so that is not limited",
			json_text_of(limits, "missing"));
	else
		doctor_note(d, DOCTOR_OK, "worker limits", "%.0f MiB of memory, %.0f tasks",
			json_number_of(limits, "memory") / (1 << 20),
			json_number_of(limits, "tasks"));
}

static void check_datagrams(struct doctor *d, const cJSON *status)
{
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(status, "datagram_limits")))
		doctor_note(d, DOCTOR_OK, "datagram limits", "an agent's bandwidth holds for them");
	else
		doctor_note(d, DOCTOR_WARNING, "datagram limits",
			"the kernel's nftables has no limit (CONFIG_NFT_LIMIT): an agent's "
			"bandwidth does not hold for datagrams");
}

static bool check_daemon(struct doctor *d)
{
	static const char *const problems[] = {
		"reload_problem", "recording_problem", "reviews_problem"};
	const cJSON *worker;
	struct error e;
	cJSON *status = ask(d, CONTROL_STATUS, &e);
	int all = 0, ready = 0;

	if (!status) {
		doctor_note(d, DOCTOR_FAILED, "daemon", "%s", e.text);
		return false;
	}
	cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(status, "workers"))
	{
		all++;
		ready += cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(worker, "ready"));
	}
	doctor_note(d, all && ready == all ? DOCTOR_OK : DOCTOR_FAILED, "daemon",
		"%s, %d of %d workers ready", json_text_of(status, "version"), ready, all);
	for (size_t i = 0; i < ARRAY_SIZE(problems); i++) {
		if (json_text_of(status, problems[i]))
			doctor_note(d, DOCTOR_FAILED, "daemon", "%s",
				json_text_of(status, problems[i]));
	}
	check_unix(d, status);
	check_limits(d, status);
	check_datagrams(d, status);
	cJSON_Delete(status);
	return true;
}

/* The first answer tells of the run before the one that it starts. */
static cJSON *wait_for_canary(struct doctor *d, struct error *e)
{
	cJSON *first = ask(d, CONTROL_CANARY, e), *now = NULL;
	double runs = first ? json_number_of(first, "runs") : 0;

	cJSON_Delete(first);
	if (!first)
		return NULL;
	for (int i = 0; i < CANARY_PATIENCE; i++) {
		usleep(100000);
		now = ask(d, CONTROL_STATUS, e);
		first = now ? cJSON_DetachItemFromObjectCaseSensitive(now, "canary") : NULL;
		cJSON_Delete(now);
		if (!now)
			return NULL;
		if (first && json_number_of(first, "runs") > runs)
			return first;
		cJSON_Delete(first);
	}
	error_set(e, -ETIMEDOUT, "the canary did not end");
	return NULL;
}

static void check_ways(struct doctor *d)
{
	struct error e;
	cJSON *canary = wait_for_canary(d, &e);
	const cJSON *way;

	if (!canary) {
		doctor_note(d, DOCTOR_FAILED, "canary", "%s", e.text);
		return;
	}
	if (json_text_of(canary, "problem"))
		doctor_note(
			d, DOCTOR_FAILED, "hooks and rules", "%s", json_text_of(canary, "problem"));
	else
		doctor_note(d, DOCTOR_OK, "hooks and rules", "all agents have them");
	d->ways = cJSON_DetachItemFromObjectCaseSensitive(canary, "ways");
	cJSON_ArrayForEach(way, d->ways) d->failed |=
		!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(way, "stopped"));
	cJSON_Delete(canary);
}

/* --- output */

/* What is found on the host, an agent may have named, and root reads it on a terminal. */
static void print_found(const char *text)
{
	cli_print_line(stdout, slice_from_string(text));
}

static void print_check(const cJSON *check)
{
	printf("%-8s %-16s ", json_text_of(check, "state"), json_text_of(check, "name"));
	print_found(json_text_of(check, "text"));
	putchar('\n');
}

static void print_way(const cJSON *way)
{
	bool stopped = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(way, "stopped"));

	printf("%-8s %-16s %s%s%s\n", stopped ? "stopped" : "OPEN", json_text_of(way, "name"),
		json_text_of(way, "text"), stopped ? ": " : "", json_text_of(way, "by"));
}

static void print_runtime(const cJSON *runtime)
{
	bool trusts = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(runtime, "trusts"));

	printf("%-8s %-16s ", trusts ? "trusts" : "NOT", json_text_of(runtime, "name"));
	print_found(json_text_of(runtime, "path"));
	printf(": ");
	print_found(json_text_of(runtime, "text"));
	putchar('\n');
}

static void print_text(const struct doctor *d)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, d->checks) print_check(item);
	if (d->ways)
		printf("\nways out of an agent:\n");
	cJSON_ArrayForEach(item, d->ways) print_way(item);
	if (cJSON_GetArraySize(d->runtimes))
		printf("\nwhat agents may use, and by what it trusts the host's CA:\n");
	cJSON_ArrayForEach(item, d->runtimes) print_runtime(item);
	printf("\n%s\n",
		d->failed ? "something is wrong: see \"failed\" and \"OPEN\" above"
			  : "all is well");
}

static void print_json(struct doctor *d)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	cJSON_AddBoolToObject(object, "ok", !d->failed);
	cJSON_AddItemReferenceToObject(object, "checks", d->checks);
	if (d->ways)
		cJSON_AddItemReferenceToObject(object, "ways", d->ways);
	cJSON_AddItemReferenceToObject(object, "runtimes", d->runtimes);
	text = cJSON_PrintUnformatted(object);
	puts(text ? text : "{}");
	free(text);
	cJSON_Delete(object);
}

static int take_options(struct doctor *d, int argc, char **argv)
{
	if (argc == 1)
		return 0;
	if (argc == 3 && strcmp(argv[1], "--config") == 0) {
		d->config_file = argv[2];
		return 0;
	}
	return argc == 2 && strcmp(argv[1], "--help") == 0 ? 1 : -EINVAL;
}

int cli_doctor(const struct cli *cli, int argc, char **argv)
{
	struct doctor d = {.cli = cli, .config_file = CONFIG_DEFAULT_FILE};
	int r = take_options(&d, argc, argv);

	if (r != 0) {
		fputs("usage: wayleave doctor [--config FILE] [--json]\n\n"
		      "Checks what Wayleave needs of this host, tells which runtimes would not "
		      "trust "
		      "its CA,\nand has the daemon try every way out of an agent: each must be "
		      "stopped. Root alone.\n\n"
		      "  --config FILE  the daemon's configuration (" CONFIG_DEFAULT_FILE ")\n",
			r > 0 ? stdout : stderr);
		return r > 0 ? CLI_DONE : CLI_USAGE;
	}
	if (geteuid() != 0)
		return cli_fail("doctor", CLI_REFUSED, "only root may ask for that");
	d.checks = cJSON_CreateArray();
	d.runtimes = cJSON_CreateArray();
	doctor_check_host(&d);
	check_config(&d);
	if (check_daemon(&d))
		check_ways(&d);
	if (cli->json)
		print_json(&d);
	else
		print_text(&d);
	cJSON_Delete(d.checks);
	cJSON_Delete(d.ways);
	cJSON_Delete(d.runtimes);
	return d.failed ? CLI_REFUSED : CLI_DONE;
}
