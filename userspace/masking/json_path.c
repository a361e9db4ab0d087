/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_path.h"

#include <errno.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "masking/json_bytes.h"
#include "masking/json_findings.h"
#include "masking/json_reader.h"
#include "masking/json_text.h"

#define INDEX_MOST 999999999u
#define WORD_BITS 64u

struct path {
	const struct json_step *steps;
	size_t count;
	enum mask_strategy strategy;
};

struct json_paths {
	struct path *paths;
	size_t count, words;
	struct json_step *steps;
	char **texts; /* what the steps' names are parts of */
	uint64_t *alive; /* for each depth, `words` words: which paths lead here */
	uint64_t places[JSON_DEPTH_MOST + 1]; /* the next element's, of the arrays that are open */
	struct buffer name; /* with its escapes taken off */
};

/* --- paths --- */

/* Takes "['a.name']". */
static bool read_quoted(struct slice *rest, struct json_step *ret)
{
	const uint8_t *end = memmem(rest->data, rest->length, "']", 2);
	size_t length = end ? (size_t)(end - rest->data) : 0;

	if (length <= 2)
		return false;
	*ret = (struct json_step){.name = slice_of(rest->data + 2, length - 2)};
	*rest = slice_from(*rest, length + 2);
	return !memchr(ret->name.data, '\'', ret->name.length);
}

bool json_path_step(struct slice *rest, struct json_step *ret)
{
	uint8_t first = rest->data[0];
	size_t n = 1;
	struct slice what;

	if (slice_starts_with(*rest, slice_from_string("['")))
		return read_quoted(rest, ret);
	*ret = (struct json_step){.in_array = first == '['};
	if (first != '.' && first != '[')
		return false;
	while (n < rest->length && !memchr(".[]", rest->data[n], 3))
		n++;
	what = slice_of(rest->data + 1, n - 1);
	if (ret->in_array && (n == rest->length || rest->data[n] != ']'))
		return false;
	*rest = slice_from(*rest, n + ret->in_array);
	ret->any = slice_equal_string(what, "*");
	ret->name = what;
	if (ret->in_array && !ret->any)
		return text_to_number(what, INDEX_MOST, &ret->index) == 0;
	return what.length != 0;
}

/* `ret` may be NULL: they are counted only. 0: no path. */
static size_t read_steps(struct slice path, struct json_step *ret)
{
	size_t count = 0;

	if (path.length < 2 || path.data[0] != '$')
		return 0;
	path = slice_from(path, 1);
	while (path.length) {
		struct json_step step;

		if (!json_path_step(&path, &step))
			return 0;
		if (ret)
			ret[count] = step;
		count++;
	}
	return count;
}

bool json_path_is_valid(struct slice path)
{
	return read_steps(path, NULL) != 0;
}

struct json_paths *json_paths_new(const struct mask_rules *rules, bool *ret_too_many)
{
	struct json_paths *p;
	size_t steps = 0;

	*ret_too_many = rules->json_count > JSON_PATHS_MOST;
	if (rules->json_count == 0 || *ret_too_many)
		return NULL;
	for (size_t i = 0; i < rules->json_count; i++)
		steps += read_steps(rules->json[i].path, NULL);
	p = memory_new(sizeof(*p));
	p->paths = memory_new_array(rules->json_count, sizeof(*p->paths));
	p->texts = memory_new_array(rules->json_count, sizeof(*p->texts));
	p->steps = memory_new_array(steps + 1, sizeof(*p->steps));
	p->words = (rules->json_count + WORD_BITS - 1) / WORD_BITS;
	p->alive = memory_new_array((JSON_DEPTH_MOST + 1) * p->words, sizeof(*p->alive));
	buffer_init(&p->name, LIMIT_HTTP_BODY_MASKED);
	steps = 0;
	for (; p->count < rules->json_count; p->count++) {
		struct path *path = &p->paths[p->count];

		struct slice text = rules->json[p->count].path;

		p->texts[p->count] = memory_copy_text(text.data, text.length);
		path->steps = p->steps + steps;
		path->count =
			read_steps(slice_of(p->texts[p->count], text.length), p->steps + steps);
		path->strategy = rules->json[p->count].strategy;
		steps += path->count;
	}
	return p;
}

void json_paths_free(struct json_paths *p)
{
	if (!p)
		return;
	buffer_wipe(&p->name);
	for (size_t i = 0; i < p->count; i++)
		free(p->texts[i]);
	free(p->texts);
	free(p->paths);
	free(p->steps);
	free(p->alive);
	free(p);
}

/* --- the walk --- */

static bool step_means(const struct json_step *s, bool in_array, struct slice name, uint64_t index)
{
	if (s->in_array != in_array)
		return false;
	if (s->any)
		return true;
	return in_array ? s->index == index : slice_equal(s->name, name);
}

/* Which paths lead on from `depth` - 1 to the value at hand; of those that end at it, the strictest
 * strategy. */
static enum mask_strategy step_into(
	struct json_paths *p, unsigned depth, bool in_array, struct slice name)
{
	const uint64_t *from = p->alive + (depth - 1) * p->words;
	uint64_t *to = p->alive + depth * p->words;
	uint64_t index = in_array ? p->places[depth]++ : 0;
	enum mask_strategy strictest = MASK_NONE;

	for (size_t w = 0; w < p->words; w++) {
		to[w] = 0;
		for (uint64_t rest = from[w]; rest; rest &= rest - 1) {
			unsigned bit = (unsigned)__builtin_ctzll(rest);
			const struct path *path = &p->paths[w * WORD_BITS + bit];

			/* Those that led here and ended mask the whole, so more steps are left. */
			if (depth > path->count ||
				!step_means(&path->steps[depth - 1], in_array, name, index))
				continue;
			to[w] |= 1ull << bit;
			if (depth == path->count && path->strategy > strictest)
				strictest = path->strategy;
		}
	}
	return strictest;
}

static void begin_value(struct json_paths *p)
{
	for (size_t i = 0; i < p->count; i++)
		p->alive[i / WORD_BITS] |= 1ull << i % WORD_BITS;
}

static bool leads_on(const struct json_paths *p, unsigned depth)
{
	uint64_t any = 0;

	for (size_t w = 0; w < p->words; w++)
		any |= p->alive[depth * p->words + w];
	return any != 0;
}

static int replace(const struct masker *m, enum mask_strategy strategy, enum json_token token,
	struct slice value, struct buffer *out)
{
	if (strategy == MASK_NULL)
		return buffer_append_string(out, "null");
	/* The end of its text would be that of a value within it. */
	if (strategy == MASK_PARTIAL && (token == JSON_OBJECT || token == JSON_ARRAY))
		strategy = MASK_REDACT;
	/* What it means makes no difference: it need not be found out. */
	return json_mask_whole(m, strategy,
		strategy == MASK_REDACT || strategy == MASK_BASE64 ? slice_from_string("0") : value,
		out);
}

struct path_walk {
	struct json_paths *paths;
	const struct masker *m;
	struct json_reader reader;
	struct json_copy copy;
	struct json_findings *findings; /* NULL: paths alone */
	struct buffer mask; /* of the value at hand, to be searched */
	unsigned led; /* no path leads to what stands deeper */
	size_t judged; /* of what stands outside of objects and arrays */
};

/* Appends the mask. It is searched as any value is; in one that is the same for all nothing is
 * found, but by its name. */
static int append_mask(
	struct path_walk *w, enum mask_strategy strategy, enum json_token token, struct slice value)
{
	bool same = strategy == MASK_REDACT || strategy == MASK_BASE64;
	int r;

	if (strategy == MASK_NULL || !w->findings || (same && !w->findings->name))
		return replace(w->m, strategy, token, value, w->copy.out);
	buffer_clear(&w->mask);
	r = replace(w->m, strategy, token, value, &w->mask);
	return r < 0 ? r
		     : json_findings_append(w->findings, buffer_slice(&w->mask), same, w->copy.out);
}

/* The value begins with `token`; a path ends at it. */
static int mask_value(struct path_walk *w, enum json_token token, enum mask_strategy strategy)
{
	struct json_reader *r = &w->reader;
	size_t start = token == JSON_STRING ? r->start - 1 : r->start;
	int error;

	if (!json_skip(r, token))
		return -EBADMSG;
	error = json_copy_replace(&w->copy, start, r->at);
	return error < 0
		? error
		: append_mask(w, strategy, token, slice_of(r->text.data + start, r->at - start));
}

/* Outside of objects and arrays nothing parts 1 and 2, or 1 and true: they are searched together.
 */
static int search_outside(struct path_walk *w)
{
	size_t start = w->reader.start;

	if (start < w->judged)
		return 0;
	w->judged = json_scalar_end(w->reader.text, start);
	return json_findings_scalar(w->findings, start, w->judged);
}

/* A value that no path ends at. */
static int search_value(struct path_walk *w, enum json_token token)
{
	const struct json_reader *r = &w->reader;

	if (!w->findings)
		return 0;
	if (token == JSON_OBJECT)
		json_findings_brace(w->findings);
	if (token == JSON_OBJECT || token == JSON_ARRAY)
		return 0;
	if (token == JSON_STRING)
		return json_findings_string(w->findings, r->start, r->end, r->escaped);
	return r->depth ? json_findings_scalar(w->findings, r->start, r->end) : search_outside(w);
}

/* Goes into an object or array in `depth` others; without paths or findings, over it. */
static int enter(struct path_walk *w, enum json_token token, unsigned depth)
{
	w->paths->places[depth + 1] = 0;
	if (depth > w->led)
		return 0;
	w->led = depth + leads_on(w->paths, depth);
	return w->led > depth || w->findings || json_skip(&w->reader, token) ? 0 : -EBADMSG;
}

/* A value: the whole, an element, or the one of the name that was read before. */
static int walk_value(struct path_walk *w, enum json_token token, bool in_array, struct slice name)
{
	bool opens = token == JSON_OBJECT || token == JSON_ARRAY;
	unsigned depth = w->reader.depth - opens; /* of what it stands in */
	enum mask_strategy strategy = MASK_NONE;
	int r;

	if (depth == 0)
		begin_value(w->paths);
	else if (depth <= w->led)
		strategy = step_into(w->paths, depth, in_array, name);
	if (strategy != MASK_NONE && token != JSON_NULL)
		return mask_value(w, token, strategy);
	r = search_value(w, token);
	return r < 0 || !opens ? r : enter(w, token, depth);
}

/* The name that was read, as far as a path may ask for it; and its value. */
static int walk_member(struct path_walk *w)
{
	struct json_reader *r = &w->reader;
	struct slice name = slice_of(r->text.data + r->start, r->end - r->start);
	enum json_token token;
	int error = 0;

	if (w->findings)
		error = json_findings_name(w->findings, r->start, r->end, r->escaped);
	if (error == 0 && r->escaped && r->depth <= w->led)
		error = json_meaning(name, &w->paths->name, &name);
	if (error < 0)
		return error;
	token = json_next(r);
	return token == JSON_BAD ? -EBADMSG : walk_value(w, token, false, name);
}

static int walk_next(struct path_walk *w, enum json_token token)
{
	struct json_reader *r = &w->reader;
	unsigned depth;

	switch (token) {
	case JSON_CLOSE:
		if (w->findings && r->text.data[r->start] == '}')
			json_findings_brace(w->findings);
		return 0;
	case JSON_NAME:
		return walk_member(w);
	case JSON_BAD:
		return -EBADMSG;
	default:
		depth = r->depth - (token == JSON_OBJECT || token == JSON_ARRAY);
		return walk_value(w, token, depth && !r->objects[depth - 1], SLICE_EMPTY);
	}
}

static int walk(struct path_walk *w)
{
	enum json_token token;
	int r = 0;

	json_reader_init(&w->reader, w->copy.text);
	while (r == 0 && (token = json_next(&w->reader)) != JSON_END)
		r = walk_next(w, token);
	if (r == 0)
		r = json_copy_finish(&w->copy);
	return r < 0 ? r : w->copy.replaced ? MASK_REPLACED : MASK_UNCHANGED;
}

int json_paths_mask(
	struct json_paths *p, const struct masker *m, struct slice json, struct buffer *out)
{
	struct path_walk w = {.paths = p, .m = m, .copy = {.text = json, .out = out}};

	return walk(&w);
}

int json_paths_mask_findings(
	struct json_paths *p, const struct masker *m, struct slice json, struct buffer *out)
{
	struct path_walk w = {.paths = p, .m = m, .copy = {.text = json, .out = out}};
	struct mask_source source = mask_source_of(json);
	size_t before = buffer_length(out);
	struct json_findings findings;
	int r;

	json_findings_init(&findings, m, &source, &w.copy);
	buffer_init(&w.mask, out->limit);
	w.findings = &findings;
	r = walk(&w);
	if (r >= 0 && findings.null) {
		buffer_truncate(out, before);
		r = MASK_TO_NULL;
	}
	buffer_done(&w.mask);
	json_findings_done(&findings);
	return r;
}
