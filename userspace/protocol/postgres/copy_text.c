/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_text: COPY's text and CSV formats, as CopyAttributeOutText() and CopyAttributeOutCSV() write
 * them.
 */
#include <endian.h>

#include "base/limits.h"
#include "base/text.h"
#include "masking/characters.h"
#include "protocol/postgres/copy_format.h"

/* What text format writes behind a backslash, and the byte that it means. */
static const char escape_letters[] = "bfnrtv", escape_bytes[] = "\b\f\n\r\t\v";

/* One byte of the coming field: whether it ends it. */
static bool ends_text_field(struct copy_stream *s, uint8_t c)
{
	if (s->next.escaped) {
		s->next.escaped = false;
		return false;
	}
	if (c == '\\') {
		s->next.escaped = true;
		s->next.field_flags |= COPY_FIELD_ESCAPED;
		return false;
	}
	return c == s->options.delimiter || c == '\n';
}

/* The same; `first`: it is the field's first byte. A quote that is written twice closes and opens
 * again, which comes to the same. */
static bool ends_csv_field(struct copy_stream *s, uint8_t c, bool first)
{
	if (s->next.escaped) {
		s->next.escaped = false;
		return false;
	}
	if (s->next.quoted && c == s->options.escape && c != s->options.quote) {
		s->next.escaped = true;
		s->next.field_flags |= COPY_FIELD_ESCAPED;
		return false;
	}
	if (c == s->options.quote) {
		if (!s->next.quoted)
			s->next.field_flags |= first ? COPY_FIELD_QUOTED : COPY_FIELD_ESCAPED;
		s->next.quoted = !s->next.quoted;
		return false;
	}
	return !s->next.quoted && (c == s->options.delimiter || c == '\n');
}

static bool ends_field(struct copy_stream *s, uint8_t c, bool first)
{
	return s->options.format == SQL_COPY_CSV ? ends_csv_field(s, c, first)
						 : ends_text_field(s, c);
}

/* Notes the field that ends at `end`. */
static int add_field(struct copy_stream *s, size_t end)
{
	struct slice raw =
		slice_of(copy_stream_held(s).data + s->next.field_start, end - s->next.field_start);
	uint32_t flags = s->next.field_flags;

	if (!(flags & COPY_FIELD_QUOTED) && slice_equal(raw, s->options.null_text))
		flags |= COPY_FIELD_NULL;
	/* "a"b is no simple quoted field. */
	if ((flags & COPY_FIELD_QUOTED) &&
		(raw.length < 2 || raw.data[raw.length - 1] != s->options.quote))
		flags |= COPY_FIELD_ESCAPED;
	return copy_stream_add_field(s, end, flags);
}

/* Notes the row whose line feed stands at `at`. */
static int add_row(struct copy_stream *s, size_t at)
{
	const uint8_t *held = copy_stream_held(s).data;
	bool crlf = at > s->next.field_start && held[at - 1] == '\r';
	struct slice line = slice_of(held + s->next.row_start, at - crlf - s->next.row_start);
	bool header = s->next.header_due;
	int r;

	s->next.header_due = false;
	/* Older servers end the data so. A value that is "\." is written otherwise. */
	if (slice_equal_string(line, "\\.")) {
		s->next.ended = true;
		return copy_stream_add_row(s, at + 1, true);
	}
	r = add_field(s, at - crlf);
	if (r == 0 && header && s->field_count - s->next.row_first_field != s->count)
		r = -EBADMSG;
	return r < 0 ? r : copy_stream_add_row(s, at + 1, header);
}

typedef uint8_t byte_vector __attribute__((vector_size(16)));

/* Where one of the bytes is `wanted`, in 16 of them from `data` on; 16 where none is. */
static size_t find_in_vector(const uint8_t *data, const uint8_t wanted[4])
{
	byte_vector bytes, found;
	uint64_t half[2];

	memcpy(&bytes, data, sizeof(bytes));
	found = (byte_vector)((bytes == wanted[0]) | (bytes == wanted[1]) | (bytes == wanted[2]) |
		(bytes == wanted[3]));
	memcpy(half, &found, sizeof(half));
	if (half[0])
		return (size_t)__builtin_ctzll(le64toh(half[0])) / 8;
	return half[1] ? 8 + (size_t)__builtin_ctzll(le64toh(half[1])) / 8 : sizeof(bytes);
}

/* The next byte that may have a meaning, from `at` on; held.length where there is none. */
static size_t next_special(const struct copy_stream *s, struct slice held, size_t at)
{
	while (held.length - at >= sizeof(byte_vector)) {
		size_t n = find_in_vector(held.data + at, s->special);

		at += n;
		if (n < sizeof(byte_vector))
			return at;
	}
	while (at < held.length && !memchr(s->special, held.data[at], sizeof(s->special)))
		at++;
	return at;
}

static int split_text(struct copy_stream *s)
{
	struct slice held = copy_stream_held(s);

	for (size_t at = s->next.at; at < held.length; at++) {
		uint8_t c;
		int r;

		if (!s->next.escaped)
			at = next_special(s, held, at);
		if (at >= held.length)
			break;
		c = held.data[at];
		if (!ends_field(s, c, at == s->next.field_start))
			continue;
		if (s->next.ended)
			return -EBADMSG;
		r = c == '\n' ? add_row(s, at) : add_field(s, at);
		if (r < 0)
			return r;
		s->next.field_start = at + 1;
		s->next.field_flags = 0;
	}
	s->next.at = held.length;
	return s->next.ended && s->next.row_start != held.length ? -EBADMSG : 0;
}

static int begin_drop_text(struct copy_stream *s)
{
	buffer_truncate(&s->held, s->next.field_start);
	s->next.dropping = true;
	s->next.field_flags = 0;
	s->counts.masked_values++;
	s->next.at = s->next.field_start + s->options.null_text.length;
	return buffer_append_slice(&s->held, s->options.null_text);
}

static size_t drop_text(struct copy_stream *s, struct slice bytes)
{
	for (size_t i = 0; i < bytes.length; i++) {
		if (!ends_field(s, bytes.data[i], false))
			continue;
		s->next.dropping = false;
		s->next.field_flags = 0;
		return i;
	}
	return bytes.length;
}

/* \b, \012, \x0a, and any other byte as itself. Returns how many bytes were read behind the
 * backslash. */
static size_t decode_escape(struct slice rest, uint8_t *ret)
{
	const char *letter = memchr(escape_letters, rest.data[0], sizeof(escape_letters) - 1);
	size_t n = 0;
	unsigned value = 0;

	*ret = rest.data[0];
	if (letter) {
		*ret = (uint8_t)escape_bytes[letter - escape_letters];
		return 1;
	}
	while (n < 3 && n < rest.length && rest.data[n] >= '0' && rest.data[n] <= '7')
		value = value * 8 + (rest.data[n++] - '0');
	if (n == 0 && rest.data[0] == 'x' && character_at(rest, 1, CHARACTER_HEX)) {
		for (n = 1; n < 3 && character_at(rest, n, CHARACTER_HEX); n++) {
			uint8_t c = text_lower(rest.data[n]);

			value = value * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
		}
	}
	if (n == 0)
		return 1;
	*ret = (uint8_t)value;
	return n;
}

static int decode_text(const struct copy_stream *s, struct slice raw, struct buffer *ret)
{
	uint8_t *space;
	size_t n = 0;
	int r = buffer_reserve(ret, raw.length, &space);

	(void)s;
	if (r < 0)
		return r;
	for (size_t i = 0; i < raw.length;) {
		uint8_t c = raw.data[i++];

		if (c == '\\' && i < raw.length)
			i += decode_escape(slice_from(raw, i), &c);
		space[n++] = c;
	}
	buffer_commit(ret, n);
	return 0;
}

static int encode_text(
	const struct copy_stream *s, struct slice value, uint32_t flags, struct buffer *out)
{
	size_t before = buffer_length(out);
	int r = 0;

	(void)flags;
	if (!value.data)
		return buffer_append_slice(out, s->options.null_text);
	/* What would be read as NULL is told from it by an escape. */
	if (value.length && slice_equal(value, s->options.null_text)) {
		r = buffer_append_format(out, "\\x%02x", value.data[0]);
		value = slice_from(value, 1);
	}
	for (size_t i = 0; i < value.length && r == 0; i++) {
		uint8_t c = value.data[i];
		const char *byte = memchr(escape_bytes, c, sizeof(escape_bytes) - 1);

		if (byte || c == '\\' || c == s->options.delimiter)
			r = buffer_append_byte(out, '\\');
		if (r == 0)
			r = buffer_append_byte(
				out, byte ? (uint8_t)escape_letters[byte - escape_bytes] : c);
	}
	if (r < 0)
		buffer_truncate(out, before);
	return r;
}

static int decode_csv(const struct copy_stream *s, struct slice raw, struct buffer *ret)
{
	bool quoted = false;
	uint8_t *space;
	size_t n = 0;
	int r = buffer_reserve(ret, raw.length, &space);

	if (r < 0)
		return r;
	for (size_t i = 0; i < raw.length; i++) {
		uint8_t c = raw.data[i];

		if (quoted && c == s->options.escape && i + 1 < raw.length &&
			(raw.data[i + 1] == s->options.quote ||
				raw.data[i + 1] == s->options.escape))
			c = raw.data[++i];
		else if (c == s->options.quote) {
			quoted = !quoted;
			continue;
		}
		space[n++] = c;
	}
	buffer_commit(ret, n);
	return 0;
}

static bool csv_needs_quotes(const struct copy_stream *s, struct slice value)
{
	if (slice_equal(value, s->options.null_text) || slice_equal_string(value, "\\."))
		return true;
	for (size_t i = 0; i < value.length; i++) {
		uint8_t c = value.data[i];

		if (c == s->options.delimiter || c == s->options.quote || c == '\n' || c == '\r')
			return true;
	}
	return false;
}

static int encode_csv(
	const struct copy_stream *s, struct slice value, uint32_t flags, struct buffer *out)
{
	int r;

	if (!value.data)
		return buffer_append_slice(out, s->options.null_text);
	if (!(flags & COPY_FIELD_QUOTED) && !csv_needs_quotes(s, value))
		return buffer_append_slice(out, value);
	r = buffer_append_byte(out, s->options.quote);
	for (size_t i = 0; i < value.length && r == 0; i++) {
		uint8_t c = value.data[i];

		if (c == s->options.quote || c == s->options.escape)
			r = buffer_append_byte(out, s->options.escape);
		if (r == 0)
			r = buffer_append_byte(out, c);
	}
	return r < 0 ? r : buffer_append_byte(out, s->options.quote);
}

const struct copy_format copy_format_text = {
	.split = split_text,
	.begin_drop = begin_drop_text,
	.drop = drop_text,
	.decode = decode_text,
	.encode = encode_text,
	.value_format = VALUE_FORMAT_TEXT,
};

const struct copy_format copy_format_csv = {
	.split = split_text,
	.begin_drop = begin_drop_text,
	.drop = drop_text,
	.decode = decode_csv,
	.encode = encode_csv,
	.value_format = VALUE_FORMAT_TEXT,
};
