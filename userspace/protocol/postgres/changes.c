/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/changes.h"

#include "base/bytes.h"
#include "protocol/operation.h"

/* Of all texts of a batch that change names, and of the objects that they name. */
#define TEXTS_MOST 65536
#define OBJECTS_MOST 16384
#define PORTAL_MOST 256 /* bytes of its name */

void pg_changes_init(struct pg_changes *c)
{
	*c = (struct pg_changes){0};
	buffer_init(&c->texts, TEXTS_MOST);
	buffer_init(&c->objects, OBJECTS_MOST);
	buffer_init(&c->portal, PORTAL_MOST);
}

void pg_changes_done(struct pg_changes *c)
{
	buffer_done(&c->texts);
	buffer_done(&c->objects);
	buffer_done(&c->portal);
}

void pg_changes_begin(struct pg_changes *c, uint64_t batch)
{
	if (c->batch == batch)
		return;
	pg_changes_done(c);
	pg_changes_init(c);
	c->batch = batch;
}

/* Behind its length. */
static void put(struct pg_changes *c, struct buffer *b, struct slice part)
{
	if (buffer_append_u64(b, part.length) < 0 || buffer_append_slice(b, part) < 0)
		c->uncertain = true;
}

void pg_changes_copy(struct pg_changes *to, const struct pg_changes *from)
{
	pg_changes_done(to);
	pg_changes_init(to);
	to->batch = from->batch;
	to->effects = from->effects;
	to->bound = from->bound;
	to->waits = from->waits;
	to->uncertain = from->uncertain ||
		buffer_append_slice(&to->portal, buffer_slice(&from->portal)) < 0 ||
		buffer_append_slice(&to->texts, buffer_slice(&from->texts)) < 0 ||
		buffer_append_slice(&to->objects, buffer_slice(&from->objects)) < 0;
}

static bool is_read(enum operation operation)
{
	return operation == OPERATION_SELECT || operation == OPERATION_CATALOG;
}

void pg_changes_add(struct pg_changes *c, const struct pg_plan *plan, struct slice exact,
	const struct slice bound[2], struct slice portal)
{
	const struct sql_resolution *resolution = &plan->resolution;

	buffer_clear(&c->portal);
	c->uncertain |= c->waits || buffer_append_slice(&c->portal, portal) < 0;
	c->bound = true;
	c->waits = resolution->effects;
	if (!resolution->effects)
		return;
	c->effects |= resolution->effects;
	put(c, &c->texts, exact);
	put(c, &c->texts, bound[0]);
	put(c, &c->texts, bound[1]);
	for (size_t i = 0; i < resolution->pair_count; i++) {
		const struct action_pair *pair = &resolution->pairs[i];

		if (pair->state == OBJECT_KNOWN && !is_read(pair->operation))
			put(c, &c->objects, pair->object);
	}
}

bool pg_changes_ran(struct pg_changes *c, struct slice portal)
{
	if (!c->bound || !slice_equal(buffer_slice(&c->portal), portal))
		return false;
	c->waits = false;
	return true;
}

bool pg_changes_has_object(const struct pg_changes *c, struct slice object)
{
	struct slice rest = buffer_slice(&c->objects);

	while (rest.length > sizeof(uint64_t)) {
		size_t length = (size_t)bytes_get_u64(rest.data);

		rest = slice_from(rest, sizeof(uint64_t));
		if (slice_equal(slice_head(rest, length), object))
			return true;
		rest = slice_from(rest, length);
	}
	return false;
}
