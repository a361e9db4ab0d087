/* SPDX-License-Identifier: Apache-2.0
 *
 * shell: the commands of one line, as a POSIX shell would read it (XCU 2.3, 2.9), as far as that
 * can be told without running it: no expansion is made, and whatever would need one is unknown, as
 * is what opens a file.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SHELL_H
#define WAYLEAVE_PROTOCOL_SSH_SHELL_H

#include "base/buffer.h"

#define SHELL_COMMANDS_MOST 256

struct shell_command {
	/* Its words with one space between, without their quotes, and without redirections that
	 * open no file (redirection.h). Where it is not known: as it was written. */
	size_t start, length; /* in shell_line.text */
	bool known;
	bool input; /* a redirection gives it another one */
	size_t words;
};

struct shell_line {
	struct shell_command commands[SHELL_COMMANDS_MOST];
	size_t count;
	struct buffer text;
	bool pipes; /* some command's output is another's input */
	bool simple; /* one command, whose words say what the line says */
};

/* `text` is initialised with a limit that is above twice the line's length. -E2BIG: more commands
 * than are kept; then nothing of the line is known. */
int shell_split(struct slice line, struct shell_line *ret);
/* The same for several lines of a script, in which comments are no commands (XCU 2.3). */
int shell_split_lines(struct slice lines, struct shell_line *ret);

/* The command's words as they stand in the line's text. */
struct slice shell_words(const struct shell_line *line, const struct shell_command *c);
/* Takes the next of them from the rest; false: there is none. A quoted blank parts them as well,
 * and where there are two in a row there is an empty word. */
bool shell_next_word(struct slice *rest, struct slice *ret);
/* NAME=VALUE, as it may stand before a command's name. */
bool shell_is_assignment(struct slice word);
bool shell_is_one_of(struct slice word, const char *const *names, size_t count);
#define SHELL_IS_ONE_OF(word, names) shell_is_one_of(word, names, ARRAY_SIZE(names))
bool shell_has_any(struct slice word, const char *bytes);

/* The word behind the program, where the line is `program WORD` and no more, and the word is no
 * option; else the empty slice. Of the line's text. */
struct slice shell_argument(const struct shell_line *line, const char *program);

#endif
