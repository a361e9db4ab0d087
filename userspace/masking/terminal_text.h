/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal_text: the text in bytes that a terminal would show, without the sequences that colour
 * it (ECMA-48), and where each byte of it stood.
 */
#ifndef WAYLEAVE_MASKING_TERMINAL_TEXT_H
#define WAYLEAVE_MASKING_TERMINAL_TEXT_H

#include "base/slice.h"

#define TERMINAL_SEQUENCE_MOST 64u /* bytes; a longer one is text */
#define TERMINAL_SEQUENCE_UNFINISHED SIZE_MAX

/* Characters that show nothing and move nothing: a bell, and shifts to another set of letters, as
 * some terminals' "no colours" ends in one (terminfo, sgr0). A NUL is none of them, though most
 * terminals ignore it: it parts the records of programs, as in /proc/PID/environ, and without it
 * the end of one value and the begin of the next would be one word, in which neither is found. */
#define TERMINAL_BELL 0x07
#define TERMINAL_SHIFT_OUT 0x0e
#define TERMINAL_SHIFT_IN 0x0f

struct terminal_text {
	/* Sequences that move the cursor are line ends, or blanks, here; what a backspace takes
	 * back is left out, and what shows nothing. Borrows the input where that has none of them.
	 */
	struct slice text;
	size_t whole; /* bytes of the input before a sequence that is not finished yet */
	uint8_t *bytes; /* the text's own; NULL: borrowed */
	uint32_t *behind; /* for each byte of the text, the place behind it in the input */
};

/* -ENOMEM, -E2BIG beyond 4 GiB. The input must outlive it. */
int terminal_text_init(struct terminal_text *t, struct slice input);
void terminal_text_done(struct terminal_text *t);
/* The place in the input behind the first `count` bytes of the text. */
size_t terminal_text_place(const struct terminal_text *t, size_t count);
/* How many bytes of the text end at or before that place of the input. */
size_t terminal_text_count(const struct terminal_text *t, size_t place);

/* Bytes of the sequence that begins at `at`, which holds an ESC; at least 1. Of operating system
 * commands and the like only the introducer is one, as what they carry is text that somebody reads.
 * TERMINAL_SEQUENCE_UNFINISHED: more has to come. */
size_t terminal_sequence(struct slice input, size_t at);
static inline bool terminal_shows_nothing(uint8_t c)
{
	return c == TERMINAL_BELL || c == TERMINAL_SHIFT_OUT || c == TERMINAL_SHIFT_IN;
}
/* The first place behind `from`, which is one, and not before `least` that is in no sequence. */
size_t terminal_whole_from(struct slice input, size_t from, size_t least);

#endif
