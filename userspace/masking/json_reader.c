/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_reader.h"

#include "base/text.h"
#include "masking/json_bytes.h"
#include "masking/json_written.h"

enum expects {
	EXPECTS_ANY, /* a value, or at depth 0 the end */
	EXPECTS_FIRST, /* a value or the end of the array; a name or the end of the object */
	EXPECTS_NEXT, /* behind a value: a comma or the end of what is open */
	EXPECTS_VALUE, /* behind a name or a comma */
};

void json_reader_init(struct json_reader *r, struct slice text)
{
	memset(r, 0, sizeof(*r));
	r->text = text;
	r->at = json_begin(text);
}

static inline void skip_blanks(struct json_reader *r)
{
	r->at = json_skip_blanks(r->text, r->at);
}

static inline uint8_t peek(const struct json_reader *r)
{
	return r->at < r->text.length ? r->text.data[r->at] : 0;
}

/* --- strings --- */

/* Bytes of the escape at `at`, and the character that it means; 0: there is no such escape. */
static size_t read_escape(struct slice s, size_t at, uint32_t *ret)
{
	size_t n = json_written_escape(s, at, ret);

	return n && !json_is_half(*ret) ? n : 0;
}

/* Bytes of the character from 0x80 on at `at`; 0: none may stand there. */
static inline size_t wide_character_at(struct slice s, size_t at)
{
	const uint8_t *c = s.data + at;

	/* Most of them are of two bytes, or of three behind a lead that asks for no more. */
	if (s.length - at >= 3 && (c[1] & 0xc0) == 0x80) {
		if (c[0] >= 0xc2 && c[0] <= 0xdf)
			return 2;
		if (c[0] >= 0xe1 && c[0] <= 0xec && (c[2] & 0xc0) == 0x80)
			return 3;
	}
	return text_utf8_sequence(slice_from(s, at));
}

/* The same of all such characters in a row. */
static inline size_t wide_run(struct slice s, size_t at)
{
	size_t n = 0, more;

	do {
		more = wide_character_at(s, at + n);
		n += more;
	} while (more && at + n < s.length && s.data[at + n] >= 0x80);
	return more ? n : 0;
}

/* Bytes of what stands at `at` in a string and is neither plain nor a quote; 0: it may not. */
static inline size_t odd_at(struct json_reader *r, size_t at)
{
	uint8_t c = r->text.data[at];
	uint32_t meant;

	if (c != '\\')
		return c < 0x20 ? 0 : wide_run(r->text, at);
	r->escaped = true;
	return read_escape(r->text, at, &meant);
}

/* Its first quote is at r->at. */
static inline bool read_string(struct json_reader *r)
{
	struct slice s = r->text;
	size_t at = r->at + 1, n;

	r->start = at;
	r->escaped = false;
	for (;;) {
		at += json_plain_run(s, at);
		if (at == s.length)
			return false;
		if (s.data[at] == '"')
			break;
		n = odd_at(r, at);
		if (n == 0)
			return false;
		at += n;
	}
	r->end = at;
	r->at = at + 1;
	return true;
}

int json_meaning(struct slice inside, struct buffer *room, struct slice *ret)
{
	int r = 0;

	*ret = inside;
	if (json_written_plain(inside, 0, SIZE_MAX) == inside.length)
		return 0;
	r = json_written_decode(inside, room);
	*ret = buffer_slice(room);
	return r;
}

/* --- other values --- */

static inline uint8_t byte_at(struct slice s, size_t at)
{
	return at < s.length ? s.data[at] : 0;
}

static inline bool read_number(struct json_reader *r)
{
	struct slice s = r->text;
	size_t begin = r->at + (s.data[r->at] == '-'), at = json_digits_end(s, begin);

	/* No zero in front. */
	if (at == begin || (at > begin + 1 && s.data[begin] == '0'))
		return false;
	if (byte_at(s, at) == '.') {
		begin = at + 1;
		at = json_digits_end(s, begin);
	}
	if (at != begin && (byte_at(s, at) | 0x20) == 'e') {
		begin = at + 1 + (byte_at(s, at + 1) == '+' || byte_at(s, at + 1) == '-');
		at = json_digits_end(s, begin);
	}
	r->start = r->at;
	r->end = r->at = at;
	return at != begin;
}

static inline enum json_token read_word(
	struct json_reader *r, const char *word, size_t length, enum json_token token)
{
	if (r->text.length - r->at < length || memcmp(r->text.data + r->at, word, length) != 0)
		return JSON_BAD;
	r->start = r->at;
	r->end = r->at += length;
	return token;
}

static inline enum json_token open(struct json_reader *r, bool object)
{
	if (r->depth == JSON_DEPTH_MOST)
		return JSON_BAD;
	r->objects[r->depth++] = object;
	r->start = r->at++;
	r->end = r->at;
	r->expects = EXPECTS_FIRST;
	return object ? JSON_OBJECT : JSON_ARRAY;
}

static inline enum json_token close_one(struct json_reader *r)
{
	r->depth--;
	r->start = r->at++;
	r->end = r->at;
	r->expects = r->depth ? EXPECTS_NEXT : EXPECTS_ANY;
	return JSON_CLOSE;
}

static inline enum json_token read_value(struct json_reader *r)
{
	uint8_t c = peek(r);

	if (c == '{' || c == '[')
		return open(r, c == '{');
	r->expects = r->depth ? EXPECTS_NEXT : EXPECTS_ANY;
	switch (c) {
	case '"':
		return read_string(r) ? JSON_STRING : JSON_BAD;
	case '-':
	case '0' ... '9':
		return read_number(r) ? JSON_NUMBER : JSON_BAD;
	case 't':
		return read_word(r, "true", 4, JSON_TRUE);
	case 'f':
		return read_word(r, "false", 5, JSON_FALSE);
	case 'n':
		return read_word(r, "null", 4, JSON_NULL);
	default:
		return JSON_BAD;
	}
}

static inline enum json_token read_name(struct json_reader *r)
{
	size_t start, end;

	if (peek(r) != '"' || !read_string(r))
		return JSON_BAD;
	start = r->start;
	end = r->end;
	skip_blanks(r);
	if (peek(r) != ':')
		return JSON_BAD;
	r->at++;
	r->start = start;
	r->end = end;
	r->expects = EXPECTS_VALUE;
	return JSON_NAME;
}

enum json_token json_next(struct json_reader *r)
{
	bool in_object = r->depth && r->objects[r->depth - 1];
	uint8_t expects = r->expects;

	skip_blanks(r);
	if (r->at == r->text.length)
		return r->depth ? JSON_BAD : JSON_END;
	if (expects == EXPECTS_NEXT && peek(r) == ',') {
		r->at++;
		skip_blanks(r);
	} else if (expects == EXPECTS_NEXT || expects == EXPECTS_FIRST) {
		if (peek(r) == (in_object ? '}' : ']'))
			return close_one(r);
		if (expects == EXPECTS_NEXT)
			return JSON_BAD;
	}
	return in_object && expects != EXPECTS_VALUE ? read_name(r) : read_value(r);
}

bool json_skip(struct json_reader *r, enum json_token first)
{
	unsigned outside = r->depth - 1;

	if (first != JSON_OBJECT && first != JSON_ARRAY)
		return first != JSON_BAD && first != JSON_END;
	while (r->depth > outside) {
		enum json_token token = json_next(r);

		if (token == JSON_BAD || token == JSON_END)
			return false;
	}
	return true;
}
