/* SPDX-License-Identifier: Apache-2.0
 *
 * The types of columns, as far as masking must know them: what domains are over, and which types of
 * somebody's own take any text.
 */
#include <errno.h>

#include "base/text.h"
#include "protocol/sql/catalog_internal.h"

/* Domains over domains. */
#define DOMAIN_DEPTH_MOST 32

int catalog_parse_oid(struct slice value, uint32_t *ret)
{
	uint64_t number;
	int r = text_to_number(value, UINT32_MAX, &number);

	if (r == 0)
		*ret = (uint32_t)number;
	return r;
}

int catalog_parse_modifier(struct slice value, int32_t *ret)
{
	uint64_t number;
	int r;

	if (slice_equal_string(value, "-1")) {
		*ret = -1;
		return 0;
	}
	r = text_to_number(value, INT32_MAX, &number);
	if (r == 0)
		*ret = (int32_t)number;
	return r;
}

static uint64_t oid_hash(uint32_t oid)
{
	return table_hash(&oid, sizeof(oid));
}

static const struct catalog_type *find_type(const struct sql_catalog *c, uint32_t oid)
{
	for (struct table_node *node = table_find(&c->types, oid_hash(oid)); node;
		node = table_find_next(&c->types, node)) {
		const struct catalog_type *type = container_of(node, struct catalog_type, node);

		if (type->oid == oid)
			return type;
	}
	return NULL;
}

int catalog_add_type(struct sql_catalog *c, const struct slice *v)
{
	struct catalog_type *type, read = {.modifier = -1};

	if (catalog_parse_oid(v[0], &read.oid) < 0 || catalog_parse_oid(v[1], &read.base) < 0 ||
		catalog_parse_modifier(v[2], &read.modifier) < 0)
		return -EINVAL;
	read.text_like = slice_equal_string(v[3], "t");
	type = arena_new(&c->arena, sizeof(*type));
	if (!type)
		return -E2BIG;
	*type = read;
	table_insert(&c->types, &type->node, oid_hash(type->oid));
	return 0;
}

struct sql_type sql_catalog_type(const struct sql_catalog *c, uint32_t oid, int32_t modifier)
{
	struct sql_type found = {.oid = oid, .modifier = modifier};
	const struct catalog_type *type = c ? find_type(c, oid) : NULL;

	for (unsigned depth = 0; type && depth < DOMAIN_DEPTH_MOST; depth++) {
		found.text_like = type->text_like;
		if (type->base == 0)
			break;
		found.oid = type->base;
		if (found.modifier < 0)
			found.modifier = type->modifier;
		type = find_type(c, type->base);
	}
	return found;
}

struct sql_type sql_relation_column_type(
	const struct sql_catalog *c, const struct sql_relation *r, size_t index)
{
	return sql_catalog_type(c, r->columns[index].type, r->columns[index].modifier);
}

int catalog_add_text_name(struct sql_catalog *c, const struct slice *v)
{
	struct catalog_text_name *type;

	if (v[0].length == 0 || v[1].length == 0)
		return -EINVAL;
	type = arena_new(&c->arena, sizeof(*type));
	if (!type)
		return -E2BIG;
	type->schema = arena_copy(&c->arena, v[0]);
	type->name = arena_copy(&c->arena, v[1]);
	if (!type->schema.data || !type->name.data)
		return -E2BIG;
	type->next = c->text_names;
	c->text_names = type;
	return 0;
}

bool catalog_has_text_name(const struct sql_catalog *c, struct slice schema, struct slice name)
{
	for (const struct catalog_text_name *t = c->text_names; t; t = t->next) {
		if (slice_equal(t->name, name) && slice_equal(t->schema, schema))
			return true;
	}
	return false;
}
