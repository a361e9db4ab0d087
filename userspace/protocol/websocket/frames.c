/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/websocket/frames.h"

#include "base/bytes.h"
#include "base/text.h"

#define FINAL 0x80u
#define RESERVED 0x70u
#define OPCODE 0x0fu
#define MASKED 0x80u
#define LENGTH 0x7fu
#define LENGTH_16 126u
#define LENGTH_64 127u

void websocket_reader_init(struct websocket_reader *r, bool masked)
{
	memset(r, 0, sizeof(*r));
	r->masked = masked;
}

static bool is_control(enum websocket_opcode opcode)
{
	return opcode >= WEBSOCKET_CLOSE;
}

/* --- UTF-8, in pieces --- */

static bool begin_character(struct websocket_reader *r, uint8_t c)
{
	/* Unicode 15, table 3-7 */
	if (c < 0xc2 || c > 0xf4)
		return false;
	r->utf8.left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	r->utf8.low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	r->utf8.high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return true;
}

static size_t ascii_prefix(struct slice s)
{
	size_t n = 0;

	for (uint64_t word; n + sizeof(word) <= s.length; n += sizeof(word)) {
		memcpy(&word, s.data + n, sizeof(word));
		if (word & 0x8080808080808080u)
			break;
	}
	while (n < s.length && s.data[n] < 0x80)
		n++;
	return n;
}

static bool take_text(struct websocket_reader *r, struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		uint8_t c = text.data[i];

		if (r->utf8.left) {
			if (c < r->utf8.low || c > r->utf8.high)
				return false;
			r->utf8.low = 0x80;
			r->utf8.high = 0xbf;
			r->utf8.left--;
			continue;
		}
		i += ascii_prefix(slice_from(text, i));
		if (i < text.length && !begin_character(r, text.data[i]))
			return false;
	}
	return true;
}

/* --- heads --- */

static bool bad(struct websocket_reader *r, const char *problem)
{
	r->problem = problem;
	return false;
}

static bool check_opcode(struct websocket_reader *r)
{
	switch (r->opcode) {
	case WEBSOCKET_CONTINUATION:
		return r->in_message || bad(r, "a WebSocket frame that continues nothing");
	case WEBSOCKET_TEXT:
	case WEBSOCKET_BINARY:
		return !r->in_message || bad(r, "a WebSocket message within another");
	case WEBSOCKET_CLOSE:
	case WEBSOCKET_PING:
	case WEBSOCKET_PONG:
		return r->final || bad(r, "a WebSocket control frame in fragments");
	default:
		return bad(r, "a WebSocket frame of an unknown kind");
	}
}

/* The first two bytes. */
static bool check_begin(struct websocket_reader *r)
{
	unsigned length = r->head[1] & LENGTH;

	if (r->closed)
		return bad(r, "a WebSocket frame behind Close");
	if (r->head[0] & RESERVED)
		return bad(r, "a WebSocket frame with a reserved bit, where no extension is used");
	if (!!(r->head[1] & MASKED) != r->masked)
		return bad(r,
			r->masked ? "a client's WebSocket frame that is not masked"
				  : "a server's WebSocket frame that is masked");
	r->final = r->head[0] & FINAL;
	r->opcode = r->head[0] & OPCODE;
	if (!check_opcode(r))
		return false;
	return length <= WEBSOCKET_CONTROL_MOST || !is_control(r->opcode) ||
		bad(r, "a WebSocket control frame that is too long");
}

static size_t length_bytes(const struct websocket_reader *r)
{
	unsigned length = r->head[1] & LENGTH;

	return length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
}

/* 5.2: the fewest bytes, and 63 bits at most. */
static bool read_length(struct websocket_reader *r)
{
	switch (length_bytes(r)) {
	case 2:
		r->left = bytes_get_u16(r->head + 2);
		return r->left >= LENGTH_16 ||
			bad(r, "a WebSocket length that is not the shortest");
	case 8:
		r->left = bytes_get_u64(r->head + 2);
		if (r->left >> 63)
			return bad(r, "a WebSocket length of 64 bits");
		return r->left > UINT16_MAX ||
			bad(r, "a WebSocket length that is not the shortest");
	default:
		r->left = r->head[1] & LENGTH;
		return true;
	}
}

static bool begin_payload(struct websocket_reader *r)
{
	if (!read_length(r))
		return false;
	if (r->masked)
		memcpy(r->key, r->head + r->head_length - sizeof(r->key), sizeof(r->key));
	r->key_at = 0;
	r->in_payload = true;
	r->control_length = 0;
	if (is_control(r->opcode))
		return true;
	if (r->opcode != WEBSOCKET_CONTINUATION) {
		r->message = r->opcode;
		r->begins = true;
		r->utf8.left = 0;
	}
	r->in_message = true;
	return true;
}

/* Takes what is missing of the first `wanted` bytes; false: more is. */
static bool take_head(struct websocket_reader *r, struct slice in, size_t wanted, size_t *taken)
{
	while (r->head_length < wanted && *taken < in.length)
		r->head[r->head_length++] = in.data[(*taken)++];
	return r->head_length >= wanted;
}

/* False: more is to come, or r->problem. */
static bool read_head(struct websocket_reader *r, struct slice in, size_t *taken)
{
	size_t before = r->head_length;

	r->given = false;
	if (!take_head(r, in, 2, taken))
		return false;
	if (before < 2 && !check_begin(r))
		return false;
	return take_head(r, in, 2 + length_bytes(r) + (r->masked ? sizeof(r->key) : 0), taken) &&
		begin_payload(r);
}

/* --- content --- */

static void unmask(struct websocket_reader *r, struct slice raw, uint8_t *to)
{
	uint8_t key[4];
	uint64_t wide;
	size_t i = 0;

	for (unsigned k = 0; k < sizeof(key); k++)
		key[k] = r->key[(r->key_at + k) % sizeof(key)];
	memcpy(&wide, key, sizeof(key));
	memcpy((uint8_t *)&wide + sizeof(key), key, sizeof(key));
	for (uint64_t word; i + sizeof(word) <= raw.length; i += sizeof(word)) {
		memcpy(&word, raw.data + i, sizeof(word));
		word ^= wide;
		memcpy(to + i, &word, sizeof(word));
	}
	for (; i < raw.length; i++)
		to[i] = raw.data[i] ^ key[i % sizeof(key)];
	r->key_at = (unsigned)((r->key_at + raw.length) % sizeof(key));
}

/* RFC 6455, 7.4, and what IANA has registered since; 1005, 1006 and 1015 are never sent. */
static bool is_close_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
		(code >= 3000 && code <= 4999);
}

static bool check_close(struct websocket_reader *r, struct slice content)
{
	if (content.length == 0)
		return true;
	if (content.length == 1 || !is_close_code(bytes_get_u16(content.data)))
		return bad(r, "a WebSocket Close without a code that may be sent");
	return text_is_utf8(slice_from(content, 2)) ||
		bad(r, "a WebSocket Close whose reason is not UTF-8");
}

static void end_frame(struct websocket_reader *r)
{
	r->in_payload = false;
	r->head_length = 0;
	if (!is_control(r->opcode))
		r->in_message = !r->final;
}

static enum websocket_taken next_control(
	struct websocket_reader *r, struct slice in, size_t *ret_taken, struct websocket_piece *ret)
{
	struct slice part = slice_head(slice_from(in, *ret_taken), (size_t)r->left);

	if (part.length)
		memcpy(r->control + r->control_length, part.data, part.length);
	r->control_length += part.length;
	r->left -= part.length;
	*ret_taken += part.length;
	if (r->left)
		return WEBSOCKET_MORE;
	*ret = (struct websocket_piece){.opcode = r->opcode,
		.head = slice_of(r->head, r->head_length),
		.raw = slice_of(r->control, r->control_length)};
	ret->plain = ret->raw;
	if (r->masked) {
		unmask(r, ret->raw, r->plain);
		ret->plain.data = r->plain;
	}
	if (r->opcode == WEBSOCKET_CLOSE && !check_close(r, ret->plain))
		return WEBSOCKET_BAD;
	r->closed = r->opcode == WEBSOCKET_CLOSE;
	r->given = true;
	end_frame(r);
	return WEBSOCKET_CONTROL;
}

static bool check_text(struct websocket_reader *r, const struct websocket_piece *piece)
{
	if (!take_text(r, piece->plain))
		return bad(r, "a WebSocket text that is not UTF-8");
	return !piece->ends || r->utf8.left == 0 ||
		bad(r, "a WebSocket text that ends within a character");
}

static enum websocket_taken next_data(struct websocket_reader *r, bool has_head, struct slice in,
	size_t *ret_taken, struct websocket_piece *ret)
{
	struct slice rest = slice_from(in, *ret_taken);
	struct slice raw = slice_head(rest, r->left < SIZE_MAX ? (size_t)r->left : SIZE_MAX);

	if (r->masked)
		raw = slice_head(raw, sizeof(r->plain));
	if (!has_head && raw.length == 0)
		return WEBSOCKET_MORE;
	*ret = (struct websocket_piece){.opcode = r->message, .raw = raw, .plain = raw};
	if (has_head)
		ret->head = slice_of(r->head, r->head_length);
	if (r->masked) {
		unmask(r, raw, r->plain);
		ret->plain.data = r->plain;
	}
	ret->begins = r->begins;
	ret->ends = r->left == raw.length && r->final;
	if (r->message == WEBSOCKET_TEXT && !check_text(r, ret))
		return WEBSOCKET_BAD;
	*ret_taken += raw.length;
	r->left -= raw.length;
	r->begins = false;
	r->given = true;
	if (r->left == 0)
		end_frame(r);
	return WEBSOCKET_DATA;
}

enum websocket_taken websocket_next(
	struct websocket_reader *r, struct slice in, size_t *ret_taken, struct websocket_piece *ret)
{
	bool has_head = false;

	*ret_taken = 0;
	if (r->problem)
		return WEBSOCKET_BAD;
	if (!r->in_payload) {
		if (!read_head(r, in, ret_taken))
			return r->problem ? WEBSOCKET_BAD : WEBSOCKET_MORE;
		has_head = true;
	}
	return is_control(r->opcode) ? next_control(r, in, ret_taken, ret)
				     : next_data(r, has_head, in, ret_taken, ret);
}

int websocket_append_held(struct buffer *out, const struct websocket_reader *r)
{
	int error = 0;

	if (!r->given)
		error = buffer_append(out, r->head, r->head_length);
	if (error == 0 && !r->given && is_control(r->opcode) && r->in_payload)
		error = buffer_append(out, r->control, r->control_length);
	return error;
}

/* --- writing --- */

static int append_head(struct buffer *out, enum websocket_opcode opcode, bool final,
	const uint8_t key[4], size_t length)
{
	uint8_t masked = key ? MASKED : 0;
	int r = buffer_append_byte(out, (uint8_t)((final ? FINAL : 0) | opcode));

	if (r < 0)
		return r;
	if (length < LENGTH_16) {
		r = buffer_append_byte(out, (uint8_t)(masked | length));
	} else if (length <= UINT16_MAX) {
		r = buffer_append_byte(out, masked | LENGTH_16);
		if (r == 0)
			r = buffer_append_u16(out, (uint16_t)length);
	} else {
		r = buffer_append_byte(out, masked | LENGTH_64);
		if (r == 0)
			r = buffer_append_u64(out, length);
	}
	return r == 0 && key ? buffer_append(out, key, 4) : r;
}

int websocket_append(struct buffer *out, enum websocket_opcode opcode, bool final,
	const uint8_t key[4], struct slice content)
{
	size_t before = buffer_length(out);
	uint8_t *space;
	int r = append_head(out, opcode, final, key, content.length);

	if (r == 0)
		r = buffer_reserve(out, content.length, &space);
	if (r < 0) {
		buffer_truncate(out, before);
		return r;
	}
	for (size_t i = 0; i < content.length; i++)
		space[i] = key ? content.data[i] ^ key[i % 4] : content.data[i];
	buffer_commit(out, content.length);
	return 0;
}

int websocket_append_close(
	struct buffer *out, const uint8_t key[4], uint16_t code, struct slice reason)
{
	uint8_t content[WEBSOCKET_CONTROL_MOST];
	size_t length = 0;

	bytes_put_u16(content, code);
	while (length < reason.length) {
		size_t n = text_utf8_sequence(slice_from(reason, length));

		if (n == 0 || 2 + length + n > sizeof(content))
			break;
		memcpy(content + 2 + length, reason.data + length, n);
		length += n;
	}
	return websocket_append(out, WEBSOCKET_CLOSE, true, key, slice_of(content, 2 + length));
}
