/* SPDX-License-Identifier: Apache-2.0
 *
 * Short ways to say what a text means in the small database of sql_database.h: "update! public.t,
 * select public.t": "!" for everything, "?" for an object that is not known, " | " before what is
 * only prepared.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "protocol/sql/cache.h"
#include "sql_database.h"

static inline void sql_test_print_pairs(
	struct buffer *b, const struct action_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buffer_append_format(b, "%s%s%s", i ? ", " : "", operation_name(pairs[i].operation),
			pairs[i].everything ? "!" : "");
		if (pairs[i].state != OBJECT_NONE)
			buffer_append_format(b, " %s%.*s",
				pairs[i].state == OBJECT_UNKNOWN ? "?" : "",
				SLICE_PRINT(pairs[i].object));
	}
}

/* The pairs of a text as words; free with free(). */
static inline char *sql_test_pairs(
	const char *text, const struct sql_view *view, struct sql_resolution *ret)
{
	struct sql_text *t = sql_text_parse(sql_test_slice(text));
	struct buffer b;
	struct arena arena;
	char *words;

	arena_init(&arena, SQL_TEST_ARENA);
	buffer_init(&b, SQL_TEST_ARENA);
	cr_assert_eq(sql_text_status(t), SQL_PARSED, "%s: %s", text, sql_text_problem(t));
	cr_assert_eq(sql_resolve(t, view, &arena, ret), 0, "%s", text);
	sql_test_print_pairs(&b, ret->pairs, ret->pair_count);
	if (ret->later_count)
		buffer_append_string(&b, " | ");
	sql_test_print_pairs(&b, ret->later_pairs, ret->later_count);
	words = memory_copy_text(buffer_slice(&b).data, buffer_length(&b));
	buffer_done(&b);
	arena_done(&arena);
	sql_text_put(t);
	return words;
}

static inline void sql_test_expect(
	const char *text, const struct sql_view *view, const char *expected)
{
	struct sql_resolution resolution;
	char *found = sql_test_pairs(text, view, &resolution);

	cr_expect_str_eq(
		found, expected, "%s\n  found    %s\n  expected %s", text, found, expected);
	free(found);
}
