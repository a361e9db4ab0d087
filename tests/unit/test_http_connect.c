/* SPDX-License-Identifier: Apache-2.0
 *
 * CONNECT: what a proxy is asked for, and whose the bytes behind it are.
 */
#include "protocol/http/pairs.h"
#include "tests/unit/http_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: proxy, protocol: http, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: read, operations: [read], allow: {} }\n"
	"  - { name: go, operations: [connect], objects: [\"*.test:443\", \"10.0.0.*:*\", "
	"\"[fd00::*]:5432\"], allow: {} }\n"
	"  - { name: ask, operations: [connect], objects: [\"asked.test:*\"], review: { by: dba } "
	"}\n"
	"  - { name: never, operations: [connect], objects: [\"never.test:*\"], deny: {} }\n";

static void begin(void)
{
	engine_bench_init(&bench, rules);
	bench.denied_beyond = "elsewhere.test";
	engine_run_init(&run, &bench, NULL);
}

TestSuite(http_connect, .init = begin, .fini = http_run_end);

#define CONNECT(place) "CONNECT " place " HTTP/1.1\r\nHost: " place "\r\n\r\n"
#define ESTABLISHED "HTTP/1.1 200 Connection established\r\n\r\n"

Test(http_connect, what_follows_is_another_connections)
{
	agent_sends("CONNECT Db.Test:443 HTTP/1.1\r\nHost: db.test:443\r\n"
		    "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\n\r\n");
	SERVER_GOT("CONNECT Db.Test:443 HTTP/1.1\r\nHost: db.test:443\r\n"
		   "Proxy-Authorization: Basic eDp5\r\n\r\n");
	agent_sends("GET / HTTP/1.1\r\n");
	SERVER_GOT("");
	server_sends("HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n220 hello");
	AGENT_GOT(ESTABLISHED);
	SERVER_GOT("");
	cr_assert(holds(&run.events, "! tunnel db.test 443\n"));
	cr_assert(slice_equal_string(buffer_slice(&run.partial[SIDE_SERVER]), "220 hello"));
	cr_assert(slice_equal_string(buffer_slice(&run.partial[SIDE_AGENT]), "GET / HTTP/1.1\r\n"));
}

Test(http_connect, an_old_proxy)
{
	agent_sends("CONNECT db.test:443 HTTP/1.0\r\n\r\n");
	SERVER_GOT("CONNECT db.test:443 HTTP/1.0\r\n\r\n");
	server_sends("HTTP/1.0 200 Connection established\r\nProxy-agent: old\r\n\r\n");
	AGENT_GOT("HTTP/1.0 200 Connection established\r\nProxy-agent: old\r\n\r\n");
	cr_assert(holds(&run.events, "! tunnel db.test 443\n"));
}

Test(http_connect, a_proxy_that_will_not)
{
	static const char no[] = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n"
				 "Content-Length: 2\r\n\r\nno";

	agent_sends(CONNECT("db.test:443"));
	SERVER_GOT(CONNECT("db.test:443"));
	server_sends(no);
	AGENT_GOT(no);
	cr_assert_not(holds(&run.events, "! tunnel"));
	agent_sends(CONNECT("db.test:443"));
	SERVER_GOT(CONNECT("db.test:443"));
	server_sends(ESTABLISHED);
	cr_assert(holds(&run.events, "! tunnel db.test 443\n"));
}

Test(http_connect, rules_say_where)
{
	static const char *const refused[] = {CONNECT("db.test:22"), CONNECT("never.test:443"),
		CONNECT("example.com:443"), CONNECT("10.0.1.1:443"), CONNECT("[fd01::1]:5432")};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		agent_sends(refused[i]);
		AGENT_REFUSED("403");
		SERVER_GOT("");
	}
	cr_assert_not(run.closed);
	agent_sends(CONNECT("[FD00:0::1]:5432"));
	cr_assert(holds(&run.events, "[fd00::1]:5432"));
	server_sends(ESTABLISHED);
	cr_assert(holds(&run.events, "! tunnel fd00::1 5432\n"));
}

Test(http_connect, what_is_there_says_whether)
{
	agent_sends(CONNECT("elsewhere.test:443"));
	cr_assert(holds(&run.sent[SIDE_AGENT], "wayleave: denied: nobody goes there"));
	AGENT_REFUSED("403");
	SERVER_GOT("");
	agent_sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	SERVER_GOT("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}

Test(http_connect, people_decide)
{
	agent_sends(CONNECT("asked.test:443"));
	cr_assert(holds(&run.events, "! held : "));
	SERVER_GOT(CONNECT("asked.test:443"));
	server_sends(ESTABLISHED);
	cr_assert(holds(&run.events, "! tunnel asked.test 443\n"));
}

/* What has no one meaning is refused, as is what would be read as the connection's by some. */
Test(http_connect, not_one_place)
{
	static const char *const bad[] = {
		CONNECT("db.test"),
		CONNECT("db.test:0"),
		CONNECT("db.test:65536"),
		CONNECT(":443"),
		CONNECT("user@db.test:443"),
		CONNECT("http://db.test:443"),
		CONNECT("127.1:443"),
		CONNECT("2130706433:443"),
		CONNECT("0x7f.1:443"),
		CONNECT("0x7f000001:443"),
		CONNECT("10.0.0.1.:443"),
		CONNECT("010.0.0.1:443"),
		CONNECT("0.0.0.0:443"),
		CONNECT("0.1.2.3:443"),
		CONNECT("[::]:443"),
		CONNECT("[::ffff:0.0.0.0]:443"),
		CONNECT("[fe80::1%25eth0]:443"),
		CONNECT("[10.0.0.1:443"),
		"CONNECT db.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n",
		"CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:444\r\n\r\n",
		"CONNECT db.test:443 HTTP/1.1\r\nHost: db.test\r\nHost: db.test\r\n\r\n",
		"CONNECT db.test:443 HTTP/1.1\r\nHost: db.test\r\nContent-Length: 1\r\n\r\nx",
		"CONNECT db.test:443 HTTP/1.1\r\nHost: db.test\r\nTransfer-Encoding: "
		"chunked\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		http_run_restart();
		agent_sends(bad[i]);
		cr_assert(slice_starts_with(buffer_slice(&run.sent[SIDE_AGENT]),
				  slice_from_string("HTTP/1.1 400 ")),
			"%s: %.*s", bad[i], SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
		SERVER_GOT("");
	}
}

Test(http_connect, an_address_has_one_form)
{
	static const char *const forms[] = {CONNECT("10.0.0.1:443"),
		CONNECT("[::ffff:10.0.0.1]:443"), CONNECT("[::FFFF:a00:1]:443")};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		http_run_restart();
		agent_sends(forms[i]);
		server_sends(ESTABLISHED);
		cr_assert(holds(&run.events, "! tunnel 10.0.0.1 443\n"), "%s", forms[i]);
	}
}

static void establish_in_tls(void)
{
	bench.upstream_tls = UPSTREAM_TLS_ON;
	http_run_restart();
	agent_sends(CONNECT("db.test:443"));
	SERVER_GOT(CONNECT("db.test:443"));
	server_sends(ESTABLISHED "220 hello");
	AGENT_GOT(ESTABLISHED);
	cr_assert(holds(&run.events, "! tunnel 0 to db.test 443\n"));
}

#define CAME(from, text)                                                                           \
	do {                                                                                       \
		struct buffer *said_ = &run.tunnels[0].said[from];                                 \
		cr_assert(slice_equal_string(buffer_slice(said_), text), "came: %.*s",             \
			SLICE_PRINT(buffer_slice(said_)));                                         \
		buffer_clear(said_);                                                               \
	} while (0)

/* TLS in TLS is more than one session has: the connection is another, within this one. */
Test(http_connect, within_tls)
{
	establish_in_tls();
	CAME(SIDE_SERVER, "220 hello");
	AGENT_GOT("");
	agent_sends("EHLO");
	CAME(SIDE_AGENT, "EHLO");
	SERVER_GOT("");
	engine_run_tunnel_says(&run, 0, SIDE_AGENT, slice_from_string("judged"));
	AGENT_GOT("judged");
	engine_run_tunnel_says(&run, 0, SIDE_SERVER, slice_from_string("as well"));
	SERVER_GOT("as well");
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.tunnels[0].ended[SIDE_AGENT]);
	cr_assert_not(run.closed);
	engine_run_tunnel_ends(&run, 0, SIDE_SERVER, false);
	cr_assert(holds(&run.events, "! shut server\n"));
	cr_assert_not(run.closed);
	engine_run_tunnel_ends(&run, 0, SIDE_AGENT, false);
	cr_assert(holds(&run.events, "! shut agent\n"));
	cr_assert_null(run.tunnels[0].engine);
	cr_assert(run.closed);
}

Test(http_connect, within_tls_it_may_be_reset)
{
	establish_in_tls();
	engine_run_tunnel_ends(&run, 0, SIDE_AGENT, true);
	cr_assert(holds(&run.events, "! reset"));
}

/* So does the session learn that what the proxy sent may not be all. */
Test(http_connect, within_tls_the_proxy_may_break_off)
{
	establish_in_tls();
	engine_run_break(&run, SIDE_SERVER);
	cr_assert(run.tunnels[0].reset[SIDE_SERVER]);
	cr_assert_not(run.closed, "the session still has something to say");
	engine_run_tunnel_says(&run, 0, SIDE_AGENT, slice_from_string("the rest"));
	AGENT_GOT("the rest");
	engine_run_tunnel_ends(&run, 0, SIDE_AGENT, false);
	cr_assert_null(run.tunnels[0].engine);
	cr_assert(run.closed);
}

Test(http_connect, within_tls_it_may_be_slow)
{
	static char much[1 << 20];

	establish_in_tls();
	for (int i = 0; i < 64; i++)
		engine_run_feed(&run, SIDE_AGENT, slice_of(much, sizeof(much) / 64));
	cr_assert_lt(run.tunnels[0].untaken[SIDE_AGENT], sizeof(much) / 2);
	for (int i = 0; i < 4; i++)
		engine_run_tunnel_takes(&run, 0, SIDE_AGENT);
	cr_assert_eq(buffer_length(&run.tunnels[0].said[SIDE_AGENT]), sizeof(much));
}

Test(http_connect, within_tls_there_can_be_no_more)
{
	bench.upstream_tls = UPSTREAM_TLS_ON;
	http_run_restart();
	run.no_tunnels = true;
	agent_sends(CONNECT("db.test:443"));
	server_sends(ESTABLISHED);
	AGENT_REFUSED("502");
	cr_assert(run.closed);
}

Test(http_connect, an_agent_that_is_gone)
{
	agent_sends(CONNECT("db.test:443"));
	engine_run_end(&run, SIDE_AGENT);
	server_sends(ESTABLISHED);
	cr_assert_not(holds(&run.events, "! tunnel"));
	cr_assert(run.closed);
}

Test(http_connect, an_explained_line_is_the_same_action)
{
	struct http_pairs pairs;
	struct buffer room;

	buffer_init(&room, 4096);
	http_pairs_of_line(slice_from_string("CONNECT Db.Test:443"), &room, &pairs);
	cr_assert_eq(pairs.count, 1);
	cr_assert_eq(pairs.items[0].operation, OPERATION_HTTP_CONNECT);
	cr_assert(slice_equal_string(pairs.items[0].object, "db.test:443"));
	http_pairs_of_line(slice_from_string("CONNECT db.test"), &room, &pairs);
	cr_assert_eq(pairs.unknown, ACTION_UNKNOWN_TEXT);
	buffer_done(&room);
}
