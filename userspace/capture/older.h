/* SPDX-License-Identifier: Apache-2.0
 *
 * older: connections that a cgroup had before the hooks were on it (bypass B11). The guard rejects
 * what of them leaves the host; on loopback it can't tell them from what was let through.
 */
#ifndef WAYLEAVE_CAPTURE_OLDER_H
#define WAYLEAVE_CAPTURE_OLDER_H

#include "base/error.h"
#include "capture/cgroup.h"

/* Aborts the TCP connections, in the network namespaces of namespace_each(), of sockets that were
 * made in the cgroup (a path relative to the root) or below it; listening sockets stay. After the
 * hooks and the guard are in force, so that none is made meanwhile. -EOPNOTSUPP: the kernel can't
 * (CONFIG_INET_DIAG_DESTROY), and there are some. */
int older_abort(const struct cgroup_root *root, const char *cgroup, struct error *e);

#endif
