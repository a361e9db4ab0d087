/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 between an agent and a server, both of which are nghttp2's.
 */
#include "base/limits.h"
#include "tests/unit/http2_run.h"

static void begin(void)
{
	http_run_begin();
	http2_run_begin();
}

TestSuite(http2_engine, .init = begin, .fini = http2_run_end);

static void get(const char *path)
{
	http2_peer_ask(&agent, "GET", path, NULL, NULL, false);
	talk();
}

static void exchange(size_t step)
{
	agent.step = server.step = step;
	http2_peer_ask(&agent, "POST", "/v1/a?q=1", "x-one: 1\nte: trailers\n", "hello", false);
	talk();
	HEARD(server,
		"1 :method: POST\n1 :scheme: http\n1 :authority: h\n1 :path: /v1/a?q=1\n1 "
		"x-one: 1\n"
		"1 te: trailers\n");
	HEARD(server, step ? "1 data 1 o\n1 end\n" : "1 data 5 hello\n1 end\n");
	http2_peer_answer(
		&server, 1, "200", "x-two: 2\nalt-svc: h3\n", "world", "grpc-status: 0\n");
	talk();
	HEARD(agent, "1 :status: 200\n1 x-two: 2\n1 data ");
	HEARD(agent, "1 grpc-status: 0\n1 end\n");
	cr_assert(holds(&run.events, "! result 1 rows 0 bytes 5 \"200\"\n"));
	cr_assert(holds(&run.events, "POST http://h/v1/a?q=1"));
}

Test(http2_engine, a_request_and_its_response)
{
	exchange(0);
}

Test(http2_engine, byte_by_byte)
{
	exchange(1);
}

Test(http2_engine, a_denial_is_one_streams)
{
	get("/v1/a");
	http2_peer_ask(&agent, "DELETE", "/v1/a", NULL, "body", false);
	get("/v1/b");
	HEARD(agent, "3 :status: 403\n3 content-type: application/json\n");
	HEARD(agent, "wayleave: denied by rule \\\"no deletes\\\": never");
	cr_assert_not(http2_peer_heard(&server, "DELETE"));
	HEARD(server, "1 :path: /v1/a\n");
	HEARD(server, "3 :path: /v1/b\n");
	cr_assert_not(run.closed);
}

Test(http2_engine, people_decide_about_the_whole_request)
{
	http2_peer_ask(&agent, "PUT", "/v1/a", "content-length: 4\n", "body", false);
	talk();
	cr_assert(holds(&run.events, "! held : \"host: h\\x0acontent-length: 4\\x0a\"\"body\""));
	HEARD(server, "1 data 4 body\n1 end\n");
	HEARD(agent, "ping\n");
}

/* They would go on with what people approved of, who never saw them. */
Test(http2_engine, nobody_is_asked_about_trailers)
{
	http2_peer_ask_trailed(&agent, "PUT", "/v1/a", "body", "x: 1\n");
	talk();
	cr_assert_not(holds(&run.events, "! held : "));
}

Test(http2_engine, what_is_given_up_reaches_nobody)
{
	http2_peer_ask(&agent, "PUT", "/v1/a", NULL, "the beginning", true);
	talk();
	nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL);
	talk();
	cr_assert(holds(&run.events, "! dropped\n"));
	cr_assert_eq(buffer_length(&server.log), 0);
}

/* Each window overflows, and nghttp2 ends each stream: more than there is room for events. */
Test(http2_engine, one_frame_gives_up_all_that_wait)
{
	const nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65536};
	size_t dropped = 0;

	for (int32_t id = 1; id < 60; id += 2)
		http2_peer_ask(&agent, "PUT", "/v1/a", NULL, "the beginning", true);
	talk();
	for (int32_t id = 1; id < 60; id += 2)
		nghttp2_submit_window_update(
			agent.session, NGHTTP2_FLAG_NONE, id, INT32_MAX - 65535);
	talk();
	nghttp2_submit_settings(agent.session, NGHTTP2_FLAG_NONE, &wide, 1);
	talk();
	for (struct slice rest = buffer_slice(&run.events); rest.length; rest = slice_from(rest, 1))
		dropped += slice_starts_with(rest, slice_from_string("! dropped\n"));
	cr_assert_eq(dropped, 30);
	cr_assert_eq(buffer_length(&server.log), 0);
}

static bool is_busy(void)
{
	return run.engine->protocol->is_busy(run.engine);
}

Test(http2_engine, busy_from_the_release_to_the_end)
{
	get("/v1/a");
	cr_assert(is_busy());
	http2_peer_answer(&server, 1, "200", "x-two: 2\n", "world", NULL);
	talk();
	HEARD(agent, "1 end\n");
	cr_assert_not(is_busy());
	http2_peer_ask(&agent, "PUT", "/v1/a", NULL, "the beginning", true);
	talk();
	cr_assert_not(is_busy(), "what people are to see first has not been released");
}

Test(http2_engine, a_reset_reaches_the_server)
{
	get("/v1/a");
	nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL);
	talk();
	HEARD(server, "1 reset 8\n");
}

Test(http2_engine, a_reset_reaches_the_agent)
{
	get("/v1/a");
	nghttp2_submit_rst_stream(server.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_REFUSED_STREAM);
	talk();
	HEARD(agent, "1 reset 7\n");
	get("/v1/b");
	HEARD(server, "3 :path: /v1/b\n");
}

Test(http2_engine, a_server_that_leaves)
{
	get("/v1/a");
	nghttp2_submit_goaway(server.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
	talk();
	HEARD(agent, "goaway 0\n");
	cr_assert_not(run.closed);
	http2_peer_answer(&server, 1, "200", NULL, "done", NULL);
	talk();
	HEARD(agent, "1 data 4 done\n1 end\n");
	cr_assert(run.closed);
}

Test(http2_engine, a_server_that_breaks_off)
{
	get("/v1/a");
	engine_run_end(&run, SIDE_SERVER);
	http2_peer_listen(&agent);
	HEARD(agent, "1 :status: 502\n");
}

Test(http2_engine, what_can_be_read_in_two_ways)
{
	static const char *const fields[] = {"host: other\n",
		"x-y: a\x01"
		"b\n",
		"connection: close\n", "transfer-encoding: chunked\n", "X-Upper: 1\n", "te: gzip\n",
		"expect: 200-ok\n", "content-length: 5\ncontent-length: 6\n"};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		http2_peer_ask(&agent, "GET", "/v1/a", fields[i], NULL, false);
		talk();
	}
	cr_assert_not(http2_peer_heard(&server, "connection"));
	cr_assert_not(http2_peer_heard(&server, "other"));
	cr_assert_not(http2_peer_heard(&server, "chunked"));
	cr_assert_not(http2_peer_heard(&server, "gzip"));
	HEARD(agent, "1 :status: 400\n");
	HEARD(agent, ":status: 417\n");
}

Test(http2_engine, connect_is_not_built)
{
	get("/v1/a");
	http2_peer_ask(&agent, "CONNECT", "/v1/a", NULL, NULL, false);
	talk();
	cr_assert_not(http2_peer_heard(&server, "CONNECT"));
}

Test(http2_engine, a_list_of_headers_that_is_too_long)
{
	char value[60000];

	memset(value, 'a', sizeof(value));
	memcpy(value, "x: ", 3);
	value[sizeof(value) - 2] = '\n';
	value[sizeof(value) - 1] = '\0';
	http2_peer_ask(&agent, "GET", "/v1/a", value, NULL, false);
	talk();
	HEARD(server, "1 :path: /v1/a\n");
	http2_peer_ask(&agent, "GET", "/v1/b", value, NULL, false);
	talk();
	cr_assert_not(run.closed);
}

/* What is more than is kept of them is not left out in silence. */
Test(http2_engine, trailers_that_are_too_long)
{
	struct buffer many;

	buffer_init(&many, 1 << 20);
	for (size_t i = 0; i < LIMIT_HTTP_FIELDS; i++)
		buffer_append_format(&many, "t-%zu: x\n", i);
	buffer_append_byte(&many, 0);
	http2_peer_ask_trailed(
		&agent, "POST", "/v1/a", "hello", (const char *)buffer_slice(&many).data);
	talk();
	HEARD(agent, "1 reset 11\n");
	HEARD(server, "1 reset 11\n");
	cr_assert(holds(&run.events, "trailers are too large"));
	get("/v1/a");
	http2_peer_answer(&server, 3, "200", NULL, "world", (const char *)buffer_slice(&many).data);
	talk();
	HEARD(agent, "3 data 5 world\n");
	HEARD(agent, "3 reset 2\n");
	cr_assert_not(http2_peer_heard(&agent, "3 t-1: x"));
	cr_assert_not(run.closed);
	buffer_done(&many);
}

Test(http2_engine, a_server_that_is_gone_denies_nothing_less)
{
	engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	http2_peer_ask(&agent, "DELETE", "/v1/a", NULL, NULL, false);
	talk();
	HEARD(agent, "1 :status: 403\n");
	get("/v1/a");
	HEARD(agent, "3 :status: 502\n");
	HEARD(agent, "goaway 0\n");
	cr_assert(run.closed);
	cr_assert(holds(&run.events, "\"ended by the test\""));
}

/* Its connection may end behind its handshake, and before the agent asks for anything. */
Test(http2_engine, a_server_that_is_gone_is_so_once)
{
	talk();
	engine_run_abort(&run, REASON_UPSTREAM_TLS);
	engine_run_end(&run, SIDE_SERVER);
	talk();
	cr_assert_not(http2_peer_heard(&agent, "goaway"));
	get("/v1/a");
	HEARD(agent, "1 :status: 502\n");
	HEARD(agent, "ended by the test");
	HEARD(agent, "goaway 0\n");
	cr_assert(run.closed);
}

/* What the peer sends stays within its windows, however slow the other side is. */
Test(http2_engine, a_slow_reader_costs_bounded_memory)
{
	char *body = memory_new(8 << 20);

	memset(body, 'x', (8 << 20) - 1);
	get("/v1/a");
	/* The agent opens no windows: 64 KiB are all that it takes. */
	http2_peer_answer(&server, 1, "200", NULL, body, NULL);
	for (int i = 0; i < 100; i++) {
		http2_peer_speak(&server);
		http2_peer_listen(&server);
	}
	cr_assert_leq(buffer_length(&run.sent[SIDE_AGENT]), 70000);
	cr_assert_leq(nghttp2_session_get_remote_window_size(server.session), 1 << 20);
	cr_assert_gt(nghttp2_session_get_stream_remote_window_size(server.session, 1), -1);
	talk();
	cr_assert(http2_peer_heard(&agent, "1 end\n"));
	free(body);
}

static void ends_of(const char *why)
{
	talk();
	cr_assert(run.closed);
	cr_assert(holds(&run.events, why), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
}

Test(http2_engine, a_flood_of_resets)
{
	for (unsigned i = 0; i <= LIMIT_HTTP2_RESETS + 1 && !run.closed; i++) {
		int32_t id = http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);

		talk();
		nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
		talk();
	}
	ends_of("given up");
	HEARD(agent, "goaway 11\n");
}

Test(http2_engine, a_flood_of_pings)
{
	for (unsigned i = 0; i <= LIMIT_HTTP2_IDLE_FRAMES && !run.closed; i++) {
		nghttp2_submit_ping(agent.session, NGHTTP2_FLAG_NONE, NULL);
		talk();
	}
	ends_of("frames that do nothing");
}

Test(http2_engine, a_flood_of_continuations)
{
	/* A block of headers that never ends. */
	static const uint8_t headers[] = {0, 0, 1, NGHTTP2_HEADERS, 0, 0, 0, 0, 1, 0x82};
	static const uint8_t more[] = {0, 0, 1, NGHTTP2_CONTINUATION, 0, 0, 0, 0, 1, 0x84};

	talk();
	http2_peer_speak(&agent);
	engine_run_feed(&run, SIDE_AGENT, slice_of(headers, sizeof(headers)));
	for (unsigned i = 0; i <= LIMIT_HTTP2_CONTINUATIONS && !run.closed; i++)
		engine_run_feed(&run, SIDE_AGENT, slice_of(more, sizeof(more)));
	cr_assert(run.closed);
	cr_assert_eq(buffer_length(&server.log), 0);
}

Test(http2_engine, no_frames_at_all)
{
	talk();
	engine_run_feed(
		&run, SIDE_AGENT, slice_from_string("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n"));
	cr_assert(run.closed);
}

/* --- bytes that nobody should send --- */

static void keep_bytes(struct http2_peer *p, struct buffer *to)
{
	const uint8_t *data;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(p->session, &data)) > 0)
		buffer_append(to, data, (size_t)n);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Feeds a copy in which some bytes are others, in pieces. */
static void feed_changed(enum side side, const struct buffer *bytes, size_t kept, uint32_t *state)
{
	struct slice all = buffer_slice(bytes);
	uint8_t *copy = memory_new(all.length);
	size_t at = 0;

	memcpy(copy, all.data, all.length);
	for (uint32_t i = next_random(state) % 8; i > 0; i--)
		copy[kept + next_random(state) % (all.length - kept)] = (uint8_t)next_random(state);
	while (at < all.length) {
		struct slice part = slice_head(
			slice_of(copy + at, all.length - at), 1 + next_random(state) % 64);

		engine_run_feed(&run, side, part);
		at += part.length;
	}
	free(copy);
}

Test(http2_engine, bytes_that_were_changed)
{
	struct buffer requests, responses;
	uint32_t state = 1;

	buffer_init(&requests, 1 << 20);
	buffer_init(&responses, 1 << 20);
	http2_peer_ask(&agent, "GET", "/v1/a", "x-one: 1\n", NULL, false);
	http2_peer_ask(&agent, "POST", "/v1/b", "te: trailers\n", "some body", false);
	http2_peer_ask(&agent, "PUT", "/v1/c", NULL, "for people", false);
	http2_peer_ask(&agent, "DELETE", "/v1/d", NULL, NULL, false);
	keep_bytes(&agent, &requests);
	nghttp2_session_mem_recv(
		server.session, buffer_slice(&requests).data, buffer_length(&requests));
	for (int32_t id = 1; id < 6; id += 2)
		http2_peer_answer(
			&server, id, "200", "x-two: 2\n", "an answer", "grpc-status: 0\n");
	keep_bytes(&server, &responses);
	for (int i = 0; i < 3000; i++) {
		http_run_restart();
		feed_changed(SIDE_AGENT, &requests, NGHTTP2_CLIENT_MAGIC_LEN, &state);
		feed_changed(SIDE_SERVER, &responses, 0, &state);
		if (i & 1)
			engine_run_end(&run, i & 2 ? SIDE_AGENT : SIDE_SERVER);
		cr_assert_not(holds(&run.events, "released DELETE"));
	}
	buffer_done(&requests);
	buffer_done(&responses);
}
