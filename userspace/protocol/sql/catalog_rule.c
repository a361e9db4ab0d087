/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server runs in the place of a command on a relation, or beside it: views, which are
 * rules on SELECT, and those of CREATE RULE. Kept are the functions that they call and that are not
 * known to be harmless; once the catalog is finished, also those of the views and rules that they
 * come upon themselves. Of materialized views it is only kept that some of what they show is such a
 * function's.
 */
#include <errno.h>

#include "protocol/sql/builtin.h"
#include "protocol/sql/catalog_internal.h"

/* Of following views and rules, in one catalog: views over views multiply. */
#define STEPS_MOST (4u << 20)
#define EVENTS_ALL (RULE_ON_SELECT | RULE_ON_UPDATE | RULE_ON_INSERT | RULE_ON_DELETE)

/* pg_rewrite.ev_type (enum CmdType, nodes/nodes.h). */
static int parse_event(struct slice value, uint8_t *ret)
{
	if (value.length != 1 || value.data[0] < '1' || value.data[0] > '4')
		return -EINVAL;
	*ret = (uint8_t)(1u << (value.data[0] - '1'));
	return 0;
}

int catalog_add_rule_relation(struct sql_catalog *c, const struct slice *v)
{
	struct sql_relation *r, *relation;
	struct rule_relation *named;
	uint32_t oids[2] = {0};
	uint8_t event = 0;

	if (catalog_parse_oid(v[0], &oids[0]) < 0 || parse_event(v[1], &event) < 0 ||
		catalog_parse_oid(v[2], &oids[1]) < 0)
		return -EINVAL;
	r = catalog_find_by_oid(c, oids[0]);
	relation = catalog_find_by_oid(c, oids[1]);
	if (!r || !relation)
		return 0;
	named = arena_new(&c->arena, sizeof(*named));
	if (!named)
		return -E2BIG;
	*named = (struct rule_relation){r->named, relation, event};
	if (!r->named) {
		r->next_ruled = c->ruled;
		c->ruled = r;
	}
	r->named = named;
	return 0;
}

static int add_call(struct sql_catalog *c, struct sql_relation *r, struct slice schema,
	struct slice name, unsigned events)
{
	struct rule_call *call = arena_new(&c->arena, sizeof(*call));

	if (!call || !schema.data || !name.data)
		return -E2BIG;
	*call = (struct rule_call){r->calls, schema, name, (uint8_t)events};
	r->calls = call;
	return 0;
}

/* The server says of its own functions only which they are. */
int catalog_add_rule_call(struct sql_catalog *c, const struct slice *v)
{
	bool of_users = slice_equal_string(v[4], "t");
	enum builtin_function builtin =
		of_users ? BUILTIN_FUNCTION_NONE : builtin_function_find(v[3]);
	struct sql_relation *r;
	uint32_t oid = 0;
	uint8_t event = 0;

	if (catalog_parse_oid(v[0], &oid) < 0 || parse_event(v[1], &event) < 0 ||
		v[2].length == 0 || v[3].length == 0)
		return -EINVAL;
	r = catalog_find_by_oid(c, oid);
	if (!r || builtin_function_is_harmless(builtin))
		return 0;
	if (event == RULE_ON_SELECT && of_users)
		r->rules |= RULES_SHOW_CODE;
	else if (event == RULE_ON_SELECT && builtin != BUILTIN_FUNCTION_EFFECT)
		r->rules |= RULES_SHOW_READS;
	/* What a materialized view shows was computed before. */
	if (r->kind == 'm')
		return 0;
	return add_call(c, r, arena_copy(&c->arena, v[2]), arena_copy(&c->arena, v[3]), event);
}

/* --- what rules name --- */

struct following {
	struct sql_catalog *catalog;
	size_t steps;
	bool failed; /* too many, or no memory for what was found */
};

static bool step(struct following *f)
{
	f->failed |= ++f->steps > STEPS_MOST;
	return !f->failed;
}

static void add_named(
	struct following *f, struct relatives *all, const struct sql_relation *r, unsigned events)
{
	for (const struct rule_relation *n = r->named; n && step(f); n = n->next) {
		if (n->events & events)
			catalog_relatives_add(all, n->relation);
	}
}

static void take_call(
	struct following *f, struct sql_relation *r, const struct rule_call *call, unsigned event)
{
	for (struct rule_call *own = r->calls; own && step(f); own = own->next) {
		if (slice_equal(own->name, call->name) && slice_equal(own->schema, call->schema)) {
			own->events |= (uint8_t)event;
			return;
		}
	}
	if (!f->failed)
		f->failed = add_call(f->catalog, r, call->schema, call->name, event) < 0;
}

/* The calls of `from` by its rules for `events` are the relation's on `event`. */
static void take_calls(struct following *f, struct sql_relation *r, const struct sql_relation *from,
	unsigned events, unsigned event)
{
	if (from->rules & RULES_CALL_UNKNOWN)
		r->rules |= RULES_CALL_UNKNOWN;
	for (const struct rule_call *call = from->calls; call && step(f); call = call->next) {
		if (call->events & events)
			take_call(f, r, call, event);
	}
}

/* What a view names is only read, and nothing runs where the rows of a materialized one are. A rule
 * may do anything to what it names; and what changes a view changes what that shows. */
static void follow_event(struct following *f, struct sql_relation *r, unsigned event)
{
	unsigned below = event == RULE_ON_SELECT ? RULE_ON_SELECT : EVENTS_ALL;
	struct relatives all = {0};

	add_named(f, &all, r, event | RULE_ON_SELECT);
	for (size_t i = 0; i < all.count && !f->failed; i++) {
		if (all.items[i] == r || all.items[i]->kind == 'm')
			continue;
		take_calls(f, r, all.items[i], below, event);
		add_named(f, &all, all.items[i], below);
	}
	catalog_relatives_done(&all);
}

static void follow(struct following *f, struct sql_relation *r)
{
	if (r->kind == 'm')
		return;
	for (unsigned event = RULE_ON_SELECT; event <= RULE_ON_DELETE; event <<= 1)
		follow_event(f, r, event);
	if (f->failed)
		r->rules |= RULES_CALL_UNKNOWN;
}

/* In the order of the rows, so that the same names give the same calls in the same order: reviews
 * are bound to them. */
void catalog_follow_rules(struct sql_catalog *c)
{
	struct following f = {.catalog = c};

	for (struct sql_relation *r = c->ruled; r; r = r->next_ruled)
		follow(&f, r);
}
