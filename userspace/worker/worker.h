/* SPDX-License-Identifier: Apache-2.0
 *
 * worker: the unprivileged process that holds agents' sessions. One thread, one ring; nothing in
 * its loop blocks. The monitor starts it, gives it its listening sockets and the compiled policy,
 * and answers what needs privileges.
 */
#ifndef WAYLEAVE_WORKER_WORKER_H
#define WAYLEAVE_WORKER_WORKER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/identifier.h"

#define WORKER_LISTENERS_MOST 4
#define WORKER_EPOCHS 4096 /* counters shared by all workers, one per database by hash */

#define SHARE_SLOTS 2048u /* agents since the daemon was started */
#define SHARE_WORKERS 512u

/* What agents have had of all workers (worker/share.h). A second's worth is free at once; each use
 * moves the time up to which the agent has had its share. */
struct share_table {
	struct {
		_Atomic uint32_t agent; /* 0: free */
		_Atomic uint64_t begun, moved; /* monotonic, nanoseconds */
	} slots[SHARE_SLOTS];
	_Atomic uint32_t sessions[SHARE_WORKERS][SHARE_SLOTS];
};

/* What the monitor prepares; the worker's process reads it from a descriptor. */
struct worker_start {
	unsigned index;
	struct identifier incarnation;
	int channel; /* SOCK_SEQPACKET, non-blocking */
	int listeners[WORKER_LISTENERS_MOST];
	unsigned listener_count;
	int packets,
		verdicts; /* of flows of datagrams (capture/queue.h); -1: another one has them */
	int epochs_fd; /* WORKER_EPOCHS counters of 64 bits in shared memory */
	int grants_fd; /* struct grant_table (approval/grant.h) in shared memory, sealed */
	int pinned_fd; /* struct pinned_table (policy/pinned.h) in shared memory, sealed */
	int shares_fd; /* struct share_table in shared memory */
	uint8_t hash_key[32]; /* of MASK_HASH; wiped by nobody: it is the worker's */
	uint8_t host_ca[32]; /* SHA-256 of the host's CA, which no server may have */
	uint32_t selftest_agent; /* whose connections only prove that origins arrive */
	uid_t uid;
	gid_t gid;
};

/* Becomes the worker; never returns. `fd` holds a struct worker_start; the process has been
 * executed anew and has no other descriptors than those that it names. */
void worker_main(int fd) __attribute__((noreturn));

#endif
