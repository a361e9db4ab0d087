/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/kubernetes/archive.h"

#include "base/memory.h"

/* Of a header: where they stand, in bytes. */
#define SUM 148u
#define SUM_LENGTH 8u
#define MAGIC 257u

/* Octal digits between blanks and NULs. */
static unsigned read_sum(const uint8_t *field)
{
	unsigned sum = 0;

	for (size_t i = 0; i < SUM_LENGTH; i++) {
		if (field[i] >= '0' && field[i] <= '7')
			sum = sum << 3 | (unsigned)(field[i] - '0');
	}
	return sum;
}

bool kubernetes_begins_archive(struct slice begin)
{
	unsigned sum = 0;

	if (begin.length < KUBERNETES_ARCHIVE_HEADER || memcmp(begin.data + MAGIC, "ustar", 5) != 0)
		return false;
	/* The sum's own bytes count as blanks. */
	for (size_t i = 0; i < KUBERNETES_ARCHIVE_HEADER; i++)
		sum += i - SUM < SUM_LENGTH ? ' ' : begin.data[i];
	return sum == read_sum(begin.data + SUM);
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "cf -", "-czf -": options to create one, and that the file is the output. */
static bool creates_at_output(struct slice rest)
{
	bool creates = false, names_file = false;

	if (rest.length && rest.data[0] == '-')
		rest = slice_from(rest, 1);
	while (rest.length && is_letter(rest.data[0])) {
		creates |= rest.data[0] == 'c';
		names_file |= rest.data[0] == 'f';
		rest = slice_from(rest, 1);
	}
	while (rest.length && rest.data[0] == ' ')
		rest = slice_from(rest, 1);
	return creates && names_file && rest.length && rest.data[0] == '-' &&
		(rest.length == 1 || rest.data[1] == ' ');
}

bool kubernetes_writes_archive(struct slice command)
{
	static const char name[] = "tar ";
	size_t length = sizeof(name) - 1;

	while (command.length) {
		const uint8_t *found = memmem(command.data, command.length, name, length);

		if (!found)
			return false;
		/* Also "/bin/tar" and "bsdtar". */
		command = slice_from(command, (size_t)(found - command.data) + length);
		while (command.length && command.data[0] == ' ')
			command = slice_from(command, 1);
		if (creates_at_output(command))
			return true;
	}
	return false;
}
