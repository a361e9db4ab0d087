/* SPDX-License-Identifier: Apache-2.0
 *
 * script: shells that read their commands from what the agent sends, and what of those can be told
 * before they run.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SCRIPT_H
#define WAYLEAVE_PROTOCOL_SSH_SCRIPT_H

#include "protocol/ssh/shell.h"

enum script_reader {
	SCRIPT_NOT_READ,
	SCRIPT_READ,
	SCRIPT_READ_OTHERWISE, /* by a shell whose language is another one */
};

/* Whether some command of the line is a shell that takes its commands from its input: sh, bash -s,
 * sudo -n dash -. Other programs that would (python3 -) are not known. */
enum script_reader script_reader(const struct shell_line *line);

/* As shell_split(), for many lines, comments left out. What stands behind a command that may read
 * the shell's own input is not known: what is left of it begins somewhere else. */
int script_split(struct slice script, struct shell_line *ret);

#endif
