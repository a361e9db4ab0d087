/* SPDX-License-Identifier: Apache-2.0
 *
 * field: one field of a record's payload (format.h), written and read.
 *
 * The writers return what buffer_append() returns: 0, -E2BIG or -ENOMEM; after an error a part of
 * the field may stand in the buffer, which the caller cuts off.
 */
#ifndef WAYLEAVE_RECORDING_FIELD_H
#define WAYLEAVE_RECORDING_FIELD_H

#include "base/buffer.h"
#include "recording/format.h"

/* The bytes of a field, by the number that a record's reader resolved for NUMBER and TIME. */
struct field_item {
	enum field field;
	uint64_t number;
	struct slice bytes; /* of anything else */
};

int field_append_length(struct buffer *b, size_t length);
int field_append_number(struct buffer *b, enum field field, uint64_t value);
int field_append_bytes(struct buffer *b, enum field field, struct slice bytes);
/* A STRING that stands in place. Nothing at all for the empty slice. */
int field_append_inline(struct buffer *b, enum field field, struct slice text);
/* A STRING that names a slot, and one that fills it first. */
int field_append_reference(struct buffer *b, enum field field, unsigned slot);
int field_append_definition(struct buffer *b, enum field field, unsigned slot, struct slice text);

/* Takes a LEB128 length of at most 4 bytes, and that many bytes, off the front of *rest. -EBADMSG
 * where they aren't there. */
int field_take_bytes(struct slice *rest, struct slice *ret);
/* Takes one field off the front of *rest. -EBADMSG. */
int field_take(struct slice *rest, uint8_t *ret_field, struct slice *ret_bytes);
/* The number of 1 to 8 bytes. -EBADMSG. */
int field_to_number(struct slice bytes, uint64_t *ret);

#endif
