/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/coded.h"

#include <brotli/encode.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/memory.h"

struct coded_gzip {
	z_stream stream;
};

static void need(bool holds)
{
	if (!holds)
		abort();
}

static void deflate_append(z_stream *stream, struct buffer *out, struct slice content, int flush)
{
	uint8_t room[16384];

	stream->next_in = (uint8_t *)content.data;
	stream->avail_in = (uInt)content.length;
	do {
		stream->next_out = room;
		stream->avail_out = sizeof(room);
		need(deflate(stream, flush) != Z_STREAM_ERROR);
		need(buffer_append(out, room, sizeof(room) - stream->avail_out) == 0);
	} while (stream->avail_out == 0);
}

static void append_zlib(struct buffer *out, struct slice content, int window)
{
	z_stream stream = {0};

	need(deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	deflate_append(&stream, out, content, Z_FINISH);
	deflateEnd(&stream);
}

static void append_brotli(struct buffer *out, struct slice content, int window, bool large)
{
	BrotliEncoderState *e = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	size_t left = content.length, room_left = 0;
	const uint8_t *in = content.data;

	need(BrotliEncoderSetParameter(e, BROTLI_PARAM_QUALITY, 5));
	need(BrotliEncoderSetParameter(e, BROTLI_PARAM_LARGE_WINDOW, large));
	need(BrotliEncoderSetParameter(e, BROTLI_PARAM_LGWIN, (uint32_t)window));
	while (!BrotliEncoderIsFinished(e)) {
		size_t length = 0;
		const uint8_t *made;

		need(BrotliEncoderCompressStream(
			e, BROTLI_OPERATION_FINISH, &left, &in, &room_left, NULL, NULL));
		made = BrotliEncoderTakeOutput(e, &length);
		need(buffer_append(out, made, length) == 0);
	}
	BrotliEncoderDestroyInstance(e);
}

static void append_zstd(struct buffer *out, struct slice content, int window)
{
	ZSTD_CStream *c = ZSTD_createCStream();
	ZSTD_inBuffer in = {content.data, content.length, 0};
	uint8_t room[16384];
	size_t left;

	if (window)
		need(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window)));
	need(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)));
	/* Not at once, so that the length of the content is not known. */
	do {
		ZSTD_outBuffer to = {room, sizeof(room), 0};

		left = ZSTD_compressStream2(c, &to, &in, ZSTD_e_flush);
		need(!ZSTD_isError(left) && buffer_append(out, room, to.pos) == 0);
	} while (left || in.pos < in.size);
	do {
		ZSTD_outBuffer to = {room, sizeof(room), 0};

		left = ZSTD_compressStream2(c, &to, &in, ZSTD_e_end);
		need(!ZSTD_isError(left) && buffer_append(out, room, to.pos) == 0);
	} while (left);
	ZSTD_freeCStream(c);
}

static void append_one(struct buffer *out, struct slice name, struct slice content)
{
	if (slice_equal_string(name, "gzip"))
		append_zlib(out, content, 16 + MAX_WBITS);
	else if (slice_equal_string(name, "deflate"))
		append_zlib(out, content, MAX_WBITS);
	else if (slice_equal_string(name, "raw"))
		append_zlib(out, content, -MAX_WBITS);
	else if (slice_equal_string(name, "br"))
		append_brotli(out, content, 22, false);
	else if (slice_equal_string(name, "zstd"))
		append_zstd(out, content, 0);
	else
		abort();
}

void coded_append(struct buffer *out, const char *codings, struct slice content)
{
	const char *comma = strchr(codings, ',');
	struct buffer inner;

	if (!comma) {
		append_one(out, slice_from_string(codings), content);
		return;
	}
	buffer_init(&inner, SIZE_MAX / 2);
	append_one(&inner, slice_of(codings, (size_t)(comma - codings)), content);
	coded_append(out, comma + 1, buffer_slice(&inner));
	buffer_done(&inner);
}

struct coded_gzip *coded_gzip_new(void)
{
	struct coded_gzip *c = memory_new(sizeof(*c));

	need(deflateInit2(&c->stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) ==
		Z_OK);
	return c;
}

void coded_gzip_append(struct coded_gzip *c, struct buffer *out, struct slice content, bool last)
{
	deflate_append(&c->stream, out, content, last ? Z_FINISH : Z_SYNC_FLUSH);
}

void coded_gzip_free(struct coded_gzip *c)
{
	deflateEnd(&c->stream);
	free(c);
}

void coded_append_wide_zstd(struct buffer *out, struct slice content)
{
	append_zstd(out, content, 24);
}

void coded_append_wide_brotli(struct buffer *out, struct slice content)
{
	append_brotli(out, content, 26, true);
}
