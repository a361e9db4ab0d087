/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve_pair: the pairs of operation and object that a text comes to, each once.
 */
#include <errno.h>

#include "protocol/sql/resolver.h"

static uint64_t pair_hash(const struct action_pair *p)
{
	return table_hash_slice(p->object) + (uint64_t)p->operation * 0x9e3779b97f4a7c15 + p->state;
}

static bool pair_equal(const struct action_pair *a, const struct action_pair *b)
{
	return a->operation == b->operation && a->state == b->state &&
		slice_equal(a->object, b->object);
}

/* The place of the pair's number, or of where it would go. */
static uint32_t *pair_slot(const struct pair_list *list, const struct action_pair *p)
{
	size_t slot = pair_hash(p) & (list->slot_count - 1);

	while (list->slots[slot] && !pair_equal(&list->items[list->slots[slot] - 1], p))
		slot = (slot + 1) & (list->slot_count - 1);
	return &list->slots[slot];
}

static int pair_list_grow(struct resolver *r, struct pair_list *list)
{
	size_t room = list->room ? list->room * 2 : 8;
	struct action_pair *items = arena_new_array(r->arena, room, sizeof(*items));
	uint32_t *slots = arena_new_array(r->arena, room * 2, sizeof(*slots));

	if (!items || !slots)
		return -E2BIG;
	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	list->items = items;
	list->room = room;
	list->slots = slots;
	list->slot_count = room * 2;
	for (size_t i = 0; i < list->count; i++)
		*pair_slot(list, &items[i]) = (uint32_t)(i + 1);
	return 0;
}

void resolve_add_pair(struct resolver *r, const struct action_pair *p, bool later)
{
	struct pair_list *list = later ? &r->later : &r->pairs;
	uint32_t *slot;

	if (list->count == list->room && pair_list_grow(r, list) < 0) {
		r->error = -E2BIG;
		return;
	}
	operation_set_add(&r->given, p->operation);
	if (p->state == OBJECT_UNKNOWN && !later)
		r->result.unknown |= ACTION_UNKNOWN_OBJECT;
	slot = pair_slot(list, p);
	if (*slot) {
		list->items[*slot - 1].everything |= p->everything;
		list->items[*slot - 1].unfiltered |= p->unfiltered;
		return;
	}
	list->items[list->count++] = *p;
	*slot = (uint32_t)list->count;
}

/* EXPLAIN without ANALYZE plans what its statement would do to relations, and does it to none.
 * Functions stay: planning calls those that claim to be immutable. */
static bool is_only_planned(enum operation operation)
{
	switch (operation) {
	case OPERATION_SELECT:
	case OPERATION_INSERT:
	case OPERATION_UPDATE:
	case OPERATION_DELETE:
	case OPERATION_MERGE:
	case OPERATION_CREATE:
	case OPERATION_ALTER:
	case OPERATION_LOCK:
	case OPERATION_SET:
		return true;
	default:
		return false;
	}
}

static bool is_read(enum operation operation)
{
	return operation == OPERATION_SELECT || operation == OPERATION_CATALOG;
}

void resolve_emit(struct resolver *r, const struct mention *m, enum operation operation,
	enum object_state state, struct slice object)
{
	bool later = m->flags & MENTION_LATER;
	struct action_pair pair = {
		.operation = operation,
		.state = state,
		.object = object,
	};

	if (m->flags & MENTION_EVERYTHING)
		*(is_read(operation) ? &pair.unfiltered : &pair.everything) = true;

	if ((m->flags & MENTION_EXPLAINED) && operation == OPERATION_CURSOR)
		return;
	if (!((m->flags & MENTION_EXPLAINED) && is_only_planned(operation))) {
		resolve_add_pair(r, &pair, later);
		if (!(m->flags & MENTION_EXPLAINED_TOO) || !is_only_planned(operation))
			return;
	}
	if (state == OBJECT_NONE)
		return;
	pair.operation = OPERATION_EXPLAIN;
	pair.everything = pair.unfiltered = false;
	resolve_add_pair(r, &pair, later);
}

/* "schema.name" with `suffix`. */
struct slice resolve_join_name(
	struct resolver *r, struct slice schema, struct slice name, const char *suffix)
{
	size_t dot = schema.length ? 1 : 0, more = strlen(suffix);
	uint8_t *text = arena_new(r->arena, schema.length + dot + name.length + more + 1);

	if (!text) {
		r->error = -E2BIG;
		return SLICE_EMPTY;
	}
	if (dot) {
		memcpy(text, schema.data, schema.length);
		text[schema.length] = '.';
	}
	if (name.length)
		memcpy(text + schema.length + dot, name.data, name.length);
	memcpy(text + schema.length + dot + name.length, suffix, more);
	return slice_of(text, schema.length + dot + name.length + more);
}

void resolve_emit_unknown(struct resolver *r, const struct mention *m, const char *suffix)
{
	resolve_emit(r, m, (enum operation)m->operation, OBJECT_UNKNOWN,
		resolve_join_name(r, m->schema, m->name, suffix));
}

void resolve_emit_named(struct resolver *r, const struct mention *m, struct slice schema,
	struct slice name, const char *suffix)
{
	resolve_emit(r, m, (enum operation)m->operation, OBJECT_KNOWN,
		resolve_join_name(r, schema, name, suffix));
}
