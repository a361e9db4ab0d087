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

static void print_text(const char *text, int width)
{
	struct slice s = slice_from_string(text);
	size_t used = cli_line_width(s);

	cli_print_line(stdout, s);
	printf("%*s  ", used < (size_t)width ? width - (int)used : 0, "");
}

static void print_groups(const cJSON *agent)
{
	const char *separator = "";
	const cJSON *group;

	cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(agent, "groups"))
	{
		fputs(separator, stdout);
		cli_print_line(stdout, slice_from_string(cJSON_GetStringValue(group)));
		separator = ", ";
	}
	putchar('\n');
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
	print_text(name, 16);
	print_text(review_text_of(agent, "state"), 9);
	print_text(review_text_of(agent, "identity"), 8);
	print_text(review_text_of(agent, "principal"), 24);
	print_text(review_text_of(agent, "expires"), 24);
	print_groups(agent);
	print_more("on behalf of ", review_text_of(agent, "on_behalf_of"));
	print_more("", review_text_of(agent, "problem"));
}

static void print_with_runs(const cJSON *agent)
{
	const cJSON *run;

	print_agent(agent, review_text_of(agent, "name"));
	cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(agent, "runs"))
		print_agent(run, "  a command");
}

static int list(const struct cli *cli)
{
	const cJSON *agent;
	struct error e;
	cJSON *agents;

	if (reviews_ask_once(cli, CONTROL_AGENTS, SLICE_EMPTY, &agents, &e) < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	if (cli->json) {
		cli_json_print(agents);
		return CLI_DONE;
	}
	printf("%-16s  %-9s  %-8s  %-24s  %-24s  GROUPS\n", "AGENT", "STATE", "IDENTITY",
		"PRINCIPAL", "UNTIL");
	cJSON_ArrayForEach(agent, agents) print_with_runs(agent);
	cJSON_Delete(agents);
	return CLI_DONE;
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
