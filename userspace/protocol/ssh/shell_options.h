/* SPDX-License-Identifier: Apache-2.0
 *
 * shell_options: what a shell's options (XCU sh, and bash's) and those of its `set` ask for.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SHELL_OPTIONS_H
#define WAYLEAVE_PROTOCOL_SSH_SHELL_OPTIONS_H

#include "base/slice.h"

struct shell_options {
	bool command; /* -c */
	bool input; /* -s */
	bool plain; /* all are of a few that change nothing about how a script is read */
};

/* Takes the options off the words, up to and with "--" or "-", or up to the first other word. What
 * they say is added to `o`. `blanks`: the words can't be told apart. */
void shell_options_take(struct slice *rest, bool blanks, struct shell_options *o);

/* Whether there are only plain ones in front of the words. */
bool shell_options_are_plain(struct slice words);

#endif
