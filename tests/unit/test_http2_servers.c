/* SPDX-License-Identifier: Apache-2.0
 *
 * What servers do over HTTP/2 besides answering: streams that they give up, bodies that must not
 * be.
 */
#include "tests/unit/http2_run.h"

static const char rules[] = "config:\n"
			    "  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
			    "  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
			    "rules:\n"
			    "  - { name: read, operations: [read, connect], allow: {} }\n";

static void begin(void)
{
	http_run_begin_with(rules);
	http2_run_begin();
}

TestSuite(http2_servers, .init = begin, .fini = http2_run_end);

static void ask(const char *method, const char *path)
{
	http2_peer_ask(&agent, method, path, NULL, NULL, false);
	talk();
}

static void gives_up(uint32_t error)
{
	nghttp2_submit_rst_stream(server.session, NGHTTP2_FLAG_NONE, 1, error);
	talk();
}

/* The connection lives on. */
static void check_next(void)
{
	ask("GET", "/after");
	HEARD(server, "3 :path: /after\n");
	cr_assert_not(run.closed);
}

/* NO_ERROR without an end is no end (RFC 9113, 8.1). */
Test(http2_servers, a_response_that_is_not_ended_is_not_whole)
{
	ask("GET", "/a");
	http2_peer_agree(&server, 1, NULL);
	talk();
	http2_peer_more(&server, 1, slice_from_string("half"), true);
	talk();
	HEARD(agent, "1 data 4 half\n");
	gives_up(NGHTTP2_NO_ERROR);
	HEARD(agent, "1 reset 2\n");
	cr_assert_not(http2_peer_heard(&agent, "1 end\n"));
	cr_assert_not(holds(&run.events, "! result"));
	check_next();
}

Test(http2_servers, a_tunnel_that_is_not_ended_is_not_whole)
{
	http2_peer_connect(&agent, "db.test:443", NULL);
	talk();
	http2_peer_agree(&server, 1, NULL);
	talk();
	http2_peer_more(&server, 1, slice_from_string("half"), true);
	talk();
	gives_up(NGHTTP2_NO_ERROR);
	cr_assert(run.tunnels[0].reset[SIDE_SERVER], "its session is told so");
	engine_run_tunnel_says(&run, 0, SIDE_AGENT, slice_from_string("half"));
	engine_run_tunnel_ends(&run, 0, SIDE_AGENT, false);
	talk();
	HEARD(agent, "1 data 4 half\n1 reset 10\n");
	cr_assert_not(http2_peer_heard(&agent, "1 end\n"));
	check_next();
}

Test(http2_servers, a_body_that_must_not_be)
{
	static const char *const cases[][2] = {{"GET", "204"}, {"GET", "304"}, {"HEAD", "200"}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (i) {
			http2_peer_done(&agent);
			http2_peer_done(&server);
			http_run_restart();
			http2_run_begin();
		}
		ask(cases[i][0], "/a");
		http2_peer_answer(&server, 1, cases[i][1], NULL, "hello", NULL);
		talk();
		HEARD(agent, "1 reset ");
		cr_assert_not(http2_peer_heard(&agent, "hello"), "%zu", i);
		check_next();
	}
}

/* More, or less, than was said before. */
Test(http2_servers, a_body_of_another_length)
{
	static const char *const lengths[] = {"content-length: 4\n", "content-length: 6\n"};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		if (i) {
			http2_peer_done(&agent);
			http2_peer_done(&server);
			http_run_restart();
			http2_run_begin();
		}
		ask("GET", "/a");
		http2_peer_answer(&server, 1, "200", lengths[i], "hello", NULL);
		talk();
		HEARD(agent, "1 reset ");
		cr_assert_not(http2_peer_heard(&agent, "1 end\n"), "%zu", i);
		check_next();
	}
}
