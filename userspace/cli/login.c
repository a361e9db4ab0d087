/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave login, logout: who the user of this host is, for the agents that they start.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/reviews.h"

#define LOOK_TIME 500000 /* microseconds */

static int usage(FILE *out, int status)
{
	fprintf(out,
		"usage: wayleave login [--issuer NAME]\n"
		"       wayleave login show\n\n"
		"Logs in with an issuer: shows an address and a code to use there, in any browser, "
		"and\n"
		"waits. What this user starts with `wayleave run` from then on is on behalf of "
		"who\n"
		"logged in, until the login ends or `wayleave logout`.\n\n"
		"  --issuer NAME  absent: the only one at which people can log in\n"
		"  --json         for programs: what came of it\n");
	return status;
}

static void print_place(const cJSON *login)
{
	const char *whole = json_text_of(login, "address_with_code");

	fprintf(stderr, "Open ");
	cli_print_line(stderr, slice_from_string(json_text_of(login, "address")));
	fprintf(stderr, "\nand enter the code ");
	cli_print_line(stderr, slice_from_string(json_text_of(login, "code")));
	if (whole && *whole) {
		fprintf(stderr, "\nor open ");
		cli_print_line(stderr, slice_from_string(whole));
	}
	fprintf(stderr, "\nand see that it shows the same code.\n");
}

static int look(struct control_client *client, cJSON **ret, struct error *e)
{
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_call(client, CONTROL_LOGIN_STATE, SLICE_EMPTY, &payload, NULL, NULL, e);
	if (r == 0) {
		*ret = cJSON_ParseWithLength(
			(const char *)buffer_slice(&payload).data, buffer_length(&payload));
		if (!*ret)
			r = error_set(e, -EBADMSG, "the daemon answered something else");
	}
	buffer_done(&payload);
	return r;
}

/* Until it is known who it is, or that it can't be known. */
static int wait_for_it(struct control_client *client, cJSON **ret, struct error *e)
{
	bool shown = false;

	for (;;) {
		cJSON *login;
		int r = look(client, &login, e);
		const char *state = r == 0 ? json_text_of(login, "state") : "";

		if (r < 0)
			return r;
		if (strcmp(state, "waiting") == 0 && !shown) {
			print_place(login);
			shown = true;
		}
		if (strcmp(state, "known") == 0 || strcmp(state, "failed") == 0) {
			*ret = login;
			return 0;
		}
		cJSON_Delete(login);
		usleep(LOOK_TIME);
	}
}

static int report(const struct cli *cli, cJSON *login)
{
	bool known = strcmp(json_text_of(login, "state"), "known") == 0;
	const char *problem = json_text_of(login, "problem");
	int status = CLI_DONE;

	if (!known) {
		status = cli_fail("login", CLI_REFUSED, "%s",
			problem ? problem : "it is under way, and nobody is logged in yet");
		cJSON_Delete(login);
	} else if (cli->json) {
		cli_json_print(login);
	} else {
		printf("logged in as ");
		cli_print_line(stdout, slice_from_string(json_text_of(login, "person")));
		printf(" until %s\n", json_text_of(login, "expires"));
		cJSON_Delete(login);
	}
	return status;
}

static int begin(struct control_client *client, const char *issuer, cJSON **ret, struct error *e)
{
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_call(client, CONTROL_LOGIN, slice_from_string(issuer), &payload, NULL, NULL, e);
	buffer_done(&payload);
	return r < 0 ? r : wait_for_it(client, ret, e);
}

static int log_in(const struct cli *cli, const char *issuer, bool show)
{
	struct control_client client;
	cJSON *login = NULL;
	struct error e;
	int r = control_open(&client, cli->socket, &e);

	if (r == 0) {
		r = show ? look(&client, &login, &e) : begin(&client, issuer, &login, &e);
		control_close(&client);
	}
	if (r < 0)
		return cli_fail("login", r == -EINVAL ? CLI_USAGE : CLI_REFUSED, "%s", e.text);
	return report(cli, login);
}

int cli_login(const struct cli *cli, int argc, char **argv)
{
	const char *issuer = NULL;
	bool help = false;
	const struct cli_option options[] = {{"--issuer", &issuer, NULL}, {"--help", NULL, &help}};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));

	signal(SIGPIPE, SIG_DFL);
	if (help)
		return usage(stdout, CLI_DONE);
	if (words == 0)
		return log_in(cli, issuer, false);
	if (words == 1 && strcmp(argv[1], "show") == 0)
		return log_in(cli, NULL, true);
	return usage(stderr, CLI_USAGE);
}

int cli_logout(const struct cli *cli, int argc, char **argv)
{
	struct buffer payload;
	int status;

	if (argc != 1)
		return cli_usage(argc, argv,
			"usage: wayleave logout\n\n"
			"What this user starts from then on is on nobody's behalf. What runs "
			"already\n"
			"stays on that of who started it.\n");
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	status = cli_fetch(cli, "logout", CONTROL_LOGOUT, &payload);
	buffer_done(&payload);
	return status;
}
