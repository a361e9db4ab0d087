/* SPDX-License-Identifier: Apache-2.0
 *
 * typing: a line that is typed into a terminal, as far as it can be known from outside. What was
 * typed is compared with what the terminal shows for it: only where both are the same, from the
 * place on at which typing began, did all of it reach the one line, and nothing else. Pure: bytes
 * in, a line out.
 *
 * Any other key than those of ASCII's text, and those that take back what stands last, makes the
 * line one that can't be known, before the shell has it: history and completion write what nobody
 * typed, and some keys run what they find (readline: Ctrl-O, Ctrl-X Ctrl-E, Alt-Ctrl-E, and what
 * bytes above ASCII mean where they are no letters). Nor is known what is not shown, like
 * passwords.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_TYPING_H
#define WAYLEAVE_PROTOCOL_SSH_TYPING_H

#include "base/slice.h"
#include "masking/terminal_text.h"

/* Bytes; what is longer is not known. A terminal shows more and keeps no more, as it has room for
 * 4,096 with the line's end (Linux: N_TTY_BUF_SIZE). */
#define TYPING_LINE_MOST 4095u

/* Takes a line back, wherever the cursor stands in it: to its end, kill it, interrupt. */
#define TYPING_TAKE_BACK "\x05\x15\x03"

enum typing_key {
	TYPING_KEY_TEXT, /* or takes back text */
	TYPING_KEY_ENTER, /* hands on the line, or does nothing to an empty one */
	TYPING_KEY_INTERRUPT, /* gives it up */
	TYPING_KEY_OTHER, /* may do anything */
};

enum typing_state {
	TYPING_EMPTY, /* nothing stands in the line */
	TYPING_KNOWN,
	TYPING_AWAITED, /* not all that was typed is shown yet */
	TYPING_UNKNOWN,
};

struct typing {
	uint8_t typed[TYPING_LINE_MOST];
	size_t typed_length, keys; /* what is left of it, and how many there were */
	bool empty; /* nothing stood in the line when typing began */
	bool plain; /* nothing else can stand in it, and a shell takes it */
	uint8_t shown[TYPING_LINE_MOST]; /* behind the place where typing began */
	size_t shown_length, cursor;
	uint8_t again; /* must be shown next, as it was at the margin before; 0: anything may be */
	bool lost; /* something else is shown too, or moved the cursor out of it */
	bool ended; /* the terminal's line has ended since the last one that was typed did */
	bool prompted; /* something stands behind its end */
	uint8_t sequence[TERMINAL_SEQUENCE_MOST]; /* that is not finished yet */
	size_t sequence_length;
	bool in_string; /* of a title and the like (ECMA-48, 8.3.89, 8.3.143) */
};

/* A terminal at which nothing was typed yet. */
void typing_init(struct typing *t);
/* Overwrites what was typed. */
void typing_done(struct typing *t);

enum typing_key typing_key_of(const struct typing *t, uint8_t key);
/* Typing begins, where the cursor is now. */
void typing_begin(struct typing *t);
/* TYPING_KEY_TEXT or TYPING_KEY_OTHER. False: the line is one that is not known, by now. */
bool typing_type(struct typing *t, uint8_t key);
/* Enter, or an interrupt: the line is over. */
void typing_end(struct typing *t);
/* The host's output. */
void typing_show(struct typing *t, struct slice output);

enum typing_state typing_state(const struct typing *t);
/* A line that is known, were typing to begin now, would not be without a prompt that may come. */
static inline bool typing_wants_prompt(const struct typing *t)
{
	return t->plain && !t->prompted;
}
/* Where it is known; valid until the next call. */
static inline struct slice typing_line(const struct typing *t)
{
	return slice_of(t->typed, t->typed_length);
}

#endif
