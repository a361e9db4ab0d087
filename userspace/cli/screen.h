/* SPDX-License-Identifier: Apache-2.0
 *
 * screen: the whole terminal, drawn line by line. However the process ends, short of SIGKILL, the
 * terminal is as it was before.
 */
#ifndef WAYLEAVE_CLI_SCREEN_H
#define WAYLEAVE_CLI_SCREEN_H

#include "base/buffer.h"

#define SCREEN_LINE_MOST 16384 /* bytes of one line with its colours */

enum screen_key {
	SCREEN_NOTHING = 0, /* the time is over, or the size changed */
	SCREEN_UP = 0x100, /* others are bytes */
	SCREEN_DOWN,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_ESCAPE,
	SCREEN_END, /* there is no terminal any more */
};

/* Negative errno: stdin or stdout is no terminal. */
int screen_open(void);
void screen_close(void);
/* Now; at least 20 x 5. */
void screen_size(size_t *ret_width, size_t *ret_height);
/* A frame: its lines from the top, then what is below them is cleared. */
void screen_begin(void);
/* Text without control characters, but for colours. What is wider than the screen is cut. */
void screen_line(struct slice text, bool selected);
void screen_show(void);
/* The next key, or SCREEN_NOTHING after so long. */
int screen_key(int milliseconds);

#endif
