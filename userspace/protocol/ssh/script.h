/* SPDX-License-Identifier: Apache-2.0
 *
 * script: what can be told, before they run, of the commands that a shell reads from what the agent
 * sends.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SCRIPT_H
#define WAYLEAVE_PROTOCOL_SSH_SCRIPT_H

#include "protocol/ssh/reader.h"

/* Whether some command of the line is a shell that takes its commands from its input. */
enum reader_kind script_reader(const struct shell_line *line);

/* Whether what the agent sends is all that the shell of the line reads, and is read as it is: no
 * other command feeds it, or may read of it before, and no option or variable adds to it. */
bool script_is_all(const struct shell_line *line);

/* As shell_split(), for many lines, comments left out. What stands behind a command that may read
 * the shell's own input is not known: what is left of it begins somewhere else. Nor are shells that
 * read their own commands, and what a command of the shell's may run out of its words. */
int script_split(struct slice script, struct shell_line *ret);

#endif
