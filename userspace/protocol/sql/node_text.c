/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/node_text.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"

#define DEPTH_MOST 10000
#define FIRST_USER_OID 16384 /* FirstNormalObjectId, access/transam.h */

enum node_kind {
	NODE_OTHER, /* also lists */
	NODE_QUERY, /* the outermost */
	NODE_RANGES, /* its list of range table entries */
	NODE_RANGE,
	NODE_TARGETS, /* its target list */
	NODE_TARGET,
	NODE_VARIABLE,
};

struct node_reader {
	struct slice rest;
	struct node_query *query;
	size_t range_room, target_room, variable_room;
	uint8_t *stack; /* enum node_kind of each open node or list */
	size_t depth, stack_room;
	struct slice field; /* of the innermost node, whose value comes next */
	bool in_target;
	bool seen_query;
};

/* A field whose value is a number, and where it goes. */
struct node_field {
	enum node_kind of;
	const char *name;
	void (*store)(struct node_reader *r, uint32_t value);
};

static struct node_range *last_range(struct node_reader *r)
{
	return &r->query->ranges[r->query->range_count - 1];
}

static struct node_target *last_target(struct node_reader *r)
{
	return &r->query->targets[r->query->target_count - 1];
}

static struct node_variable *last_variable(struct node_reader *r)
{
	return &r->query->variables[r->query->variable_count - 1];
}

static void store_range_kind(struct node_reader *r, uint32_t value)
{
	last_range(r)->kind = value;
}

static void store_range_relation(struct node_reader *r, uint32_t value)
{
	last_range(r)->relation = value;
}

static void store_target_number(struct node_reader *r, uint32_t value)
{
	last_target(r)->number = value;
}

static void store_target_origin(struct node_reader *r, uint32_t value)
{
	last_target(r)->origin = value;
}

static void store_target_column(struct node_reader *r, uint32_t value)
{
	last_target(r)->origin_column = value;
}

static void store_variable_range(struct node_reader *r, uint32_t value)
{
	last_variable(r)->range = value;
}

static void store_variable_column(struct node_reader *r, uint32_t value)
{
	last_variable(r)->column = value;
}

static void store_variable_level(struct node_reader *r, uint32_t value)
{
	if (value)
		last_target(r)->complicated = true;
}

static void store_code(struct node_reader *r, uint32_t value)
{
	if (r->in_target && value >= FIRST_USER_OID)
		last_target(r)->user_code = true;
}

static void store_function(struct node_reader *r, uint32_t value)
{
	if (r->in_target)
		last_target(r)->calls = true;
	store_code(r, value);
}

static const struct node_field fields[] = {
	{NODE_RANGE, ":rtekind", store_range_kind},
	{NODE_RANGE, ":relid", store_range_relation},
	{NODE_TARGET, ":resno", store_target_number},
	{NODE_TARGET, ":resorigtbl", store_target_origin},
	{NODE_TARGET, ":resorigcol", store_target_column},
	{NODE_VARIABLE, ":varno", store_variable_range},
	{NODE_VARIABLE, ":varattno", store_variable_column},
	{NODE_VARIABLE, ":varlevelsup", store_variable_level},
	{NODE_OTHER, ":funcid", store_function},
	{NODE_OTHER, ":opno", store_code},
	{NODE_OTHER, ":aggfnoid", store_code},
	{NODE_OTHER, ":winfnoid", store_code},
};

static int grow(void **array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room ? *room * 2 : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*array, wanted * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = wanted;
	return 0;
}

static enum node_kind innermost(const struct node_reader *r)
{
	return r->depth ? (enum node_kind)r->stack[r->depth - 1] : NODE_OTHER;
}

static int push(struct node_reader *r, enum node_kind kind)
{
	int result;

	if (r->depth == DEPTH_MOST)
		return -EINVAL;
	result = grow((void **)&r->stack, r->depth, &r->stack_room, sizeof(*r->stack));
	if (result < 0)
		return result;
	r->stack[r->depth++] = (uint8_t)kind;
	r->field = SLICE_EMPTY;
	return 0;
}

static int add_range(struct node_reader *r)
{
	struct node_query *q = r->query;
	int result = grow((void **)&q->ranges, q->range_count, &r->range_room, sizeof(*q->ranges));

	if (result == 0)
		q->ranges[q->range_count++] = (struct node_range){.kind = UINT32_MAX};
	return result;
}

static int add_target(struct node_reader *r)
{
	struct node_query *q = r->query;
	int result =
		grow((void **)&q->targets, q->target_count, &r->target_room, sizeof(*q->targets));

	if (result == 0)
		q->targets[q->target_count++] =
			(struct node_target){.first_variable = (uint32_t)q->variable_count};
	r->in_target = true;
	return result;
}

static int add_variable(struct node_reader *r)
{
	struct node_query *q = r->query;
	int result = grow((void **)&q->variables, q->variable_count, &r->variable_room,
		sizeof(*q->variables));

	if (result == 0) {
		q->variables[q->variable_count++] = (struct node_variable){0};
		last_target(r)->variable_count++;
	}
	return result;
}

/* "{NAME": what it is, by its name and by what it stands in. */
static int open_node(struct node_reader *r, struct slice name)
{
	enum node_kind outer = innermost(r), kind = NODE_OTHER;
	int result = 0;

	if (!r->seen_query && slice_equal_string(name, "QUERY")) {
		kind = NODE_QUERY;
		r->seen_query = true;
	} else if (outer == NODE_RANGES) {
		kind = NODE_RANGE;
		result = add_range(r);
	} else if (outer == NODE_TARGETS) {
		kind = NODE_TARGET;
		result = add_target(r);
	} else if (r->in_target && slice_equal_string(name, "VAR")) {
		kind = NODE_VARIABLE;
		result = add_variable(r);
	} else if (r->in_target && slice_equal_string(name, "SUBLINK")) {
		last_target(r)->complicated = true;
	}
	return result < 0 ? result : push(r, kind);
}

static int open_list(struct node_reader *r)
{
	enum node_kind kind = NODE_OTHER;

	if (innermost(r) == NODE_QUERY && slice_equal_string(r->field, ":rtable"))
		kind = NODE_RANGES;
	else if (innermost(r) == NODE_QUERY && slice_equal_string(r->field, ":targetList"))
		kind = NODE_TARGETS;
	return push(r, kind);
}

static int close_one(struct node_reader *r)
{
	if (r->depth == 0)
		return -EINVAL;
	if (innermost(r) == NODE_TARGET)
		r->in_target = false;
	r->depth--;
	r->field = SLICE_EMPTY;
	return 0;
}

static void take_value(struct node_reader *r, struct slice word)
{
	enum node_kind kind = innermost(r);
	uint64_t value;

	if (kind == NODE_TARGET && slice_equal_string(r->field, ":resjunk"))
		last_target(r)->hidden = !slice_equal_string(word, "false");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].of != kind || !slice_equal_string(r->field, fields[i].name))
			continue;
		/* A negative or broken number is a column or object that is not known. */
		if (text_to_number(word, UINT32_MAX, &value) < 0)
			value = UINT32_MAX;
		fields[i].store(r, (uint32_t)value);
	}
	r->field = SLICE_EMPTY;
}

static bool ends_word(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '(' || c == ')' ||
		c == '{' || c == '}';
}

/* A run of other bytes; what stands behind a backslash belongs to it. */
static struct slice take_word(struct node_reader *r)
{
	struct slice word = r->rest;
	size_t length = 0;

	while (length < word.length && !ends_word(word.data[length]))
		length += word.data[length] == '\\' && length + 1 < word.length ? 2 : 1;
	r->rest = slice_from(word, length);
	return slice_head(word, length);
}

static int step(struct node_reader *r)
{
	uint8_t c = r->rest.data[0];
	struct slice word;

	if (c == '{' || c == '(' || c == '}' || c == ')' || ends_word(c))
		r->rest = slice_from(r->rest, 1);
	switch (c) {
	case '{':
		return open_node(r, take_word(r));
	case '(':
		return open_list(r);
	case '}':
	case ')':
		return close_one(r);
	default:
		if (ends_word(c))
			return 0;
	}
	word = take_word(r);
	if (word.data[0] == ':')
		r->field = word;
	else if (r->field.length)
		take_value(r, word);
	return 0;
}

int node_query_read(struct slice text, struct node_query *ret)
{
	struct node_query query = {0};
	struct node_reader r = {.rest = text, .query = &query};
	int result = 0;

	while (result == 0 && r.rest.length)
		result = step(&r);
	free(r.stack);
	if (result == 0 && (r.depth != 0 || !r.seen_query || query.target_count == 0))
		result = -EINVAL;
	if (result < 0) {
		node_query_done(&query);
		return result;
	}
	*ret = query;
	return 0;
}

void node_query_done(struct node_query *q)
{
	free(q->ranges);
	free(q->targets);
	free(q->variables);
	*q = (struct node_query){0};
}
