/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/terminal_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define ESC 0x1b
#define BACKSPACE 0x08
#define NOTHING -1

/* Parameters and intermediates up to the final byte (ECMA-48, 5.4). */
static size_t control_sequence(struct slice in, size_t at)
{
	for (size_t i = at + 2; i < in.length && i - at < TERMINAL_SEQUENCE_MOST; i++) {
		if (in.data[i] >= 0x40 && in.data[i] <= 0x7e)
			return i - at + 1;
		if (in.data[i] < 0x20 || in.data[i] > 0x3f)
			return i - at; /* broken off */
	}
	return in.length - at < TERMINAL_SEQUENCE_MOST ? TERMINAL_SEQUENCE_UNFINISHED : 2;
}

size_t terminal_sequence(struct slice in, size_t at)
{
	size_t i = at + 1;

	if (i >= in.length)
		return TERMINAL_SEQUENCE_UNFINISHED;
	if (in.data[i] == '[')
		return control_sequence(in, at);
	/* ECMA-35: intermediates, as in "ESC ( B", and a final byte. */
	while (i < in.length && in.data[i] >= 0x20 && in.data[i] <= 0x2f) {
		if (++i - at >= TERMINAL_SEQUENCE_MOST)
			return 1;
	}
	if (i >= in.length)
		return TERMINAL_SEQUENCE_UNFINISHED;
	return in.data[i] >= 0x30 && in.data[i] <= 0x7e ? i - at + 1 : 1;
}

size_t terminal_whole_from(struct slice in, size_t from, size_t least)
{
	while (from < least) {
		size_t n = in.data[from] == ESC ? terminal_sequence(in, from) : 1;

		from = n < in.length - from ? from + n : in.length;
	}
	return from;
}

/* A title and the like, which a bell may end. */
static bool opens_string(struct slice sequence)
{
	return sequence.length == 2 && strchr("]PX^_", sequence.data[1]);
}

/* What stands for a sequence in the text; NOTHING, where it moves no cursor. */
static int meaning(struct slice sequence)
{
	uint8_t last = sequence.data[sequence.length - 1];

	if (sequence.length == 1)
		return NOTHING;
	if (sequence.data[1] == '[')
		return last == 'C' ? ' ' : strchr("mKhlnqX", last) ? NOTHING : '\n';
	return strchr("]PX^_\\DEM", sequence.data[1]) ? '\n' : NOTHING;
}

/* Behind it, what is written stands over the character before, all bytes of it (RFC 3629). */
static size_t without_last(const struct terminal_text *t, size_t count)
{
	size_t at = count;

	if (count == 0 || t->bytes[count - 1] == '\n')
		return count;
	do
		at--;
	while (at > 0 && count - at < 4 && (t->bytes[at] & 0xc0) == 0x80);
	return at;
}

/* The text and its places; both have room for as much as the input. */
static void read_all(struct terminal_text *t, struct slice in)
{
	size_t count = 0, at = 0;
	bool in_string = false;

	while (at < in.length) {
		size_t n = in.data[at] == ESC ? terminal_sequence(in, at) : 1;
		int c = in.data[at];

		if (n == TERMINAL_SEQUENCE_UNFINISHED)
			break;
		if (c == ESC) {
			in_string = opens_string(slice_of(in.data + at, n));
			c = meaning(slice_of(in.data + at, n));
		} else if (terminal_shows_nothing((uint8_t)c)) {
			c = c == TERMINAL_BELL && in_string ? '\n' : NOTHING;
			in_string &= c == NOTHING;
		}
		at += n;
		if (c == BACKSPACE) {
			count = without_last(t, count);
		} else if (c != NOTHING) {
			t->bytes[count] = (uint8_t)c;
			t->behind[count++] = (uint32_t)at;
		}
	}
	t->text = slice_of(t->bytes, count);
	t->whole = at;
}

static bool is_plain(struct slice in)
{
	static const uint8_t others[] = {
		ESC, BACKSPACE, TERMINAL_BELL, TERMINAL_SHIFT_OUT, TERMINAL_SHIFT_IN};

	for (size_t i = 0; in.length && i < sizeof(others); i++) {
		if (memchr(in.data, others[i], in.length))
			return false;
	}
	return true;
}

int terminal_text_init(struct terminal_text *t, struct slice input)
{
	*t = (struct terminal_text){.text = input, .whole = input.length};
	if (is_plain(input))
		return 0;
	if (input.length > UINT32_MAX)
		return -E2BIG;
	t->bytes = malloc(input.length);
	t->behind = malloc(input.length * sizeof(*t->behind));
	if (!t->bytes || !t->behind) {
		terminal_text_done(t);
		return -ENOMEM;
	}
	read_all(t, input);
	return 0;
}

void terminal_text_done(struct terminal_text *t)
{
	if (t->bytes)
		memory_wipe(t->bytes, t->text.length);
	free(t->bytes);
	free(t->behind);
	*t = (struct terminal_text){0};
}

size_t terminal_text_place(const struct terminal_text *t, size_t count)
{
	if (!t->behind)
		return count;
	return count ? t->behind[count - 1] : 0;
}

size_t terminal_text_count(const struct terminal_text *t, size_t place)
{
	size_t low = 0, high = t->text.length;

	if (!t->behind)
		return place < high ? place : high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->behind[middle] <= place)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
