/* SPDX-License-Identifier: Apache-2.0
 *
 * Entering the agent's cgroup: before exec, and before the command can make a socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "launcher/launcher.h"

/* In another mount namespace than the monitor's something else may stand at the path. */
static int check(int folder, const struct run_plan *plan)
{
	struct statfs system;
	struct stat s;

	if (fstatfs(folder, &system) < 0 || fstat(folder, &s) < 0)
		return -errno;
	return system.f_type == CGROUP2_SUPER_MAGIC && s.st_ino == plan->cgroup ? 0 : -ESTALE;
}

static int enter(const struct run_plan *plan)
{
	int folder = open(plan->cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int procs = -1, r;

	if (folder < 0)
		return -errno;
	r = check(folder, plan);
	if (r == 0) {
		procs = openat(folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		r = procs < 0 || write(procs, "0", 1) < 0 ? -errno : 0;
	}
	if (procs >= 0)
		close(procs);
	close(folder);
	return r;
}

int enter_cgroup(const struct run_plan *plan, struct error *e)
{
	int r = enter(plan);

	return r < 0 ? error_set_errno(e, r, "entering the agent's cgroup %s", plan->cgroup_path)
		     : 0;
}
