/* SPDX-License-Identifier: Apache-2.0
 *
 * journal: the writing end of one stream. Records are built in memory and written in one write(2)
 * per loop turn. Used by one thread.
 *
 * Between building and forwarding stands journal_write() and journal_acknowledge(): what has not
 * been acknowledged must not be forwarded. After a failure (disk full, I/O error) the bytes that
 * are not in the file yet stay in memory, so that the next journal_write() goes on exactly where
 * the last one stopped and no record is ever torn in the middle of a segment. journal_refuse()
 * remembers the range of records whose senders were told no; a GAP record says so once writing
 * works again.
 */
#ifndef WAYLEAVE_RECORDING_JOURNAL_H
#define WAYLEAVE_RECORDING_JOURNAL_H

#include "base/sha256.h"
#include "recording/dictionary.h"
#include "recording/field.h"

struct journal {
	enum stream_kind kind;
	struct identifier incarnation;
	uint64_t (*clock)(void);
	int fd; /* of the segment; -1 before the first */
	uint32_t segment;
	uint64_t segment_time; /* wall clock at its start */
	struct stream_head previous; /* how the segment before ended */
	struct buffer pending; /* records that are not known to be wholly written */
	size_t written; /* bytes of `pending` that are in the file */
	uint64_t bytes; /* of the segment, without `pending` */
	uint64_t sequence; /* of the last record made */
	uint64_t sequence_written; /* of the last record before `pending` */
	uint64_t acknowledged;
	bool urgent; /* a record was begun that forwarding depends on; cleared by who flushes and
			tells */
	uint8_t chain[HASH_SIZE]; /* of the last record made (chained streams) */
	uint8_t chain_written[HASH_SIZE]; /* of the last record before `pending` */
	struct sha256 running; /* over the segment's bytes without `pending` (other streams) */
	struct dictionary dictionary;
	size_t record; /* where the record being made starts in `pending` */
	int record_error; /* why it can't be made; 0 = so far so good */
	bool record_defines; /* it has put strings into the dictionary */
	int lost; /* errno of a record that was dropped since the last acknowledgement */
	bool gap; /* a range waits for its GAP record */
	uint64_t gap_last;
	int gap_error;
	uint64_t dropped;
};

void journal_init(struct journal *j, enum stream_kind kind, const struct identifier *incarnation,
	uint64_t (*clock)(void));
/* Frees; does not close the descriptor. */
void journal_done(struct journal *j);

/* The stream goes on in another segment, `number`, whose empty file `fd` is. `previous` is NULL,
 * or, for the first segment that this process writes, how the stream ended before. The segment
 * before is finished with a SEGMENT_END record where that can be written; where it can't, what is
 * not in it is lost and the new segment begins with a GAP record. *ret_fd gets the segment before's
 * descriptor (-1: none), now the caller's, and *ret_head its head. Writes nothing to the new file
 * yet. */
void journal_continue(struct journal *j, int fd, uint32_t number,
	const struct stream_head *previous, int *ret_fd, struct stream_head *ret_head);

/* One record: begin, fields, end. Fields of a record that can't be made are ignored; end then
 * returns a negative errno (-ENOBUFS: too much waits already; -E2BIG: the record is too long), and
 * journal_write() will report the same. `time` is the wall clock. */
void journal_begin(struct journal *j, enum record_type type, uint64_t time);
void journal_number(struct journal *j, enum field field, uint64_t value);
void journal_bytes(struct journal *j, enum field field, struct slice bytes);
/* A STRING or GROUP through the dictionary. Nothing for the empty slice. `hash` is table_hash() of
 * it, where the caller has that already. */
void journal_string(struct journal *j, enum field field, struct slice text);
void journal_string_hashed(struct journal *j, enum field field, struct slice text, uint64_t hash);
/* Fields that stand encoded already. */
void journal_fields(struct journal *j, struct slice fields);
/* Bytes of the record being made, its header included. */
size_t journal_record_size(const struct journal *j);
int journal_end(struct journal *j);

/* Writes what waits. 0 once all of it is in the kernel, else negative errno; may be called again.
 */
int journal_write(struct journal *j);
/* Nothing made since the last acknowledgement may be forwarded, because of `error`. */
void journal_refuse(struct journal *j, int error);
/* Makes the GAP record that journal_refuse() left to be made; it then waits to be written. */
void journal_make_gap(struct journal *j);
/* All that was made is written: it counts from now on. */
void journal_acknowledge(struct journal *j);

/* Ends the segment with a SEGMENT_END record, where all that waits can be written. */
void journal_finish(struct journal *j, const char *why);

/* How far the file itself got; hash and sequence of the last record that is wholly in it. */
void journal_head(struct journal *j, struct stream_head *ret);

#endif
