/* SPDX-License-Identifier: Apache-2.0
 *
 * The resource's secret in requests of HTTP/2.
 */
#include "base/limits.h"
#include "tests/unit/http2_run.h"

static void begin(void)
{
	http_run_begin();
	bench.allow_cleartext = true;
}

TestSuite(http2_credentials, .init = begin, .fini = http2_run_end);

static void logs_in(enum secret_place place, const char *name, const char *secret)
{
	bench.password = secret;
	bench.secret_place = place;
	bench.secret_name = name;
	http_run_restart();
	http2_run_begin();
}

static void get(const char *path, const char *fields)
{
	http2_peer_ask(&agent, "GET", path, fields, NULL, false);
	talk();
}

#define NEVER_HEARD(peer, text) cr_assert_not(http2_peer_heard(&(peer), text))

Test(http2_credentials, in_place_of_the_agents)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	get("/v1/a", "authorization: Bearer mine\na: b\n");
	HEARD(server, "1 authorization: Bearer s3cret\n");
	HEARD(server, "1 a: b\n");
	NEVER_HEARD(server, "mine");
	get("/v1/a", "authorization: Bearer mine\n");
	HEARD(server, "3 authorization: Bearer s3cret\n");
	http2_peer_answer(&server, 1, "200", NULL, "hello", NULL);
	talk();
	HEARD(agent, "1 data 5 hello\n");
	cr_assert_not(holds(&run.events, "s3cret"));
}

Test(http2_credentials, whom_it_is_of)
{
	bench.impersonates = "impersonate-user: ci\r\nimpersonate-group: a\r\n"
			     "impersonate-group: b\r\n";
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	get("/v1/a", "impersonate-user: root\nimpersonate-extra-x: y\na: b\n");
	HEARD(server,
		"1 a: b\n1 impersonate-user: ci\n1 impersonate-group: a\n"
		"1 impersonate-group: b\n1 authorization: Bearer s3cret\n");
	NEVER_HEARD(server, "root");
	NEVER_HEARD(server, "impersonate-extra");
}

Test(http2_credentials, names_are_in_lower_case)
{
	logs_in(SECRET_IN_HEADER, "X-Api-Key", "k1");
	get("/v1/a", "x-api-key: mine\nx_api_key: mine\n");
	HEARD(server, "1 x-api-key: k1\n");
	NEVER_HEARD(server, "mine");
}

Test(http2_credentials, in_the_query)
{
	logs_in(SECRET_IN_QUERY, "api_key", "a/b");
	get("/v1/a?x=1&api_key=mine", NULL);
	HEARD(server, "1 :path: /v1/a?api_key=a%2Fb&x=1\n");
	http2_peer_answer(&server, 1, "302",
		"location: /b?api_key=a%2Fb&y=2\nx-other: 1\n"
		"content-location: /b#?api_key=a\n",
		NULL, NULL);
	talk();
	HEARD(agent, "1 location: /b?y=2\n");
	HEARD(agent, "1 x-other: 1\n");
	NEVER_HEARD(agent, "content-location");
	NEVER_HEARD(agent, "api_key");
}

/* What HPACK's tables hold does not depend on it. */
Test(http2_credentials, in_no_table)
{
	char secret[2000];
	size_t sizes[2];

	memset(secret, 'x', sizeof(secret) - 1);
	secret[sizeof(secret) - 1] = '\0';
	for (int i = 0; i < 2; i++) {
		logs_in(SECRET_IN_BEARER, NULL, i ? secret : "s3cret");
		get("/v1/a", NULL);
		HEARD(server, i ? secret : "Bearer s3cret");
		sizes[i] = nghttp2_session_get_hd_inflate_dynamic_table_size(server.session);
		if (i)
			continue;
		http2_peer_done(&agent);
		http2_peer_done(&server);
	}
	cr_assert_gt(sizes[0], 0);
	cr_assert_eq(sizes[0], sizes[1]);
}

Test(http2_credentials, only_where_the_server_is_verified)
{
	bench.allow_cleartext = false;
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	get("/v1/a", NULL);
	HEARD(agent, "1 :status: 502\n");
	HEARD(agent, "not verified by TLS");
	NEVER_HEARD(server, ":path");
	http2_peer_ask(&agent, "TRACE", "/v1/a", NULL, NULL, false);
	talk();
	cr_assert_not(run.closed);
}

Test(http2_credentials, what_is_refused_needs_none)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	http2_peer_ask(&agent, "DELETE", "/v1/a", NULL, NULL, false);
	talk();
	HEARD(agent, "1 :status: 403\n");
	cr_assert_not(holds(&run.events, "! proof"));
}

Test(http2_credentials, that_cannot_be_had)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	run.fail_proof = true;
	get("/v1/a", NULL);
	HEARD(agent, "1 :status: 502\n");
	HEARD(agent, "no proof today");
	run.fail_proof = false;
	get("/v1/a", NULL);
	HEARD(server, "authorization: Bearer s3cret\n");
}

Test(http2_credentials, that_cannot_stand_in_a_request)
{
	logs_in(SECRET_IN_BEARER, NULL, "two\r\nlines");
	get("/v1/a", NULL);
	HEARD(agent, "1 :status: 502\n");
	NEVER_HEARD(server, "two");
	cr_assert_not(run.closed);
}

/* Streams wait for one answer together; who gives up meanwhile gets nothing of it. */
Test(http2_credentials, while_it_is_asked_for)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	run.keep_proof = true;
	get("/v1/a", NULL);
	http2_peer_ask(&agent, "POST", "/v1/b", NULL, "body", false);
	talk();
	get("/v1/c", NULL);
	nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_CANCEL);
	talk();
	NEVER_HEARD(server, ":path");
	run.engine->protocol->proven(run.engine, 0, slice_from_string("s3cret"));
	talk();
	NEVER_HEARD(server, "/v1/a");
	HEARD(server, ":path: /v1/b\n");
	HEARD(server, "data 4 body\n");
	HEARD(server, ":path: /v1/c\n");
}
