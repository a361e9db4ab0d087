/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that are longer than 32 bits count, through both engines: all of it arrives, and the
 * record says how much it was.
 */
#include "tests/unit/http2_run.h"

#define BODY (10ull << 30)
#define PIECE (1u << 20)

static uint8_t piece[PIECE];

static void begin(void)
{
	http_run_begin();
	http2_run_begin();
}

TestSuite(http_long, .init = begin, .fini = http2_run_end);

/* What left for the agent since the last look. */
static uint64_t taken(void)
{
	uint64_t length = buffer_length(&run.sent[SIDE_AGENT]);

	buffer_clear(&run.sent[SIDE_AGENT]);
	return length;
}

Test(http_long, http_1)
{
	char head[128];
	uint64_t passed = 0;

	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", BODY);
	server_sends(head);
	cr_assert(holds(&run.sent[SIDE_AGENT], "Content-Length: 10737418240\r\n"));
	taken();
	for (uint64_t i = 0; i < BODY / PIECE; i++) {
		engine_run_feed(&run, SIDE_SERVER, slice_of(piece, PIECE));
		passed += taken();
	}
	cr_expect_eq(passed, BODY);
	cr_expect(holds(&run.events, "bytes 10737418240 "), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
	cr_expect_not(run.closed);
}

#define FRAME 16384u
#define FRAME_HEADER 9u
/* Frames that are fed at once. */
#define FRAMES 8u

/* The agent takes `bytes` more, of the stream and of the connection (RFC 9113, 6.9). */
static void open_windows(uint32_t bytes)
{
	uint8_t frames[26] = {0, 0, 4, 8, 0, 0, 0, 0, 1, [15] = 4, 8};

	for (size_t at = 9; at <= 22; at += 13) {
		frames[at] = (uint8_t)(bytes >> 24);
		frames[at + 1] = (uint8_t)(bytes >> 16);
		frames[at + 2] = (uint8_t)(bytes >> 8);
		frames[at + 3] = (uint8_t)bytes;
	}
	engine_run_feed(&run, SIDE_AGENT, slice_of(frames, sizeof(frames)));
}

/* Frame by frame, as a peer that keeps what it hears would have to keep it all. */
Test(http_long, http_2)
{
	static uint8_t frames[FRAMES * (FRAME_HEADER + FRAME)];
	static const uint8_t last[FRAME_HEADER] = {[4] = 1, [8] = 1};
	const uint64_t heads = BODY / FRAME * FRAME_HEADER;
	uint64_t passed = 0;

	http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
	talk();
	http2_peer_agree(&server, 1, "content-length: 10737418240\n");
	talk();
	HEARD(agent, "1 :status: 200\n");
	for (size_t i = 0; i < FRAMES; i++) {
		uint8_t *head = frames + i * (FRAME_HEADER + FRAME);

		head[1] = FRAME >> 8;
		head[8] = 1;
	}
	taken();
	for (uint64_t i = 0; i < BODY / FRAMES / FRAME; i++) {
		open_windows(FRAMES * FRAME);
		engine_run_feed(&run, SIDE_SERVER, slice_of(frames, sizeof(frames)));
		buffer_clear(&run.sent[SIDE_SERVER]);
		passed += taken();
	}
	engine_run_feed(&run, SIDE_SERVER, slice_of(last, sizeof(last)));
	passed += taken();
	cr_expect_eq(passed, BODY + heads + FRAME_HEADER);
	cr_expect(holds(&run.events, "bytes 10737418240 "), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
	cr_expect_not(run.closed);
}
