/* SPDX-License-Identifier: Apache-2.0
 *
 * The command `wayleave`: options that all verbs share, and the table of verbs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/cli.h"

static const struct verb {
	const char *name;
	int (*function)(const struct cli *cli, int argc, char **argv);
	const char *help;
} verbs[] = {
	{"run", cli_run, "start a command inside an agent"},
	{"status", cli_status, "what the daemon governs, and how it does"},
	{"doctor", cli_doctor, "check the host, and try every way out of an agent"},
	{"reviews", cli_reviews, "what waits for a person: list, show, approve, deny"},
	{"grants", cli_grants, "approvals for a time: list, revoke"},
	{"agents", cli_agents, "whom they act for: list, suspend, resume"},
	{"login", cli_login, "say who you are, for the agents that you start"},
	{"logout", cli_logout, "end that"},
	{"sessions", cli_sessions, "list, show, replay, tail or end sessions"},
	{"audit", cli_audit, "verify or export the audit log"},
	{"policy", cli_policy, "check policy files, explain a verdict"},
	{"ca", cli_ca, "show the host's certificate authority"},
	{"known-hosts", cli_known_hosts, "our SSH host keys in the host's own known_hosts"},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: wayleave [--socket PATH] [--json] VERB …\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-11s %s\n", verbs[i].name, verbs[i].help);
	fprintf(out, "\n\"wayleave VERB --help\" explains one.\n");
}

/* Takes --socket and --json out of the words in front of "--", wherever they stand. False: --socket
 * has no path. */
static bool take_options(struct cli *cli, int *argc, char **argv)
{
	int kept = 1, i = 1;

	for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			cli->json = true;
		} else if (strncmp(argv[i], "--socket=", 9) == 0) {
			cli->socket = argv[i] + 9;
		} else if (strcmp(argv[i], "--socket") == 0) {
			if (i + 1 >= *argc)
				return false;
			cli->socket = argv[++i];
		} else {
			argv[kept++] = argv[i];
		}
	}
	while (i < *argc)
		argv[kept++] = argv[i++];
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

/* A text that was cut, as on a full disk, is no success. */
static int finish(int status)
{
	if ((fflush(stdout) == 0 && !ferror(stdout)) || status != CLI_DONE)
		return status;
	fprintf(stderr, "wayleave: not all could be printed: %s\n", strerror(errno));
	return CLI_REFUSED;
}

int main(int argc, char **argv)
{
	struct cli cli = {0};

	if (!take_options(&cli, &argc, argv) || argc < 2) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return CLI_DONE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return finish(verbs[i].function(&cli, argc - 1, argv + 1));
	}
	fprintf(stderr, "wayleave: there is no verb \"%s\"\n\n", argv[1]);
	usage(stderr);
	return CLI_USAGE;
}
