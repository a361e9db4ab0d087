/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave grants: list, revoke.
 */
#include <signal.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/reviews.h"

#define VERB "grants"

static int usage(FILE *out, int status)
{
	fprintf(out,
		"usage: wayleave grants [list]\n"
		"       wayleave grants revoke ID\n\n"
		"A grant is an approval for a time. A revoked one covers no action from then on.\n"
		"  --json          for programs\n");
	return status;
}

/* Protocols have a database, a user, both or none. */
static void print_place(const cJSON *grant)
{
	const char *database = json_text_of(grant, "database");
	const char *user = json_text_of(grant, "user"), *role = json_text_of(grant, "as");

	if (*database) {
		fputs(" in ", stdout);
		cli_print_line(stdout, slice_from_string(database));
	}
	if (*user) {
		fputs(" as ", stdout);
		cli_print_line(stdout, slice_from_string(user));
	}
	if (role && *role) {
		fputs(" running as ", stdout);
		cli_print_line(stdout, slice_from_string(role));
	}
}

static void print_grant(const cJSON *grant)
{
	uint64_t now = clock_wall(), end = review_time_of(grant, "end");
	char left[32];

	review_text_duration(end > now ? end - now : 0, left, sizeof(left));
	cli_print_cell(slice_from_string(json_text_of(grant, "id")), 6);
	cli_print_cell(slice_from_string(json_text_of(grant, "review")), 6);
	printf("%7s  ", left);
	cli_print_cell(slice_from_string(json_text_of(grant, "agent")), 14);
	cli_print_cell(slice_from_string(json_text_of(grant, "resource")), 12);
	cli_print_cell(slice_from_string(json_text_of(grant, "by")), 12);
	cli_print_names(cJSON_GetObjectItemCaseSensitive(grant, "operations"));
	fputs(" on ", stdout);
	cli_print_names(cJSON_GetObjectItemCaseSensitive(grant, "objects"));
	print_place(grant);
	fputs(" by rule ", stdout);
	cli_print_names(cJSON_GetObjectItemCaseSensitive(grant, "rules"));
	putchar('\n');
}

static int list(const struct cli *cli)
{
	char heading[128];

	snprintf(heading, sizeof(heading), "%-6s  %-6s  %7s  %-14s  %-12s  %-12s  COVERS", "GRANT",
		"REVIEW", "LEFT", "AGENT", "RESOURCE", "BY");
	return reviews_print_all(cli, VERB, CONTROL_GRANTS, heading, print_grant);
}

int cli_grants(const struct cli *cli, int argc, char **argv)
{
	bool help = false;
	const struct cli_option options[] = {{"--help", NULL, &help}};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));

	signal(SIGPIPE, SIG_DFL);
	if (help)
		return usage(stdout, CLI_DONE);
	if (words == 0 || (words == 1 && strcmp(argv[1], "list") == 0))
		return list(cli);
	if (words == 2 && strcmp(argv[1], "revoke") == 0)
		return reviews_tell(cli, VERB, CONTROL_REVOKE, argv[2], "revoked");
	return usage(stderr, CLI_USAGE);
}
