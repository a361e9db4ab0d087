/* SPDX-License-Identifier: Apache-2.0
 *
 * cli: the command `wayleave`. One verb is one file; main.c has the table of them.
 */
#ifndef WAYLEAVE_CLI_CLI_H
#define WAYLEAVE_CLI_CLI_H

#include <stdbool.h>

#include "monitor/control.h"

/* Exit statuses (wayleave(1)). */
enum cli_status { CLI_DONE = 0, CLI_REFUSED = 1, CLI_USAGE = 2 };

struct cli {
	const char *socket; /* --socket, or NULL for WAYLEAVE_SOCKET or the default */
	bool json; /* --json */
};

/* Each gets what stands behind its verb: argv[0] is the verb. --socket and --json have been taken
 * out (in front of "--"). Returns the exit status. A usage error is printed with the verb's help.
 */
int cli_run(const struct cli *cli, int argc, char **argv);
int cli_status(const struct cli *cli, int argc, char **argv);
int cli_sessions(const struct cli *cli, int argc, char **argv);
int cli_audit(const struct cli *cli, int argc, char **argv);
int cli_reviews(const struct cli *cli, int argc, char **argv);
int cli_grants(const struct cli *cli, int argc, char **argv);
int cli_agents(const struct cli *cli, int argc, char **argv);
int cli_login(const struct cli *cli, int argc, char **argv);
int cli_logout(const struct cli *cli, int argc, char **argv);
int cli_policy(const struct cli *cli, int argc, char **argv);
int cli_ca(const struct cli *cli, int argc, char **argv);
int cli_known_hosts(const struct cli *cli, int argc, char **argv);
int cli_doctor(const struct cli *cli, int argc, char **argv);

/* The help, to stdout where "--help" asked for it, else as an error; the exit status. */
int cli_usage(int argc, char **argv, const char *help);
/* Fetches one payload without descriptors; an exit status, with what is wrong printed. */
int cli_fetch(
	const struct cli *cli, const char *verb, enum control_request type, struct buffer *ret);
/* The same of a request with a payload. */
int cli_fetch_of(const struct cli *cli, const char *verb, enum control_request type,
	struct slice request, struct buffer *ret);
/* Prints "wayleave VERB: TEXT" to stderr and returns `status`. */
int cli_fail(const char *verb, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
