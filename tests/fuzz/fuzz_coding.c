/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_coding: any bytes as a content in one or two codings. However they are cut, they decode to
 * the same, or to an error; and neither what they become nor the memory is more than the limits
 * say.
 *
 * Input: which codings (1 byte: three bits for each, the second may be none), in which steps (1
 * byte), the content.
 */
#include <errno.h>
#include <stdio.h>

#include "base/memory.h"
#include "protocol/http/coding.h"

#define MOST (1u << 28)
#define MEMORY_MOST (LIMIT_HTTP_CODINGS * (18u << 20))
#define ROOM (16u << 10) /* that a step may be above a limit */

struct kept {
	struct http_decoded decoded;
	struct buffer all;
};

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_coding: %s\n", what);
	abort();
}

static int keep(struct http_decoded *d, struct slice content)
{
	struct kept *k = container_of(d, struct kept, decoded);

	check(content.length > 0, "nothing was given");
	return buffer_append_slice(&k->all, content);
}

static int decode(const struct http_codings *codings, struct slice in, size_t step, struct kept *k)
{
	struct http_decoder *d = http_decoder_new(codings);
	size_t length, most = LIMIT_HTTP_CODING_FREE;
	int r = 0;

	k->decoded.take = keep;
	buffer_init(&k->all, MOST);
	if (in.length * LIMIT_HTTP_CODING_RATIO > most)
		most = in.length * LIMIT_HTTP_CODING_RATIO;
	do {
		struct slice part = slice_head(in, step);

		in = slice_from(in, part.length);
		r = http_decoder_take(d, part, in.length == 0, &k->decoded);
		check(http_decoder_memory(d) <= MEMORY_MOST, "too much memory");
	} while (r == 0 && in.length);
	length = buffer_length(&k->all);
	check(length <= most + LIMIT_HTTP_CODING_RATIO + ROOM, "it became too much");
	check(r == 0 || r == -EBADMSG || r == -E2BIG, "another error");
	http_decoder_free(d);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_codings codings = {.count = 0};
	struct kept whole, cut;
	struct slice in;
	unsigned second;
	size_t shorter;
	int r, s;

	if (size < 2)
		return 0;
	codings.items[codings.count++] = (enum http_coding)((data[0] & 7) % HTTP_CODING_COUNT);
	second = data[0] >> 3 & 7;
	if (second < HTTP_CODING_COUNT)
		codings.items[codings.count++] = (enum http_coding)second;
	in = slice_of(data + 2, size - 2);
	r = decode(&codings, in, SIZE_MAX, &whole);
	s = decode(&codings, in, 1u + data[1], &cut);
	/* What is too much is so earlier where less of it has come. */
	check(r == s || r == -E2BIG || s == -E2BIG, "an error depends on how the bytes are cut");
	shorter = buffer_length(&whole.all) < buffer_length(&cut.all) ? buffer_length(&whole.all)
								      : buffer_length(&cut.all);
	check(slice_equal(slice_head(buffer_slice(&whole.all), shorter),
		      slice_head(buffer_slice(&cut.all), shorter)),
		"the content depends on how the bytes are cut");
	check(r != 0 || s != 0 || buffer_length(&whole.all) == buffer_length(&cut.all),
		"the length depends on how the bytes are cut");
	buffer_done(&whole.all);
	buffer_done(&cut.all);
	return 0;
}
