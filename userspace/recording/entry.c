/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/entry.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/memory.h"

void entry_parser_init(struct entry_parser *p)
{
	*p = (struct entry_parser){0};
}

static void parser_free_replaced(struct entry_parser *p)
{
	for (size_t i = 0; i < p->replaced_count; i++)
		free(p->replaced[i]);
	free(p->replaced);
	p->replaced = NULL;
	p->replaced_count = 0;
}

void entry_parser_done(struct entry_parser *p)
{
	parser_free_replaced(p);
	for (size_t i = 0; p->slots && i < DICTIONARY_SLOTS; i++)
		free(p->slots[i].bytes);
	free(p->slots);
	free(p->items);
	entry_parser_init(p);
}

static void parser_keep_replaced(struct entry_parser *p, uint8_t *bytes)
{
	/* Grown in steps of powers of two. */
	if ((p->replaced_count & (p->replaced_count - 1)) == 0)
		p->replaced = memory_resize_array(p->replaced,
			p->replaced_count ? p->replaced_count * 2 : 1, sizeof(*p->replaced));
	p->replaced[p->replaced_count++] = bytes;
}

static int parser_define(struct entry_parser *p, unsigned slot, struct slice text)
{
	struct entry_string *string;

	if (!dictionary_takes_length(text.length))
		return -EBADMSG;
	if (!p->slots)
		p->slots = memory_new_array(DICTIONARY_SLOTS, sizeof(*p->slots));
	string = &p->slots[slot];
	if (string->bytes)
		parser_keep_replaced(p, string->bytes);
	string->bytes = (uint8_t *)memory_copy_text(text.data, text.length);
	string->length = (uint32_t)text.length;
	return 0;
}

static int parser_string(struct entry_parser *p, struct slice bytes, struct slice *ret)
{
	unsigned slot;

	if (bytes.length == 0 || bytes.data[0] > STRING_DEFINITION)
		return -EBADMSG;
	if (bytes.data[0] == STRING_INLINE) {
		*ret = slice_from(bytes, 1);
		return 0;
	}
	if (bytes.length < 3)
		return -EBADMSG;
	slot = bytes_get_u16(bytes.data + 1);
	if (slot >= DICTIONARY_SLOTS)
		return -EBADMSG;
	if (bytes.data[0] == STRING_DEFINITION) {
		int r = parser_define(p, slot, slice_from(bytes, 3));

		if (r < 0)
			return r;
	} else if (bytes.length > 3) {
		return -EBADMSG;
	}
	if (!p->slots || !p->slots[slot].bytes)
		return -EBADMSG;
	*ret = slice_of(p->slots[slot].bytes, p->slots[slot].length);
	return 0;
}

static int parser_add(struct entry_parser *p, const struct field_item *item)
{
	if (p->count == LIMIT_RECORD_FIELDS)
		return -EBADMSG;
	if (p->count == p->capacity) {
		p->capacity = p->capacity ? p->capacity * 2 : 32;
		p->items = memory_resize_array(p->items, p->capacity, sizeof(*p->items));
	}
	p->items[p->count++] = *item;
	return 0;
}

/* `fields` of a record, or of a group in it; groups don't nest. */
static int parser_fields(struct entry_parser *p, struct slice fields, bool in_group)
{
	while (fields.length) {
		struct field_item item = {0};
		struct slice bytes;
		uint8_t number;
		enum field_form form;
		int r = field_take(&fields, &number, &bytes);

		if (r < 0)
			return r;
		form = field_form(number);
		item.field = (enum field)number;
		item.bytes = bytes;
		if (form == FORM_UNKNOWN)
			continue;
		if (form == FORM_NUMBER || form == FORM_TIME)
			r = field_to_number(bytes, &item.number);
		else if (form == FORM_STRING || form == FORM_GROUP)
			r = parser_string(p, bytes, &item.bytes);
		if (r == 0 && form == FORM_GROUP)
			r = in_group ? -EBADMSG : parser_fields(p, item.bytes, true);
		else if (r == 0)
			r = parser_add(p, &item);
		if (r < 0)
			return r;
	}
	return 0;
}

int entry_parse(struct entry_parser *p, struct slice payload, struct entry *ret, struct error *e)
{
	parser_free_replaced(p);
	p->count = 0;
	if (parser_fields(p, payload, false) < 0)
		return error_set(e, -EBADMSG, "its fields make no sense");
	ret->items = p->items;
	ret->count = p->count;
	return 0;
}

const struct field_item *entry_find(const struct entry *entry, enum field field)
{
	for (size_t i = 0; i < entry->count; i++) {
		if (entry->items[i].field == field)
			return &entry->items[i];
	}
	return NULL;
}

bool entry_has(const struct entry *entry, enum field field)
{
	return entry_find(entry, field) != NULL;
}

uint64_t entry_number(const struct entry *entry, enum field field)
{
	const struct field_item *item = entry_find(entry, field);

	return item ? item->number : 0;
}

struct slice entry_bytes(const struct entry *entry, enum field field)
{
	const struct field_item *item = entry_find(entry, field);

	return item ? item->bytes : SLICE_EMPTY;
}
