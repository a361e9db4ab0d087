/* SPDX-License-Identifier: Apache-2.0
 *
 * locked: memory for secrets. It is not swapped out (where the kernel allows that), not in core
 * dumps, not in a child after fork(), and wiped before it is given back.
 */
#ifndef WAYLEAVE_BASE_LOCKED_H
#define WAYLEAVE_BASE_LOCKED_H

#include <stddef.h>

/* Zeroed, whole pages of its own; never NULL. */
void *locked_new(size_t size) __attribute__((returns_nonnull));
/* `size` as it was given to locked_new(). Takes NULL. */
void locked_free(void *memory, size_t size);

#endif
