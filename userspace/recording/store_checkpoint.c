/* SPDX-License-Identifier: Apache-2.0
 *
 * Syncing the store's own streams, and checkpoints. A checkpoint is made only of heads that are
 * synced, so that a crash can never look like a cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "recording/reader.h"
#include "recording/store_internal.h"

#define SYNC_EVERY (500 * NANOSECONDS_PER_MILLISECOND)
#define CHECKPOINT_EVERY (60 * NANOSECONDS_PER_SECOND)
#define OWN_SEGMENT_BYTES_MOST (64ULL << 20)

/* ---- opening ---- */

/* How the last segment of the checkpoints ends. It is the monitor's own file. */
static int checkpoints_read_end(const struct store *s, const struct segment_name *name,
	struct stream_head *ret, struct error *e)
{
	struct reader reader;
	struct entry entry;
	enum reader_status status;
	int fd = segment_open(s->audit_folder, name);
	int r = 0;

	if (fd < 0)
		return error_set_errno(e, fd, "the checkpoints can't be read");
	status = reader_open(&reader, fd, false, false);
	if (status == READER_RECORD) {
		while (reader_next(&reader, &entry) == READER_RECORD)
			;
		/* Damage behind the last good record is for verify to report: writing goes on. */
		reader_head(&reader, ret);
	} else {
		r = error_set(e, -EBADMSG, "the checkpoints are damaged: %s", reader.problem.text);
	}
	reader_close(&reader);
	close(fd);
	return r;
}

int store_open_checkpoints(struct store *s, struct error *e)
{
	const struct segment_file *file, *last = NULL;
	struct stream_head head = {.kind = STREAM_CHECKPOINTS};
	struct segment_list files;
	uint32_t number = 1;
	int r = segment_list_load(&files, s->audit_folder, e);

	if (r < 0)
		return r;
	file = segment_list_find(&files, &s->checkpoints.incarnation, STREAM_CHECKPOINTS, 1);
	for (; file; file = segment_list_next(&files, file)) {
		number = file->name.segment + 1;
		/* A crash may leave less than a header: nothing is in that, and nothing follows it.
		 */
		if (file->size >= SEGMENT_HEADER_SIZE)
			last = file;
	}
	if (last)
		r = checkpoints_read_end(s, &last->name, &head, e);
	segment_list_done(&files);
	if (r < 0)
		return r;
	r = store_continue(s, &s->checkpoints, number, &head);
	return r < 0 ? error_set_errno(e, r, "the checkpoints can't be written") : 0;
}

/* ---- making checkpoints ---- */

static int append_head(
	struct buffer *b, const struct store_worker *w, const struct stream_head *head)
{
	uint8_t bytes[STREAM_HEAD_SIZE];

	stream_head_encode(&w->incarnation, head, bytes);
	return buffer_append(b, bytes, sizeof(bytes));
}

static int append_changed(struct buffer *b, const struct store_worker *w)
{
	int r = 0;

	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT && r == 0; kind++) {
		if (w->streams[kind].changed)
			r = append_head(b, w, &w->streams[kind].head);
	}
	return r;
}

static void forget_changes(struct store_worker *w)
{
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		w->streams[kind].changed = false;
}

/* All heads that changed, encoded, in s->scratch; valid until that is used again. */
static struct slice checkpoint_heads(struct store *s)
{
	int r;

	buffer_clear(&s->scratch);
	r = append_changed(&s->scratch, &s->own);
	list_for_each (position, &s->workers) {
		if (r == 0)
			r = append_changed(
				&s->scratch, list_entry(position, struct store_worker, link));
	}
	return r < 0 ? SLICE_EMPTY : buffer_slice(&s->scratch);
}

static int checkpoint_sign(
	struct store *s, uint64_t time, struct slice heads, uint8_t ret_signature[SIGNATURE_SIZE])
{
	struct journal *j = &s->checkpoints;
	struct buffer message;
	int r;

	buffer_init(&message, LIMIT_RECORD_PAYLOAD);
	r = checkpoint_message(j->chain, j->sequence + 1, time, heads, &message);
	if (r == 0)
		r = signing_sign(&s->key, buffer_slice(&message), ret_signature);
	buffer_done(&message);
	return r;
}

static void forget_all_changes(struct store *s)
{
	forget_changes(&s->own);
	list_for_each_safe (position, &s->workers) {
		struct store_worker *w = list_entry(position, struct store_worker, link);

		forget_changes(w);
		if (w->is_gone) {
			list_remove(position);
			free(w);
		}
	}
}

/* One checkpoint of what changed, written but not synced. 1 where nothing changed. */
static int checkpoint_make(struct store *s)
{
	struct journal *j = &s->checkpoints;
	struct slice heads = checkpoint_heads(s);
	uint8_t signature[SIGNATURE_SIZE];
	uint64_t time = s->clock();
	int r;

	if (heads.length == 0) {
		forget_all_changes(s);
		return 1;
	}
	/* A GAP or header that still waits stands in front of it, and is part of the chain by now.
	 */
	r = checkpoint_sign(s, time, heads, signature);
	if (r < 0)
		return r;
	journal_begin(j, RECORD_CHECKPOINT, time);
	for (; heads.length; heads = slice_from(heads, STREAM_HEAD_SIZE))
		journal_bytes(j, FIELD_HEAD, slice_head(heads, STREAM_HEAD_SIZE));
	journal_bytes(j, FIELD_KEY, slice_of(s->key.id, KEY_ID_SIZE));
	journal_bytes(j, FIELD_SIGNATURE, slice_of(signature, SIGNATURE_SIZE));
	journal_end(j);
	r = store_flush(s, j);
	if (r == 0)
		forget_all_changes(s);
	return r;
}

/* The audit stream is synced up to `head`. */
static void own_audit_synced(struct store *s, const struct stream_head *head)
{
	struct store_stream *own = &s->own.streams[STREAM_AUDIT];

	s->synced_sequence = head->sequence;
	if (own->head.sequence == head->sequence && own->head.segment == head->segment)
		return;
	own->head = *head;
	own->changed = true;
}

int store_checkpoint_now(struct store *s)
{
	struct stream_head head;
	int r = store_flush(s, &s->audit);

	if (r < 0)
		return r;
	if (fdatasync(s->audit.fd) < 0)
		return -errno;
	journal_head(&s->audit, &head);
	own_audit_synced(s, &head);
	r = checkpoint_make(s);
	if (r == 0 && fdatasync(s->checkpoints.fd) < 0)
		r = -errno;
	return r < 0 ? r : 0;
}

/* ---- in the monitor's loop ---- */

static void sync_journal(struct store *s, struct journal *j, enum store_phase phase)
{
	struct sync_item item = {.fd = j->fd};

	journal_head(j, &item.head);
	syncer_start(s->syncer, &item, 1);
	s->phase = phase;
}

/* The file lost what it was given, or is long enough: go on in another. */
static void next_segment(struct store *s, struct journal *j)
{
	uint32_t number = j->segment + 1;
	struct segment_name name = {
		.incarnation = j->incarnation, .kind = j->kind, .segment = number};

	if (store_continue(s, j, number, NULL) < 0 || j->kind != STREAM_AUDIT)
		return;
	s->own.streams[STREAM_AUDIT].segment = number;
	store_note_segment(s, HOST_SEGMENT, &name, 0, NULL);
}

/* Goes on in another file where the one in hand is lost; not at every tick. */
static void retry_lost(struct store *s, struct journal *j, struct store_own *own, uint64_t now)
{
	if (!own->lost || now < own->retry_at)
		return;
	own->retry_at = now + store_backoff(own->failures);
	next_segment(s, j);
}

static bool is_changed(const struct store *s)
{
	if (s->audit.sequence_written != s->own.streams[STREAM_AUDIT].head.sequence)
		return true;
	list_for_each (position, &s->workers) {
		const struct store_worker *w = list_entry(position, struct store_worker, link);

		for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
			if (w->streams[kind].changed)
				return true;
		}
		if (w->is_gone)
			return true;
	}
	return false;
}

void store_want_checkpoint(struct store *s)
{
	s->checkpoint_wanted = true;
}

void store_tick(struct store *s, uint64_t now)
{
	if (s->phase != PHASE_IDLE)
		return;
	retry_lost(s, &s->audit, &s->audit_own, now);
	retry_lost(s, &s->checkpoints, &s->checkpoints_own, now);
	if (store_flush(s, &s->audit) < 0)
		return;
	if (s->audit.bytes >= OWN_SEGMENT_BYTES_MOST)
		next_segment(s, &s->audit);
	if (s->checkpoints.bytes >= OWN_SEGMENT_BYTES_MOST)
		next_segment(s, &s->checkpoints);
	if (now - s->checkpoint_time >= CHECKPOINT_EVERY && is_changed(s))
		s->checkpoint_wanted = true;
	if (s->checkpoint_wanted) {
		s->checkpoint_time = now;
	} else if (now - s->sync_time < SYNC_EVERY ||
		s->audit.sequence_written == s->synced_sequence) {
		return;
	}
	s->sync_time = now;
	sync_journal(s, &s->audit, PHASE_SYNC);
}

int store_event(const struct store *s)
{
	return syncer_event(s->syncer);
}

void store_on_event(struct store *s)
{
	struct sync_item items[SYNCER_ITEMS_MOST];
	enum store_phase phase = s->phase;
	bool audit = phase == PHASE_SYNC;

	if (syncer_finish(s->syncer, items) == 0)
		return;
	s->phase = PHASE_IDLE;
	if (items[0].error) {
		store_lose(s, audit ? &s->audit : &s->checkpoints, items[0].error);
		return;
	}
	(audit ? &s->audit_own : &s->checkpoints_own)->failures = 0;
	if (!audit)
		return;
	own_audit_synced(s, &items[0].head);
	if (!s->checkpoint_wanted)
		return;
	if (checkpoint_make(s) == 0)
		sync_journal(s, &s->checkpoints, PHASE_CHECKPOINT);
	s->checkpoint_wanted = false;
}
