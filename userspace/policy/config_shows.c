/* SPDX-License-Identifier: Apache-2.0
 *
 * A mask holds for actions that its rule matches (docs/policy.md): another rule for the same agent
 * may let a view of the table through, or statistics, without it. Which relations are views only
 * the database knows; that a rule's objects leave room for one can be seen here.
 */
#include "policy/config_check.h"

#include "base/text.h"
#include "protocol/sql/builtin.h"

static struct slice slice_of_text(const struct config_text *text)
{
	return slice_from_string(text->text);
}

/* Whether something may be meant by both; an absent list means anything. */
static bool lists_meet(const struct config_texts *a, const struct config_texts *b)
{
	if (!a->place.file || !b->place.file)
		return true;
	for (size_t i = 0; i < a->count; i++) {
		for (size_t j = 0; j < b->count; j++) {
			if (strcmp(a->items[i].text, b->items[j].text) == 0)
				return true;
		}
	}
	return false;
}

/* Groups are left out: one principal may be in several. */
static bool rules_meet(const struct config_rule *a, const struct config_rule *b)
{
	return lists_meet(&a->agents, &b->agents) && lists_meet(&a->resources, &b->resources) &&
		lists_meet(&a->principals, &b->principals);
}

static bool has_sql_resource(const struct config *c, const struct config_rule *r)
{
	for (size_t i = 0; i < r->resources.count; i++) {
		const struct config_resource *resource =
			config_find_resource(c, r->resources.items[i].text);

		if (!resource || resource->protocol.value == PROTOCOL_POSTGRES ||
			resource->protocol.value == PROTOCOL_MYSQL)
			return true;
	}
	return !r->resources.place.file;
}

/* SELECT alone: COPY sends no views. */
static bool selects(const struct config_rule *r)
{
	struct operation_set set = {0};

	for (size_t i = 0; i < r->operations.count; i++)
		operation_set_add_name(
			&set, slice_of_text(&r->operations.items[i]), PROTOCOL_POSTGRES);
	return !r->operations.place.file || operation_set_has(&set, OPERATION_SELECT);
}

static const struct config_mask *masks_of(const struct config_rule *r, size_t *ret_count)
{
	*ret_count = 0;
	if (r->allow) {
		*ret_count = r->allow->mask_count;
		return r->allow->masks;
	}
	if (!r->review)
		return NULL;
	*ret_count = r->review->mask_count;
	return r->review->masks;
}

/* Whether one of the patterns means all that `pattern` does. */
static bool covers(const struct config_texts *patterns, const struct config_text *pattern)
{
	for (size_t i = 0; i < patterns->count; i++) {
		if (text_glob_parts(
			    slice_of_text(&patterns->items[i]), slice_of_text(pattern), '.'))
			return true;
	}
	return false;
}

static bool rule_masks(const struct config_rule *r, const struct config_text *column)
{
	size_t count;
	const struct config_mask *masks = masks_of(r, &count);

	for (size_t i = 0; i < count; i++) {
		if (covers(&masks[i].columns, column))
			return true;
	}
	return false;
}

/* A pattern that may mean views, or relations that show values of others. */
static bool may_show_others(const struct config_text *object)
{
	struct slice text = slice_of_text(object);
	const uint8_t *dot = memchr(text.data, '.', text.length);

	if (!dot || text.data[text.length - 1] == ')')
		return false;
	if (memchr(text.data, '*', text.length))
		return true;
	return builtin_relation_find(slice_head(text, (size_t)(dot - text.data)),
		       slice_from(text, (size_t)(dot - text.data) + 1)) == BUILTIN_RELATION_VALUES;
}

/* Most rules name their tables, and have nothing to fear. */
static bool leaves_room(const struct config_rule *r)
{
	bool room = !r->objects.place.file;

	for (size_t i = 0; i < r->objects.count && !room; i++)
		room = may_show_others(&r->objects.items[i]);
	return room;
}

/* Where `shows` lets through what `masks` does not match; no file: nowhere that can be seen. */
static struct place gap(const struct config_rule *masks, const struct config_rule *shows)
{
	const struct place none = {NULL, 0};
	bool same = selects(masks);

	if (same && !masks->objects.place.file)
		return none;
	if (!shows->objects.place.file)
		return shows->place;
	for (size_t i = 0; i < shows->objects.count; i++) {
		const struct config_text *object = &shows->objects.items[i];

		if (may_show_others(object) && !(same && covers(&masks->objects, object)))
			return object->place;
	}
	return none;
}

/* The first column that `masks` masks and `shows` does not; NULL: there is none. */
static const struct config_text *shown_column(
	const struct config_rule *masks, const struct config_rule *shows)
{
	size_t count;
	const struct config_mask *items = masks_of(masks, &count);

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < items[i].columns.count; j++) {
			if (!rule_masks(shows, &items[i].columns.items[j]))
				return &items[i].columns.items[j];
		}
	}
	return NULL;
}

/* One warning for each rule: the first mask that it may pass by. */
static void check_rule(struct config *c, struct loader *l, const struct config_rule *shows)
{
	if (shows->deny || !leaves_room(shows) || !selects(shows) ||
		(c->file && !has_sql_resource(c, shows)))
		return;
	for (size_t i = 0; i < c->rule_count; i++) {
		const struct config_rule *masks = &c->rules[i];
		const struct config_text *column;
		struct place place;

		if (masks == shows || !rules_meet(masks, shows))
			continue;
		column = shown_column(masks, shows);
		place = gap(masks, shows);
		if (!column || !place.file)
			continue;
		loader_warning(l, place,
			"views and statistics that this allows may show \"%s\", which rule \"%s\" "
			"masks; repeat the mask here, or list tables",
			column->text, masks->name.text ? masks->name.text : "");
		return;
	}
}

void config_check_shown(struct config *c, struct loader *l)
{
	for (size_t i = 0; i < c->rule_count; i++)
		check_rule(c, l, &c->rules[i]);
}
