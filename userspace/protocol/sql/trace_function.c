/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of masked values that are passed to functions.
 */
#include "base/memory.h"
#include "protocol/sql/trace.h"

/* Which arguments of a function of PostgreSQL's own may be masked, the result then being masked
 * whole: it can't fail on them, say anything of them in an error, or do something else because of
 * them. */
enum total_arguments {
	TOTAL_NONE,
	TOTAL_FIRST, /* the first alone; the others say how */
	TOTAL_ALL,
};

static const struct {
	const char *name;
	enum total_arguments arguments;
} total_functions[] = {
	{"array_agg", TOTAL_ALL},
	{"array_to_json", TOTAL_ALL},
	{"ascii", TOTAL_FIRST},
	{"avg", TOTAL_FIRST},
	{"bit_length", TOTAL_FIRST},
	{"btrim", TOTAL_FIRST},
	{"char_length", TOTAL_FIRST},
	{"character_length", TOTAL_FIRST},
	{"concat", TOTAL_ALL},
	{"concat_ws", TOTAL_ALL},
	{"count", TOTAL_ALL},
	{"first_value", TOTAL_FIRST},
	{"initcap", TOTAL_FIRST},
	{"json_agg", TOTAL_ALL},
	{"json_build_array", TOTAL_ALL},
	{"json_build_object", TOTAL_ALL},
	{"json_object_agg", TOTAL_ALL},
	{"jsonb_agg", TOTAL_ALL},
	{"jsonb_build_array", TOTAL_ALL},
	{"jsonb_build_object", TOTAL_ALL},
	{"jsonb_object_agg", TOTAL_ALL},
	{"lag", TOTAL_FIRST},
	{"last_value", TOTAL_FIRST},
	{"lead", TOTAL_FIRST},
	{"left", TOTAL_FIRST},
	{"length", TOTAL_FIRST},
	{"lower", TOTAL_FIRST},
	{"lpad", TOTAL_FIRST},
	{"ltrim", TOTAL_FIRST},
	{"max", TOTAL_FIRST},
	{"md5", TOTAL_FIRST},
	{"min", TOTAL_FIRST},
	{"nth_value", TOTAL_FIRST},
	{"octet_length", TOTAL_FIRST},
	{"quote_ident", TOTAL_FIRST},
	{"quote_literal", TOTAL_FIRST},
	{"quote_nullable", TOTAL_FIRST},
	{"reverse", TOTAL_FIRST},
	{"right", TOTAL_FIRST},
	{"row_to_json", TOTAL_FIRST},
	{"rpad", TOTAL_FIRST},
	{"rtrim", TOTAL_FIRST},
	{"split_part", TOTAL_FIRST},
	{"string_agg", TOTAL_ALL},
	{"substr", TOTAL_FIRST},
	{"substring", TOTAL_FIRST},
	{"sum", TOTAL_FIRST},
	{"to_json", TOTAL_FIRST},
	{"to_jsonb", TOTAL_FIRST},
	{"translate", TOTAL_FIRST},
	{"upper", TOTAL_FIRST},
};

/* Functions whose errors say nothing of their arguments: with `filter: allow` they may be used to
 * filter. */
static const char *const quiet_functions[] = {"abs", "age", "ceil", "ceiling", "date_part",
	"date_trunc", "extract", "floor", "position", "round", "sign", "starts_with", "strpos",
	"timezone", "trunc"};

static enum total_arguments find_total(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(total_functions); i++) {
		if (slice_equal_string(name, total_functions[i].name))
			return total_functions[i].arguments;
	}
	return TOTAL_NONE;
}

static bool is_quiet(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(quiet_functions); i++) {
		if (slice_equal_string(name, quiet_functions[i]))
			return true;
	}
	return false;
}

struct value trace_unknown_code(struct trace *t, struct slice name)
{
	t->unknown_code = true;
	return value_unknown(
		trace_format(t, "the result of %.*s may hold masked columns", SLICE_PRINT(name)));
}

/* The strictest of all functions that the name may stand for. */
static enum builtin_function find_function(
	const struct trace *t, struct slice schema, struct slice name)
{
	const struct lookup *l = t->lookup;
	enum builtin_function builtin = builtin_function_find(name);
	bool harmless = builtin_function_is_harmless(builtin);

	if (schema.length)
		return builtin && builtin_function_is_in(schema, name) &&
				!lookup_has_function(l, schema, name, !harmless)
			? builtin
			: BUILTIN_FUNCTION_READS;
	if (l->names_moved)
		return BUILTIN_FUNCTION_READS;
	for (size_t i = 0; i < l->view->path_count; i++) {
		if (lookup_has_function(l, l->view->path[i], name, !harmless))
			return BUILTIN_FUNCTION_READS;
	}
	return builtin ? builtin : BUILTIN_FUNCTION_READS;
}

/* The last two parts of its name. */
static void function_name(
	const struct tree *t, tree_index call, struct slice *ret_schema, struct slice *ret_name)
{
	*ret_schema = *ret_name = SLICE_EMPTY;
	tree_for_each(part, t, tree_get(t, call, FIELD_funcname))
	{
		*ret_schema = *ret_name;
		*ret_name = tree_string(t, part);
	}
}

bool trace_is_own_function(const struct trace *t, tree_index func_call)
{
	struct slice schema, name;
	enum builtin_function function;

	function_name(t->tree, func_call, &schema, &name);
	function = find_function(t, schema, name);
	return !builtin_function_is_harmless(function) && function != BUILTIN_FUNCTION_EFFECT;
}

struct call {
	struct slice schema, name;
	enum builtin_function function;
	struct value first, others; /* the arguments */
	struct value ordered; /* by WITHIN GROUP, to give one of them */
	size_t count; /* of arguments */
	bool numbers; /* all but the first are written as integers */
	bool spread; /* the last is an array, whose items are the arguments */
};

static struct call trace_call(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	struct call c = {.first = value_clean,
		.others = value_clean,
		.ordered = value_clean,
		.numbers = true};

	function_name(t->tree, n, &c.schema, &c.name);
	c.function = find_function(t, c.schema, c.name);
	c.spread = tree_get_flag(t->tree, n, FIELD_func_variadic);
	tree_for_each(argument, t->tree, tree_get(t->tree, n, FIELD_args))
	{
		struct value v = trace_expression(t, level, place, argument);

		if (c.count == 0)
			c.first = v;
		else
			c.others = value_join(c.others, v);
		c.numbers &= c.count == 0 || tree_is_integer_literal(t->tree, argument);
		c.count++;
	}
	return c;
}

static bool is_any(struct slice name, const char *a, const char *b)
{
	return slice_equal_string(name, a) || slice_equal_string(name, b);
}

/* Functions whose result is NULL for some values: with a pattern where nothing fits; the bounds of
 * a range where it has none. */
static bool tells_by_null(const struct call *c, const struct value *all)
{
	if (slice_equal_string(c->name, "substring"))
		return !c->numbers;
	return is_any(c->name, "lower", "upper") && all->no_text;
}

static struct value call_result(struct trace *t, const struct call *c)
{
	struct value all = value_derive(value_join(c->first, c->others));
	enum total_arguments total = find_total(c->name);

	/* With an encoding it fails for bytes that don't fit that. */
	if (slice_equal_string(c->name, "length") && c->count > 1)
		total = TOTAL_NONE;
	/* json_build_object() fails for an odd number of them. */
	if (c->spread)
		total = TOTAL_NONE;

	if (!builtin_function_is_harmless(c->function)) {
		if (value_is_masked(&all))
			trace_refuse(t, &all, "function ", c->name);
		return c->function == BUILTIN_FUNCTION_EFFECT ? value_clean
							      : trace_unknown_code(t, c->name);
	}
	/* A function is not called with NULL, or fails for it: what fails otherwise tells. */
	if (all.telling)
		trace_decide(t, &all, "function ", c->name);
	if (tells_by_null(c, &all))
		all = value_hide(all);
	if (!value_is_masked(&all) || total == TOTAL_ALL ||
		(total == TOTAL_FIRST && !value_is_masked(&c->others)))
		return all;
	if (is_quiet(c->name))
		trace_decide(t, &all, "function ", c->name);
	else
		trace_refuse(t, &all, "function ", c->name);
	return all;
}

/* f(DISTINCT x ORDER BY y) FILTER (WHERE z) OVER (…). What mode() WITHIN GROUP (ORDER BY x) and the
 * like give is one of those that they order. */
static void trace_call_clauses(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n, struct call *c)
{
	tree_index window = tree_get(t->tree, n, FIELD_over);
	struct value all = value_join(c->first, c->others);
	struct value ordered = trace_filter_list(
		t, level, place, tree_get(t->tree, n, FIELD_agg_order), "ORDER BY");

	if (tree_get_flag(t->tree, n, FIELD_agg_within_group))
		c->ordered = ordered;
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_agg_filter), "FILTER");
	if (window)
		trace_window(t, level, place, window);
	if (tree_get_flag(t->tree, n, FIELD_agg_distinct))
		trace_decide(t, &all, "DISTINCT", SLICE_EMPTY);
}

struct value trace_function_call(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	struct call c = trace_call(t, level, place, n);
	struct value result;

	trace_call_clauses(t, level, place, n, &c);
	result = call_result(t, &c);
	return value_is_masked(&c.ordered) ? value_derive(value_join(result, c.ordered)) : result;
}

static bool may_be_call(const struct trace *t, struct slice name)
{
	const struct lookup *l = t->lookup;

	for (size_t i = 0; i < l->view->path_count; i++) {
		if (lookup_has_function(l, l->view->path[i], name, true))
			return true;
	}
	return lookup_may_be_attribute(l, name);
}

bool trace_is_own_attribute(const struct trace *t, struct slice name)
{
	const struct sql_view *view = t->lookup->view;

	for (size_t i = 0; view->catalog && i < view->path_count; i++) {
		const struct catalog_function *f =
			catalog_find_function(view->catalog, view->path[i], name);

		if (f && f->attribute)
			return true;
	}
	return lookup_may_be_attribute(t->lookup, name);
}

/* (x).name where x holds nothing masked: a field of it, or the call name(x). */
struct value trace_unknown_attribute(struct trace *t, struct slice name)
{
	return may_be_call(t, name) ? trace_unknown_code(t, name) : value_clean;
}

/* x.name where the row x holds something masked and has no such column: the call name(x), or
 * nothing. */
struct value trace_row_attribute(struct trace *t, const struct value *row, struct slice name)
{
	if (may_be_call(t, name))
		trace_refuse(t, row, "function ", name);
	return *row;
}

/* Functions whose only result is a parameter that has a name (pg_proc: proargmodes, proargnames).
 */
static const struct {
	const char *function, *parameter;
} named_results[] = {
	{"json_array_elements", "value"},
	{"json_array_elements_text", "value"},
	{"jsonb_array_elements", "value"},
	{"jsonb_array_elements_text", "value"},
	{"pg_partition_ancestors", "relid"},
};

static struct slice named_result(struct slice function)
{
	for (size_t i = 0; i < ARRAY_SIZE(named_results); i++) {
		if (slice_equal_string(function, named_results[i].function))
			return slice_from_string(named_results[i].parameter);
	}
	return SLICE_EMPTY;
}

bool trace_from_function(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n, struct value *ret, struct slice *ret_name)
{
	struct call c;

	*ret_name = SLICE_EMPTY;
	/* COALESCE, CAST and the like: of a row its fields are the columns. */
	if (tree_type(t->tree, n) != TYPE_FuncCall) {
		*ret = trace_expression(t, level, place, n);
		return false;
	}
	c = trace_call(t, level, place, n);
	trace_call_clauses(t, level, place, n, &c);
	*ret = call_result(t, &c);
	if (!builtin_function_is_harmless(c.function))
		return false;
	/* How many rows there are tells of the arguments. */
	trace_decide(t, ret, "FROM", SLICE_EMPTY);
	*ret_name = named_result(c.name);
	return c.function == BUILTIN_FUNCTION_HARMLESS || ret_name->length;
}
