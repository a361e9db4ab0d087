/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/redirection.h"

#include <string.h>

static bool is_digit(struct slice text, size_t at)
{
	return at < text.length && text.data[at] >= '0' && text.data[at] <= '9';
}

static bool is_byte(struct slice text, size_t at, uint8_t byte)
{
	return at < text.length && text.data[at] == byte;
}

/* Behind these bytes nothing more belongs to it. */
static bool is_end(struct slice text, size_t at)
{
	return at == text.length || (text.data[at] && strchr(" \t\n;|&", text.data[at]));
}

/* `at`: behind the operator's first byte. bash takes what is no number for the name of a file, and
 * dash knows one digit. */
static size_t duplicate_end(struct slice text, size_t at)
{
	return is_byte(text, at, '&') && (is_digit(text, at + 1) || is_byte(text, at + 1, '-'))
		? at + 2
		: 0;
}

/* The same for the one file. */
static size_t null_end(struct slice text, size_t at)
{
	const struct slice null = slice_from_string("/dev/null");

	if (text.data[at - 1] == '>' && is_byte(text, at, '>'))
		at++;
	while (is_byte(text, at, ' ') || is_byte(text, at, '\t'))
		at++;
	return slice_starts_with(slice_from(text, at), null) ? at + null.length : 0;
}

size_t redirection_length(struct slice text, unsigned *ret_descriptor)
{
	size_t at = is_digit(text, 0), end;

	if (!is_byte(text, at, '<') && !is_byte(text, at, '>'))
		return 0;
	end = duplicate_end(text, at + 1);
	if (!end)
		end = null_end(text, at + 1);
	if (!end || !is_end(text, end))
		return 0;
	*ret_descriptor = at ? text.data[0] - '0' : text.data[at] == '>';
	return end;
}
