/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "recording/store_internal.h"

/* ---- files ---- */

int store_folder_of(const struct store *s, enum stream_kind kind)
{
	return stream_is_chained(kind) ? s->audit_folder : s->recordings_folder;
}

/* Not every file system has it; the checkpoints hold without. */
static bool set_append_only(int fd)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return false;
	flags |= FS_APPEND_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

int store_create(struct store *s, const struct segment_name *name)
{
	int folder = store_folder_of(s, name->kind);
	char text[SEGMENT_NAME_SIZE];
	int fd;

	segment_name_format(name, text);
	fd = openat(folder, text, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		0600);
	if (fd < 0)
		return -errno;
	if (s->append_only && stream_is_chained(name->kind))
		s->not_append_only |= !set_append_only(fd);
	if (fsync(folder) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static struct store_own *own_of(struct store *s, const struct journal *j)
{
	return j == &s->audit ? &s->audit_own : &s->checkpoints_own;
}

int store_continue(
	struct store *s, struct journal *j, uint32_t number, const struct stream_head *previous)
{
	struct segment_name name = {
		.incarnation = j->incarnation, .kind = j->kind, .segment = number};
	struct stream_head head;
	int old, fd = store_create(s, &name);

	if (fd < 0)
		return fd;
	journal_continue(j, fd, number, previous, &old, &head);
	if (old >= 0) {
		/* What this may not reach is behind the last checkpoint, which never vouches for
		 * it. */
		fdatasync(old);
		close(old);
	}
	own_of(s, j)->lost = 0;
	return store_flush(s, j);
}

/* ---- the monitor's own stream ---- */

int store_flush(struct store *s, struct journal *j)
{
	struct store_own *own = own_of(s, j);
	int r = own->lost ? own->lost : journal_write(j);

	if (r == 0 && j->gap) {
		journal_make_gap(j);
		r = journal_write(j);
	}
	if (r < 0)
		journal_refuse(j, r);
	else
		journal_acknowledge(j);
	own->error = r;
	return r;
}

void store_lose(struct store *s, struct journal *j, int error)
{
	struct store_own *own = own_of(s, j);

	own->lost = own->error = error;
	own->failures++;
}

uint64_t store_backoff(unsigned failures)
{
	static const uint64_t first = NANOSECONDS_PER_SECOND / 2,
			      most = 30 * NANOSECONDS_PER_SECOND;

	if (failures == 0)
		return 0;
	return failures < 8 && first << (failures - 1) < most ? first << (failures - 1) : most;
}

int store_note(struct store *s, enum host_event event, struct slice subject, struct slice detail)
{
	struct journal *j = &s->audit;

	journal_begin(j, RECORD_HOST, s->clock());
	journal_number(j, FIELD_EVENT, event);
	journal_string(j, FIELD_SUBJECT, slice_head(subject, LIMIT_RECORD_NAME));
	journal_string(j, FIELD_DETAIL, slice_head(detail, LIMIT_RECORD_NAME));
	journal_end(j);
	return store_flush(s, j);
}

int store_note_segment(struct store *s, enum host_event event, const struct segment_name *name,
	uint64_t size, const uint8_t *digest)
{
	struct journal *j = &s->audit;

	journal_begin(j, RECORD_HOST, s->clock());
	journal_number(j, FIELD_EVENT, event);
	journal_string(j, FIELD_SUBJECT, slice_from_string(name->incarnation.text));
	journal_number(j, FIELD_STREAM, name->kind);
	journal_number(j, FIELD_SEGMENT, name->segment);
	journal_number(j, FIELD_SIZE, size);
	if (digest)
		journal_bytes(j, FIELD_DIGEST, slice_of(digest, HASH_SIZE));
	journal_end(j);
	return store_flush(s, j);
}

/* ---- life ---- */

static int open_folder(const struct store *s, const char *name, int *ret, struct error *e)
{
	char *path = memory_format("%s/%s", s->state_dir, name);
	int r = file_make_folders(path, 0700, e);

	if (r == 0) {
		*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (*ret < 0 || fchmod(*ret, 0700) < 0)
			r = error_set_errno(e, -errno, "%s", path);
	}
	free(path);
	return r;
}

/* Beside the private key, and with the log, for those who check a copy of it. */
static int store_publish_key(struct store *s, struct error *e)
{
	static const char *const folders[] = {STORE_KEYS_FOLDER, STORE_AUDIT_FOLDER};
	int r;

	buffer_clear(&s->scratch);
	r = signing_key_public(&s->key, &s->scratch);
	if (r < 0)
		return error_set_errno(e, r, "the public key");
	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++) {
		char *path = memory_format("%s/%s/%s", s->state_dir, folders[i], STORE_PUBLIC_KEY);

		r = file_write(path, buffer_slice(&s->scratch), 0644, e);
		free(path);
	}
	return r;
}

static int store_open_files(struct store *s, struct error *e)
{
	char *key_path = memory_format("%s/%s/audit.key", s->state_dir, STORE_KEYS_FOLDER);
	int keys = -1;
	int r = open_folder(s, STORE_AUDIT_FOLDER, &s->audit_folder, e);

	if (r == 0)
		r = open_folder(s, STORE_RECORDINGS_FOLDER, &s->recordings_folder, e);
	if (r == 0)
		r = open_folder(s, STORE_KEYS_FOLDER, &keys, e);
	if (keys >= 0)
		close(keys);
	if (r == 0)
		r = signing_key_load(&s->key, key_path, e);
	free(key_path);
	return r < 0 ? r : store_publish_key(s, e);
}

static int store_start(struct store *s, const char *version, struct error *e)
{
	struct segment_name name = {
		.incarnation = s->own.incarnation, .kind = STREAM_AUDIT, .segment = 1};
	int r = store_load_dead(s, e);

	/* Before anything is written: should this process die at once, the next one knows of it. */
	if (r == 0) {
		r = store_save_live(s);
		if (r < 0)
			error_set_errno(e, r, "%s", s->state_dir);
	}
	if (r == 0)
		r = store_open_checkpoints(s, e);
	if (r < 0)
		return r;
	s->own.streams[STREAM_AUDIT].segment = 1;
	r = store_continue(s, &s->audit, 1, NULL);
	if (r == 0)
		r = store_note(s, HOST_STARTED, slice_from_string(s->own.incarnation.text),
			slice_from_string(version));
	if (r == 0)
		r = store_note_segment(s, HOST_SEGMENT, &name, 0, NULL);
	if (r < 0)
		return error_set_errno(e, r, "%s: the audit log can't be written", s->state_dir);
	r = store_bury_dead(s, e);
	if (r == 0)
		r = store_save_live(s);
	if (r == 0)
		r = store_checkpoint_now(s);
	return r < 0 ? error_set_errno(e, r, "%s", s->state_dir) : 0;
}

bool store_is_append_only(const struct store *s)
{
	return s->append_only && !s->not_append_only;
}

int store_open(struct store **ret, const struct store_options *options, struct error *e)
{
	static const struct identifier host = {CHECKPOINTS_INCARNATION};
	struct store *s = memory_new(sizeof(*s));
	int r;

	s->state_dir = memory_copy_string(options->state_dir);
	s->clock = options->clock ? options->clock : clock_wall;
	s->append_only = options->append_only;
	s->audit_folder = s->recordings_folder = -1;
	s->own.incarnation = identifier_new('m', INCARNATION_DIGITS);
	list_init(&s->workers);
	buffer_init(&s->scratch, LIMIT_RECORD_PAYLOAD);
	buffer_init(&s->dead, STORE_DEAD_MOST);
	journal_init(&s->audit, STREAM_AUDIT, &s->own.incarnation, s->clock);
	journal_init(&s->checkpoints, STREAM_CHECKPOINTS, &host, s->clock);
	r = syncer_new(&s->syncer);
	if (r < 0)
		error_set_errno(e, r, "a thread could not be started");
	if (r == 0)
		r = store_open_files(s, e);
	if (r == 0)
		r = store_start(s, options->version, e);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void close_descriptor(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* The last words, and a checkpoint of them. Where that fails, the next monitor finds this one among
 * the living, and notes how it ended. */
static void store_stop(struct store *s)
{
	store_note(s, HOST_STOPPED, slice_from_string(s->own.incarnation.text), SLICE_EMPTY);
	journal_finish(&s->audit, SEGMENT_STOPPED);
	if (store_checkpoint_now(s) < 0)
		return;
	journal_finish(&s->checkpoints, SEGMENT_STOPPED);
	if (fdatasync(s->checkpoints.fd) == 0 && buffer_length(&s->dead) == 0)
		store_remove_live(s);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	/* Ends a job that runs; the last checkpoint is then made without the thread. */
	syncer_free(s->syncer);
	if (s->audit.fd >= 0 && s->checkpoints.fd >= 0)
		store_stop(s);
	list_for_each_safe (position, &s->workers) {
		free(list_entry(position, struct store_worker, link));
	}
	free(s->refused);
	close_descriptor(s->audit.fd);
	close_descriptor(s->checkpoints.fd);
	close_descriptor(s->audit_folder);
	close_descriptor(s->recordings_folder);
	journal_done(&s->audit);
	journal_done(&s->checkpoints);
	signing_key_done(&s->key);
	buffer_done(&s->scratch);
	buffer_done(&s->dead);
	free(s->state_dir);
	free(s);
}

int store_audit_folder(const struct store *s)
{
	return s->audit_folder;
}

int store_recordings_folder(const struct store *s)
{
	return s->recordings_folder;
}

const char *store_problem(const struct store *s)
{
	int error = s->audit_own.error ? s->audit_own.error : s->checkpoints_own.error;

	return error ? strerrordesc_np(-error) : NULL;
}
