/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox: what a worker gives up before it reads the first byte of a peer.
 */
#ifndef WAYLEAVE_WORKER_SANDBOX_H
#define WAYLEAVE_WORKER_SANDBOX_H

#include <sys/types.h>

#include "base/error.h"

/* Another user, no capabilities, no new privileges, not dumpable. Before threads are started. */
int sandbox_drop(uid_t uid, gid_t gid, struct error *e);
/* The system calls that the loop and its threads need, and no others; for all threads. What the
 * ring does is restricted by the ring (ring.h), since no filter sees it. */
int sandbox_filter(struct error *e);

#endif
