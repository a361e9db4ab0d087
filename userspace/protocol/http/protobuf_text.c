/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/protobuf_text.h"

#include <inttypes.h>

#include "base/text.h"

#define VARINT_MOST 10u /* bytes */
#define NUMBER_MOST ((1u << 29) - 1) /* of a field */
#define HEX_MOST 32u /* bytes that are shown so */

/* Of fields; groups, which nobody writes any more, are none. */
enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LENGTH = 2, WIRE_32 = 5 };

struct field {
	uint64_t number;
	enum wire_type type;
	uint64_t value; /* of a varint, or in 4 or 8 bytes */
	struct slice content; /* of what has a length */
};

static bool take_varint(struct slice *in, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < in->length && i < VARINT_MOST; i++) {
		uint8_t byte = in->data[i];

		/* The tenth has one bit. */
		if (i == VARINT_MOST - 1 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*ret = value;
			*in = slice_from(*in, i + 1);
			return true;
		}
	}
	return false;
}

/* In the order of the least byte first. */
static bool take_fixed(struct slice *in, size_t length, uint64_t *ret)
{
	uint64_t value = 0;

	if (in->length < length)
		return false;
	for (size_t i = 0; i < length; i++)
		value |= (uint64_t)in->data[i] << (8 * i);
	*ret = value;
	*in = slice_from(*in, length);
	return true;
}

static bool take_field(struct slice *in, struct field *ret)
{
	uint64_t key;

	if (!take_varint(in, &key))
		return false;
	*ret = (struct field){.number = key >> 3, .type = (enum wire_type)(key & 7)};
	if (ret->number == 0 || ret->number > NUMBER_MOST)
		return false;
	switch (ret->type) {
	case WIRE_VARINT:
		return take_varint(in, &ret->value);
	case WIRE_64:
		return take_fixed(in, 8, &ret->value);
	case WIRE_32:
		return take_fixed(in, 4, &ret->value);
	case WIRE_LENGTH:
		if (!take_varint(in, &ret->value) || ret->value > in->length)
			return false;
		ret->content = slice_head(*in, (size_t)ret->value);
		*in = slice_from(*in, ret->content.length);
		return true;
	default:
		return false;
	}
}

bool protobuf_is_message(struct slice bytes)
{
	struct field f;

	while (bytes.length) {
		if (!take_field(&bytes, &f))
			return false;
	}
	return true;
}

/* --- text --- */

struct writer {
	struct buffer *out;
	size_t end; /* of `out`, where it is enough */
	unsigned depth;
};

static bool is_full(const struct writer *w)
{
	return buffer_length(w->out) >= w->end;
}

static bool is_readable(struct slice s)
{
	while (s.length) {
		size_t n = text_utf8_sequence(s);

		if (n == 0 || text_is_control(s, n))
			return false;
		s = slice_from(s, n);
	}
	return true;
}

/* In quotes and one line; it is readable. */
static int put_string(struct writer *w, struct slice s)
{
	int r = buffer_append_byte(w->out, '"');

	while (r == 0 && s.length && !is_full(w)) {
		size_t n = text_utf8_sequence(s);

		if (s.data[0] == '\n' || s.data[0] == '\t')
			r = buffer_append_string(w->out, s.data[0] == '\n' ? "\\n" : "\\t");
		else if (s.data[0] == '"' || s.data[0] == '\\')
			r = buffer_append_format(w->out, "\\%c", s.data[0]);
		else
			r = buffer_append(w->out, s.data, n);
		s = slice_from(s, n);
	}
	return r < 0 ? r : buffer_append_string(w->out, is_full(w) ? "" : "\"\n");
}

static int put_hex(struct writer *w, struct slice s)
{
	struct slice shown = slice_head(s, HEX_MOST);
	char hex[2 * HEX_MOST + 1];

	text_to_hex(shown, hex);
	return buffer_append_format(w->out, "\\x%s%s (%zu bytes)\n", hex,
		shown.length < s.length ? "..." : "", s.length);
}

static int put_message(struct writer *w, struct slice message);

static int put_inner(struct writer *w, struct slice message)
{
	int r = buffer_append_string(w->out, "{\n");

	w->depth++;
	if (r == 0)
		r = put_message(w, message);
	w->depth--;
	if (r < 0 || is_full(w))
		return r;
	return buffer_append_format(w->out, "%*s}\n", 2 * (int)w->depth, "");
}

static int put_content(struct writer *w, struct slice content)
{
	if (is_readable(content))
		return put_string(w, content);
	return w->depth + 1 < PROTOBUF_TEXT_DEPTH && protobuf_is_message(content)
		? put_inner(w, content)
		: put_hex(w, content);
}

static int put_field(struct writer *w, const struct field *f)
{
	int r = buffer_append_format(w->out, "%*s%" PRIu64 ": ", 2 * (int)w->depth, "", f->number);

	if (r < 0)
		return r;
	switch (f->type) {
	case WIRE_VARINT:
		return buffer_append_format(w->out, "%" PRIu64 "\n", f->value);
	case WIRE_64:
		return buffer_append_format(w->out, "0x%016" PRIx64 "\n", f->value);
	case WIRE_32:
		return buffer_append_format(w->out, "0x%08" PRIx64 "\n", f->value);
	default:
		return put_content(w, f->content);
	}
}

static int put_message(struct writer *w, struct slice message)
{
	struct field f;
	int r = 0;

	while (r == 0 && message.length && !is_full(w) && take_field(&message, &f))
		r = put_field(w, &f);
	return r;
}

int protobuf_append_text(struct buffer *out, struct slice message, size_t most)
{
	struct writer w = {.out = out, .end = buffer_length(out) + most};
	int r = put_message(&w, message);

	return r < 0 || !is_full(&w) ? r : buffer_append_string(out, "\nCUT: more is not shown\n");
}
