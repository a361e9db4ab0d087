/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/grant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "approval/fields.h"
#include "base/memory.h"

void grant_table_set(struct grant_table *t, uint32_t slot, uint64_t serial, uint64_t end)
{
	/* No reader may see the new serial with the old end. */
	atomic_store(&t->slots[slot].serial, 0);
	atomic_store(&t->slots[slot].end, end);
	atomic_store(&t->slots[slot].serial, serial);
}

bool grant_table_has(const struct grant_table *t, uint32_t slot, uint64_t serial, uint64_t now)
{
	uint64_t end;

	if (serial == 0 || atomic_load(&t->slots[slot].serial) != serial)
		return false;
	end = atomic_load(&t->slots[slot].end);
	return now < end && atomic_load(&t->slots[slot].serial) == serial;
}

bool grant_is_in_force(const struct grant *g, const struct grant_table *t, uint64_t now)
{
	return grant_table_has(t, g->slot, g->serial, now);
}

static bool covers_rule(const struct scope_of_action *granted, struct slice rule)
{
	for (size_t i = 0; i < granted->rule_count; i++) {
		if (slice_equal(granted->rules[i], rule))
			return true;
	}
	return false;
}

static bool covers_pair(const struct scope_of_action *granted, const struct action_pair *pair)
{
	for (size_t i = 0; i < granted->pair_count; i++) {
		const struct action_pair *g = &granted->pairs[i];

		if (g->operation == pair->operation && g->state == pair->state &&
			slice_equal(g->object, pair->object) &&
			(g->everything || !pair->everything))
			return true;
	}
	return false;
}

bool grant_covers(const struct grant *g, const struct scope_of_action *scope, unsigned unknown)
{
	if (unknown || !slice_equal(g->scope.agent, scope->agent) ||
		!slice_equal(g->scope.principal, scope->principal) ||
		!slice_equal(g->scope.on_behalf_of, scope->on_behalf_of) ||
		!slice_equal(g->scope.resource, scope->resource) ||
		!slice_equal(g->scope.database, scope->database) ||
		!slice_equal(g->scope.user, scope->user) || !slice_equal(g->scope.as, scope->as))
		return false;
	for (size_t i = 0; i < scope->rule_count; i++) {
		if (!covers_rule(&g->scope, scope->rules[i]))
			return false;
	}
	for (size_t i = 0; i < scope->pair_count; i++) {
		if (scope->pairs[i].state == OBJECT_UNKNOWN ||
			!covers_pair(&g->scope, &scope->pairs[i]))
			return false;
	}
	return true;
}

int grants_encode(const struct grant *grants, size_t count, struct buffer *ret)
{
	int r = fields_put_number(ret, count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct grant *g = &grants[i];

		r = fields_put_text(ret, slice_from_string(g->id.text));
		if (r == 0)
			r = fields_put_number(ret, g->slot);
		if (r == 0)
			r = fields_put_number(ret, g->serial);
		if (r == 0)
			r = fields_put_scope(ret, &g->scope);
	}
	return r;
}

static void get_grant(struct field_reader *r, struct grant *ret)
{
	struct slice id = fields_get_text(r);
	uint64_t slot = fields_get_number(r);

	if (!identifier_is_valid(id, 'g') || slot >= GRANTS_MOST) {
		r->bad = true;
		return;
	}
	memcpy(ret->id.text, id.data, id.length);
	ret->slot = (uint32_t)slot;
	ret->serial = fields_get_number(r);
	fields_get_scope(r, &ret->scope);
}

int grants_decode(struct slice bytes, struct grant **ret, size_t *ret_count)
{
	struct field_reader r = {.rest = bytes};
	uint64_t count = fields_get_number(&r);
	struct grant *grants;

	if (count > GRANTS_MOST)
		return -EBADMSG;
	grants = memory_new_array(count + 1, sizeof(*grants));
	for (uint64_t i = 0; i < count && !r.bad; i++)
		get_grant(&r, &grants[i]);
	if (r.bad || r.rest.length) {
		free(grants);
		return -EBADMSG;
	}
	*ret = grants;
	*ret_count = count;
	return 0;
}
