/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/typing.h"

#include <string.h>

#include "base/memory.h"

enum {
	CONTROL_C = 0x03,
	CONTROL_D = 0x04,
	BELL = 0x07,
	BACKSPACE = 0x08,
	CONTROL_U = 0x15,
	CONTROL_Z = 0x1a,
	ESC = 0x1b,
	QUIT = 0x1c,
	DELETE = 0x7f,
};

void typing_init(struct typing *t)
{
	*t = (struct typing){.ended = true, .plain = true};
}

void typing_done(struct typing *t)
{
	memory_wipe(t, sizeof(*t));
}

/* --- keys --- */

enum typing_key typing_key_of(const struct typing *t, uint8_t key)
{
	switch (key) {
	case '\r':
	case '\n':
		return TYPING_KEY_ENTER;
	/* Shells leave what stands before them in the line, where what is typed next joins it; and
	 * a program gets it (termios(3), VEOF). */
	case CONTROL_D:
	case CONTROL_Z:
	case QUIT:
		return typing_state(t) == TYPING_EMPTY ? TYPING_KEY_ENTER : TYPING_KEY_OTHER;
	case CONTROL_C:
		return TYPING_KEY_INTERRUPT;
	case BACKSPACE:
	case CONTROL_U:
	case DELETE:
		return TYPING_KEY_TEXT;
	default:
		return key >= ' ' && key < DELETE ? TYPING_KEY_TEXT : TYPING_KEY_OTHER;
	}
}

/* Where the last line was not taken, what is typed now may be the rest of it; and where no prompt
 * is shown behind it, a program may take some of it, and the shell the rest. */
void typing_begin(struct typing *t)
{
	t->typed_length = t->keys = 0;
	t->shown_length = t->cursor = 0;
	t->again = 0;
	t->empty = t->ended;
	t->plain = t->ended && t->prompted;
	t->ended = t->lost = false;
}

bool typing_type(struct typing *t, uint8_t key)
{
	t->keys++;
	if (key == CONTROL_U)
		t->typed_length = 0;
	else if ((key == BACKSPACE || key == DELETE) && t->typed_length)
		t->typed_length--;
	else if (key >= ' ' && key < DELETE && t->typed_length < TYPING_LINE_MOST)
		t->typed[t->typed_length++] = key;
	else if (key != BACKSPACE && key != DELETE)
		t->plain = false;
	return t->plain;
}

void typing_end(struct typing *t)
{
	memory_wipe(t->typed, sizeof(t->typed));
	t->typed_length = t->keys = 0;
	t->ended = false;
}

/* --- what is shown --- */

static void end_shown(struct typing *t)
{
	t->ended = t->lost = true;
	t->prompted = false;
}

static void erase_behind(struct typing *t)
{
	t->shown_length = t->cursor;
}

static void move(struct typing *t, size_t back, size_t ahead)
{
	if (back > t->cursor || ahead > t->shown_length - t->cursor)
		t->lost = true;
	else
		t->cursor += ahead - back;
}

static void put(struct typing *t, uint8_t c)
{
	if (t->cursor == t->shown_length && t->cursor < TYPING_LINE_MOST) {
		t->shown[t->cursor++] = c;
		t->shown_length = t->cursor;
	} else if (t->cursor < t->shown_length && c < 0x80 && t->shown[t->cursor] < 0x80) {
		t->shown[t->cursor++] = c;
	} else {
		t->lost = true;
	}
}

/* At the margin readline writes a blank into the next row, or what is to stand first there, goes
 * back to its begin, and writes what stands there. */
static void carriage_return(struct typing *t)
{
	if (t->cursor == 0 || t->cursor != t->shown_length) {
		t->lost = true;
		return;
	}
	t->shown_length = --t->cursor;
	if (t->shown[t->cursor] != ' ')
		t->again = t->shown[t->cursor];
}

/* The one number of a control sequence, 1 where none is given; 0: there is something else. */
static size_t number_of(struct slice sequence)
{
	size_t n = 0;

	if (sequence.length == 3)
		return 1;
	for (size_t i = 2; i + 1 < sequence.length; i++) {
		if (sequence.data[i] < '0' || sequence.data[i] > '9' || n > TYPING_LINE_MOST)
			return 0;
		n = 10 * n + (size_t)(sequence.data[i] - '0');
	}
	return n;
}

static bool erases_behind(struct slice sequence)
{
	return sequence.length == 3 || (sequence.length == 4 && sequence.data[2] == '0');
}

/* Another screen (xterm) is none of this one's lines. */
static bool changes_screen(struct slice sequence)
{
	return memmem(sequence.data, sequence.length, "47", 2) ||
		memmem(sequence.data, sequence.length, "49", 2);
}

static void apply_control(struct typing *t, struct slice sequence)
{
	size_t n = number_of(sequence);

	switch (sequence.data[sequence.length - 1]) {
	case 'm':
	case 'n':
	case 'q':
		break;
	case 'h':
	case 'l':
		t->lost |= changes_screen(sequence);
		break;
	case 'C':
		t->lost |= n == 0;
		move(t, 0, n);
		break;
	case 'D':
		t->lost |= n == 0;
		move(t, n, 0);
		break;
	case 'J':
	case 'K':
		t->lost |= !erases_behind(sequence);
		erase_behind(t);
		break;
	default:
		t->lost = true;
	}
}

static void apply(struct typing *t, struct slice sequence)
{
	if (sequence.length > 1 && sequence.data[1] == '[')
		apply_control(t, sequence);
	else if (sequence.length == 2 && strchr("]PX^_", sequence.data[1]))
		t->in_string = true;
	else if (sequence.length != 2 || !strchr("=>\\", sequence.data[1]))
		t->lost = true;
}

static void show_character(struct typing *t, uint8_t c)
{
	t->lost |= t->again && c != t->again;
	t->again = 0;
	switch (c) {
	case '\n':
		end_shown(t);
		break;
	case '\r':
		carriage_return(t);
		break;
	case BACKSPACE:
		move(t, 1, 0);
		break;
	case '\0':
	case BELL:
		break;
	default:
		if (c < ' ' || c == DELETE) {
			t->lost = true;
			break;
		}
		t->prompted |= c != ' ';
		put(t, c);
	}
}

static void show(struct typing *t, uint8_t c)
{
	size_t n;

	if (t->in_string && c != ESC) {
		t->in_string = c != BELL;
		return;
	}
	if (t->sequence_length == 0 && c != ESC) {
		show_character(t, c);
		return;
	}
	t->in_string = false;
	t->sequence[t->sequence_length++] = c;
	n = terminal_sequence(slice_of(t->sequence, t->sequence_length), 0);
	if (n == TERMINAL_SEQUENCE_UNFINISHED && t->sequence_length < sizeof(t->sequence))
		return;
	if (n == t->sequence_length) {
		t->sequence_length = 0;
		apply(t, slice_of(t->sequence, n));
		return;
	}
	/* Broken off by what may be anything. */
	t->sequence_length = 0;
	t->lost = true;
	if (c == '\n')
		end_shown(t);
}

void typing_show(struct typing *t, struct slice output)
{
	for (size_t i = 0; i < output.length; i++)
		show(t, output.data[i]);
}

/* --- the line --- */

static bool is_shown(const struct typing *t)
{
	if (t->lost || t->again || t->cursor != t->typed_length ||
		memcmp(t->shown, t->typed, t->typed_length) != 0)
		return false;
	for (size_t i = t->cursor; i < t->shown_length; i++) {
		if (t->shown[i] != ' ')
			return false;
	}
	return true;
}

enum typing_state typing_state(const struct typing *t)
{
	if (t->keys == 0)
		return t->empty ? TYPING_EMPTY : TYPING_UNKNOWN;
	if (!t->plain)
		return TYPING_UNKNOWN;
	if (is_shown(t))
		return t->typed_length ? TYPING_KNOWN : TYPING_EMPTY;
	return t->lost ? TYPING_UNKNOWN : TYPING_AWAITED;
}
