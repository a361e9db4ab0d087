/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 6455's frames: what they say, however they are cut, and what is refused.
 */
#include <criterion/criterion.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/websocket/frames.h"

/* What a direction said, a line for each message and control frame; what was wrong; and all of its
 * bytes again as they came. */
struct heard {
	struct buffer said, raw, message;
	const char *problem;
};

static void hear_piece(struct heard *h, const struct websocket_piece *piece, bool control)
{
	static const char *const names[] = {[WEBSOCKET_TEXT] = "text",
		[WEBSOCKET_BINARY] = "binary",
		[WEBSOCKET_CLOSE] = "close",
		[WEBSOCKET_PING] = "ping",
		[WEBSOCKET_PONG] = "pong"};

	buffer_append_slice(&h->raw, piece->head);
	buffer_append_slice(&h->raw, piece->raw);
	if (piece->begins)
		buffer_clear(&h->message);
	if (!control)
		buffer_append_slice(&h->message, piece->plain);
	if (!control && !piece->ends)
		return;
	buffer_append_format(&h->said, "%s ", names[piece->opcode]);
	text_append_visible(&h->said, control ? piece->plain : buffer_slice(&h->message));
	buffer_append_byte(&h->said, '\n');
}

static void hear(struct heard *h, bool masked, struct slice in, size_t step)
{
	static struct websocket_reader reader;
	size_t at = 0;

	buffer_init(&h->said, 1u << 20);
	buffer_init(&h->raw, 1u << 20);
	buffer_init(&h->message, 1u << 20);
	h->problem = NULL;
	websocket_reader_init(&reader, masked);
	while (at < in.length && !h->problem) {
		struct slice part = slice_head(slice_from(in, at), step);
		struct websocket_piece piece;
		size_t taken;

		switch (websocket_next(&reader, part, &taken, &piece)) {
		case WEBSOCKET_DATA:
			hear_piece(h, &piece, false);
			break;
		case WEBSOCKET_CONTROL:
			hear_piece(h, &piece, true);
			break;
		case WEBSOCKET_BAD:
			h->problem = reader.problem;
			websocket_append_held(&h->raw, &reader);
			break;
		default:
			cr_assert_eq(taken, part.length);
		}
		at += taken;
	}
	/* Who relays it unread has all of it. */
	if (h->problem || !reader.head_length)
		cr_expect(slice_equal(buffer_slice(&h->raw), slice_head(in, at)));
}

static void heard_done(struct heard *h)
{
	buffer_done(&h->said);
	buffer_done(&h->raw);
	buffer_done(&h->message);
}

#define S(literal)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}
#define KEY "\x01\x02\x03\x04"

Test(websocket, messages_and_control_frames)
{
	static const struct {
		bool masked;
		struct slice in;
		const char *said;
	} cases[] = {
		{false, S("\x81\x05hello\x82\x03\x00\x01\x02\x81\x00"),
			"text hello\nbinary \\x00\\x01\\x02\ntext \n"},
		/* RFC 6455, 5.7 */
		{true, S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text Hello\n"},
		/* In fragments, a ping between them. */
		{false, S("\x01\x03hel\x89\x02hi\x00\x00\x80\x02lo"), "ping hi\ntext hello\n"},
		{true, S("\x01\x81" KEY "\x60\x80\x81" KEY "\x63"), "text ab\n"},
		{false, S("\x8a\x00\x88\x02\x03\xe8"), "pong \nclose \\x03\\xe8\n"},
		{false, S("\x88\x04\x0b\xb8ok"), "close \\x0b\\xb8ok\n"},
		{false, S("\x88\x00"), "close \n"},
		/* A character that stands in two fragments. */
		{false, S("\x01\x02z\xc3\x80\x02\xbcx"), "text z\xc3\xbcx\n"},
		{false, S("\x81\x04\xf0\x9f\x92\xa9"), "text \xf0\x9f\x92\xa9\n"},
		{false, S("\x82\x02\xff\xfe"), "binary \\xff\\xfe\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t step = 1; step <= cases[i].in.length; step++) {
			struct heard h;

			hear(&h, cases[i].masked, cases[i].in, step);
			cr_expect_null(h.problem, "%zu: %s", i, h.problem);
			cr_expect(slice_equal_string(buffer_slice(&h.said), cases[i].said),
				"%zu, by %zu: %.*s", i, step, SLICE_PRINT(buffer_slice(&h.said)));
			heard_done(&h);
		}
	}
}

Test(websocket, what_is_refused)
{
	static const struct {
		bool masked;
		struct slice in;
		const char *problem;
	} cases[] = {
		{true, S("\x81\x05hello"), "not masked"},
		{false, S("\x81\x85" KEY "hello"), "that is masked"},
		{false, S("\xc1\x00"), "reserved bit"},
		{false, S("\xa1\x00"), "reserved bit"},
		{false, S("\x91\x00"), "reserved bit"},
		{false, S("\x83\x00"), "unknown kind"},
		{false, S("\x8b\x00"), "unknown kind"},
		{false, S("\x80\x00"), "continues nothing"},
		{false, S("\x01\x00\x81\x00"), "within another"},
		{false, S("\x01\x00\x82\x00"), "within another"},
		{false, S("\x81\x00\x00\x00"), "continues nothing"},
		{false, S("\x09\x00"), "in fragments"},
		{false, S("\x08\x00"), "in fragments"},
		{false, S("\x89\x7e\x00\x7e"), "too long"},
		{false, S("\x81\x7e\x00\x7d"), "not the shortest"},
		{false, S("\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), "not the shortest"},
		{false, S("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), "64 bits"},
		{false, S("\x88\x01\x03"), "without a code"},
		{false, S("\x88\x02\x03\xe7"), "without a code"},
		{false, S("\x88\x02\x03\xec"), "without a code"},
		{false, S("\x88\x02\x03\xed"), "without a code"},
		{false, S("\x88\x02\x03\xf7"), "without a code"},
		{false, S("\x88\x02\x13\x88"), "without a code"},
		{false, S("\x88\x03\x03\xe8\xff"), "reason is not UTF-8"},
		{false, S("\x88\x00\x81\x00"), "behind Close"},
		{false, S("\x81\x01\xff"), "not UTF-8"},
		{false, S("\x81\x02\xc0\xaf"), "not UTF-8"},
		{false, S("\x81\x03\xed\xa0\x80"), "not UTF-8"},
		{false, S("\x81\x04\xf4\x90\x80\x80"), "not UTF-8"},
		{false, S("\x81\x02\xc3\x28"), "not UTF-8"},
		{false, S("\x81\x01\xc3"), "within a character"},
		{false, S("\x01\x01\xc3\x80\x00"), "within a character"},
		{false, S("\x01\x01\xc3\x80\x01z"), "not UTF-8"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t step = 1; step <= cases[i].in.length; step++) {
			struct heard h;

			hear(&h, cases[i].masked, cases[i].in, step);
			cr_expect(h.problem && strstr(h.problem, cases[i].problem),
				"%zu, by %zu: %s", i, step, h.problem);
			heard_done(&h);
		}
	}
}

/* What is written is read again, at every form of length. */
Test(websocket, what_is_written)
{
	static const size_t lengths[] = {0, 1, 125, 126, 65535, 65536, 200000};
	static uint8_t content[200000];

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = 'a' + i % 23;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(lengths); i++) {
		bool masked = i % 2;
		struct slice text = slice_of(content, lengths[i / 2]);
		struct buffer frame;
		struct heard h;

		buffer_init(&frame, 1u << 20);
		cr_assert_eq(websocket_append(&frame, WEBSOCKET_TEXT, true,
				     masked ? (const uint8_t *)KEY : NULL, text),
			0);
		hear(&h, masked, buffer_slice(&frame), 1000);
		cr_expect_null(h.problem, "%zu", text.length);
		cr_expect(slice_equal(buffer_slice(&h.message), text), "%zu", text.length);
		heard_done(&h);
		buffer_done(&frame);
	}
}

Test(websocket, a_close_is_cut_at_a_character)
{
	char reason[200];
	struct buffer frame;
	struct heard h;

	memset(reason, 'a', sizeof(reason));
	memcpy(reason + 122, "\xc3\xbc", 2);
	buffer_init(&frame, 1024);
	cr_assert_eq(
		websocket_append_close(&frame, NULL, 1002, slice_of(reason, sizeof(reason))), 0);
	cr_expect_eq(buffer_length(&frame), 2 + 2 + 122);
	hear(&h, false, buffer_slice(&frame), 1000);
	cr_expect_null(h.problem);
	heard_done(&h);
	buffer_done(&frame);
}
