/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder: content without its codings: a stage for each, the last that was applied first. A stage
 * decodes into room of its own, which the next one empties, so that no more is held than the
 * libraries' windows.
 */
#include <brotli/decode.h>
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/http/coding.h"

#define ROOM 16384u /* bytes that a stage decodes at a time */
#define BEGIN_MOST 4u /* bytes by which a piece is told from what is none */
#define ZLIB_MEMORY (48u << 10) /* what inflate() allocates: its window and 10 KiB */
#define ZSTD_MAGIC 0xfd2fb528u
#define ZSTD_SKIPPED 0x184d2a50u /* and the 15 behind it */
#define ZSTD_HEADER_MOST 18u /* RFC 8878, 3.1.1 */

enum stage_state {
	STAGE_BEGIN, /* of the first piece, or behind one that is complete */
	STAGE_WITHIN,
};

struct stage {
	const struct stage_kind *kind;
	enum stage_state state;
	unsigned pieces; /* that have begun: members of gzip, frames of zstd */
	uint8_t begin[BEGIN_MOST]; /* of a piece, as far as it came */
	size_t begin_length;
	uint64_t made; /* bytes */
	size_t memory; /* bytes that brotli allocated */
	size_t header; /* bytes of the frame that zstd was given, up to the most its header has */
	bool zlib_open;
	union {
		z_stream zlib;
		BrotliDecoderState *brotli;
		ZSTD_DStream *zstd;
	};
	uint8_t room[ROOM];
};

struct stage_kind {
	size_t begin; /* bytes that begin() looks at */
	bool repeats; /* a piece may stand behind a piece */
	/* A piece begins so. -EBADMSG, -ENOMEM. */
	int (*begin_piece)(struct stage *s);
	/* Decodes from the front of `in` into the room; sets the state where the piece is complete.
	 * Bytes in the room, or as above. */
	int (*decode)(struct stage *s, struct slice *in);
	void (*done)(struct stage *s);
	size_t (*memory)(const struct stage *s);
};

struct http_decoder {
	size_t count;
	uint64_t taken; /* bytes */
	struct stage stages[LIMIT_HTTP_CODINGS]; /* in the order of decoding */
};

/* --- gzip and deflate --- */

static int zlib_begin(struct stage *s, int window)
{
	if (s->zlib_open)
		return inflateReset2(&s->zlib, window) == Z_OK ? 0 : -EBADMSG;
	if (inflateInit2(&s->zlib, window) != Z_OK)
		return -ENOMEM;
	s->zlib_open = true;
	return 0;
}

/* zlib reads the header itself. */
static int gzip_begin(struct stage *s)
{
	return zlib_begin(s, 16 + MAX_WBITS);
}

/* Some leave RFC 1950's header out, which can be told: its two bytes are a multiple of 31. */
static int deflate_begin(struct stage *s)
{
	unsigned cmf = s->begin[0], flags = s->begin[1];
	bool header = (cmf & 15) == Z_DEFLATED && cmf >> 4 <= 7 && (cmf << 8 | flags) % 31 == 0;

	return zlib_begin(s, header ? MAX_WBITS : -MAX_WBITS);
}

static int zlib_decode(struct stage *s, struct slice *in)
{
	int status;

	/* zlib does not write to it. */
	s->zlib.next_in = (uint8_t *)in->data;
	s->zlib.avail_in = (uInt)in->length;
	s->zlib.next_out = s->room;
	s->zlib.avail_out = ROOM;
	status = inflate(&s->zlib, Z_SYNC_FLUSH);
	*in = slice_from(*in, in->length - s->zlib.avail_in);
	if (status == Z_STREAM_END)
		s->state = STAGE_BEGIN;
	else if (status == Z_MEM_ERROR)
		return -ENOMEM;
	else if (status != Z_OK && status != Z_BUF_ERROR)
		return -EBADMSG;
	return (int)(ROOM - s->zlib.avail_out);
}

static void zlib_done(struct stage *s)
{
	if (s->zlib_open)
		inflateEnd(&s->zlib);
}

static size_t zlib_memory(const struct stage *s)
{
	return s->zlib_open ? ZLIB_MEMORY : 0;
}

/* --- brotli --- */

/* With its size in front of it. */
static void *brotli_allocate(void *opaque, size_t size)
{
	struct stage *s = opaque;
	size_t *block = malloc(2 * sizeof(size_t) + size);

	if (!block)
		return NULL;
	block[0] = size;
	s->memory += size;
	return block + 2;
}

static void brotli_free(void *opaque, void *address)
{
	struct stage *s = opaque;
	size_t *block = address;

	if (!block)
		return;
	s->memory -= block[-2];
	memory_wipe(block, block[-2]);
	free(block - 2);
}

static int brotli_begin(struct stage *s)
{
	s->brotli = BrotliDecoderCreateInstance(brotli_allocate, brotli_free, s);
	return s->brotli ? 0 : -ENOMEM;
}

static bool brotli_lacks_memory(const struct stage *s)
{
	BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(s->brotli);

	return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
		code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

/* Its windows are up to 16 MiB; larger ones are no part of RFC 7932, and off. */
static int brotli_decode(struct stage *s, struct slice *in)
{
	size_t in_left = in->length, room_left = ROOM;
	const uint8_t *next_in = in->data;
	uint8_t *next_out = s->room;
	BrotliDecoderResult result = BrotliDecoderDecompressStream(
		s->brotli, &in_left, &next_in, &room_left, &next_out, NULL);

	*in = slice_from(*in, in->length - in_left);
	if (result == BROTLI_DECODER_RESULT_ERROR)
		return brotli_lacks_memory(s) ? -ENOMEM : -EBADMSG;
	if (result == BROTLI_DECODER_RESULT_SUCCESS)
		s->state = STAGE_BEGIN;
	return (int)(ROOM - room_left);
}

static void brotli_done(struct stage *s)
{
	if (s->brotli)
		BrotliDecoderDestroyInstance(s->brotli);
}

static size_t brotli_memory(const struct stage *s)
{
	return s->memory;
}

/* --- zstd --- */

/* The library also reads what came before RFC 8878, which nobody sends. */
static int zstd_begin(struct stage *s)
{
	uint32_t magic = (uint32_t)s->begin[0] | (uint32_t)s->begin[1] << 8 |
		(uint32_t)s->begin[2] << 16 | (uint32_t)s->begin[3] << 24;

	if (magic != ZSTD_MAGIC && (magic & ~15u) != ZSTD_SKIPPED)
		return -EBADMSG;
	s->header = 0;
	if (s->zstd)
		return 0;
	s->zstd = ZSTD_createDStream();
	if (!s->zstd)
		return -ENOMEM;
	return ZSTD_isError(ZSTD_DCtx_setParameter(
		       s->zstd, ZSTD_d_windowLogMax, LIMIT_HTTP_ZSTD_WINDOW_LOG))
		? -ENOMEM
		: 0;
}

/* The library decodes small frames at once, where their header is complete: from what this call has
 * of them (1.5.4), so that a header in two calls makes a frame of its second part. A header that
 * comes byte by byte is never that. */
static int zstd_decode(struct stage *s, struct slice *in)
{
	bool in_header = s->header < ZSTD_HEADER_MOST;
	ZSTD_inBuffer from = {in->data, in_header && in->length ? 1 : in->length, 0};
	ZSTD_outBuffer to = {s->room, ROOM, 0};
	size_t status = ZSTD_decompressStream(s->zstd, &to, &from);

	s->header += in_header ? from.pos : 0;
	*in = slice_from(*in, from.pos);
	if (ZSTD_isError(status))
		return -EBADMSG;
	if (status == 0)
		s->state = STAGE_BEGIN;
	return (int)to.pos;
}

static void zstd_done(struct stage *s)
{
	ZSTD_freeDStream(s->zstd);
}

static size_t zstd_memory(const struct stage *s)
{
	return ZSTD_sizeof_DStream(s->zstd);
}

/* --- stages --- */

static const struct stage_kind kinds[HTTP_CODING_COUNT] = {
	[HTTP_CODING_GZIP] = {0, true, gzip_begin, zlib_decode, zlib_done, zlib_memory},
	[HTTP_CODING_DEFLATE] = {2, false, deflate_begin, zlib_decode, zlib_done, zlib_memory},
	[HTTP_CODING_BROTLI] = {0, false, brotli_begin, brotli_decode, brotli_done, brotli_memory},
	[HTTP_CODING_ZSTD] = {4, true, zstd_begin, zstd_decode, zstd_done, zstd_memory},
};

struct http_decoder *http_decoder_new(const struct http_codings *codings)
{
	struct http_decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->count = codings->count;
	for (size_t i = 0; i < d->count; i++)
		d->stages[i].kind = &kinds[codings->items[d->count - 1 - i]];
	return d;
}

void http_decoder_free(struct http_decoder *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->count; i++) {
		d->stages[i].kind->done(&d->stages[i]);
		memory_wipe(d->stages[i].room, ROOM);
	}
	free(d);
}

size_t http_decoder_memory(const struct http_decoder *d)
{
	size_t memory = sizeof(*d);

	for (size_t i = 0; i < d->count; i++)
		memory += d->stages[i].kind->memory(&d->stages[i]);
	return memory;
}

bool http_decoder_is_single(const struct http_decoder *d)
{
	for (size_t i = 0; i < d->count; i++) {
		if (d->stages[i].pieces > 1)
			return false;
	}
	return true;
}

/* What was made of so much: what few bytes become may not be without end. */
static bool is_too_much(const struct http_decoder *d, const struct stage *s)
{
	return s->made > LIMIT_HTTP_CODING_FREE && s->made / LIMIT_HTTP_CODING_RATIO > d->taken;
}

static int give(struct http_decoder *d, size_t at, struct slice in, struct http_decoded *to);

/* Decodes from the front of `in` what fits the room, and gives it to the next stage. 1: there may
 * be more in the stage. */
static int step(struct http_decoder *d, size_t at, struct slice *in, struct http_decoded *to)
{
	struct stage *s = &d->stages[at];
	int n = s->kind->decode(s, in), r = 0;

	if (n > 0) {
		s->made += (uint64_t)n;
		r = is_too_much(d, s) ? -E2BIG : give(d, at + 1, slice_of(s->room, (size_t)n), to);
	}
	return n < 0 ? n : r < 0 ? r : n == (int)ROOM;
}

static int run(struct http_decoder *d, size_t at, struct slice *in, struct http_decoded *to)
{
	struct stage *s = &d->stages[at];
	int r = 0;

	while (s->state == STAGE_WITHIN && (in->length || r > 0)) {
		size_t before = in->length;

		r = step(d, at, in, to);
		if (r < 0)
			return r;
		if (r == 0 && in->length && in->length == before)
			break;
	}
	return s->state == STAGE_WITHIN && in->length ? -EBADMSG : 0;
}

/* A piece begins with the bytes in s->begin, once there are so many. */
static int begin_piece(struct http_decoder *d, size_t at, struct slice *in, struct http_decoded *to)
{
	struct stage *s = &d->stages[at];
	struct slice begin;
	int r;

	while (s->begin_length < s->kind->begin && in->length) {
		s->begin[s->begin_length++] = in->data[0];
		*in = slice_from(*in, 1);
	}
	if (s->begin_length < s->kind->begin)
		return 0;
	if (s->pieces && !s->kind->repeats)
		return -EBADMSG;
	r = s->kind->begin_piece(s);
	if (r < 0)
		return r;
	s->pieces++;
	s->state = STAGE_WITHIN;
	begin = slice_of(s->begin, s->begin_length);
	s->begin_length = 0;
	return begin.length ? run(d, at, &begin, to) : 0;
}

static int give(struct http_decoder *d, size_t at, struct slice in, struct http_decoded *to)
{
	struct stage *s = &d->stages[at];
	int r = 0;

	if (at == d->count)
		return to->take(to, in);
	while (r == 0 && in.length) {
		if (s->state == STAGE_BEGIN)
			r = begin_piece(d, at, &in, to);
		if (r == 0 && s->state == STAGE_WITHIN)
			r = run(d, at, &in, to);
	}
	return r;
}

/* Nothing at all is no content; else each stage must have come to an end. */
static bool is_complete(const struct http_decoder *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct stage *s = &d->stages[i];

		if (s->state != STAGE_BEGIN || s->begin_length)
			return false;
	}
	return true;
}

int http_decoder_take(
	struct http_decoder *d, struct slice encoded, bool last, struct http_decoded *to)
{
	int r;

	d->taken += encoded.length;
	r = give(d, 0, encoded, to);
	if (r == 0 && last && !is_complete(d))
		return -EBADMSG;
	return r;
}
