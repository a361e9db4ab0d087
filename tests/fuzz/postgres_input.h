/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzzers of the PostgreSQL engine read: one byte of options, then steps, each a byte that
 * says whose it is, two of length (little-endian) and that many bytes.
 */
#ifndef WAYLEAVE_TESTS_POSTGRES_INPUT_H
#define WAYLEAVE_TESTS_POSTGRES_INPUT_H

#include <stdlib.h>

#include "tests/harness/engine_guard.h"
#include "tests/harness/transcript.h"

enum postgres_input_kind {
	POSTGRES_INPUT_AGENT,
	POSTGRES_INPUT_SERVER,
	POSTGRES_INPUT_AGENT_END,
	POSTGRES_INPUT_SERVER_END,
	POSTGRES_INPUT_KINDS
};

/* Far above what any input here can need: a few times the input, and the names of a database. */
#define POSTGRES_INPUT_MEMORY (48u << 20)

size_t __sanitizer_get_current_allocated_bytes(void);

/* The next step, moving `in` forward; false: there is none. */
static inline bool postgres_input_next(
	struct slice *in, enum postgres_input_kind *ret_kind, struct slice *ret_bytes)
{
	size_t length;

	if (in->length < 3)
		return false;
	*ret_kind = (enum postgres_input_kind)(in->data[0] % POSTGRES_INPUT_KINDS);
	length = in->data[1] | (size_t)in->data[2] << 8;
	*ret_bytes = slice_head(slice_from(*in, 3), length);
	*in = slice_from(*in, 3 + ret_bytes->length);
	return true;
}

/* Ends the program, with its reason, for the fuzzer to keep the input. */
static inline void postgres_input_check(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "invariant: %s\n", what);
	abort();
}

static inline void postgres_input_check_guard(const struct engine_guard *g)
{
	postgres_input_check(!g->broken, g->broken);
}

/* `before`: what was allocated before the session. */
static inline void postgres_input_check_memory(size_t before)
{
	postgres_input_check(
		__sanitizer_get_current_allocated_bytes() < before + POSTGRES_INPUT_MEMORY,
		"the session's memory is not bounded");
}

#endif
