/* SPDX-License-Identifier: Apache-2.0
 *
 * What a text means, as words, and the same text with other numbers: what a shape promises is that
 * both mean the same. For the unit test and the fuzzer.
 */
#include "base/buffer.h"
#include "protocol/sql/cache.h"
#include "tests/unit/sql_database.h"

#define SHAPE_ARENA (16u << 20)

static struct mask_column shape_masks[] = {
	{{(const uint8_t *)"public.customers.ssn", 20}, MASK_REDACT, false},
	{{(const uint8_t *)"public.customers.salary", 23}, MASK_NULL, true},
};
static const struct mask_rules shape_rules = {
	.columns = shape_masks, .column_count = 2, .serial = 77};

static inline void shape_print_pairs(
	struct buffer *b, const struct action_pair *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buffer_append_format(b, "%d %d %d %.*s\n", pairs[i].operation, pairs[i].state,
			pairs[i].everything, SLICE_PRINT(pairs[i].object));
	buffer_append_string(b, "--\n");
}

static inline void shape_print_lineage(struct buffer *b, const struct sql_lineage *l)
{
	buffer_append_format(b, "%s %d\n", l->refusal ? l->refusal : "", l->touches_masked);
	for (size_t i = 0; !l->refusal && i < l->command_count; i++) {
		const struct sql_lineage_command *c = &l->commands[i];

		buffer_append_format(b, "%d %d %d %d:", c->has_outputs, c->touches_masked,
			c->rest.state, c->rest.strategy);
		for (size_t j = 0; j < c->output_count; j++)
			buffer_append_format(b, " %d/%d/%u", c->outputs[j].state,
				c->outputs[j].strategy, c->outputs[j].type.oid);
		buffer_append_string(b, "\n");
	}
}

static inline void shape_print_commands(struct buffer *b, const struct sql_text *t)
{
	for (size_t i = 0; i < sql_text_command_count(t); i++) {
		const struct sql_command *c = sql_text_command(t, i);

		buffer_append_format(b, "%d %x %d %d %d %.*s\n", c->kind, c->effects, c->all,
			c->hold, c->session_names, SLICE_PRINT(c->name));
	}
}

/* Everything that is known of the text. */
static inline void shape_describe(
	const struct sql_text *t, const struct sql_view *view, struct buffer *b)
{
	struct sql_resolution resolution;
	struct sql_lineage lineage;
	struct arena arena;

	arena_init(&arena, SHAPE_ARENA);
	shape_print_commands(b, t);
	if (sql_resolve(t, view, &arena, &resolution) == 0) {
		shape_print_pairs(b, resolution.pairs, resolution.pair_count);
		shape_print_pairs(b, resolution.later_pairs, resolution.later_count);
		buffer_append_format(b, "%x %x %d\n", resolution.unknown, resolution.effects,
			resolution.unresolved);
	}
	if (sql_trace(t, view, &shape_rules, &arena, &lineage) == 0)
		shape_print_lineage(b, &lineage);
	arena_done(&arena);
}

static inline size_t shape_digits(struct slice text, size_t at)
{
	size_t end = at;

	while (end < text.length && text.data[end] >= '0' && text.data[end] <= '9')
		end++;
	return end - at;
}

/* `text` with other numbers where `shape` has none; bits of `random` choose them. */
static inline void shape_renumber(
	struct slice text, struct slice shape, uint64_t random, struct buffer *ret)
{
	static const char *const numbers[] = {
		"0", "1", "2", "3", "7", "00", "25", "53", "100", "9999", "999999999"};
	size_t j = 0;

	for (size_t i = 0; i < text.length;) {
		size_t run = shape_digits(text, i), left = shape_digits(shape, j);
		bool free_standing =
			left == 1 && shape.data[j] == '0' && !(run == 1 && text.data[i] == '0');

		random = random * 6364136223846793005u + 1442695040888963407u;
		if (run && free_standing && (random >> 33) % 4)
			buffer_append_string(ret, numbers[(random >> 40) % ARRAY_SIZE(numbers)]);
		else
			buffer_append(ret, text.data + i, run ? run : 1);
		i += run ? run : 1;
		j += run ? left : 1;
	}
}

static inline bool shape_is(struct slice text, struct slice shape)
{
	uint8_t *own = memory_new(text.length + 1);
	size_t length;
	bool equal =
		sql_cache_shape(text, own, &length) && slice_equal(slice_of(own, length), shape);

	free(own);
	return equal;
}

/* Whether the promise holds for the text and one renumbering of it; NULL, or what differs (free()).
 */
static inline char *shape_break(struct slice text, const struct sql_view *view, uint64_t random)
{
	uint8_t *shape = memory_new(text.length + 1);
	struct sql_text *t = sql_text_parse(text), *other = NULL;
	struct buffer renumbered, first, second;
	char *difference = NULL;
	size_t length;

	buffer_init(&renumbered, 1 << 24);
	buffer_init(&first, 1 << 24);
	buffer_init(&second, 1 << 24);
	if (sql_text_status(t) == SQL_PARSED && !sql_text_depends_on_literals(t) &&
		sql_cache_shape(text, shape, &length)) {
		shape_renumber(text, slice_of(shape, length), random, &renumbered);
		if (!shape_is(buffer_slice(&renumbered), slice_of(shape, length)))
			abort(); /* this program's own mistake */
		other = sql_text_parse(buffer_slice(&renumbered));
		/* What our grammar refuses of it ("float(0)"), the server does. */
		if (sql_text_status(other) == SQL_PARSED) {
			shape_describe(t, view, &first);
			shape_describe(other, view, &second);
			if (!slice_equal(buffer_slice(&first), buffer_slice(&second)))
				difference = memory_copy_text(
					buffer_slice(&renumbered).data, buffer_length(&renumbered));
		}
	}
	sql_text_put(other);
	sql_text_put(t);
	buffer_done(&renumbered);
	buffer_done(&first);
	buffer_done(&second);
	free(shape);
	return difference;
}
