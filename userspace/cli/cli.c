/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cli_fail(const char *verb, int status, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "wayleave %s: ", verb);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return status;
}

int cli_usage(int argc, char **argv, const char *help)
{
	bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;

	fputs(help, asked ? stdout : stderr);
	return asked ? CLI_DONE : CLI_USAGE;
}

int cli_fetch(
	const struct cli *cli, const char *verb, enum control_request type, struct buffer *ret)
{
	return cli_fetch_of(cli, verb, type, SLICE_EMPTY, ret);
}

int cli_fetch_of(const struct cli *cli, const char *verb, enum control_request type,
	struct slice request, struct buffer *ret)
{
	struct control_client client;
	struct error e;
	int r = control_open(&client, cli->socket, &e);

	if (r == 0) {
		r = control_call(&client, type, request, ret, NULL, NULL, &e);
		control_close(&client);
	}
	return r < 0 ? cli_fail(verb, CLI_REFUSED, "%s", e.text) : CLI_DONE;
}
