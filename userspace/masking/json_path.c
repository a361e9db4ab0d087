/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_path.h"

#include <errno.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "masking/json_reader.h"
#include "masking/json_text.h"
#include "masking/source.h"

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
	struct buffer *out;
	size_t copied; /* all before has been appended or replaced */
	bool replaced;
};

/* The value begins with `token`; a path ends at it. */
static int mask_value(struct path_walk *w, enum json_token token, enum mask_strategy strategy)
{
	struct json_reader *r = &w->reader;
	size_t start = token == JSON_STRING ? r->start - 1 : r->start;
	int error;

	if (!json_skip(r, token))
		return -EBADMSG;
	error = buffer_append(w->out, r->text.data + w->copied, start - w->copied);
	if (error == 0)
		error = replace(w->m, strategy, token,
			slice_of(r->text.data + start, r->at - start), w->out);
	w->copied = r->at;
	w->replaced = true;
	return error;
}

/* A value: the whole, an element, or the one of the name that was read before. */
static int walk_value(struct path_walk *w, enum json_token token, bool in_array, struct slice name)
{
	struct json_reader *r = &w->reader;
	bool opens = token == JSON_OBJECT || token == JSON_ARRAY;
	unsigned depth = r->depth - opens; /* of what it stands in */
	enum mask_strategy strategy = MASK_NONE;

	if (depth == 0)
		begin_value(w->paths);
	else
		strategy = step_into(w->paths, depth, in_array, name);
	if (strategy != MASK_NONE && token != JSON_NULL)
		return mask_value(w, token, strategy);
	if (!opens)
		return 0;
	w->paths->places[r->depth] = 0;
	return leads_on(w->paths, depth) || json_skip(r, token) ? 0 : -EBADMSG;
}

static int walk_next(struct path_walk *w, enum json_token token)
{
	struct json_reader *r = &w->reader;
	struct slice name = SLICE_EMPTY;
	bool in_array;
	int error;

	if (token == JSON_CLOSE)
		return 0;
	if (token != JSON_NAME) {
		unsigned depth = r->depth - (token == JSON_OBJECT || token == JSON_ARRAY);

		in_array = depth && !r->objects[depth - 1];
		return walk_value(w, token, in_array, name);
	}
	error = json_meaning(
		slice_of(r->text.data + r->start, r->end - r->start), &w->paths->name, &name);
	if (error < 0)
		return error;
	token = json_next(r);
	return token == JSON_BAD ? -EBADMSG : walk_value(w, token, false, name);
}

int json_paths_mask(
	struct json_paths *p, const struct masker *m, struct slice json, struct buffer *out)
{
	struct path_walk w = {.paths = p, .m = m, .out = out};
	enum json_token token;
	int error = 0;

	json_reader_init(&w.reader, json);
	while (error == 0 && (token = json_next(&w.reader)) != JSON_END)
		error = token == JSON_BAD ? -EBADMSG : walk_next(&w, token);
	if (error < 0)
		return error;
	if (!w.replaced)
		return MASK_UNCHANGED;
	error = buffer_append_slice(out, slice_from(json, w.copied));
	return error < 0 ? error : MASK_REPLACED;
}
