/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/trust.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/trust_store.h"

#define BUNDLE_MOST (16u << 20)

static bool is_newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

/* Whether the bundle holds the system's store as it is, and this CA at its end. */
static bool is_current(const char *file, const char *system, struct slice host_ca)
{
	struct stat ours, theirs;
	struct buffer content;
	struct error e;
	bool same = false;

	if (stat(file, &ours) < 0 ||
		(system && (stat(system, &theirs) < 0 || is_newer(&theirs, &ours))))
		return false;
	buffer_init(&content, BUNDLE_MOST);
	if (file_read(file, &content, &e) == 0 && buffer_length(&content) >= host_ca.length)
		same = slice_equal(host_ca,
			slice_from(
				buffer_slice(&content), buffer_length(&content) - host_ca.length));
	buffer_done(&content);
	return same;
}

static int write_bundle(const char *file, const char *system, struct slice host_ca, struct error *e)
{
	struct buffer content;
	int r = 0;

	buffer_init(&content, BUNDLE_MOST);
	if (system)
		r = file_read(system, &content, e);
	if (r == 0 &&
		(buffer_append_byte(&content, '\n') < 0 ||
			buffer_append_slice(&content, host_ca) < 0))
		r = error_set(e, -E2BIG, "%s is too large", system ? system : file);
	if (r == 0)
		r = file_write(file, buffer_slice(&content), 0644, e);
	buffer_done(&content);
	return r;
}

/* `source`: NULL: there is none. */
static int update(const char *runtime_dir, const char *name, const char *source,
	struct slice host_ca, struct error *e)
{
	char *folder = memory_format("%s/" TRUST_FOLDER, runtime_dir);
	char *file = memory_format("%s/%s", folder, name);
	int r = 0;

	if (!is_current(file, source, host_ca)) {
		r = file_make_folders(folder, 0755, e);
		if (r == 0)
			r = write_bundle(file, source, host_ca, e);
	}
	free(folder);
	free(file);
	return r;
}

int trust_update(const char *runtime_dir, struct slice host_ca, struct error *e)
{
	return update(runtime_dir, TRUST_FILE, trust_store_find(), host_ca, e);
}

int trust_pin(const char *runtime_dir, const char *name, const char *pinned, struct slice host_ca,
	struct error *e)
{
	return update(runtime_dir, name, pinned, host_ca, e);
}
