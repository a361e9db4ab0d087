/* SPDX-License-Identifier: Apache-2.0
 *
 * process: what /proc says of the process behind a connection, checked against what the kernel said
 * when it connected: a process that has gone, or another one with its number, is unknown.
 */
#ifndef WAYLEAVE_MONITOR_PROCESS_H
#define WAYLEAVE_MONITOR_PROCESS_H

#include <stddef.h>

#include "base/buffer.h"
#include "monitor/messages.h"
#include "monitor/program_hash.h"

/* Its folder in /proc, for close(): what is read there later is no other process's. -ESRCH: it is
 * not that process any more, or in no cgroup of this pattern. */
int process_open(const struct message_process *process, const char *cgroup);
/* Whether what was read in that folder so far was read of this program: 0 or -ESRCH, others. */
int process_check(int folder, const struct message_process *process);

/* The path of its program in `ret` (room for `size`). 0: the program stands there; 1: seen from
 * here it does not, as the process has mounts of its own or the file is gone; -ESRCH: it is not
 * that process any more. */
int process_program(const struct message_process *process, char *ret, size_t size);

/* The rest of what is known of it: `ret` but for its session, and in `texts` the arguments, then
 * the parents, as struct message_facts says. Its parents are those that are in, or below, the
 * cgroup of that pattern. May take as long as the process likes, which has its arguments in memory
 * of its own: for threads that may stand still. -ESRCH as above, others. */
int process_read(const struct message_process *process, const char *cgroup,
	struct program_hashes *hashes, struct message_facts *ret, struct buffer *texts);

#endif
