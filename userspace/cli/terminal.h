/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal: what a recorded terminal showed, for the terminal of whoever replays it. The text is a
 * hostile host's: what moves the cursor, colours and erases is kept; what could set a title, write
 * to the clipboard, have the terminal answer, or leave it in another mode is not.
 */
#ifndef WAYLEAVE_CLI_TERMINAL_H
#define WAYLEAVE_CLI_TERMINAL_H

#include <stdio.h>

#include "base/slice.h"

struct terminal {
	enum { TERMINAL_TEXT, TERMINAL_ESCAPE, TERMINAL_CSI, TERMINAL_STRING } state;
	uint8_t held[32]; /* of a character or sequence that is not complete */
	size_t count;
};

/* Begins zeroed; sequences may go on in the next call. */
void terminal_print(struct terminal *t, FILE *out, struct slice bytes);

#endif
