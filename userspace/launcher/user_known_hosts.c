/* SPDX-License-Identifier: Apache-2.0
 *
 * user_known_hosts: libraries of SSH that don't read the system's file know hosts by the user's
 * alone (trap C4). The command sees its own, with what the system's says, as it is shown to it,
 * before it: they take the first key of a kind. It is read where the daemon has it: a host without
 * OpenSSH has no /etc/ssh in which it could be shown.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "launcher/snapshot.h"
#include "launcher/user_file.h"

#define OWN_FOLDER "/.ssh/"
#define HOSTS_MOST (18u << 20) /* more than the daemon writes */

/* The filesystem that the folder of the file became, should it become one. */
struct cover {
	dev_t device;
	size_t count; /* 0 or 1 */
};

/* Also a new one, where the user has the folder and no such file yet. */
static int put(const char *path, const struct caller *user, const struct user_file *f, bool there,
	struct slice content, struct cover *ret)
{
	const struct snapshot_like new = {
		{.st_mode = S_IFREG | 0600, .st_uid = user->uid, .st_gid = user->gid}, -1};
	const struct snapshot_like like = there ? user_file_like(f) : new;
	int r;

	if (f->folder < 0 || (!there && f->fd >= 0) || !user_file_can_cover(f))
		return 0;
	if (!user_file_can_list(f) || (there && !user_file_is_in(path, OWN_FOLDER, f)))
		return there ? snapshot_put_on(f->folder, f->fd, &like, content) : 0;
	r = snapshot_put_with(f->folder, user_file_name(path), &like, content, &ret->device);
	if (r == 0)
		ret->count = 1;
	return r;
}

static int show(const char *path, const struct caller *user, struct buffer *hosts,
	struct cover *ret, struct error *e)
{
	struct user_file f;
	bool there;
	int r = user_file_find(user, path, &f, &there, e);

	if (r < 0) {
		user_file_done(&f);
		return r;
	}
	if (there)
		r = buffer_append_byte(hosts, '\n');
	if (r == 0 && there)
		r = buffer_append_slice(hosts, buffer_slice(&f.content));
	if (r == 0)
		r = put(path, user, &f, there, buffer_slice(hosts), ret);
	user_file_done(&f);
	return r < 0 ? error_set_errno(e, r, "showing %s with the hosts' keys", path) : 0;
}

static const char *source_of(const struct run_plan *plan)
{
	for (size_t i = 0; i < plan->shown_count; i++) {
		if (strcmp(plan->shown[i].target, RUN_PLAN_KNOWN_HOSTS) == 0)
			return plan->shown[i].source;
	}
	return NULL;
}

int user_known_hosts_read(const struct run_plan *plan, struct buffer *ret, struct error *e)
{
	const char *source = plan->flags & RUN_PLAN_USER_KNOWN_HOSTS ? source_of(plan) : NULL;

	int r;

	buffer_init(ret, HOSTS_MOST);
	r = source ? file_read(source, ret, e) : 0;
	return r == -ENOENT ? 0 : r; /* as with all that a plan shows */
}

int user_known_hosts_show(char *const *environment, const struct run_plan *plan,
	const struct caller *c, struct buffer *hosts, struct error *e)
{
	const char *home = user_file_home(environment, plan);
	struct cover cover = {.count = 0};
	struct working_folder folder;
	bool has_folder, entered;
	struct caller user;
	char *path;
	int r;

	if (buffer_length(hosts) == 0 || buffer_length(hosts) > USER_FILE_MOST || !home ||
		home[0] != '/')
		return 0;
	path = memory_format("%s/.ssh/known_hosts", home);
	has_folder = working_folder_find(&folder) == 0;
	r = user_file_begin(plan, c, &user, e);
	if (r == 0)
		r = show(path, &user, hosts, &cover, e);
	/* The command begins in the folder as it is shown, should it be this one. */
	if (r == 0 && has_folder && cover.count)
		r = working_folder_enter(&folder, &cover.device, cover.count, c, &entered, e);
	free(path);
	return r;
}
