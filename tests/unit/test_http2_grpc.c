/* SPDX-License-Identifier: Apache-2.0
 *
 * What of HTTP/2 is otherwise for gRPC: its status in place of HTTP's, also behind what a server
 * broke off, and its headers that people don't decide about.
 */
#include "tests/unit/http2_run.h"

static void begin(void)
{
	http_run_begin();
	http2_run_begin();
}

TestSuite(http2_grpc, .init = begin, .fini = http2_run_end);

#define GRPC "content-type: application/grpc+proto\n"
#define GONE                                                                                       \
	"1 grpc-status: 14\n1 grpc-message: wayleave: the server closed the connection\n1 end\n"

/* Who asks again when its deadline has come asks for the same. */
Test(http2_grpc, how_long_a_client_waits_is_not_decided)
{
	http2_peer_ask(&agent, "PUT", "/v1/a",
		"x-one: 1\ngrpc-timeout: 59999871u\ngrpc-previous-rpc-attempts: 1\n", "body",
		false);
	talk();
	cr_assert(holds(&run.events, "! held : \"host: h\\x0ax-one: 1\\x0a\"\"body\""));
	HEARD(server, "1 grpc-timeout: 59999871u\n1 grpc-previous-rpc-attempts: 1\n");
}

/* A call to which the server has begun to answer. */
static void answer(const char *asked, const char *answered)
{
	http2_peer_ask(&agent, "POST", "/v1/a", asked, "a message", true);
	talk();
	http2_peer_agree(&server, 1, answered);
	talk();
	http2_peer_more(&server, 1, slice_from_string("hello"), true);
	talk();
	HEARD(agent, "1 data 5 hello\n");
}

Test(http2_grpc, a_denial)
{
	http2_peer_ask(&agent, "DELETE", "/v1/a", GRPC, "a message", true);
	talk();
	HEARD(agent,
		"1 :status: 200\n1 content-type: application/grpc\n1 grpc-status: 7\n"
		"1 grpc-message: wayleave: denied by rule \"no deletes\": never\n1 end\n");
	cr_assert_eq(buffer_length(&server.log), 0);
}

/* A reset is an error that no library tries again; what came before it stays. */
Test(http2_grpc, a_server_that_is_gone_midway)
{
	answer(GRPC, GRPC);
	http2_peer_more(&server, 1, slice_from_string("world"), true);
	http2_peer_speak(&server);
	engine_run_break(&run, SIDE_SERVER);
	talk();
	HEARD(agent, "1 data 5 world\n");
	HEARD(agent, GONE);
}

/* The agent takes no content for now: what came passes when it does, and the status behind it. */
Test(http2_grpc, what_came_before_the_end_waits_for_the_agent)
{
	const nghttp2_settings_entry closed = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};

	http2_peer_ask(&agent, "POST", "/v1/a", GRPC, "a message", true);
	nghttp2_submit_settings(agent.session, NGHTTP2_FLAG_NONE, &closed, 1);
	talk();
	http2_peer_agree(&server, 1, GRPC);
	talk();
	http2_peer_more(&server, 1, slice_from_string("hello"), true);
	talk();
	engine_run_break(&run, SIDE_SERVER);
	talk();
	cr_assert_not(http2_peer_heard(&agent, "1 end\n"));
	nghttp2_submit_window_update(agent.session, NGHTTP2_FLAG_NONE, 1, 65535);
	talk();
	HEARD(agent, "1 data 5 hello\n" GONE);
}

Test(http2_grpc, trailers_that_were_cut_short_are_not_the_servers)
{
	/* grpc-status: 0, in a list of headers that goes on. */
	static const uint8_t trailers[] = {0, 0, 15, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 0, 0,
		0, 1, 0x00, 11, 'g', 'r', 'p', 'c', '-', 's', 't', 'a', 't', 'u', 's', 1, '0'};

	answer(GRPC, GRPC);
	http2_peer_speak(&server);
	engine_run_feed(&run, SIDE_SERVER, slice_of(trailers, sizeof(trailers)));
	engine_run_break(&run, SIDE_SERVER);
	talk();
	HEARD(agent, GONE);
	cr_assert_not(http2_peer_heard(&agent, "grpc-status: 0"));
}

static void is_reset(const char *asked, const char *answered)
{
	answer(asked, answered);
	engine_run_break(&run, SIDE_SERVER);
	talk();
	HEARD(agent, "1 reset 2\n");
	cr_assert_not(http2_peer_heard(&agent, "grpc-status"));
}

Test(http2_grpc, other_content_is_reset)
{
	is_reset(GRPC, "content-type: application/json\n");
}

Test(http2_grpc, other_requests_are_reset)
{
	is_reset("content-type: application/json\n", GRPC);
}

Test(http2_grpc, an_administrator_ends_it)
{
	answer(GRPC, GRPC);
	engine_run_abort(&run, REASON_KILLED);
	talk();
	HEARD(agent, "1 grpc-status: 14\n1 grpc-message: wayleave: ");
	HEARD(agent, "1 end\n");
}
