/* SPDX-License-Identifier: Apache-2.0
 *
 * secret_file: a password in a file of its own.
 */
#ifndef WAYLEAVE_BASE_SECRET_FILE_H
#define WAYLEAVE_BASE_SECRET_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Opens a regular file that not every user may read or write; the descriptor, or a negative errno
 * with a sentence that names the file. */
int secret_file_open(const char *path, struct error *e);
/* Reads it whole, without the newline at its end. An error too: it is empty, longer than `room`
 * bytes, or has a NUL in it. The sentence never says what it holds. `ret` is the caller's to wipe,
 * also on an error. */
int secret_file_read(
	const char *path, uint8_t *ret, size_t room, size_t *ret_length, struct error *e);

#endif
