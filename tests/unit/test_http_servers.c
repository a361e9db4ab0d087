/* SPDX-License-Identifier: Apache-2.0
 *
 * What servers do besides answering: trailers, interim responses, bodies that must not be, other
 * protocols, and connections that end too early.
 */
#include "protocol/http/body.h"
#include "tests/unit/http_run.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST_2 "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const char masking_rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - name: read\n"
	"    operations: [read]\n"
	"    allow: { mask: [{ detect: [email], with: redact }] }\n";

static void begin_masking(void)
{
	http_run_begin_with(masking_rules);
}

TestSuite(http_servers, .init = http_run_begin, .fini = http_run_end);
TestSuite(http_servers_masked, .init = begin_masking, .fini = http_run_end);

/* --- trailers --- */

Test(http_servers, trailers_are_kept)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
		     "3\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nX-Two: 2\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n");
	agent_sends(GET("/v1/b"));
	SERVER_GOT(GET("/v1/b"));
}

/* --- 100-continue --- */

Test(http_servers, an_expectation_that_is_granted)
{
	agent_sends(POST_2);
	SERVER_GOT(POST_2);
	server_sends("HTTP/1.1 100 Continue\r\n\r\n");
	AGENT_GOT("HTTP/1.1 100 Continue\r\n\r\n");
	agent_sends("ab");
	SERVER_GOT("ab");
	server_sends(OK_2);
	AGENT_GOT(OK_2);
	cr_assert_not(run.closed);
}

/* What would come next is a body to some servers, and to others a request that nobody judged. */
Test(http_servers, an_expectation_that_is_refused)
{
	agent_sends(POST_2);
	SERVER_GOT(POST_2);
	server_sends("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
	AGENT_GOT("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n"
		  "Connection: close\r\n\r\n");
	cr_assert(run.closed);
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	SERVER_GOT("");
}

Test(http_servers, an_expectation_that_is_ignored)
{
	agent_sends(POST_2);
	agent_sends("ab");
	SERVER_GOT(POST_2 "ab");
	server_sends(OK_2);
	AGENT_GOT(OK_2);
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/b"));
	SERVER_GOT(GET("/v1/b"));
}

/* --- bodies that must not be --- */

Test(http_servers, what_follows_a_response_without_a_body)
{
	static const struct {
		const char *method, *status, *got;
	} cases[] = {
		{"GET", "204 No Content", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"GET", "304 Not Modified",
			"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		{"HEAD", "200 OK", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[256];

		http_run_restart();
		snprintf(text, sizeof(text), "%s /v1/a HTTP/1.1\r\nHost: h\r\n\r\n",
			cases[i].method);
		agent_sends(text);
		snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 5\r\n\r\nhello",
			cases[i].status);
		server_sends(text);
		AGENT_GOT(cases[i].got);
		cr_assert(run.closed, "%zu: it would be the answer to the next request", i);
	}
}

/* --- other protocols --- */

/* The offer is dropped, so that nobody agrees; who does all the same is refused. */
Test(http_servers, a_protocol_that_nobody_knows)
{
	static const char offer[] = "GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
				    "Upgrade: whatever/2\r\n\r\n";

	agent_sends(offer);
	SERVER_GOT(GET("/v1/a"));
	server_sends(OK_2);
	AGENT_GOT(OK_2);
	agent_sends(offer);
	server_sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
		     "Upgrade: whatever/2\r\n\r\n\x01\x02");
	AGENT_REFUSED("502");
	cr_assert(run.closed);
}

/* Else its client takes the connection for one that ends. */
Test(http_servers, an_old_server_that_keeps_its_connection)
{
	static const char response[] =
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

	agent_sends(GET("/v1/a"));
	server_sends(response);
	AGENT_GOT(response);
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/b"));
	server_sends("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
	AGENT_GOT("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
	cr_assert(run.closed);
}

/* --- connections that end too early --- */

#define NO_RESULT cr_assert_not(holds(&run.events, "! result"))

Test(http_servers, a_body_in_chunks_that_is_cut_off)
{
	static const char *const parts[] = {
		"3\r\nabc\r\n", "3\r\nabc\r\n0\r\n", "3\r\nabc\r\n0\r\nX: 1\r\n", "5\r\nabc"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		http_run_restart();
		agent_sends(GET("/v1/a"));
		server_sends(CHUNKED);
		server_sends(parts[i]);
		engine_run_end(&run, SIDE_SERVER);
		cr_assert(run.closed, "%zu", i);
		cr_assert_not(holds(&run.sent[SIDE_AGENT], "0\r\n"), "%zu", i);
		NO_RESULT;
	}
}

/* Its end is all that says how long it is: a reset, or TLS that was not closed, is none. */
Test(http_servers, a_body_without_a_length_that_is_cut_off)
{
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 200 OK\r\n\r\nabc");
	engine_run_break(&run, SIDE_SERVER);
	AGENT_GOT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
	cr_assert(holds(&run.events, "! cut agent\n"));
	cr_assert(holds(&run.events, "broke its connection off"));
	NO_RESULT;
}

Test(http_servers_masked, text_without_a_length_that_is_cut_off)
{
	static char text[80000];

	memset(text, '.', sizeof(text) - 1);
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
	server_sends(text);
	engine_run_break(&run, SIDE_SERVER);
	cr_assert(holds(&run.sent[SIDE_AGENT], "Transfer-Encoding: chunked"));
	cr_assert(holds(&run.sent[SIDE_AGENT], "....\r\n"));
	cr_assert_not(holds(&run.sent[SIDE_AGENT], "\r\n0\r\n"));
	NO_RESULT;
}

Test(http_servers_masked, json_that_is_cut_off)
{
	for (int broken = 0; broken < 2; broken++) {
		http_run_restart();
		agent_sends(GET("/v1/a"));
		server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"a\": ");
		if (!broken)
			server_sends("1}");
		(broken ? engine_run_break : engine_run_end)(&run, SIDE_SERVER);
		if (broken)
			AGENT_REFUSED("502");
		else
			cr_assert(holds(&run.sent[SIDE_AGENT], "{\"a\": 1}\r\n0\r\n\r\n"));
		cr_assert(run.closed);
	}
}

/* What is relayed passes on how it ends, and nothing more follows a connection that broke. */
Test(http_servers, a_websocket_that_breaks_off)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		    "\r\n");
	server_sends("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
		     "Upgrade: websocket\r\n\r\n");
	engine_run_break(&run, SIDE_SERVER);
	cr_assert(holds(&run.events, "! cut agent\n"));
	cr_assert(run.closed);
}

/* Nobody reads the answer any more, but what came of the request is recorded. */
Test(http_servers, an_agent_that_breaks_off)
{
	agent_sends(GET("/v1/a"));
	engine_run_break(&run, SIDE_AGENT);
	cr_assert_not(run.closed);
	cr_assert(holds(&run.events, "! shut server\n"));
	server_sends(OK_2);
	cr_assert(holds(&run.events, "! result 1 rows 0 bytes 2 \"200 OK\"\n"));
	cr_assert(run.closed);
}

/* Ten gigabytes, by a length and in one chunk: where the content ends no 32 bits say. */
Test(http_servers, a_body_of_ten_gigabytes)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"};
	static uint8_t much[1 << 20];
	static struct http_head head;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct slice size = slice_from_string(i ? "280000000\r\n" : ""), data;
		struct slice end = slice_from_string(i ? "\r\n0\r\n\r\n" : "");
		struct http_problem problem;
		struct http_body body;
		uint64_t length = 0;
		size_t taken;

		http_body_init(&body);
		cr_assert(http_head_read_response(slice_from_string(heads[i]), &head, &problem));
		cr_assert(http_body_of_response(&body, &head, false, &problem));
		while (size.length) {
			cr_assert_eq(http_body_next(&body, size, &taken, &data), HTTP_PIECE_NONE);
			size = slice_from(size, taken);
		}
		for (unsigned piece = 0; piece < 10240; piece++) {
			cr_assert_eq(
				http_body_next(&body, slice_of(much, sizeof(much)), &taken, &data),
				HTTP_PIECE_DATA);
			length += data.length;
		}
		cr_expect_eq(length, 10ull << 30);
		cr_expect_eq(http_body_next(&body, end, &taken, &data), HTTP_PIECE_END);
		cr_expect_eq(body.seen, 10ull << 30);
		http_body_done(&body);
	}
}
