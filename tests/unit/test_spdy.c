/* SPDX-License-Identifier: Apache-2.0
 *
 * SPDY/3.1's frames and headers: what they say, however they are cut, and what is refused.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/memory.h"
#include "tests/unit/spdy_frames.h"

/* What a direction said: "type:stream:flags content|"; and all its bytes again as they came. */
struct heard {
	struct buffer said, raw;
	const char *problem;
};

static void hear(struct heard *h, struct slice in, size_t step)
{
	struct spdy_reader reader;
	size_t at = 0;

	buffer_init(&h->said, 1u << 20);
	buffer_init(&h->raw, 1u << 20);
	h->problem = NULL;
	spdy_reader_init(&reader);
	while (at < in.length && !h->problem) {
		struct slice part = slice_head(slice_from(in, at), step);
		struct spdy_piece piece;
		size_t taken;
		int what = spdy_next(&reader, part, &taken, &piece);

		at += taken;
		if (what == SPDY_TAKEN_BAD)
			h->problem = reader.problem;
		if (what != SPDY_TAKEN_DATA && what != SPDY_TAKEN_CONTROL)
			continue;
		buffer_append_slice(&h->raw, piece.head);
		buffer_append_slice(&h->raw, piece.body);
		if (piece.head.length)
			buffer_append_format(&h->said, "%u:%u ", piece.type, piece.stream);
		if (what == SPDY_TAKEN_DATA)
			buffer_append_slice(&h->said, piece.body);
		if (piece.ends)
			buffer_append_string(&h->said, piece.finishes ? "!|" : "|");
	}
	spdy_append_held(&h->raw, &reader);
	cr_expect(slice_starts_with(in, buffer_slice(&h->raw)));
	spdy_reader_done(&reader);
}

static void heard_done(struct heard *h)
{
	buffer_done(&h->said);
	buffer_done(&h->raw);
}

#define S(literal)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

Test(spdy, frames)
{
	static const struct {
		struct slice in;
		const char *said;
	} cases[] = {
		{S("\0\0\0\1\0\0\0\5hello\0\0\0\1\1\0\0\0"), "0:1 hello|0:1 !|"},
		{S("\x80\3\0\3\0\0\0\x08\0\0\0\5\0\0\0\5"), "3:5 |"},
		{S("\x80\3\0\6\0\0\0\4\0\0\0\1\0\0\0\3\1\0\0\1x"), "6:0 |0:3 x!|"},
		{S("\x80\3\0\7\0\0\0\x08\0\0\0\5\0\0\0\0"), "7:0 |"},
		{S("\x80\3\0\x09\0\0\0\x08\0\0\0\1\0\1\0\0"), "9:1 |"},
		{S("\x80\3\0\4\0\0\0\x0c\0\0\0\1\0\0\0\7\0\1\0\0"), "4:0 |"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t step = 1; step <= cases[i].in.length; step++) {
			struct heard h;

			hear(&h, cases[i].in, step);
			cr_expect_null(h.problem, "%zu: %s", i, h.problem);
			cr_expect(slice_equal_string(buffer_slice(&h.said), cases[i].said),
				"%zu, by %zu: %.*s", i, step, SLICE_PRINT(buffer_slice(&h.said)));
			heard_done(&h);
		}
	}
}

/* Wherever it stops, what was given and what is held are what came. */
Test(spdy, frames_that_are_under_way)
{
	static const struct slice in =
		S("\x80\3\0\3\0\0\0\x08\0\0\0\5\0\0\0\5\0\0\0\1\0\0\0\5hello\x80\3\0\6\0\0\0\4");

	for (size_t length = 1; length < in.length; length++) {
		struct heard h;
		size_t held;

		hear(&h, slice_head(in, length), 3);
		held = buffer_length(&h.raw);
		cr_expect(held == length || length >= 16, "%zu of %zu", held, length);
		heard_done(&h);
	}
}

Test(spdy, what_is_refused)
{
	static const struct {
		struct slice in;
		const char *problem;
	} cases[] = {
		{S("\x80\2\0\6\0\0\0\4\0\0\0\1"), "another version"},
		{S("\x80\3\0\0\0\0\0\4\0\0\0\1"), "unknown kind"},
		{S("\x80\3\0\5\0\0\0\4\0\0\0\1"), "unknown kind"},
		{S("\x80\3\0\x0a\0\0\0\4\0\0\0\1"), "unknown kind"},
		{S("\x80\3\0\6\1\0\0\4\0\0\0\1"), "unknown flag"},
		{S("\x80\3\0\6\0\0\0\5\0\0\0\1\0"), "wrong length"},
		{S("\x80\3\0\3\0\0\0\4\0\0\0\1"), "wrong length"},
		{S("\x80\3\0\1\0\0\0\x09\0\0\0\1\0\0\0\0\0"), "wrong length"},
		{S("\x80\3\0\4\0\0\0\x0c\0\0\0\2\0\0\0\7\0\1\0\0"), "wrong length"},
		{S("\x80\3\0\4\0\0\0\4\x20\0\0\0"), "wrong length"},
		{S("\x80\3\0\1\0\0\x80\0"), "too long"},
		{S("\x80\3\0\3\0\0\0\x08\0\0\0\0\0\0\0\5"), "no stream"},
		{S("\x80\3\0\x09\0\0\0\x08\0\0\0\1\0\0\0\0"), "by nothing"},
		{S("\0\0\0\0\0\0\0\1x"), "no stream"},
		{S("\0\0\0\1\2\0\0\1x"), "unknown flag"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t step = 1; step <= cases[i].in.length; step++) {
			struct heard h;

			hear(&h, cases[i].in, step);
			cr_expect(h.problem && strstr(h.problem, cases[i].problem),
				"%zu, by %zu: %s", i, step, h.problem);
			heard_done(&h);
		}
	}
}

/* RFC 1950: the checksum by which both ends know the dictionary. */
Test(spdy, the_dictionary)
{
	uint8_t dictionary[SPDY_DICTIONARY];

	spdy_dictionary_write(dictionary);
	cr_expect_eq(adler32(1, dictionary, sizeof(dictionary)), 0xe3c6a7c2u);
}

static int read_text(struct spdy_headers *h, struct spdy_writer *w, struct slice text)
{
	struct buffer block;
	int r;

	buffer_init(&block, 1u << 24);
	spdy_put_compressed(w, &block, text);
	r = spdy_headers_read(h, buffer_slice(&block));
	buffer_done(&block);
	return r;
}

static int read_fields(struct spdy_headers *h, struct spdy_writer *w, const char *fields)
{
	struct buffer text;
	int r;

	buffer_init(&text, 1u << 20);
	spdy_put_fields(&text, fields);
	r = read_text(h, w, buffer_slice(&text));
	buffer_done(&text);
	return r;
}

Test(spdy, headers)
{
	struct spdy_headers h;
	struct spdy_writer w;

	spdy_headers_init(&h);
	spdy_writer_init(&w);
	/* Each stands on those before it. */
	for (unsigned i = 0; i < 50; i++) {
		cr_assert_eq(read_fields(&h, &w,
				     i % 2 ? "streamtype=stdin version=HTTP/1.1"
					   : "streamtype=error port=80"),
			0);
		cr_expect_eq(h.count, 2);
		cr_expect(slice_equal_string(
			spdy_headers_find(&h, "streamtype"), i % 2 ? "stdin" : "error"));
		cr_expect_eq(spdy_headers_find(&h, "none").length, 0);
	}
	cr_assert_eq(read_fields(&h, &w, ""), 0);
	cr_expect_eq(h.count, 0);
	spdy_headers_done(&h);
	spdy_writer_done(&w);
}

Test(spdy, headers_that_are_refused)
{
	static char many[1000], bomb[1 << 20];
	static const struct slice blocks[] = {S(""), S("\0\0\0"), S("\0\0\0\1"),
		S("\0\0\0\1\0\0\0\1a"), S("\0\0\0\1\0\0\0\1a\0\0\0\2b"),
		S("\0\0\0\1\0\0\0\1a\xff\xff\xff\xff"), S("\0\0\0\0x"),
		S("\0\0\0\1\0\0\0\0\0\0\0\1b"), S("\0\0\0\1\0\0\0\1A\0\0\0\1b"),
		S("\0\0\0\2\0\0\0\1a\0\0\0\1b\0\0\0\1a\0\0\0\1b"), {(uint8_t *)many, sizeof(many)},
		{(uint8_t *)bomb, sizeof(bomb)}};

	many[3] = 33;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		struct spdy_headers h;
		struct spdy_writer w;

		spdy_headers_init(&h);
		spdy_writer_init(&w);
		cr_expect_eq(read_text(&h, &w, blocks[i]), -EBADMSG, "%zu", i);
		spdy_headers_done(&h);
		spdy_writer_done(&w);
	}
}

/* No zlib stream, one with another dictionary, and one that ends. */
Test(spdy, what_is_no_stream_of_headers)
{
	static const struct slice blocks[] = {
		S("any bytes"), S("\x78\x9c\x03\0\0\0\0\1"), S("\x78\xbb\1\2\3\4\0")};

	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		struct spdy_headers h;

		spdy_headers_init(&h);
		cr_expect_eq(spdy_headers_read(&h, blocks[i]), -EBADMSG, "%zu", i);
		spdy_headers_done(&h);
	}
}
