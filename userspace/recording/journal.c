/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/journal.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/table.h"

/* More than this is written before the turn ends, so that memory stays bounded. */
#define JOURNAL_WRITE_AT (1u << 20)

void journal_init(struct journal *j, enum stream_kind kind, const struct identifier *incarnation,
	uint64_t (*clock)(void))
{
	*j = (struct journal){.kind = kind, .incarnation = *incarnation, .clock = clock, .fd = -1};
	buffer_init(&j->pending, LIMIT_RECORD_PENDING);
	dictionary_init(&j->dictionary);
	sha256_begin(&j->running);
}

void journal_done(struct journal *j)
{
	buffer_done(&j->pending);
	dictionary_done(&j->dictionary);
}

/* Over two parts. */
static void journal_hash(struct slice a, struct slice b, uint8_t ret[HASH_SIZE])
{
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, a);
	sha256_add(&h, b);
	sha256_get(&h, ret);
}

/* ---- records ---- */

void journal_begin(struct journal *j, enum record_type type, uint64_t time)
{
	uint8_t header[RECORD_HEADER_SIZE] = {0};

	j->urgent |= type != RECORD_RESULT;
	if (buffer_length(&j->pending) >= JOURNAL_WRITE_AT)
		journal_write(j);
	j->record = buffer_length(&j->pending);
	j->record_defines = false;
	/* Leave room for one more record of full size, so that a GAP record always finds some. */
	if (j->fd < 0 || j->record > LIMIT_RECORD_PENDING / 2) {
		j->record_error = j->fd < 0 ? -EBADF : -ENOBUFS;
		return;
	}
	header[4] = (uint8_t)type;
	bytes_put_u64(header + 5, j->sequence + 1);
	bytes_put_u64(header + 13, time);
	j->record_error = buffer_append(&j->pending, header, sizeof(header));
}

void journal_number(struct journal *j, enum field field, uint64_t value)
{
	if (j->record_error == 0)
		j->record_error = field_append_number(&j->pending, field, value);
}

void journal_bytes(struct journal *j, enum field field, struct slice bytes)
{
	if (j->record_error == 0)
		j->record_error = field_append_bytes(&j->pending, field, bytes);
}

void journal_fields(struct journal *j, struct slice fields)
{
	if (j->record_error == 0)
		j->record_error = buffer_append_slice(&j->pending, fields);
}

void journal_string(struct journal *j, enum field field, struct slice text)
{
	journal_string_hashed(j, field, text, dictionary_takes(text) ? table_hash_slice(text) : 0);
}

void journal_string_hashed(struct journal *j, enum field field, struct slice text, uint64_t hash)
{
	unsigned slot = dictionary_slot_of(hash);

	if (j->record_error)
		return;
	if (dictionary_find(&j->dictionary, text, hash)) {
		j->record_error = field_append_reference(&j->pending, field, slot);
	} else if (!dictionary_takes(text) || !dictionary_wants(&j->dictionary, hash)) {
		j->record_error = field_append_inline(&j->pending, field, text);
	} else {
		j->record_error = field_append_definition(&j->pending, field, slot, text);
		dictionary_define(&j->dictionary, text, hash);
		j->record_defines = true;
	}
}

size_t journal_record_size(const struct journal *j)
{
	return j->record_error ? 0 : buffer_length(&j->pending) - j->record;
}

static void journal_drop(struct journal *j)
{
	buffer_truncate(&j->pending, j->record);
	/* A reader never sees what this record defined. */
	if (j->record_defines)
		dictionary_clear(&j->dictionary);
	j->lost = j->record_error;
	j->dropped++;
}

/* The record's header and payload, as the buffer holds them now. */
static struct slice journal_record(const struct journal *j)
{
	return slice_from(buffer_slice(&j->pending), j->record);
}

int journal_end(struct journal *j)
{
	uint8_t trailer[HASH_SIZE];
	size_t trailer_size = stream_trailer_size(j->kind), payload;
	uint8_t *room;

	if (j->record_error == 0 &&
		journal_record(j).length - RECORD_HEADER_SIZE > LIMIT_RECORD_PAYLOAD)
		j->record_error = -E2BIG;
	if (j->record_error == 0)
		j->record_error = buffer_reserve(&j->pending, trailer_size, &room);
	if (j->record_error) {
		journal_drop(j);
		return j->record_error;
	}
	payload = journal_record(j).length - RECORD_HEADER_SIZE;
	bytes_put_u32(j->pending.data + j->pending.start + j->record, (uint32_t)payload);
	if (stream_is_chained(j->kind)) {
		journal_hash(slice_of(j->chain, HASH_SIZE), journal_record(j), trailer);
		memcpy(j->chain, trailer, HASH_SIZE);
	} else {
		bytes_put_u64(trailer, record_checksum(journal_record(j)));
	}
	memcpy(room, trailer, trailer_size);
	buffer_commit(&j->pending, trailer_size);
	j->sequence++;
	return 0;
}

/* ---- writing ---- */

/* All of `pending` is in the file. */
static void journal_settle(struct journal *j)
{
	struct slice all = buffer_slice(&j->pending);

	if (!stream_is_chained(j->kind))
		sha256_add(&j->running, all);
	memcpy(j->chain_written, j->chain, HASH_SIZE);
	j->bytes += all.length;
	j->sequence_written = j->sequence;
	j->written = 0;
	buffer_clear(&j->pending);
}

int journal_write(struct journal *j)
{
	struct slice rest = slice_from(buffer_slice(&j->pending), j->written);

	if (rest.length == 0)
		return j->lost;
	if (j->fd < 0)
		return -EBADF;
	/* Nobody gave a new segment for long: readers refuse one that is longer. */
	if (j->bytes + buffer_length(&j->pending) > LIMIT_SEGMENT_BYTES - LIMIT_RECORD_PENDING)
		return -EFBIG;
	while (rest.length) {
		ssize_t n = write(j->fd, rest.data, rest.length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		j->written += (size_t)n;
		rest = slice_from(rest, (size_t)n);
	}
	journal_settle(j);
	return j->lost;
}

void journal_refuse(struct journal *j, int error)
{
	j->gap = true;
	j->gap_last = j->sequence;
	j->gap_error = error;
	j->lost = 0;
}

void journal_make_gap(struct journal *j)
{
	if (!j->gap)
		return;
	if (j->gap_last <= j->acknowledged && j->dropped == 0) {
		j->gap = false;
		return;
	}
	journal_begin(j, RECORD_GAP, j->clock());
	journal_number(j, FIELD_FIRST, j->acknowledged + 1);
	journal_number(j, FIELD_LAST, j->gap_last);
	journal_number(j, FIELD_DROPPED, j->dropped);
	journal_number(j, FIELD_ERRNO, (uint64_t)-j->gap_error);
	if (journal_end(j) < 0)
		return;
	j->gap = false;
	j->dropped = 0;
}

void journal_acknowledge(struct journal *j)
{
	assert(buffer_length(&j->pending) == 0);
	j->acknowledged = j->sequence;
}

void journal_head(struct journal *j, struct stream_head *ret)
{
	struct stream_head head = {.kind = j->kind,
		.segment = j->segment,
		.sequence = j->sequence_written,
		.bytes = j->bytes};

	if (stream_is_chained(j->kind)) {
		memcpy(head.hash, j->chain_written, HASH_SIZE);
	} else {
		sha256_get(&j->running, head.hash);
	}
	*ret = head;
}

/* ---- segments ---- */

void journal_finish(struct journal *j, const char *why)
{
	if (j->fd < 0)
		return;
	journal_write(j);
	if (buffer_length(&j->pending) == 0) {
		journal_begin(j, RECORD_SEGMENT_END, j->clock());
		journal_string(j, FIELD_DETAIL, slice_from_string(why));
		journal_end(j);
		journal_write(j);
	}
}

/* What is not in the file of the old segment refers to strings of its dictionary: it is given up.
 * The senders were told no, or, where nobody has asked yet, journal_write() tells them. */
static void journal_give_up_pending(struct journal *j)
{
	bool untold = j->sequence > (j->gap ? j->gap_last : j->acknowledged);

	if (buffer_length(&j->pending) == 0)
		return;
	journal_refuse(j, j->gap ? j->gap_error : -EIO);
	if (untold)
		j->lost = -EIO;
	buffer_clear(&j->pending);
	j->written = 0;
}

static void journal_put_header(struct journal *j)
{
	struct segment_header header = {.kind = j->kind,
		.segment = j->segment,
		.incarnation = j->incarnation,
		.first_sequence = j->sequence + 1,
		.time = j->segment_time,
		.previous = j->previous};
	uint8_t bytes[SEGMENT_HEADER_SIZE];

	segment_header_encode(&header, bytes);
	journal_hash(slice_of(bytes, sizeof(bytes)), SLICE_EMPTY, j->chain);
	sha256_begin(&j->running);
	if (buffer_append(&j->pending, bytes, sizeof(bytes)) < 0)
		abort();
}

void journal_continue(struct journal *j, int fd, uint32_t number,
	const struct stream_head *previous, int *ret_fd, struct stream_head *ret_head)
{
	journal_finish(j, SEGMENT_CONTINUES);
	/* A segment of which nothing was written doesn't count. */
	if (j->bytes)
		journal_head(j, &j->previous);
	*ret_fd = j->fd;
	*ret_head = j->previous;
	journal_give_up_pending(j);
	if (previous) {
		j->previous = *previous;
		j->sequence = previous->sequence;
		j->acknowledged = previous->sequence;
	}
	dictionary_clear(&j->dictionary);
	j->fd = fd;
	j->segment = number;
	j->segment_time = j->clock();
	j->bytes = 0;
	j->sequence_written = j->sequence;
	journal_put_header(j);
	memcpy(j->chain_written, j->chain, HASH_SIZE);
	journal_make_gap(j);
}
