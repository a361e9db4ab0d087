/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schema.h"

#include "base/memory.h"
#include "base/text.h"
#include "policy/suggest.h"

#define SCHEMA_TEXT_MOST 4096 /* bytes of one text */

struct walk {
	struct loader *loader;
	const struct schema_key *key;
	const struct node *node;
	void *target; /* the member that the key fills */
	size_t *count;
};

static struct place node_place(const struct loader *l, const struct node *node)
{
	return (struct place){l->file, node->line};
}

static bool expect(const struct walk *w, enum node_kind kind, const char *expected)
{
	if (w->node->kind == kind)
		return true;
	loader_error(w->loader, node_place(w->loader, w->node), "\"%s\": expected %s, not %s",
		w->key->name, expected, node_kind_name(w->node->kind));
	return false;
}

static bool take_text(
	struct loader *l, const char *key, const struct node *node, struct config_text *ret)
{
	struct slice text = slice_from_string(node->text);
	struct place place = node_place(l, node);

	if (text.length == 0)
		loader_error(l, place, "\"%s\": expected a text, found nothing", key);
	else if (text.length > SCHEMA_TEXT_MOST)
		loader_error(l, place, "\"%s\": longer than %d bytes", key, SCHEMA_TEXT_MOST);
	else
		*ret = (struct config_text){place, node->text};
	return ret->text;
}

static void read_text(struct walk *w)
{
	if (expect(w, NODE_TEXT, "a text"))
		take_text(w->loader, w->key->name, w->node, w->target);
}

static void take_texts(
	struct loader *l, const char *key, const struct node *node, struct config_texts *list)
{
	*list = (struct config_texts){.place = node_place(l, node)};
	list->items = node_allocate(l->arena, (node->count + 1) * sizeof(*list->items));
	for (const struct node *item = node->first; item; item = item->next) {
		if (item->kind != NODE_TEXT)
			loader_error(l, node_place(l, item),
				"\"%s\": expected a list of texts, and in it not %s", key,
				node_kind_name(item->kind));
		else if (take_text(l, key, item, &list->items[list->count]))
			list->count++;
	}
}

static void read_texts(struct walk *w)
{
	if (expect(w, NODE_LIST, "a list of texts, as in [a, b]"))
		take_texts(w->loader, w->key->name, w->node, w->target);
}

static void read_named_texts(struct walk *w)
{
	struct config_named_texts *items;

	if (!expect(w, NODE_MAPPING, "a mapping of names to lists of texts, as in {a: [b, c]}"))
		return;
	items = node_allocate(w->loader->arena, (w->node->count + 1) * sizeof(*items));
	*(void **)w->target = items;
	*w->count = 0;
	for (const struct node *item = w->node->first; item; item = item->next) {
		struct config_named_texts *named = &items[*w->count];

		if (item->kind != NODE_LIST) {
			loader_error(w->loader, node_place(w->loader, item),
				"\"%s\": expected a list of texts for \"%s\", not %s", w->key->name,
				item->key, node_kind_name(item->kind));
			continue;
		}
		take_texts(w->loader, w->key->name, item, &named->texts);
		named->place = named->texts.place;
		named->name.place = (struct place){w->loader->file, item->key_line};
		named->name.text = item->key;
		++*w->count;
	}
}

static const char *join_names(struct loader *l, const char *const *names)
{
	struct buffer b;
	const char *text;

	buffer_init(&b, 4096);
	for (size_t i = 0; names[i]; i++)
		buffer_append_format(&b, "%s%s", i ? ", " : "", names[i]);
	buffer_append_byte(&b, '\0');
	text = node_copy_text(l->arena, (const char *)buffer_slice(&b).data);
	buffer_done(&b);
	return text;
}

static void read_choice(struct walk *w)
{
	struct config_choice *choice = w->target;
	struct suggestion near;

	if (!expect(w, NODE_TEXT, join_names(w->loader, w->key->names)))
		return;
	suggestion_init(&near, w->node->text);
	for (unsigned i = 0; w->key->names[i]; i++) {
		if (strcmp(w->key->names[i], w->node->text) == 0) {
			*choice = (struct config_choice){node_place(w->loader, w->node), i};
			return;
		}
		suggestion_offer(&near, w->key->names[i]);
	}
	loader_error(w->loader, node_place(w->loader, w->node),
		"\"%s\": expected one of %s, not \"%s\"" SUGGESTION_FORMAT, w->key->name,
		join_names(w->loader, w->key->names), w->node->text, SUGGESTION_PRINT(&near));
}

static void read_flag(struct walk *w)
{
	bool *flag = w->target;

	if (!expect(w, NODE_TEXT, "true or false"))
		return;
	if (w->node->plain && strcmp(w->node->text, "true") == 0)
		*flag = true;
	else if (w->node->plain && strcmp(w->node->text, "false") == 0)
		*flag = false;
	else
		loader_error(w->loader, node_place(w->loader, w->node),
			"\"%s\": expected true or false, not \"%s\"", w->key->name, w->node->text);
}

static int parse_number(struct slice text, uint64_t most, uint64_t *ret)
{
	return text_to_number(text, most, ret);
}

static int parse_duration(struct slice text, uint64_t most, uint64_t *ret)
{
	uint64_t value;

	if (text_to_duration(text, &value) < 0 || value == 0 || value > most)
		return -1;
	*ret = value;
	return 0;
}

static int parse_size(struct slice text, uint64_t most, uint64_t *ret)
{
	(void)most;
	return text_to_size(text, ret);
}

static int parse_percent(struct slice text, uint64_t most, uint64_t *ret)
{
	uint64_t value;

	if (text.length < 2 || text.data[text.length - 1] != '%' ||
		text_to_number(slice_head(text, text.length - 1), most, &value) < 0 || value == 0)
		return -1;
	*ret = value;
	return 0;
}

static const struct quantity {
	int (*parse)(struct slice text, uint64_t most, uint64_t *ret);
	uint64_t most; /* where the key does not say */
	const char *expected;
} quantities[] = {
	[SCHEMA_NUMBER] = {parse_number, UINT32_MAX, "a number"},
	/* A year: sums of durations and clocks stay far from overflowing. */
	[SCHEMA_DURATION] = {parse_duration, 366 * 86400ULL * 1000000000ULL,
		"a duration of at most 366d, as 90s, 15m, 24h or 2d"},
	[SCHEMA_SIZE] = {parse_size, UINT64_MAX, "a size, as 512M or 20G"},
	[SCHEMA_PERCENT] = {parse_percent, 100, "a percentage from 1% to 100%"},
};

static void read_quantity(struct walk *w)
{
	const struct quantity *quantity = &quantities[w->key->type];
	uint64_t most = w->key->most ? w->key->most : quantity->most;
	struct config_number *number = w->target;
	struct place place = node_place(w->loader, w->node);

	if (!expect(w, NODE_TEXT, quantity->expected))
		return;
	if (quantity->parse(slice_from_string(w->node->text), most, &number->value) == 0)
		number->place = place;
	else if (w->key->type == SCHEMA_NUMBER)
		loader_error(w->loader, place,
			"\"%s\": expected a number from 0 to %llu, not \"%s\"", w->key->name,
			(unsigned long long)most, w->node->text);
	else
		loader_error(w->loader, place, "\"%s\": expected %s, not \"%s\"", w->key->name,
			quantity->expected, w->node->text);
}

/* "allow:" with nothing behind it is an empty mapping. */
static bool node_is_nothing(const struct node *node)
{
	return node->kind == NODE_TEXT && node->plain && node->text[0] == '\0';
}

static void read_mapping(struct walk *w)
{
	struct node nothing = {.kind = NODE_MAPPING, .line = w->node->line};
	const struct node *node = node_is_nothing(w->node) ? &nothing : w->node;
	void *target;

	if (node != &nothing && !expect(w, NODE_MAPPING, "a mapping of keys"))
		return;
	target = node_allocate(w->loader->arena, w->key->schema->size);
	schema_read(w->loader, w->key->schema, node, target);
	*(void **)w->target = target;
}

static void read_list(struct walk *w)
{
	const struct schema *schema = w->key->schema;
	char *items;

	if (!expect(w, NODE_LIST, "a list"))
		return;
	items = node_allocate(w->loader->arena, (w->node->count + 1) * schema->size);
	*(void **)w->target = items;
	*w->count = 0; /* a key that stands twice has been reported; the second one is read */
	for (const struct node *item = w->node->first; item; item = item->next) {
		if (item->kind != NODE_MAPPING) {
			loader_error(w->loader, node_place(w->loader, item),
				"\"%s\": expected %s (a mapping of keys), not %s", w->key->name,
				schema->what, node_kind_name(item->kind));
			continue;
		}
		schema_read(w->loader, schema, item, items + *w->count * schema->size);
		++*w->count;
	}
}

static void read_named(struct walk *w)
{
	const struct schema *schema = w->key->schema;
	char *items;

	if (!expect(w, NODE_MAPPING, "a mapping of names"))
		return;
	items = node_allocate(w->loader->arena, (w->node->count + 1) * schema->size);
	*(void **)w->target = items;
	*w->count = 0; /* a key that stands twice has been reported; the second one is read */
	for (const struct node *item = w->node->first; item; item = item->next) {
		struct config_named *named = (void *)(items + *w->count * schema->size);

		if (item->kind != NODE_MAPPING) {
			loader_error(w->loader, node_place(w->loader, item),
				"\"%s\": expected %s (a mapping of keys) for \"%s\", not %s",
				w->key->name, schema->what, item->key, node_kind_name(item->kind));
			continue;
		}
		schema_read(w->loader, schema, item, named);
		named->name.place = (struct place){w->loader->file, item->key_line};
		named->name.text = item->key;
		++*w->count;
	}
}

static void (*const readers[])(struct walk *w) = {
	[SCHEMA_TEXT] = read_text,
	[SCHEMA_TEXTS] = read_texts,
	[SCHEMA_CHOICE] = read_choice,
	[SCHEMA_FLAG] = read_flag,
	[SCHEMA_NUMBER] = read_quantity,
	[SCHEMA_DURATION] = read_quantity,
	[SCHEMA_SIZE] = read_quantity,
	[SCHEMA_PERCENT] = read_quantity,
	[SCHEMA_MAPPING] = read_mapping,
	[SCHEMA_LIST] = read_list,
	[SCHEMA_NAMED] = read_named,
	[SCHEMA_NAMED_TEXTS] = read_named_texts,
};

static const struct schema_key *schema_find(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->key_count; i++) {
		if (strcmp(schema->keys[i].name, name) == 0)
			return &schema->keys[i];
	}
	return NULL;
}

static void report_unknown_key(
	struct loader *l, const struct schema *schema, const struct node *member)
{
	const char **names = node_allocate(l->arena, (schema->key_count + 1) * sizeof(*names));
	struct place place = {l->file, member->key_line};
	struct suggestion near;

	suggestion_init(&near, member->key);
	for (size_t i = 0; i < schema->key_count; i++) {
		names[i] = schema->keys[i].name;
		suggestion_offer(&near, names[i]);
	}
	if (near.best)
		loader_error(l, place, "unknown key \"%s\" in %s" SUGGESTION_FORMAT, member->key,
			schema->what, SUGGESTION_PRINT(&near));
	else
		loader_error(l, place, "unknown key \"%s\" in %s; expected one of %s", member->key,
			schema->what, join_names(l, names));
}

void schema_read(
	struct loader *l, const struct schema *schema, const struct node *node, void *target)
{
	char *base = target;

	if (schema->initial)
		memcpy(target, schema->initial, schema->size);
	*(struct place *)target = node_place(l, node);
	for (const struct node *member = node->first; member; member = member->next) {
		const struct schema_key *key = schema_find(schema, member->key);

		if (key) {
			struct walk w = {l, key, member, base + key->offset,
				(size_t *)(void *)(base + key->count_offset)};

			readers[key->type](&w);
		} else {
			report_unknown_key(l, schema, member);
		}
	}
	for (size_t i = 0; i < schema->key_count; i++) {
		if (schema->keys[i].required && !node_find(node, schema->keys[i].name))
			loader_error(l, node_place(l, node), "%s needs \"%s\"", schema->what,
				schema->keys[i].name);
	}
}
