/* SPDX-License-Identifier: Apache-2.0
 *
 * The relations of a schema in the order of their names, which is the same in each process and for
 * each reading of the catalog, as the tables of it are not.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/sql/catalog_internal.h"

static int compare_slices(struct slice a, struct slice b)
{
	size_t both = a.length < b.length ? a.length : b.length;
	int order = both ? memcmp(a.data, b.data, both) : 0;

	if (order)
		return order;
	return (a.length > b.length) - (a.length < b.length);
}

static int compare_relations(const void *a, const void *b)
{
	const struct sql_relation *x = *(struct sql_relation *const *)a;
	const struct sql_relation *y = *(struct sql_relation *const *)b;
	int order = compare_slices(x->schema, y->schema);

	return order ? order : compare_slices(x->name, y->name);
}

/* As the tables, its size is that of relations that had room. */
void catalog_sort(struct sql_catalog *c)
{
	size_t count = 0;

	c->sorted = memory_new_array(c->relations_by_name.count + 1, sizeof(*c->sorted));
	for (size_t i = 0; i < c->relations_by_name.bucket_count; i++) {
		list_for_each (position, &c->relations_by_name.buckets[i])
			c->sorted[count++] =
				list_entry(position, struct sql_relation, by_name.link);
	}
	if (count)
		qsort(c->sorted, count, sizeof(*c->sorted), compare_relations);
}

void catalog_visit_schema(const struct sql_catalog *c, struct slice schema,
	void (*visit)(void *context, const struct sql_relation *r), void *context)
{
	size_t count = c->sorted ? c->relations_by_name.count : 0, from = 0, to = count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (compare_slices(c->sorted[middle]->schema, schema) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (; from < count; from++) {
		if (!slice_equal(c->sorted[from]->schema, schema))
			return;
		visit(context, c->sorted[from]);
	}
}
