/* SPDX-License-Identifier: Apache-2.0
 *
 * value: masks one value of a PostgreSQL type so that it stays a legal value of that type, in text
 * and in binary format, or becomes NULL.
 *
 * A column's strategy hides the whole value; a type that can't hold the mask's text gets NULL.
 * Detectors replace what they find inside text, JSON, XML, bytea and the elements of arrays and
 * composites; in types that could not hold the replacement (numbers, addresses, types we don't
 * know) a finding makes the value NULL. Types that can't carry anything a detector knows are not
 * searched.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_VALUE_H
#define WAYLEAVE_PROTOCOL_POSTGRES_VALUE_H

#include "masking/source.h"

struct value_type {
	/* As in RowDescription; a domain's is its base type's. 0: not known, as in COPY of a query:
	 * then text format is judged by how it looks, and binary by what it could be. */
	uint32_t oid;
	int32_t modifier; /* atttypmod; -1: none */
	/* The catalog says that an OID that is not built in takes any text (typcategory S, as
	 * citext). */
	bool text_like;
};

enum value_format { VALUE_FORMAT_TEXT = 0, VALUE_FORMAT_BINARY = 1 };

/* One field of a composite type, live attributes alone, in order. */
struct value_field {
	struct value_type type;
	enum mask_strategy strategy;
};

struct value_column {
	struct value_type type;
	uint16_t format; /* enum value_format */
	enum mask_strategy strategy;
	/* For a whole row ("select t from t"), with MASK_NONE as strategy: what holds for each of
	 * its fields. A row with another number of fields becomes NULL. Borrowed; NULL: nothing is
	 * known. */
	const struct value_field *fields;
	size_t field_count;
};

/* When value_mask() must be asked about a value that is not NULL. */
enum value_look {
	VALUE_LOOK_NEVER,
	VALUE_LOOK_FOUND, /* where the index has something within the value's bytes */
	VALUE_LOOK_ESCAPED, /* and where there is a backslash in them */
	VALUE_LOOK_ALWAYS,
};
enum value_look value_look(const struct masker *m, const struct value_column *column);

/* Masks a value that is not NULL. Returns enum mask_outcome. Negative: -EBADMSG for a value that is
 * not of its type, which must not be passed on; errors of buffer.h and detector.h. Then, and where
 * the value is unchanged or NULL, nothing was appended. */
int value_mask(const struct masker *m, const struct value_column *column,
	const struct mask_source *value, struct buffer *out);

#endif
