/* SPDX-License-Identifier: Apache-2.0
 *
 * recorder: what a worker writes into the audit log and its recordings. Used by one thread; the
 * worker calls recorder_flush() before it sends anything on that depends on what was recorded.
 *
 * The functions that record return nothing: they work in memory, and a failure is the next flush's.
 * When a flush fails, nothing that was recorded since the last good one may be forwarded
 * (REASON_RECORDING_FAILED).
 *
 * Passwords: authentication messages have no function here, and secret.h takes passwords out of
 * texts. Slices that are passed in are copied.
 *
 * The process must ignore SIGXFSZ and SIGPIPE. The recorder owns one thread (syncer.h).
 */
#ifndef WAYLEAVE_RECORDING_RECORDER_H
#define WAYLEAVE_RECORDING_RECORDER_H

#include "base/list.h"
#include "base/reason.h"
#include "protocol/action.h"
#include "recording/syncer.h"
#include "recording/value.h"

#define RECORDER_HEADS_MOST (2 * SYNCER_ITEMS_MOST)

struct recorder;

struct recorder_options {
	struct identifier incarnation; /* given by the monitor (store.h) */
	uint64_t (*clock)(void); /* wall clock in nanoseconds; NULL = clock_wall() */
};

/* Who, where. Empty slices and zeros are left out. Names longer than LIMIT_RECORD_NAME are cut. */
struct session_facts {
	struct slice id; /* "s-7Q2KM4XT"; at most IDENTIFIER_SIZE - 1 bytes */
	struct slice agent, principal, on_behalf_of, groups, resource; /* groups: each on a line */
	enum protocol_id protocol;
	struct slice address; /* what the agent dialled, "10.0.3.4:5432" */
	struct slice upstream; /* what was connected to */
	struct slice exe, database, user;
	/* Of the process: SHA-256 of exe in hexadecimal, command line, parents. */
	struct slice exe_hash, arguments, parents;
	/* process_start: nanoseconds since the host started; tells two processes with one pid
	 * apart. */
	uint64_t pid, uid, cgroup, process_start; /* UINT64_MAX = unknown */
	bool observed; /* mode observe */
};

/* The worker keeps one per session; the members are the recorder's. Zeroed memory before
 * recorder_session_start(). */
struct recorder_session {
	struct list changed; /* sessions whose progress is not in the index yet */
	uint64_t handle; /* 0: no session */
	struct slice facts; /* encoded; on the heap */
	uint32_t introduced[STREAM_WORKER_COUNT]; /* the last segment that names the session */
	uint64_t actions, denied, rows;
	uint64_t progress_due; /* monotonic */
	uint64_t progress_wait;
	uint64_t ended; /* the handle that it had */
	bool unread;
};

struct record_action {
	const struct action *action;
	enum record_verdict verdict;
	bool observed; /* would have been, in mode observe */
	uint64_t run_of; /* 0, or the number of the action that made the statement that runs here */
	enum reason reason; /* with RECORD_VERDICT_DENY */
	const struct slice *rules; /* names of the rules that decided */
	size_t rule_count;
	struct slice masks; /* summary for people */
	struct slice as; /* the role of the server's that it runs as; empty: as who is logged in */
	struct slice message; /* what the agent is told */
	struct slice review; /* with RECORD_VERDICT_REVIEW */
	const struct record_value *parameters;
	size_t parameter_count;
};

struct record_decision {
	enum record_outcome outcome;
	struct slice review, by, grant, detail;
};

struct record_result {
	uint64_t rows; /* that the agent got */
	uint64_t bytes; /* sent to the agent */
	struct slice tag;
	struct slice error_code, error_text; /* after masking */
};

/* Starts the syncing thread. There is no segment yet, so flushes fail. */
int recorder_new(struct recorder **ret, const struct recorder_options *options);
/* The end, after the last session's: finishes the segments and syncs them, which may block. The
 * last heads are stored in `ret` (room for RECORDER_HEADS_MOST), their number returned; a stream
 * that fails has none. */
size_t recorder_stop(struct recorder *r, struct stream_head *ret);
/* Closes the descriptors, ends the thread. Takes NULL. */
void recorder_free(struct recorder *r);

/* The stream goes on in the empty file `fd` (O_APPEND, now the recorder's), segment `number`.
 * Between loop turns, after a flush. */
void recorder_give_segment(struct recorder *r, enum stream_kind kind, int fd, uint32_t number);
/* The size at which the recording wants a new segment. */
void recorder_set_segment_bytes(struct recorder *r, uint64_t most);
/* Streams that want a new segment, as bits (1 << enum stream_kind): because of its size or age, or
 * because the file could not be synced. */
unsigned recorder_wants(struct recorder *r);

void recorder_session_start(
	struct recorder *r, struct recorder_session *s, const struct session_facts *facts);
/* Facts that became known, or changed; all of them are given again. */
void recorder_session_change(
	struct recorder *r, struct recorder_session *s, const struct session_facts *facts);
/* `detail`: more about the reason, or empty. The session can be started again or forgotten. */
void recorder_session_end(struct recorder *r, struct recorder_session *s, enum reason reason,
	struct slice detail, uint64_t bytes_to_agent, uint64_t bytes_to_server);
/* A session that has ended keeps its connection as long as its agent has yet to read what it was
 * sent; `unread` false: no more. */
void recorder_session_unread(struct recorder *r, struct recorder_session *s, bool unread);

/* One action and its verdict, before anything of it is forwarded. Returns its number in the
 * session, from 1. */
uint64_t recorder_action(
	struct recorder *r, struct recorder_session *s, const struct record_action *action);
void recorder_decision(struct recorder *r, struct recorder_session *s, uint64_t number,
	const struct record_decision *decision);
/* The action ended: how. */
void recorder_result(struct recorder *r, struct recorder_session *s, uint64_t number,
	const struct record_result *result);
void recorder_columns(struct recorder *r, struct recorder_session *s, uint64_t number,
	const struct slice *names, size_t count);
/* Rows after masking: begin, one add per row, end, with nothing else recorded between. */
void recorder_rows_begin(struct recorder *r, struct recorder_session *s, uint64_t number);
void recorder_rows_add(struct recorder *r, const struct record_value *values, size_t count);
void recorder_rows_end(struct recorder *r);
/* What an action's terminal or command carried, after masking; with RECORD_DATA_WINDOW the
 * terminal's size instead of `bytes`. At most LIMIT_RECORD_ROWS bytes. */
void recorder_data(struct recorder *r, struct recorder_session *s, uint64_t number,
	enum record_data kind, struct slice bytes, uint16_t columns, uint16_t rows);
/* Something that is no action: a refused message, a protocol violation, the start of an opaque
 * relay. `s` NULL: outside of any session. */
void recorder_note(
	struct recorder *r, struct recorder_session *s, enum reason reason, struct slice detail);

/* Whether something was recorded that is not written yet. */
bool recorder_is_pending(const struct recorder *r);
/* Whether some of it must be written before anything is forwarded: all but the results of actions,
 * which are records of what has happened already. They may wait for a moment of quiet, or until
 * they are many. */
bool recorder_must_flush(const struct recorder *r);
/* Writes all that was recorded. 0, or negative errno: see above. */
int recorder_flush(struct recorder *r);
/* Why recording fails, for people; NULL while it works. Static text. */
const char *recorder_problem(const struct recorder *r);

/* At least twice a second, after a flush: progress of sessions, syncing. `now` is monotonic, in
 * nanoseconds. */
void recorder_tick(struct recorder *r, uint64_t now);
/* All that was flushed shall be synced soon. It is once recorder_synced() is at least the ticket.
 */
uint64_t recorder_sync(struct recorder *r);
uint64_t recorder_synced(const struct recorder *r);
/* Readable when recorder_on_event() has something to do. */
int recorder_event(const struct recorder *r);
/* The heads that are synced now, for the monitor, in `ret` (room for RECORDER_HEADS_MOST), their
 * number in *ret_count. 0, or negative errno: syncing failed, all who wait for a ticket must be
 * refused, and the stream fails until it gets a new segment (Linux drops what it could not write,
 * so that a second fdatasync() would succeed without the data). */
int recorder_on_event(struct recorder *r, struct stream_head *ret, size_t *ret_count);

#endif
