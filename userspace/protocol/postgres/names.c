/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/names.h"

#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/rows.h"

#define NAME_MOST 63 /* bytes */

struct pg_name {
	struct table_node node;
	char *text;
	size_t length;
	void *confirmed; /* NULL: means nothing */
	void *latest; /* with pending > 0 */
	uint64_t latest_batch;
	unsigned pending; /* messages in flight that change it */
};

struct pg_statement *pg_statement_new(struct sql_text *text, struct slice exact)
{
	struct pg_statement *s = memory_new(sizeof(*s));

	s->references = 1;
	s->text = text ? sql_text_get(text) : NULL;
	s->exact = slice_of(memory_copy_text(exact.data, exact.length), exact.length);
	return s;
}

struct pg_statement *pg_statement_get(struct pg_statement *s)
{
	s->references++;
	return s;
}

void pg_statement_put(struct pg_statement *s)
{
	if (!s || --s->references > 0)
		return;
	sql_text_put(s->text);
	free((void *)s->exact.data);
	free((void *)s->types.data);
	free((void *)s->described.data);
	free(s);
}

struct pg_portal *pg_portal_new(struct pg_plan *plan, size_t command)
{
	struct pg_portal *p = memory_new(sizeof(*p));

	p->references = 1;
	p->plan = plan ? pg_plan_get(plan) : NULL;
	p->command = command;
	p->traced = command;
	return p;
}

struct pg_portal *pg_portal_get(struct pg_portal *p)
{
	p->references++;
	return p;
}

void pg_portal_put(struct pg_portal *p)
{
	if (!p || --p->references > 0)
		return;
	pg_statement_put(p->statement);
	pg_plan_put(p->plan);
	pg_masks_put(p->masks);
	pg_columns_free(p->columns);
	free(p->as);
	free(p);
}

static void put_statement(void *target)
{
	pg_statement_put(target);
}

static void *get_statement(void *target)
{
	return target ? pg_statement_get(target) : NULL;
}

static void put_portal(void *target)
{
	pg_portal_put(target);
}

static void *get_portal(void *target)
{
	return target ? pg_portal_get(target) : NULL;
}

void pg_names_init_statements(struct pg_names *n)
{
	*n = (struct pg_names){
		.most = LIMIT_PREPARED_STATEMENTS, .put = put_statement, .get = get_statement};
	table_init(&n->table);
}

void pg_names_init_portals(struct pg_names *n)
{
	*n = (struct pg_names){
		.most = LIMIT_PREPARED_STATEMENTS, .put = put_portal, .get = get_portal};
	table_init(&n->table);
}

static void name_free(struct pg_names *n, struct pg_name *name)
{
	table_remove(&n->table, &name->node);
	n->put(name->confirmed);
	n->put(name->latest);
	free(name->text);
	free(name);
}

/* Calls `visit` for each name; it may free that name. */
static void names_each(struct pg_names *n,
	void (*visit)(struct pg_names *, struct pg_name *, void *), void *context)
{
	for (size_t i = 0; i < n->table.bucket_count; i++) {
		list_for_each_safe (position, &n->table.buckets[i])
			visit(n, container_of(position, struct pg_name, node.link), context);
	}
}

static void visit_free(struct pg_names *n, struct pg_name *name, void *context)
{
	(void)context;
	name_free(n, name);
}

void pg_names_done(struct pg_names *n)
{
	names_each(n, visit_free, NULL);
	table_done(&n->table);
}

/* The server's tables have NAMEDATALEN bytes for one, and take longer ones that begin alike for the
 * same. */
static struct slice name_cut(struct slice text)
{
	return slice_head(text, NAME_MOST);
}

static struct pg_name *name_find(const struct pg_names *n, struct slice text)
{
	struct table_node *node;

	text = name_cut(text);
	node = table_find(&n->table, table_hash_slice(text));

	for (; node; node = table_find_next(&n->table, node)) {
		struct pg_name *name = container_of(node, struct pg_name, node);

		if (slice_equal(slice_of(name->text, name->length), text))
			return name;
	}
	return NULL;
}

static struct pg_name *name_find_or_add(struct pg_names *n, struct slice text)
{
	struct pg_name *name = name_find(n, text);

	if (name || n->table.count >= n->most)
		return name;
	text = name_cut(text);
	name = memory_new(sizeof(*name));
	name->text = memory_copy_text(text.data, text.length);
	name->length = text.length;
	table_insert(&n->table, &name->node, table_hash_slice(text));
	return name;
}

static void name_set(struct pg_names *n, void **place, void *target)
{
	void *old = *place;

	*place = n->get(target);
	n->put(old);
}

static void name_drop_if_unused(struct pg_names *n, struct pg_name *name)
{
	if (name->pending == 0 && !name->confirmed)
		name_free(n, name);
}

int pg_names_begin(struct pg_names *n, struct slice text, void *target, uint64_t batch)
{
	struct pg_name *name = name_find_or_add(n, text);

	if (!name)
		return -E2BIG;
	name_set(n, &name->latest, target);
	name->latest_batch = batch;
	name->pending++;
	return 0;
}

void pg_names_end(struct pg_names *n, struct slice text, void *target, bool succeeded)
{
	struct pg_name *name = name_find(n, text);

	if (!name)
		return;
	if (succeeded)
		name_set(n, &name->confirmed, target);
	name->pending--;
	if (name->pending == 0)
		name_set(n, &name->latest, NULL);
	name_drop_if_unused(n, name);
}

enum pg_lookup_result pg_names_find(
	const struct pg_names *n, struct slice text, uint64_t batch, void **ret)
{
	const struct pg_name *name = name_find(n, text);
	void *target;

	if (!name)
		return PG_NAME_MISSING;
	if (name->pending && name->latest_batch != batch)
		return PG_NAME_UNCERTAIN;
	target = name->pending ? name->latest : name->confirmed;
	if (!target)
		return PG_NAME_MISSING;
	*ret = target;
	return PG_NAME_FOUND;
}

int pg_names_set(struct pg_names *n, struct slice text, void *target)
{
	struct pg_name *name = target ? name_find_or_add(n, text) : name_find(n, text);

	if (!name)
		return target ? -E2BIG : 0;
	name_set(n, &name->confirmed, target);
	name_drop_if_unused(n, name);
	return 0;
}

static void visit_forget(struct pg_names *n, struct pg_name *name, void *context)
{
	bool (*keep)(const void *) = *(bool (**)(const void *))context;

	if (!name->confirmed || (keep && keep(name->confirmed)))
		return;
	name_set(n, &name->confirmed, NULL);
	name_drop_if_unused(n, name);
}

static void visit_doubt(struct pg_names *n, struct pg_name *name, void *context)
{
	(void)n;
	(void)context;
	if (name->confirmed)
		((struct pg_portal *)name->confirmed)->doubtful = true;
}

void pg_names_doubt_portals(struct pg_names *portals)
{
	names_each(portals, visit_doubt, NULL);
}

void pg_names_forget(struct pg_names *n, bool (*keep)(const void *target))
{
	names_each(n, visit_forget, &keep);
}
