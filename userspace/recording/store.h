/* SPDX-License-Identifier: Apache-2.0
 *
 * store: the monitor's side of recordings and the audit log. It makes the files that workers append
 * to, keeps the monitor's own audit stream, signs checkpoints, compresses and deletes.
 *
 *   STATE_DIR/audit/       INCARNATION.audit.N, host.checkpoints.N, audit.pub      (0700)
 *   STATE_DIR/recordings/  INCARNATION.recording.N[.zst], INCARNATION.index.N      (0700)
 *   STATE_DIR/keys/        audit.key (0600), audit.pub
 *
 * It reads nothing that a worker wrote: sizes and names are all it takes from a worker's files.
 * Used by one thread; nothing waits for the disk but making a segment, store_open() and
 * store_close().
 */
#ifndef WAYLEAVE_RECORDING_STORE_H
#define WAYLEAVE_RECORDING_STORE_H

#include "base/buffer.h"
#include "recording/compress.h"
#include "recording/retention.h"

#define STORE_AUDIT_FOLDER "audit"
#define STORE_RECORDINGS_FOLDER "recordings"
#define STORE_KEYS_FOLDER "keys"
#define STORE_PUBLIC_KEY "audit.pub"
/* Incarnations, each with a NUL, of whose end the next monitor is to take note. */
#define STORE_LIVE_FILE "live"

struct store;

struct store_options {
	const char *state_dir;
	const char *version; /* of the program, for the audit log */
	uint64_t (*clock)(void); /* wall clock in nanoseconds; NULL = clock_wall() */
	/* Set the file system's append-only attribute on audit files, so that not even root changes
	 * them in passing (chattr -a takes it off). Where the file system has none, they are as
	 * others (store_is_append_only()). */
	bool append_only;
};

/* Opens or makes all of it; takes note of incarnations that died with the last monitor. */
int store_open(struct store **ret, const struct store_options *options, struct error *e);
/* A last checkpoint; blocks. Takes NULL. Workers have been reported gone. */
void store_close(struct store *s);
/* Whether each audit file that was made has that attribute. */
bool store_is_append_only(const struct store *s);
/* Descriptors of the folders, for CONTROL_RECORDINGS; owned by the store. */
int store_audit_folder(const struct store *s);
int store_recordings_folder(const struct store *s);
/* Appends the names of the live incarnations, each with a NUL; the monitor's own included. */
int store_live(const struct store *s, struct buffer *ret);

/* One event into the monitor's audit stream. 0, or negative errno: what could not be recorded must
 * not be done. `subject`: whom it is about; `detail`: for people. */
int store_note(struct store *s, enum host_event event, struct slice subject, struct slice detail);

/* A worker is about to start: its incarnation. */
int store_add_worker(struct store *s, struct identifier *ret_incarnation);
/* A new file for one of its streams; a descriptor (O_APPEND, write-only, the caller's) or negative
 * errno. */
int store_new_segment(struct store *s, const struct identifier *incarnation, enum stream_kind kind,
	uint32_t *ret_number);
/* Heads that the worker says are synced. -EINVAL where they can't be true. */
int store_report_heads(struct store *s, const struct identifier *incarnation,
	const struct stream_head *heads, size_t count);
/* The worker is dead; its files are as they will stay. */
void store_worker_gone(struct store *s, const struct identifier *incarnation, const char *why);

/* Once a second or so: syncing and checkpoints. `now` is monotonic. */
void store_tick(struct store *s, uint64_t now);
/* Readable when store_on_event() has something to do. */
int store_event(const struct store *s);
void store_on_event(struct store *s);
/* A checkpoint as soon as possible, whatever the time. */
void store_want_checkpoint(struct store *s);
/* Why the store can't write, or NULL. Static text. */
const char *store_problem(const struct store *s);

/* A finished recording to be compressed, in a process of its own: compress_segment(fd_in, fd_out).
 */
struct compress_job {
	struct segment_name name;
	int fd_in, fd_out;
};

/* 1 and a job, 0 where there is none, or negative errno. */
int store_next_compression(struct store *s, struct compress_job *ret);
/* It ended, well (`result`) or not (NULL); closes the job's descriptors. */
int store_finish_compression(
	struct store *s, struct compress_job *job, const struct compress_result *result);

/* Deletes what retention wants deleted; the warning (retention.h) is stored in ret_warning. */
int store_enforce_retention(struct store *s, const struct retention_policy *policy,
	char ret_warning[RETENTION_WARNING_SIZE]);

#endif
