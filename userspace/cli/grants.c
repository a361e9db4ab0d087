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

static void print_names(const cJSON *grant, const char *name)
{
	const char *separator = "";
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(grant, name))
	{
		fputs(separator, stdout);
		cli_print_line(stdout, slice_from_string(cJSON_GetStringValue(item)));
		separator = ", ";
	}
}

static void print_text(const cJSON *grant, const char *name, int width)
{
	struct slice text = slice_from_string(review_text_of(grant, name));
	size_t used = cli_line_width(text);

	cli_print_line(stdout, text);
	printf("%*s  ", used < (size_t)width ? width - (int)used : 0, "");
}

/* Protocols have a database, a user, both or none. */
static void print_place(const cJSON *grant)
{
	const char *database = review_text_of(grant, "database");
	const char *user = review_text_of(grant, "user"), *role = review_text_of(grant, "as");

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

static void print_grant(const cJSON *grant, uint64_t now)
{
	uint64_t end = review_time_of(grant, "end");
	char left[32];

	review_text_duration(end > now ? end - now : 0, left, sizeof(left));
	print_text(grant, "id", 6);
	print_text(grant, "review", 6);
	printf("%7s  ", left);
	print_text(grant, "agent", 14);
	print_text(grant, "resource", 12);
	print_text(grant, "by", 12);
	print_names(grant, "operations");
	fputs(" on ", stdout);
	print_names(grant, "objects");
	print_place(grant);
	fputs(" by rule ", stdout);
	print_names(grant, "rules");
	putchar('\n');
}

static int list(const struct cli *cli)
{
	const cJSON *grant;
	struct error e;
	cJSON *grants;

	if (reviews_ask_once(cli, CONTROL_GRANTS, SLICE_EMPTY, &grants, &e) < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	if (cli->json) {
		cli_json_print(grants);
		return CLI_DONE;
	}
	printf("%-6s  %-6s  %7s  %-14s  %-12s  %-12s  COVERS\n", "GRANT", "REVIEW", "LEFT", "AGENT",
		"RESOURCE", "BY");
	cJSON_ArrayForEach(grant, grants) print_grant(grant, clock_wall());
	cJSON_Delete(grants);
	return CLI_DONE;
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
