/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox: what a worker keeps beside what it has open. Its privileges are gone by then
 * (base/privileges.h).
 */
#ifndef WAYLEAVE_WORKER_SANDBOX_H
#define WAYLEAVE_WORKER_SANDBOX_H

#include "base/error.h"

/* Before threads are started, as far as the kernel has Landlock (base/landlock.h): from now on no
 * file is opened, and no port listened on. A ring's requests and a filter's gaps stay inside of it.
 */
int sandbox_shut(struct error *e);

/* The system calls that the loop and its threads need, and no others; for all threads. What the
 * ring does is restricted by the ring (ring.h), since no filter sees it. */
int sandbox_filter(struct error *e);

#endif
