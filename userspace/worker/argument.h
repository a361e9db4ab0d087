/* SPDX-License-Identifier: Apache-2.0
 *
 * argument: which of a program's arguments may be shown. What names a secret hides what follows.
 * A password that nothing names can't be told from any other word, so code that an interpreter was
 * given, and the words that its script understands alone, are counted and not shown.
 */
#ifndef WAYLEAVE_WORKER_ARGUMENT_H
#define WAYLEAVE_WORKER_ARGUMENT_H

#include <stdbool.h>

#include "base/buffer.h"

struct argument_program;

/* Zeroes: the first argument comes next. */
struct argument_reader {
	const struct argument_program *program; /* static; NULL: none that is known */
	bool begun, hides_next, code_next, value_next;
	bool counts; /* all that come */
};

enum argument_kind {
	ARGUMENT_SHOWN, /* by argument_append_safe() */
	ARGUMENT_HIDDEN,
	ARGUMENT_START_SHOWN, /* an option's name, whose value is in the same word */
	ARGUMENT_CODE,
	ARGUMENT_COUNTED,
};

/* Arguments must come in order. ret_shown: of ARGUMENT_START_SHOWN, the bytes of the name. */
enum argument_kind argument_judge(
	struct argument_reader *r, struct slice argument, size_t *ret_shown);
/* The text without passwords of URLs and what stands behind words that name secrets: too much
 * rather than too little. buffer_append()'s errors. */
int argument_append_safe(struct buffer *b, struct slice argument);

#endif
