/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_reader.h"

#include "base/text.h"
#include "masking/json_bytes.h"

enum expects {
	EXPECTS_ANY, /* a value, or at depth 0 the end */
	EXPECTS_FIRST, /* a value or the end of the array; a name or the end of the object */
	EXPECTS_NEXT, /* behind a value: a comma or the end of what is open */
	EXPECTS_VALUE, /* behind a name or a comma */
};

void json_reader_init(struct json_reader *r, struct slice text)
{
	bool marked = text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0;

	memset(r, 0, sizeof(*r));
	r->text = text;
	r->at = marked ? 3 : 0;
}

static inline void skip_blanks(struct json_reader *r)
{
	while (r->at < r->text.length && json_is_blank(r->text.data[r->at]))
		r->at++;
}

static uint8_t peek(const struct json_reader *r)
{
	return r->at < r->text.length ? r->text.data[r->at] : 0;
}

/* --- strings --- */

static int hex4(struct slice s, size_t at)
{
	uint8_t bytes[2];

	if (at > s.length || s.length - at < 4 ||
		text_from_hex(slice_of(s.data + at, 4), bytes, 2) < 0)
		return -1;
	return bytes[0] << 8 | bytes[1];
}

/* Bytes of the escape at `at`, and the character that it means; 0: there is no such escape. */
static size_t read_escape(struct slice s, size_t at, uint32_t *ret)
{
	static const char written[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	int high, low;

	if (s.length - at < 2)
		return 0;
	if (s.data[at + 1] != 'u') {
		found = memchr(written, s.data[at + 1], sizeof(written) - 1);
		*ret = found ? (uint8_t)meant[found - written] : 0;
		return found ? 2 : 0;
	}
	high = hex4(s, at + 2);
	if (high < 0 || (high >= 0xdc00 && high < 0xe000))
		return 0;
	*ret = (uint32_t)high;
	if (high < 0xd800 || high >= 0xe000)
		return 6;
	low = at + 8 <= s.length && memcmp(s.data + at + 6, "\\u", 2) == 0 ? hex4(s, at + 8) : -1;
	if (low < 0xdc00 || low >= 0xe000)
		return 0;
	*ret = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	return 12;
}

/* Bytes of the character at `at`; 0: none may stand there. */
static size_t character_at(struct slice s, size_t at)
{
	uint8_t c = s.data[at];
	uint32_t meant;

	if (c < 0x20)
		return 0;
	if (c == '\\')
		return read_escape(s, at, &meant);
	return c < 0x80 ? 1 : text_utf8_sequence(slice_from(s, at));
}

/* Its first quote has been seen at r->at. */
static bool read_string(struct json_reader *r)
{
	struct slice s = r->text;
	size_t at = r->at + 1;

	r->start = at;
	for (;;) {
		size_t n;

		at += json_plain_run(s, at);
		if (at == s.length || s.data[at] == '"')
			break;
		n = character_at(s, at);
		if (n == 0)
			return false;
		at += n;
	}
	r->end = at;
	r->at = at + 1;
	return at < s.length;
}

static int append_character(struct buffer *b, uint32_t c)
{
	uint8_t bytes[4];
	size_t n = 0;

	if (c < 0x80) {
		bytes[n++] = (uint8_t)c;
	} else if (c < 0x800) {
		bytes[n++] = (uint8_t)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		bytes[n++] = (uint8_t)(0xe0 | c >> 12);
		bytes[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	} else {
		bytes[n++] = (uint8_t)(0xf0 | c >> 18);
		bytes[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		bytes[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		bytes[n++] = (uint8_t)(0x80 | (c & 0x3f));
	return buffer_append(b, bytes, n);
}

int json_meaning(struct slice inside, struct buffer *room, struct slice *ret)
{
	int r = 0;

	*ret = inside;
	if (!inside.length || !memchr(inside.data, '\\', inside.length))
		return 0;
	buffer_clear(room);
	for (size_t at = 0; r == 0 && at < inside.length;) {
		uint32_t c;
		size_t n = 1;

		if (inside.data[at] == '\\') {
			n = read_escape(inside, at, &c);
			r = append_character(room, c);
		} else {
			r = buffer_append_byte(room, inside.data[at]);
		}
		at += n;
	}
	*ret = buffer_slice(room);
	return r;
}

/* --- other values --- */

static size_t digits_at(const struct json_reader *r, size_t at)
{
	size_t n = 0;

	while (at + n < r->text.length && r->text.data[at + n] >= '0' &&
		r->text.data[at + n] <= '9')
		n++;
	return n;
}

static bool has(const struct json_reader *r, size_t at, const char *any)
{
	return at < r->text.length && r->text.data[at] && strchr(any, r->text.data[at]);
}

static bool read_number(struct json_reader *r)
{
	size_t at = r->at + (peek(r) == '-'), n = digits_at(r, at);

	/* No zero in front. */
	if (n == 0 || (n > 1 && r->text.data[at] == '0'))
		return false;
	at += n;
	if (has(r, at, ".")) {
		n = digits_at(r, at + 1);
		at += 1 + n;
	}
	if (n && has(r, at, "eE")) {
		at += 1 + has(r, at + 1, "+-");
		n = digits_at(r, at);
		at += n;
	}
	r->start = r->at;
	r->end = r->at = at;
	return n != 0;
}

static enum json_token read_word(struct json_reader *r)
{
	static const struct {
		const char *word;
		enum json_token token;
	} words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);

		if (r->text.length - r->at < n || memcmp(r->text.data + r->at, words[i].word, n))
			continue;
		r->start = r->at;
		r->end = r->at += n;
		return words[i].token;
	}
	return JSON_BAD;
}

static enum json_token open(struct json_reader *r, bool object)
{
	if (r->depth == JSON_DEPTH_MOST)
		return JSON_BAD;
	r->objects[r->depth++] = object;
	r->start = r->at++;
	r->end = r->at;
	r->expects = EXPECTS_FIRST;
	return object ? JSON_OBJECT : JSON_ARRAY;
}

static enum json_token close_one(struct json_reader *r)
{
	r->depth--;
	r->start = r->at++;
	r->end = r->at;
	r->expects = r->depth ? EXPECTS_NEXT : EXPECTS_ANY;
	return JSON_CLOSE;
}

static enum json_token read_value(struct json_reader *r)
{
	enum json_token token;
	uint8_t c = peek(r);

	if (c == '{' || c == '[')
		return open(r, c == '{');
	if (c == '"')
		token = read_string(r) ? JSON_STRING : JSON_BAD;
	else if (c == '-' || (c >= '0' && c <= '9'))
		token = read_number(r) ? JSON_NUMBER : JSON_BAD;
	else
		token = read_word(r);
	r->expects = r->depth ? EXPECTS_NEXT : EXPECTS_ANY;
	return token;
}

static enum json_token read_name(struct json_reader *r)
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
	bool named = r->expects == EXPECTS_VALUE && in_object;

	skip_blanks(r);
	if (r->at == r->text.length)
		return r->depth ? JSON_BAD : JSON_END;
	if (r->depth && (r->expects == EXPECTS_FIRST || r->expects == EXPECTS_NEXT) &&
		peek(r) == (in_object ? '}' : ']'))
		return close_one(r);
	if (r->expects == EXPECTS_NEXT) {
		if (peek(r) != ',')
			return JSON_BAD;
		r->at++;
		skip_blanks(r);
	}
	return in_object && !named ? read_name(r) : read_value(r);
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
