/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>

#include "masking/json_path.h"
#include "masking/json_reader.h"
#include "tests/harness/json_plain.h"
#include "tests/harness/json_plain_text.h"

struct plain {
	const struct mask_rules *rules;
	const struct masker *m;
	struct slice s;
	size_t at, copied, count;
	unsigned depth;
	struct buffer *out;
};

/* What is left of each path; without data: it does not lead here. */
struct rests {
	struct slice of[JSON_PLAIN_PATHS];
};

static bool value(struct plain *p, const struct rests *rests, bool hidden);

static bool string(struct plain *p, struct buffer *meaning)
{
	if (plain_byte_at(p->s, p->at++) != '"')
		return false;
	while (plain_byte_at(p->s, p->at) != '"') {
		size_t n = p->at < p->s.length ? plain_character(p->s, p->at, true, meaning) : 0;

		if (n == 0)
			return false;
		p->at += n;
	}
	p->at++;
	return true;
}

static bool digits(struct plain *p)
{
	size_t before = p->at;

	while (plain_byte_at(p->s, p->at) >= '0' && plain_byte_at(p->s, p->at) <= '9')
		p->at++;
	return p->at > before;
}

static bool number(struct plain *p)
{
	p->at += plain_byte_at(p->s, p->at) == '-';
	if (plain_byte_at(p->s, p->at) == '0')
		p->at++;
	else if (!digits(p))
		return false;
	if (plain_byte_at(p->s, p->at) >= '0' && plain_byte_at(p->s, p->at) <= '9')
		return false;
	if (plain_byte_at(p->s, p->at) == '.') {
		p->at++;
		if (!digits(p))
			return false;
	}
	if (!plain_is_one_of(plain_byte_at(p->s, p->at), "eE"))
		return true;
	p->at++;
	p->at += plain_is_one_of(plain_byte_at(p->s, p->at), "+-");
	return digits(p);
}

static bool word(struct plain *p, const char *text)
{
	if (!slice_starts_with(slice_from(p->s, p->at), slice_from_string(text)))
		return false;
	p->at += strlen(text);
	return true;
}

static struct rests step(
	const struct rests *rests, bool in_array, struct slice name, uint64_t index)
{
	struct rests next = {0};

	for (size_t i = 0; i < JSON_PLAIN_PATHS; i++) {
		struct slice rest = rests->of[i];
		struct json_step s;

		if (!rest.length || !json_path_step(&rest, &s) || s.in_array != in_array)
			continue;
		if (s.any || (in_array ? s.index == index : slice_equal(s.name, name)))
			next.of[i] = rest;
	}
	return next;
}

/* What stands in an object or array. */
static bool items(struct plain *p, bool in_array, const struct rests *rests, bool hidden)
{
	const int end = in_array ? ']' : '}';
	struct buffer name;
	bool good = true;

	p->at = plain_blanks(p->s, p->at + 1);
	if (plain_byte_at(p->s, p->at) == end) {
		p->at++;
		return true;
	}
	buffer_init(&name, SIZE_MAX / 2);
	for (uint64_t index = 0; good; index++) {
		struct rests next;

		buffer_clear(&name);
		if (!in_array) {
			good = string(p, &name);
			p->at = plain_blanks(p->s, p->at);
			good = good && plain_byte_at(p->s, p->at++) == ':';
			p->at = plain_blanks(p->s, p->at);
		}
		next = step(rests, in_array, buffer_slice(&name), index);
		good = good && value(p, &next, hidden);
		p->at = plain_blanks(p->s, p->at);
		if (plain_byte_at(p->s, p->at) == end)
			break;
		good = good && plain_byte_at(p->s, p->at) == ',';
		p->at = plain_blanks(p->s, p->at + 1);
	}
	p->at++;
	buffer_done(&name);
	return good;
}

static bool read_value(
	struct plain *p, const struct rests *rests, bool hidden, struct buffer *meaning)
{
	int c = plain_byte_at(p->s, p->at);
	bool good;

	if (c == '{' || c == '[') {
		if (p->depth++ == JSON_DEPTH_MOST)
			return false;
		good = items(p, c == '[', rests, hidden);
		p->depth--;
		return good;
	}
	if (c == '"')
		return string(p, meaning);
	return c == '-' || (c >= '0' && c <= '9')
		? number(p)
		: word(p, "true") || word(p, "false") || word(p, "null");
}

static void hide(struct plain *p, size_t start, enum mask_strategy strategy, struct slice meaning)
{
	int c = p->s.data[start];

	plain_add(p->out, p->s.data + p->copied, start - p->copied);
	p->copied = p->at;
	p->count++;
	if (strategy == MASK_NULL) {
		plain_add(p->out, "null", 4);
		return;
	}
	if (strategy == MASK_PARTIAL && (c == '{' || c == '['))
		strategy = MASK_REDACT;
	plain_add(p->out, "\"", 1);
	plain_add_mask(p->m, strategy,
		c == '"' ? meaning : slice_of(p->s.data + start, p->at - start), p->out);
	plain_add(p->out, "\"", 1);
}

/* What stands in one that is hidden is only read. */
static bool value(struct plain *p, const struct rests *rests, bool hidden)
{
	enum mask_strategy strategy = MASK_NONE;
	size_t start = p->at;
	struct buffer meaning;
	bool good;

	for (size_t i = 0; i < p->rules->json_count; i++) {
		if (rests->of[i].data && !rests->of[i].length &&
			p->rules->json[i].strategy > strategy)
			strategy = p->rules->json[i].strategy;
	}
	if (plain_byte_at(p->s, start) == 'n')
		strategy = MASK_NONE;
	buffer_init(&meaning, SIZE_MAX / 2);
	good = read_value(p, rests, hidden || strategy != MASK_NONE, &meaning);
	if (good && !hidden && strategy != MASK_NONE)
		hide(p, start, strategy, buffer_slice(&meaning));
	buffer_done(&meaning);
	return good;
}

int json_plain_paths(const struct mask_rules *rules, const struct masker *m, struct slice json,
	struct buffer *out, bool *ret_replaced)
{
	struct plain p = {.rules = rules, .m = m, .s = json, .out = out};
	struct rests rests = {0};

	assert(rules->json_count <= JSON_PLAIN_PATHS);
	for (size_t i = 0; i < rules->json_count; i++)
		rests.of[i] = slice_from(rules->json[i].path, 1);
	for (p.at = plain_blanks(json, plain_byte_order_mark(json)); p.at < json.length;
		p.at = plain_blanks(json, p.at)) {
		if (!value(&p, &rests, false))
			return -EBADMSG;
	}
	plain_add(out, json.data + p.copied, json.length - p.copied);
	*ret_replaced = p.count != 0;
	return 0;
}
