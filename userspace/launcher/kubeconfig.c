/* SPDX-License-Identifier: Apache-2.0
 *
 * kubeconfig: clients of Kubernetes trust the CAs that their kubeconfig carries, and no others
 * (trap D2): the command sees its own files with the host's CA beside them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/kubeconfig_text.h"
#include "base/memory.h"
#include "launcher/snapshot.h"
#include "launcher/user_file.h"

#define FILES_MOST 16
#define IN_POD "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
#define OWN_FOLDER "/.kube/"

struct shower {
	struct caller user;
	struct slice ca; /* the host's, PEM */
	unsigned files; /* that were looked at */
	dev_t snapshots[FILES_MOST]; /* that were made of their folders */
	unsigned snapshot_count;
};

/* As long as there are not too many. */
static int find(
	struct shower *s, const char *path, struct user_file *f, bool *ret_there, struct error *e)
{
	return user_file_find(&s->user, s->files++ < FILES_MOST ? path : "", f, ret_there, e);
}

static int failed(int r, const char *path, struct error *e)
{
	return r < 0 ? error_set_errno(e, r, "showing %s with the host's CA", path) : 0;
}

/* Another of these files is in the same folder. */
static bool is_in_snapshot(const struct shower *s, const struct user_file *f)
{
	struct stat folder;
	bool found = false;

	if (fstat(f->folder, &folder) < 0)
		return false;
	for (unsigned i = 0; i < s->snapshot_count; i++)
		found |= s->snapshots[i] == folder.st_dev;
	return found;
}

/* Nothing else is written into such a folder that is to be found there later. */
static bool is_in_own_folder(const char *path, const struct user_file *f)
{
	return user_file_is_in(path, OWN_FOLDER, f) || user_file_is_below(path, OWN_FOLDER, f);
}

static int put(struct shower *s, const char *path, const struct user_file *f, struct slice content)
{
	struct snapshot_like like;
	int r;

	if (!user_file_can_cover(f))
		return 0;
	like = user_file_like(f);
	if (!is_in_own_folder(path, f) || !user_file_can_list(f))
		return snapshot_put_on(f->folder, f->fd, &like, content);
	if (is_in_snapshot(s, f))
		return snapshot_put_in(f->folder, user_file_name(path), &like, content);
	if (s->snapshot_count == FILES_MOST)
		return -E2BIG;
	r = snapshot_put_with(
		f->folder, user_file_name(path), &like, content, &s->snapshots[s->snapshot_count]);
	if (r == 0)
		s->snapshot_count++;
	return r;
}

/* A file of CAs. */
static int show_bundle(struct shower *s, const char *path, struct error *e)
{
	struct user_file f;
	bool there;
	int r = find(s, path, &f, &there, e);

	if (r == 0 && there &&
		memmem(f.content.data, buffer_length(&f.content), "-----BEGIN ", 11)) {
		r = buffer_append_byte(&f.content, '\n');
		if (r == 0)
			r = buffer_append_slice(&f.content, s->ca);
		if (r == 0)
			r = put(s, path, &f, buffer_slice(&f.content));
		r = failed(r, path, e);
	}
	user_file_done(&f);
	return r;
}

/* Those that a kubeconfig names, relative to its folder. */
static int show_named(struct shower *s, const char *path, struct slice text, struct error *e)
{
	struct slice named;
	int r = 0;

	while (r == 0 && kubeconfig_next_ca_file(&text, &named)) {
		int folder = (int)(user_file_name(path) - path);
		char *file;

		if (named.length == 0 || named.length >= PATH_MAX ||
			memchr(named.data, 0, named.length))
			continue;
		file = named.data[0] == '/'
			? memory_copy_text(named.data, named.length)
			: memory_format("%.*s%.*s", folder, path, SLICE_PRINT(named));
		r = show_bundle(s, file, e);
		free(file);
	}
	return r;
}

static int show_config(struct shower *s, const char *path, struct error *e)
{
	struct buffer changed;
	struct user_file f;
	bool there;
	int r = find(s, path, &f, &there, e);

	buffer_init(&changed, 4 * USER_FILE_MOST);
	if (r == 0 && there) {
		unsigned before = s->snapshot_count;

		r = show_named(s, path, buffer_slice(&f.content), e);
		/* Its folder may be another one now. */
		if (r == 0 && s->snapshot_count != before) {
			user_file_done(&f);
			r = user_file_find(&s->user, path, &f, &there, e);
		}
		if (r == 0 && there &&
			kubeconfig_add_ca(buffer_slice(&f.content), s->ca, &changed) > 0)
			r = failed(put(s, path, &f, buffer_slice(&changed)), path, e);
	}
	buffer_wipe(&changed);
	user_file_done(&f);
	return r;
}

/* One without a CA is as it was, but where another's folder became a snapshot, in which it is a
 * mount: it is an ordinary file there, too. */
static int show_beside(struct shower *s, const char *path, struct error *e)
{
	struct stat folder;
	struct user_file f;
	bool there;
	int r = find(s, path, &f, &there, e);

	if (r == 0 && there && is_in_own_folder(path, &f) && is_in_snapshot(s, &f) &&
		fstat(f.folder, &folder) == 0 && folder.st_dev != f.s.st_dev) {
		const struct snapshot_like like = user_file_like(&f);

		r = failed(snapshot_put_in(
				   f.folder, user_file_name(path), &like, buffer_slice(&f.content)),
			path, e);
	}
	user_file_done(&f);
	return r;
}

/* The host's own, which stands last in what is trusted. */
static struct slice last_certificate(struct slice bundle)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	struct slice last = SLICE_EMPTY, rest = bundle;

	while (rest.length) {
		const uint8_t *found = memmem(rest.data, rest.length, begin, sizeof(begin) - 1);

		if (!found)
			break;
		last = slice_from(rest, (size_t)(found - rest.data));
		rest = slice_from(last, 1);
	}
	return last;
}

/* Those of $KUBECONFIG, which may be relative to where the command begins. */
static int show_listed(struct shower *s, const char *list,
	int (*show)(struct shower *s, const char *path, struct error *e), struct error *e)
{
	char *paths = memory_copy_string(list), *rest = paths, *folder = getcwd(NULL, 0), *path;
	int r = 0;

	s->files = 0;
	while (r == 0 && (path = strsep(&rest, ":"))) {
		char *whole = NULL;

		if (*path == '/')
			whole = memory_copy_string(path);
		else if (*path && folder)
			whole = memory_format("%s/%s", folder, path);
		if (whole)
			r = show(s, whole, e);
		free(whole);
	}
	free(folder);
	free(paths);
	return r;
}

static int show_all(
	struct shower *s, char *const *environment, const struct run_plan *plan, struct error *e)
{
	const char *list = environment_get(environment, "KUBECONFIG");
	const char *home = user_file_home(environment, plan);
	char *own = memory_format("%s/.kube/config", home ? home : "");
	int r = show_bundle(s, IN_POD, e);

	if (!list || !*list)
		list = own;
	if (r == 0)
		r = show_listed(s, list, show_config, e);
	if (r == 0 && strcmp(list, own) != 0 && own[0] == '/')
		r = show_config(s, own, e);
	if (r == 0)
		r = show_listed(s, list, show_beside, e);
	if (r == 0 && strcmp(list, own) != 0 && own[0] == '/')
		r = show_beside(s, own, e);
	free(own);
	return r;
}

int kubeconfig_show(char *const *environment, const struct run_plan *plan, const struct caller *c,
	struct error *e)
{
	struct shower s = {.files = 0};
	struct working_folder folder;
	struct buffer bundle;
	bool has_folder, entered;
	int r = 0;

	if (!*plan->trust_file)
		return 0;
	has_folder = working_folder_find(&folder) == 0;
	buffer_init(&bundle, 17u << 20);
	r = file_read(plan->trust_file, &bundle, e);
	s.ca = last_certificate(buffer_slice(&bundle));
	if (r == 0)
		r = user_file_begin(plan, c, &s.user, e);
	if (r == 0 && s.ca.length)
		r = show_all(&s, environment, plan, e);
	/* The command begins in the folder as it is shown, should that be the one of its
	 * kubeconfig.
	 */
	if (r == 0 && has_folder && s.snapshot_count)
		r = working_folder_enter(&folder, s.snapshots, s.snapshot_count, c, &entered, e);
	buffer_done(&bundle);
	return r;
}
