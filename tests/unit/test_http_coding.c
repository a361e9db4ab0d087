/* SPDX-License-Identifier: Apache-2.0
 *
 * Contents without their codings: the same however they are cut, and none that is cut short, has
 * something behind its end, or becomes too much.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "protocol/http/coding.h"
#include "tests/harness/coded.h"

#define MOST (1u << 28)

/* Content-Encoding, and what coded_append() calls the same. */
static const struct {
	const char *header, *coded;
} codings[] = {{"gzip", "gzip"}, {"deflate", "deflate"}, {"deflate", "raw"}, {"br", "br"},
	{"zstd", "zstd"}, {"gzip, br", "gzip,br"}, {"zstd, gzip", "zstd,gzip"},
	{"br, deflate", "br,raw"}};

static int read_header(const char *value, struct http_codings *ret)
{
	struct http_fields *fields = memory_new(sizeof(*fields));
	int r;

	fields->items[fields->count++] = (struct http_field){
		slice_from_string("Content-Type"), slice_from_string("text/plain")};
	fields->items[fields->count++] = (struct http_field){
		slice_from_string("content-Encoding"), slice_from_string(value)};
	r = http_codings_read(fields, ret);
	free(fields);
	return r;
}

struct kept {
	struct http_decoded decoded;
	struct buffer all;
	uint64_t length; /* of all, also where it is not kept */
	bool counts;
};

static int keep(struct http_decoded *d, struct slice content)
{
	struct kept *k = container_of(d, struct kept, decoded);

	cr_assert(content.length > 0);
	k->length += content.length;
	return k->counts ? 0 : buffer_append_slice(&k->all, content);
}

/* What it decodes to, in k->all, in steps of so many bytes; or the error. */
static int decode(const char *header, struct slice in, size_t step, struct kept *k)
{
	struct http_codings list;
	struct http_decoder *d;
	int r = 0;

	k->decoded.take = keep;
	buffer_init(&k->all, MOST);
	k->length = 0;
	cr_assert_eq(read_header(header, &list), 0);
	d = http_decoder_new(&list);
	while (r == 0 && in.length) {
		r = http_decoder_take(d, slice_head(in, step), false, &k->decoded);
		in = slice_from(in, step);
	}
	if (r == 0)
		r = http_decoder_take(d, SLICE_EMPTY, true, &k->decoded);
	/* zstd's windows are 8 MiB, brotli's 16, of each coding. */
	cr_expect_leq(http_decoder_memory(d), LIMIT_HTTP_CODINGS * (17u << 20));
	http_decoder_free(d);
	return r;
}

static int error_of(const char *header, struct slice in, size_t step)
{
	struct kept k = {.counts = true};
	int r = decode(header, in, step, &k);

	buffer_done(&k.all);
	return r;
}

static void expect(const char *header, struct slice in, size_t step, struct slice content)
{
	struct kept k = {.counts = false};

	cr_expect_eq(decode(header, in, step, &k), 0, "%s in steps of %zu", header, step);
	cr_expect(slice_equal(buffer_slice(&k.all), content), "%s in steps of %zu: %zu bytes",
		header, step, buffer_length(&k.all));
	buffer_done(&k.all);
}

static struct buffer coded(const char *names, struct slice content)
{
	struct buffer out;

	buffer_init(&out, MOST);
	coded_append(&out, names, content);
	return out;
}

/* Words, so that some of it repeats. */
static struct slice words(size_t length)
{
	char *text = memory_new(length + 16);
	uint32_t random = 1;

	for (size_t at = 0; at < length; at += 8) {
		random = random * 1664525u + 1013904223u;
		snprintf(text + at, 16, "word%04u", random >> 20);
	}
	return slice_of(text, length);
}

static struct slice noise(size_t length)
{
	uint8_t *bytes = memory_new(length + 1);
	uint64_t random = 88172645463325252u;

	for (size_t i = 0; i < length; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		bytes[i] = (uint8_t)random;
	}
	return slice_of(bytes, length);
}

Test(http_coding, headers)
{
	static const struct {
		const char *value;
		int result; /* the number of codings, or an error */
	} all[] = {{"", 0}, {"identity", 0}, {"gzip", 1}, {"X-GZIP", 1}, {"br , identity", 1},
		{"gzip,\tzstd", 2}, {"gzip, gzip, gzip", -E2BIG}, {"compress", -EBADMSG},
		{"gzip;q=1", -EBADMSG}, {"gzip br", -EBADMSG}, {"aws-chunked", -EBADMSG},
		{"dcb", -EBADMSG}, {",,deflate,", 1}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct http_codings list = {.count = 0};
		int r = read_header(all[i].value, &list);

		cr_expect_eq(r == 0 ? (int)list.count : r, all[i].result, "%s", all[i].value);
	}
}

Test(http_coding, however_it_is_cut)
{
	const size_t lengths[] = {1, 5, 3000, 200000};

	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(lengths); j++) {
			struct slice content = words(lengths[j]);
			struct buffer in = coded(codings[i].coded, content);

			expect(codings[i].header, buffer_slice(&in), SIZE_MAX, content);
			expect(codings[i].header, buffer_slice(&in), 1, content);
			expect(codings[i].header, buffer_slice(&in), 4099, content);
			buffer_done(&in);
			free((void *)content.data);
		}
	}
}

Test(http_coding, nothing)
{
	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct buffer in = coded(codings[i].coded, SLICE_EMPTY);

		expect(codings[i].header, buffer_slice(&in), 1, SLICE_EMPTY);
		expect(codings[i].header, SLICE_EMPTY, 1, SLICE_EMPTY);
		buffer_done(&in);
	}
}

/* Wherever it ends, and whatever stands behind it. */
Test(http_coding, cut_short_or_with_more_behind)
{
	struct slice content = words(300);

	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct buffer in = coded(codings[i].coded, content);
		const char *header = codings[i].header;

		for (size_t n = 1; n < buffer_length(&in); n++) {
			cr_expect_eq(error_of(header, slice_head(buffer_slice(&in), n), SIZE_MAX),
				-EBADMSG, "%s cut at %zu", codings[i].coded, n);
			cr_expect_eq(
				error_of(header, slice_head(buffer_slice(&in), n), 1), -EBADMSG);
		}
		buffer_append_byte(&in, 0);
		cr_expect_eq(error_of(header, buffer_slice(&in), SIZE_MAX), -EBADMSG, "%s",
			codings[i].coded);
		cr_expect_eq(error_of(header, buffer_slice(&in), 1), -EBADMSG);
		buffer_done(&in);
	}
	free((void *)content.data);
}

static bool is_single(const char *header, struct slice in)
{
	struct kept k = {.decoded.take = keep, .counts = true};
	struct http_codings list;
	struct http_decoder *d;
	bool single;

	cr_assert_eq(read_header(header, &list), 0);
	d = http_decoder_new(&list);
	cr_assert_eq(http_decoder_take(d, in, true, &k.decoded), 0);
	single = http_decoder_is_single(d);
	http_decoder_free(d);
	return single;
}

/* What "gzip a b >c" and zstd's like make: told, as readers stop behind the first. */
Test(http_coding, several_pieces)
{
	static const char *const names[] = {"gzip", "zstd", "br", "deflate"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct buffer in = coded(names[i], slice_from_string("one "));

		cr_expect(is_single(names[i], buffer_slice(&in)));
		coded_append(&in, names[i], slice_from_string("two"));
		if (i >= 2) {
			cr_expect_eq(error_of(names[i], buffer_slice(&in), 1), -EBADMSG);
		} else {
			expect(names[i], buffer_slice(&in), 1, slice_from_string("one two"));
			cr_expect_not(is_single(names[i], buffer_slice(&in)));
		}
		buffer_done(&in);
	}
	/* A frame that is skipped (RFC 8878, 3.1.2) */
	{
		struct buffer in = coded("zstd", slice_from_string("one"));

		buffer_append(&in, "\x5f\x2a\x4d\x18\x03\0\0\0abc", 11);
		expect("zstd", buffer_slice(&in), 1, slice_from_string("one"));
		buffer_done(&in);
	}
}

/* A frame whose header, but for the magic number, looks like a frame that is skipped. */
Test(http_coding, a_frame_in_a_header)
{
	static const char begin[] = "\x28\xb5\x2f\xfd\x50\x2a\x4d\x18" /* 6477 bytes */
				    "\x0a\0\0\0" /* one NUL */
				    "\x61\xca\0"; /* 6476 bytes, the last */
	struct slice content = slice_of(memory_new(6477), 6477);
	struct buffer in;

	memset((char *)content.data + 1, 'b', 6476);
	buffer_init(&in, MOST);
	buffer_append(&in, begin, sizeof(begin) - 1);
	buffer_append_slice(&in, slice_from(content, 1));
	for (size_t step = 1; step < 20000; step = step * 3)
		expect("zstd", buffer_slice(&in), step, content);
	for (size_t step = 1; step < 100; step = step * 3)
		cr_expect_eq(error_of("zstd",
				     slice_of("\x28\xb5\x2f\xfd\x50\x2a\x4d\x18\x03\0\0\0abc", 15),
				     step),
			-EBADMSG, "in steps of %zu", step);
	buffer_done(&in);
	free((void *)content.data);
}

Test(http_coding, what_is_something_else)
{
	static const char *const others[] = {"{\"a\":1}", "hello, this is text", "\x1f\x8b\x09",
		"\x78\xbb\x01\x02\x03\x04", "\x27\xb5\x2f\xfd\x04\x00", "\xff\xff\xff\xff\xff"};
	static const char *const names[] = {"gzip", "deflate", "zstd", "br"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(others); j++)
			cr_expect_eq(error_of(names[i], slice_from_string(others[j]), 1), -EBADMSG,
				"%s: %s", names[i], others[j]);
	}
}

/* Sums are compared: a content that was changed on the way is none. */
Test(http_coding, sums)
{
	static const char *const names[] = {"gzip", "deflate", "zstd"};
	struct slice content = words(2000);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct buffer in = coded(names[i], content);
		/* CRC-32 and length; Adler-32; XXH64's low half */
		size_t back = i == 0 ? 8 : 4;

		for (size_t n = 1; n <= back; n++) {
			uint8_t *byte = in.data + in.end - n;

			*byte ^= 1;
			cr_expect_eq(error_of(names[i], buffer_slice(&in), SIZE_MAX), -EBADMSG,
				"%s, byte %zu from its end", names[i], n);
			*byte ^= 1;
		}
		buffer_done(&in);
	}
	free((void *)content.data);
}

/* Little that becomes much is ended before it has. */
Test(http_coding, what_becomes_too_much)
{
	struct slice zeros = slice_of(memory_new(64u << 20), 64u << 20);

	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct buffer in = coded(codings[i].coded, zeros);
		struct kept k = {.counts = true};

		cr_assert_lt(buffer_length(&in), zeros.length / LIMIT_HTTP_CODING_RATIO);
		cr_expect_eq(decode(codings[i].header, buffer_slice(&in), 512, &k), -E2BIG, "%s",
			codings[i].coded);
		cr_expect_leq(k.length,
			LIMIT_HTTP_CODING_FREE + LIMIT_HTTP_CODING_RATIO * buffer_length(&in) +
				(64u << 10));
		buffer_done(&k.all);
		buffer_done(&in);
	}
	free((void *)zeros.data);
}

/* Nothing comes out of it, but what is between the codings is as much. */
Test(http_coding, what_becomes_too_much_between_codings)
{
	struct buffer frame, in;
	struct kept k = {.counts = true};

	buffer_init(&frame, MOST);
	buffer_append(&frame, "\x50\x2a\x4d\x18\0\0\0\x04", 8); /* skips 64 MiB */
	for (size_t i = 0; i < 1024; i++) {
		static const char zeros[65536];

		buffer_append(&frame, zeros, sizeof(zeros));
	}
	in = coded("gzip", buffer_slice(&frame));
	cr_expect_eq(decode("zstd, gzip", buffer_slice(&in), SIZE_MAX, &k), -E2BIG);
	cr_expect_eq(k.length, 0);
	buffer_done(&in);
	buffer_done(&frame);
}

/* What compresses well all the same passes: no text that is of use is denser. */
Test(http_coding, what_compresses_well)
{
	struct slice content = words(8u << 20);
	struct buffer in;

	/* The same row again and again, with a number of its own. */
	for (size_t at = 512; at < content.length; at += 512)
		memcpy((char *)content.data + at, content.data, 500);
	in = coded("gzip", content);
	cr_assert_lt(buffer_length(&in), content.length / 30);
	expect("gzip", buffer_slice(&in), 1000, content);
	buffer_done(&in);
	free((void *)content.data);
}

Test(http_coding, windows_that_are_too_large)
{
	struct slice content = noise(20u << 20);
	struct buffer in;

	buffer_init(&in, MOST);
	coded_append_wide_zstd(&in, content);
	cr_expect_eq(error_of("zstd", buffer_slice(&in), 65536), -EBADMSG);
	buffer_clear(&in);
	coded_append_wide_brotli(&in, content);
	cr_expect_eq(error_of("br", buffer_slice(&in), 65536), -EBADMSG);
	buffer_clear(&in);
	/* And those that are not, filled: decode() looks at the memory. */
	coded_append(&in, "br", content);
	cr_expect_eq(error_of("br", buffer_slice(&in), 65536), 0);
	buffer_clear(&in);
	coded_append(&in, "zstd", content);
	cr_expect_eq(error_of("zstd", buffer_slice(&in), 65536), 0);
	buffer_done(&in);
	free((void *)content.data);
}

static int refuse(struct http_decoded *d, struct slice content)
{
	(void)d;
	(void)content;
	return -EPERM;
}

Test(http_coding, who_takes_it_may_end_it)
{
	struct http_decoded to = {refuse};

	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct buffer in = coded(codings[i].coded, slice_from_string("text"));
		struct http_codings list;
		struct http_decoder *d;

		cr_assert_eq(read_header(codings[i].header, &list), 0);
		d = http_decoder_new(&list);
		cr_expect_eq(http_decoder_take(d, buffer_slice(&in), true, &to), -EPERM);
		http_decoder_free(d);
		buffer_done(&in);
	}
}
