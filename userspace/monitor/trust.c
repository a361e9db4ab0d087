/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/trust_store.h"
#include "monitor/trust_file.h"

#define BUNDLE_MOST (16u << 20)

/* What a bundle is made of. */
struct source {
	const char *path; /* NULL: there is none */
	int fd;
	bool pinned;
};

static bool is_newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

static bool ends_with(struct slice text, struct slice end)
{
	return text.length >= end.length &&
		slice_equal(slice_from(text, text.length - end.length), end);
}

/* Whether the bundle holds the system's store as it is, and this CA at its end. What is pinned is
 * read each time: a name may lead to an older file than before. */
static bool is_current(const char *file, const struct source *source, struct slice host_ca)
{
	struct stat ours, theirs;
	struct buffer content;
	struct error e;
	bool same;

	if (source->pinned || stat(file, &ours) < 0 ||
		(source->path && (fstat(source->fd, &theirs) < 0 || is_newer(&theirs, &ours))))
		return false;
	buffer_init(&content, BUNDLE_MOST);
	same = file_read(file, &content, &e) == 0 && ends_with(buffer_slice(&content), host_ca);
	buffer_done(&content);
	return same;
}

static bool holds(const char *file, struct slice wanted)
{
	struct buffer content;
	struct error e;
	bool same;

	buffer_init(&content, BUNDLE_MOST);
	same = file_read(file, &content, &e) == 0 && slice_equal(buffer_slice(&content), wanted);
	buffer_done(&content);
	return same;
}

static int read_source(const struct source *source, struct buffer *ret)
{
	struct buffer text;
	int r;

	if (!source->pinned)
		return file_read_descriptor(source->fd, ret);
	buffer_init(&text, BUNDLE_MOST);
	r = file_read_descriptor(source->fd, &text);
	if (r == 0)
		r = trust_file_take_certificates(buffer_slice(&text), ret);
	buffer_wipe(&text);
	return r;
}

static int write_bundle(
	const char *file, const struct source *source, struct slice host_ca, struct error *e)
{
	struct buffer content;
	int r = 0;

	buffer_init(&content, BUNDLE_MOST);
	if (source->path)
		r = read_source(source, &content);
	if (r < 0)
		r = error_set_errno(e, r, "%s", source->path);
	if (r == 0 &&
		(buffer_append_byte(&content, '\n') < 0 ||
			buffer_append_slice(&content, host_ca) < 0))
		r = error_set(e, -E2BIG, "%s is too large", source->path ? source->path : file);
	if (r == 0 && !(source->pinned && holds(file, buffer_slice(&content))))
		r = file_write(file, buffer_slice(&content), 0644, e);
	buffer_done(&content);
	return r;
}

static int update(const char *runtime_dir, const char *name, const struct source *source,
	struct slice host_ca, struct error *e)
{
	char *folder = memory_format("%s/" TRUST_FOLDER, runtime_dir);
	char *file = memory_format("%s/%s", folder, name);
	int r = 0;

	if (source->path && source->fd < 0)
		r = error_set_errno(e, source->fd, "%s", source->path);
	else if (!is_current(file, source, host_ca)) {
		r = file_make_folders(folder, 0755, e);
		if (r == 0)
			r = write_bundle(file, source, host_ca, e);
	}
	if (source->fd >= 0)
		close(source->fd);
	free(folder);
	free(file);
	return r;
}

int trust_update(const char *runtime_dir, struct slice host_ca, struct error *e)
{
	const char *path = trust_store_find();
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
	const struct source source = {.path = path, .fd = fd < 0 && path ? -errno : fd};

	return update(runtime_dir, TRUST_FILE, &source, host_ca, e);
}

int trust_pin(const char *runtime_dir, const char *name, const char *pinned, struct slice host_ca,
	struct error *e)
{
	const struct source source = {
		.path = pinned, .fd = trust_file_open(pinned), .pinned = true};

	return update(runtime_dir, name, &source, host_ca, e);
}
