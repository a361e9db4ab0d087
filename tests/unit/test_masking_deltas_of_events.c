/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that events carry in pieces, of which one event has many.
 */
#include <errno.h>
#include <stdio.h>

#include "masking_deltas_test.h"

#define TEXT_MOST (1u << 20)

TestSuite(masking_deltas_of_events, .init = start, .fini = stop);

/* An event in which so many texts have the piece. */
static int take(unsigned texts, const char *piece)
{
	static char text[TEXT_MOST];
	size_t length = (size_t)snprintf(text, sizeof(text), "{\"choices\":[");

	for (unsigned t = 0; t < texts; t++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
			"%s{\"delta\":{\"content\":\"%s\"}}", t ? "," : "", piece);
	length += (size_t)snprintf(text + length, sizeof(text) - length, "]}");
	cr_assert_lt(length, sizeof(text));
	return mask_deltas_take(deltas, slice_of((const uint8_t *)text, length),
		slice_of((const uint8_t *)text, length), &out);
}

static bool has_left(const char *text)
{
	struct slice left = buffer_slice(&out);

	return left.length && memmem(left.data, left.length, text, strlen(text));
}

/* How many is what an agent asks for. */
Test(masking_deltas_of_events, a_value_over_several)
{
	static const unsigned counts[] = {1, 8, 9, 16, 17, 64, DELTAS_TEXTS_MOST};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		cr_assert_eq(take(counts[i], "so qz"), 0);
		cr_assert_eq(take(counts[i], "@zq"), 0);
		cr_assert_eq(take(counts[i], "q.com"), 0);
		cr_assert_eq(take(counts[i], " yes "), 0);
		cr_assert_eq(mask_deltas_end(deltas, &out), 0);
		cr_expect(has_left("so [masked]"), "%u: %.*s", counts[i],
			SLICE_PRINT(buffer_slice(&out)));
		cr_expect(has_left("\" yes \""));
		cr_expect_not(has_left("qz"), "%u", counts[i]);
		cr_expect_not(has_left("@"), "%u", counts[i]);
		cr_expect_not(has_left("zq"), "%u", counts[i]);
		cr_expect_not(has_left("q.com"), "%u", counts[i]);
		buffer_clear(&out);
	}
}

/* Of texts beyond those that are read, every piece. */
Test(masking_deltas_of_events, more_texts_than_are_read)
{
	cr_assert_eq(take(DELTAS_TEXTS_MOST + 1, "so qz"), 0);
	cr_assert_eq(take(DELTAS_TEXTS_MOST + 1, "@zqq.com"), 0);
	cr_assert_eq(take(DELTAS_TEXTS_MOST + 1, " yes "), 0);
	cr_assert_eq(mask_deltas_end(deltas, &out), 0);
	cr_expect(has_left("\"so [masked]\"") && has_left("\" yes \""));
	cr_expect(has_left("\"[masked]\""));
	cr_expect_not(has_left("qz"));
	cr_expect_not(has_left("zqq"));
}

Test(masking_deltas_of_events, more_pieces_than_may_be)
{
	cr_expect_eq(take(DELTAS_OF_EVENT_MOST, "so "), 0);
	cr_expect_eq(take(DELTAS_OF_EVENT_MOST + 1, "so "), -E2BIG);
}
