/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/script.h"

#include <string.h>

#include "base/memory.h"
#include "protocol/ssh/input_names.h"
#include "protocol/ssh/shell_options.h"

/* They and their like never look at their input; some are the shell's own. */
static const char *const blind[] = {":", "chgrp", "chmod", "chown", "df", "echo", "exit", "export",
	"false", "id", "kill", "ls", "mkdir", "printf", "ps", "pwd", "rmdir", "sleep", "stat",
	"touch", "true", "umask", "uname", "unset", "uptime", "wait", "whoami"};
/* Commands that leave their input alone unless such a letter is among their options, or a long one
 * that is not listed below. Others may read. */
static const struct {
	const char *name, *looking;
} leaving[] = {
	{"cd", ""},
	{"cp", "i"},
	{"date", "f"},
	{"du", ""},
	{"hostname", "F"},
	{"ln", "i"},
	{"mv", "i"},
	{"rm", "iI"},
};
/* They may be shortened, so any other could be "--interactive". */
static const char *const harmless[] = {"--", "--all", "--apparent-size", "--archive", "--bytes",
	"--dir", "--directory", "--force", "--full", "--help", "--human-readable", "--link",
	"--no-clobber", "--no-dereference", "--no-preserve-root", "--no-target-directory",
	"--one-file-system", "--parents", "--preserve", "--preserve-root", "--quiet", "--recursive",
	"--remove-destination", "--reverse", "--silent", "--summarize", "--symbolic", "--total",
	"--universal", "--update", "--utc", "--verbose", "--version"};
static const char *const harmless_with_value[] = {"--backup=", "--block-size=", "--color=",
	"--date=", "--exclude=", "--format=", "--iso-8601",
	"--max-depth=", "--mode=", "--no-preserve=", "--preserve=", "--reference=", "--reflink",
	"--rfc-",
	"--sparse=", "--sort=", "--suffix=", "--target-directory=", "--time=", "--time-style="};

/* The shell's own, which expand their words once more: subscripts are arithmetic, in which commands
 * are substituted. */
static const char *const expanding[] = {"break", "continue", "declare", "exit", "export", "float",
	"getopts", "integer", "kill", "let", "local", "mapfile", "print", "printf", "read",
	"readarray", "readonly", "return", "set", "shift", "test", "typeset", "ulimit", "umask",
	"unset", "wait", "["};
/* Variables whose value shells run, or find what they run by, unasked. */
static const char *const heeded[] = {"BASH_ENV=", "BASH_FUNC_",
	"BASHOPTS=", "PROMPT_COMMAND=", "PS0=", "PS1=", "PS2=", "PS4=", "SHELLOPTS=", "ZDOTDIR="};

static bool starts_with_one_of(struct slice word, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_starts_with(word, slice_from_string(texts[i])))
			return true;
	}
	return false;
}

static bool contains(struct slice word, const char *text)
{
	return word.length && memmem(word.data, word.length, text, strlen(text));
}

static struct slice after(struct slice word, uint8_t byte)
{
	const uint8_t *found = word.length ? memchr(word.data, byte, word.length) : NULL;

	return found ? slice_from(word, (size_t)(found - word.data)) : SLICE_EMPTY;
}

enum reader_kind script_reader(const struct shell_line *line)
{
	enum reader_kind kind = READER_NONE;

	for (size_t i = 0; i < line->count; i++) {
		struct reader one = reader_of(line, &line->commands[i]);

		kind = one.kind > kind ? one.kind : kind;
	}
	return kind;
}

/* --- what is read again --- */

static bool has_substitution(struct slice text)
{
	return contains(text, "$(") || contains(text, "${") || contains(text, "`");
}

/* printf -v NAME, as an assignment to whatever the name is. */
static bool assigns_by_printf(struct slice name, struct slice rest)
{
	return slice_equal_string(name, "printf") &&
		slice_starts_with(rest, slice_from_string("-v"));
}

/* Whether the shell may run something out of the words themselves. */
static bool runs_words(struct slice words)
{
	struct slice word, rest = words;
	bool named = false;

	while (shell_next_word(&rest, &word)) {
		if (starts_with_one_of(word, heeded, ARRAY_SIZE(heeded)))
			return true;
		if (!named && shell_is_assignment(word))
			continue;
		if (!named && assigns_by_printf(word, rest))
			return true;
		if (!named && shell_is_one_of(word, expanding, ARRAY_SIZE(expanding)) &&
			has_substitution(after(words, '[')))
			return true;
		named = true;
	}
	return !named && has_substitution(after(words, '['));
}

/* --- what is read first --- */

/* An option with the input for its value, as in "-f-". */
static bool has_dash_for_value(struct slice word)
{
	return word.length > 1 && word.data[0] == '-' && word.data[word.length - 1] == '-' &&
		!slice_equal_string(word, "--");
}

static bool may_look(struct slice word, const char *looking)
{
	if (input_may_be(word) || has_dash_for_value(word))
		return true;
	if (slice_starts_with(word, slice_from_string("--")))
		return !shell_is_one_of(word, harmless, ARRAY_SIZE(harmless)) &&
			!starts_with_one_of(
				word, harmless_with_value, ARRAY_SIZE(harmless_with_value));
	for (size_t i = 1; i < word.length && word.data[0] == '-'; i++) {
		if (word.data[i] && strchr(looking, word.data[i]))
			return true;
	}
	return false;
}

static bool words_leave(struct slice words, const char *looking)
{
	struct slice word;

	while (shell_next_word(&words, &word)) {
		if (may_look(word, looking))
			return false;
	}
	return true;
}

static bool leaves_input(struct slice words)
{
	struct slice word;

	if (!shell_next_word(&words, &word))
		return false;
	if (shell_is_one_of(word, blind, ARRAY_SIZE(blind)))
		return true;
	/* Some options change how the rest is read. */
	if (slice_equal_string(word, "set"))
		return shell_options_are_plain(words);
	for (size_t i = 0; i < ARRAY_SIZE(leaving); i++) {
		if (slice_equal_string(word, leaving[i].name))
			return words_leave(words, leaving[i].looking);
	}
	return false;
}

/* sudo -S takes a line of it for a password. */
static bool asks_password(struct slice words)
{
	struct slice word;
	bool sudo = false;

	while (shell_next_word(&words, &word)) {
		sudo |= contains(word, "sudo");
		if (sudo && word.length > 1 && word.data[0] == '-' &&
			(word.data[1] == '-' ? contains(word, "--st") : contains(word, "S")))
			return true;
	}
	return false;
}

bool script_is_all(const struct shell_line *line)
{
	size_t readers = 0;

	for (size_t i = 0; i < line->count; i++) {
		const struct shell_command *c = &line->commands[i];
		struct slice words = shell_words(line, c);
		struct reader reader = reader_of(line, c);

		readers += reader.kind != READER_NONE;
		if (!reader.plain || asks_password(words) || runs_words(words))
			return false;
		if (line->count > 1 && (!c->known || (!reader.kind && !leaves_input(words))))
			return false;
	}
	return line->count <= 1 || (readers == 1 && !line->pipes);
}

int script_split(struct slice script, struct shell_line *ret)
{
	/* Some shells end a line at a NUL. */
	bool left = script.length == 0 || !memchr(script.data, 0, script.length);
	int r = shell_split_lines(script, ret);

	for (size_t i = 0; r == 0 && i < ret->count; i++) {
		struct shell_command *c = &ret->commands[i];
		struct slice words = shell_words(ret, c);
		bool known = c->known && !runs_words(words);
		bool reads = reader_of(ret, c).kind != READER_NONE;

		c->known = known && left && !reads;
		left &= known && leaves_input(words);
	}
	return r;
}
