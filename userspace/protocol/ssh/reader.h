/* SPDX-License-Identifier: Apache-2.0
 *
 * reader: commands that are a shell which reads its commands from its input.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_READER_H
#define WAYLEAVE_PROTOCOL_SSH_READER_H

#include "protocol/ssh/shell.h"

enum reader_kind {
	READER_NONE,
	READER_POSIX,
	READER_OTHER, /* its language is another one */
};

struct reader {
	enum reader_kind kind;
	/* It runs what it reads, as it is written, and nothing else: its options are few and known.
	 * Not so `bash -i`, `bash -sc x` or `su`. */
	bool plain;
};

/* What the command is: sh, bash -s, sudo -n dash -, env A=b sh, sudo -i. Where it is not known, it
 * is one rather than none. Other programs that would read some (python3 -) are none. */
struct reader reader_of(const struct shell_line *line, const struct shell_command *c);

/* Shells of the line that are given another input than the line's are not known from now on: where
 * their commands come from is not. */
void reader_doubt(struct shell_line *line);

#endif
