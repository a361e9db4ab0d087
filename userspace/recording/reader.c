/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/reader.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/memory.h"

#define READER_CHUNK 65536

static enum reader_status broken(struct reader *r, const char *why)
{
	error_set(&r->problem, 0, "%s", why);
	return READER_BROKEN;
}

/* Reads until `length` bytes are in the window. READER_RECORD when they are. */
static enum reader_status reader_fill(struct reader *r, size_t length)
{
	while (buffer_length(&r->window) < length) {
		uint8_t *space;
		ssize_t n;

		if (buffer_reserve(&r->window, READER_CHUNK, &space) < 0)
			return broken(r, "no memory");
		n = source_read(&r->source, space, READER_CHUNK);
		if (n == -EBADMSG)
			return broken(r, "its compressed data is damaged or cut off");
		if (n == -EFBIG)
			return broken(r, "it is longer than any segment");
		if (n < 0) {
			error_set_errno(&r->problem, (int)n, "it can't be read");
			return READER_BROKEN;
		}
		if (n == 0)
			return buffer_length(&r->window) ? READER_TORN : READER_END;
		buffer_commit(&r->window, (size_t)n);
	}
	return READER_RECORD;
}

static void reader_accept(struct reader *r, size_t length)
{
	struct slice bytes = slice_head(buffer_slice(&r->window), length);

	if (r->hashed)
		sha256_add(&r->running, bytes);
	r->offset += length;
}

enum reader_status reader_open(struct reader *r, int fd, bool compressed, bool hashed)
{
	enum reader_status status;

	*r = (struct reader){0};
	source_init(&r->source, fd, compressed);
	buffer_init(
		&r->window, RECORD_HEADER_SIZE + LIMIT_RECORD_PAYLOAD + HASH_SIZE + READER_CHUNK);
	entry_parser_init(&r->parser);
	status = reader_fill(r, SEGMENT_HEADER_SIZE);
	if (status != READER_RECORD)
		return status;
	if (segment_header_decode(buffer_slice(&r->window).data, &r->header, &r->problem) < 0)
		return READER_BROKEN;
	r->hashed = hashed && !stream_is_chained(r->header.kind);
	sha256_begin(&r->running);
	sha256_add(&r->running, slice_head(buffer_slice(&r->window), SEGMENT_HEADER_SIZE));
	sha256_get(&r->running, r->chain);
	sha256_begin(&r->running);
	r->sequence = r->header.first_sequence - 1;
	reader_accept(r, SEGMENT_HEADER_SIZE);
	buffer_consume(&r->window, SEGMENT_HEADER_SIZE);
	return READER_RECORD;
}

void reader_close(struct reader *r)
{
	source_done(&r->source);
	buffer_done(&r->window);
	entry_parser_done(&r->parser);
}

static bool is_zero(struct slice s)
{
	return s.length == 0 || (s.data[0] == 0 && memcmp(s.data, s.data + 1, s.length - 1) == 0);
}

/* A record's header is all zeros. After a loss of power a file system may show a file's new length
 * without its bytes: then zeros reach to the end. */
static enum reader_status reader_on_zeros(struct reader *r)
{
	enum reader_status status;

	do {
		if (!is_zero(buffer_slice(&r->window)))
			return broken(r, "a record is overwritten with zeros");
		buffer_clear(&r->window);
		status = reader_fill(r, READER_CHUNK);
	} while (status == READER_RECORD);
	if (status == READER_BROKEN)
		return status;
	return is_zero(buffer_slice(&r->window)) ? READER_TORN
						 : broken(r, "a record is overwritten with zeros");
}

static bool reader_check(struct reader *r, struct slice record, const uint8_t *trailer)
{
	uint8_t chain[HASH_SIZE];
	struct sha256 h;

	if (!stream_is_chained(r->header.kind))
		return record_checksum(record) == bytes_get_u64(trailer);
	sha256_begin(&h);
	sha256_add(&h, slice_of(r->chain, HASH_SIZE));
	sha256_add(&h, record);
	sha256_get(&h, chain);
	if (memcmp(chain, trailer, HASH_SIZE) != 0)
		return false;
	memcpy(r->chain, chain, HASH_SIZE);
	return true;
}

enum reader_status reader_next(struct reader *r, struct entry *ret)
{
	size_t trailer_size = stream_trailer_size(r->header.kind), length, whole;
	struct slice record;
	enum reader_status status;

	/* The record before is consumed only now: its entry pointed into the window. */
	buffer_consume(&r->window, r->consumed);
	r->consumed = 0;
	status = reader_fill(r, RECORD_HEADER_SIZE);
	if (status == READER_TORN && is_zero(buffer_slice(&r->window)))
		return READER_TORN;
	if (status != READER_RECORD)
		return status;
	record = buffer_slice(&r->window);
	if (is_zero(slice_head(record, RECORD_HEADER_SIZE)))
		return reader_on_zeros(r);
	length = bytes_get_u32(record.data);
	if (length > LIMIT_RECORD_PAYLOAD)
		return broken(r, "its length is impossible");
	whole = RECORD_HEADER_SIZE + length + trailer_size;
	status = reader_fill(r, whole);
	if (status != READER_RECORD)
		return status == READER_END ? READER_TORN : status;
	record = slice_head(buffer_slice(&r->window), RECORD_HEADER_SIZE + length);
	if (bytes_get_u64(record.data + 5) != r->sequence + 1)
		return broken(r, "its sequence number is not the next one");
	if (!reader_check(r, record, record.data + record.length))
		return broken(r,
			stream_is_chained(r->header.kind)
				? "its chain value does not follow from the record before and its "
				  "content"
				: "its checksum does not fit its content");
	*ret = (struct entry){.type = record.data[4],
		.sequence = r->sequence + 1,
		.time = bytes_get_u64(record.data + 13),
		.offset = r->offset};
	if (entry_parse(&r->parser, slice_from(record, RECORD_HEADER_SIZE), ret, &r->problem) < 0)
		return READER_BROKEN;
	reader_accept(r, whole);
	r->consumed = whole;
	r->sequence++;
	r->count++;
	return READER_RECORD;
}

void reader_head(struct reader *r, struct stream_head *ret)
{
	struct stream_head head = {.kind = r->header.kind,
		.segment = r->header.segment,
		.sequence = r->sequence,
		.bytes = r->offset};

	if (r->hashed)
		sha256_get(&r->running, head.hash);
	else if (stream_is_chained(r->header.kind))
		memcpy(head.hash, r->chain, HASH_SIZE);
	*ret = head;
}
