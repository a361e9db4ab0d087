/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/value.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/sha256.h"

static const struct value_layout {
	bool length, digest;
} value_layouts[] = {
	[VALUE_NULL] = {false, false},
	[VALUE_TEXT] = {false, false},
	[VALUE_BINARY] = {false, false},
	[VALUE_TEXT_CUT] = {true, true},
	[VALUE_BINARY_CUT] = {true, true},
	[VALUE_HIDDEN] = {true, false},
};

static int value_append_cut(struct buffer *b, const struct record_value *v, size_t kept)
{
	uint8_t head[1 + 8 + HASH_SIZE];
	int r;

	head[0] = v->form == VALUE_TEXT ? VALUE_TEXT_CUT : VALUE_BINARY_CUT;
	bytes_put_u64(head + 1, v->bytes.length);
	sha256_of(v->bytes, head + 9);
	r = buffer_append(b, head, sizeof(head));
	return r < 0 ? r : buffer_append_slice(b, slice_head(v->bytes, kept));
}

static int value_append_hidden(struct buffer *b, const struct record_value *v)
{
	uint8_t head[1 + 8] = {VALUE_HIDDEN};

	bytes_put_u64(head + 1, v->bytes.length);
	return buffer_append(b, head, sizeof(head));
}

int value_append(struct buffer *b, const struct record_value *v, size_t kept, bool hidden)
{
	int r;

	if (v->form == VALUE_NULL)
		return buffer_append_byte(b, VALUE_NULL);
	if (hidden)
		return value_append_hidden(b, v);
	if (v->bytes.length > kept)
		return value_append_cut(b, v, kept);
	r = buffer_append_byte(b, (uint8_t)v->form);
	return r < 0 ? r : buffer_append_slice(b, v->bytes);
}

int value_decode(struct slice bytes, struct recorded_value *ret)
{
	struct recorded_value v = {0};
	const struct value_layout *layout;

	if (bytes.length == 0 || bytes.data[0] > VALUE_HIDDEN)
		return -EBADMSG;
	v.form = (enum value_form)bytes.data[0];
	layout = &value_layouts[v.form];
	v.bytes = slice_from(bytes, 1);
	v.length = v.bytes.length;
	if (layout->length) {
		if (v.bytes.length < 8)
			return -EBADMSG;
		v.length = bytes_get_u64(v.bytes.data);
		v.bytes = slice_from(v.bytes, 8);
	}
	if (layout->digest) {
		if (v.bytes.length < HASH_SIZE)
			return -EBADMSG;
		v.digest = slice_head(v.bytes, HASH_SIZE);
		v.bytes = slice_from(v.bytes, HASH_SIZE);
	}
	if (v.bytes.length > v.length ||
		(v.bytes.length && (v.form == VALUE_NULL || v.form == VALUE_HIDDEN)))
		return -EBADMSG;
	*ret = v;
	return 0;
}

/* Bytes that value_append() would add. */
static size_t value_size(const struct record_value *v, size_t kept)
{
	if (v->form == VALUE_NULL)
		return 1;
	return v->bytes.length > kept ? 1 + 8 + HASH_SIZE + kept : 1 + v->bytes.length;
}

int row_append(struct buffer *b, const struct record_value *values, size_t count, size_t kept)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		r = field_append_length(b, value_size(&values[i], kept));
		if (r == 0)
			r = value_append(b, &values[i], kept, false);
	}
	return r;
}

int row_take(struct slice *row, struct recorded_value *ret)
{
	struct slice rest = *row, bytes;
	int r = field_take_bytes(&rest, &bytes);

	if (r == 0)
		r = value_decode(bytes, ret);
	if (r == 0)
		*row = rest;
	return r;
}
