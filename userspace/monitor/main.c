/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleaved: the command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/private_key.h"
#include "base/text.h"
#include "monitor/monitor.h"

static void usage(FILE *out)
{
	fputs("usage: wayleaved [--config FILE] [--check | --teardown]\n"
	      "\n"
	      "  --config FILE   the configuration (" CONFIG_DEFAULT_FILE ")\n"
	      "  --check         report everything that is wrong with it and its policies\n"
	      "  --teardown      remove the hooks, rules and cgroups of a daemon that has stopped\n"
	      "  --version\n",
		out);
}

static int check(const char *file)
{
	struct diagnostics d;
	struct config *config = NULL;
	int r;

	diagnostics_init(&d);
	r = config_load(file, 0, &d, &config);
	if (r == 0)
		r = authority_check(config, &d);
	diagnostics_print(&d, stderr);
	if (r == 0)
		printf("%s: %zu agents, %zu resources, %zu rules: no errors\n", file,
			config->agent_count, config->resource_count, config->rule_count);
	config_free(config);
	diagnostics_done(&d);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* How the monitor starts a worker (workers.c): the descriptor that tells it everything. */
static int worker(const char *argument)
{
	uint64_t fd;

	if (text_to_number(slice_from_string(argument), 1 << 20, &fd) < 0)
		return EXIT_FAILURE;
	worker_main((int)fd);
}

/* The same for the process that reads what is known of others (inspector_process.c). */
static int inspector(const char *argument)
{
	uint64_t fd;

	if (text_to_number(slice_from_string(argument), 1 << 20, &fd) < 0)
		return EXIT_FAILURE;
	return inspector_main((int)fd);
}

/* The same for the process that has an agent's own keys (own_keys_process.c). */
static int own_keys(const char *argument)
{
	uint64_t fd;

	if (text_to_number(slice_from_string(argument), 1 << 20, &fd) < 0)
		return EXIT_FAILURE;
	return own_keys_main((int)fd);
}

int main(int argc, char **argv)
{
	const char *file = CONFIG_DEFAULT_FILE;
	enum { RUN, CHECK, TEARDOWN } what = RUN;

	if (argc == 3 && strcmp(argv[1], "--worker") == 0)
		return worker(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--inspector") == 0)
		return inspector(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--own-keys") == 0)
		return own_keys(argv[2]);
	private_key_prepare();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc) {
			file = argv[++i];
		} else if (strncmp(argv[i], "--config=", 9) == 0) {
			file = argv[i] + 9;
		} else if (strcmp(argv[i], "--check") == 0) {
			what = CHECK;
		} else if (strcmp(argv[i], "--teardown") == 0) {
			what = TEARDOWN;
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("wayleaved " MONITOR_VERSION);
			return EXIT_SUCCESS;
		} else if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return EXIT_SUCCESS;
		} else {
			usage(stderr);
			return 2;
		}
	}
	if (what == CHECK)
		return check(file);
	if (geteuid() != 0) {
		fputs("wayleaved: must be started by root\n", stderr);
		return EXIT_FAILURE;
	}
	return what == TEARDOWN ? monitor_teardown(file) : monitor_run(file);
}
