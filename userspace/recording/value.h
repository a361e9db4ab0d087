/* SPDX-License-Identifier: Apache-2.0
 *
 * value: one parameter of an action or one cell of a result, as recordings keep it: whole up to a
 * limit, beyond it its beginning with its length and SHA-256; or, where it is a password, its
 * length alone.
 *
 *   form 1 [length 8, SHA-256 32, where the form says so] bytes
 */
#ifndef WAYLEAVE_RECORDING_VALUE_H
#define WAYLEAVE_RECORDING_VALUE_H

#include "recording/field.h"

/* On disk. */
enum value_form {
	VALUE_NULL = 0,
	VALUE_TEXT = 1,
	VALUE_BINARY = 2,
	VALUE_TEXT_CUT = 3,
	VALUE_BINARY_CUT = 4,
	VALUE_HIDDEN = 5,
};

/* As the protocol engine has it: VALUE_NULL, VALUE_TEXT or VALUE_BINARY. The bytes stay the
 * caller's. */
struct record_value {
	enum value_form form;
	struct slice bytes;
};

/* As a recording has it. Slices point into what was read. */
struct recorded_value {
	enum value_form form;
	struct slice bytes; /* what was kept */
	uint64_t length; /* of the whole */
	struct slice digest; /* SHA-256 of the whole, where it was cut; else empty */
};

/* Appends at most `kept` of the value's bytes; with `hidden` none. 0, or buffer_append()'s errors.
 */
int value_append(struct buffer *b, const struct record_value *v, size_t kept, bool hidden);
/* -EBADMSG. */
int value_decode(struct slice bytes, struct recorded_value *ret);

/* A row: its values, each with its length in front. */
int row_append(struct buffer *b, const struct record_value *values, size_t count, size_t kept);
/* Takes the next value off a row; -EBADMSG, also at the end, which is where row->length is 0. */
int row_take(struct slice *row, struct recorded_value *ret);

#endif
