/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_run.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "masking/json_bytes.h"
#include "masking/json_written.h"
#include "masking/scan.h"

/* Bytes that are indexed at a time: what a processor's cache holds, with what is found in it. */
#define RUN (64u << 10)

void json_run_init(struct json_run *r, const struct masker *m, const struct mask_source *json)
{
	struct slice text = json->text;

	*r = (struct json_run){.m = m, .json = json, .index = &r->own};
	detector_index_init(&r->own);
	buffer_init(&r->meaning, LIMIT_CELL_JUDGED);
	/* Whoever indexed the text knows nothing of escapes. */
	if (!json->index || json_written_plain(text, 0, SIZE_MAX) < text.length)
		return;
	r->index = json->index;
	r->end = text.length;
	r->place = json->start;
}

void json_run_done(struct json_run *r)
{
	detector_index_done(&r->own);
	buffer_done(&r->meaning);
	free(r->shifts);
}

/* Copies what stands before the next backslash, or all, and perhaps some that stands behind. */
static size_t copy_plain(struct slice run, size_t at, uint8_t *space)
{
	size_t n = 0;

	for (; run.length - at - n >= JSON_BLOCK; n += JSON_BLOCK) {
		uint64_t slashes = json_backslashes(run.data + at + n);

		memcpy(space + n, run.data + at + n, JSON_BLOCK);
		if (slashes)
			return n + json_first(slashes);
	}
	for (; at + n < run.length && run.data[at + n] != '\\'; n++)
		space[n] = run.data[at + n];
	return n;
}

/* What it means is never longer than what is written. An escape that the run's end cuts, or that is
 * none, stays: no token that is asked for has it. */
static int take_escapes_off(struct json_run *r, struct slice run, struct slice *ret)
{
	uint8_t *space;
	size_t at = 0, used = 0, length;
	int error;

	buffer_clear(&r->meaning);
	error = buffer_reserve(&r->meaning, run.length, &space);
	while (error == 0) {
		size_t n = copy_plain(run, at, space + used);

		used += n;
		at += n;
		if (at == run.length)
			break;
		n = json_written_character(run, at, space + used, &length);
		at += n ? n : 1;
		used += n ? length : 1;
		if (r->shift_count == r->shift_capacity)
			error = memory_grow((void **)&r->shifts, r->shift_count, &r->shift_capacity,
				sizeof(*r->shifts));
		if (error == 0)
			r->shifts[r->shift_count++] =
				(struct json_shift){(uint32_t)at, (uint32_t)used};
	}
	*ret = slice_of(space, used);
	return error;
}

/* Indexes from there on. */
static int begin(struct json_run *r, size_t start)
{
	struct slice run = slice_head(slice_from(r->json->text, start), RUN);
	int error = 0;

	r->begin = start;
	r->end = start + run.length;
	r->clean_until = start;
	r->shift = r->shift_count = 0;
	if (json_written_plain(run, 0, SIZE_MAX) < run.length)
		error = take_escapes_off(r, run, &run);
	return error < 0 ? error
			 : detector_index_build(r->m->engine, r->m->detectors, run, &r->own);
}

static struct json_shift shift_at(const struct json_run *r, size_t passed)
{
	return passed ? r->shifts[passed - 1] : (struct json_shift){0, 0};
}

/* Where in what is indexed the place of the text is. They are asked for in rising order. */
static size_t meant_at(struct json_run *r, size_t at)
{
	struct json_shift shift;

	at -= r->begin;
	while (r->shift < r->shift_count && r->shifts[r->shift].written <= at)
		r->shift++;
	shift = shift_at(r, r->shift);
	return r->place + shift.meant + (at - shift.written);
}

/* Where in the text the first place at or behind `meant` is at which something could be found; in
 * an escape, where that begins, or soon behind. */
static size_t next_of(struct json_run *r, size_t meant)
{
	size_t next = detector_index_next(r->index, meant), passed = r->shift;
	struct json_shift shift;

	if (next == SIZE_MAX)
		return r->end;
	next -= r->place;
	while (passed < r->shift_count && r->shifts[passed].meant <= next)
		passed++;
	shift = shift_at(r, passed);
	next = shift.written + (next - shift.meant);
	return next > r->end - r->begin ? r->end : r->begin + next;
}

/* One that fills a run is searched by itself. */
static int take_alone(struct json_run *r, size_t start, size_t end, struct mask_source *ret)
{
	struct slice text = slice_of(r->json->text.data + start, end - start);
	int error = 0;

	r->end = start;
	if (json_written_plain(text, 0, SIZE_MAX) < text.length) {
		error = json_written_decode(text, &r->meaning);
		text = buffer_slice(&r->meaning);
	}
	*ret = mask_source_of(text);
	return error;
}

int json_run_part(
	struct json_run *r, size_t start, size_t end, struct mask_source *ret, bool *ret_clean)
{
	size_t meant;
	int error;

	*ret_clean = false;
	if (r->index == &r->own && end - start >= RUN)
		return take_alone(r, start, end, ret);
	error = end > r->end ? begin(r, start) : 0;
	if (error < 0)
		return error;
	/* A quote, or another byte that is no letter or digit, stands behind a token: what the
	 * index asks of what is between texts. */
	meant = meant_at(r, start);
	if (end > r->clean_until)
		r->clean_until = next_of(r, meant);
	*ret_clean = end <= r->clean_until;
	*ret = (struct mask_source){.index = r->index, .start = meant};
	ret->text = slice_of(r->index->run.data + meant, meant_at(r, end) - meant);
	return 0;
}
