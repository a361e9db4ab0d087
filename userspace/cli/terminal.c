/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal.h"

#include <string.h>

#include "base/text.h"

#define ESCAPE 0x1b
#define BELL 0x07

static void put(struct terminal *t, FILE *out)
{
	fwrite(t->held, 1, t->count, out);
	t->count = 0;
}

static void hold(struct terminal *t, uint8_t c)
{
	if (t->count < sizeof(t->held))
		t->held[t->count++] = c;
}

/* A byte of a character that has several (RFC 3629). */
static void take_part(struct terminal *t, FILE *out, uint8_t c)
{
	struct slice held;
	size_t n;

	hold(t, c);
	held = slice_of(t->held, t->count);
	n = text_utf8_sequence(held);
	if (n && !text_is_control(held, n)) {
		put(t, out);
	} else if (n || t->count >= 4) {
		fputc('?', out);
		t->count = 0;
	}
}

static void take_text(struct terminal *t, FILE *out, uint8_t c)
{
	if (c >= 0x80) {
		take_part(t, out, c);
		return;
	}
	t->count = 0;
	if (c == ESCAPE)
		t->state = TERMINAL_ESCAPE;
	else if ((c >= ' ' && c != 0x7f) || (c && strchr("\b\t\n\r", c)))
		fputc(c, out);
}

static void take_escape(struct terminal *t, uint8_t c)
{
	t->count = 0;
	t->state = TERMINAL_TEXT;
	if (c == '[') {
		t->state = TERMINAL_CSI;
		hold(t, ESCAPE);
		hold(t, c);
	} else if (c && strchr("]PX^_", c)) {
		t->state = TERMINAL_STRING; /* until BEL or ESC \ */
	}
}

/* ECMA-48, 5.4: parameters, then one byte that says what it does. */
static void take_csi(struct terminal *t, FILE *out, uint8_t c)
{
	bool complete = t->count < sizeof(t->held);

	hold(t, c);
	if (c >= ' ' && c < '@')
		return;
	t->state = TERMINAL_TEXT;
	if (complete && t->held[2] < '<' && strchr("ABCDEFGHJKLMPSTX@`adefm", c) && c)
		put(t, out);
	t->count = 0;
}

void terminal_print(struct terminal *t, FILE *out, struct slice bytes)
{
	for (size_t i = 0; i < bytes.length; i++) {
		uint8_t c = bytes.data[i];

		switch (t->state) {
		case TERMINAL_TEXT:
			take_text(t, out, c);
			break;
		case TERMINAL_ESCAPE:
			take_escape(t, c);
			break;
		case TERMINAL_CSI:
			take_csi(t, out, c);
			break;
		case TERMINAL_STRING:
			if (c == BELL)
				t->state = TERMINAL_TEXT;
			else if (c == ESCAPE)
				t->state = TERMINAL_ESCAPE;
			break;
		}
	}
}
