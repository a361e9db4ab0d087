/* SPDX-License-Identifier: Apache-2.0
 *
 * format: what stands in the files of recordings and of the audit log.
 *
 * A stream is what one process (an "incarnation" of a worker, or of the monitor) writes of one
 * kind; it is cut into segments, one file each, named INCARNATION.KIND.NUMBER. A segment is a
 * header and records, all integers big-endian:
 *
 *   header   magic 8 · version 2 · kind 2 · segment 4 · incarnation 24 · first sequence 8 · time 8
 * · previous: hash 32, sequence 8, bytes 8 · XXH3 of all that 8 record   payload length 4 · type 1
 * · sequence 8 · wall time in ns 8 · payload · trailer payload  fields: number 1 · length (LEB128,
 * at most 4 bytes) · bytes string   0 bytes | 1 slot(2) | 2 slot(2) bytes, which also puts the
 * bytes into that slot
 *
 * The trailer of audit and checkpoint records is a chain value: SHA-256 over the chain value before
 * it, the record's header and its payload; before the first record stands SHA-256 of the segment's
 * header, which names the last chain value of the segment before. Recordings and indexes, which
 * carry the bulk, have an XXH3 checksum per record against accidents, and against deliberate change
 * one running SHA-256 over all bytes of the segment, which is cheap at any rate of small records
 * and is signed with the chain values at each checkpoint.
 */
#ifndef WAYLEAVE_RECORDING_FORMAT_H
#define WAYLEAVE_RECORDING_FORMAT_H

#include "base/error.h"
#include "base/identifier.h"
#include "base/limits.h"

#define HASH_SIZE 32
#define SEGMENT_HEADER_SIZE 112
#define RECORD_HEADER_SIZE 21
#define RECORD_CHECKSUM_SIZE 8
#define SEGMENT_NAME_SIZE 64 /* bytes, the NUL included */
#define SEGMENT_COMPRESSED_SUFFIX ".zst"
#define DICTIONARY_SLOTS 4096
#define DICTIONARY_TEXT_LEAST 4 /* shorter strings are cheaper in place */
#define DICTIONARY_TEXT_MOST 8192 /* longer strings are never put into a slot */
#define INCARNATION_DIGITS 16
/* The detail of SEGMENT_END records. */
#define SEGMENT_CONTINUES "continues in the next segment"
#define SEGMENT_STOPPED "stopped"
/* The one stream that belongs to the host rather than to a process. */
#define CHECKPOINTS_INCARNATION "host"

enum stream_kind {
	STREAM_AUDIT, /* every decision; chained; never deleted */
	STREAM_RECORDING, /* actions with their texts, results, rows; deleted by retention */
	STREAM_INDEX, /* begin, progress and end of sessions */
	STREAM_CHECKPOINTS, /* signed heads; chained; never deleted */
	STREAM_COUNT
};
#define STREAM_WORKER_COUNT STREAM_CHECKPOINTS /* a worker writes those in front of it */

enum record_type {
#define RECORD(symbol, number, name) RECORD_##symbol = number,
#include "recording/records.inc"
#undef RECORD
};

enum field {
#define FIELD(symbol, number, name, form) FIELD_##symbol = number,
#include "recording/fields.inc"
#undef FIELD
	FIELD_COUNT = 128
};

enum field_form {
	FORM_UNKNOWN,
	FORM_NUMBER,
	FORM_TIME,
	FORM_STRING,
	FORM_GROUP,
	FORM_BYTES,
	FORM_VALUE,
	FORM_ROW,
	FORM_PAIR,
	FORM_HEAD,
};

enum string_form { STRING_INLINE, STRING_REFERENCE, STRING_DEFINITION };

/* Why a session record was written. */
enum session_occasion { SESSION_BEGINS = 1, SESSION_CHANGES, SESSION_GOES_ON };

/* On disk: explicit numbers. */
enum record_data {
	RECORD_DATA_INPUT = 1,
	RECORD_DATA_OUTPUT = 2,
	RECORD_DATA_ERROR = 3,
	RECORD_DATA_WINDOW = 4,
};
enum record_verdict {
	RECORD_VERDICT_ALLOW = 1,
	RECORD_VERDICT_REVIEW = 2,
	RECORD_VERDICT_DENY = 3
};
enum record_outcome {
	OUTCOME_APPROVED = 1,
	OUTCOME_DENIED = 2,
	OUTCOME_EXPIRED = 3,
	OUTCOME_CANCELLED = 4,
};
enum host_event {
	HOST_STARTED = 1, /* the monitor; detail = version */
	HOST_STOPPED = 2,
	HOST_SEGMENT = 3, /* a segment was made for subject */
	HOST_SEALED = 4, /* subject is dead; its segment has `size` bytes */
	HOST_WORKER_STARTED = 5,
	HOST_WORKER_GONE = 6,
	HOST_CONFIGURED = 7, /* configuration or policy was loaded, or refused */
	HOST_AGENT = 8, /* an agent was started, enrolled, suspended or resumed */
	HOST_REFUSED = 9, /* a connection refused outside of the workers */
	HOST_ADMIN = 10, /* what an administrator ordered */
	HOST_DELETED = 11, /* retention deleted a segment */
	HOST_COMPRESSED = 12, /* a segment was compressed; size = plain bytes */
	HOST_WARNING = 13,
	HOST_REVIEW = 14, /* subject is a review: it was asked for, or goes to other groups */
	HOST_VOTE = 15, /* a reviewer approved, others must too */
	HOST_APPROVED = 16,
	HOST_DENIED = 17,
	HOST_EXPIRED = 18, /* nobody decided in time */
	HOST_CANCELLED = 19, /* nobody waits any more, or its rule is gone */
	HOST_GRANTED = 20, /* subject is a grant */
	HOST_REVOKED = 21,
	HOST_GRANT_ENDED = 22, /* its time was over */
};

/* How far a stream got. Fixed layout: it also travels between worker and monitor. */
struct stream_head {
	uint32_t kind; /* enum stream_kind */
	uint32_t segment; /* from 1 */
	uint64_t sequence; /* of the last record; 0 = none */
	uint64_t bytes; /* of the segment */
	uint8_t hash[HASH_SIZE]; /* chain value, or running hash of the segment */
};
#define STREAM_HEAD_SIZE (IDENTIFIER_SIZE + 2 + 4 + 8 + 8 + HASH_SIZE) /* bytes as a HEAD field */

struct segment_header {
	enum stream_kind kind;
	uint32_t segment; /* from 1 */
	struct identifier incarnation;
	uint64_t first_sequence; /* of the first record */
	uint64_t time; /* wall clock, nanoseconds */
	struct stream_head previous; /* what counts of the segment before; zeros in segment 1 */
};

struct segment_name {
	struct identifier incarnation;
	enum stream_kind kind;
	uint32_t segment;
	bool compressed;
};

/* Static text; NULL where there is no such number. */
const char *stream_kind_name(unsigned kind);
const char *record_type_name(unsigned type);
const char *field_name(unsigned field);
const char *record_verdict_name(uint64_t verdict);
const char *record_outcome_name(uint64_t outcome);
const char *record_data_name(uint64_t data);
const char *host_event_name(uint64_t event);
/* FORM_UNKNOWN where there is no such field. */
enum field_form field_form(unsigned field);

/* Whether strings of this length may stand in a slot. */
static inline bool dictionary_takes_length(size_t length)
{
	return length >= DICTIONARY_TEXT_LEAST && length <= DICTIONARY_TEXT_MOST;
}

/* Whether the records carry chain values (else checksums, and the segment a running hash). */
static inline bool stream_is_chained(enum stream_kind kind)
{
	return kind == STREAM_AUDIT || kind == STREAM_CHECKPOINTS;
}

static inline size_t stream_trailer_size(enum stream_kind kind)
{
	return stream_is_chained(kind) ? HASH_SIZE : RECORD_CHECKSUM_SIZE;
}

/* "w-" or "m-" with an identifier's letters, or CHECKPOINTS_INCARNATION; zeros behind it. Such
 * names become parts of file names and of output. */
bool incarnation_is_valid(const struct identifier *incarnation);

void segment_header_encode(const struct segment_header *h, uint8_t ret[SEGMENT_HEADER_SIZE]);
/* -EBADMSG where it is no header of a version that we know, with the reason in `e`. */
int segment_header_decode(
	const uint8_t bytes[SEGMENT_HEADER_SIZE], struct segment_header *ret, struct error *e);

void segment_name_format(const struct segment_name *n, char ret[SEGMENT_NAME_SIZE]);
/* -EINVAL where the name is not of that form. */
int segment_name_parse(const char *name, struct segment_name *ret);

void stream_head_encode(const struct identifier *incarnation, const struct stream_head *head,
	uint8_t ret[STREAM_HEAD_SIZE]);
/* -EBADMSG. */
int stream_head_decode(
	struct slice bytes, struct identifier *ret_incarnation, struct stream_head *ret_head);

/* XXH3, unkeyed: against accidents alone. */
uint64_t record_checksum(struct slice bytes);

#endif
