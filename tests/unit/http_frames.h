/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of streams behind a 101: frames of a WebSocket that a side sends, and those that it
 * got.
 */
#ifndef WAYLEAVE_TESTS_HTTP_FRAMES_H
#define WAYLEAVE_TESTS_HTTP_FRAMES_H

#include "base/text.h"
#include "protocol/websocket/frames.h"
#include "tests/unit/http_run.h"

static const uint8_t frames_key[4] = {1, 0xfe, 3, 0x80};

/* Cut into pieces of `step` bytes. */
static inline void feed_in_steps(enum side from, struct slice bytes, size_t step)
{
	while (bytes.length) {
		engine_run_feed(&run, from, slice_head(bytes, step));
		bytes = slice_from(bytes, step);
	}
}

static inline void sends_frame(
	enum side from, enum websocket_opcode opcode, bool final, struct slice content, size_t step)
{
	struct buffer frame;

	buffer_init(&frame, 1u << 26);
	cr_assert_eq(websocket_append(&frame, opcode, final, from == SIDE_AGENT ? frames_key : NULL,
			     content),
		0);
	feed_in_steps(from, buffer_slice(&frame), step);
	buffer_done(&frame);
}

static inline void sends_text(enum side from, const char *text)
{
	sends_frame(from, WEBSOCKET_TEXT, true, slice_from_string(text), SIZE_MAX);
}

/* The frames that left for a side since the last look, as "text hello|close .."; `whole`: messages,
 * whatever their fragments. */
static inline char *got_frames(enum side to)
{
	static char said[1 << 20];
	static struct websocket_reader reader;
	struct slice in = buffer_slice(&run.sent[to]);
	struct websocket_piece piece;
	struct buffer text;
	size_t taken;

	buffer_init(&text, sizeof(said) - 1);
	websocket_reader_init(&reader, to == SIDE_SERVER);
	while (in.length) {
		enum websocket_taken what = websocket_next(&reader, in, &taken, &piece);

		cr_assert_neq(what, WEBSOCKET_BAD, "%s", reader.problem);
		in = slice_from(in, taken);
		if (what == WEBSOCKET_MORE)
			continue;
		if (what == WEBSOCKET_CONTROL || piece.begins)
			buffer_append_string(&text,
				piece.opcode == WEBSOCKET_TEXT             ? "text "
					: piece.opcode == WEBSOCKET_BINARY ? "binary "
					: piece.opcode == WEBSOCKET_CLOSE  ? "close "
					: piece.opcode == WEBSOCKET_PING   ? "ping "
									   : "pong ");
		text_append_visible(&text, piece.plain);
		if (what == WEBSOCKET_CONTROL || piece.ends)
			buffer_append_byte(&text, '|');
	}
	buffer_clear(&run.sent[to]);
	memcpy(said, buffer_slice(&text).data ? (const char *)buffer_slice(&text).data : "",
		buffer_length(&text));
	said[buffer_length(&text)] = '\0';
	buffer_done(&text);
	return said;
}

#define GOT_FRAMES(to, expected)                                                                   \
	do {                                                                                       \
		const char *frames_ = got_frames(to);                                              \
		cr_expect_str_eq(frames_, expected, "got %s", frames_);                            \
	} while (0)

#define RECORDED(kind, expected)                                                                   \
	cr_expect(slice_equal_string(buffer_slice(&run.data[kind]), expected), "recorded %.*s",    \
		SLICE_PRINT(buffer_slice(&run.data[kind])))

#endif
