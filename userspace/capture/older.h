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
 * made in one of the cgroups (paths relative to the root) or below; listening sockets stay. All
 * threads of the host are looked at once, however many cgroups there are. After the
 * hooks and the guard are in force, so that none is made meanwhile. -EOPNOTSUPP: the kernel can't
 * (CONFIG_INET_DIAG_DESTROY), and there are some. */
int older_abort(
	const struct cgroup_root *root, const char *const *cgroups, size_t count, struct error *e);

#endif
