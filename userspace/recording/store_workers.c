/* SPDX-License-Identifier: Apache-2.0
 *
 * The workers whose files the store makes: who is alive, what they report, and what is noted when
 * they are dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "recording/store_internal.h"

#define LIVE_FILE_MOST (2 * STORE_DEAD_MOST)
#define UNSYNCED_MOST 4

/* ---- who is alive ---- */

int store_live(const struct store *s, struct buffer *ret)
{
	const char *own = s->own.incarnation.text;
	int r = buffer_append(ret, own, strlen(own) + 1);

	list_for_each (position, &s->workers) {
		const struct store_worker *w = list_entry(position, struct store_worker, link);

		if (r == 0 && !w->is_gone)
			r = buffer_append(
				ret, w->incarnation.text, strlen(w->incarnation.text) + 1);
	}
	return r;
}

int store_save_live(struct store *s)
{
	char *path = memory_format("%s/%s", s->state_dir, STORE_LIVE_FILE);
	struct buffer names;
	int r;

	buffer_init(&names, LIVE_FILE_MOST);
	r = store_live(s, &names);
	if (r == 0)
		r = buffer_append_slice(&names, buffer_slice(&s->dead));
	if (r == 0)
		r = file_write(path, buffer_slice(&names), 0600, NULL);
	buffer_done(&names);
	free(path);
	return r;
}

/* Nobody is alive after an orderly end. */
void store_remove_live(const struct store *s)
{
	char *path = memory_format("%s/%s", s->state_dir, STORE_LIVE_FILE);

	unlink(path);
	free(path);
}

/* The size at which a dead incarnation's stream ended, so that what is cut off later shows. */
static int store_seal(
	struct store *s, const struct segment_list *files, const struct identifier *incarnation)
{
	int r = 0;

	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT && r == 0; kind++) {
		const struct segment_file *file =
			segment_list_find(files, incarnation, (enum stream_kind)kind, 1);
		const struct segment_file *last = file;

		for (; file; file = segment_list_next(files, file))
			last = file;
		if (last && !last->name.compressed)
			r = store_note_segment(s, HOST_SEALED, &last->name, last->size, NULL);
	}
	return r;
}

static int store_seal_all(struct store *s, const struct identifier *incarnation, struct error *e)
{
	const int folders[] = {s->audit_folder, s->recordings_folder};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++) {
		struct segment_list files;

		r = segment_list_load(&files, folders[i], e);
		if (r < 0)
			return r;
		r = store_seal(s, &files, incarnation);
		segment_list_done(&files);
	}
	return r < 0 ? error_set_errno(e, r, "the audit log can't be written") : 0;
}

int store_load_dead(struct store *s, struct error *e)
{
	char *path = memory_format("%s/%s", s->state_dir, STORE_LIVE_FILE);
	int r = 0;

	if (access(path, F_OK) == 0)
		r = file_read(path, &s->dead, e);
	free(path);
	return r;
}

int store_bury_dead(struct store *s, struct error *e)
{
	struct slice why = slice_from_string("was alive when the last monitor ended");
	struct slice rest = buffer_slice(&s->dead);
	int r = 0;

	while (r == 0 && rest.length) {
		struct identifier id = {{0}};
		size_t length = strnlen((const char *)rest.data, rest.length);

		memcpy(id.text, rest.data, length < sizeof(id.text) ? length : sizeof(id.text) - 1);
		rest = slice_from(rest, length + 1);
		r = store_note(s, HOST_WORKER_GONE, slice_from_string(id.text), why);
		if (r == 0)
			r = store_seal_all(s, &id, e);
	}
	if (r == 0)
		buffer_clear(&s->dead);
	return r;
}

/* ---- workers ---- */

static struct store_worker *store_find_worker(struct store *s, const struct identifier *incarnation)
{
	list_for_each (position, &s->workers) {
		struct store_worker *w = list_entry(position, struct store_worker, link);

		if (!w->is_gone && strcmp(w->incarnation.text, incarnation->text) == 0)
			return w;
	}
	return NULL;
}

struct store_stream *store_find_stream(
	struct store *s, const struct identifier *incarnation, enum stream_kind kind)
{
	struct store_worker *w = store_find_worker(s, incarnation);

	return w && kind < STREAM_WORKER_COUNT ? &w->streams[kind] : NULL;
}

int store_add_worker(struct store *s, struct identifier *ret_incarnation)
{
	struct store_worker *w = memory_new(sizeof(*w));
	int r;

	w->incarnation = identifier_new('w', INCARNATION_DIGITS);
	list_append(&s->workers, &w->link);
	r = store_note(s, HOST_WORKER_STARTED, slice_from_string(w->incarnation.text), SLICE_EMPTY);
	if (r == 0)
		r = store_save_live(s);
	if (r < 0) {
		list_remove(&w->link);
		free(w);
		return r;
	}
	*ret_incarnation = w->incarnation;
	return 0;
}

/* Nothing of the last files was ever synced, and another one was made just now. A busy stream's may
 * still be on their way to the disk. */
static bool store_is_early(const struct store_stream *stream)
{
	uint32_t unsynced = stream->segment - stream->head.segment;

	return unsynced > UNSYNCED_MOST &&
		clock_monotonic() - stream->made < store_backoff(unsynced - UNSYNCED_MOST);
}

int store_new_segment(struct store *s, const struct identifier *incarnation, enum stream_kind kind,
	uint32_t *ret_number)
{
	struct store_stream *stream = store_find_stream(s, incarnation, kind);
	struct segment_name name = {.incarnation = *incarnation, .kind = kind};
	int fd, r;

	if (!stream)
		return -EINVAL;
	r = store_flush(s, &s->audit);
	if (r < 0 || store_is_early(stream))
		return r < 0 ? r : -EAGAIN;
	name.segment = stream->segment + 1;
	fd = store_create(s, &name);
	if (fd < 0)
		return fd;
	stream->segment = name.segment;
	stream->made = clock_monotonic();
	/* On disk before the worker can write: no file with content is ever unannounced. */
	r = store_note_segment(s, HOST_SEGMENT, &name, 0, NULL);
	if (r == 0 && fdatasync(s->audit.fd) < 0) {
		r = -errno;
		store_lose(s, &s->audit, r);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret_number = name.segment;
	return fd;
}

/* Whether a head can follow what was reported before. */
static bool head_is_plausible(const struct store_stream *stream, const struct stream_head *head)
{
	const struct stream_head *before = &stream->head;

	if (head->segment == 0 || head->segment > stream->segment)
		return false;
	if (head->segment == before->segment)
		return head->sequence >= before->sequence && head->bytes >= before->bytes;
	return head->segment > before->segment && head->sequence >= before->sequence;
}

int store_report_heads(struct store *s, const struct identifier *incarnation,
	const struct stream_head *heads, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct segment_name name = {.incarnation = *incarnation,
			.kind = (enum stream_kind)heads[i].kind,
			.segment = heads[i].segment};
		struct store_stream *stream = heads[i].kind < STREAM_WORKER_COUNT
			? store_find_stream(s, incarnation, (enum stream_kind)heads[i].kind)
			: NULL;
		char text[SEGMENT_NAME_SIZE];
		struct stat file;

		if (!stream || !head_is_plausible(stream, &heads[i]))
			return -EINVAL;
		segment_name_format(&name, text);
		if (fstatat(store_folder_of(s, name.kind), text, &file, AT_SYMLINK_NOFOLLOW) < 0 ||
			(uint64_t)file.st_size < heads[i].bytes)
			return -EINVAL;
		stream->head = heads[i];
		stream->changed = true;
	}
	return 0;
}

void store_worker_gone(struct store *s, const struct identifier *incarnation, const char *why)
{
	struct store_worker *w = store_find_worker(s, incarnation);

	if (!w)
		return;
	/* What can't be recorded here shows anyway: the streams have no end. */
	store_note(s, HOST_WORKER_GONE, slice_from_string(w->incarnation.text),
		slice_from_string(why));
	store_seal_all(s, &w->incarnation, NULL);
	w->is_gone = true;
	store_save_live(s);
	store_want_checkpoint(s);
}
