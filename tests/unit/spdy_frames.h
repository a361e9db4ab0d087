/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests and fuzzers of SPDY: frames as clients and servers send them.
 */
#ifndef WAYLEAVE_TESTS_SPDY_FRAMES_H
#define WAYLEAVE_TESTS_SPDY_FRAMES_H

#include <stdlib.h>

#include "protocol/spdy/frames.h"
#include "protocol/spdy/headers.h"

/* The headers that one side sends, as one zlib stream. */
struct spdy_writer {
	z_stream stream;
};

static inline void spdy_writer_init(struct spdy_writer *w)
{
	uint8_t dictionary[SPDY_DICTIONARY];

	memset(w, 0, sizeof(*w));
	spdy_dictionary_write(dictionary);
	if (deflateInit(&w->stream, 6) != Z_OK ||
		deflateSetDictionary(&w->stream, dictionary, sizeof(dictionary)) != Z_OK)
		abort();
}

static inline void spdy_writer_done(struct spdy_writer *w)
{
	deflateEnd(&w->stream);
}

static inline void spdy_put_control(
	struct buffer *out, unsigned type, unsigned flags, struct slice body)
{
	buffer_append_u32(out, 0x80030000u | type);
	buffer_append_u32(out, flags << 24 | (uint32_t)body.length);
	buffer_append_slice(out, body);
}

/* Appends what stands for the text in the side's zlib stream. */
static inline void spdy_put_compressed(struct spdy_writer *w, struct buffer *out, struct slice text)
{
	uint8_t *space;
	size_t most = deflateBound(&w->stream, text.length) + 64;

	if (buffer_reserve(out, most, &space) < 0)
		abort();
	w->stream.next_in = (uint8_t *)text.data;
	w->stream.avail_in = (uInt)text.length;
	w->stream.next_out = space;
	w->stream.avail_out = (uInt)most;
	if (deflate(&w->stream, Z_SYNC_FLUSH) != Z_OK)
		abort();
	buffer_commit(out, most - w->stream.avail_out);
}

/* "name=value name=value" as a block of headers, in clear. */
static inline void spdy_put_fields(struct buffer *out, const char *fields)
{
	struct slice rest = slice_from_string(fields);
	uint32_t count = rest.length ? 1 : 0;

	for (size_t i = 0; i < rest.length; i++)
		count += rest.data[i] == ' ';
	buffer_append_u32(out, count);
	while (rest.length) {
		const uint8_t *space = memchr(rest.data, ' ', rest.length);
		struct slice field = space ? slice_head(rest, (size_t)(space - rest.data)) : rest;
		const uint8_t *equal = memchr(field.data, '=', field.length);
		size_t name = (size_t)(equal - field.data);

		buffer_append_u32(out, (uint32_t)name);
		buffer_append(out, field.data, name);
		buffer_append_u32(out, (uint32_t)(field.length - name - 1));
		buffer_append_slice(out, slice_from(field, name + 1));
		rest = slice_from(rest, field.length + 1);
	}
}

/* SYN_STREAM, SYN_REPLY or HEADERS. */
static inline void spdy_put_headers(struct spdy_writer *w, struct buffer *out, unsigned type,
	unsigned flags, uint32_t stream, const char *fields)
{
	struct buffer body, text;

	buffer_init(&body, 1u << 20);
	buffer_init(&text, 1u << 20);
	buffer_append_u32(&body, stream);
	if (type == SPDY_SYN_STREAM) {
		buffer_append_u32(&body, 0);
		buffer_append_u16(&body, 0);
	}
	spdy_put_fields(&text, fields);
	spdy_put_compressed(w, &body, buffer_slice(&text));
	spdy_put_control(out, type, flags, buffer_slice(&body));
	buffer_done(&body);
	buffer_done(&text);
}

#endif
