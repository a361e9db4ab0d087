/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave agents: list, suspend, resume.
 */
#include <signal.h>

#include "base/memory.h"
#include "cli/reviews.h"

#define VERB "agents"

static int usage(FILE *out, int status)
{
	fprintf(out,
		"usage: wayleave agents [list]\n"
		"       wayleave agents suspend NAME\n"
		"       wayleave agents resume NAME\n\n"
		"Whom each agent acts for, and until when. Everything that a suspended agent does "
		"is\n"
		"refused from then on, in sessions that are open too, until it is resumed.\n"
		"  --json          for programs\n");
	return status;
}

/* One line below it. */
static void print_more(const char *label, const char *text)
{
	if (!text || !*text)
		return;
	printf("    %s", label);
	cli_print_line(stdout, slice_from_string(text));
	putchar('\n');
}

/* An agent, or a command of one that is somebody of its own. */
static void print_agent(const cJSON *agent, const char *name)
{
	cli_print_cell(slice_from_string(name), 16);
	cli_print_cell(slice_from_string(json_text_of(agent, "state")), 9);
	cli_print_cell(slice_from_string(json_text_of(agent, "identity")), 8);
	cli_print_cell(slice_from_string(json_text_of(agent, "principal")), 24);
	cli_print_cell(slice_from_string(json_text_of(agent, "expires")), 24);
	cli_print_names(cJSON_GetObjectItemCaseSensitive(agent, "groups"));
	putchar('\n');
	print_more("on behalf of ", json_text_of(agent, "on_behalf_of"));
	print_more("", json_text_of(agent, "problem"));
}

static void print_with_runs(const cJSON *agent)
{
	const cJSON *run;

	print_agent(agent, json_text_of(agent, "name"));
	cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(agent, "runs"))
		print_agent(run, "  a command");
}

static int list(const struct cli *cli)
{
	char heading[128];

	snprintf(heading, sizeof(heading), "%-16s  %-9s  %-8s  %-24s  %-24s  GROUPS", "AGENT",
		"STATE", "IDENTITY", "PRINCIPAL", "UNTIL");
	return reviews_print_all(cli, VERB, CONTROL_AGENTS, heading, print_with_runs);
}

int cli_agents(const struct cli *cli, int argc, char **argv)
{
	bool help = false;
	const struct cli_option options[] = {{"--help", NULL, &help}};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));

	signal(SIGPIPE, SIG_DFL);
	if (help)
		return usage(stdout, CLI_DONE);
	if (words == 0 || (words == 1 && strcmp(argv[1], "list") == 0))
		return list(cli);
	if (words == 2 && strcmp(argv[1], "suspend") == 0)
		return reviews_tell(cli, VERB, CONTROL_SUSPEND, argv[2], "suspended");
	if (words == 2 && strcmp(argv[1], "resume") == 0)
		return reviews_tell(cli, VERB, CONTROL_RESUME, argv[2], "resumed");
	return usage(stderr, CLI_USAGE);
}
