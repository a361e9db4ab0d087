/* SPDX-License-Identifier: Apache-2.0
 *
 * program_hash: the SHA-256 of the program that a process runs, remembered by its file for as long
 * as nothing about that changes. For several threads.
 */
#ifndef WAYLEAVE_MONITOR_PROGRAM_HASH_H
#define WAYLEAVE_MONITOR_PROGRAM_HASH_H

#include <pthread.h>
#include <sys/types.h>
#include <time.h>

#include "base/limits.h"
#include "monitor/messages.h"

/* What tells a file, and a state of it: its ctime no user can set. */
struct program_file {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct program_hashes {
	pthread_mutex_t mutex;
	struct {
		struct program_file file; /* size 0: none */
		uint8_t hash[MESSAGE_HASH_SIZE];
	} known[LIMIT_PROGRAMS_KNOWN];
	unsigned next; /* whose place is taken next */
};

void program_hashes_init(struct program_hashes *h);
/* Of the process whose folder of /proc that is. Negative errno: its program is another one than
 * `process` says, is too large, or changed while it was read. */
int program_hash(struct program_hashes *h, int folder, const struct message_process *process,
	uint8_t ret[MESSAGE_HASH_SIZE]);

#endif
