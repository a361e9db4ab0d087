/* SPDX-License-Identifier: Apache-2.0
 *
 * What a view's columns show. A column that the rule takes as it is from a relation has that
 * origin. One that is an expression is made of the variables in it; where those can't be told
 * (subqueries, joined columns, an unreadable rule), of all columns of all relations that the view
 * depends on.
 */
#include <errno.h>

#include "protocol/sql/catalog_internal.h"
#include "protocol/sql/node_text.h"

/* Any column of any relation of the view. */
static int add_all_shown(
	struct sql_catalog *c, const struct sql_relation *view, struct sql_column *column)
{
	int result = 0;

	column->traced = true;
	column->opaque |= view->rules & (RULES_SHOW_CODE | RULES_SHOW_READS);
	for (struct rule_relation *shown = view->named; result == 0 && shown; shown = shown->next) {
		if (shown->events & RULE_ON_SELECT)
			result = catalog_add_source(c, column, shown->relation, 0, true);
	}
	return result;
}

static struct sql_relation *variable_relation(
	const struct sql_catalog *c, const struct node_query *q, const struct node_variable *v)
{
	const struct node_range *range;

	if (v->range == 0 || v->range > q->range_count)
		return NULL;
	range = &q->ranges[v->range - 1];
	return range->kind == 0 ? catalog_find_by_oid(c, range->relation) : NULL;
}

static bool is_plain(
	const struct sql_catalog *c, const struct node_query *q, const struct node_target *target)
{
	if (target->complicated)
		return false;
	for (size_t i = 0; i < target->variable_count; i++) {
		if (!variable_relation(c, q, &q->variables[target->first_variable + i]))
			return false;
	}
	return true;
}

static int add_variables(struct sql_catalog *c, const struct node_query *q,
	const struct node_target *target, struct sql_column *column)
{
	int result = 0;

	for (size_t i = 0; result == 0 && i < target->variable_count; i++) {
		const struct node_variable *v = &q->variables[target->first_variable + i];
		int number = v->column > INT16_MAX ? 0 : (int)v->column;

		result = catalog_add_source(c, column, variable_relation(c, q, v), number, true);
	}
	return result;
}

/* Whether it may be code that shows anything. */
static bool is_opaque(const struct sql_relation *view, const struct node_target *target)
{
	return (target->user_code && (view->rules & RULES_SHOW_CODE)) ||
		(target->calls && (view->rules & RULES_SHOW_READS));
}

static int trace_target(struct sql_catalog *c, struct sql_relation *view,
	const struct node_query *q, const struct node_target *target)
{
	struct sql_column *column =
		target->number <= INT16_MAX ? catalog_find_column(view, (int)target->number) : NULL;
	struct sql_relation *origin = catalog_find_by_oid(c, target->origin);

	if (target->hidden || !column)
		return 0;
	column->traced = true;
	column->opaque |= is_opaque(view, target);
	if (origin && target->origin_column <= INT16_MAX)
		return catalog_add_source(c, column, origin, (int)target->origin_column, false);
	if (is_plain(c, q, target))
		return add_variables(c, q, target, column);
	return add_all_shown(c, view, column);
}

int catalog_trace_view(struct sql_catalog *c, struct sql_relation *view, struct slice rule)
{
	struct node_query q = {0};
	int result = rule.data ? node_query_read(rule, &q) : -EINVAL;

	if (result == -ENOMEM)
		return -E2BIG;
	/* An unreadable rule has no targets: what it does not say of a column may be anything. */
	result = 0;
	for (size_t i = 0; result == 0 && i < q.target_count; i++)
		result = trace_target(c, view, &q, &q.targets[i]);
	node_query_done(&q);
	for (size_t i = 0; result == 0 && i < view->column_count; i++) {
		if (!view->columns[i].traced)
			result = add_all_shown(c, view, &view->columns[i]);
	}
	return result;
}
