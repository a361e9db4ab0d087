/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_format: what differs between text, CSV and binary, inside protocol/postgres/copy_*.c only.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_COPY_FORMAT_H
#define WAYLEAVE_PROTOCOL_POSTGRES_COPY_FORMAT_H

#include <errno.h>

#include "protocol/postgres/copy_stream.h"

enum copy_field_flag {
	COPY_FIELD_NULL = 1 << 0,
	COPY_FIELD_ESCAPED = 1 << 1, /* it must be decoded to know what it means */
	COPY_FIELD_QUOTED = 1 << 2, /* CSV: begins with a quote; where not escaped, ends with one */
};

/* Places are counted from the begin of the held bytes. */
struct copy_field {
	uint32_t start, end;
	uint32_t flags;
};

struct copy_row {
	uint32_t start, end; /* with its line end or number of fields */
	uint32_t first_field; /* index */
	bool plain; /* header, trailer: passed as it is */
};

/* The field and row that are coming. */
struct copy_position {
	size_t at; /* next byte of the held ones */
	size_t row_start;
	size_t row_first_field; /* index */
	size_t field_start;
	uint32_t field_flags;
	bool header_due;
	bool dropping; /* the rest of the field is not kept */
	bool ended; /* nothing may follow */
	bool quoted; /* CSV: within quotes */
	bool escaped; /* text and CSV: the next byte has no meaning of its own */
	bool in_row; /* binary: its number of fields has been read */
	uint32_t drop; /* binary: how many bytes of the field are still to come */
};

struct copy_stream {
	struct masker masker;
	struct sql_copy options;
	struct buffer null_text; /* what options.null_text points to */
	const struct copy_format *format;
	struct value_column *columns;
	uint8_t *looks; /* enum value_look */
	size_t count;
	uint8_t special[4]; /* text and CSV: bytes that may have a meaning */
	bool indexes; /* rows may be searched together */
	struct detector_index index;

	struct buffer held; /* complete rows not yet judged, and what has come of the next */
	struct copy_row *rows;
	size_t row_count, row_capacity;
	struct copy_field *fields;
	size_t field_count, field_capacity;
	struct copy_position next;

	struct buffer meaning, mask, out; /* of the field, and of the row, at hand */
	struct copy_counts counts;
};

struct copy_format {
	/* Goes on to the end of what is held; notes fields and rows. -EBADMSG. */
	int (*split)(struct copy_stream *s);
	/* Puts NULL in the place of the coming field; the rest of it is to be dropped. */
	int (*begin_drop)(struct copy_stream *s);
	/* How many of the bytes are the rest of the dropped field. Ends dropping where it is
	 * complete. */
	size_t (*drop)(struct copy_stream *s, struct slice bytes);
	/* Appends what an escaped field means. */
	int (*decode)(const struct copy_stream *s, struct slice raw, struct buffer *ret);
	/* Appends a field as the format writes it; data NULL: NULL. */
	int (*encode)(const struct copy_stream *s, struct slice value, uint32_t flags,
		struct buffer *out);
	size_t prefix; /* bytes before a field that encode() writes too */
	uint16_t value_format;
};
extern const struct copy_format copy_format_text, copy_format_csv, copy_format_binary;

static inline struct slice copy_stream_held(const struct copy_stream *s)
{
	return buffer_slice(&s->held);
}

/* Notes that the coming field ends at `end`. -EBADMSG where the row has no such field. */
int copy_stream_add_field(struct copy_stream *s, size_t end, uint32_t flags);
/* Notes that the coming row ends at `end`. -EBADMSG: fields are missing, and it is not plain. */
int copy_stream_add_row(struct copy_stream *s, size_t end, bool plain);

#endif
