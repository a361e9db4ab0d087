/* SPDX-License-Identifier: Apache-2.0
 *
 * speed: what the tools that measure masking share: words that are the same in each run, and lines
 * of results.
 */
#ifndef WAYLEAVE_TESTS_SPEED_H
#define WAYLEAVE_TESTS_SPEED_H

#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"

static inline uint64_t speed_random(void)
{
	static uint64_t random_state = 88172645463325252ULL;

	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline const char *speed_word(void)
{
	static const char *const words[] = {"the", "order", "of", "customer", "was", "shipped",
		"to", "warehouse", "on", "a", "Monday", "and", "returned", "because", "colour",
		"did", "not", "match", "description", "in", "catalogue", "Überweisung", "café"};

	return words[speed_random() % ARRAY_SIZE(words)];
}

static inline void speed_add_words(struct buffer *b, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		buffer_append_format(b, i ? " %s" : "%s", speed_word());
}

static inline void speed_report(
	const char *name, const char *method, size_t bytes, uint64_t nanoseconds)
{
	printf("%-28s %-9s %7.0f MB/s\n", name, method, (double)bytes * 1e3 / (double)nanoseconds);
}

#endif
