/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/tree.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"

/* libpg_query writes a node as {"TypeName":{fields}}, and a field of one known type as {fields}.
 * Types begin with a capital letter, fields don't. */
struct tree_frame {
	tree_index node;
	tree_index last; /* child */
	uint32_t closers; /* braces or brackets that end it */
};

struct tree_reader {
	const uint8_t *at, *end;
	struct tree *tree;
	uint32_t node_capacity;
	struct tree_frame *frames;
	uint32_t depth, frame_capacity, depth_most;
	enum tree_field field; /* of the value that comes next */
};

#define NAME_SLOTS 2048 /* a power of two, several times the number of names */

struct name_slot {
	const char *name;
	uint8_t length;
	uint16_t value;
	bool type;
};

static struct name_slot name_slots[NAME_SLOTS];

/* What a field holds where the JSON does not say: its only possible type. */
static uint8_t field_types[FIELD_COUNT];

static const struct {
	enum tree_field field;
	enum tree_type type;
} implied_types[] = {
	{FIELD_action, TYPE_GrantStmt},
	{FIELD_alias, TYPE_Alias},
	{FIELD_authrole, TYPE_RoleSpec},
	{FIELD_base, TYPE_CreateStmt},
	{FIELD_constrrel, TYPE_RangeVar},
	{FIELD_func, TYPE_ObjectWithArgs},
	{FIELD_funccall, TYPE_FuncCall},
	{FIELD_infer, TYPE_InferClause},
	{FIELD_into, TYPE_IntoClause},
	{FIELD_intoClause, TYPE_IntoClause},
	{FIELD_join_using_alias, TYPE_Alias},
	{FIELD_larg, TYPE_SelectStmt},
	{FIELD_onConflictClause, TYPE_OnConflictClause},
	{FIELD_opername, TYPE_ObjectWithArgs},
	{FIELD_over, TYPE_WindowDef},
	{FIELD_pktable, TYPE_RangeVar},
	{FIELD_pubtable, TYPE_PublicationTable},
	{FIELD_rarg, TYPE_SelectStmt},
	{FIELD_rel, TYPE_RangeVar},
	{FIELD_relation, TYPE_RangeVar},
	{FIELD_role, TYPE_RoleSpec},
	{FIELD_sequence, TYPE_RangeVar},
	{FIELD_setstmt, TYPE_VariableSetStmt},
	{FIELD_table, TYPE_RangeVar},
	{FIELD_typeName, TYPE_TypeName},
	{FIELD_type_name, TYPE_TypeName},
	{FIELD_typevar, TYPE_RangeVar},
	{FIELD_view, TYPE_RangeVar},
	{FIELD_withClause, TYPE_WithClause},
};

static uint32_t name_hash(const uint8_t *name, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ name[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static void name_add(const char *name, uint16_t value, bool type)
{
	size_t length = strlen(name);
	uint32_t slot = name_hash((const uint8_t *)name, length) % NAME_SLOTS;

	while (name_slots[slot].name)
		slot = (slot + 1) % NAME_SLOTS;
	name_slots[slot] = (struct name_slot){name, (uint8_t)length, value, type};
}

static void names_init(void)
{
#define NODE(name) name_add(#name, TYPE_##name, true);
#define FIELD(name) name_add(#name, FIELD_##name, false);
#include "protocol/sql/names.inc"
#undef NODE
#undef FIELD
	for (size_t i = 0; i < ARRAY_SIZE(implied_types); i++)
		field_types[implied_types[i].field] = (uint8_t)implied_types[i].type;
}

/* 0 (TYPE_NONE, FIELD_NONE) for a name that is not in names.inc. */
static uint16_t name_find(const uint8_t *name, size_t length, bool type)
{
	uint32_t slot = name_hash(name, length) % NAME_SLOTS;

	for (; name_slots[slot].name; slot = (slot + 1) % NAME_SLOTS) {
		const struct name_slot *s = &name_slots[slot];

		if (s->length == length && s->type == type && memcmp(s->name, name, length) == 0)
			return s->value;
	}
	return 0;
}

/* Doubles an array that is full. */
static int reader_grow(void **array, uint32_t *capacity, size_t size)
{
	uint32_t wanted = *capacity ? *capacity * 2 : 64;
	void *grown = wanted > *capacity ? realloc(*array, wanted * size) : NULL;

	if (!grown)
		return -ENOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

/* Appends a node as the next child of the innermost open one. */
static int reader_add(struct tree_reader *r, enum tree_kind kind, tree_index *ret)
{
	struct tree *t = r->tree;
	struct tree_frame *frame = r->depth ? &r->frames[r->depth - 1] : NULL;
	tree_index n = t->node_count;

	if (n == r->node_capacity &&
		reader_grow((void **)&t->nodes, &r->node_capacity, sizeof(*t->nodes)) < 0)
		return -ENOMEM;
	t->nodes[n] = (struct tree_node){.kind = (uint8_t)kind, .field = (uint16_t)r->field};
	if (frame && frame->last)
		t->nodes[frame->last].next = n;
	else if (frame)
		t->nodes[frame->node].child = n;
	if (frame)
		frame->last = n;
	t->node_count++;
	r->field = FIELD_NONE;
	*ret = n;
	return 0;
}

static int reader_open(
	struct tree_reader *r, enum tree_kind kind, enum tree_type type, uint32_t closers)
{
	tree_index n;
	int result = reader_add(r, kind, &n);

	if (result < 0)
		return result;
	r->tree->nodes[n].type = (uint8_t)type;
	if (r->depth == r->depth_most)
		return -E2BIG;
	if (r->depth == r->frame_capacity &&
		reader_grow((void **)&r->frames, &r->frame_capacity, sizeof(*r->frames)) < 0)
		return -ENOMEM;
	r->frames[r->depth++] = (struct tree_frame){n, 0, closers};
	if (r->depth > r->tree->depth)
		r->tree->depth = r->depth;
	return 0;
}

/* The type of an object that does not name it, by the field it stands in. */
static enum tree_type reader_implied(const struct tree_reader *r)
{
	const struct tree_frame *frame = r->depth ? &r->frames[r->depth - 1] : NULL;

	if (r->field == FIELD_name)
		return frame && r->tree->nodes[frame->node].type == TYPE_PartitionCmd
			? TYPE_RangeVar
			: TYPE_ObjectWithArgs;
	return (enum tree_type)field_types[r->field];
}

/* At '{'. */
static int reader_object(struct tree_reader *r)
{
	static const char list[] = "\"List\":{\"items\":[";
	const uint8_t *p = r->at + 1, *name = p + 1;

	if (p < r->end && *p == '}' && r->field == FIELD_NONE) {
		tree_index n;

		r->at = p + 1;
		return reader_add(r, TREE_EMPTY, &n);
	}
	if (slice_starts_with(slice_of(p, (size_t)(r->end - p)), slice_from_string(list))) {
		r->at = p + sizeof(list) - 1;
		return reader_open(r, TREE_LIST, TYPE_NONE, 3);
	}
	if (p + 1 < r->end && *p == '"' && *name >= 'A' && *name <= 'Z') {
		const uint8_t *quote = memchr(name, '"', (size_t)(r->end - name));

		if (!quote || r->end - quote < 3 || quote[1] != ':' || quote[2] != '{')
			return -EINVAL;
		r->at = quote + 3;
		return reader_open(r, TREE_NODE,
			(enum tree_type)name_find(name, (size_t)(quote - name), true), 2);
	}
	r->at = p;
	return reader_open(r, TREE_NODE, reader_implied(r), 1);
}

/* At a closing brace or bracket. */
static int reader_close(struct tree_reader *r)
{
	struct tree_frame *frame = &r->frames[r->depth - 1];

	r->at++;
	if (--frame->closers == 0)
		r->depth--;
	return 0;
}

static int hex_digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stands behind a backslash: libpg_query writes \b \f \n \r \t \" \\ and \u00XX. */
static int reader_escape(struct tree_reader *r, uint8_t *ret)
{
	static const char from[] = "bfnrt\"\\", to[] = "\b\f\n\r\t\"\\";
	const char *found;
	int high, low;

	if (r->end - r->at < 2)
		return -EINVAL;
	r->at++;
	found = memchr(from, *r->at, sizeof(from) - 1);
	if (found) {
		*ret = (uint8_t)to[found - from];
		r->at++;
		return 0;
	}
	if (*r->at != 'u' || r->end - r->at < 5 || r->at[1] != '0' || r->at[2] != '0')
		return -EINVAL;
	high = hex_digit(r->at[3]);
	low = hex_digit(r->at[4]);
	if (high < 0 || low < 0)
		return -EINVAL;
	*ret = (uint8_t)(high << 4 | low);
	r->at += 5;
	return 0;
}

/* At a quote: the string is copied to the tree's strings, which have room for all of the JSON. */
static int reader_string(struct tree_reader *r)
{
	struct tree *t = r->tree;
	uint8_t *out = t->strings + t->string_bytes;
	tree_index n;
	int result = reader_add(r, TREE_STRING, &n);

	r->at++;
	t->nodes[n].offset = t->string_bytes;
	while (result == 0 && r->at < r->end && *r->at != '"') {
		if (*r->at == '\\')
			result = reader_escape(r, out++);
		else
			*out++ = *r->at++;
	}
	if (result < 0 || r->at >= r->end)
		return result < 0 ? result : -EINVAL;
	r->at++;
	t->nodes[n].length = (uint32_t)(out - t->strings) - t->string_bytes;
	t->string_bytes += t->nodes[n].length;
	return 0;
}

static int reader_number(struct tree_reader *r)
{
	bool negative = *r->at == '-';
	int64_t value = 0;
	tree_index n;
	int result = reader_add(r, TREE_NUMBER, &n);

	if (result < 0)
		return result;
	for (r->at += negative; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		if (value < INT32_MAX)
			value = value * 10 + *r->at - '0';
	}
	r->tree->nodes[n].number = (int32_t)(negative ? -value : value);
	return 0;
}

/* true, false or null; nothing is kept for the latter two. */
static int reader_word(struct tree_reader *r)
{
	static const char *const words[] = {"true", "false", "null"};
	struct slice rest = slice_of(r->at, (size_t)(r->end - r->at));
	tree_index n;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!slice_starts_with(rest, slice_from_string(words[i])))
			continue;
		r->at += strlen(words[i]);
		return i == 0 ? reader_add(r, TREE_TRUE, &n) : 0;
	}
	return -EINVAL;
}

/* At a quote, where a field's name is due. Places in the text are of no use here. */
static int reader_field(struct tree_reader *r)
{
	static const char location[] = "location";
	const uint8_t *name = r->at + 1;
	const uint8_t *quote = memchr(name, '"', (size_t)(r->end - name));
	size_t length = quote ? (size_t)(quote - name) : 0;

	if (!quote || r->end - quote < 2 || quote[1] != ':')
		return -EINVAL;
	r->at = quote + 2;
	/* CREATE TABLESPACE has one that is a path. */
	if (length == sizeof(location) - 1 && memcmp(name, location, length) == 0 &&
		r->at < r->end && *r->at != '"') {
		while (r->at < r->end && (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')))
			r->at++;
		return 1;
	}
	r->field = (enum tree_field)name_find(name, length, false);
	return 0;
}

static int reader_value(struct tree_reader *r)
{
	if (r->at >= r->end)
		return -EINVAL;
	switch (*r->at) {
	case '{':
		return reader_object(r);
	case '[':
		r->at++;
		return reader_open(r, TREE_LIST, TYPE_NONE, 1);
	case '"':
		return reader_string(r);
	case '-':
	case '0' ... '9':
		return reader_number(r);
	default:
		return reader_word(r);
	}
}

static int reader_step(struct tree_reader *r)
{
	const struct tree_frame *frame = &r->frames[r->depth - 1];

	if (*r->at == ',') {
		r->at++;
		return 0;
	}
	if (*r->at == '}' || *r->at == ']')
		return reader_close(r);
	if (r->tree->nodes[frame->node].kind == TREE_NODE) {
		int result = *r->at == '"' ? reader_field(r) : -EINVAL;

		if (result != 0)
			return result < 0 ? result : 0;
	}
	return reader_value(r);
}

static int reader_run(struct tree_reader *r)
{
	static const char stmts[] = "\"stmts\":";
	const uint8_t *found = memmem(r->at, (size_t)(r->end - r->at), stmts, sizeof(stmts) - 1);
	int result;

	/* {"version":N,"stmts":[…]}: the list is the root. */
	if (!found)
		return -EINVAL;
	r->at = found + sizeof(stmts) - 1;
	result = r->at < r->end && *r->at == '[' ? reader_value(r) : -EINVAL;
	while (result == 0 && r->depth > 0)
		result = r->at < r->end ? reader_step(r) : -EINVAL;
	return result;
}

/* Gives back what was reserved too generously. */
static void tree_trim(struct tree *t)
{
	struct tree_node *nodes = realloc(t->nodes, t->node_count * sizeof(*t->nodes));
	uint8_t *strings = realloc(t->strings, t->string_bytes + 1);

	if (nodes)
		t->nodes = nodes;
	if (strings)
		t->strings = strings;
}

int tree_read(struct slice json, uint32_t depth_most, struct tree *ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tree t = {0};
	struct tree_reader r = {
		.at = json.data,
		.end = json.data + json.length,
		.tree = &t,
		.depth_most = depth_most,
	};
	int result;

	pthread_once(&once, names_init);
	if (json.length >= UINT32_MAX)
		return -E2BIG;
	r.node_capacity = (uint32_t)(json.length / 16) + 16;
	t.nodes = malloc(r.node_capacity * sizeof(*t.nodes));
	t.strings = malloc(json.length + 1);
	t.node_count = 1;
	if (t.nodes)
		t.nodes[0] = (struct tree_node){0};
	result = t.nodes && t.strings ? reader_run(&r) : -ENOMEM;
	free(r.frames);
	if (result < 0) {
		tree_done(&t);
		return result;
	}
	tree_trim(&t);
	*ret = t;
	return 0;
}

void tree_done(struct tree *t)
{
	free(t->nodes);
	free(t->strings);
	*t = (struct tree){0};
}

tree_index tree_get(const struct tree *t, tree_index n, enum tree_field field)
{
	if (tree_kind(t, n) != TREE_NODE)
		return 0;
	tree_for_each(child, t, n)
	{
		if (t->nodes[child].field == field)
			return child;
	}
	return 0;
}

size_t tree_count(const struct tree *t, tree_index list)
{
	size_t count = 0;

	if (tree_kind(t, list) != TREE_LIST)
		return 0;
	tree_for_each(item, t, list) count++;
	return count;
}

tree_index tree_last(const struct tree *t, tree_index list)
{
	tree_index last = 0;

	if (tree_kind(t, list) != TREE_LIST)
		return 0;
	tree_for_each(item, t, list) last = item;
	return last;
}

struct slice tree_string(const struct tree *t, tree_index n)
{
	if (tree_type(t, n) == TYPE_String)
		n = tree_get(t, n, FIELD_sval);
	if (tree_kind(t, n) != TREE_STRING || n == 0)
		return SLICE_EMPTY;
	return slice_of(t->strings + t->nodes[n].offset, t->nodes[n].length);
}

struct slice tree_get_string(const struct tree *t, tree_index n, enum tree_field field)
{
	return tree_string(t, tree_get(t, n, field));
}

bool tree_is(const struct tree *t, tree_index n, enum tree_field field, const char *value)
{
	return slice_equal_string(tree_get_string(t, n, field), value);
}

bool tree_get_flag(const struct tree *t, tree_index n, enum tree_field field)
{
	return tree_kind(t, tree_get(t, n, field)) == TREE_TRUE;
}

int32_t tree_get_number(const struct tree *t, tree_index n, enum tree_field field)
{
	tree_index value = tree_get(t, n, field);

	return value && tree_kind(t, value) == TREE_NUMBER ? t->nodes[value].number : 0;
}

/* {"A_Const":{"sval":{"sval":"x"}}} */
static const struct {
	const char *kind;
	const char *operators[2];
} between[] = {
	{"AEXPR_BETWEEN", {">=", "<="}},
	{"AEXPR_NOT_BETWEEN", {"<", ">"}},
	{"AEXPR_BETWEEN_SYM", {">=", "<="}},
	{"AEXPR_NOT_BETWEEN_SYM", {"<", ">"}},
};

const char *const *tree_between_operators(const struct tree *t, tree_index a_expr)
{
	for (size_t i = 0; i < ARRAY_SIZE(between); i++) {
		if (tree_is(t, a_expr, FIELD_kind, between[i].kind))
			return between[i].operators;
	}
	return NULL;
}

bool tree_is_string_literal(const struct tree *t, tree_index n, struct slice *ret)
{
	tree_index value;

	if (tree_type(t, n) != TYPE_A_Const)
		return false;
	value = tree_get(t, n, FIELD_sval);
	if (!value)
		return false;
	*ret = tree_get_string(t, value, FIELD_sval);
	return true;
}

bool tree_is_integer_literal(const struct tree *t, tree_index n)
{
	return tree_type(t, n) == TYPE_A_Const && tree_get(t, n, FIELD_ival) != 0;
}

bool tree_is_constant(const struct tree *t, tree_index n)
{
	return t->nodes[n].field == FIELD_sval && tree_type(t, n - 1) != TYPE_String;
}

static bool word_is_false(struct slice word)
{
	return text_equal_ignore_case(word, slice_from_string("false")) ||
		text_equal_ignore_case(word, slice_from_string("off"));
}

/* An option as defGetBoolean() reads it: true unless it is said not to be. */
static bool option_is_on(const struct tree *t, tree_index option)
{
	tree_index value = tree_get(t, option, FIELD_arg);

	switch (tree_type(t, value)) {
	case TYPE_Integer:
		return tree_get_number(t, value, FIELD_ival) != 0;
	case TYPE_Boolean:
		return tree_get_flag(t, value, FIELD_boolval);
	default:
		return !word_is_false(tree_string(t, value));
	}
}

bool tree_has_option(const struct tree *t, tree_index n, const char *name)
{
	bool on = false;

	tree_for_each(option, t, tree_get(t, n, FIELD_options))
	{
		if (tree_is(t, option, FIELD_defname, name) && option_is_on(t, option))
			on = true;
	}
	return on;
}
