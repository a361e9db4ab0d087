/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 between an agent and a server, byte for byte.
 */
#include "tests/unit/http_run.h"

TestSuite(http_engine, .init = http_run_begin, .fini = http_run_end);

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

Test(http_engine, requests_on_one_connection)
{
	agent_sends(GET("/v1/a"));
	SERVER_GOT(GET("/v1/a"));
	server_sends(OK_5);
	AGENT_GOT(OK_5);
	cr_assert(holds(&run.events, "! result 1 rows 0 bytes 5 \"200 OK\"\n"));
	agent_sends(GET("/v1/b"));
	SERVER_GOT(GET("/v1/b"));
}

Test(http_engine, a_denial_leaves_the_connection)
{
	agent_sends(GET("/v2"));
	AGENT_REFUSED("403");
	SERVER_GOT("");
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/a"));
	SERVER_GOT(GET("/v1/a"));
}

Test(http_engine, a_refused_body_is_thrown_away)
{
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
	AGENT_REFUSED("403");
	agent_sends("llo" GET("/v1/b"));
	SERVER_GOT(GET("/v1/b"));
	server_sends(OK_5);
	AGENT_GOT(OK_5);
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nabc\r\n0\r\nA: b\r\n\r\n" GET("/v1/c"));
	SERVER_GOT(GET("/v1/c"));
}

Test(http_engine, a_body_of_no_bytes_is_not_waited_for)
{
	static const char post[] = "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";

	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	AGENT_REFUSED("403");
	agent_sends(post);
	SERVER_GOT(post);
	engine_run_end(&run, SIDE_AGENT);
	server_sends(OK_5);
	AGENT_GOT(OK_5);
	cr_assert(run.closed);
}

Test(http_engine, a_large_refused_body_ends_the_connection)
{
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n");
	cr_assert(holds(&run.sent[SIDE_AGENT], "Connection: close\r\n"));
	AGENT_REFUSED("403");
	cr_assert(run.closed);
}

Test(http_engine, a_refused_expectation_ends_the_connection)
{
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
		    "Expect: 100-continue\r\n\r\n");
	AGENT_REFUSED("403");
	cr_assert(run.closed);
}

Test(http_engine, a_pipeline_is_answered_in_order)
{
	agent_sends(GET("/v1/a") GET("/v2") GET("/v1/b"));
	SERVER_GOT(GET("/v1/a"));
	AGENT_GOT("");
	server_sends(OK_5);
	cr_assert(slice_starts_with(buffer_slice(&run.sent[SIDE_AGENT]), slice_from_string(OK_5)));
	cr_assert(holds(&run.sent[SIDE_AGENT], "403 Forbidden"));
	SERVER_GOT(GET("/v1/b"));
}

Test(http_engine, chunks_are_written_anew)
{
	agent_sends("POST /v1/a HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n");
	SERVER_GOT("POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	agent_sends("005;ext=\"x\"\r\nhello\r\n");
	SERVER_GOT("5\r\nhello\r\n");
	agent_sends("2\r\na");
	agent_sends("b\r\n");
	SERVER_GOT("1\r\na\r\n1\r\nb\r\n");
	agent_sends("0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: z\r\n\r\n");
	SERVER_GOT("0\r\nX-Sum: 1\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	agent_sends(GET("/v1/b"));
	SERVER_GOT(GET("/v1/b"));
}

Test(http_engine, responses_without_content)
{
	agent_sends("HEAD /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n");
	AGENT_GOT("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: \"x\"\r\n\r\n");
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
	AGENT_GOT("HTTP/1.1 204 No Content\r\n\r\n");
	agent_sends("HEAD /v2 HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert_not(holds(&run.sent[SIDE_AGENT], "{"));
	cr_assert_not(run.closed);
}

Test(http_engine, a_body_that_ends_with_the_connection)
{
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 200 OK\r\n\r\nabc");
	AGENT_GOT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
	cr_assert_not(run.closed);
	engine_run_end(&run, SIDE_SERVER);
	cr_assert(holds(&run.events, "! close 0 \"\""));
}

Test(http_engine, a_body_that_is_cut_off_is_an_error)
{
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	engine_run_end(&run, SIDE_SERVER);
	cr_assert(run.closed);
	cr_assert_not(holds(&run.events, "! result"));
}

Test(http_engine, interim_responses)
{
	agent_sends("POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
		    "Expect: 100-continue\r\n\r\n");
	SERVER_GOT("POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
		   "Expect: 100-continue\r\n\r\n");
	server_sends("HTTP/1.1 100 Continue\r\n\r\n");
	AGENT_GOT("HTTP/1.1 100 Continue\r\n\r\n");
	server_sends("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	AGENT_GOT("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	agent_sends("ab");
	SERVER_GOT("ab");
	server_sends(OK_5);
	AGENT_GOT(OK_5);
}

Test(http_engine, an_early_response)
{
	agent_sends("POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab");
	server_sends("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
	AGENT_GOT("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
	agent_sends("cd" GET("/v1/b"));
	SERVER_GOT("POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd" GET("/v1/b"));
}

Test(http_engine, what_people_are_shown_cannot_be_the_connections)
{
	agent_sends("PUT /v1/a HTTP/1.1\r\nHost: h\r\nIf-Match: \"v7\"\r\n"
		    "Connection: if-match\r\nContent-Length: 0\r\n\r\n");
	AGENT_REFUSED("400");
	cr_assert_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
}

Test(http_engine, what_a_connection_means_stays_there)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: X-Hop, Keep-Alive\r\nX-Hop: 1\r\n"
		    "Keep-Alive: 5\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
		    "Proxy-Connection: x\r\nX: y\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.1\r\nHost: h\r\nX: y\r\nTE: trailers\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"\r\nUpgrade: h2\r\n"
		     "Connection: Upgrade\r\nContent-Length: 0\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	cr_assert_not(run.closed);
}

Test(http_engine, connections_end_as_either_side_says)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	server_sends(OK_5);
	AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
	cr_assert(run.closed);
	http_run_restart();
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	cr_assert(run.closed);
	http_run_restart();
	agent_sends("GET /v1/a HTTP/1.0\r\nHost: h\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.0\r\nHost: h\r\n\r\n");
	server_sends("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
	cr_assert(run.closed);
	http_run_restart();
	agent_sends("GET /v1/a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	cr_assert_not(run.closed);
}

/* It would be the answer to a request that was not judged yet. */
Test(http_engine, a_server_that_speaks_unasked)
{
	agent_sends(GET("/v1/a"));
	server_sends(OK_5 OK_5);
	AGENT_GOT(OK_5);
	cr_assert(run.closed);
}

Test(http_engine, each_reading_of_a_path_is_judged)
{
	agent_sends(GET("/v1/secret/x"));
	AGENT_REFUSED("403");
	agent_sends(GET("/v1/a%2F..%2Fsecret%2Fx"));
	AGENT_REFUSED("403");
	agent_sends(GET("/v1//secret/x"));
	AGENT_REFUSED("403");
	agent_sends(GET("/v1/%73ecret/x"));
	AGENT_REFUSED("403");
	agent_sends(GET("/v1/a/../secret/x"));
	AGENT_REFUSED("403");
	agent_sends(GET("/v1/..;/v2/x"));
	AGENT_REFUSED("403");
	agent_sends(GET("/v1/%c0%ae%c0%ae/x"));
	cr_assert(holds(&run.sent[SIDE_AGENT], "not understood"));
	AGENT_REFUSED("403");
	SERVER_GOT("");
	agent_sends(GET("/v1/group%2Fproject"));
	SERVER_GOT(GET("/v1/group%2Fproject"));
}

Test(http_engine, a_tunnel_for_websocket)
{
	static const char request[] =
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n";
	static const char response[] = "HTTP/1.1 101 Switching Protocols\r\n"
				       "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

	agent_sends(request);
	cr_assert(holds(&run.events, "websocket /v1/a"));
	SERVER_GOT("GET /v1/a HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\n"
		   "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	server_sends(response);
	AGENT_GOT(response);
	agent_sends("\x81\x82zzzz\x12\x13");
	SERVER_GOT("\x81\x82zzzz\x12\x13");
	server_sends("\x81\x02hi");
	AGENT_GOT("\x81\x02hi");
	engine_run_end(&run, SIDE_SERVER);
	cr_assert_not(run.closed);
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.closed);
}

Test(http_engine, connect_is_judged_and_not_built)
{
	agent_sends("CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n");
	AGENT_REFUSED("403");
	cr_assert_not(run.closed);
}

Test(http_engine, people_see_the_body_before_it_goes_on)
{
	agent_sends("PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
		    "Authorization: Bearer secret\r\nExpect: 100-continue\r\n\r\n");
	AGENT_GOT("HTTP/1.1 100 Continue\r\n\r\n");
	SERVER_GOT("");
	agent_sends("he");
	SERVER_GOT("");
	agent_sends("llo");
	cr_assert(holds(&run.events, "! held : "));
	cr_assert(holds(&run.events, "\"hello\""));
	SERVER_GOT("PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
		   "Authorization: Bearer secret\r\n\r\nhello");
	server_sends("HTTP/1.1 100 Continue\r\n\r\n" OK_5);
	AGENT_GOT(OK_5);
}

Test(http_engine, a_secret_is_no_part_of_the_text)
{
	agent_sends("GET /v1/a?q=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer abc\r\n"
		    "Cookie: s=abc\r\nRange: bytes=0-1\r\n\r\n");
	cr_assert(holds(&run.events, "\"GET http://h/v1/a?q=1\\x0aRange: bytes=0-1\""));
	cr_assert_not(holds(&run.events, "abc"));
}

Test(http_engine, a_server_that_is_gone_is_said)
{
	engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/a"));
	AGENT_REFUSED("502");
	cr_assert(run.closed);
}

/* Who is not allowed to ask learns nothing of the server. */
Test(http_engine, a_server_that_is_gone_denies_nothing_less)
{
	engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	AGENT_REFUSED("403");
	agent_sends(GET("/v1/a"));
	AGENT_REFUSED("502");
	cr_assert(run.closed);
}

/* What was refused as a connection is not for people to decide. */
Test(http_engine, a_denied_connection_is_said_first)
{
	engine_run_abort(&run, REASON_NOT_COVERED);
	agent_sends("PUT /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	AGENT_REFUSED("403");
	cr_assert(run.closed);
}

Test(http_engine, an_administrator_does_not_wait_for_a_server)
{
	engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	engine_run_abort(&run, REASON_KILLED);
	cr_assert(run.closed);
}

/* At a place without a name, what is in TLS may not be HTTP, and the server is reached first. */
Test(http_engine, a_server_whose_tls_fails_before_the_request)
{
	/* A record with a ClientHello that has one suite, and no extensions. */
	uint8_t hello[5 + 4 + 41] = {
		0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3, [45] = 2, 0x13, 0x01, 1, 0};

	bench.hello_length = sizeof(hello);
	http_run_restart();
	run.host.unnamed = true;
	run.fail_tls = SIDE_SERVER + 1;
	engine_run_feed(&run, SIDE_AGENT, slice_of(hello, sizeof(hello)));
	cr_assert(holds(&run.events, "! tls server"));
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/a"));
	cr_assert(holds(&run.sent[SIDE_AGENT], "a test made it fail"));
	AGENT_REFUSED("502");
	cr_assert(run.closed);
}

Test(http_engine, a_server_that_closes_is_asked_again)
{
	agent_sends(GET("/v1/a"));
	server_sends(OK_5);
	buffer_clear(&run.sent[SIDE_SERVER]);
	agent_sends("PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
	engine_run_end(&run, SIDE_SERVER);
	cr_assert_not(run.closed, "the agent's request waits for people");
	agent_sends("b");
	SERVER_GOT("PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
}
