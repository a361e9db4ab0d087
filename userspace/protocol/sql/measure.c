/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/measure.h"

#include <pg_query.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/text.h"

/* About a second of the lexer's time. */
#define OPERATOR_WORK_MOST 200000000u

enum character {
	CHARACTER_OTHER,
	CHARACTER_WORD = 1 << 0, /* of identifiers, keywords and numbers */
	CHARACTER_SPACE = 1 << 1,
	CHARACTER_OPERATOR = 1 << 2, /* {op_chars} of scan.l */
};

static uint8_t characters[256];

static void characters_init(void)
{
	for (unsigned c = 0; c < 256; c++) {
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			c == '_' || c >= 0x80)
			characters[c] = CHARACTER_WORD;
	}
	for (const char *p = " \t\n\r\f\v"; *p; p++)
		characters[(uint8_t)*p] = CHARACTER_SPACE;
	for (const char *p = "~!@#^&|`?+-*/%<>="; *p; p++)
		characters[(uint8_t)*p] = CHARACTER_OPERATOR;
}

static void characters_ready(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, characters_init);
}

/* A token begins where a run of word characters begins, at "$", or at any other character that is
 * no space: inside a run scan.l goes on or fails ("trailing junk"). So this is never too low. */
size_t measure_tokens(struct slice text)
{
	size_t count = 0;
	uint8_t before = CHARACTER_SPACE;

	characters_ready();
	for (size_t i = 0; i < text.length; i++) {
		uint8_t now = characters[text.data[i]];

		if (now != CHARACTER_SPACE && !(now == CHARACTER_WORD && before == CHARACTER_WORD))
			count++;
		/* A parameter's digits belong to its "$". */
		before = text.data[i] == '$' ? CHARACTER_WORD : now;
	}
	return count;
}

/* The same without what stands between quotes, roughly: for guessing, not for deciding. */
static size_t guess_tokens(struct slice text)
{
	size_t count = 0;

	while (text.length) {
		const uint8_t *quote = memchr(text.data, '\'', text.length);
		size_t plain = quote ? (size_t)(quote - text.data) : text.length;

		count += measure_tokens(slice_head(text, plain)) + 1;
		text = slice_from(text, plain + 1);
		quote = text.length ? memchr(text.data, '\'', text.length) : NULL;
		text = slice_from(text, quote ? (size_t)(quote - text.data) + 1 : text.length);
	}
	return count;
}

static uint64_t operator_run_work(struct slice run)
{
	bool comment = run.length > 1 && run.data[0] == '-' && run.data[1] == '-';
	uint64_t starts = 1;

	for (size_t i = 0; i < run.length; i++) {
		if (run.data[i] == '+' || run.data[i] == '-')
			starts += !comment;
		else if (run.data[i] == '/' && i + 1 < run.length && run.data[i + 1] == '*')
			starts++;
	}
	return starts * run.length;
}

uint64_t measure_operators(struct slice text)
{
	uint64_t work = 0;

	characters_ready();
	for (size_t i = 0; i < text.length; i++) {
		size_t start = i;

		while (i < text.length && characters[text.data[i]] == CHARACTER_OPERATOR)
			i++;
		if (i > start + 1)
			work += operator_run_work(slice_head(slice_from(text, start), i - start));
	}
	return work;
}

/* A protobuf varint; false at the end of the message. */
static bool read_varint(struct slice *message, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64 && message->length; shift += 7) {
		uint8_t byte = message->data[0];

		*message = slice_from(*message, 1);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

#define PROTOBUF_LENGTH_DELIMITED 2
#define SCAN_TOKENS (2 << 3 | PROTOBUF_LENGTH_DELIMITED) /* ScanResult.tokens */
#define TOKEN_START (1 << 3) /* ScanToken.start */
#define TOKEN_END (2 << 3)

/* The next token of libpg_query's ScanResult (pg_query.proto); false at its end. */
static bool next_token(struct slice *message, struct slice text, struct slice *ret)
{
	uint64_t tag, length, start = 0, end = 0, value;
	struct slice fields;

	while (read_varint(message, &tag) && read_varint(message, &length)) {
		if (tag != SCAN_TOKENS)
			continue;
		fields = slice_head(*message, length);
		*message = slice_from(*message, length);
		while (read_varint(&fields, &tag) && read_varint(&fields, &value)) {
			if (tag == TOKEN_START)
				start = value;
			else if (tag == TOKEN_END)
				end = value;
		}
		*ret = slice_head(slice_from(text, start), end > start ? end - start : 0);
		return true;
	}
	return false;
}

/* Calls `each` for every token, as the lexer itself finds them: it does not recurse, but is slow
 * and takes memory. Stops where it returns false. What can't be lexed can't be parsed, and says why
 * there. */
static void scan(struct slice text, bool (*each)(void *context, struct slice token), void *context)
{
	PgQueryScanResult r = pg_query_scan((const char *)text.data);
	struct slice message = r.error ? SLICE_EMPTY : slice_of(r.pbuf.data, r.pbuf.len);
	struct slice token;

	while (next_token(&message, text, &token) && each(context, token))
		;
	pg_query_free_scan_result(r);
}

static bool count_token(void *context, struct slice token)
{
	size_t *count = context;

	(void)token;
	return ++*count <= LIMIT_STATEMENT_TOKENS;
}

/* SET (a, b) = source: gram.y gives the source to each column, and libpg_query writes it out as
 * often. Sources may be in sources, so a short text can make a tree of any size. */
struct level {
	uint64_t copies; /* of what stands here, without the source that is begun */
	uint64_t within; /* the same with it */
	uint64_t columns; /* items of a list in brackets */
	bool targets; /* the bracket may open a list of columns to set */
};

struct copies {
	struct level *levels;
	size_t depth, room;
	uint64_t tokens; /* each as often as it is copied */
	uint64_t closed; /* columns of a list that has just been closed; 0: none */
	bool may_target; /* the last token was SET or "," */
	bool failed;
};

static void copies_open(struct copies *c, bool targets)
{
	uint64_t within = c->depth ? c->levels[c->depth - 1].within : 1;

	if (c->depth == c->room) {
		size_t room = c->room ? c->room * 2 : 64;
		struct level *grown = realloc(c->levels, room * sizeof(*grown));

		if (!grown) {
			c->failed = true;
			return;
		}
		c->levels = grown;
		c->room = room;
	}
	c->levels[c->depth++] = (struct level){within, within, 1, targets};
}

static void copies_close(struct copies *c)
{
	if (c->depth < 2)
		return;
	c->depth--;
	if (c->levels[c->depth].targets)
		c->closed = c->levels[c->depth].columns;
}

static void copies_separate(struct copies *c)
{
	struct level *level = &c->levels[c->depth - 1];

	level->within = level->copies;
	level->columns++;
}

static bool is_comment(struct slice token)
{
	return token.length > 1 &&
		(memcmp(token.data, "--", 2) == 0 || memcmp(token.data, "/*", 2) == 0);
}

static bool count_copies(void *context, struct slice token)
{
	struct copies *c = context;
	struct level *level = &c->levels[c->depth - 1];
	uint8_t sign = token.length == 1 ? token.data[0] : 0;
	uint64_t closed = c->closed;
	bool may_target = c->may_target;

	if (is_comment(token))
		return true;
	c->closed = 0;
	c->may_target = sign == ',' || text_equal_ignore_case(token, slice_from_string("set"));
	c->tokens += level->within;
	if (sign == '(')
		copies_open(c, may_target);
	else if (sign == ')')
		copies_close(c);
	else if (sign == ',' || sign == ';')
		copies_separate(c);
	else if (sign == '=' && closed && level->within <= LIMIT_STATEMENT_TOKENS)
		level->within *= closed;
	return !c->failed && c->tokens <= LIMIT_STATEMENT_TOKENS;
}

/* Whether ")" stands in front of "=", or of what may be a comment. */
static bool may_have_copies(struct slice text)
{
	while (text.length) {
		const uint8_t *closed = memchr(text.data, ')', text.length);

		text = slice_from(text, closed ? (size_t)(closed - text.data) + 1 : text.length);
		while (text.length && characters[text.data[0]] == CHARACTER_SPACE)
			text = slice_from(text, 1);
		if (text.length && strchr("=-/", text.data[0]))
			return true;
	}
	return false;
}

uint64_t measure_copies(struct slice text)
{
	struct copies c = {0};

	characters_ready();
	if (!may_have_copies(text) || !strcasestr((const char *)text.data, "set"))
		return 0;
	copies_open(&c, false);
	if (!c.failed)
		scan(text, count_copies, &c);
	free(c.levels);
	return c.failed ? UINT64_MAX : c.tokens;
}

const char *measure_text(struct slice text)
{
	size_t count = 0;

	if (measure_operators(text) > OPERATOR_WORK_MOST)
		return "too many operators in a row";
	if (measure_tokens(text) > LIMIT_STATEMENT_TOKENS) {
		if (guess_tokens(text) <= LIMIT_STATEMENT_TOKENS)
			scan(text, count_token, &count);
		else
			count = SIZE_MAX;
	}
	if (count > LIMIT_STATEMENT_TOKENS)
		return "too many tokens";
	if (measure_copies(text) > LIMIT_STATEMENT_TOKENS)
		return "columns that are set together too often";
	return NULL;
}
