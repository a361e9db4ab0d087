/* SPDX-License-Identifier: Apache-2.0
 *
 * value_kind: what value.c knows of a type, inside protocol/postgres/value*.c only: one row of a
 * table per kind of type, with the functions that mask it.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_VALUE_KIND_H
#define WAYLEAVE_PROTOCOL_POSTGRES_VALUE_KIND_H

#include <errno.h>

#include "base/bytes.h"
#include "protocol/postgres/value.h"

/* Composites in arrays in composites; deeper ones are judged as one text. */
#define VALUE_DEPTH_MOST 16

enum value_kind_id {
	VALUE_KIND_FOREIGN, /* not built in: a form that we don't know */
	VALUE_KIND_OPAQUE, /* may carry text, but in a form of its own */
	VALUE_KIND_PLAIN, /* carries nothing that a detector knows: dates, small numbers, OIDs */
	VALUE_KIND_TEXT,
	VALUE_KIND_VARCHAR, /* at most modifier - 4 characters */
	VALUE_KIND_BPCHAR, /* exactly so many, filled up with spaces */
	VALUE_KIND_NAME, /* at most 63 bytes */
	VALUE_KIND_JSON,
	VALUE_KIND_JSONB,
	VALUE_KIND_XML,
	VALUE_KIND_BYTEA,
	VALUE_KIND_INT8,
	VALUE_KIND_FLOAT8,
	VALUE_KIND_NUMERIC,
	VALUE_KIND_MONEY,
	VALUE_KIND_INET,
	VALUE_KIND_ARRAY,
	VALUE_KIND_RECORD,
	VALUE_KIND_RANGE,
	VALUE_KIND_MULTIRANGE,
	VALUE_KIND_GUESS, /* OID 0 */
	VALUE_KIND_COUNT
};

/* What a type is. `element` is 0 where it has none. */
struct value_type_info {
	uint8_t kind; /* enum value_kind_id */
	uint16_t element; /* OID */
};

/* One value being masked. */
struct value_job {
	const struct masker *m;
	const struct value_column *column;
	struct value_type_info type;
	const struct mask_source *value;
	struct buffer *out;
	unsigned depth;
};

/* Both return as value_mask() does. */
struct value_kind {
	/* Appends the mask of the whole value. NULL: the type can't hold it. */
	int (*whole)(const struct value_job *job);
	/* Searches it, per format. NULL: there is nothing to find. */
	int (*find[2])(const struct value_job *job);
	/* When find[] is to be called, per format. */
	enum value_look look[2];
};

struct value_type_info value_type_find(const struct value_type *type);

/* value_mask() for a part of a value. */
int value_mask_part(const struct value_job *whole, const struct value_column *column,
	const struct mask_source *part, struct buffer *out);

/* What the detectors find in the value. MASK_REPLACED: there is something, and its masks are to
 * stand in its place, which is the caller's work; MASK_TO_NULL where their strategy is so. */
int value_find(const struct value_job *job, struct detector_findings *ret);
/* A finding anywhere in the bytes makes the value NULL. */
int value_find_opaque(const struct value_job *job);
/* The same for text that stands for the value: a binary number's digits. */
int value_judge_text(const struct value_job *job, struct slice text);
/* Replaces findings; MASK_TO_NULL where their strategy is so, or the type can't hold that. */
int value_find_text(const struct value_job *job);

int value_find_json(const struct value_job *job);
int value_find_jsonb_binary(const struct value_job *job);
int value_whole_json(const struct value_job *job);
int value_find_xml(const struct value_job *job);
int value_find_bytea_text(const struct value_job *job);
int value_whole_bytea(const struct value_job *job);

int value_find_int8_binary(const struct value_job *job);
int value_find_float8_binary(const struct value_job *job);
int value_find_numeric_binary(const struct value_job *job);
int value_find_money_text(const struct value_job *job);
int value_find_money_binary(const struct value_job *job);
int value_find_inet(const struct value_job *job);

int value_find_array_text(const struct value_job *job);
int value_find_array_binary(const struct value_job *job);
int value_find_record_text(const struct value_job *job);
int value_find_record_binary(const struct value_job *job);
int value_find_range_binary(const struct value_job *job);
int value_find_multirange_binary(const struct value_job *job);

int value_find_guess_text(const struct value_job *job);
int value_find_guess_binary(const struct value_job *job);
/* As if guessed, but what is found makes the value NULL: nobody says what would be legal. */
int value_find_foreign_text(const struct value_job *job);
int value_find_foreign_binary(const struct value_job *job);

/* Binary values are read from the front; a read beyond the end fails. */
struct value_reader {
	struct slice rest;
};

static inline bool value_read_u16(struct value_reader *r, uint16_t *ret)
{
	if (r->rest.length < 2)
		return false;
	*ret = bytes_get_u16(r->rest.data);
	r->rest = slice_from(r->rest, 2);
	return true;
}

static inline bool value_read_u32(struct value_reader *r, uint32_t *ret)
{
	if (r->rest.length < 4)
		return false;
	*ret = bytes_get_u32(r->rest.data);
	r->rest = slice_from(r->rest, 4);
	return true;
}

/* A length and so many bytes; length -1 is NULL: then the slice's data is NULL. */
static inline bool value_read_field(struct value_reader *r, struct slice *ret)
{
	uint32_t length;

	if (!value_read_u32(r, &length))
		return false;
	if (length == UINT32_MAX) {
		*ret = SLICE_EMPTY;
		return true;
	}
	if (length > r->rest.length)
		return false;
	*ret = slice_head(r->rest, length);
	r->rest = slice_from(r->rest, length);
	return true;
}

#endif
