/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox: the system calls that a worker keeps. Its privileges are gone by then
 * (base/privileges.h).
 */
#ifndef WAYLEAVE_WORKER_SANDBOX_H
#define WAYLEAVE_WORKER_SANDBOX_H

#include "base/error.h"

/* The system calls that the loop and its threads need, and no others; for all threads. What the
 * ring does is restricted by the ring (ring.h), since no filter sees it. */
int sandbox_filter(struct error *e);

#endif
