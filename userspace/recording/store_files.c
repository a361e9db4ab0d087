/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to recordings once they are finished: compression and deletion. Each is a record of
 * the audit log before it happens.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/memory.h"
#include "recording/store_internal.h"

#define TEMPORARY_SUFFIX ".new"

/* Whether a live worker may still append to it. */
static bool is_in_use(struct store *s, const struct segment_name *name)
{
	struct store_stream *stream = store_find_stream(s, &name->incarnation, name->kind);

	/* A head of a newer segment is reported once the older one is synced and closed. */
	return stream && name->segment >= stream->head.segment;
}

static void temporary_name(const struct segment_name *name, char ret[SEGMENT_NAME_SIZE + 8])
{
	struct segment_name compressed = *name;
	char text[SEGMENT_NAME_SIZE];

	compressed.compressed = true;
	segment_name_format(&compressed, text);
	snprintf(ret, SEGMENT_NAME_SIZE + 8, "%s%s", text, TEMPORARY_SUFFIX);
}

static int job_open(struct store *s, const struct segment_name *name, struct compress_job *ret)
{
	char temporary[SEGMENT_NAME_SIZE + 8];
	struct compress_job job = {.name = *name};

	temporary_name(name, temporary);
	job.fd_in = segment_open(s->recordings_folder, name);
	if (job.fd_in < 0)
		return job.fd_in;
	/* One that a crash left is written anew. */
	job.fd_out = openat(s->recordings_folder, temporary,
		O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (job.fd_out < 0) {
		int r = -errno;

		close(job.fd_in);
		return r;
	}
	*ret = job;
	return 1;
}

/* Plain and compressed stand side by side only after a crash between rename and unlink. */
static void unlink_plain(struct store *s, const struct segment_name *name)
{
	struct segment_name plain = *name;
	char text[SEGMENT_NAME_SIZE];

	plain.compressed = false;
	segment_name_format(&plain, text);
	unlinkat(s->recordings_folder, text, 0);
}

static bool is_refused(const struct store *s, const struct segment_name *name)
{
	for (size_t i = 0; i < s->refused_count; i++) {
		if (segment_is_same_stream(&s->refused[i], name) &&
			s->refused[i].segment == name->segment)
			return true;
	}
	return false;
}

static bool is_to_be_compressed(struct store *s, const struct segment_file *file)
{
	return file->name.kind == STREAM_RECORDING && !file->name.compressed &&
		file->size <= LIMIT_SEGMENT_BYTES && !is_in_use(s, &file->name) &&
		!is_refused(s, &file->name);
}

int store_next_compression(struct store *s, struct compress_job *ret)
{
	struct segment_list files;
	int r = segment_list_load(&files, s->recordings_folder, NULL);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < files.count; i++) {
		const struct segment_file *file = &files.files[i];
		bool twice = i + 1 < files.count && files.files[i + 1].duplicate;

		if (twice)
			unlink_plain(s, &file->name);
		else if (is_to_be_compressed(s, file))
			r = job_open(s, &file->name, ret);
	}
	segment_list_done(&files);
	return r;
}

static int job_install(struct store *s, const struct compress_job *job,
	const struct compress_result *result, const char *temporary)
{
	struct segment_name compressed = job->name;
	char text[SEGMENT_NAME_SIZE];
	struct stat plain;
	int r;

	compressed.compressed = true;
	segment_name_format(&compressed, text);
	if (fstat(job->fd_in, &plain) < 0)
		return -errno;
	/* Retention has deleted it meanwhile. */
	if (plain.st_nlink == 0)
		return -ENOENT;
	if ((uint64_t)plain.st_size != result->plain_bytes)
		return -EBUSY;
	/* Retention goes by when it was recorded. */
	if (futimens(job->fd_out, (struct timespec[]){plain.st_atim, plain.st_mtim}) < 0 ||
		fsync(job->fd_out) < 0)
		return -errno;
	r = store_note_segment(s, HOST_COMPRESSED, &job->name, result->plain_bytes, result->digest);
	if (r < 0)
		return r;
	if (renameat(s->recordings_folder, temporary, s->recordings_folder, text) < 0 ||
		fsync(s->recordings_folder) < 0)
		return -errno;
	unlink_plain(s, &job->name);
	return 0;
}

int store_finish_compression(
	struct store *s, struct compress_job *job, const struct compress_result *result)
{
	char temporary[SEGMENT_NAME_SIZE + 8];
	int r = -ECANCELED;

	temporary_name(&job->name, temporary);
	if (result)
		r = job_install(s, job, result, temporary);
	if (r < 0) {
		unlinkat(s->recordings_folder, temporary, 0);
		s->refused =
			memory_resize_array(s->refused, s->refused_count + 1, sizeof(*s->refused));
		s->refused[s->refused_count++] = job->name;
	}
	close(job->fd_in);
	close(job->fd_out);
	return r;
}

static int delete_segment(struct store *s, const struct segment_file *file)
{
	char text[SEGMENT_NAME_SIZE];
	int r = store_note_segment(s, HOST_DELETED, &file->name, file->size, NULL);

	if (r < 0)
		return r;
	segment_name_format(&file->name, text);
	return unlinkat(s->recordings_folder, text, 0) < 0 ? -errno : 0;
}

int store_enforce_retention(struct store *s, const struct retention_policy *policy,
	char ret_warning[RETENTION_WARNING_SIZE])
{
	struct retention_report report;
	struct retention_file *plan, **order;
	struct segment_list files;
	struct statvfs file_system;
	uint64_t now = s->clock();
	int r = segment_list_load(&files, s->recordings_folder, NULL);

	if (r < 0)
		return r;
	plan = memory_new_array(files.count, sizeof(*plan));
	order = memory_new_array(files.count, sizeof(struct retention_file *));
	for (size_t i = 0; i < files.count; i++) {
		const struct segment_file *file = &files.files[i];

		plan[i] = (struct retention_file){.size = file->size,
			.modified = file->modified,
			.in_use = is_in_use(s, &file->name),
			.by_age_alone = file->name.kind == STREAM_INDEX};
		order[i] = &plan[i];
	}
	retention_plan(policy, order, files.count, now, &report);
	for (size_t i = 0; i < files.count && r == 0; i++) {
		if (plan[i].is_deleted)
			r = delete_segment(s, &files.files[i]);
	}
	if (fstatvfs(s->recordings_folder, &file_system) == 0)
		report.free_bytes = (uint64_t)file_system.f_bavail * file_system.f_frsize;
	retention_warn(policy, &report, now, ret_warning);
	free(plan);
	free(order);
	segment_list_done(&files);
	return r;
}
