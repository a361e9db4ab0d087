/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void memory_exhausted(size_t size)
{
	fprintf(stderr, "<2>out of memory (%zu bytes)\n", size);
	abort();
}

void *memory_new(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		memory_exhausted(size);
	return p;
}

void *memory_new_array(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		memory_exhausted(size);
	return p;
}

void *memory_resize_array(void *pointer, size_t count, size_t size)
{
	void *p = reallocarray(pointer, count ? count : 1, size ? size : 1);

	if (!p)
		memory_exhausted(size);
	return p;
}

int memory_grow(void **array, size_t count, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 64;
	void *larger;

	if (count < *capacity)
		return 0;
	larger = reallocarray(*array, wanted, size);
	if (!larger)
		return -ENOMEM;
	*array = larger;
	*capacity = wanted;
	return 0;
}

char *memory_copy_text(const void *data, size_t length)
{
	char *copy = memory_new(length + 1);

	if (length)
		memcpy(copy, data, length);
	return copy;
}

char *memory_copy_string(const char *string)
{
	return memory_copy_text(string, strlen(string));
}

char *memory_format(const char *format, ...)
{
	va_list arguments;
	char *text;
	int n;

	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0)
		memory_exhausted(0);
	return text;
}

void memory_wipe(void *pointer, size_t length)
{
	if (length)
		explicit_bzero(pointer, length);
}
