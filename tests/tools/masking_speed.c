/* SPDX-License-Identifier: Apache-2.0
 *
 * masking_speed [GOAL]: megabytes per second and core of the detectors and of masked rows, on text
 * made here. Prints one line per measurement: name, method, MB/s; the median of some rounds. Where
 * text without findings is searched by the method that this processor's daemon uses, that has a
 * goal: a miss is said, and is the status. json_speed measures JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "masking/shape.h"
#include "protocol/postgres/value_rows.h"
#include "tests/tools/speed.h"

#define BYTES (8u << 20)
#define RUN 65536
#define ROUNDS 5
#define GOAL 500 /* MB/s */

/* One cell, with its length. */
static void add_cell(struct buffer *out, struct buffer *cell)
{
	buffer_append_u32(out, (uint32_t)buffer_length(cell));
	buffer_append_slice(out, buffer_slice(cell));
	buffer_clear(cell);
}

/* id, name, created, price, note, e-mail or digest. */
#define COLUMNS 6
static void make_rows(struct buffer *out, bool with_email)
{
	struct buffer body, cell;

	buffer_init(&body, BYTES);
	buffer_init(&cell, BYTES);
	for (unsigned id = 1; buffer_length(out) < BYTES; id++) {
		buffer_clear(&body);
		buffer_append_u16(&body, COLUMNS);
		buffer_append_format(&cell, "%u", id);
		add_cell(&body, &cell);
		speed_add_words(&cell, 2);
		add_cell(&body, &cell);
		buffer_append_format(&cell, "2024-%02u-%02u 12:34:%02u.%06u+00",
			(unsigned)(speed_random() % 12 + 1), (unsigned)(speed_random() % 28 + 1),
			(unsigned)(speed_random() % 60), (unsigned)(speed_random() % 1000000));
		add_cell(&body, &cell);
		buffer_append_format(&cell, "%u.%02u", (unsigned)(speed_random() % 10000),
			(unsigned)(speed_random() % 100));
		add_cell(&body, &cell);
		speed_add_words(&cell, 8);
		add_cell(&body, &cell);
		if (with_email)
			buffer_append_format(&cell, "user%u@example.com", id);
		else
			buffer_append_format(&cell, "%08x-%04x-4%03x", (unsigned)speed_random(),
				(unsigned)(speed_random() & 0xffff),
				(unsigned)(speed_random() & 0xfff));
		add_cell(&body, &cell);
		buffer_append_byte(out, 'D');
		buffer_append_u32(out, (uint32_t)buffer_length(&body) + 4);
		buffer_append_slice(out, buffer_slice(&body));
	}
	buffer_done(&body);
	buffer_done(&cell);
}

static void make_prose(struct buffer *out, bool with_findings)
{
	while (buffer_length(out) < BYTES) {
		speed_add_words(out, 12);
		buffer_append_string(out, ". ");
		if (with_findings && speed_random() % 4 == 0)
			buffer_append_string(out,
				"Mail user@example.com, call +1 212-555-0123, card "
				"4111111111111111. ");
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The median of some rounds over the text, cut into runs: MB/s. */
static double measure(const char *name, struct detector_engine *engine, struct slice text,
	int (*run)(void *context, struct slice piece), void *context)
{
	uint64_t rounds[ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t began = clock_read(CLOCK_THREAD_CPUTIME_ID);

		for (size_t at = 0; at < text.length;) {
			int taken = run(context, slice_head(slice_from(text, at), RUN));

			if (taken <= 0) {
				fprintf(stderr, "%s: error %d\n", name, taken);
				exit(1);
			}
			at += (size_t)taken;
		}
		rounds[round] = clock_read(CLOCK_THREAD_CPUTIME_ID) - began;
	}
	qsort(rounds, ROUNDS, sizeof(*rounds), compare);
	speed_report(name, detector_engine_method(engine), text.length, rounds[ROUNDS / 2]);
	return (double)text.length * 1e3 / (double)rounds[ROUNDS / 2];
}

struct scanning {
	struct detector_engine *engine;
	struct detector_index index;
	struct value_rows rows;
	struct buffer out;
	size_t found;
};

static const unsigned all = (1u << DETECTOR_COUNT) - 1;

static int run_scan(void *context, struct slice piece)
{
	struct scanning *s = context;
	struct detector_findings findings;
	int r = detector_scan(s->engine, all, piece, &findings);

	s->found += r < 0 ? 0 : findings.count;
	return r < 0 ? r : (int)piece.length;
}

static int run_index(void *context, struct slice piece)
{
	struct scanning *s = context;
	int r = detector_index_build(s->engine, all, piece, &s->index);

	return r < 0 ? r : (int)piece.length;
}

/* Whole messages alone. */
static int run_rows(void *context, struct slice piece)
{
	struct scanning *s = context;
	struct value_rows_result result = {0};
	size_t end = 0, next;
	int r;

	while (piece.length - end >= 5) {
		next = end + 1 + bytes_get_u32(piece.data + end + 1);
		if (next > piece.length)
			break;
		end = next;
	}
	buffer_clear(&s->out);
	r = value_rows_mask(&s->rows, slice_head(piece, end), &s->out, &result);
	return r < 0 ? r : (int)end;
}

static double measure_rows(const char *name, struct scanning *s, struct slice rows,
	const struct mask_rules *rules, enum mask_strategy last, struct mask_hasher *hasher)
{
	struct value_column columns[COLUMNS] = {
		{.type = {23, -1, false}},
		{.type = {25, -1, false}},
		{.type = {1184, -1, false}},
		{.type = {1700, -1, false}},
		{.type = {25, -1, false}},
		{.type = {25, -1, false}, .strategy = last},
	};
	struct masker masker;
	double speed;

	masker_init(&masker, s->engine, hasher, rules);
	value_rows_init(&s->rows, &masker, columns, COLUMNS);
	speed = measure(name, s->engine, rows, run_rows, s);
	value_rows_done(&s->rows);
	return speed;
}

/* Of text without findings, the lowest. */
static double measure_all(struct scanning *s, struct mask_hasher *hasher)
{
	double text_speed, rows_speed;
	struct buffer prose, found, rows, mails;
	struct mask_rules none = {0}, every = {.detects = true};

	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		every.detectors[i] = MASK_PARTIAL;
	buffer_init(&prose, 2 * BYTES);
	buffer_init(&found, 2 * BYTES);
	buffer_init(&rows, 2 * BYTES);
	buffer_init(&mails, 2 * BYTES);
	make_prose(&prose, false);
	make_prose(&found, true);
	make_rows(&rows, false);
	make_rows(&mails, true);
	measure("first pass, clean text", s->engine, buffer_slice(&prose), run_index, s);
	measure("first pass, clean rows", s->engine, buffer_slice(&rows), run_index, s);
	text_speed = measure("scan, clean text", s->engine, buffer_slice(&prose), run_scan, s);
	measure("scan, text with findings", s->engine, buffer_slice(&found), run_scan, s);
	rows_speed = measure_rows("rows, clean", s, buffer_slice(&rows), &every, MASK_NONE, hasher);
	measure_rows("rows, column mask alone", s, buffer_slice(&rows), &none, MASK_REDACT, hasher);
	measure_rows("rows, column mask", s, buffer_slice(&rows), &every, MASK_REDACT, hasher);
	measure_rows("rows, hashed column", s, buffer_slice(&rows), &every, MASK_HASH, hasher);
	measure_rows("rows, finding in each", s, buffer_slice(&mails), &every, MASK_NONE, hasher);
	buffer_done(&prose);
	buffer_done(&found);
	buffer_done(&rows);
	buffer_done(&mails);
	return text_speed < rows_speed ? text_speed : rows_speed;
}

int main(int argc, char **argv)
{
	long goal = argc > 1 ? strtol(argv[1], NULL, 10) : GOAL;
	const char *own;
	double speed = 0;
	static const uint8_t key[MASK_KEY_BYTES] = {1};
	struct error e;
	uint64_t began = clock_monotonic();
	struct scanning s = {.engine = detector_engine_new(&e)};
	struct mask_hasher *hasher = mask_hasher_new(key);

	if (!s.engine || !hasher) {
		fprintf(stderr, "masking_speed: %s\n", s.engine ? "no SHA-256" : e.text);
		return 1;
	}
	printf("engine made in %.1f ms\n", (double)(clock_monotonic() - began) / 1e6);
	own = detector_engine_method(s.engine);
	detector_index_init(&s.index);
	buffer_init(&s.out, 4 * BYTES);
	for (unsigned v = 0; v < SHAPE_VARIANT_COUNT; v++) {
		double lowest;

		if (detector_engine_set_method(s.engine, v) < 0)
			continue;
		lowest = measure_all(&s, hasher);
		if (strcmp(detector_engine_method(s.engine), own) == 0)
			speed = lowest;
	}
	printf("text and rows without findings, %s: %.0f MB/s for each core (goal %ld: %s)\n", own,
		speed, goal, speed >= (double)goal ? "met" : "MISSED");
	detector_index_done(&s.index);
	buffer_done(&s.out);
	mask_hasher_free(hasher);
	detector_engine_free(s.engine);
	return speed < (double)goal;
}
