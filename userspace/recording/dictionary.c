/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/dictionary.h"

#include "base/memory.h"

void dictionary_init(struct dictionary *d)
{
	*d = (struct dictionary){0};
}

void dictionary_done(struct dictionary *d)
{
	for (size_t i = 0; d->slots && i < DICTIONARY_SLOTS; i++)
		free(d->slots[i].bytes);
	free(d->slots);
	dictionary_init(d);
}

void dictionary_clear(struct dictionary *d)
{
	for (size_t i = 0; d->slots && i < DICTIONARY_SLOTS; i++)
		d->slots[i].length = 0;
}

struct dictionary_slot *dictionary_find(
	const struct dictionary *d, struct slice text, uint64_t hash)
{
	struct dictionary_slot *slot;

	if (!d->slots || text.length == 0)
		return NULL;
	slot = &d->slots[dictionary_slot_of(hash)];
	if (slot->hash != hash || !slice_equal(slice_of(slot->bytes, slot->length), text))
		return NULL;
	return slot;
}

bool dictionary_wants(struct dictionary *d, uint64_t hash)
{
	struct dictionary_slot *slot;

	if (!d->slots)
		d->slots = memory_new_array(DICTIONARY_SLOTS, sizeof(*d->slots));
	slot = &d->slots[dictionary_slot_of(hash)];
	if (slot->candidate == hash)
		return true;
	slot->candidate = hash;
	return false;
}

void dictionary_define(struct dictionary *d, struct slice text, uint64_t hash)
{
	struct dictionary_slot *slot;

	slot = &d->slots[dictionary_slot_of(hash)];
	if (slot->capacity < text.length) {
		slot->bytes = memory_resize_array(slot->bytes, text.length, 1);
		slot->capacity = (uint32_t)text.length;
	}
	memcpy(slot->bytes, text.data, text.length);
	slot->length = (uint32_t)text.length;
	slot->hash = hash;
	slot->note = (struct dictionary_note){0};
}
