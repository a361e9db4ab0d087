/* SPDX-License-Identifier: Apache-2.0
 *
 * privileges: what a process gives up before it reads the first byte of a peer.
 */
#ifndef WAYLEAVE_BASE_PRIVILEGES_H
#define WAYLEAVE_BASE_PRIVILEGES_H

#include <sys/types.h>

#include "base/error.h"

/* Another user, no capabilities, no new privileges, not dumpable, no core file. Before threads are
 * started. */
int privileges_drop(uid_t uid, gid_t gid, struct error *e);

#endif
