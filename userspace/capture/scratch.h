/* SPDX-License-Identifier: Apache-2.0
 *
 * scratch: an agent of the daemon's own, CAPTURE_SELFTEST_AGENT, in which it tries what agents can
 * do. One at a time.
 */
#ifndef WAYLEAVE_CAPTURE_SCRATCH_H
#define WAYLEAVE_CAPTURE_SCRATCH_H

#include "capture/capture.h"

/* Hooks and rules are there; the cgroup's folder is the caller's to close. */
int scratch_open(struct capture *c, int *ret_fd, uint64_t *ret_cgroup, struct error *e);
/* Once nobody is in it any more. */
void scratch_close(struct capture *c);

#endif
