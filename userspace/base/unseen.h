/* SPDX-License-Identifier: Apache-2.0
 *
 * unseen: characters that a reader of an agent's text would not see, or that change how others are
 * seen.
 */
#ifndef WAYLEAVE_BASE_UNSEEN_H
#define WAYLEAVE_BASE_UNSEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Of the sequence of `n` bytes (text_utf8_sequence()) that `s` begins with; newlines and tabs are
 * seen. */
bool unseen_is(struct slice s, size_t n);
uint32_t unseen_code_point(struct slice s, size_t n);

#endif
