/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/bridge.h"

#include <errno.h>

#include "base/bytes.h"

#define REQUEST_HEAD 6
#define RESULT_HEAD 20
#define MASKED_HEAD 6
#define DEEDS_HEAD 2
#define DEED_HEAD 6

int bridge_take(struct slice in, struct bridge_frame *ret, size_t *ret_length)
{
	size_t length;

	if (in.length < BRIDGE_HEAD) {
		*ret_length = BRIDGE_HEAD;
		return -EAGAIN;
	}
	length = bytes_get_u32(in.data);
	if (length > BRIDGE_BODY_MOST || in.data[4] == 0 || in.data[4] >= BRIDGE_TYPE_COUNT)
		return -EBADMSG;
	*ret_length = BRIDGE_HEAD + length;
	if (in.length < *ret_length)
		return -EAGAIN;
	*ret = (struct bridge_frame){
		.type = (enum bridge_type)in.data[4],
		.lane = bytes_get_u32(in.data + 5),
		.body = slice_of(in.data + BRIDGE_HEAD, length),
	};
	return 0;
}

int bridge_append(struct buffer *to, enum bridge_type type, uint32_t lane, struct slice head,
	struct slice body)
{
	size_t length = head.length + body.length;
	uint8_t *space;
	int r;

	if (head.length > BRIDGE_BODY_MOST || body.length > BRIDGE_BODY_MOST - head.length)
		return -E2BIG;
	r = buffer_reserve(to, BRIDGE_HEAD + length, &space);
	if (r < 0)
		return r;
	bytes_put_u32(space, (uint32_t)length);
	space[4] = (uint8_t)type;
	bytes_put_u32(space + 5, lane);
	if (head.length)
		memcpy(space + BRIDGE_HEAD, head.data, head.length);
	if (body.length)
		memcpy(space + BRIDGE_HEAD + head.length, body.data, body.length);
	buffer_commit(to, BRIDGE_HEAD + length);
	return 0;
}

int bridge_append_deeds(
	struct buffer *to, const struct bridge_deed *deeds, size_t count, struct slice text)
{
	int r = buffer_append_u16(to, (uint16_t)count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		uint8_t head[DEED_HEAD] = {(uint8_t)deeds[i].kind, deeds[i].known};

		bytes_put_u32(head + 2, (uint32_t)deeds[i].object.length);
		r = buffer_append(to, head, sizeof(head));
		if (r == 0)
			r = buffer_append_slice(to, deeds[i].object);
	}
	return r < 0 ? r : buffer_append_slice(to, text);
}

static int decode_deed(struct slice in, struct bridge_deed *ret)
{
	size_t length;

	if (in.length < DEED_HEAD || in.data[0] >= BRIDGE_DEED_COUNT || in.data[1] > 1)
		return -EBADMSG;
	length = bytes_get_u32(in.data + 2);
	/* Every deed has an object: one without would fit every allow. */
	if (length == 0 || length > in.length - DEED_HEAD)
		return -EBADMSG;
	*ret = (struct bridge_deed){
		.kind = (enum bridge_deed_kind)in.data[0],
		.known = in.data[1],
		.object = slice_head(slice_from(in, DEED_HEAD), length),
	};
	return 0;
}

int bridge_decode_deeds(
	struct slice in, struct bridge_deed *ret, size_t *ret_count, struct slice *ret_text)
{
	size_t count = in.length >= DEEDS_HEAD ? bytes_get_u16(in.data) : 0;

	if (count == 0 || count > BRIDGE_DEEDS_MOST)
		return -EBADMSG;
	in = slice_from(in, DEEDS_HEAD);
	for (size_t i = 0; i < count; i++) {
		if (decode_deed(in, &ret[i]) < 0)
			return -EBADMSG;
		in = slice_from(in, DEED_HEAD + ret[i].object.length);
	}
	*ret_count = count;
	*ret_text = in;
	return 0;
}

int bridge_decode_request(struct slice body, struct bridge_request *ret)
{
	if (body.length < REQUEST_HEAD || body.data[0] == 0 || body.data[0] >= BRIDGE_KIND_COUNT ||
		body.data[1] > 1)
		return -EBADMSG;
	*ret = (struct bridge_request){
		.kind = (enum bridge_kind)body.data[0],
		.terminal = body.data[1],
		.columns = bytes_get_u16(body.data + 2),
		.rows = bytes_get_u16(body.data + 4),
		.text = slice_from(body, REQUEST_HEAD),
	};
	return 0;
}

int bridge_append_request(struct buffer *to, uint32_t lane, const struct bridge_request *request)
{
	uint8_t head[REQUEST_HEAD] = {(uint8_t)request->kind, request->terminal};

	bytes_put_u16(head + 2, request->columns);
	bytes_put_u16(head + 4, request->rows);
	return bridge_append(to, BRIDGE_REQUEST, lane, slice_of(head, sizeof(head)), request->text);
}

int bridge_decode_result(struct slice body, struct bridge_result *ret)
{
	if (body.length < RESULT_HEAD)
		return -EBADMSG;
	*ret = (struct bridge_result){
		.to_agent = bytes_get_u64(body.data),
		.to_server = bytes_get_u64(body.data + 8),
		.status = bytes_get_u32(body.data + 16),
		.signal = slice_from(body, RESULT_HEAD),
	};
	return 0;
}

int bridge_append_result(struct buffer *to, uint32_t lane, const struct bridge_result *result)
{
	uint8_t head[RESULT_HEAD];

	bytes_put_u64(head, result->to_agent);
	bytes_put_u64(head + 8, result->to_server);
	bytes_put_u32(head + 16, result->status);
	return bridge_append(to, BRIDGE_RESULT, lane, slice_of(head, sizeof(head)), result->signal);
}

int bridge_decode_masked(struct slice body, struct bridge_masked *ret)
{
	if (body.length < MASKED_HEAD || body.data[0] >= BRIDGE_STREAM_COUNT || body.data[1] > 1)
		return -EBADMSG;
	*ret = (struct bridge_masked){
		.stream = (enum bridge_stream)body.data[0],
		.last = body.data[1],
		.settled = bytes_get_u32(body.data + 2),
		.bytes = slice_from(body, MASKED_HEAD),
	};
	return 0;
}

int bridge_append_masked(struct buffer *to, uint32_t lane, const struct bridge_masked *masked)
{
	uint8_t head[MASKED_HEAD] = {(uint8_t)masked->stream, masked->last};

	bytes_put_u32(head + 2, masked->settled);
	return bridge_append(to, BRIDGE_MASKED, lane, slice_of(head, sizeof(head)), masked->bytes);
}
