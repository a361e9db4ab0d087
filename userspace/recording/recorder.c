/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/recorder_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "recording/retention.h"

/* Half of what is promised, so that a sync that takes as long again still keeps it. */
#define SYNC_EVERY (500 * NANOSECONDS_PER_MILLISECOND)
#define SEGMENT_AGE_MOST (24 * 3600 * NANOSECONDS_PER_SECOND)

static const uint64_t segment_bytes_most[STREAM_WORKER_COUNT] = {
	[STREAM_AUDIT] = 256ULL << 20,
	[STREAM_RECORDING] = RETENTION_SEGMENT_MOST,
	[STREAM_INDEX] = 16ULL << 20,
};

int recorder_new(struct recorder **ret, const struct recorder_options *options)
{
	struct recorder *r = memory_new(sizeof(*r));
	int error = syncer_new(&r->syncer);

	if (error < 0) {
		free(r);
		return error;
	}
	r->clock = options->clock ? options->clock : clock_wall;
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		journal_init(&r->journals[kind], (enum stream_kind)kind, &options->incarnation,
			r->clock);
	memcpy(r->segment_bytes, segment_bytes_most, sizeof(segment_bytes_most));
	list_init(&r->changed);
	/* A password makes a text at most one mark longer per byte; the mark is the longer one. */
	buffer_init(&r->text, (size_t)LIMIT_STATEMENT_BYTES * 8);
	buffer_init(&r->judgement, LIMIT_RECORD_JUDGEMENT + 2 * LIMIT_RECORD_NAME);
	buffer_init(&r->value, LIMIT_RECORD_PAYLOAD);
	*ret = r;
	return 0;
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	syncer_free(r->syncer);
	for (size_t i = 0; i < r->retired_count; i++)
		close(r->retired[i].fd);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		if (r->journals[kind].fd >= 0)
			close(r->journals[kind].fd);
		journal_done(&r->journals[kind]);
	}
	buffer_done(&r->text);
	buffer_done(&r->judgement);
	buffer_done(&r->value);
	free(r);
}

/* ---- flushing ---- */

#define RESULTS_MOST (64u << 10) /* bytes of results that wait for the next flush */

static int recorder_write(struct recorder *r)
{
	int error = 0;

	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		int n = journal_write(&r->journals[kind]);

		if (error == 0)
			error = n ? n : r->sync_error[kind];
	}
	return error;
}

bool recorder_is_pending(const struct recorder *r)
{
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		if (buffer_length(&r->journals[kind].pending))
			return true;
	}
	return false;
}

bool recorder_must_flush(const struct recorder *r)
{
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		const struct journal *j = &r->journals[kind];

		if (j->urgent || buffer_length(&j->pending) > RESULTS_MOST)
			return true;
	}
	return r->error != 0;
}

int recorder_flush(struct recorder *r)
{
	int error = recorder_write(r);

	if (error == 0 && r->error) {
		for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
			journal_make_gap(&r->journals[kind]);
		error = recorder_write(r);
	}
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		r->journals[kind].urgent = false;
		if (error)
			journal_refuse(&r->journals[kind], error);
		else
			journal_acknowledge(&r->journals[kind]);
	}
	r->error = error;
	return error;
}

const char *recorder_problem(const struct recorder *r)
{
	if (r->error == 0)
		return NULL;
	return r->error == -EBADF ? "there is no file yet" : strerrordesc_np(-r->error);
}

/* ---- segments ---- */

/* Hands a segment that is finished to the syncing thread. */
static void recorder_retire(struct recorder *r, int fd, const struct stream_head *head)
{
	if (fd < 0)
		return;
	if (r->retired_count == RECORDER_RETIRED_MOST) {
		/* More new segments within one sync than there are streams: the disk is very slow,
		 * and then this may be so too. */
		if (fdatasync(fd) < 0)
			r->journals[head->kind].lost = -errno;
		close(fd);
		return;
	}
	r->retired[r->retired_count++] = (struct sync_item){.fd = fd, .close = true, .head = *head};
}

void recorder_give_segment(struct recorder *r, enum stream_kind kind, int fd, uint32_t number)
{
	struct stream_head head;
	int old;

	journal_continue(&r->journals[kind], fd, number, NULL, &old, &head);
	if (r->sync_error[kind])
		close(old);
	else
		recorder_retire(r, old, &head);
	r->sync_error[kind] = 0;
}

void recorder_set_segment_bytes(struct recorder *r, uint64_t most)
{
	r->segment_bytes[STREAM_RECORDING] = most;
}

unsigned recorder_wants(struct recorder *r)
{
	uint64_t now = r->clock();
	unsigned wants = 0;

	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		struct journal *j = &r->journals[kind];
		bool old = j->bytes > SEGMENT_HEADER_SIZE && now > j->segment_time &&
			now - j->segment_time > SEGMENT_AGE_MOST;

		if (j->fd < 0 || r->sync_error[kind] || old || j->bytes >= r->segment_bytes[kind])
			wants |= 1u << kind;
	}
	return wants;
}

size_t recorder_stop(struct recorder *r, struct stream_head *ret)
{
	size_t count = 0;

	recorder_flush(r);
	while (syncer_is_busy(r->syncer)) {
		syncer_wait(r->syncer);
		recorder_on_event(r, ret, &count);
	}
	for (size_t i = 0; i < r->retired_count; i++) {
		if (fdatasync(r->retired[i].fd) == 0)
			ret[count++] = r->retired[i].head;
	}
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		struct journal *j = &r->journals[kind];

		journal_finish(j, SEGMENT_STOPPED);
		if (j->fd >= 0 && r->sync_error[kind] == 0 && fdatasync(j->fd) == 0)
			journal_head(j, &ret[count++]);
	}
	return count;
}

/* ---- syncing ---- */

static bool recorder_is_dirty(const struct recorder *r, unsigned kind)
{
	const struct journal *j = &r->journals[kind];

	/* A sync that failed must not be tried again and then believed. */
	return j->fd >= 0 && j->bytes > 0 && r->sync_error[kind] == 0 &&
		(r->synced[kind].segment != j->segment ||
			r->synced[kind].sequence != j->sequence_written);
}

/* Starts a job with all that is written and not synced; false where there is nothing. */
static bool recorder_start_sync(struct recorder *r)
{
	struct sync_item items[SYNCER_ITEMS_MOST] = {0};
	size_t count = r->retired_count;

	memcpy(items, r->retired, count * sizeof(*items));
	r->retired_count = 0;
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		if (!recorder_is_dirty(r, kind))
			continue;
		items[count].fd = r->journals[kind].fd;
		journal_head(&r->journals[kind], &items[count].head);
		count++;
	}
	if (count == 0)
		return false;
	syncer_start(r->syncer, items, count);
	r->job++;
	return true;
}

uint64_t recorder_sync(struct recorder *r)
{
	if (syncer_is_busy(r->syncer)) {
		r->sync_again = true;
		return r->job + 1;
	}
	return recorder_start_sync(r) ? r->job : r->job_synced;
}

uint64_t recorder_synced(const struct recorder *r)
{
	return r->job_synced;
}

int recorder_event(const struct recorder *r)
{
	return syncer_event(r->syncer);
}

/* What one file's sync means for its stream. */
static int recorder_on_synced(struct recorder *r, const struct sync_item *item)
{
	unsigned kind = item->head.kind;

	if (item->error == 0) {
		if (item->head.segment >= r->synced[kind].segment)
			r->synced[kind] = item->head;
	} else if (item->head.segment == r->journals[kind].segment) {
		r->sync_error[kind] = item->error;
	} else {
		/* The segment is finished: the next flush says it, once. */
		r->journals[kind].lost = item->error;
	}
	return item->error;
}

int recorder_on_event(struct recorder *r, struct stream_head *ret, size_t *ret_count)
{
	struct sync_item items[SYNCER_ITEMS_MOST];
	size_t count = syncer_finish(r->syncer, items), heads = 0;
	int error = 0;

	for (size_t i = 0; i < count; i++) {
		int n = recorder_on_synced(r, &items[i]);

		if (n == 0)
			ret[heads++] = items[i].head;
		else if (error == 0)
			error = n;
	}
	if (count && error == 0)
		r->job_synced = r->job;
	if (count && r->sync_again) {
		r->sync_again = false;
		if (!recorder_start_sync(r) && error == 0)
			r->job_synced = ++r->job;
	}
	*ret_count = heads;
	return error;
}

void recorder_tick(struct recorder *r, uint64_t now)
{
	recorder_make_progress(r, now);
	if (now - r->sync_time < SYNC_EVERY || syncer_is_busy(r->syncer))
		return;
	if (recorder_start_sync(r))
		r->sync_time = now;
}
