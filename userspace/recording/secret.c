/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/secret.h"

#include "base/memory.h"
#include "base/text.h"

/* Words that name what comes next a password. A space stands for any run of spaces. Longer ones
 * first where one begins with another. */
static const char *const secret_words[] = {
	"password",
	"passwd",
	"passphrase",
	"passcode",
	"pwd",
	"identified by",
	"secret_key",
};

/* The letters that they begin with. */
static const bool secret_first[256] = {
	['p'] = true, ['P'] = true, ['i'] = true, ['I'] = true, ['s'] = true, ['S'] = true};

/* A longer comment is not looked over: a text full of unclosed ones would cost its length squared.
 */
#define COMMENT_MOST 1024

struct secret_scan {
	struct slice text;
	struct buffer *out;
	size_t copied; /* bytes of the text that `out` has, in place of or as they are */
	struct secret_found found;
	int error;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '_' || c >= 0x80;
}

static size_t word_end(struct slice text, size_t at)
{
	while (at < text.length && is_word(text.data[at]))
		at++;
	return at;
}

static bool has_string(struct slice text, size_t at, const char *string)
{
	return slice_starts_with(slice_from(text, at), slice_from_string(string));
}

/* The position behind spaces and SQL comments. */
static size_t skip_blank(struct slice text, size_t at)
{
	while (at < text.length) {
		size_t most = text.length - at < COMMENT_MOST ? text.length - at : COMMENT_MOST;
		const uint8_t *end = NULL;

		if (is_space(text.data[at])) {
			at++;
			continue;
		}
		if (has_string(text, at, "--"))
			end = memchr(text.data + at, '\n', most);
		else if (has_string(text, at, "/*"))
			end = memmem(text.data + at + 2, most - 2, "*/", 2);
		if (!end)
			break;
		at = (size_t)(end - text.data) + (*end == '\n' ? 1 : 2);
	}
	return at;
}

/* The position behind `word` if it stands at `at`, else 0. */
static size_t match_word(struct slice text, size_t at, const char *word)
{
	for (; *word; word++) {
		if (*word == ' ') {
			size_t after = skip_blank(text, at);

			if (after == at)
				return 0;
			at = after;
		} else if (at < text.length && text_lower(text.data[at]) == (uint8_t)*word) {
			at++;
		} else {
			return 0;
		}
	}
	return at;
}

/* The position behind one of the words and what belongs to the same name (password_hash), else 0.
 */
static size_t match_secret_word(struct slice text, size_t at)
{
	if (!secret_first[text.data[at]] || at + 1 == text.length)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(secret_words); i++) {
		size_t after;

		if (text_lower(text.data[at + 1]) != (uint8_t)secret_words[i][1])
			continue;
		after = match_word(text, at, secret_words[i]);
		if (after == 0)
			continue;
		return word_end(text, after);
	}
	return 0;
}

/* The position behind what may stand between the word and its value: the end of a quoted name,
 * blanks, operators, "(", and words such as BY, TO, AS, LIKE. *ret_assigned: a value must follow,
 * quoted or not. */
static size_t skip_separators(struct slice text, size_t at, bool *ret_assigned)
{
	static const char *const joins[] = {"by", "to", "as", "is", "like", "ilike"};

	if (at < text.length &&
		(text.data[at] == '"' || text.data[at] == '\'' || text.data[at] == '`' ||
			text.data[at] == ']'))
		at++;
	for (;;) {
		size_t before = at;

		at = skip_blank(text, at);
		if (at < text.length && strchr("=:(><!~", text.data[at]) && text.data[at]) {
			*ret_assigned = true;
			at++;
		}
		for (size_t i = 0; i < ARRAY_SIZE(joins); i++) {
			size_t after = match_word(text, at, joins[i]);

			if (after && at > 0 && !is_word(text.data[at - 1]) &&
				(after == text.length || !is_word(text.data[after])))
				at = after;
		}
		if (at == before)
			return at;
	}
}

/* The position behind the quoted text whose opening quote stands in front of `at`. A doubled quote
 * and one behind a backslash don't end it: where the server reads that otherwise, more is hidden.
 */
static size_t quoted_end(struct slice text, size_t at, uint8_t quote)
{
	while (at < text.length) {
		if (text.data[at] == '\\') {
			at += 2;
		} else if (text.data[at] != quote) {
			at++;
		} else if (at + 1 < text.length && text.data[at + 1] == quote) {
			at += 2;
		} else {
			return at;
		}
	}
	return text.length;
}

/* $tag$ at `at`: its length, else 0. */
static size_t dollar_tag(struct slice text, size_t at)
{
	size_t end = word_end(text, at + 1);

	if (end >= text.length || text.data[end] != '$')
		return 0;
	if (end > at + 1 && text.data[at + 1] >= '0' && text.data[at + 1] <= '9')
		return 0;
	return end + 1 - at;
}

/* Where the closing mark stands, or the end of the text. */
static size_t mark_end(struct slice text, size_t at, struct slice mark)
{
	while (at + mark.length <= text.length) {
		const uint8_t *end = memchr(text.data + at, mark.data[0], text.length - at);

		if (!end)
			break;
		at = (size_t)(end - text.data);
		if (slice_starts_with(slice_from(text, at), mark))
			return at;
		at++;
	}
	return text.length;
}

static size_t bare_end(struct slice text, size_t at)
{
	while (at < text.length && !is_space(text.data[at]) && !strchr("'\"`,;)&}", text.data[at]))
		at++;
	return at;
}

static void hide(struct secret_scan *s, size_t from, size_t to)
{
	int r;

	if (to > s->text.length)
		to = s->text.length;
	if (from >= to || s->error)
		return;
	r = buffer_append_slice(s->out, slice_of(s->text.data + s->copied, from - s->copied));
	if (r == 0)
		r = buffer_append_string(s->out, SECRET_MARK);
	s->error = r;
	s->copied = to;
	s->found.hidden = true;
}

/* A placeholder at `at`: $n or a question mark. False where there is none. */
static bool note_parameter(struct secret_scan *s, size_t at)
{
	struct slice rest = slice_from(s->text, at);
	uint64_t number;
	size_t n = 1;

	if (rest.length && rest.data[0] == '?') {
		s->found.parameters = SECRET_ALL_PARAMETERS;
		return true;
	}
	while (n < rest.length && rest.data[n] >= '0' && rest.data[n] <= '9')
		n++;
	if (rest.length < 2 || rest.data[0] != '$' || n == 1)
		return false;
	if (text_to_number(slice_of(rest.data + 1, n - 1), 63, &number) < 0 || number == 0)
		s->found.parameters = SECRET_ALL_PARAMETERS;
	else
		s->found.parameters |= 1ULL << (number - 1);
	return true;
}

/* Hides what the quote at `at` begins. A doubled quote with a word behind it is not the empty text
 * but a quotation inside of one: 'password=''secret'''. */
static size_t hide_quoted(struct secret_scan *s, size_t at)
{
	struct slice text = s->text;
	uint8_t quote = text.data[at];
	size_t end;

	if (at + 2 < text.length && text.data[at + 1] == quote && !is_space(text.data[at + 2]) &&
		!strchr(",;)'\"", text.data[at + 2])) {
		end = mark_end(text, at + 2, slice_of(text.data + at, 2));
		hide(s, at + 2, end);
		return end + 2;
	}
	end = quoted_end(text, at + 1, quote);
	hide(s, at + 1, end);
	return end + 1;
}

/* crypt('secret', …): the position behind the names and opening brackets. */
static size_t skip_functions(struct slice text, size_t at)
{
	size_t end = word_end(text, at);

	while (end > at && end < text.length && text.data[end] == '(') {
		at = skip_blank(text, end + 1);
		end = word_end(text, at);
	}
	return at;
}

/* Hides the value at `at`; returns where to go on. */
static size_t hide_value(struct secret_scan *s, size_t at, bool assigned)
{
	struct slice text = s->text;
	size_t tag, end;

	if (assigned)
		at = skip_functions(text, at);
	if (note_parameter(s, at))
		return at + 1;
	/* E'…', N'…', B'…', X'…' */
	if (at + 1 < text.length && text.data[at + 1] == '\'' &&
		strchr("eEnNbBxX", text.data[at]) && text.data[at])
		at++;
	if (at < text.length && (text.data[at] == '\'' || text.data[at] == '"'))
		return hide_quoted(s, at);
	if (at < text.length && text.data[at] == '$' && (tag = dollar_tag(text, at))) {
		end = mark_end(text, at + tag, slice_of(text.data + at, tag));
		hide(s, at + tag, end);
		return end + tag;
	}
	if (!assigned)
		return at;
	end = bare_end(text, at);
	hide(s, at, end);
	return end > at ? end : at;
}

/* "://user:password@host": hides from the colon to the last "@" in front of the path. */
static size_t hide_url(struct secret_scan *s, size_t at)
{
	struct slice text = s->text;
	size_t colon = 0, sign = 0;

	for (at += 3;
		at < text.length && !is_space(text.data[at]) && !strchr("/'\"`?#<>", text.data[at]);
		at++) {
		if (text.data[at] == ':' && !colon)
			colon = at;
		else if (text.data[at] == '@')
			sign = at;
	}
	if (colon && sign > colon)
		hide(s, colon + 1, sign);
	return at;
}

int secret_hide(struct slice text, struct buffer *ret_text, struct secret_found *ret)
{
	struct secret_scan s = {.text = text, .out = ret_text};
	size_t at = 0;

	while (at < text.length && s.error == 0) {
		size_t after = match_secret_word(text, at);
		bool assigned = false;

		if (after) {
			at = skip_separators(text, after, &assigned);
			at = hide_value(&s, at, assigned);
		} else if (text.data[at] == ':' && has_string(text, at, "://")) {
			at = hide_url(&s, at);
		} else {
			at++;
		}
	}
	if (s.error == 0 && s.found.hidden)
		s.error = buffer_append_slice(ret_text, slice_from(text, s.copied));
	if (s.error == 0)
		*ret = s.found;
	return s.error;
}
