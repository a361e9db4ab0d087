/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/spdy/frames.h"

#include "base/bytes.h"
#include "base/limits.h"

#define CONTROL 0x8000u
#define VERSION 3u
#define LENGTH 0xffffffu

void spdy_reader_init(struct spdy_reader *r)
{
	memset(r, 0, sizeof(*r));
	buffer_init(&r->control, LIMIT_SPDY_CONTROL);
}

void spdy_reader_done(struct spdy_reader *r)
{
	buffer_done(&r->control);
}

static bool bad(struct spdy_reader *r, const char *problem)
{
	r->problem = problem;
	return false;
}

/* What a control frame has in front of its headers, or in all. */
static const struct {
	uint8_t length; /* bytes */
	bool more; /* others may follow */
	bool has_stream; /* its first four bytes are a stream's number */
	uint8_t flags; /* those that it may have */
} forms[] = {
	[SPDY_SYN_STREAM] = {10, true, true, 3},
	[SPDY_SYN_REPLY] = {4, true, true, 1},
	[SPDY_RST_STREAM] = {8, false, true, 0},
	[SPDY_SETTINGS] = {4, true, false, 1},
	[SPDY_PING] = {4, false, false, 0},
	[SPDY_GOAWAY] = {8, false, false, 0},
	[SPDY_HEADERS] = {4, true, true, 1},
	[SPDY_WINDOW_UPDATE] = {8, false, false, 0},
};

static bool check_control(struct spdy_reader *r)
{
	unsigned type = bytes_get_u16(r->head + 2);

	if ((bytes_get_u16(r->head) & ~CONTROL) != VERSION)
		return bad(r, "a SPDY frame of another version");
	if (type >= sizeof(forms) / sizeof(forms[0]) || !forms[type].length)
		return bad(r, "a SPDY frame of an unknown kind");
	r->type = (enum spdy_type)type;
	if (r->head[4] & ~forms[type].flags)
		return bad(r, "a SPDY frame with an unknown flag");
	if (r->left < forms[type].length || (!forms[type].more && r->left > forms[type].length))
		return bad(r, "a SPDY frame of a wrong length");
	return r->left <= LIMIT_SPDY_CONTROL || bad(r, "a SPDY control frame that is too long");
}

static bool check_data(struct spdy_reader *r)
{
	r->type = SPDY_DATA;
	if (r->head[4] & ~SPDY_FIN)
		return bad(r, "a SPDY frame with an unknown flag");
	return bytes_get_u32(r->head) || bad(r, "a SPDY frame of no stream");
}

static bool begin_body(struct spdy_reader *r)
{
	r->left = bytes_get_u32(r->head + 4) & LENGTH;
	r->in_body = true;
	buffer_clear(&r->control);
	return bytes_get_u16(r->head) & CONTROL ? check_control(r) : check_data(r);
}

/* False: more is to come, or r->problem. */
static bool read_head(struct spdy_reader *r, struct slice in, size_t *taken)
{
	r->given = false;
	while (r->head_length < SPDY_HEAD && *taken < in.length)
		r->head[r->head_length++] = in.data[(*taken)++];
	return r->head_length == SPDY_HEAD && begin_body(r);
}

static void end_frame(struct spdy_reader *r)
{
	r->in_body = false;
	r->head_length = 0;
}

static bool finish_control(struct spdy_reader *r, struct spdy_piece *ret)
{
	struct slice body = buffer_slice(&r->control);
	uint32_t first = bytes_get_u32(body.data);

	*ret = (struct spdy_piece){
		.type = r->type, .ends = true, .head = slice_of(r->head, SPDY_HEAD), .body = body};
	if (r->type == SPDY_SETTINGS)
		return (body.length == 4 + (uint64_t)first * 8) ||
			bad(r, "a SPDY SETTINGS of a wrong length");
	if (forms[r->type].has_stream || r->type == SPDY_WINDOW_UPDATE)
		ret->stream = first & SPDY_ID;
	if (forms[r->type].has_stream && !ret->stream)
		return bad(r, "a SPDY frame of no stream");
	if (r->type == SPDY_WINDOW_UPDATE && !(bytes_get_u32(body.data + 4) & SPDY_ID))
		return bad(r, "a SPDY window that grows by nothing");
	if (forms[r->type].more)
		ret->headers = slice_from(body, forms[r->type].length);
	ret->finishes = forms[r->type].has_stream && r->head[4] & SPDY_FIN;
	return true;
}

static int next_control(
	struct spdy_reader *r, struct slice in, size_t *ret_taken, struct spdy_piece *ret)
{
	struct slice part = slice_head(slice_from(in, *ret_taken), r->left);
	int error = buffer_append_slice(&r->control, part);

	if (error < 0)
		return error;
	*ret_taken += part.length;
	r->left -= (uint32_t)part.length;
	if (r->left)
		return SPDY_TAKEN_MORE;
	if (!finish_control(r, ret))
		return SPDY_TAKEN_BAD;
	r->given = true;
	end_frame(r);
	return SPDY_TAKEN_CONTROL;
}

static int next_data(struct spdy_reader *r, bool has_head, struct slice in, size_t *ret_taken,
	struct spdy_piece *ret)
{
	struct slice body = slice_head(slice_from(in, *ret_taken), r->left);

	if (!has_head && body.length == 0)
		return SPDY_TAKEN_MORE;
	*ret = (struct spdy_piece){.stream = bytes_get_u32(r->head) & SPDY_ID, .body = body};
	if (has_head)
		ret->head = slice_of(r->head, SPDY_HEAD);
	*ret_taken += body.length;
	r->left -= (uint32_t)body.length;
	r->given = true;
	ret->ends = r->left == 0;
	ret->finishes = ret->ends && r->head[4] & SPDY_FIN;
	if (ret->ends)
		end_frame(r);
	return SPDY_TAKEN_DATA;
}

int spdy_next(struct spdy_reader *r, struct slice in, size_t *ret_taken, struct spdy_piece *ret)
{
	bool has_head = false;

	*ret_taken = 0;
	if (r->problem)
		return SPDY_TAKEN_BAD;
	if (!r->in_body) {
		if (!read_head(r, in, ret_taken))
			return r->problem ? SPDY_TAKEN_BAD : SPDY_TAKEN_MORE;
		has_head = true;
	}
	return r->type == SPDY_DATA ? next_data(r, has_head, in, ret_taken, ret)
				    : next_control(r, in, ret_taken, ret);
}

int spdy_append_held(struct buffer *out, const struct spdy_reader *r)
{
	int error = r->given ? 0 : buffer_append(out, r->head, r->head_length);

	/* Before a head is whole, it is the frame's before. */
	if (error < 0 || r->given || !r->in_body)
		return error;
	return buffer_append_slice(out, buffer_slice(&r->control));
}

/* --- writing --- */

static int append_head(struct buffer *out, uint32_t first, uint8_t flags, size_t length)
{
	int r = buffer_append_u32(out, first);

	return r < 0 ? r : buffer_append_u32(out, (uint32_t)flags << 24 | (uint32_t)length);
}

int spdy_append_data(struct buffer *out, uint32_t stream, bool finishes, struct slice content)
{
	int r = append_head(out, stream, finishes ? SPDY_FIN : 0, content.length);

	return r < 0 ? r : buffer_append_slice(out, content);
}

int spdy_append_reset(struct buffer *out, uint32_t stream, uint32_t status)
{
	int r = append_head(out, (CONTROL | VERSION) << 16 | SPDY_RST_STREAM, 0, 8);

	if (r == 0)
		r = buffer_append_u32(out, stream);
	return r < 0 ? r : buffer_append_u32(out, status);
}
