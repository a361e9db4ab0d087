/* SPDX-License-Identifier: Apache-2.0
 *
 * entry: a record as a reader sees it: its fields in order, strings resolved by the segment's
 * dictionary, groups opened. Made for hostile files: nothing is allocated beyond what the file's
 * own bytes and the limits of format.h allow.
 */
#ifndef WAYLEAVE_RECORDING_ENTRY_H
#define WAYLEAVE_RECORDING_ENTRY_H

#include "recording/field.h"

struct entry {
	unsigned type; /* enum record_type, or a number of a later version */
	uint64_t sequence, time, offset; /* offset: of the record in the uncompressed segment */
	const struct field_item *items; /* fields that this version doesn't know are left out */
	size_t count;
};

struct entry_string {
	uint8_t *bytes;
	uint32_t length;
};

/* What the parser remembers within a segment. */
struct entry_parser {
	struct entry_string *slots; /* DICTIONARY_SLOTS, on first use */
	uint8_t **replaced; /* strings that left their slots during this record, which may refer to
			       them */
	size_t replaced_count;
	struct field_item *items;
	size_t count, capacity;
};

void entry_parser_init(struct entry_parser *p);
void entry_parser_done(struct entry_parser *p);
/* Parses a payload. `ret->items` point into the payload and into the parser; valid until the next
 * call. -EBADMSG, with the reason in `e`. */
int entry_parse(struct entry_parser *p, struct slice payload, struct entry *ret, struct error *e);

/* The first item of the field, or NULL. */
const struct field_item *entry_find(const struct entry *entry, enum field field);
bool entry_has(const struct entry *entry, enum field field);
/* 0, or the empty slice, where there is no such field. */
uint64_t entry_number(const struct entry *entry, enum field field);
struct slice entry_bytes(const struct entry *entry, enum field field);

#endif
