/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets over HTTP/2 (RFC 8441) between an agent and a server, both of which are nghttp2's.
 */
#include "base/limits.h"
#include "tests/unit/http2_sockets.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: read, operations: [read], objects: [\"/**\"], allow: {} }\n"
	"  - { name: upload, operations: [POST], objects: [/upload], allow: {} }\n"
	"  - { name: plain, operations: [websocket], objects: [/plain], allow: {} }\n"
	"  - { name: rows, operations: [websocket], objects: [/rows], allow: { record: rows } }\n"
	"  - { name: closed, operations: [websocket], objects: [/closed], allow: {} }\n"
	"  - { name: no reading, operations: [GET], objects: [/closed], deny: {} }\n"
	"  - { name: asked, operations: [websocket], objects: [/asked], review: { by: dba } }\n"
	"  - name: masked\n"
	"    operations: [websocket]\n"
	"    objects: [/masked]\n"
	"    allow: { record: rows, mask: [{ detect: [email], with: redact }, { json: [$.ssn], "
	"with: redact }] }\n";

static void begin(void)
{
	http_run_begin_with(rules);
	http2_run_begin();
}

TestSuite(http2_socket, .init = begin, .fini = http2_run_end);

#define UNMASKED slice_from_string("\x81\x05hello")

Test(http2_socket, both_sides_talk)
{
	open_socket("/plain");
	HEARD(server,
		"3 :method: CONNECT\n3 :protocol: websocket\n3 :scheme: http\n3 :authority: h\n"
		"3 :path: /plain\n3 sec-websocket-version: 13\n");
	cr_assert_not(http2_peer_heard(&server, "permessage"));
	cr_assert(holds(&run.events, "GET http://h/plain"));
	says(SIDE_AGENT, WEBSOCKET_TEXT, true, "hello");
	HEARD(server, "3 data 11 \x81\x85\x01\xfe\x03\x80\x69\x9b\x6f\xec\x6e\n");
	says(SIDE_SERVER, WEBSOCKET_TEXT, true, "world");
	HEARD(agent, "3 data 7 \x81\x05world\n");
	says_bytes(SIDE_SERVER, slice_from_string("\x88\x02\x03\xe8"), false);
	HEARD(agent, "3 data 4 \x88\x02\x03\xe8\n3 end\n");
	cr_assert_not(holds(&run.events, "! result 2"));
	says_bytes(SIDE_AGENT, SLICE_EMPTY, false);
	HEARD(server, "3 end\n");
	cr_assert(holds(&run.events, "! result 2 rows 0 bytes 5 \"200\"\n"));
	RECORDED(DATA_INPUT, "");
	cr_assert_not(run.closed);
}

/* Many frames of the WebSocket in one of HTTP/2: each is an event of its own. */
Test(http2_socket, all_of_it_is_recorded)
{
	char frames[3000];

	for (size_t i = 0; i < sizeof(frames); i += 3)
		memcpy(frames + i, "\x81\x01x", 3);
	open_socket("/rows");
	says_bytes(SIDE_SERVER, slice_of(frames, sizeof(frames)), true);
	cr_assert_eq(buffer_length(&run.data[DATA_OUTPUT]), sizeof(frames) / 3);
	says(SIDE_AGENT, WEBSOCKET_TEXT, true, "hello");
	RECORDED(DATA_INPUT, "hello");
	says(SIDE_SERVER, WEBSOCKET_TEXT, true, "still there");
	HEARD(agent, "still there\n");
}

Test(http2_socket, masks_reach_across_fragments)
{
	open_socket("/masked");
	says(SIDE_SERVER, WEBSOCKET_TEXT, false, "write to ann@exam");
	says(SIDE_SERVER, WEBSOCKET_CONTINUATION, true, "ple.com");
	HEARD(agent, "3 data 19 \x81\x11write to [masked]\n");
	says(SIDE_SERVER, WEBSOCKET_TEXT, true, "{\"ssn\": \"078-05-1120\"}");
	HEARD(agent, "{\"ssn\": \"[masked]\"}\n");
	RECORDED(DATA_OUTPUT, "write to [masked]{\"ssn\": \"[masked]\"}");
}

Test(http2_socket, a_broken_frame_ends_its_stream_alone)
{
	open_socket("/plain");
	says_bytes(SIDE_AGENT, UNMASKED, true);
	HEARD(agent, "wayleave: a client's WebSocket frame that is not masked\n3 end\n");
	HEARD(server, "3 end\n");
	cr_assert_not(http2_peer_heard(&server, "hello"));
	cr_assert(holds(&run.events, "! result 2"));
	http2_peer_ask(&agent, "GET", "/b", NULL, NULL, false);
	talk();
	HEARD(server, "5 :path: /b\n");
	cr_assert_not(run.closed);
}

Test(http2_socket, what_is_said_too_early_waits_and_is_read)
{
	ask("/plain");
	says_bytes(SIDE_AGENT, UNMASKED, true);
	http2_peer_agree(&server, 3, NULL);
	talk();
	cr_assert_not(http2_peer_heard(&server, "hello"));
	HEARD(agent, "not masked\n3 end\n");
}

Test(http2_socket, a_refusal_is_a_response)
{
	ask("/other");
	HEARD(agent, "3 :status: 403\n");
	HEARD(agent, "no rule allows websocket on /other");
	cr_assert_not(http2_peer_heard(&server, "CONNECT"));
}

/* Who carries it on over HTTP/1.1 asks with a GET. */
Test(http2_socket, a_get_that_is_denied_is_none)
{
	ask("/closed");
	HEARD(agent, "3 :status: 403\n");
	HEARD(agent, "no reading");
	cr_assert_not(http2_peer_heard(&server, "CONNECT"));
}

/* What the agent goes on saying has nobody that would read it. */
Test(http2_socket, the_servers_refusal_is_a_response)
{
	ask("/plain");
	http2_peer_answer(&server, 3, "404", NULL, "no such place", NULL);
	says_bytes(SIDE_AGENT, UNMASKED, true);
	HEARD(agent, "3 :status: 404\n3 data 13 no such place\n");
	HEARD(agent, "3 end\n");
	cr_assert_not(http2_peer_heard(&server, "hello"));
}

Test(http2_socket, people_decide_about_it)
{
	ask("/asked");
	cr_assert(holds(&run.events, "! held : "));
	http2_peer_agree(&server, 3, NULL);
	talk();
	HEARD(agent, "3 :status: 200\n");
}

Test(http2_socket, no_extension_is_agreed_on)
{
	ask("/plain");
	http2_peer_agree(&server, 3, "sec-websocket-extensions: permessage-deflate\n");
	talk();
	HEARD(agent, "3 :status: 502\n");
}

Test(http2_socket, nothing_else_is_spoken_in_it)
{
	meet();
	http2_peer_ask(&agent, "CONNECT", "/plain", ":protocol: connect-udp\n", "", true);
	talk();
	HEARD(agent, "3 :status: 501\n");
	cr_assert_not(http2_peer_heard(&server, "CONNECT"));
}

Test(http2_socket, both_are_told_why_a_session_ends)
{
	open_socket("/plain");
	engine_run_abort(&run, REASON_KILLED);
	http2_peer_listen(&agent);
	http2_peer_listen(&server);
	HEARD(agent, "\x88");
	HEARD(agent, "wayleave: ");
	HEARD(server, "3 end\n");
	cr_assert(holds(&run.events, "! result 2"));
}

Test(http2_socket, what_is_given_up_has_a_result)
{
	open_socket("/plain");
	says(SIDE_SERVER, WEBSOCKET_TEXT, true, "world");
	nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, 3, NGHTTP2_CANCEL);
	talk();
	HEARD(server, "3 reset 8\n");
	cr_assert(holds(&run.events, "! result 2 rows 0 bytes 5 \"200\"\n"));
}

/* The last frame of HTTP/2 that the agent sends closes its stream. */
Test(http2_socket, what_is_said_last_arrives)
{
	open_socket("/rows");
	says_bytes(SIDE_SERVER, slice_from_string("\x88\x02\x03\xe8"), false);
	HEARD(agent, "3 end\n");
	says_bytes(SIDE_AGENT, slice_from_string("\x81\x81\1\1\1\1i\x88\x80\1\1\1\1"), false);
	HEARD(server, "3 data 7 \x81\x81\1\1\1\1i\n3 data 6 \x88\x80\1\1\1\1\n3 end\n");
	RECORDED(DATA_INPUT, "h");
	cr_assert(holds(&run.events, "! result 2"));
	cr_assert_not(run.engine->protocol->is_busy(run.engine));
}

/* nghttp2 closes the server's stream before what its last frame says is read. */
Test(http2_socket, what_the_server_says_last_arrives)
{
	open_socket("/rows");
	says_bytes(SIDE_AGENT, slice_from_string("\x88\x80\1\1\1\1"), false);
	HEARD(server, "3 end\n");
	says_bytes(SIDE_SERVER, slice_from_string("\x81\5world\x88\2\3\xe8"), false);
	HEARD(agent, "3 data 7 \x81\5world\n3 data 4 \x88\2\3\xe8\n3 end\n");
	cr_assert_not(http2_peer_heard(&agent, "3 reset"));
	RECORDED(DATA_OUTPUT, "world");
	cr_assert(holds(&run.events, "! result 2 rows 0 bytes 5 \"200\"\n"));
	cr_assert_not(run.engine->protocol->is_busy(run.engine));
}

/* What breaks the protocol there ends the stream as it does elsewhere. */
Test(http2_socket, what_the_server_says_last_is_checked)
{
	open_socket("/rows");
	says_bytes(SIDE_AGENT, SLICE_EMPTY, false);
	says_bytes(SIDE_SERVER, slice_from_string("\x81\5world\x81\x85wrong"), false);
	HEARD(agent, "world\n");
	HEARD(agent, "wayleave: a server's WebSocket frame that is masked\n3 end\n");
	cr_assert(holds(&run.events, "! result 2 rows 0 bytes 5 \"200\"\n"));
	cr_assert_not(run.engine->protocol->is_busy(run.engine));
}

/* An end without an error is one all the same, where there was more to come. */
Test(http2_socket, what_is_given_up_without_an_error_is_given_up)
{
	open_socket("/plain");
	nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, 3, NGHTTP2_NO_ERROR);
	talk();
	HEARD(server, "3 reset 8\n");
	cr_assert(holds(&run.events, "! result 2"));
	cr_assert_not(run.engine->protocol->is_busy(run.engine));
}

/* What came of it meanwhile keeps no window closed. */
Test(http2_socket, what_is_said_too_early_of_a_refused_one_is_let_go)
{
	enum { SOCKETS = LIMIT_HTTP2_PASSING / LIMIT_HTTP2_STREAM_WINDOW + 5 };
	static char words[LIMIT_HTTP2_STREAM_WINDOW];
	int32_t last = 1 + 2 * SOCKETS;

	ask("/plain");
	for (int32_t id = 5; id <= last; id += 2)
		ask_for("/plain", NULL);
	for (int32_t id = 3; id <= last; id += 2)
		http2_peer_more(&agent, id, slice_of(words, sizeof(words)), true);
	talk();
	for (int32_t id = 3; id <= last; id += 2)
		http2_peer_agree(&server, id, "sec-websocket-extensions: permessage-deflate\n");
	talk();
	HEARD(agent, "3 :status: 502\n");
	http2_peer_ask(&agent, "POST", "/upload", NULL, "hello", false);
	talk();
	HEARD(server, " data 5 hello\n");
}

/* Only whoever ignores what it was offered asks for one. */
Test(http2_socket, a_server_that_takes_none_is_asked_for_none)
{
	meet();
	cr_assert_not(agent_was_offered_it());
	ask_for("/plain", NULL);
	HEARD(agent, "3 :status: 501\n");
	HEARD(agent, "the server takes no WebSockets over HTTP/2");
	cr_assert_not(http2_peer_heard(&server, "CONNECT"));
}
