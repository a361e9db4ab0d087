/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/visible.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/unseen.h"

/* One character is at most "\u{10ffff}", and "…" may follow. */
#define SHOWN_SIZE 16
#define ELLIPSIS "\xe2\x80\xa6"

/* The first character of s, as it is shown; the bytes of s that it has. */
static size_t show(struct slice s, char ret[SHOWN_SIZE])
{
	size_t n = text_utf8_sequence(s);

	if (n == 0 || (n == 1 && unseen_is(s, n))) {
		snprintf(ret, SHOWN_SIZE, "\\x%02x", s.data[0]);
		return 1;
	}
	if (unseen_is(s, n)) {
		snprintf(ret, SHOWN_SIZE, "\\u{%04x}", (unsigned)unseen_code_point(s, n));
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
