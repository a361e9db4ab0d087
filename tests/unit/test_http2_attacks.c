/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be done to a peer of HTTP/2, frame by frame: what each costs, and how it ends.
 */
#include "base/bytes.h"
#include "base/limits.h"
#include "tests/unit/http2_run.h"

static struct buffer told; /* the frames that the agent got, a line each */

/* --- frames by hand --- */

static void send_frame(uint8_t type, uint8_t flags, uint32_t id, const void *content, size_t length)
{
	uint8_t frame[9 + 65536] = {
		(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, type, flags};

	bytes_put_u32(frame + 5, id);
	if (length)
		memcpy(frame + 9, content, length);
	engine_run_feed(&run, SIDE_AGENT, slice_of(frame, 9 + length));
}

/* GET http://h/v1/a */
static const uint8_t request[] = {0x82, 0x86, 0x44, 5, '/', 'v', '1', '/', 'a', 0x41, 1, 'h'};

static void send_request(uint32_t id, bool ends)
{
	send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | (ends ? NGHTTP2_FLAG_END_STREAM : 0),
		id, request, sizeof(request));
}

static void send_number(uint8_t type, uint32_t id, uint32_t number)
{
	uint8_t content[4];

	bytes_put_u32(content, number);
	send_frame(type, 0, id, content, sizeof(content));
}

static void send_setting(uint16_t setting, uint32_t value)
{
	uint8_t content[6] = {(uint8_t)(setting >> 8), (uint8_t)setting};

	bytes_put_u32(content + 2, value);
	send_frame(NGHTTP2_SETTINGS, 0, 0, content, sizeof(content));
}

/* What the agent got: reads it, and forgets it. */
static void listen(void)
{
	struct slice s = buffer_slice(&run.sent[SIDE_AGENT]);

	while (s.length >= 9) {
		size_t length = (size_t)s.data[0] << 16 | (size_t)s.data[1] << 8 | s.data[2];
		uint32_t id = bytes_get_u32(s.data + 5);
		const uint8_t *content = s.data + 9;

		cr_assert_geq(s.length, 9 + length);
		if (s.data[3] == NGHTTP2_RST_STREAM)
			buffer_append_format(&told, "reset %u %u\n", id, bytes_get_u32(content));
		else if (s.data[3] == NGHTTP2_GOAWAY)
			buffer_append_format(&told, "goaway %u\n", bytes_get_u32(content + 4));
		else if (s.data[3] == NGHTTP2_DATA)
			buffer_append_format(&told, "data %u\n", id);
		else if (s.data[3] == NGHTTP2_HEADERS)
			buffer_append_format(&told, "headers %u\n", id);
		s = slice_from(s, 9 + length);
	}
	buffer_clear(&run.sent[SIDE_AGENT]);
}

static void serve(void)
{
	while (http2_peer_listen(&server))
		http2_peer_speak(&server);
}

static void begin(void)
{
	http_run_begin();
	http2_run_begin();
	buffer_init(&told, 1 << 20);
	http2_peers_talk(&agent, &server);
}

static void end(void)
{
	buffer_done(&told);
	http2_run_end();
}

TestSuite(http2_attacks, .init = begin, .fini = end);

#define TOLD(text)                                                                                 \
	do {                                                                                       \
		listen();                                                                          \
		cr_assert(holds(&told, text), "%.*s", SLICE_PRINT(buffer_slice(&told)));           \
	} while (0)

static size_t requests_at_server(void)
{
	struct slice s = buffer_slice(&server.log);
	size_t count = 0;

	for (const uint8_t *at = s.data; at && s.length; count++) {
		at = memmem(s.data, s.length, ":method:", 8);
		if (!at)
			break;
		s = slice_from(s, (size_t)(at - s.data) + 8);
	}
	return count;
}

/* --- streams --- */

Test(http2_attacks, more_streams_than_may_be)
{
	for (uint32_t i = 0; i < LIMIT_HTTP2_STREAMS + 50 && !run.closed; i++)
		send_request(2 * i + 1, true);
	serve();
	cr_assert_leq(requests_at_server(), LIMIT_HTTP2_STREAMS);
	TOLD("goaway 1\n");
	cr_assert(run.closed);
}

Test(http2_attacks, rapid_resets)
{
	for (uint32_t i = 0; i < 4 * LIMIT_HTTP2_RESETS && !run.closed; i++) {
		send_request(2 * i + 1, true);
		send_number(NGHTTP2_RST_STREAM, 2 * i + 1, NGHTTP2_CANCEL);
		serve();
	}
	TOLD("goaway 11\n");
	cr_assert(run.closed);
	cr_assert_leq(requests_at_server(), LIMIT_HTTP2_RESETS + 1);
}

static void ask_what_is_denied_and_reset(uint32_t times)
{
	static const uint8_t denied[] = {0x42, 6, 'D', 'E', 'L', 'E', 'T', 'E', 0x86, 0x44, 5, '/',
		'v', '1', '/', 'a', 0x41, 1, 'h'};

	for (uint32_t i = 0; i < times && !run.closed; i++) {
		send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2 * i + 1, denied,
			sizeof(denied));
		send_number(NGHTTP2_RST_STREAM, 2 * i + 1, NGHTTP2_NO_ERROR);
		listen();
	}
	cr_assert_eq(requests_at_server(), 0);
}

/* Nothing more is wanted of a call that is denied before its client has ended it: Go's and C's
 * libraries of gRPC reset it then. */
Test(http2_attacks, resets_behind_denials)
{
	ask_what_is_denied_and_reset(LIMIT_HTTP2_RESETS + 100);
	cr_assert_not(run.closed);
	TOLD("headers 1199\n");
}

/* nghttp2's own bound, which counts all of them. */
Test(http2_attacks, more_resets_than_streams_are_worth)
{
	ask_what_is_denied_and_reset(4 * LIMIT_HTTP2_RESETS);
	TOLD("goaway 2\n");
	cr_assert(run.closed);
}

/* The agent breaks the rules of a stream, so that it is us who reset it. */
Test(http2_attacks, resets_that_we_are_made_to_send)
{
	for (uint32_t i = 0; i < 4 * LIMIT_HTTP2_RESETS && !run.closed; i++) {
		send_request(2 * i + 1, false);
		send_number(NGHTTP2_WINDOW_UPDATE, 2 * i + 1, 0x7fffffff);
		serve();
	}
	TOLD("reset 1 3\n");
	TOLD("goaway 11\n");
	cr_assert(run.closed);
	cr_assert_leq(requests_at_server(), LIMIT_HTTP2_RESETS + 1);
}

Test(http2_attacks, headers_that_are_none)
{
	static const uint8_t bad[] = {0x82, 0x86, 0x84, 0x41, 1, 'h', 0x00, 1, 'X', 1, 'y'};

	for (uint32_t i = 0; i < 4 * LIMIT_HTTP2_RESETS && !run.closed; i++)
		send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
			2 * i + 1, bad, sizeof(bad));
	cr_assert(run.closed);
	cr_assert_eq(requests_at_server(), 0);
}

/* --- windows --- */

Test(http2_attacks, a_streams_window_overflows)
{
	send_request(1, false);
	send_number(NGHTTP2_WINDOW_UPDATE, 1, 0x7fffffff);
	TOLD("reset 1 3\n");
	cr_assert_not(run.closed);
	send_request(3, true);
	serve();
	http2_peer_answer(&server, 3, "200", NULL, "hello", NULL);
	http2_peer_speak(&server);
	TOLD("headers 3\ndata 3\n");
}

Test(http2_attacks, the_connections_window_overflows)
{
	send_number(NGHTTP2_WINDOW_UPDATE, 0, 0x7fffffff);
	TOLD("goaway 3\n");
	cr_assert(run.closed);
}

Test(http2_attacks, a_window_that_is_opened_by_nothing)
{
	send_number(NGHTTP2_WINDOW_UPDATE, 0, 0);
	TOLD("goaway 1\n");
	cr_assert(run.closed);
}

Test(http2_attacks, windows_larger_than_they_can_be)
{
	send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0x80000000);
	TOLD("goaway 3\n");
	cr_assert(run.closed);
}

/* Whoever opens no window is sent no content, and what waits for it is bounded. */
Test(http2_attacks, windows_of_zero)
{
	char *body = memory_new(1 << 20);

	memset(body, 'x', (1 << 20) - 1);
	send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
	for (uint32_t i = 0; i < LIMIT_HTTP2_STREAMS; i++) {
		send_request(2 * i + 1, true);
		serve();
		http2_peer_answer(&server, (int32_t)(2 * i + 1), "200", NULL, body, NULL);
		http2_peer_speak(&server);
		serve();
	}
	TOLD("headers 199\n");
	cr_assert_not(holds(&told, "data "));
	/* All that the server could send is what its connection's window holds. */
	cr_assert_leq(nghttp2_session_get_remote_window_size(server.session), 0);
	cr_assert_not(run.closed);
	free(body);
}

Test(http2_attacks, an_upload_to_a_slow_server)
{
	char *body = memory_new(8 << 20);
	size_t fed = 0;

	memset(body, 'x', (8 << 20) - 1);
	http2_peer_ask(&agent, "POST", "/v1/a", NULL, body, false);
	/* The server takes nothing: what the agent may send is its stream's window. */
	for (int i = 0; i < 100; i++) {
		http2_peer_speak(&agent);
		http2_peer_listen(&agent);
	}
	fed = LIMIT_HTTP2_STREAM_WINDOW;
	cr_assert_leq(nghttp2_session_get_stream_remote_window_size(agent.session, 1), 0);
	cr_assert_leq(buffer_length(&run.sent[SIDE_SERVER]), fed);
	http2_peers_talk(&agent, &server);
	cr_assert(http2_peer_heard(&server, "1 end\n"));
	free(body);
}

/* --- frames --- */

Test(http2_attacks, a_flood_of_settings)
{
	for (unsigned i = 0; i <= LIMIT_HTTP2_IDLE_FRAMES && !run.closed; i++) {
		send_setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, i & 1 ? 0 : 65535);
		listen();
	}
	cr_assert(run.closed);
}

Test(http2_attacks, frames_that_nobody_knows)
{
	for (unsigned i = 0; i <= LIMIT_HTTP2_IDLE_FRAMES && !run.closed; i++)
		send_frame(0xbb, 0, 0, "x", 1);
	cr_assert(run.closed);
}

Test(http2_attacks, content_without_content)
{
	send_request(1, false);
	for (unsigned i = 0; i <= LIMIT_HTTP2_IDLE_FRAMES && !run.closed; i++)
		send_frame(NGHTTP2_DATA, 0, 1, NULL, 0);
	cr_assert(run.closed);
}

Test(http2_attacks, a_frame_that_is_too_large)
{
	static const uint8_t much[16385];

	send_request(1, false);
	send_frame(NGHTTP2_DATA, 0, 1, much, sizeof(much));
	TOLD("goaway 6\n");
	cr_assert(run.closed);
}

Test(http2_attacks, an_answer_that_is_not_ours_to_give)
{
	static const uint8_t promise[] = {0, 0, 0, 2, 0x82, 0x86, 0x84, 0x41, 1, 'h'};

	send_request(1, false);
	send_frame(NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, 1, promise, sizeof(promise));
	TOLD("goaway 1\n");
	cr_assert(run.closed);
}

/* --- HPACK --- */

/* A request whose last header, of 3.9 KiB, comes again `times` times, in a byte each. */
static void send_bomb(uint32_t id, size_t times)
{
	uint8_t block[16384];
	size_t n = sizeof(request);

	memcpy(block, request, n);
	/* A literal with incremental indexing, of a name of one byte and a value of 3,900. */
	block[n++] = 0x40;
	block[n++] = 1;
	block[n++] = 'x';
	block[n++] = 0x7f;
	block[n++] = 0xbd;
	block[n++] = 0x1d;
	memset(block + n, 'y', 3900);
	n += 3900;
	memset(block + n, 0xbe, times);
	send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, block,
		n + times);
}

Test(http2_attacks, a_list_of_headers_that_grows)
{
	send_bomb(1, 20);
	TOLD("headers 1\n");
	cr_assert(holds(&run.events, "too large"), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
	/* 16 KiB of it would be 48 MiB. */
	send_bomb(3, 12000);
	TOLD("reset 3 2\n");
	cr_assert_not(holds(&told, "headers 3\n"));
	cr_assert_not(run.closed);
	send_request(5, true);
	serve();
	cr_assert_eq(requests_at_server(), 1);
}

Test(http2_attacks, a_flood_of_lists_that_grow)
{
	for (uint32_t i = 0; i < 4 * LIMIT_HTTP2_RESETS && !run.closed; i++)
		send_bomb(2 * i + 1, 12000);
	TOLD("goaway 11\n");
	cr_assert(run.closed);
	cr_assert_eq(requests_at_server(), 0);
}

Test(http2_attacks, a_table_larger_than_it_may_be)
{
	static const uint8_t block[] = {0x3f, 0xe1, 0xff, 0x7f, 0x82, 0x86, 0x84, 0x41, 1, 'h'};

	send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		sizeof(block));
	TOLD("goaway 9\n");
	cr_assert(run.closed);
}

Test(http2_attacks, an_entry_that_is_not_there)
{
	static const uint8_t block[] = {0x82, 0x86, 0x84, 0xff, 0xff, 0x7f};

	send_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, block,
		sizeof(block));
	TOLD("goaway 9\n");
	cr_assert(run.closed);
}
