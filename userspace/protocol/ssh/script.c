/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/script.h"

#include <string.h>

#include "base/memory.h"

static const char *const shells[] = {
	"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "posh", "yash"};
static const char *const other_shells[] = {"fish", "csh", "tcsh", "elvish", "nu", "pwsh", "rc"};

/* They run what stands behind them. */
static const char *const wrappers[] = {"sudo", "doas", "env", "nohup", "nice", "ionice", "setsid",
	"stdbuf", "timeout", "chroot", "busybox", "exec", "command"};

/* They and their like end, or do not begin to, without a look at their input. */
static const char *const leaving[] = {":", "cd", "chgrp", "chmod", "chown", "cp", "date", "df",
	"du", "echo", "exit", "export", "false", "hostname", "id", "kill", "ln", "ls", "mkdir",
	"mv", "printf", "ps", "pwd", "rm", "rmdir", "set", "sleep", "stat", "touch", "true",
	"umask", "uname", "unset", "uptime", "wait", "whoami"};

/* The next of the words with one space between; false: there is none. */
static bool next_word(struct slice *rest, struct slice *ret)
{
	const uint8_t *blank = rest->length ? memchr(rest->data, ' ', rest->length) : NULL;
	size_t length = blank ? (size_t)(blank - rest->data) : rest->length;

	if (rest->length == 0)
		return false;
	*ret = slice_head(*rest, length);
	*rest = slice_from(*rest, length + 1);
	return true;
}

static bool is_one_of(struct slice word, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal_string(word, names[i]))
			return true;
	}
	return false;
}

/* Without its folders. */
static struct slice name_of(struct slice word)
{
	const uint8_t *slash = word.length ? memrchr(word.data, '/', word.length) : NULL;

	return slash ? slice_from(word, (size_t)(slash - word.data) + 1) : word;
}

/* Other names of what it reads anyway. */
static bool is_input(struct slice word)
{
	static const char *const names[] = {
		"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/thread-self/fd/0"};

	return is_one_of(word, names, ARRAY_SIZE(names));
}

static bool is_short_option_with(struct slice word, char letter)
{
	return word.length > 1 && word.data[0] == '-' && word.data[1] != '-' &&
		memchr(word.data + 1, letter, word.length - 1);
}

static bool takes_a_word(struct slice option)
{
	static const char *const names[] = {"-o", "+o", "-O", "+O", "--rcfile", "--init-file"};

	return is_one_of(option, names, ARRAY_SIZE(names)) || is_short_option_with(option, 'o');
}

/* Whether a shell with these arguments takes its commands from its input (XCU sh): not with -c, nor
 * with the name of a file and no -s. */
static bool reads_input(struct slice arguments)
{
	struct slice word;

	while (next_word(&arguments, &word)) {
		if (is_input(word))
			return true;
		if (slice_equal_string(word, "--"))
			return !next_word(&arguments, &word) || is_input(word);
		if (word.length == 0 || (word.data[0] != '-' && word.data[0] != '+'))
			return false;
		if (is_short_option_with(word, 'c'))
			return false;
		if (is_short_option_with(word, 's'))
			return true;
		if (takes_a_word(word) && !next_word(&arguments, &word))
			break;
	}
	return true;
}

static enum script_reader reader_of(struct slice words)
{
	struct slice word;
	bool first = true;

	while (next_word(&words, &word)) {
		struct slice name = name_of(word);

		if (is_one_of(name, shells, ARRAY_SIZE(shells)))
			return reads_input(words) ? SCRIPT_READ : SCRIPT_NOT_READ;
		if (is_one_of(name, other_shells, ARRAY_SIZE(other_shells)))
			return reads_input(words) ? SCRIPT_READ_OTHERWISE : SCRIPT_NOT_READ;
		if (first && !is_one_of(name, wrappers, ARRAY_SIZE(wrappers)))
			return SCRIPT_NOT_READ;
		first = false;
	}
	return SCRIPT_NOT_READ;
}

static struct slice words_of(const struct shell_line *line, const struct shell_command *c)
{
	return slice_head(slice_from(buffer_slice(&line->text), c->start), c->length);
}

enum script_reader script_reader(const struct shell_line *line)
{
	enum script_reader reader = SCRIPT_NOT_READ, one;

	for (size_t i = 0; i < line->count; i++) {
		one = reader_of(words_of(line, &line->commands[i]));
		reader = one > reader ? one : reader;
	}
	return reader;
}

/* "rm -i" asks. */
static bool leaves_input(struct slice words)
{
	struct slice word;

	if (!next_word(&words, &word) || !is_one_of(word, leaving, ARRAY_SIZE(leaving)))
		return false;
	while (next_word(&words, &word)) {
		if (is_short_option_with(word, 'i') || is_short_option_with(word, 'I') ||
			slice_starts_with(word, slice_from_string("--interactive")))
			return false;
	}
	return true;
}

int script_split(struct slice script, struct shell_line *ret)
{
	bool left = true;
	int r = shell_split_lines(script, ret);

	for (size_t i = 0; r == 0 && i < ret->count; i++) {
		struct shell_command *c = &ret->commands[i];
		bool known = c->known;

		c->known &= left;
		left &= known && leaves_input(words_of(ret, c));
	}
	return r;
}
