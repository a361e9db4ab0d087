/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections to servers that one session leaves and another goes on with: which are left, what
 * goes over one first, and what becomes of a request where the server was closing it.
 */
#include "tests/unit/http_run.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define KEPT "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
#define TIMEOUT "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"

static void begin_observing(void)
{
	http_run_begin_with("config:\n"
			    "  mode: observe\n"
			    "  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
			    "  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
			    "rules:\n"
			    "  - { name: read, operations: [read], allow: {} }\n");
	run.host.keeps = true;
}

static void begin_leaving(void)
{
	http_run_begin();
	run.host.keeps = true;
}

/* A connection that another session left is there. */
static void begin_kept(void)
{
	begin_leaving();
	run.keeps = true;
}

static void restart(void)
{
	http_run_restart();
	run.host.keeps = true;
}

static void begin_reviewing(void)
{
	http_run_begin_with("config:\n"
			    "  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
			    "  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
			    "  reviewers: { dba: { local_users: [root] } }\n"
			    "rules:\n"
			    "  - { name: read, operations: [read], review: { by: dba } }\n");
	run.host.keeps = true;
}

TestSuite(http_kept_reviewed, .init = begin_reviewing, .fini = http_run_end);
TestSuite(http_leaving, .init = begin_leaving, .fini = http_run_end);
TestSuite(http_leaving_observed, .init = begin_observing, .fini = http_run_end);
TestSuite(http_kept, .init = begin_kept, .fini = http_run_end);

/* --- which are left --- */

Test(http_leaving, behind_an_answer)
{
	agent_sends(GET("/v1/a"));
	server_sends(KEPT);
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.closed && run.left);
}

Test(http_leaving, not_without_the_servers_word)
{
	agent_sends(GET("/v1/a"));
	server_sends(OK);
	agent_sends(GET("/v1/a"));
	server_sends(OK);
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.closed);
	cr_assert_not(run.left);
}

Test(http_leaving, where_the_agent_wants_one_answer)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	SERVER_GOT(GET("/v1/a"));
	server_sends(KEPT);
	cr_assert(run.closed && run.left);
}

Test(http_leaving, behind_a_refusal)
{
	agent_sends(GET("/v1/a"));
	server_sends(KEPT);
	agent_sends(GET("/v2/a"));
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.closed && run.left);
}

static const struct {
	const char *request, *response;
} kept_to_itself[] = {
	/* Who proved its connection has proven what comes by it. */
	{"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: NTLM TlRMTVNTUAAB\r\n\r\n", KEPT},
	{"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: negotiate YII=\r\n\r\n", KEPT},
	{"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: Whatever x\r\n\r\n", KEPT},
	{"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eA==\r\nProxy-Authorization: "
	 "Negotiate YII=\r\n\r\n",
		KEPT},
	{GET("/v1/a"),
		"HTTP/1.1 401 Unauthorized\r\nConnection: keep-alive\r\nWWW-Authenticate: "
		"Negotiate\r\n"
		"Content-Length: 0\r\n\r\n"},
	{GET("/v1/a"),
		"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: "
		"keep-alive\r\nContent-Length: 0\r\n\r\n"},
	/* The server ends it. */
	{GET("/v1/a"), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
	{GET("/v1/a"), "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{GET("/v1/a"), "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"},
	{"GET /v1/a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", KEPT},
	/* It never says that there may be more. */
	{GET("/v1/a"), OK},
	/* It is not all that it said. */
	{GET("/v1/a"), "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\nok"},
	{GET("/v1/a"), "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Le"},
	{GET("/v1/a"), ""},
	{"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nok", KEPT},
	/* It says more than it was asked. */
	{GET("/v1/a"), KEPT "HTTP/1.1 200 OK\r\n"},
	/* Nobody asked it for anything. */
	{GET("/v2/a"), ""},
	{"GET /v1/a HTTP", ""},
};

Test(http_leaving, what_is_not)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept_to_itself); i++) {
		restart();
		agent_sends(kept_to_itself[i].request);
		server_sends(kept_to_itself[i].response);
		engine_run_end(&run, SIDE_AGENT);
		cr_assert_not(run.left, "%zu", i);
	}
}

Test(http_leaving, what_proves_each_request)
{
	static const char *const schemes[] = {
		"Basic eA==", "bearer x", "Digest username=\"x\"", "AWS4-HMAC-SHA256 Credential=x"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		char text[256];

		restart();
		snprintf(text, sizeof(text),
			"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n\r\n", schemes[i]);
		agent_sends(text);
		server_sends(KEPT);
		engine_run_end(&run, SIDE_AGENT);
		cr_assert(run.left, "%s", schemes[i]);
	}
}

/* Nor is what the agent says of its connection kept from the server then. */
Test(http_leaving, nowhere_else)
{
	run.host.keeps = false;
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	server_sends(KEPT);
	cr_assert(run.closed);
	cr_assert_not(run.left);
}

Test(http_leaving, not_when_the_server_was_the_first_to_leave)
{
	agent_sends(GET("/v1/a"));
	server_sends(KEPT);
	engine_run_end(&run, SIDE_SERVER);
	cr_assert(run.closed);
	cr_assert_not(run.left);
}

Test(http_leaving_observed, none)
{
	agent_sends(GET("/v1/a"));
	server_sends(KEPT);
	engine_run_end(&run, SIDE_AGENT);
	cr_assert_not(run.left);
}

Test(http_leaving_observed, none_is_taken)
{
	run.keeps = true;
	agent_sends(GET("/v1/a"));
	cr_assert(run.keeps);
}

/* --- what goes over one --- */

Test(http_kept, is_used_and_left_again)
{
	agent_sends(GET("/v1/a"));
	cr_assert_not(run.keeps);
	SERVER_GOT(GET("/v1/a"));
	server_sends(OK);
	AGENT_GOT(OK);
	/* It has answered: it is as good as any. */
	agent_sends(POST);
	SERVER_GOT(POST);
	server_sends(OK);
	AGENT_GOT(OK);
	cr_assert_eq(run.connects, 1);
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.left);
}

/* What is not to be sent twice goes over a connection of its own. */
Test(http_kept, is_not_used_for)
{
	static const char *const requests[] = {POST,
		"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		restart();
		run.keeps = true;
		agent_sends(requests[i]);
		cr_assert_eq(run.connects, 1, "%zu", i);
		cr_assert(run.keeps, "%zu", i);
	}
}

/* People let it pass once. */
Test(http_kept_reviewed, is_not_used)
{
	run.keeps = true;
	run.grant.serial = 1;
	agent_sends(GET("/v1/a"));
	SERVER_GOT(GET("/v1/a"));
	cr_assert(run.keeps);
}

Test(http_kept, that_was_closed_meanwhile)
{
	agent_sends(GET("/v1/a"));
	SERVER_GOT(GET("/v1/a"));
	run.keeps = true;
	engine_run_end(&run, SIDE_SERVER);
	cr_assert_eq(run.connects, 2);
	cr_assert(run.keeps, "not one more of that kind");
	SERVER_GOT(GET("/v1/a"));
	server_sends(OK);
	AGENT_GOT(OK);
	cr_assert_not(run.closed);
	/* And no more than once. */
	agent_sends(GET("/v1/b"));
	SERVER_GOT(GET("/v1/b"));
	engine_run_end(&run, SIDE_SERVER);
	SERVER_GOT("");
	AGENT_GOT("");
	cr_assert(run.closed);
	cr_assert_eq(run.connects, 2);
}

Test(http_kept, that_breaks)
{
	agent_sends(GET("/v1/a"));
	engine_run_break(&run, SIDE_SERVER);
	cr_assert_eq(run.connects, 2);
	SERVER_GOT(GET("/v1/a") GET("/v1/a"));
}

Test(http_kept, that_breaks_twice)
{
	agent_sends(GET("/v1/a"));
	engine_run_break(&run, SIDE_SERVER);
	engine_run_break(&run, SIDE_SERVER);
	cr_assert(run.closed);
	cr_assert_eq(run.connects, 2);
	AGENT_GOT("");
}

/* Once there is a byte of the answer it is the answer. */
Test(http_kept, that_breaks_within_its_answer)
{
	agent_sends(GET("/v1/a"));
	server_sends("HTTP/1.1 2");
	engine_run_end(&run, SIDE_SERVER);
	AGENT_REFUSED("502");
	cr_assert_eq(run.connects, 1);
}

/* Sent before the request came (RFC 9110, 15.5.9). */
Test(http_kept, that_tells_that_it_was_idle_for_too_long)
{
	agent_sends(GET("/v1/a"));
	server_sends(TIMEOUT);
	cr_assert_eq(run.connects, 2);
	SERVER_GOT(GET("/v1/a") GET("/v1/a"));
	AGENT_GOT("");
	server_sends(TIMEOUT);
	cr_assert(slice_starts_with(
		buffer_slice(&run.sent[SIDE_AGENT]), slice_from_string("HTTP/1.1 408 ")));
	cr_assert(run.closed);
	cr_assert_eq(run.connects, 2);
}

/* --- TLS: the server is asked what it has before there is a request --- */

/* Offers h2 and http/1.1; the server has none of them. */
static void begin_tls(void)
{
	static const uint8_t hello[5 + 4 + 61] = {0x16, 3, 1, 0, 65, 1, 0, 0, 61, 3, 3, [45] = 2,
		0x13, 0x01, 1, 0, 0, 18, 0, 16, 0, 14, 0, 12, 2, 'h', '2', 8, 'h', 't', 't', 'p',
		'/', '1', '.', '1'};

	bench.hello_length = sizeof(hello);
	engine_run_feed(&run, SIDE_AGENT, slice_of(hello, sizeof(hello)));
	cr_assert_eq(run.connects, 1);
	cr_assert_not(run.keeps);
	cr_assert(holds(&run.events, "! tls server\n! tls agent\n"), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
}

Test(http_kept, in_tls)
{
	begin_tls();
	agent_sends(GET("/v1/a"));
	cr_assert_eq(run.connects, 1);
	SERVER_GOT(GET("/v1/a"));
}

Test(http_kept, in_tls_with_what_is_not_to_be_sent_twice)
{
	begin_tls();
	agent_sends(POST);
	cr_assert_eq(run.connects, 2);
	SERVER_GOT(POST);
	server_sends(OK);
	AGENT_GOT(OK);
}

Test(http_kept, in_tls_that_is_closed_before_the_request)
{
	begin_tls();
	engine_run_end(&run, SIDE_SERVER);
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/a"));
	cr_assert_eq(run.connects, 2);
	SERVER_GOT(GET("/v1/a"));
}

Test(http_kept, in_tls_that_says_something_before_the_request)
{
	begin_tls();
	server_sends(TIMEOUT);
	cr_assert_not(run.closed);
	agent_sends(GET("/v1/a"));
	cr_assert_eq(run.connects, 2);
	SERVER_GOT(GET("/v1/a"));
	AGENT_GOT("");
}

Test(http_kept, in_tls_and_never_used)
{
	begin_tls();
	agent_sends(GET("/v2/a"));
	AGENT_REFUSED("403");
	SERVER_GOT("");
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.closed && run.left);
}
