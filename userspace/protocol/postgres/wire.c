/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/wire.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"

#define AUTH PG_PHASE_AUTHENTICATION
#define STARTUP PG_PHASE_STARTUP
#define QUERY PG_PHASE_QUERY
#define ANY (AUTH | STARTUP | QUERY)
/* The server's own bound on what is not a statement or data (pqcomm: PQ_SMALL_MESSAGE_LIMIT). */
#define SMALL 10000u
#define HEAD (256u << 10) /* enough to know what a message that streams is about */
#define LARGE 0x3fffffffu /* 1 GiB - 1, the server's PQ_LARGE_MESSAGE_LIMIT */

/* Paragraphs are those of 55.7, Message Formats. */
const struct pg_message pg_agent_messages[256] = {
	['p'] = {"PasswordMessage", AUTH, LIMIT_AUTH_MESSAGE_BYTES, LIMIT_AUTH_MESSAGE_BYTES},
	['Q'] = {"Query", QUERY, LIMIT_STATEMENT_BYTES, LARGE},
	['P'] = {"Parse", QUERY, LIMIT_STATEMENT_BYTES, LARGE},
	['B'] = {"Bind", QUERY, HEAD, LARGE},
	['D'] = {"Describe", QUERY, SMALL, SMALL},
	['E'] = {"Execute", QUERY, SMALL, SMALL},
	['C'] = {"Close", QUERY, SMALL, SMALL},
	['H'] = {"Flush", QUERY, 0, 0},
	['S'] = {"Sync", QUERY, 0, 0},
	['F'] = {"FunctionCall", QUERY, HEAD, LARGE},
	['X'] = {"Terminate", ANY, 0, 0},
	['d'] = {"CopyData", QUERY, 0, LARGE},
	['c'] = {"CopyDone", QUERY, 0, 0},
	['f'] = {"CopyFail", QUERY, SMALL, SMALL},
};

const struct pg_message pg_server_messages[256] = {
	['R'] = {"Authentication", AUTH, LIMIT_AUTH_MESSAGE_BYTES, LIMIT_AUTH_MESSAGE_BYTES},
	['v'] = {"NegotiateProtocolVersion", AUTH, SMALL, SMALL},
	['K'] = {"BackendKeyData", STARTUP, 4 + 256, 4 + 256},
	['S'] = {"ParameterStatus", STARTUP | QUERY, LIMIT_NOTICE_BYTES, LIMIT_NOTICE_BYTES},
	['Z'] = {"ReadyForQuery", STARTUP | QUERY, 1, 1},
	['E'] = {"ErrorResponse", ANY, LIMIT_NOTICE_BYTES, LARGE},
	['N'] = {"NoticeResponse", ANY, LIMIT_NOTICE_BYTES, LARGE},
	['A'] = {"NotificationResponse", QUERY, LIMIT_NOTICE_BYTES, LIMIT_NOTICE_BYTES},
	['T'] = {"RowDescription", QUERY, LIMIT_ROW_DESCRIPTION_BYTES, LIMIT_ROW_DESCRIPTION_BYTES},
	['t'] = {"ParameterDescription", QUERY, 2 + 4 * 65535, 2 + 4 * 65535},
	['n'] = {"NoData", QUERY, 0, 0},
	['D'] = {"DataRow", QUERY, 0, LARGE},
	['C'] = {"CommandComplete", QUERY, SMALL, SMALL},
	['I'] = {"EmptyQueryResponse", QUERY, 0, 0},
	['1'] = {"ParseComplete", QUERY, 0, 0},
	['2'] = {"BindComplete", QUERY, 0, 0},
	['3'] = {"CloseComplete", QUERY, 0, 0},
	['s'] = {"PortalSuspended", QUERY, 0, 0},
	['G'] = {"CopyInResponse", QUERY, SMALL, SMALL},
	['H'] = {"CopyOutResponse", QUERY, SMALL, SMALL},
	['W'] = {"CopyBothResponse", QUERY, SMALL, SMALL},
	['d'] = {"CopyData", QUERY, 0, LARGE},
	['c'] = {"CopyDone", QUERY, 0, 0},
	['V'] = {"FunctionCallResponse", QUERY, LIMIT_NOTICE_BYTES, LARGE},
};

bool pg_header_get(struct slice in, struct pg_header *ret)
{
	uint32_t length;

	if (in.length < PG_HEADER_SIZE)
		return false;
	length = bytes_get_u32(in.data + 1);
	ret->type = length < 4 ? 0 : in.data[0];
	ret->length = length < 4 ? 0 : length - 4;
	return true;
}

int pg_get_bytes(struct slice *in, size_t length, struct slice *ret)
{
	if (in->length < length)
		return -EBADMSG;
	*ret = slice_head(*in, length);
	*in = slice_from(*in, length);
	return 0;
}

int pg_frame_next(
	const struct pg_message *table, unsigned phases, struct slice in, struct pg_frame *ret)
{
	const struct pg_message *message;
	struct pg_header header;
	size_t wanted;

	if (!pg_header_get(in, &header))
		return 0;
	message = &table[header.type];
	if (!message->name || !(message->phases & phases) || header.length > message->most)
		return -EBADMSG;
	wanted =
		PG_HEADER_SIZE + (header.length <= message->whole ? header.length : message->whole);
	if (in.length < wanted)
		return 0;
	ret->type = header.type;
	ret->length = header.length;
	ret->whole = slice_head(in, PG_HEADER_SIZE + (size_t)header.length);
	ret->body = slice_from(ret->whole, PG_HEADER_SIZE);
	ret->complete = ret->body.length == header.length;
	return 1;
}

int pg_get_u8(struct slice *in, uint8_t *ret)
{
	struct slice s;
	int r = pg_get_bytes(in, 1, &s);

	if (r == 0)
		*ret = s.data[0];
	return r;
}

int pg_get_u16(struct slice *in, uint16_t *ret)
{
	struct slice s;
	int r = pg_get_bytes(in, 2, &s);

	if (r == 0)
		*ret = bytes_get_u16(s.data);
	return r;
}

int pg_get_u32(struct slice *in, uint32_t *ret)
{
	struct slice s;
	int r = pg_get_bytes(in, 4, &s);

	if (r == 0)
		*ret = bytes_get_u32(s.data);
	return r;
}

int pg_get_string(struct slice *in, struct slice *ret)
{
	const uint8_t *end = in->length ? memchr(in->data, 0, in->length) : NULL;

	if (!end)
		return -EBADMSG;
	*ret = slice_of(in->data, (size_t)(end - in->data));
	*in = slice_from(*in, ret->length + 1);
	return 0;
}

int pg_begin(struct buffer *b, uint8_t type, size_t *ret_mark)
{
	uint8_t *space;
	int r = buffer_reserve(b, PG_HEADER_SIZE, &space);

	if (r < 0)
		return r;
	space[0] = type;
	bytes_put_u32(space + 1, 0);
	*ret_mark = buffer_length(b) + 1;
	buffer_commit(b, PG_HEADER_SIZE);
	return 0;
}

void pg_end(struct buffer *b, size_t mark)
{
	bytes_put_u32(b->data + b->start + mark, (uint32_t)(buffer_length(b) - mark));
}

int pg_put_string(struct buffer *b, struct slice s)
{
	int r = buffer_append_slice(b, s);

	return r < 0 ? r : buffer_append_byte(b, 0);
}

int pg_put_message(struct buffer *b, uint8_t type, struct slice body)
{
	size_t mark;
	int r = pg_begin(b, type, &mark);

	if (r == 0)
		r = buffer_append_slice(b, body);
	if (r == 0)
		pg_end(b, mark);
	return r;
}
