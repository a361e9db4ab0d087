/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/visible.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"

/* One character is at most "\u{10ffff}", and "…" may follow. */
#define SHOWN_SIZE 16
#define ELLIPSIS "\xe2\x80\xa6"

/* Characters beyond ASCII that can't be seen, or whose work is to change how others are seen: the
 * categories Cc, Cf, Zl, Zp and Zs, and what Unicode calls default ignorable or fonts leave blank
 * (Unicode 15, DerivedCoreProperties.txt). Marks that strike through what they follow are here too.
 */
static const struct {
	uint32_t first, last;
} unseen[] = {
	{0x0080, 0x00a0},
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x0334, 0x0338},
	{0x0600, 0x0605},
	{0x061c, 0x061c},
	{0x06dd, 0x06dd},
	{0x070f, 0x070f},
	{0x0890, 0x0891},
	{0x08e2, 0x08e2},
	{0x115f, 0x1160},
	{0x1680, 0x1680},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x2000, 0x200f},
	{0x2028, 0x202f},
	{0x205f, 0x206f},
	{0x20d2, 0x20d3},
	{0x20d8, 0x20e0},
	{0x20e2, 0x20eb},
	{0x2800, 0x2800},
	{0x3000, 0x3000},
	{0x3164, 0x3164},
	{0xe000, 0xf8ff},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfffb},
	{0x110bd, 0x110bd},
	{0x110cd, 0x110cd},
	{0x13430, 0x1343f},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0x10ffff},
};

static bool is_unseen(uint32_t c)
{
	if (c < 0x80)
		return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
	for (size_t i = 0; i < ARRAY_SIZE(unseen); i++) {
		if (c >= unseen[i].first && c <= unseen[i].last)
			return true;
	}
	return false;
}

/* Of a valid sequence of n bytes. */
static uint32_t code_point(const uint8_t *s, size_t n)
{
	uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	for (size_t i = 1; i < n; i++)
		c = c << 6 | (s[i] & 0x3f);
	return c;
}

/* The first character of s, as it is shown; the bytes of s that it has. */
static size_t show(struct slice s, char ret[SHOWN_SIZE])
{
	size_t n = text_utf8_sequence(s);
	uint32_t c = n ? code_point(s.data, n) : s.data[0];

	if (n == 0 || (c < 0x80 && is_unseen(c))) {
		snprintf(ret, SHOWN_SIZE, "\\x%02x", (unsigned)(uint8_t)c);
		return 1;
	}
	if (is_unseen(c)) {
		snprintf(ret, SHOWN_SIZE, "\\u{%04x}", (unsigned)c);
		return n;
	}
	memcpy(ret, s.data, n);
	ret[n] = '\0';
	return n;
}

size_t visible_head(struct buffer *b, struct slice s, struct visible_room room)
{
	size_t used = 0, bytes = 0;
	unsigned lines = 1;

	while (used < s.length) {
		char shown[SHOWN_SIZE];
		size_t n = show(slice_from(s, used), shown);

		bytes += strlen(shown);
		lines += shown[0] == '\n';
		if (bytes > room.bytes || lines > room.lines || buffer_append_string(b, shown) < 0)
			break;
		used += n;
	}
	return used;
}

/* Where the character that ends at `end` begins: at most three bytes back, if those are one. */
static size_t step_back(struct slice s, size_t end)
{
	for (size_t n = 4; n > 1; n--) {
		struct slice last;

		if (n > end)
			continue;
		last = slice_of(s.data + end - n, n);
		if (text_utf8_sequence(last) == n)
			return end - n;
	}
	return end - 1;
}

size_t visible_tail(struct buffer *b, struct slice s, struct visible_room room)
{
	size_t start = s.length, bytes = 0;
	unsigned lines = 1;

	while (start > 0) {
		char shown[SHOWN_SIZE];
		size_t before = step_back(s, start);

		show(slice_from(s, before), shown);
		bytes += strlen(shown);
		lines += shown[0] == '\n';
		if (bytes > room.bytes || lines > room.lines)
			break;
		start = before;
	}
	return visible_head(b, slice_from(s, start), room);
}

size_t visible_line(struct buffer *b, struct slice s, size_t bytes)
{
	const uint8_t *newline = s.length ? memchr(s.data, '\n', s.length) : NULL;
	struct slice rest = s;

	while (rest.length && bytes) {
		struct slice part =
			slice_head(rest, newline ? (size_t)(newline - rest.data) : rest.length);
		size_t before = buffer_length(b), used;

		used = visible_head(b, part, (struct visible_room){bytes, 1});
		bytes -= buffer_length(b) - before;
		rest = slice_from(rest, used);
		if (used < part.length || !newline || bytes < 2)
			break;
		if (buffer_append_string(b, "\\n") < 0)
			break;
		bytes -= 2;
		rest = slice_from(rest, 1);
		newline = rest.length ? memchr(rest.data, '\n', rest.length) : NULL;
	}
	if (rest.length)
		buffer_append_string(b, ELLIPSIS);
	return s.length - rest.length;
}

void visible_escaped(struct buffer *b, struct slice s, size_t bytes)
{
	struct buffer line;

	buffer_init(&line, bytes + SHOWN_SIZE);
	visible_line(&line, s, bytes);
	for (size_t i = line.start; i < line.end; i++) {
		uint8_t c = line.data[i];

		if (c == '&')
			buffer_append_string(b, "&amp;");
		else if (c == '<')
			buffer_append_string(b, "&lt;");
		else if (c == '>')
			buffer_append_string(b, "&gt;");
		else
			buffer_append_byte(b, c);
	}
	buffer_done(&line);
}
