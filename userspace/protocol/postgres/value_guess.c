/* SPDX-License-Identifier: Apache-2.0
 *
 * value_guess: values whose type nobody told, as in COPY of a query. A finding is replaced only
 * where the value's form says what is legal there; a number or a form of its own becomes NULL.
 */
#include "base/text.h"
#include "masking/characters.h"
#include "protocol/postgres/value_kind.h"

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

static bool is_json(struct slice text)
{
	size_t next = 1;

	while (next < text.length && memchr(" \n\r\t", text.data[next], 4))
		next++;
	if (next >= text.length)
		return false;
	if (text.data[0] == '{')
		return text.data[next] == '"';
	return text.data[0] == '[' && memchr("{[\"-0123456789tfn", text.data[next], 17) &&
		text.data[text.length - 1] == ']';
}

static bool is_hex_bytea(struct slice text)
{
	return text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x' &&
		text.length % 2 == 0 &&
		character_run(text, 2, CHARACTER_HEX, SIZE_MAX) == text.length - 2;
}

static int find_in_text(const struct value_job *job)
{
	struct slice text = job->value->text;
	size_t before = buffer_length(job->out);
	int r = -EINVAL;

	if (is_hex_bytea(text))
		return value_find_bytea_text(job);
	if (is_json(text))
		return value_find_json(job);
	if (text.data[0] == '{' || text.data[0] == '[')
		r = value_find_array_text(job);
	else if (text.data[0] == '(')
		r = value_find_record_text(job);
	else if (text.data[0] == '<')
		return value_find_xml(job);
	if (r != -EINVAL)
		return r;
	buffer_truncate(job->out, before);
	return value_find_text(job);
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

/* What is no text may be a number; then, whatever it is, findings in its bytes count. */
int value_find_guess_binary(const struct value_job *job)
{
	static int (*const numbers[])(const struct value_job *) = {
		value_find_int8_binary,
		value_find_float8_binary,
		value_find_numeric_binary,
	};
	struct slice value = job->value->text;

	if (value.length == 0)
		return MASK_UNCHANGED;
	if (is_text(value))
		return find_in_text(job);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		int r = numbers[i](job);

		if (r == MASK_TO_NULL || (r < 0 && r != -EBADMSG))
			return r;
	}
	return value_find_opaque(job);
}
