/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/input_names.h"

#include <string.h>

#include "base/memory.h"
#include "masking/characters.h"
#include "protocol/ssh/shell.h"

bool input_is(struct slice word)
{
	static const char *const names[] = {
		"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/thread-self/fd/0"};

	return SHELL_IS_ONE_OF(word, names);
}

static bool ends_with(struct slice word, const char *text)
{
	size_t length = strlen(text);

	return word.length >= length &&
		slice_equal_string(slice_from(word, word.length - length), text);
}

/* A file or folder of a path; the first in an option stands behind its letter or name. */
static bool is_of_input(struct slice part, bool option)
{
	static const char *const names[] = {"stdin", "fd", "proc"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (option ? ends_with(part, names[i]) : slice_equal_string(part, names[i]))
			return true;
	}
	return false;
}

bool input_may_be(struct slice word)
{
	bool option = word.length && word.data[0] == '-';

	while (word.length) {
		const uint8_t *slash = memchr(word.data, '/', word.length);
		size_t length = slash ? (size_t)(slash - word.data) : word.length;

		if (is_of_input(slice_head(word, length), option))
			return true;
		option = false;
		word = slice_from(word, slash ? length + 1 : length);
	}
	return false;
}

bool input_may_be_file(struct slice word)
{
	const uint8_t *slash = word.length ? memrchr(word.data, '/', word.length) : NULL;
	struct slice name = slash ? slice_from(word, (size_t)(slash - word.data) + 1) : word;

	return input_may_be(word) ||
		(name.length &&
			character_run(name, 0, CHARACTER_DIGIT, name.length) == name.length);
}
