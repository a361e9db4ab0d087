/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/format.h"

#include <errno.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/text.h"

#define FORMAT_VERSION 1
#define SEGMENT_DIGITS 6

_Static_assert(IDENTIFIER_SIZE == 24, "the size of an incarnation's name is part of the format");

static const uint8_t segment_magic[8] = {'W', 'A', 'Y', 'L', 'E', 'A', 'V', 'E'};

static const char *const stream_kind_names[STREAM_COUNT] = {
	[STREAM_AUDIT] = "audit",
	[STREAM_RECORDING] = "recording",
	[STREAM_INDEX] = "index",
	[STREAM_CHECKPOINTS] = "checkpoints",
};

static const char *const record_type_names[] = {
#define RECORD(symbol, number, name) [number] = name,
#include "recording/records.inc"
#undef RECORD
};

static const struct field_row {
	const char *name;
	enum field_form form;
} field_rows[FIELD_COUNT] = {
#define FIELD(symbol, number, name, form) [number] = {name, FORM_##form},
#include "recording/fields.inc"
#undef FIELD
};

static const char *const verdict_names[] = {[RECORD_VERDICT_ALLOW] = "allow",
	[RECORD_VERDICT_REVIEW] = "review",
	[RECORD_VERDICT_DENY] = "deny"};

static const char *const outcome_names[] = {
	[OUTCOME_APPROVED] = "approved",
	[OUTCOME_DENIED] = "denied",
	[OUTCOME_EXPIRED] = "expired",
	[OUTCOME_CANCELLED] = "cancelled",
};

static const char *const host_event_names[] = {
	[HOST_STARTED] = "started",
	[HOST_STOPPED] = "stopped",
	[HOST_SEGMENT] = "segment",
	[HOST_SEALED] = "sealed",
	[HOST_WORKER_STARTED] = "worker_started",
	[HOST_WORKER_GONE] = "worker_gone",
	[HOST_CONFIGURED] = "configured",
	[HOST_AGENT] = "agent",
	[HOST_REFUSED] = "refused",
	[HOST_ADMIN] = "admin",
	[HOST_DELETED] = "deleted",
	[HOST_COMPRESSED] = "compressed",
	[HOST_WARNING] = "warning",
	[HOST_REVIEW] = "review",
	[HOST_VOTE] = "vote",
	[HOST_APPROVED] = "approved",
	[HOST_DENIED] = "denied",
	[HOST_EXPIRED] = "expired",
	[HOST_CANCELLED] = "cancelled",
	[HOST_GRANTED] = "granted",
	[HOST_REVOKED] = "revoked",
	[HOST_GRANT_ENDED] = "grant_ended",
};

static const char *name_of(const char *const *names, size_t count, uint64_t number)
{
	return number < count ? names[number] : NULL;
}

const char *stream_kind_name(unsigned kind)
{
	return name_of(stream_kind_names, ARRAY_SIZE(stream_kind_names), kind);
}

const char *record_type_name(unsigned type)
{
	return name_of(record_type_names, ARRAY_SIZE(record_type_names), type);
}

const char *record_verdict_name(uint64_t verdict)
{
	return name_of(verdict_names, ARRAY_SIZE(verdict_names), verdict);
}

const char *record_data_name(uint64_t data)
{
	static const char *const names[] = {
		[RECORD_DATA_INPUT] = "input",
		[RECORD_DATA_OUTPUT] = "output",
		[RECORD_DATA_ERROR] = "error",
		[RECORD_DATA_WINDOW] = "window",
	};

	return name_of(names, ARRAY_SIZE(names), data);
}

const char *record_outcome_name(uint64_t outcome)
{
	return name_of(outcome_names, ARRAY_SIZE(outcome_names), outcome);
}

const char *host_event_name(uint64_t event)
{
	return name_of(host_event_names, ARRAY_SIZE(host_event_names), event);
}

const char *field_name(unsigned field)
{
	return field < FIELD_COUNT ? field_rows[field].name : NULL;
}

enum field_form field_form(unsigned field)
{
	return field < FIELD_COUNT ? field_rows[field].form : FORM_UNKNOWN;
}

uint64_t record_checksum(struct slice bytes)
{
	return XXH3_64bits(bytes.data, bytes.length);
}

/* A cursor over bytes of fixed layout: encoders and decoders below name each part once, in order.
 */
static void put_bytes(uint8_t **at, const void *data, size_t length)
{
	memcpy(*at, data, length);
	*at += length;
}

static void put_number(uint8_t **at, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	bytes_put_u64(bytes, value);
	put_bytes(at, bytes + 8 - size, size);
}

static void get_bytes(const uint8_t **at, void *ret, size_t length)
{
	memcpy(ret, *at, length);
	*at += length;
}

static uint64_t get_number(const uint8_t **at, size_t size)
{
	uint8_t bytes[8] = {0};

	get_bytes(at, bytes + 8 - size, size);
	return bytes_get_u64(bytes);
}

bool incarnation_is_valid(const struct identifier *id)
{
	size_t length = strnlen(id->text, sizeof(id->text));
	struct slice text = slice_of(id->text, length);

	for (size_t i = length; i < sizeof(id->text); i++) {
		if (id->text[i] != '\0')
			return false;
	}
	return identifier_is_valid(text, 'w') || identifier_is_valid(text, 'm') ||
		slice_equal_string(text, CHECKPOINTS_INCARNATION);
}

void segment_header_encode(const struct segment_header *h, uint8_t ret[SEGMENT_HEADER_SIZE])
{
	uint8_t *at = ret;

	put_bytes(&at, segment_magic, sizeof(segment_magic));
	put_number(&at, FORMAT_VERSION, 2);
	put_number(&at, h->kind, 2);
	put_number(&at, h->segment, 4);
	put_bytes(&at, h->incarnation.text, IDENTIFIER_SIZE);
	put_number(&at, h->first_sequence, 8);
	put_number(&at, h->time, 8);
	put_bytes(&at, h->previous.hash, HASH_SIZE);
	put_number(&at, h->previous.sequence, 8);
	put_number(&at, h->previous.bytes, 8);
	put_number(&at, record_checksum(slice_of(ret, (size_t)(at - ret))), 8);
}

int segment_header_decode(
	const uint8_t bytes[SEGMENT_HEADER_SIZE], struct segment_header *ret, struct error *e)
{
	const uint8_t *at = bytes + sizeof(segment_magic);
	struct segment_header h = {0};
	uint64_t version, kind;

	if (memcmp(bytes, segment_magic, sizeof(segment_magic)) != 0)
		return error_set(e, -EBADMSG, "not a file of wayleave's journals");
	version = get_number(&at, 2);
	if (version != FORMAT_VERSION)
		return error_set(e, -EBADMSG,
			"version %u of the format is not known to this program", (unsigned)version);
	kind = get_number(&at, 2);
	h.segment = (uint32_t)get_number(&at, 4);
	get_bytes(&at, h.incarnation.text, IDENTIFIER_SIZE);
	h.first_sequence = get_number(&at, 8);
	h.time = get_number(&at, 8);
	get_bytes(&at, h.previous.hash, HASH_SIZE);
	h.previous.sequence = get_number(&at, 8);
	h.previous.bytes = get_number(&at, 8);
	if (get_number(&at, 8) != record_checksum(slice_of(bytes, SEGMENT_HEADER_SIZE - 8)))
		return error_set(e, -EBADMSG, "the header is damaged");
	if (kind >= STREAM_COUNT || h.segment == 0 || !incarnation_is_valid(&h.incarnation))
		return error_set(e, -EBADMSG, "the header makes no sense");
	h.kind = (enum stream_kind)kind;
	h.previous.kind = (uint32_t)kind;
	h.previous.segment = h.segment - 1;
	*ret = h;
	return 0;
}

void segment_name_format(const struct segment_name *n, char ret[SEGMENT_NAME_SIZE])
{
	snprintf(ret, SEGMENT_NAME_SIZE, "%s.%s.%0*u%s", n->incarnation.text,
		stream_kind_name(n->kind), SEGMENT_DIGITS, n->segment,
		n->compressed ? SEGMENT_COMPRESSED_SUFFIX : "");
}

int segment_name_parse(const char *name, struct segment_name *ret)
{
	struct segment_name n = {0};
	const char *dot = strchr(name, '.'), *second;
	char again[SEGMENT_NAME_SIZE];
	uint64_t number;
	size_t digits;

	if (!dot || (size_t)(dot - name) >= sizeof(n.incarnation.text))
		return -EINVAL;
	memcpy(n.incarnation.text, name, (size_t)(dot - name));
	second = strchr(dot + 1, '.');
	if (!second || !incarnation_is_valid(&n.incarnation))
		return -EINVAL;
	while (n.kind < STREAM_COUNT &&
		!slice_equal_string(
			slice_of(dot + 1, (size_t)(second - dot - 1)), stream_kind_name(n.kind)))
		n.kind++;
	digits = strspn(second + 1, "0123456789");
	if (n.kind == STREAM_COUNT ||
		text_to_number(slice_of(second + 1, digits), UINT32_MAX, &number) < 0)
		return -EINVAL;
	n.segment = (uint32_t)number;
	n.compressed = second[1 + digits] != '\0';
	/* One segment has one name: no other number of zeros, no other suffix. */
	segment_name_format(&n, again);
	if (n.segment == 0 || strcmp(again, name) != 0)
		return -EINVAL;
	*ret = n;
	return 0;
}

void stream_head_encode(const struct identifier *incarnation, const struct stream_head *head,
	uint8_t ret[STREAM_HEAD_SIZE])
{
	put_bytes(&ret, incarnation->text, IDENTIFIER_SIZE);
	put_number(&ret, head->kind, 2);
	put_number(&ret, head->segment, 4);
	put_number(&ret, head->sequence, 8);
	put_number(&ret, head->bytes, 8);
	put_bytes(&ret, head->hash, HASH_SIZE);
}

int stream_head_decode(
	struct slice bytes, struct identifier *ret_incarnation, struct stream_head *ret_head)
{
	const uint8_t *at = bytes.data;
	struct identifier incarnation;
	struct stream_head head = {0};

	if (bytes.length != STREAM_HEAD_SIZE)
		return -EBADMSG;
	get_bytes(&at, incarnation.text, IDENTIFIER_SIZE);
	head.kind = (uint32_t)get_number(&at, 2);
	head.segment = (uint32_t)get_number(&at, 4);
	head.sequence = get_number(&at, 8);
	head.bytes = get_number(&at, 8);
	get_bytes(&at, head.hash, HASH_SIZE);
	if (!incarnation_is_valid(&incarnation) || head.kind >= STREAM_COUNT || head.segment == 0)
		return -EBADMSG;
	*ret_incarnation = incarnation;
	*ret_head = head;
	return 0;
}
