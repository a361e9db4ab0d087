/* SPDX-License-Identifier: Apache-2.0
 *
 * value_guess: values whose type nobody told, as in COPY of a query. A finding is replaced only
 * where the value's form says what is legal there; a number or a form of its own becomes NULL.
 * And values of types that are not built in, whose form may be that of any other.
 */
#include "base/memory.h"
#include "base/text.h"
#include "masking/characters.h"
#include "protocol/postgres/value_kind.h"

#define GUESSED_DEPTH_MOST 5

/* As int8, numeric and float8 write themselves. */
static bool is_number(struct slice text)
{
	size_t at = text.data[0] == '-', digits;

	digits = character_run(text, at, CHARACTER_DIGIT, SIZE_MAX);
	at += digits;
	if (at < text.length && text.data[at] == '.')
		at += 1 + character_run(text, at + 1, CHARACTER_DIGIT, SIZE_MAX);
	if (at + 1 < text.length && text.data[at] == 'e')
		at += 2 + character_run(text, at + 2, CHARACTER_DIGIT, SIZE_MAX);
	return digits && at >= text.length;
}

/* One address, with or without a prefix length: inet and cidr. */
static bool is_address(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (!character_is(text.data[i], CHARACTER_HEX) && !memchr(".:/", text.data[i], 3))
			return false;
	}
	return true;
}

static size_t skip_blanks(struct slice text, size_t at)
{
	while (at < text.length && memchr(" \n\r\t", text.data[at], 4))
		at++;
	return at;
}

/* Whether a name and its colon stand at `at`: {"a"} is an array, {"a":1} is JSON. */
static bool is_member(struct slice text, size_t at)
{
	if (text.data[at] != '"')
		return false;
	for (at++; at < text.length && text.data[at] != '"'; at++)
		at += text.data[at] == '\\';
	at = skip_blanks(text, at + 1);
	return at < text.length && text.data[at] == ':';
}

/* [1,2] may be a range as well, which can't hold a mask. */
static bool is_json(struct slice text)
{
	size_t next = skip_blanks(text, 1);

	if (next >= text.length)
		return false;
	if (text.data[0] == '{')
		return is_member(text, next);
	if (text.data[0] == '"')
		return text.data[text.length - 1] == '"';
	return text.data[0] == '[' && memchr("{[\"-0123456789tfn", text.data[next], 17) &&
		memchr(text.data, '"', text.length) && text.data[text.length - 1] == ']';
}

static bool is_hex_bytea(struct slice text)
{
	return text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x' &&
		text.length % 2 == 0 &&
		character_run(text, 2, CHARACTER_HEX, SIZE_MAX) == text.length - 2;
}

/* Whatever would be replaced makes the value NULL. -EBADMSG from `find`: not of that form. */
static int find_only(const struct value_job *job, int (*find)(const struct value_job *))
{
	struct value_job trial = *job;
	struct buffer unused;
	int r;

	buffer_init(&unused, job->out->limit);
	trial.out = &unused;
	r = find(&trial);
	buffer_done(&unused);
	return r == MASK_REPLACED ? MASK_TO_NULL : r;
}

/* An array, a composite, a range, JSON made of numbers: what its parts may be nobody tells. */
static bool is_bracketed(struct slice text)
{
	return memchr("{[(", text.data[0], 3) && memchr("}])", text.data[text.length - 1], 3);
}

static int find_in_text(const struct value_job *job)
{
	struct slice text = job->value->text;

	if (is_hex_bytea(text))
		return value_find_bytea_text(job);
	if (is_json(text))
		return value_find_json(job);
	if (is_bracketed(text))
		return find_only(
			job, text.data[0] == '(' ? value_find_record_text : value_find_array_text);
	return text.data[0] == '<' ? value_find_xml(job) : value_find_text(job);
}

int value_find_guess_text(const struct value_job *job)
{
	struct slice text = job->value->text;

	if (text.length == 0)
		return MASK_UNCHANGED;
	if (is_number(text) || is_address(text))
		return value_find_opaque(job);
	return find_in_text(job);
}

static bool is_text(struct slice value)
{
	for (size_t i = 0; i < value.length; i++) {
		if (!character_is(value.data[i], CHARACTER_PRINTABLE))
			return false;
	}
	return text_is_utf8(value);
}

/* What is no text may be a number or be made of parts; then, whatever it is, findings in its bytes
 * count. Bytes may pass for several forms, so that each level of guessed parts can multiply the
 * work. */
static int find_in_bytes(const struct value_job *job)
{
	static int (*const forms[])(const struct value_job *) = {
		value_find_money_binary, /* int8 too */
		value_find_float8_binary,
		value_find_numeric_binary,
		value_find_array_binary,
		value_find_record_binary,
		value_find_range_binary,
		value_find_multirange_binary,
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms) && job->depth < GUESSED_DEPTH_MOST; i++) {
		int r = find_only(job, forms[i]);

		if (r == MASK_TO_NULL || (r < 0 && r != -EBADMSG))
			return r;
	}
	return value_find_opaque(job);
}

int value_find_guess_binary(const struct value_job *job)
{
	struct slice value = job->value->text;

	if (value.length == 0)
		return MASK_UNCHANGED;
	return is_text(value) ? find_in_text(job) : find_in_bytes(job);
}

int value_find_foreign_text(const struct value_job *job)
{
	return find_only(job, value_find_guess_text);
}

int value_find_foreign_binary(const struct value_job *job)
{
	return find_only(job, value_find_guess_binary);
}
