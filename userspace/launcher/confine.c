/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up: users and groups, capabilities (also those that a program could get by exec), new
 * privileges, and with them the ways by which the command could act outside its agent.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/launcher.h"

/* linux/landlock.h of kernel 6.12; Debian 12's ends at the first field. */
struct landlock_rules {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};
#define LANDLOCK_SCOPED_ABSTRACT_SOCKET (1ULL << 0)
#define LANDLOCK_SCOPED_SIGNAL (1ULL << 1)
#define LANDLOCK_ABI_SCOPED 6
#define LANDLOCK_ABI_REFER 2

static int landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* Allows below "/" what the rules handle, so that they restrict nothing. */
static int allow_everywhere(int rules, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = access};
	int r;

	beneath.parent_fd = open("/", O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return -errno;
	r = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) < 0
		? -errno
		: 0;
	close(beneath.parent_fd);
	return r;
}

/* A domain is wanted, not its rules: a process inside can't trace one outside, nor read its memory
 * or go through its /proc/PID/root and cwd. Rules about signals alone, and about sockets without a
 * path, which no mount hides, come with kernel 6.12;
 * before, only rules about files make a domain, which costs mount(2). Referring (link and rename
 * across folders) has to be handled, or it is refused. */
int confine_landlock(int abi, struct error *e)
{
	struct landlock_rules rules = {0};
	size_t size = sizeof(rules.handled_access_fs);
	int fd, r = 0;

	if (abi < LANDLOCK_ABI_REFER)
		return 0;
	if (abi >= LANDLOCK_ABI_SCOPED) {
		rules.scoped = LANDLOCK_SCOPED_SIGNAL | LANDLOCK_SCOPED_ABSTRACT_SOCKET;
		size = sizeof(rules);
	} else {
		rules.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return error_set_errno(e, -errno, "Landlock");
	if (rules.handled_access_fs)
		r = allow_everywhere(fd, rules.handled_access_fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	close(fd);
	return r < 0 ? error_set_errno(e, r, "Landlock") : 0;
}

/* Groups first, while there is the right to. */
static int become_user(const struct run_plan *plan, const struct caller *c)
{
	bool keep = plan->flags & RUN_PLAN_KEEP_USER;
	uid_t uid = run_user(plan, c);
	gid_t gid = keep ? c->gid : plan->gid;

	if (!keep && setgroups(plan->group_count, plan->groups) < 0)
		return -errno;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

/* The bounding set needs a capability to be emptied, so it goes first; user 0 would get the whole
 * of it back at exec. The others go last. */
static int drop_capabilities(capng_select_t which)
{
	capng_clear(CAPNG_SELECT_ALL);
	return capng_apply(which) < 0 ? -EPERM : 0;
}

/* Not by what was called, but by what is. */
static bool has_privilege(const struct run_plan *plan, const struct caller *c)
{
	uid_t uid = run_user(plan, c);
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) < 0 || real != uid || effective != uid ||
		saved != uid)
		return true;
	return capng_get_caps_process() < 0 ||
		capng_have_capabilities(CAPNG_SELECT_ALL) != CAPNG_NONE ||
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}

int confine(const struct run_plan *plan, const struct caller *c, struct error *e)
{
	int r = drop_capabilities(CAPNG_SELECT_BOUNDS);

	if (r == 0)
		r = become_user(plan, c);
	if (r == 0)
		r = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
	if (r == 0)
		r = drop_capabilities(CAPNG_SELECT_CAPS);
	if (r == 0)
		r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	if (r < 0)
		return error_set_errno(e, r, "giving up privileges");
	if (has_privilege(plan, c))
		return error_set(e, -EPERM, "privileges could not be given up");
	if (plan->flags & RUN_PLAN_LANDLOCK)
		r = confine_landlock(landlock_abi(), e);
	return r < 0 ? r : confine_system_calls(plan->flags & RUN_PLAN_DENY_IO_URING, e);
}
