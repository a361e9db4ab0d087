/* SPDX-License-Identifier: Apache-2.0
 *
 * pin_file: what agents were answered (policy/pinned.h), on disk, for a daemon that is started
 * anew: the agents' programs run on and remember addresses. It holds for this boot alone, as they
 * do, and by the time since then, which nobody can set.
 *
 * One slot for each entry of the table, at the same place, of a size that no write of it is seen in
 * part after the process was killed. Not synced: after a power failure nobody needs it.
 */
#ifndef WAYLEAVE_MONITOR_PIN_FILE_H
#define WAYLEAVE_MONITOR_PIN_FILE_H

#include "base/boot_id.h"
#include "base/error.h"
#include "policy/pinned.h"

struct pin_file {
	int fd; /* -1: there is none */
	char boot[BOOT_ID_SIZE]; /* the kernel's id of this boot, zeroes behind */
	bool failed; /* the last write, which was logged */
};

/* Puts what is still good at `now` (monotonic) into the empty table, and writes the file anew. What
 * can't be read is left out. An error, with a sentence: the file can't be had; `ret` is closed. */
int pin_file_open(struct pin_file *ret, const char *path, struct pinned_table *table, uint64_t now,
	struct error *e);
void pin_file_close(struct pin_file *f);
/* Entry `at` of the table has changed. Negative errno: the next daemon won't know of it. Without a
 * file there is nothing to do. */
int pin_file_put(struct pin_file *f, const struct pinned_table *table, uint32_t at);

#endif
