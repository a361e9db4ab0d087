/* SPDX-License-Identifier: Apache-2.0
 *
 * coding_speed: megabytes of content per second and core that come out of each coding of HTTP: of
 * JSON as an API has it, and of what compresses as nothing useful does (at most
 * LIMIT_HTTP_CODING_RATIO), which says what a peer's byte can cost. Prints one line per
 * measurement: content and coding, bytes that each byte became, MB/s. Exits with 1 where one misses
 * the goal.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "protocol/http/coding.h"
#include "tests/harness/coded.h"
#include "tests/tools/speed.h"

#define BYTES (8u << 20)
#define PIECE 16384 /* as much comes at a time */
#define ROUNDS 5
#define GOAL 250 /* MB/s: what is masked behind it has the same */
#define BLOCK 4096 /* a line, over and over */

static void make_customers(struct buffer *out)
{
	buffer_append_byte(out, '[');
	for (unsigned id = 1; buffer_length(out) < BYTES; id++) {
		buffer_append_format(out, "%s{\"id\":%u,\"name\":\"", id > 1 ? "," : "", id);
		speed_add_words(out, 2);
		buffer_append_format(out,
			"\",\"ssn\":\"%03u-%02u-%04u\",\"amount\":%u.%02u,\"note\":\"",
			(unsigned)(speed_random() % 899 + 100), (unsigned)(speed_random() % 98 + 1),
			(unsigned)(speed_random() % 9999), (unsigned)(speed_random() % 10000),
			(unsigned)(speed_random() % 100));
		speed_add_words(out, 12);
		buffer_append_string(out, "\"}");
	}
	buffer_append_byte(out, ']');
}

static void make_repeated(struct buffer *out)
{
	char line[64];

	while (buffer_length(out) < BYTES) {
		int n = snprintf(line, sizeof(line), "%016llx%016llx%016llx\n",
			(unsigned long long)speed_random(), (unsigned long long)speed_random(),
			(unsigned long long)speed_random());

		for (size_t length = 0; length < BLOCK; length += (size_t)n)
			buffer_append(out, line, (size_t)n);
	}
}

struct sum {
	struct http_decoded base;
	size_t length;
};

static int count(struct http_decoded *d, struct slice content)
{
	container_of(d, struct sum, base)->length += content.length;
	return 0;
}

/* Nanoseconds for all of it. */
static uint64_t decode(enum http_coding coding, struct slice coded, size_t expected)
{
	const struct http_codings codings = {.items = {coding}, .count = 1};
	struct http_decoder *d = http_decoder_new(&codings);
	uint64_t began = clock_read(CLOCK_THREAD_CPUTIME_ID), took;
	struct sum sum = {.base.take = count};
	int r = d ? 0 : -1;

	for (; r == 0 && coded.length; coded = slice_from(coded, PIECE))
		r = http_decoder_take(
			d, slice_head(coded, PIECE), coded.length <= PIECE, &sum.base);
	took = clock_read(CLOCK_THREAD_CPUTIME_ID) - began;
	http_decoder_free(d);
	if (r < 0 || sum.length != expected) {
		fprintf(stderr, "coding_speed: error %d\n", r);
		exit(1);
	}
	return took;
}

/* The best of some rounds; others may share the processor. Returns MB/s. */
static unsigned measure(
	const char *content, const char *name, enum http_coding coding, struct slice text)
{
	uint64_t best = UINT64_MAX;
	struct buffer coded;
	char line[64], ratio[16];

	buffer_init(&coded, 2 * BYTES);
	coded_append(&coded, name, text);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t took = decode(coding, buffer_slice(&coded), text.length);

		best = took < best ? took : best;
	}
	snprintf(line, sizeof(line), "%s, %s", content, name);
	snprintf(ratio, sizeof(ratio), "%zu:1", text.length / buffer_length(&coded));
	speed_report(line, ratio, text.length, best);
	buffer_done(&coded);
	return (unsigned)(text.length * 1000 / best);
}

static const struct {
	const char *name;
	enum http_coding coding;
} codings[] = {{"gzip", HTTP_CODING_GZIP}, {"deflate", HTTP_CODING_DEFLATE},
	{"br", HTTP_CODING_BROTLI}, {"zstd", HTTP_CODING_ZSTD}};

static const struct {
	const char *name;
	void (*make)(struct buffer *out);
} contents[] = {{"customers", make_customers}, {"repeated lines", make_repeated}};

int main(void)
{
	unsigned slowest = UINT_MAX;
	struct buffer text;

	buffer_init(&text, 2 * BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		buffer_clear(&text);
		contents[i].make(&text);
		for (size_t j = 0; j < ARRAY_SIZE(codings); j++) {
			unsigned speed = measure(contents[i].name, codings[j].name,
				codings[j].coding, buffer_slice(&text));

			slowest = speed < slowest ? speed : slowest;
		}
	}
	printf("out of a coding: %u MB/s at least, goal at least %u: %s\n", slowest, GOAL,
		slowest >= GOAL ? "met" : "MISSED");
	buffer_done(&text);
	return slowest < GOAL;
}
