/* SPDX-License-Identifier: Apache-2.0
 *
 * CONNECT over HTTP/2 between an agent and a proxy, both of which are nghttp2's. The connection
 * that the proxy made is the test.
 */
#include "base/limits.h"
#include "tests/unit/http2_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: proxy, protocol: http, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: read, operations: [read], objects: [\"/**\"], allow: {} }\n"
	"  - { name: go, operations: [connect], objects: [\"*.test:443\"], allow: {} }\n"
	"  - { name: ask, operations: [connect], objects: [\"asked.test:*\"], review: { by: dba } "
	"}\n"
	"  - { name: never, operations: [connect], objects: [\"never.test:*\"], deny: {} }\n";

static void begin(void)
{
	http_run_begin_with(rules);
	bench.denied_beyond = "elsewhere.test";
	http2_run_begin();
}

TestSuite(http2_tunnel, .init = begin, .fini = http2_run_end);

#define NOT_HEARD(peer, text)                                                                      \
	cr_assert_not(http2_peer_heard(&peer, text), #peer ": %.*s",                               \
		SLICE_PRINT(buffer_slice(&peer.log)))
/* What the connection in the tunnel was told by a side since the last look. */
#define CAME(from, text)                                                                           \
	do {                                                                                       \
		struct buffer *said_ = &run.tunnels[0].said[from];                                 \
		cr_assert(slice_equal_string(buffer_slice(said_), text), "came: %.*s",             \
			SLICE_PRINT(buffer_slice(said_)));                                         \
		buffer_clear(said_);                                                               \
	} while (0)
#define RESET(error) "1 reset " error "\n"

static void ask(const char *place)
{
	http2_peer_connect(&agent, place, NULL);
	talk();
}

static void establish(void)
{
	ask("db.test:443");
	http2_peer_agree(&server, 1, NULL);
	talk();
	HEARD(agent, "1 :status: 200\n");
	cr_assert_eq(run.tunnel_count, 1);
}

static void says(struct http2_peer *from, const char *text, bool open)
{
	http2_peer_more(from, 1, slice_from_string(text), open);
	talk();
}

static void tunnel_says(enum side to, const char *text)
{
	engine_run_tunnel_says(&run, 0, to, slice_from_string(text));
	talk();
}

static void tunnel_ends(enum side to, bool reset)
{
	engine_run_tunnel_ends(&run, 0, to, reset);
	talk();
}

static void gives_up(struct http2_peer *who, uint32_t error)
{
	nghttp2_submit_rst_stream(who->session, NGHTTP2_FLAG_NONE, 1, error);
	talk();
}

/* Nothing of it is left, and the connection lives on. */
static void check_gone(void)
{
	cr_assert_null(run.tunnels[0].engine);
	cr_assert_not(run.engine->protocol->is_busy(run.engine));
	http2_peer_ask(&agent, "GET", "/after", NULL, NULL, false);
	talk();
	HEARD(server, "3 :path: /after\n");
	cr_assert_not(run.closed);
}

Test(http2_tunnel, what_follows_is_another_connections)
{
	establish();
	HEARD(server, "1 :method: CONNECT\n1 :authority: db.test:443\n");
	NOT_HEARD(server, ":path");
	NOT_HEARD(server, ":scheme");
	cr_assert(holds(&run.events, "CONNECT db.test:443"));
	cr_assert(holds(&run.events, "! tunnel 0 to db.test 443\n"));
	cr_assert(holds(&run.events, "! result 1 rows 0 bytes 0 \"200\"\n"));
	says(&agent, "hello", true);
	CAME(SIDE_AGENT, "hello");
	NOT_HEARD(server, "hello");
	tunnel_says(SIDE_SERVER, "judged");
	HEARD(server, "1 data 6 judged\n");
	says(&server, "secret", true);
	CAME(SIDE_SERVER, "secret");
	NOT_HEARD(agent, "secret");
	tunnel_says(SIDE_AGENT, "masked");
	HEARD(agent, "1 data 6 masked\n");
}

Test(http2_tunnel, either_side_may_end_first)
{
	establish();
	says(&agent, "last", false);
	CAME(SIDE_AGENT, "last");
	cr_assert(run.tunnels[0].ended[SIDE_AGENT]);
	cr_assert_not(run.tunnels[0].ended[SIDE_SERVER]);
	tunnel_says(SIDE_SERVER, "last");
	tunnel_ends(SIDE_SERVER, false);
	HEARD(server, "1 data 4 last\n1 end\n");
	NOT_HEARD(agent, "1 end\n");
	says(&server, "answer", false);
	CAME(SIDE_SERVER, "answer");
	tunnel_says(SIDE_AGENT, "answer");
	tunnel_ends(SIDE_AGENT, false);
	HEARD(agent, "1 data 6 answer\n1 end\n");
	NOT_HEARD(agent, "reset");
	NOT_HEARD(server, "reset");
	check_gone();
}

/* The connection's last words for the server are longer on their way than the agent's stream. */
Test(http2_tunnel, what_is_said_last_arrives)
{
	establish();
	says(&server, "", false);
	tunnel_ends(SIDE_AGENT, false);
	says(&agent, "bye", false);
	HEARD(agent, "1 end\n");
	tunnel_says(SIDE_SERVER, "bye");
	tunnel_ends(SIDE_SERVER, false);
	HEARD(server, "1 data 3 bye\n1 end\n");
	NOT_HEARD(server, "reset");
	check_gone();
}

Test(http2_tunnel, a_connection_that_ends_is_nobodys)
{
	establish();
	tunnel_says(SIDE_AGENT, "a refusal");
	tunnel_ends(SIDE_AGENT, false);
	tunnel_ends(SIDE_SERVER, false);
	/* The agent is told to say no more; the server is when it does. */
	HEARD(agent, "1 data 9 a refusal\n1 end\n" RESET("0"));
	HEARD(server, "1 end\n");
	NOT_HEARD(server, "reset");
	says(&server, "too late", true);
	HEARD(server, RESET("8"));
	NOT_HEARD(agent, "too late");
	check_gone();
}

Test(http2_tunnel, a_reset_of_the_agents_is_one_for_the_server)
{
	establish();
	gives_up(&agent, NGHTTP2_CONNECT_ERROR);
	HEARD(server, RESET("10"));
	check_gone();
}

Test(http2_tunnel, a_reset_of_the_servers_follows_what_is_still_said)
{
	establish();
	gives_up(&server, NGHTTP2_CONNECT_ERROR);
	cr_assert(run.tunnels[0].reset[SIDE_SERVER]);
	tunnel_says(SIDE_AGENT, "the server is gone");
	NOT_HEARD(agent, "reset");
	tunnel_ends(SIDE_AGENT, false);
	HEARD(agent, "1 data 18 the server is gone\n" RESET("10"));
	NOT_HEARD(agent, "1 end\n");
	check_gone();
}

/* RFC 9113, 8.1: with NO_ERROR a server that has said all says that it takes no more. */
Test(http2_tunnel, a_server_that_has_said_all_and_takes_no_more)
{
	const nghttp2_settings_entry shut = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
	static char much[65536];
	const struct protocol_tunnel *t;

	memset(much, 'x', sizeof(much));
	nghttp2_submit_settings(server.session, NGHTTP2_FLAG_NONE, &shut, 1);
	establish();
	t = run.tunnels[0].engine;
	engine_run_tunnel_says(&run, 0, SIDE_SERVER, slice_of(much, sizeof(much)));
	talk();
	cr_assert_not(t->events->wants(t, SIDE_SERVER));
	says(&server, "answer", false);
	CAME(SIDE_SERVER, "answer");
	gives_up(&server, NGHTTP2_NO_ERROR);
	cr_assert(run.tunnels[0].reset[SIDE_SERVER]);
	NOT_HEARD(agent, "reset");
	tunnel_says(SIDE_AGENT, "answer");
	tunnel_ends(SIDE_AGENT, false);
	HEARD(agent, "1 data 6 answer\n1 end\n" RESET("0"));
	NOT_HEARD(server, "data");
	check_gone();
}

Test(http2_tunnel, a_connection_that_is_reset)
{
	establish();
	tunnel_says(SIDE_AGENT, "no");
	tunnel_ends(SIDE_AGENT, true);
	tunnel_ends(SIDE_SERVER, false);
	HEARD(agent, "1 data 2 no\n" RESET("10"));
	NOT_HEARD(agent, "1 end\n");
	HEARD(server, "1 end\n");
	NOT_HEARD(server, "reset");
	says(&server, "", false);
	check_gone();
}

Test(http2_tunnel, rules_say_where)
{
	static const char *const refused[] = {"db.test:22", "never.test:443", "example.com:443"};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		ask(refused[i]);
	HEARD(agent, "1 :status: 403\n");
	HEARD(agent, "no rule allows CONNECT on db.test:22");
	HEARD(agent, "3 :status: 403\n");
	HEARD(agent, "denied by rule");
	HEARD(agent, "5 :status: 403\n");
	cr_assert_eq(buffer_length(&server.log), 0);
	ask("elsewhere.test:443");
	HEARD(agent, "7 :status: 403\n");
	HEARD(agent, "wayleave: denied: nobody goes there");
	cr_assert_eq(buffer_length(&server.log), 0);
	cr_assert_eq(run.tunnel_count, 0);
	cr_assert_not(run.closed);
}

Test(http2_tunnel, people_decide)
{
	ask("asked.test:443");
	cr_assert(holds(&run.events, "! held : "));
	http2_peer_agree(&server, 1, NULL);
	talk();
	cr_assert(holds(&run.events, "! tunnel 0 to asked.test 443\n"));
}

static void restart_with_secret(enum secret_place place, const char *name)
{
	bench.password = "hunter2";
	bench.secret_place = place;
	bench.secret_name = name;
	bench.allow_cleartext = true;
	http2_peer_done(&agent);
	http2_peer_done(&server);
	http_run_restart();
	http2_run_begin();
}

/* The proxy's, which is not shown to what it connects to. */
Test(http2_tunnel, the_resources_secret)
{
	restart_with_secret(SECRET_IN_HEADER, "Proxy-Authorization");
	establish();
	HEARD(server, "1 proxy-authorization: hunter2\n");
	restart_with_secret(SECRET_IN_QUERY, "key");
	ask("db.test:443");
	HEARD(agent, "1 :status: 502\n");
	HEARD(agent, "has no query");
	NOT_HEARD(server, "CONNECT");
}

/* What has no one meaning, or is more than that. */
Test(http2_tunnel, not_one_place)
{
	static const char *const bad[] = {"db.test", "db.test:0", "db.test:65536", ":443",
		"user@db.test:443", "127.1:443", "0x7f000001:443", "[::]:443"};
	char status[32];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ask(bad[i]);
		snprintf(status, sizeof(status), "%zu :status: 400\n", 2 * i + 1);
		cr_assert(http2_peer_heard(&agent, status) || http2_peer_heard(&agent, "reset 1\n"),
			"%s: %.*s", bad[i], SLICE_PRINT(buffer_slice(&agent.log)));
	}
	cr_assert_eq(buffer_length(&server.log), 0);
	http2_peer_connect(&agent, "db.test:443", "host: other.test:443\n");
	talk();
	HEARD(agent, "an :authority and a Host that differ");
	cr_assert_eq(buffer_length(&server.log), 0);
}

Test(http2_tunnel, one_that_ends_where_it_begins)
{
	nghttp2_nv items[] = {
		{(uint8_t *)":method", (uint8_t *)"CONNECT", 7, 7, 0},
		{(uint8_t *)":authority", (uint8_t *)"db.test:443", 10, 11, 0},
	};

	nghttp2_submit_request(agent.session, NULL, items, 2, NULL, NULL);
	talk();
	HEARD(agent, "1 :status: 400\n");
	HEARD(agent, "a CONNECT that ends where it begins");
	cr_assert_eq(buffer_length(&server.log), 0);
}

Test(http2_tunnel, a_proxy_that_will_not)
{
	ask("db.test:443");
	says(&agent, "too early", true);
	http2_peer_answer(&server, 1, "407", "proxy-authenticate: Basic\n", "who", NULL);
	says(&agent, "too late", true);
	HEARD(agent, "1 :status: 407\n1 proxy-authenticate: Basic\n1 data 3 who\n1 end\n");
	NOT_HEARD(server, "too ");
	HEARD(server, "1 end\n");
	cr_assert_eq(run.tunnel_count, 0);
	cr_assert(holds(&run.events, "\"407\" error 407"));
}

Test(http2_tunnel, what_is_said_too_early_waits)
{
	ask("db.test:443");
	says(&agent, "hello", false);
	NOT_HEARD(server, "hello");
	http2_peer_agree(&server, 1, NULL);
	talk();
	CAME(SIDE_AGENT, "hello");
	cr_assert(run.tunnels[0].ended[SIDE_AGENT]);
	NOT_HEARD(server, "hello");
}

Test(http2_tunnel, there_can_be_no_more)
{
	run.no_tunnels = true;
	ask("db.test:443");
	http2_peer_agree(&server, 1, NULL);
	talk();
	HEARD(agent, "1 :status: 502\n");
	HEARD(server, RESET("8"));
	NOT_HEARD(agent, "1 :status: 200\n");
	cr_assert_not(run.closed);
}

static void talk_beside(int32_t id, const char *path)
{
	char line[64];

	http2_peer_ask(&agent, "GET", path, NULL, NULL, false);
	talk();
	http2_peer_answer(&server, id, "200", NULL, "beside", NULL);
	talk();
	snprintf(line, sizeof(line), "%d data 6 beside\n", id);
	HEARD(agent, line);
}

/* What the connection has not taken is a window's worth, of that stream alone. */
Test(http2_tunnel, a_slow_connection_holds_up_its_own_stream)
{
	static char much[2 * LIMIT_HTTP2_STREAM_WINDOW];
	struct engine_tunnel *t = &run.tunnels[0];

	memset(much, 'x', sizeof(much));
	establish();
	http2_peer_more(&agent, 1, slice_of(much, sizeof(much)), true);
	talk();
	cr_assert_eq(buffer_length(&t->said[SIDE_AGENT]), LIMIT_HTTP2_STREAM_WINDOW);
	talk_beside(3, "/beside");
	for (int i = 0; i < 8; i++) {
		engine_run_tunnel_takes(&run, 0, SIDE_AGENT);
		talk();
	}
	cr_assert_eq(buffer_length(&t->said[SIDE_AGENT]), sizeof(much));
	http2_peer_more(&server, 1, slice_of(much, sizeof(much)), true);
	talk();
	cr_assert_eq(buffer_length(&t->said[SIDE_SERVER]), LIMIT_HTTP2_STREAM_WINDOW);
	talk_beside(5, "/beside");
}

Test(http2_tunnel, a_slow_agent_is_not_said_more_to)
{
	const nghttp2_settings_entry shut = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
	static char much[LIMIT_HTTP2_STREAM_WINDOW];
	const struct protocol_tunnel *t;
	size_t said = 0;

	memset(much, 'x', sizeof(much));
	nghttp2_submit_settings(agent.session, NGHTTP2_FLAG_NONE, &shut, 1);
	establish();
	t = run.tunnels[0].engine;
	while (t->events->wants(t, SIDE_AGENT) && said < sizeof(much)) {
		engine_run_tunnel_says(&run, 0, SIDE_AGENT, slice_of(much, 4096));
		said += 4096;
	}
	cr_assert_lt(said, sizeof(much) / 2);
	cr_assert(t->events->wants(t, SIDE_SERVER));
	tunnel_says(SIDE_SERVER, "goes on");
	HEARD(server, "1 data 7 goes on\n");
	nghttp2_submit_window_update(agent.session, NGHTTP2_FLAG_NONE, 1, sizeof(much));
	talk();
	cr_assert(t->events->wants(t, SIDE_AGENT));
}

Test(http2_tunnel, nothing_but_content_is_the_connections)
{
	nghttp2_nv trailer = {(uint8_t *)"x-a", (uint8_t *)"b", 3, 1, 0};

	establish();
	nghttp2_submit_headers(agent.session, NGHTTP2_FLAG_END_STREAM, 1, NULL, &trailer, 1, NULL);
	talk();
	HEARD(agent, RESET("1"));
	HEARD(server, "1 reset");
	NOT_HEARD(server, "x-a");
	check_gone();
}

Test(http2_tunnel, nor_of_the_servers)
{
	nghttp2_nv trailer = {(uint8_t *)"x-a", (uint8_t *)"b", 3, 1, 0};

	establish();
	nghttp2_submit_headers(server.session, NGHTTP2_FLAG_END_STREAM, 1, NULL, &trailer, 1, NULL);
	talk();
	HEARD(server, RESET("1"));
	NOT_HEARD(agent, "x-a");
	tunnel_ends(SIDE_AGENT, false);
	HEARD(agent, RESET("1"));
	check_gone();
}

Test(http2_tunnel, both_are_told_when_the_session_ends)
{
	establish();
	engine_run_abort(&run, REASON_KILLED);
	cr_assert_null(run.tunnels[0].engine);
	http2_peer_listen(&agent);
	http2_peer_listen(&server);
	HEARD(agent, RESET("10"));
	HEARD(server, RESET("8"));
}

Test(http2_tunnel, a_server_that_closes_its_connection)
{
	establish();
	says(&server, "part", true);
	engine_run_end(&run, SIDE_SERVER);
	cr_assert(run.tunnels[0].reset[SIDE_SERVER]);
	cr_assert_not(run.closed);
	engine_run_tunnel_says(&run, 0, SIDE_AGENT, slice_from_string("part"));
	engine_run_tunnel_ends(&run, 0, SIDE_AGENT, false);
	http2_peer_listen(&agent);
	HEARD(agent, "1 data 4 part\n" RESET("10"));
	cr_assert(run.closed);
}

Test(http2_tunnel, an_agent_that_closes_its_connection)
{
	establish();
	engine_run_end(&run, SIDE_AGENT);
	cr_assert(run.closed);
}

/* More than one at a time, as far as streams go, and each by itself. */
Test(http2_tunnel, many_at_once)
{
	for (int i = 0; i < 60; i++) {
		ask("db.test:443");
		http2_peer_agree(&server, 2 * i + 1, NULL);
		talk();
	}
	cr_assert_eq(run.tunnel_count, 60);
	http2_peer_more(&agent, 2 * 7 + 1, slice_from_string("seven"), true);
	http2_peer_more(&agent, 2 * 9 + 1, slice_from_string("nine"), false);
	talk();
	cr_assert(slice_equal_string(buffer_slice(&run.tunnels[7].said[SIDE_AGENT]), "seven"));
	cr_assert(slice_equal_string(buffer_slice(&run.tunnels[9].said[SIDE_AGENT]), "nine"));
	engine_run_tunnels_relay(&run);
	talk();
	HEARD(server, "15 data 5 seven\n");
	HEARD(server, "19 data 4 nine\n19 end\n");
}
