/* SPDX-License-Identifier: Apache-2.0
 *
 * doctor: what `wayleave doctor` has found out so far.
 */
#ifndef WAYLEAVE_CLI_DOCTOR_H
#define WAYLEAVE_CLI_DOCTOR_H

#include <cjson/cJSON.h>

#include "cli/cli.h"

enum doctor_state { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILED };

struct doctor {
	const struct cli *cli;
	const char *config_file;
	cJSON *checks; /* array */
	cJSON *ways; /* array, from the daemon; NULL */
	cJSON *runtimes; /* array */
	bool failed;
};

/* Adds one check's result. */
void doctor_note(struct doctor *d, enum doctor_state state, const char *name, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* doctor_host.c: whether this host has what Wayleave needs. */
void doctor_check_host(struct doctor *d);

#endif
