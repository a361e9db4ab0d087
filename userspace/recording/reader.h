/* SPDX-License-Identifier: Apache-2.0
 *
 * reader: the records of one segment, each checked: framing, sequence numbers, chain value or
 * checksum, fields. Never believes a length before the bytes are there.
 */
#ifndef WAYLEAVE_RECORDING_READER_H
#define WAYLEAVE_RECORDING_READER_H

#include "base/buffer.h"
#include "base/sha256.h"
#include "recording/entry.h"
#include "recording/source.h"

enum reader_status {
	READER_RECORD,
	READER_END, /* the file ends behind a whole record */
	READER_TORN, /* the file ends inside a record or the header, or in zeros: a crash leaves
			that */
	READER_BROKEN, /* reader->problem says why; nothing further can be read */
};

struct reader {
	struct source source;
	struct buffer window;
	struct segment_header header;
	uint64_t offset; /* of the next record; bytes that were accepted */
	uint64_t sequence; /* of the last record; before the first, the number before its own */
	uint64_t count; /* records */
	size_t consumed; /* bytes of the window that belong to the last entry */
	uint8_t chain[HASH_SIZE]; /* of the last record, or of the header (chained streams) */
	bool hashed;
	struct sha256 running; /* hashed: over all bytes up to `offset` */
	struct entry_parser parser;
	struct error problem;
};

/* Reads the header. READER_RECORD: records can be read; READER_END: the file is empty. After
 * anything else, and at last, reader_close(). With `hashed`, reader_head() works for streams
 * without chain values too. The descriptor stays the caller's. */
enum reader_status reader_open(struct reader *r, int fd, bool compressed, bool hashed);
void reader_close(struct reader *r);
/* The next record, valid until the next call. After READER_END and READER_TORN of a plain file one
 * may try again: it may have grown. */
enum reader_status reader_next(struct reader *r, struct entry *ret);
/* How far the reader got. */
void reader_head(struct reader *r, struct stream_head *ret);

#endif
