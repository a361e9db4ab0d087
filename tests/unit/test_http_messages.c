/* SPDX-License-Identifier: Apache-2.0
 *
 * A WebSocket behind HTTP's upgrade: what passes, what is masked and recorded, and what ends it.
 */
#include "tests/unit/http_frames.h"

#define CONFIG(mode)                                                                               \
	"config:\n"                                                                                \
	"  mode: " mode "\n"                                                                       \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"                        \
	"rules:\n"                                                                                 \
	"  - { name: plain, operations: [websocket], objects: [\"/plain\"], allow: {} }\n"         \
	"  - { name: rows, operations: [websocket], objects: [\"/rows\"],\n"                       \
	"      allow: { record: rows } }\n"                                                        \
	"  - name: masked\n"                                                                       \
	"    operations: [websocket]\n"                                                            \
	"    objects: [\"/masked\"]\n"                                                             \
	"    allow: { record: rows, mask: [{ detect: [email, credit_card], with: redact },\n"      \
	"                    { json: [\"$.ssn\"], with: redact }] }\n"

#define JOBS                                                                                       \
	"config:\n"                                                                                \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"                        \
	"  reviewers: { dba: { local_users: [root] } }\n"                                          \
	"rules:\n"                                                                                 \
	"  - { name: sockets, operations: [websocket], allow: {} }\n"                              \
	"  - { name: no cancelling, operations: [GET], objects: [\"/jobs/*/cancel\"], deny: {} "   \
	"}\n"                                                                                      \
	"  - { name: starting, operations: [read], objects: [\"/jobs/*/start\"],\n"                \
	"      review: { by: dba } }\n"                                                            \
	"  - { name: asked, objects: [\"/jobs/*/asked\"], review: { by: dba } }\n"

static void begin(void)
{
	engine_bench_init(&bench, CONFIG("enforce"));
	engine_run_init(&run, &bench, NULL);
}

TestSuite(http_messages, .init = begin, .fini = http_run_end);

#define SWITCHED                                                                                   \
	"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\n"                          \
	"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void upgrade(const char *path)
{
	char text[512];

	snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
		path);
	agent_sends(text);
	cr_assert(holds(&run.sent[SIDE_SERVER], "Sec-WebSocket-Key: x\r\n"));
	cr_expect_not(holds(&run.sent[SIDE_SERVER], "Extensions"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	server_sends(SWITCHED);
	AGENT_GOT(SWITCHED);
}

Test(http_messages, both_sides_talk)
{
	upgrade("/plain");
	sends_text(SIDE_AGENT, "hello");
	GOT_FRAMES(SIDE_SERVER, "text hello|");
	sends_text(SIDE_SERVER, "ann@example.com");
	sends_frame(SIDE_SERVER, WEBSOCKET_PING, true, slice_from_string("?"), 1);
	GOT_FRAMES(SIDE_AGENT, "text ann@example.com|ping ?|");
	sends_frame(SIDE_AGENT, WEBSOCKET_PONG, true, slice_from_string("?"), 1);
	sends_frame(SIDE_AGENT, WEBSOCKET_BINARY, true, slice_of("\0\1", 2), 1);
	GOT_FRAMES(SIDE_SERVER, "pong ?|binary \\x00\\x01|");
	sends_frame(SIDE_AGENT, WEBSOCKET_CLOSE, true, slice_of("\x03\xe8", 2), 1);
	GOT_FRAMES(SIDE_SERVER, "close \\x03\\xe8|");
	sends_frame(SIDE_SERVER, WEBSOCKET_CLOSE, true, slice_of("\x03\xe8", 2), 1);
	engine_run_end(&run, SIDE_SERVER);
	engine_run_end(&run, SIDE_AGENT);
	cr_expect(run.closed);
	/* What it was, and how much. */
	cr_expect(holds(&run.events, "! result 1 rows 0 bytes 15 \"101 Switching Protocols\""));
	RECORDED(DATA_INPUT, "");
	RECORDED(DATA_OUTPUT, "");
}

Test(http_messages, what_is_said_is_recorded_where_a_rule_asks_for_it)
{
	upgrade("/rows");
	sends_text(SIDE_AGENT, "hello");
	sends_text(SIDE_SERVER, "ann@example.com");
	RECORDED(DATA_INPUT, "hello");
	RECORDED(DATA_OUTPUT, "ann@example.com");
}

Test(http_messages, masks_reach_across_fragments)
{
	static const char text[] = "write to ann@example.com, card 4111 1111 1111 1111";

	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		struct slice whole = slice_from_string(text);

		http_run_restart();
		upgrade("/masked");
		sends_frame(SIDE_SERVER, WEBSOCKET_TEXT, false, slice_head(whole, cut), SIZE_MAX);
		GOT_FRAMES(SIDE_AGENT, "");
		sends_frame(SIDE_SERVER, WEBSOCKET_PING, true, SLICE_EMPTY, SIZE_MAX);
		GOT_FRAMES(SIDE_AGENT, "ping |");
		sends_frame(SIDE_SERVER, WEBSOCKET_CONTINUATION, true, slice_from(whole, cut),
			cut % 7 + 1);
		GOT_FRAMES(SIDE_AGENT, "text write to [masked], card [masked]|");
		RECORDED(DATA_OUTPUT, "write to [masked], card [masked]");
	}
}

Test(http_messages, json_stays_json)
{
	upgrade("/masked");
	sends_text(SIDE_SERVER, "{\"ssn\": \"078-05-1120\", \"card\": 4111111111111111, \"n\": 1}");
	GOT_FRAMES(SIDE_AGENT, "text {\"ssn\": \"[masked]\", \"card\": \"[masked]\", \"n\": 1}|");
	sends_text(SIDE_SERVER, "no json, {\"ssn\": \"078-05-1120\"}");
	GOT_FRAMES(SIDE_AGENT, "text no json, {\"ssn\": \"078-05-1120\"}|");
	/* A message says nothing of the next. */
	sends_frame(
		SIDE_SERVER, WEBSOCKET_BINARY, true, slice_from_string("{\"ssn\": 1}"), SIZE_MAX);
	GOT_FRAMES(SIDE_AGENT, "binary {\"ssn\": \"[masked]\"}|");
	sends_text(SIDE_SERVER, "");
	GOT_FRAMES(SIDE_AGENT, "text |");
	/* What the agent says is its own. */
	sends_text(SIDE_AGENT, "ann@example.com");
	GOT_FRAMES(SIDE_SERVER, "text ann@example.com|");
	sends_text(SIDE_SERVER, "{\"ssn\": \"078-05-1120\"");
	cr_expect(run.closed);
	cr_expect(strstr(got_frames(SIDE_AGENT), "can't be masked"));
	GOT_FRAMES(SIDE_SERVER, "close \\x03\\xe9|");
}

/* Text leaves while it comes, in fragments. */
Test(http_messages, a_long_message_is_masked_as_it_comes)
{
	static char text[300000], masked[300000];
	struct slice whole = slice_of(text, sizeof(text) - 1);
	size_t length;

	memset(text, '.', sizeof(text) - 1);
	memcpy(text + 65530, " ann@example.com ", 17);
	length = (size_t)(sizeof(text) - 1 - 17 + 10);
	memset(masked, '.', length);
	memcpy(masked + 65530, " [masked] ", 10);
	upgrade("/masked");
	sends_frame(SIDE_SERVER, WEBSOCKET_TEXT, false, slice_head(whole, 200000), 1000);
	cr_expect_gt(buffer_length(&run.sent[SIDE_AGENT]), 100000);
	sends_frame(SIDE_SERVER, WEBSOCKET_CONTINUATION, true, slice_from(whole, 200000), 1000);
	RECORDED(DATA_OUTPUT, masked);
	cr_expect(strstr(got_frames(SIDE_AGENT), "..... [masked] ....."));
}

Test(http_messages, who_breaks_the_protocol_is_told_so)
{
	upgrade("/plain");
	agent_sends("\x81\x05hello");
	cr_expect(run.closed);
	GOT_FRAMES(SIDE_AGENT,
		"close \\x03\\xeawayleave: a client's WebSocket frame that is not masked|");
	GOT_FRAMES(SIDE_SERVER, "close \\x03\\xe9|");
	http_run_restart();
	upgrade("/plain");
	server_sends("\xc1\x05hello");
	cr_expect(run.closed);
	cr_expect(strstr(got_frames(SIDE_AGENT), "close \\x03\\xf3wayleave: "));
	GOT_FRAMES(SIDE_SERVER, "close \\x03\\xea|");
	/* Not within a frame: the rest of it would be taken for something else. */
	http_run_restart();
	upgrade("/plain");
	server_sends("\x82\x05he");
	agent_sends("\x82\x05he");
	cr_expect(run.closed);
	AGENT_GOT("\x82\x05he");
}

Test(http_messages, the_end_of_a_session_is_said)
{
	upgrade("/plain");
	engine_run_abort(&run, REASON_KILLED);
	cr_expect(strstr(got_frames(SIDE_AGENT), "close \\x03\\xf0wayleave: "));
	GOT_FRAMES(SIDE_SERVER, "close \\x03\\xe9|");
}

/* People are shown why it ended. */
Test(http_messages, the_reason_of_a_close_is_masked)
{
	static const struct {
		const char *content, *expected;
	} cases[] = {
		{"\x03\xe8 for ann@example.com", "close \\x03\\xe8 for [masked]|"},
		{"\x0f\xa0{\"ssn\":\"078-05-1120\"}", "close \\x0f\\xa0{\"ssn\":\"[masked]\"}|"},
		{"\x03\xe8{\"ssn\":\"078-05-1120\"", "close \\x03\\xe8|"},
		{"\x03\xe8", "close \\x03\\xe8|"},
		{"", "close |"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		http_run_restart();
		upgrade("/masked");
		/* A message that is not complete leaves nothing in it. */
		sends_frame(SIDE_SERVER, WEBSOCKET_TEXT, false, slice_from_string("bob@exa"), 1);
		sends_frame(
			SIDE_SERVER, WEBSOCKET_CLOSE, true, slice_from_string(cases[i].content), 1);
		GOT_FRAMES(SIDE_AGENT, cases[i].expected);
	}
	http_run_restart();
	upgrade("/rows");
	sends_frame(SIDE_SERVER, WEBSOCKET_CLOSE, true, slice_from_string(cases[0].content), 1);
	GOT_FRAMES(SIDE_AGENT, "close \\x03\\xe8 for ann@example.com|");
	/* What the agent says is its own. */
	http_run_restart();
	upgrade("/masked");
	sends_frame(SIDE_AGENT, WEBSOCKET_CLOSE, true, slice_from_string(cases[0].content), 1);
	GOT_FRAMES(SIDE_SERVER, "close \\x03\\xe8 for ann@example.com|");
}

#define ASKS "GET /plain HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

/* There are servers that take a body for frames, which nobody would have read. */
Test(http_messages, frames_in_a_body)
{
	static const char *const bodies[] = {"Content-Length: 7\r\n\r\n\x81\x81zzzz\x1b",
		"Transfer-Encoding: chunked\r\n\r\n7\r\n\x81\x81zzzz\x1b\r\n0\r\n\r\n"};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		http_run_restart();
		snprintf(text, sizeof(text), ASKS "%s", bodies[i]);
		agent_sends(text);
		cr_expect(holds(&run.sent[SIDE_AGENT], "upgrade with a body"));
		AGENT_REFUSED("400");
		SERVER_GOT("");
	}
	http_run_restart();
	agent_sends(ASKS "Content-Length: 0\r\n\r\n");
	server_sends(SWITCHED);
	AGENT_GOT(SWITCHED);
}

/* A rule for WebSockets is none for what a GET reads. */
Test(http_messages, a_server_that_takes_it_for_a_get)
{
	static const char error[] = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno";

	agent_sends(ASKS "\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
	cr_expect(holds(&run.sent[SIDE_AGENT], "opened no WebSocket"));
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "secret"));
	AGENT_REFUSED("403");
	http_run_restart();
	agent_sends(ASKS "\r\n");
	server_sends(error);
	AGENT_GOT(error);
	/* Where it is, is for who may read it. */
	http_run_restart();
	agent_sends(ASKS "\r\n");
	server_sends("HTTP/1.1 302 Found\r\nLocation: /signed?key=secret\r\n"
		     "Content-Length: 0\r\n\r\n");
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "secret"));
	AGENT_REFUSED("403");
}

static void ask_for(const char *path, const char *fields)
{
	char text[512];

	http_run_restart();
	snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s\r\n",
		path, fields);
	agent_sends(text);
}

/* A server that opens none has carried out the GET before anybody sees what it answers. */
Test(http_messages, a_get_that_is_denied_or_asked_about)
{
	engine_bench_done(&bench);
	engine_bench_init(&bench, JOBS);
	ask_for("/jobs/7/cancel", "");
	cr_expect(holds(&run.sent[SIDE_AGENT], "no cancelling"));
	AGENT_REFUSED("403");
	SERVER_GOT("");
	ask_for("/jobs/7%2Fcancel", "");
	AGENT_REFUSED("403");
	SERVER_GOT("");
	ask_for("/jobs/7", "X-Original-URL: /jobs/7/cancel\r\n");
	AGENT_REFUSED("403");
	SERVER_GOT("");
	ask_for("/jobs/7/start", "");
	cr_expect(holds(&run.events, "! held"));
	cr_expect(holds(&run.events, "websocket /jobs/7/start, GET /jobs/7/start"));
	/* Whom a rule means as a WebSocket, it means once. */
	ask_for("/jobs/7/asked", "");
	cr_expect(holds(&run.events, "! held"));
	cr_expect_not(holds(&run.events, "GET /jobs"));
	/* What no rule says of a GET makes no difference. */
	ask_for("/jobs/7/log", "");
	cr_expect_not(holds(&run.events, "! held"));
	cr_expect_not(holds(&run.events, "GET /jobs"));
	cr_expect(holds(&run.sent[SIDE_SERVER], "GET /jobs/7/log"));
}

Test(http_messages, an_extension_that_nobody_asked_for)
{
	agent_sends("GET /plain HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		    "Connection: Upgrade\r\n\r\n");
	server_sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
		     "Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
	AGENT_REFUSED("502");
}

/* Observing, who relays the rest unread begins where the engine stopped, with nothing lost. */
Test(http_messages, observing_leaves_what_it_cannot_read)
{
	static const char bytes[] = "\x81\x01z\x89\x01y\xc1\x05hello\x81";
	struct slice in = slice_of(bytes, sizeof(bytes) - 1);

	engine_bench_done(&bench);
	engine_bench_init(&bench, CONFIG("observe"));
	for (size_t step = 1; step < 20; step++) {
		size_t fed = 0, left;

		http_run_restart();
		upgrade("/masked");
		while (!run.closed && fed < in.length) {
			engine_run_feed(&run, SIDE_SERVER, slice_head(slice_from(in, fed), step));
			fed += step < in.length - fed ? step : in.length - fed;
		}
		cr_assert(holds(&run.events, "! violation server"));
		left = fed - buffer_length(&run.partial[SIDE_SERVER]);
		cr_expect_geq(left, 6);
		cr_expect(slice_starts_with(
			buffer_slice(&run.sent[SIDE_AGENT]), slice_head(in, left)));
		/* The harness ends the session, of which both are told. */
		cr_expect_eq(buffer_slice(&run.sent[SIDE_AGENT]).data[left], 0x88);
	}
}

/* The other side may be within a frame's head, or a control frame. */
Test(http_messages, observing_leaves_what_the_other_side_has_begun)
{
	static const char *const begun[] = {"\x81", "\x81\x7e\x01", "\x89\x05pi"};

	engine_bench_done(&bench);
	engine_bench_init(&bench, CONFIG("observe"));
	for (size_t i = 0; i < ARRAY_SIZE(begun); i++) {
		struct slice part = slice_from_string(begun[i]);

		http_run_restart();
		upgrade("/plain");
		server_sends(begun[i]);
		agent_sends("\x81\x05hello");
		cr_assert(holds(&run.events, "! violation agent"));
		cr_expect(slice_starts_with(
			buffer_slice(&run.sent[SIDE_SERVER]), slice_from_string("\x81\x05")));
		cr_expect(slice_starts_with(buffer_slice(&run.sent[SIDE_AGENT]), part));
		cr_expect_eq(buffer_slice(&run.sent[SIDE_AGENT]).data[part.length], 0x88);
	}
}
