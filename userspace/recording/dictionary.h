/* SPDX-License-Identifier: Apache-2.0
 *
 * dictionary: strings that a writer has already put into its segment, so that it can name them by
 * a slot (format.h). Direct-mapped: a string has one slot, by its hash, and another string of that
 * slot that comes twice takes it over; readers follow without knowing the hash. Bounded by
 * DICTIONARY_SLOTS texts of DICTIONARY_TEXT_MOST bytes.
 */
#ifndef WAYLEAVE_RECORDING_DICTIONARY_H
#define WAYLEAVE_RECORDING_DICTIONARY_H

#include "recording/format.h"

/* What the recorder remembers about a text besides its bytes. */
struct dictionary_note {
	bool known;
	uint8_t digest[HASH_SIZE];
	uint64_t secret_parameters; /* secret.h */
};

struct dictionary_slot {
	uint64_t hash; /* by table_hash() */
	uint64_t candidate; /* hash of the last text that wanted the slot */
	uint32_t length; /* 0: empty, or defined by nobody yet */
	uint32_t capacity;
	uint8_t *bytes;
	struct dictionary_note note;
};

struct dictionary {
	struct dictionary_slot *slots; /* NULL before the first definition */
};

static inline bool dictionary_takes(struct slice text)
{
	return dictionary_takes_length(text.length);
}

static inline unsigned dictionary_slot_of(uint64_t hash)
{
	return (unsigned)(hash % DICTIONARY_SLOTS);
}

void dictionary_init(struct dictionary *d);
void dictionary_done(struct dictionary *d);
/* Forgets all strings: at the start of a segment, and where a record with a definition was dropped.
 */
void dictionary_clear(struct dictionary *d);
/* The slot that holds exactly this text, else NULL. Owned by the dictionary, until the next
 * definition. */
struct dictionary_slot *dictionary_find(
	const struct dictionary *d, struct slice text, uint64_t hash);
/* Whether a text that is not in its slot shall be put there: at the second time in a row that it
 * comes, so that a flood of texts that never repeat costs little and drives out nothing. */
bool dictionary_wants(struct dictionary *d, uint64_t hash);
/* Puts a text that the dictionary takes and wants into its slot. The note is empty. */
void dictionary_define(struct dictionary *d, struct slice text, uint64_t hash);

#endif
