/* SPDX-License-Identifier: Apache-2.0
 *
 * memory: allocation for small objects of our own, whose failure ends the process with a message
 * (the kernel overcommits; a worker that can't get a few bytes can't do better), and helpers.
 * Sizes that a peer chooses never come here: they go through buffer.h and arena.h, which have
 * limits and return errors; as memory_grow() does.
 */
#ifndef WAYLEAVE_BASE_MEMORY_H
#define WAYLEAVE_BASE_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Ends the process with the message; `size`: bytes that there were not, 0: that is not known. */
void memory_exhausted(size_t size) __attribute__((noreturn, cold));
/* Zeroed memory; never NULL. Free with free(). */
void *memory_new(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed array; an overflowing product ends the process. Never NULL. */
void *memory_new_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* realloc() to count * size bytes that never fails; the new part is not zeroed. */
void *memory_resize_array(void *pointer, size_t count, size_t size)
	__attribute__((returns_nonnull));
/* Makes room for one more element of `size` bytes than there are, at twice the capacity. -ENOMEM,
 * for arrays whose length a peer has a say in, within a limit of the caller's; all is as it was. */
int memory_grow(void **array, size_t count, size_t *capacity, size_t size);
/* Copy of a C string, or of its first `length` bytes with a NUL added. Free with free(). */
char *memory_copy_string(const char *string) __attribute__((malloc, returns_nonnull));
char *memory_copy_text(const void *data, size_t length) __attribute__((malloc, returns_nonnull));
/* printf into new memory; never NULL. Free with free(). */
char *memory_format(const char *format, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));
/* Overwrites secrets in a way that the compiler keeps. */
void memory_wipe(void *pointer, size_t length);

#endif
