/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up: users and groups, capabilities (also those that a program could get by exec), new
 * privileges, and with them the ways by which the command could act outside its agent.
 */
#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/landlock.h"
#include "launcher/launcher.h"

/* A domain is wanted, not its rules: a process inside can't trace one outside, nor read its memory
 * or go through its /proc/PID/root and cwd. Rules about signals alone, and about sockets without a
 * path, which no mount hides, come with kernel 6.12;
 * before, only rules about files make a domain, which costs mount(2). Referring (link and rename
 * across folders) has to be handled, or it is refused. */
int confine_landlock(int version, struct error *e)
{
	static const struct landlock_rules apart = {
		.scopes = LANDLOCK_SCOPE_SIGNAL | LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET};
	static const struct landlock_rules older = {
		.files = LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER};

	if (version < LANDLOCK_VERSION_REFER)
		return 0;
	return version >= LANDLOCK_VERSION_SCOPES ? landlock_enter(&apart, 0, e)
						  : landlock_enter(&older, older.files, e);
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
		r = confine_landlock(landlock_version(), e);
	return r < 0 ? r : confine_system_calls(plan->flags & RUN_PLAN_DENY_IO_URING, e);
}
