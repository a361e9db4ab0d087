/* SPDX-License-Identifier: Apache-2.0
 *
 * boot_id: which boot of the machine this is, for what is kept on disk and holds until the next
 * one.
 */
#ifndef WAYLEAVE_BASE_BOOT_ID_H
#define WAYLEAVE_BASE_BOOT_ID_H

#include "base/error.h"

#define BOOT_ID_SIZE 40

/* The kernel's name of it (/proc/sys/kernel/random/boot_id), zeroes behind. An error, with a
 * sentence: it can't be read, and `ret` is undefined. */
int boot_id_read(char ret[BOOT_ID_SIZE], struct error *e);

#endif
