/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/detector.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "masking/match.h"
#include "masking/scan.h"

static int compile(struct detector_engine *engine, struct error *e)
{
	const char **texts = memory_new_array(literal_count, sizeof(*texts));
	unsigned *flags = memory_new_array(literal_count, sizeof(*flags));
	unsigned *ids = memory_new_array(literal_count, sizeof(*ids));
	size_t *lengths = memory_new_array(literal_count, sizeof(*lengths));
	hs_compile_error_t *problem = NULL;
	int r = 0;

	for (size_t i = 0; i < literal_count; i++) {
		texts[i] = literals[i].text;
		lengths[i] = strlen(literals[i].text);
		flags[i] = literals[i].ignore_case ? HS_FLAG_CASELESS : 0;
		ids[i] = (unsigned)i;
		engine->literal_detectors |= 1u << literals[i].detector;
	}
	if (hs_compile_lit_multi(texts, flags, ids, lengths, (unsigned)literal_count, HS_MODE_BLOCK,
		    NULL, &engine->database, &problem) != HS_SUCCESS) {
		r = error_set(e, -EINVAL, "detectors: %s", problem->message);
		hs_free_compile_error(problem);
	} else if (hs_alloc_scratch(engine->database, &engine->scratch) != HS_SUCCESS) {
		r = error_set(e, -ENOMEM, "detectors: no memory for Vectorscan");
	}
	free(texts);
	free(flags);
	free(ids);
	free(lengths);
	return r;
}

struct detector_engine *detector_engine_new(struct error *e)
{
	struct detector_engine *engine;

	if (hs_valid_platform() != HS_SUCCESS) {
		error_set(e, -ENOTSUP, "detectors: Vectorscan needs a processor with SSE4.2");
		return NULL;
	}
	engine = memory_new(sizeof(*engine));
	engine->method = shape_method_best();
	for (unsigned i = 0; i < SCAN_DEPTH; i++)
		buffer_init(&engine->levels[i].decoded, LIMIT_CELL_JUDGED);
	if (compile(engine, e) < 0) {
		detector_engine_free(engine);
		return NULL;
	}
	return engine;
}

void detector_engine_free(struct detector_engine *engine)
{
	if (!engine)
		return;
	hs_free_scratch(engine->scratch);
	hs_free_database(engine->database);
	for (unsigned i = 0; i < SCAN_DEPTH; i++) {
		free(engine->levels[i].findings);
		buffer_wipe(&engine->levels[i].decoded);
	}
	free(engine);
}

const char *detector_engine_method(const struct detector_engine *engine)
{
	return engine->method->name;
}

int detector_engine_set_method(struct detector_engine *engine, unsigned variant)
{
	const struct shape_method *method = shape_method_get((enum shape_variant)variant);

	if (!method)
		return -ENOTSUP;
	engine->method = method;
	return 0;
}

int detector_scan(struct detector_engine *engine, unsigned set, struct slice text,
	struct detector_findings *ret)
{
	struct scan s = {.engine = engine, .set = set, .text = text};

	if (text.length > LIMIT_CELL_JUDGED)
		return -E2BIG;
	scan_begin(&s);
	scan_search(&s);
	return scan_finish(&s, ret);
}

bool detector_read_name(struct slice name, struct detector_name *ret)
{
	return match_read_name(name, ret);
}

unsigned detector_judge_named(unsigned set, const struct detector_name *name, struct slice value)
{
	return set & match_named_value(name, value);
}

void detector_index_init(struct detector_index *index)
{
	*index = (struct detector_index){0};
}

void detector_index_done(struct detector_index *index)
{
	free(index->shapes);
	free(index->literals);
	detector_index_init(index);
}

/* What on_indexed_literal() needs. */
struct indexing {
	struct detector_index *index;
	int error;
};

static int on_indexed_literal(
	unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	struct indexing *i = context;
	struct detector_index *index = i->index;
	uint32_t start = (uint32_t)(to - strlen(literals[id].text));
	size_t place;

	(void)from;
	(void)flags;
	if (!(index->set >> literals[id].detector & 1))
		return 0;
	i->error = memory_grow((void **)&index->literals, index->literal_count,
		&index->literal_capacity, sizeof(*index->literals));
	if (i->error)
		return i->error;
	/* They come in order of their ends; a longer one may begin before some that came. */
	place = index->literal_count++;
	while (place > 0 && index->literals[place - 1].start > start) {
		index->literals[place] = index->literals[place - 1];
		place--;
	}
	index->literals[place] = (struct literal_hit){start, id};
	return 0;
}

static int index_shapes(struct detector_engine *engine, struct detector_index *index)
{
	struct shape_scan scan = {.text = index->run, .wanted = scan_wanted_shapes(index->set)};

	while (scan.next < index->run.length) {
		size_t room;

		/* memory_grow() makes sure of one place more than is asked for. */
		int r = memory_grow((void **)&index->shapes, index->shape_count + SHAPE_STRIDE,
			&index->shape_capacity, sizeof(*index->shapes));

		if (r < 0)
			return r;
		room = index->shape_capacity - index->shape_count;
		index->shape_count +=
			engine->method->scan(&scan, index->shapes + index->shape_count, room);
	}
	return 0;
}

int detector_index_build(struct detector_engine *engine, unsigned set, struct slice run,
	struct detector_index *index)
{
	struct indexing indexing = {.index = index};
	hs_error_t problem;
	int r;

	if (run.length > DETECTOR_RUN_MOST)
		return -E2BIG;
	index->run = run;
	index->set = set;
	index->shape_count = index->shape_next = 0;
	index->literal_count = index->literal_next = 0;
	if (run.length == 0)
		return 0;
	r = index_shapes(engine, index);
	if (r < 0 || !(set & engine->literal_detectors))
		return r;
	problem = hs_scan(engine->database, (const char *)run.data, (unsigned)run.length, 0,
		engine->scratch, on_indexed_literal, &indexing);
	if (problem != HS_SUCCESS && !indexing.error)
		return -EINVAL;
	return indexing.error;
}

/* Moves both cursors to the first hits at or behind `from`. */
static void seek(struct detector_index *index, size_t from)
{
	size_t s = index->shape_next, l = index->literal_next;

	while (s > 0 && index->shapes[s - 1].start >= from)
		s--;
	while (s < index->shape_count && index->shapes[s].start < from)
		s++;
	while (l > 0 && index->literals[l - 1].start >= from)
		l--;
	while (l < index->literal_count && index->literals[l].start < from)
		l++;
	index->shape_next = s;
	index->literal_next = l;
}

size_t detector_index_next(struct detector_index *index, size_t from)
{
	size_t next = SIZE_MAX;

	seek(index, from);
	if (index->shape_next < index->shape_count)
		next = index->shapes[index->shape_next].start;
	if (index->literal_next < index->literal_count &&
		index->literals[index->literal_next].start < next)
		next = index->literals[index->literal_next].start;
	return next;
}

int detector_scan_part(struct detector_engine *engine, struct detector_index *index, size_t start,
	size_t end, struct detector_findings *ret)
{
	struct scan s = {.engine = engine,
		.set = index->set,
		.text = slice_of(index->run.data + start, end - start)};

	seek(index, start);
	scan_begin(&s);
	for (size_t i = index->shape_next; i < index->shape_count && !s.error; i++) {
		if (index->shapes[i].start >= end)
			break;
		scan_judge_shapes(&s, index->shapes[i].start - start, index->shapes[i].shapes);
	}
	for (size_t i = index->literal_next; i < index->literal_count && !s.error; i++) {
		const struct literal_hit *hit = &index->literals[i];

		if (hit->start >= end)
			break;
		if (hit->start + strlen(literals[hit->literal].text) <= end)
			scan_judge_literal(&s, hit->start - start, hit->literal);
	}
	return scan_finish(&s, ret);
}
