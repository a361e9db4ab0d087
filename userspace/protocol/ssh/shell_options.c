/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/shell_options.h"

#include <string.h>

#include "base/memory.h"
#include "protocol/ssh/shell.h"

static void read_letters(struct slice word, struct shell_options *o)
{
	for (size_t i = 1; i < word.length; i++) {
		uint8_t c = word.data[i];

		o->command |= c == 'c';
		o->input |= c == 's' && word.data[0] == '-';
		o->plain &= c && strchr("Caefosuvxl", c);
	}
}

/* Long ones are bash's, to which one dash is enough. */
static bool is_long(struct slice word)
{
	static const char *const single[] = {"-init-file", "-login", "-noediting", "-noprofile",
		"-norc", "-posix", "-rcfile", "-restricted"};

	return slice_starts_with(word, slice_from_string("--")) || SHELL_IS_ONE_OF(word, single);
}

/* Whether the next word is the option's. */
static bool read_option(struct slice word, struct shell_options *o)
{
	static const char *const plain[] = {
		"--login", "--noediting", "--noprofile", "--norc", "--posix", "--verbose"};
	static const char *const with_word[] = {
		"--rcfile", "--init-file", "--emulate", "-rcfile", "-init-file"};

	if (!is_long(word)) {
		read_letters(word, o);
		return shell_has_any(word, "oO");
	}
	o->plain &= SHELL_IS_ONE_OF(word, plain);
	return SHELL_IS_ONE_OF(word, with_word);
}

static bool is_plain_name(struct slice name)
{
	static const char *const names[] = {"allexport", "errexit", "noclobber", "noglob",
		"nounset", "pipefail", "posix", "verbose", "xtrace"};

	return SHELL_IS_ONE_OF(name, names);
}

void shell_options_take(struct slice *rest, bool blanks, struct shell_options *o)
{
	struct slice before = *rest, word;

	while (shell_next_word(rest, &word)) {
		if (word.length && word.data[0] != '-' && word.data[0] != '+') {
			*rest = before;
			return;
		}
		if (slice_equal_string(word, "-") || slice_equal_string(word, "--"))
			return;
		if (read_option(word, o)) {
			/* Where its word may hold blanks, it can't be told where that ends. */
			if (blanks)
				*rest = SLICE_EMPTY;
			o->plain &= shell_next_word(rest, &word) && is_plain_name(word);
		}
		before = *rest;
	}
}

bool shell_options_are_plain(struct slice words)
{
	struct shell_options o = {.plain = true};

	shell_options_take(&words, false, &o);
	return o.plain;
}
