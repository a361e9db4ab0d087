/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave reviews: list, show, approve, deny.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/reviews.h"

#define VERB "reviews"
#define TEXT_MOST (128u << 20)

struct options {
	const char *grant, *reason, *limit;
	bool watch, help;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: wayleave reviews [list] [--limit N | --watch]\n"
		"       wayleave reviews show ID\n"
		"       wayleave reviews approve ID [--for TIME] [--reason TEXT]\n"
		"       wayleave reviews deny ID --reason TEXT\n\n"
		"  --limit N       of those that ended the newest N; without: 500\n"
		"  --watch         go on: live at a terminal, else one line per change\n"
		"  --for TIME      not this action alone, but all that a grant covers, for 90s, "
		"30m,\n"
		"                  2h …, as far as the rule allows\n"
		"  --reason TEXT   why; stands in the audit log, and the agent reads it\n"
		"  --json          for programs\n");
}

static struct review_layout layout_of_output(void)
{
	struct review_layout l = {.now = clock_wall()};
	struct winsize size;

	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		l.width = size.ws_col;
		l.colours = !getenv("NO_COLOR");
	}
	return l;
}

static void print_list(const cJSON *list)
{
	struct review_layout l = layout_of_output();
	const cJSON *review;
	struct buffer b;

	buffer_init(&b, TEXT_MOST);
	review_text_head(&l, &b);
	buffer_append_byte(&b, '\n');
	cJSON_ArrayForEach(review, list)
	{
		review_text_row(review, &l, &b);
		buffer_append_byte(&b, '\n');
	}
	fwrite(buffer_slice(&b).data, 1, buffer_length(&b), stdout);
	buffer_done(&b);
}

/* *ret_cut: no more than `most` of those that ended are listed, and there may be. */
static int ask_list(
	const struct cli *cli, uint64_t most, cJSON **ret, bool *ret_cut, struct error *e)
{
	const struct control_reviews request = {.most = most};
	struct control_reviews_seen seen = {0};
	struct control_client client;
	struct buffer answer;
	int r = control_open(&client, cli->socket, e);

	if (r < 0)
		return r;
	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	r = reviews_ask(
		&client, CONTROL_REVIEWS, slice_of(&request, sizeof(request)), &answer, ret, e);
	control_close(&client);
	if (r == 0 && (!*ret || buffer_length(&answer) != sizeof(seen))) {
		cJSON_Delete(*ret);
		r = error_set(e, -EBADMSG, "the daemon's answer is malformed");
	}
	if (r == 0)
		memcpy(&seen, buffer_slice(&answer).data, sizeof(seen));
	buffer_done(&answer);
	*ret_cut = seen.cut;
	return r;
}

static int list(const struct cli *cli, const struct options *o)
{
	uint64_t most = LIMIT_REVIEWS_LISTED;
	cJSON *reviews = NULL;
	bool cut;
	struct error e;

	if (o->limit &&
		(text_to_number(slice_from_string(o->limit), LIMIT_REVIEWS_KEPT, &most) < 0 ||
			most == 0))
		return cli_fail(VERB, CLI_USAGE, "--limit %s: not a number from 1 to %u", o->limit,
			LIMIT_REVIEWS_KEPT);
	if (ask_list(cli, most, &reviews, &cut, &e) < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	if (cut)
		fprintf(stderr,
			"wayleave reviews: no more than the newest %lu of those that ended "
			"(--limit)\n",
			(unsigned long)most);
	if (cli->json)
		cli_json_print(reviews);
	else {
		print_list(reviews);
		cJSON_Delete(reviews);
	}
	return CLI_DONE;
}

static int show(const struct cli *cli, const char *id, const struct options *o)
{
	struct review_layout l = layout_of_output();
	struct buffer b;
	cJSON *review;
	struct error e;

	(void)o;
	if (reviews_ask_once(cli, CONTROL_REVIEW, slice_from_string(id), &review, &e) < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	if (cli->json) {
		cli_json_print(review);
		return CLI_DONE;
	}
	buffer_init(&b, TEXT_MOST);
	review_text_whole(review, &l, &b);
	fwrite(buffer_slice(&b).data, 1, buffer_length(&b), stdout);
	buffer_done(&b);
	cJSON_Delete(review);
	return CLI_DONE;
}

static int decide(
	const struct cli *cli, const char *id, bool approve, uint64_t grant, const char *reason)
{
	struct control_client client;
	struct error e;
	int r = control_open(&client, cli->socket, &e);

	if (r == 0) {
		r = reviews_decide(&client, id, approve, grant, reason, &e);
		control_close(&client);
	}
	if (r < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	if (cli->json)
		return show(cli, id, NULL);
	printf("%s: %s\n", id,
		r                 ? "your approval counts; others must approve too"
			: approve ? "approved"
				  : "denied");
	return CLI_DONE;
}

static int approve(const struct cli *cli, const char *id, const struct options *o)
{
	uint64_t grant = 0;

	if (o->grant &&
		(text_to_duration(slice_from_string(o->grant), &grant) < 0 ||
			grant < NANOSECONDS_PER_SECOND))
		return cli_fail(VERB, CLI_USAGE, "--for %s: expected a time like 30m", o->grant);
	return decide(cli, id, true, grant, o->reason);
}

static int deny(const struct cli *cli, const char *id, const struct options *o)
{
	if (!o->reason || !*o->reason)
		return cli_fail(VERB, CLI_USAGE, "a denial needs --reason TEXT");
	if (o->grant)
		return cli_fail(VERB, CLI_USAGE, "--for is for approvals");
	return decide(cli, id, false, 0, o->reason);
}

static int watch(const struct cli *cli)
{
	if (cli->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return reviews_watch_lines(cli);
	return reviews_watch_screen(cli);
}

static const struct subverb {
	const char *name;
	int (*function)(const struct cli *cli, const char *id, const struct options *o);
	bool decides;
} subverbs[] = {{"show", show, false}, {"approve", approve, true}, {"deny", deny, true}};

int cli_reviews(const struct cli *cli, int argc, char **argv)
{
	struct options o = {0};
	const struct cli_option options[] = {
		{"--for", &o.grant, NULL},
		{"--reason", &o.reason, NULL},
		{"--limit", &o.limit, NULL},
		{"--watch", NULL, &o.watch},
		{"--help", NULL, &o.help},
	};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));
	bool decision = o.grant || o.reason;

	/* A reader that goes away ("| head") ends the command, silently. */
	signal(SIGPIPE, SIG_DFL);
	if (o.help) {
		usage(stdout);
		return CLI_DONE;
	}
	if (!decision && !(o.watch && o.limit) &&
		(words == 0 || (words == 1 && strcmp(argv[1], "list") == 0)))
		return o.watch ? watch(cli) : list(cli, &o);
	for (size_t i = 0; words == 2 && !o.watch && !o.limit && i < ARRAY_SIZE(subverbs); i++) {
		if (strcmp(argv[1], subverbs[i].name) == 0 && (subverbs[i].decides || !decision))
			return subverbs[i].function(cli, argv[2], &o);
	}
	usage(stderr);
	return CLI_USAGE;
}
