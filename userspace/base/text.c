/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/unseen.h"

bool text_glob(struct slice pattern, struct slice text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

	while (t < text.length) {
		if (p < pattern.length && pattern.data[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.length && pattern.data[p] == text.data[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.length && pattern.data[p] == '*')
		p++;
	return p == pattern.length;
}

static struct slice text_next_part(struct slice *rest, char separator, bool *ret_more)
{
	const uint8_t *found = rest->length ? memchr(rest->data, separator, rest->length) : NULL;
	struct slice part;

	if (!found) {
		part = *rest;
		*rest = SLICE_EMPTY;
		*ret_more = false;
		return part;
	}
	part = slice_head(*rest, (size_t)(found - rest->data));
	*rest = slice_from(*rest, part.length + 1);
	*ret_more = true;
	return part;
}

bool text_glob_parts(struct slice pattern, struct slice text, char separator)
{
	bool more_pattern = true, more_text = true;

	while (more_pattern && more_text) {
		struct slice p = text_next_part(&pattern, separator, &more_pattern);
		struct slice t = text_next_part(&text, separator, &more_text);

		if (!text_glob(p, t))
			return false;
	}
	return more_pattern == more_text;
}

size_t text_utf8_sequence(struct slice s)
{
	uint8_t lead = s.data[0], low = 0x80, high = 0xbf;
	size_t length;

	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		length = 2;
	else if (lead >= 0xe0 && lead <= 0xef)
		length = 3;
	else if (lead >= 0xf0 && lead <= 0xf4)
		length = 4;
	else
		return 0;
	if (s.length < length)
		return 0;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	if (s.data[1] < low || s.data[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++) {
		if (s.data[i] < 0x80 || s.data[i] > 0xbf)
			return 0;
	}
	return length;
}

bool text_is_utf8(struct slice s)
{
	while (s.length) {
		size_t n = text_utf8_sequence(s);

		if (n == 0)
			return false;
		s = slice_from(s, n);
	}
	return true;
}

struct slice text_head(struct slice s, size_t most)
{
	size_t length = most;

	if (s.length <= most)
		return s;
	while (length && most - length < 3 && (s.data[length] & 0xc0) == 0x80)
		length--;
	return slice_head(s, length);
}

bool text_is_one_line(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		if (s.data[i] < ' ' || s.data[i] == 0x7f)
			return false;
	}
	return true;
}

bool text_equal_ignore_case(struct slice a, struct slice b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++) {
		if (text_lower(a.data[i]) != text_lower(b.data[i]))
			return false;
	}
	return true;
}

void text_to_hex(struct slice s, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.length; i++) {
		ret[2 * i] = digits[s.data[i] >> 4];
		ret[2 * i + 1] = digits[s.data[i] & 15];
	}
	ret[2 * s.length] = '\0';
}

/* The value of a digit plus 1; 0 for other bytes. A table, as digits come in no order that a
 * processor could predict. */
static const uint8_t hex_values[256] = {
	['0'] = 1,
	['1'] = 2,
	['2'] = 3,
	['3'] = 4,
	['4'] = 5,
	['5'] = 6,
	['6'] = 7,
	['7'] = 8,
	['8'] = 9,
	['9'] = 10,
	['a'] = 11,
	['b'] = 12,
	['c'] = 13,
	['d'] = 14,
	['e'] = 15,
	['f'] = 16,
	['A'] = 11,
	['B'] = 12,
	['C'] = 13,
	['D'] = 14,
	['E'] = 15,
	['F'] = 16,
};

int text_hex_digit(uint8_t c)
{
	return hex_values[c] - 1;
}

int text_from_hex(struct slice digits, uint8_t *ret, size_t length)
{
	if (digits.length != 2 * length)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		int high = text_hex_digit(digits.data[2 * i]),
		    low = text_hex_digit(digits.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int text_to_number(struct slice digits, uint64_t most, uint64_t *ret)
{
	uint64_t value = 0;

	if (digits.length == 0)
		return -EINVAL;
	for (size_t i = 0; i < digits.length; i++) {
		uint8_t c = digits.data[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
			return -EINVAL;
	}
	if (value > most)
		return -EINVAL;
	*ret = value;
	return 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static int text_to_units(struct slice text, const struct unit *units, size_t count, uint64_t *ret)
{
	size_t n = 0;
	uint64_t value;

	while (n < text.length && text.data[n] >= '0' && text.data[n] <= '9')
		n++;
	if (text_to_number(slice_head(text, n), UINT64_MAX, &value) < 0)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (!slice_equal_string(slice_from(text, n), units[i].name))
			continue;
		if (__builtin_mul_overflow(value, units[i].factor, &value))
			return -EINVAL;
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

int text_to_duration(struct slice text, uint64_t *ret_nanoseconds)
{
	static const struct unit units[] = {
		{"ms", NANOSECONDS_PER_MILLISECOND},
		{"s", NANOSECONDS_PER_SECOND},
		{"m", 60 * NANOSECONDS_PER_SECOND},
		{"h", 3600 * NANOSECONDS_PER_SECOND},
		{"d", 86400 * NANOSECONDS_PER_SECOND},
	};

	return text_to_units(text, units, ARRAY_SIZE(units), ret_nanoseconds);
}

int text_to_size(struct slice text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},
		{"K", 1ULL << 10},
		{"M", 1ULL << 20},
		{"G", 1ULL << 30},
		{"T", 1ULL << 40},
	};

	return text_to_units(text, units, ARRAY_SIZE(units), ret_bytes);
}

void text_from_time(uint64_t wall_nanoseconds, char *ret)
{
	time_t seconds = (time_t)(wall_nanoseconds / NANOSECONDS_PER_SECOND);
	unsigned milliseconds = (unsigned)(wall_nanoseconds / NANOSECONDS_PER_MILLISECOND % 1000);
	struct tm parts;
	size_t n;

	gmtime_r(&seconds, &parts);
	n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(ret + n, 32 - n, ".%03uZ", milliseconds);
}

bool text_is_control(struct slice s, size_t n)
{
	uint8_t c = s.data[0];

	if (n == 1)
		return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
	/* C1 controls (U+0080–U+009F) work as C0 ones do. */
	if (n == 2)
		return (c == 0xc2 && s.data[1] < 0xa0) || (c == 0xd8 && s.data[1] == 0x9c);
	/* Bidirectional controls and line separators: U+200E–F, U+2028–E, U+2066–9. */
	return n == 3 && c == 0xe2 &&
		((s.data[1] == 0x80 &&
			 ((s.data[2] & 0xfe) == 0x8e ||
				 (s.data[2] >= 0xa8 && s.data[2] <= 0xae))) ||
			(s.data[1] == 0x81 && s.data[2] >= 0xa6 && s.data[2] <= 0xa9));
}

int text_append_visible(struct buffer *b, struct slice s)
{
	while (s.length) {
		size_t n = text_utf8_sequence(s);
		bool hidden = n == 0 || unseen_is(s, n);
		int r;

		if (hidden)
			r = buffer_append_format(b, "\\x%02x", s.data[0]);
		else
			r = buffer_append(b, s.data, n);
		if (r < 0)
			return r;
		s = slice_from(s, hidden ? 1 : n);
	}
	return 0;
}

bool text_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		if (s.data[i] >= 0x80)
			return false;
	}
	return true;
}
