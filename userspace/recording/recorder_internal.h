/* SPDX-License-Identifier: Apache-2.0
 *
 * recorder_internal: what recorder.c (streams, flushing, syncing) and recorder_sessions.c and
 * recorder_actions.c (the records) share.
 */
#ifndef WAYLEAVE_RECORDING_RECORDER_INTERNAL_H
#define WAYLEAVE_RECORDING_RECORDER_INTERNAL_H

#include "recording/journal.h"
#include "recording/recorder.h"

#define RECORDER_RETIRED_MOST (SYNCER_ITEMS_MOST - STREAM_WORKER_COUNT)

struct recorder {
	struct journal journals[STREAM_WORKER_COUNT];
	uint64_t (*clock)(void);
	int error; /* of the last flush */
	uint64_t segment_bytes[STREAM_WORKER_COUNT]; /* then another is wanted */

	struct syncer *syncer;
	int sync_error[STREAM_WORKER_COUNT]; /* of the current segment */
	struct stream_head synced[STREAM_WORKER_COUNT];
	struct sync_item retired[RECORDER_RETIRED_MOST]; /* segments to be synced and closed */
	size_t retired_count;
	uint64_t job; /* tickets: the number of the last job started … */
	uint64_t job_synced; /* … and of the last that succeeded */
	bool sync_again; /* somebody waits for more than the job that runs */
	uint64_t sync_time; /* monotonic; when tick started the last */

	struct list changed; /* struct recorder_session.changed */
	uint64_t last_handle;
	/* Scratch memory, empty between calls. */
	struct buffer text, judgement, value;
	/* Of the rows being recorded. */
	struct recorder_session *rows_session;
	uint64_t rows_number;
	bool rows_begun; /* a ROWS record is open */
};

/* recorder_sessions.c */
/* PROGRESS records of the sessions for which it is time. */
void recorder_make_progress(struct recorder *r, uint64_t now);
/* Begins a record of a session, which the segment is told about if it does not know it yet. */
struct journal *recorder_begin(struct recorder *r, struct recorder_session *s,
	enum stream_kind kind, enum record_type type, uint64_t time);
/* A failure that no journal saw by itself; 0 is none. */
void recorder_lose(struct recorder *r, int error);
/* The session's totals changed: they shall come into the index. */
void recorder_touch(struct recorder *r, struct recorder_session *s);
/* A name, cut. */
struct slice recorder_name(struct slice name);
/* A text that a peer made, without passwords, cut. Valid until the next use of r->text. */
struct slice recorder_clean(struct recorder *r, struct slice text, size_t most);

#endif
