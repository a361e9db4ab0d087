/* SPDX-License-Identifier: Apache-2.0
 *
 * What reads recordings, on hostile files. The first byte says what the rest is: a segment, a
 * compressed segment, payloads of records (framed here with right checksums, so that mutation gets
 * behind them), a text in which passwords are looked for, or a file's name.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "recording/journal.h"
#include "recording/pair.h"
#include "recording/reader.h"
#include "recording/secret.h"
#include "recording/value.h"

/* Whatever a reader of entries does with their fields. */
static void look_at(const struct entry *entry)
{
	volatile size_t sum = 0;

	for (size_t i = 0; i < entry->count; i++) {
		const struct field_item *item = &entry->items[i];
		struct slice row = item->bytes;
		struct identifier incarnation;
		struct recorded_value value;
		struct recorded_pair pair;
		struct stream_head head;

		for (size_t n = 0; n < item->bytes.length; n++)
			sum += item->bytes.data[n];
		switch (field_form(item->field)) {
		case FORM_VALUE:
			if (value_decode(item->bytes, &value) == 0)
				sum += value.bytes.length + value.digest.length;
			break;
		case FORM_ROW:
			while (row.length && row_take(&row, &value) == 0)
				sum += value.bytes.length;
			break;
		case FORM_PAIR:
			if (pair_decode(item->bytes, &pair) == 0)
				sum += pair.operation.length + pair.object.length;
			break;
		case FORM_HEAD:
			sum += (size_t)stream_head_decode(item->bytes, &incarnation, &head);
			break;
		default:
			break;
		}
	}
}

static void read_segment(struct slice bytes, bool compressed)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	enum reader_status status;
	struct stream_head head;
	struct reader reader;
	struct entry entry;

	assert(file_write_all(fd, bytes) == 0);
	status = reader_open(&reader, fd, compressed, true);
	while (status == READER_RECORD) {
		status = reader_next(&reader, &entry);
		if (status == READER_RECORD)
			look_at(&entry);
		reader_head(&reader, &head);
		assert(head.bytes == reader.offset);
	}
	reader_close(&reader);
	close(fd);
}

/* Payloads, each with two bytes of length in front, as a segment of a recording. */
static void read_payloads(struct slice bytes)
{
	struct segment_header header = {.kind = STREAM_RECORDING,
		.segment = 1,
		.incarnation = {"w-0123456789ABCDEF"},
		.first_sequence = 1};
	uint8_t head[SEGMENT_HEADER_SIZE];
	struct buffer segment;
	uint64_t sequence = 0;

	buffer_init(&segment, 1 << 26);
	segment_header_encode(&header, head);
	buffer_append(&segment, head, sizeof(head));
	while (bytes.length > 2) {
		struct slice payload = slice_head(slice_from(bytes, 2), bytes_get_u16(bytes.data));
		size_t start = buffer_length(&segment);

		buffer_append_u32(&segment, (uint32_t)payload.length);
		buffer_append_byte(&segment, RECORD_ACTION);
		buffer_append_u64(&segment, ++sequence);
		buffer_append_u64(&segment, 0);
		buffer_append_slice(&segment, payload);
		buffer_append_u64(
			&segment, record_checksum(slice_from(buffer_slice(&segment), start)));
		bytes = slice_from(bytes, 2 + payload.length);
	}
	read_segment(buffer_slice(&segment), false);
	buffer_done(&segment);
}

static void hide(struct slice text)
{
	struct secret_found found, again;
	struct buffer once, twice;

	buffer_init(&once, 1 << 26);
	buffer_init(&twice, 1 << 26);
	assert(secret_hide(text, &once, &found) == 0);
	assert(found.hidden == (buffer_length(&once) > 0));
	assert(secret_hide(buffer_slice(&once), &twice, &again) == 0);
	buffer_done(&once);
	buffer_done(&twice);
}

static void parse_name(struct slice bytes)
{
	char text[SEGMENT_NAME_SIZE], again[SEGMENT_NAME_SIZE];
	struct segment_name name;

	bytes = slice_head(bytes, sizeof(text) - 1);
	memcpy(text, bytes.data, bytes.length);
	text[bytes.length] = '\0';
	if (segment_name_parse(text, &name) < 0)
		return;
	segment_name_format(&name, again);
	assert(strcmp(text, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data + 1, size - 1);

	if (size == 0)
		return 0;
	switch (data[0] % 5) {
	case 0:
		read_segment(rest, false);
		break;
	case 1:
		read_segment(rest, true);
		break;
	case 2:
		read_payloads(rest);
		break;
	case 3:
		hide(rest);
		break;
	case 4:
		parse_name(rest);
		break;
	}
	return 0;
}
