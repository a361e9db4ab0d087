/* SPDX-License-Identifier: Apache-2.0
 *
 * random: bytes that nobody can foresee, from the kernel.
 */
#ifndef WAYLEAVE_BASE_RANDOM_H
#define WAYLEAVE_BASE_RANDOM_H

#include "base/buffer.h"

/* Waits for the kernel's generator where the host has just started; ends the process where there is
 * none. */
void random_fill(void *ret, size_t size);
/* Errors as buffer_append(). */
int random_append(struct buffer *ret, size_t size);

#endif
