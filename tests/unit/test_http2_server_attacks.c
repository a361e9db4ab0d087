/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server can do to a peer of HTTP/2, frame by frame, while the agent waits for an answer:
 * what each costs, how it ends, and what of it reaches the agent.
 */
#include "base/bytes.h"
#include "base/limits.h"
#include "tests/unit/http2_run.h"

static void begin(void)
{
	http_run_begin();
	http2_run_begin();
	http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
	talk();
	HEARD(server, "1 :path: /v1/a\n");
	buffer_clear(&agent.log);
}

TestSuite(http2_server_attacks, .init = begin, .fini = http2_run_end);

static void send_frame(uint8_t type, uint8_t flags, uint32_t id, const void *content, size_t length)
{
	static uint8_t frame[9 + 65536];

	frame[0] = (uint8_t)(length >> 16);
	frame[1] = (uint8_t)(length >> 8);
	frame[2] = (uint8_t)length;
	frame[3] = type;
	frame[4] = flags;
	bytes_put_u32(frame + 5, id);
	if (length)
		memcpy(frame + 9, content, length);
	engine_run_feed(&run, SIDE_SERVER, slice_of(frame, 9 + length));
}

/* What of it all is answered, or passed on, before the session ends. */
static size_t flood(uint8_t type, uint8_t flags, uint32_t id, const void *content, size_t length)
{
	size_t count = 0;

	while (!run.closed && count < 4 * LIMIT_HTTP2_IDLE_FRAMES) {
		send_frame(type, flags, id, content, length);
		cr_assert_lt(buffer_length(&run.sent[SIDE_SERVER]), 1u << 20);
		cr_assert_lt(buffer_length(&run.sent[SIDE_AGENT]), 1u << 20);
		count++;
	}
	return count;
}

/* The agent is told that there is no answer, and why, and the session ends. */
#define ENDED()                                                                                    \
	do {                                                                                       \
		cr_expect(run.closed);                                                             \
		http2_peer_listen(&agent);                                                         \
		cr_expect(http2_peer_heard(&agent, "1 :status: 502\n") ||                          \
				http2_peer_heard(&agent, "1 reset "),                              \
			"%.*s", SLICE_PRINT(buffer_slice(&agent.log)));                            \
	} while (0)

Test(http2_server_attacks, frames_that_do_nothing)
{
	static const struct {
		uint8_t type, flags;
		uint32_t id;
		const char *content;
		size_t length;
	} frames[] = {
		{NGHTTP2_PING, 0, 0, "12345678", 8},
		{NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678", 8},
		{NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\xff\xff", 6},
		{NGHTTP2_SETTINGS, 0, 0, NULL, 0},
		{NGHTTP2_PRIORITY, 0, 1, "\0\0\0\3\x10", 5},
		{NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4},
		{0x0a, 0, 0, "\0\0h2=\":1\"", 9},
		{0x7f, 0, 0, "whatever", 8},
	};

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		if (i) {
			http2_peer_done(&agent);
			http2_peer_done(&server);
			http_run_restart();
			http2_run_begin();
			http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
			talk();
		}
		cr_expect_leq(flood(frames[i].type, frames[i].flags, frames[i].id,
				      frames[i].content, frames[i].length),
			LIMIT_HTTP2_IDLE_FRAMES + 10, "%zu", i);
		ENDED();
	}
}

Test(http2_server_attacks, a_head_that_never_ends)
{
	static const char fields[] = "\0\1a\1b";

	send_frame(NGHTTP2_HEADERS, 0, 1, "\x88", 1);
	cr_expect_leq(flood(NGHTTP2_CONTINUATION, 0, 1, fields, sizeof(fields) - 1),
		LIMIT_HTTP2_CONTINUATIONS + 1);
	ENDED();
}

/* A field of 4 KiB in the table, and then a byte for each time that it is meant. */
Test(http2_server_attacks, a_head_that_grows)
{
	static char block[16384];
	size_t length = 0;

	memcpy(block, "\x88\x40\1x\x7f\x81\x1e", 7);
	memset(block + 7, 'y', 3968);
	length = 7 + 3968;
	memset(block + length, '\xbe', 12000);
	send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		length + 12000);
	http2_peer_listen(&agent);
	cr_expect(http2_peer_heard(&agent, "1 reset ") ||
			http2_peer_heard(&agent, "1 :status: 502\n"),
		"%.*s", SLICE_PRINT(buffer_slice(&agent.log)));
	cr_expect_lt(buffer_length(&run.sent[SIDE_AGENT]), 65536);
	cr_expect_not(http2_peer_heard(&agent, "yyyy"));
}

/* What belongs to nothing that was asked for. */
Test(http2_server_attacks, what_nobody_asked_for)
{
	static const struct {
		uint8_t type, flags;
		uint32_t id;
		const char *content;
		size_t length;
	} frames[] = {
		{NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, "\0\0\0\2\x82\x86\x84\x41\1h",
			10},
		{NGHTTP2_DATA, 0, 3, "hello", 5},
		{NGHTTP2_DATA, 0, 0, "hello", 5},
		{NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2, "\x88", 1},
		{NGHTTP2_RST_STREAM, 0, 3, "\0\0\0\2", 4},
		{NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "\x88", 1},
		{NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},
		{NGHTTP2_SETTINGS, 0, 0, "\0\4\x80\0\0\0", 6},
		{NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "\0\4\0\0\0\0", 6},
	};

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		if (i) {
			http2_peer_done(&agent);
			http2_peer_done(&server);
			http_run_restart();
			http2_run_begin();
			http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
			talk();
		}
		send_frame(frames[i].type, frames[i].flags, frames[i].id, frames[i].content,
			frames[i].length);
		ENDED();
		cr_expect_not(http2_peer_heard(&agent, "hello"), "%zu", i);
	}
}

/* It would lead the agent past us. */
Test(http2_server_attacks, where_else_it_is)
{
	send_frame(0x0a, 0, 0, "\0\1hh2=\":1\"", 10);
	send_frame(0x0a, 0, 1, "\0\0h2=\":1\"", 9);
	send_frame(0x0c, 0, 0, "\0\x0bhttps://oth", 13);
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "h2="));
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "https://"));
	http2_peer_answer(&server, 1, "200", "alt-svc: h2=\":1\"\n", "hello", NULL);
	talk();
	HEARD(agent, "1 data 5 hello\n");
	cr_expect_not(http2_peer_heard(&agent, "alt-svc"));
}

/* More than the stream's window is no answer; what comes of it then is thrown away. */
Test(http2_server_attacks, more_than_a_window)
{
	static char much[16384];

	memset(much, 'z', sizeof(much));
	send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, "\x88", 1);
	for (size_t sent = 0; sent < 16u << 20; sent += sizeof(much)) {
		send_frame(NGHTTP2_DATA, 0, 1, much, sizeof(much));
		cr_assert_leq(buffer_length(&run.sent[SIDE_AGENT]), LIMIT_HTTP2_STREAM_WINDOW);
		cr_assert_leq(buffer_length(&run.partial[SIDE_SERVER]), sizeof(much) + 9);
	}
	http2_peer_listen(&agent);
	HEARD(agent, "1 reset ");
	cr_expect_not(run.closed);
	http2_peer_ask(&agent, "GET", "/v1/b", NULL, NULL, false);
	talk();
	HEARD(server, "3 :path: /v1/b\n");
}

/* Each by itself is legal, and none of them is an answer. */
Test(http2_server_attacks, interim_responses_without_end)
{
	for (unsigned i = 0; i <= LIMIT_HTTP_INTERIM; i++)
		send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
			"\x08\x03"
			"103",
			5);
	http2_peer_listen(&agent);
	cr_expect(http2_peer_heard(&agent, "1 :status: 103\n"));
	cr_expect(http2_peer_heard(&agent, "1 :status: 502\n"));
	cr_expect_not(run.closed);
}
