/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_run.h"

/* Bytes that are indexed at a time: what a processor's cache holds, with what is found in it. */
#define RUN (64u << 10)

void json_run_init(struct json_run *r, const struct masker *m, const struct mask_source *json)
{
	*r = (struct json_run){.m = m, .json = json};
	detector_index_init(&r->index);
}

void json_run_done(struct json_run *r)
{
	detector_index_done(&r->index);
}

/* Indexes from there on. */
static int begin(struct json_run *r, size_t start)
{
	struct slice run = slice_head(slice_from(r->json->text, start), RUN);

	r->begin = start;
	r->end = start + run.length;
	r->clean_until = start;
	return detector_index_build(r->m->engine, r->m->detectors, run, &r->index);
}

static size_t next_of(struct json_run *r, size_t start)
{
	size_t next = detector_index_next(&r->index, start - r->begin);

	return next == SIZE_MAX ? r->end : r->begin + next;
}

int json_run_part(
	struct json_run *r, size_t start, size_t end, struct mask_source *ret, bool *ret_clean)
{
	int error = 0;

	*ret = mask_source_part(r->json, start, end);
	*ret_clean = ret->index && mask_source_is_clean(ret);
	/* One that fills a run is searched by itself. */
	if (ret->index || end - start >= RUN)
		return 0;
	if (start < r->begin || end > r->end)
		error = begin(r, start);
	if (error < 0)
		return error;
	/* A quote, or another byte that is no letter or digit, stands behind a token: what the
	 * index asks of what is between texts. */
	ret->index = &r->index;
	ret->start = start - r->begin;
	if (end > r->clean_until)
		r->clean_until = next_of(r, start);
	*ret_clean = end <= r->clean_until;
	return 0;
}
