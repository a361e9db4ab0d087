/* SPDX-License-Identifier: Apache-2.0
 *
 * store_internal: what store.c (life, workers, notes), store_checkpoint.c (syncing, signing) and
 * store_files.c (compression, retention) share.
 */
#ifndef WAYLEAVE_RECORDING_STORE_INTERNAL_H
#define WAYLEAVE_RECORDING_STORE_INTERNAL_H

#include "base/list.h"
#include "recording/journal.h"
#include "recording/segments.h"
#include "recording/signing.h"
#include "recording/store.h"
#include "recording/syncer.h"

#define STORE_DEAD_MOST 65536

/* One stream of a live incarnation. */
struct store_stream {
	uint32_t segment; /* the newest; 0 = none yet */
	struct stream_head head; /* the last that was reported */
	bool changed; /* since the last checkpoint */
	uint64_t made; /* the newest; monotonic */
};

struct store_worker {
	struct list link;
	struct identifier incarnation;
	struct store_stream streams[STREAM_WORKER_COUNT];
	bool is_gone; /* kept until its last heads are in a checkpoint */
};

/* One of the store's own streams: a file that could not be synced counts no more, since Linux
 * forgets what it could not write. */
struct store_own {
	int error; /* of the last attempt to write or sync */
	int lost; /* why the file in hand counts no more; 0 = it does */
	unsigned failures; /* files in a row that could not be synced */
	uint64_t retry_at; /* monotonic: then another file is tried */
};

/* What the syncing thread is doing. */
enum store_phase {
	PHASE_IDLE,
	PHASE_SYNC, /* the audit stream */
	PHASE_CHECKPOINT, /* the checkpoints, the last of which is about to count */
};

struct store {
	char *state_dir;
	int audit_folder, recordings_folder;
	bool append_only;
	bool not_append_only; /* a file could not be made that */
	uint64_t (*clock)(void);
	struct signing_key key;
	struct store_worker own; /* the monitor's incarnation; not in `workers` */
	struct list workers; /* struct store_worker.link */
	struct journal audit, checkpoints;
	struct store_own audit_own, checkpoints_own;

	struct syncer *syncer;
	enum store_phase phase;
	bool checkpoint_wanted;
	uint64_t synced_sequence; /* of the audit stream */
	uint64_t sync_time, checkpoint_time; /* monotonic */
	struct segment_name *refused; /* could not be compressed; not tried again */
	size_t refused_count;
	struct buffer dead; /* names of incarnations, each with a NUL */
	struct buffer scratch;
};

/* store.c */
/* The folder in which segments of that kind stand. */
int store_folder_of(const struct store *s, enum stream_kind kind);
/* Makes the file of a segment. A descriptor or negative errno. */
int store_create(struct store *s, const struct segment_name *name);
/* Writes what waits in one of the store's own journals. 0 or negative errno. */
int store_flush(struct store *s, struct journal *j);
/* The file of one of the store's own journals could not be synced. */
void store_lose(struct store *s, struct journal *j, int error);
/* How long to wait before another file is made where the last ones could not be synced: a broken
 * disk must not be filled with empty files. */
uint64_t store_backoff(unsigned failures);
/* A note with facts about a segment; `digest` may be NULL. */
int store_note_segment(struct store *s, enum host_event event, const struct segment_name *name,
	uint64_t size, const uint8_t *digest);
/* The next segment of one of the store's own journals. */
int store_continue(
	struct store *s, struct journal *j, uint32_t number, const struct stream_head *previous);

/* store_workers.c */
/* The stream of a live worker, or NULL. */
struct store_stream *store_find_stream(
	struct store *s, const struct identifier *incarnation, enum stream_kind kind);
/* The file that says who is alive, for the next monitor. */
int store_save_live(struct store *s);
void store_remove_live(const struct store *s);
/* Who was alive when the last monitor ended, into s->dead; they stay in the file of the living
 * until they are noted as dead. */
int store_load_dead(struct store *s, struct error *e);
int store_bury_dead(struct store *s, struct error *e);

/* store_checkpoint.c */
int store_open_checkpoints(struct store *s, struct error *e);
/* Sync and checkpoint at once, blocking. */
int store_checkpoint_now(struct store *s);

#endif
