/* SPDX-License-Identifier: Apache-2.0
 *
 * The resource's secret in requests: in place of what the agent says, only where it may be sent.
 */
#include "base/limits.h"
#include "protocol/http/credentials.h"
#include "tests/unit/http_run.h"

TestSuite(http_credentials, .init = http_run_begin, .fini = http_run_end);

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void logs_in(enum secret_place place, const char *name, const char *secret)
{
	bench.password = secret;
	bench.secret_place = place;
	bench.secret_name = name;
	bench.allow_cleartext = true;
	http_run_restart();
}

/* What the server gets of a request with these lines behind Host. */
static void expect(const char *target, const char *fields, const char *expected)
{
	char text[1024];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, fields);
	agent_sends(text);
	LEFT(SIDE_SERVER, expected);
	server_sends(OK);
	AGENT_GOT(OK);
}

Test(http_credentials, in_place_of_the_agents)
{
	static const char bearer[] = "GET /v1/a HTTP/1.1\r\nHost: h\r\nA: b\r\n"
				     "Authorization: Bearer s3cret\r\n\r\n";

	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	expect("/v1/a", "A: b\r\n", bearer);
	expect("/v1/a", "authorization: Basic eDp5\r\nA: b\r\nAUTHORIZATION: x\r\n", bearer);
}

Test(http_credentials, basic)
{
	logs_in(SECRET_IN_BASIC, NULL, "ann:open sesame");
	expect("/v1/a", "Authorization: Bearer x\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic "
		"YW5uOm9wZW4gc2VzYW1l\r\n\r\n");
}

Test(http_credentials, header_in_every_spelling)
{
	logs_in(SECRET_IN_HEADER, "X-Api-Key", "k1");
	expect("/v1/a", "x-api-key: 1\r\nX_API_KEY: 2\r\nX-Api_Key: 3\r\nX-Api-Keys: 4\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nX-Api-Keys: 4\r\nX-Api-Key: k1\r\n\r\n");
}

Test(http_credentials, not_behind_the_body_either)
{
	logs_in(SECRET_IN_HEADER, "X-Api-Key", "k1");
	agent_sends("POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "0\r\nx_api_key: mine\r\nChecksum: 1\r\n\r\n");
	SERVER_GOT("POST /v1/a HTTP/1.1\r\nHost: h\r\nX-Api-Key: k1\r\n"
		   "Transfer-Encoding: chunked\r\n\r\n0\r\nChecksum: 1\r\n\r\n");
}

Test(http_credentials, connection_cannot_take_it_away)
{
	logs_in(SECRET_IN_HEADER, "X-Api-Key", "k1");
	expect("/v1/a", "Connection: x-api-key, a\r\nA: b\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nX-Api-Key: k1\r\n\r\n");
}

#define QUERY(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"

Test(http_credentials, in_the_query)
{
	logs_in(SECRET_IN_QUERY, "api_key", "a/b c");
	expect("/v1/a", "", QUERY("/v1/a?api_key=a%2Fb%20c"));
	expect("/v1/a?", "", QUERY("/v1/a?api_key=a%2Fb%20c"));
	expect("/v1/a?b=%41&c", "", QUERY("/v1/a?api_key=a%2Fb%20c&b=%41&c"));
	expect("/v1/a?api_key=mine&b=1&API_KEY=x;api%5Fkey=y&ap%69-key&api_keys=2", "",
		QUERY("/v1/a?api_key=a%2Fb%20c&b=1&api_keys=2"));
	expect("http://h/v1/a?x", "", QUERY("http://h/v1/a?api_key=a%2Fb%20c&x"));
	cr_assert_not(holds(&run.events, "a/b"), "never recorded");
	cr_assert_not(holds(&run.events, "%2Fb"), "never recorded");
}

/* Servers that lead elsewhere repeat the query. */
Test(http_credentials, not_in_what_leads_elsewhere)
{
	static const struct {
		const char *link, *left;
	} links[] = {
		{"/b?api_key=a%2Fb%20c", "/b"},
		{"/b?x=1&Api%5Fkey=a&y=2;z#f", "/b?x=1&y=2;z#f"},
		{"/b?page=1&xapi_key=2&api_keys=3", "/b?page=1&xapi_key=2&api_keys=3"},
		{"https://h/b?api_key=a&x=?", "https://h/b?x=?"},
		{"/b?", "/b"},
		{"/b#?api_key=a", NULL},
		{"/b?x=1#api_key=a", NULL},
		{"/login?next=%2Fpage%3Fapi_key%3Da", NULL},
		{"/login?next=%252Fpage%253Fap%2569-key%253Da", NULL},
	};
	char response[256], lines[256], left[512];

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		logs_in(SECRET_IN_QUERY, "api_key", "a/b c");
		http_run_restart();
		agent_sends(QUERY("/v1/a"));
		snprintf(response, sizeof(response),
			"HTTP/1.1 307 T\r\nlocation: %s\r\nContent-Location: %s\r\nX: %s\r\n"
			"Content-Length: 0\r\n\r\n",
			links[i].link, links[i].link, links[i].link);
		snprintf(lines, sizeof(lines), "location: %s\r\nContent-Location: %s\r\n",
			links[i].left, links[i].left);
		snprintf(left, sizeof(left),
			"HTTP/1.1 307 T\r\n%sX: %s\r\nContent-Length: 0\r\n\r\n",
			links[i].left ? lines : "", links[i].link);
		server_sends(response);
		AGENT_GOT(left);
	}
}

Test(http_credentials, only_where_the_server_is_verified)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	bench.allow_cleartext = false;
	http_run_restart();
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(holds(&run.sent[SIDE_AGENT], "not verified by TLS"));
	AGENT_REFUSED("502");
	SERVER_GOT("");
	bench.upstream_tls = UPSTREAM_TLS_ON;
	http_run_restart();
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(holds(&run.sent[SIDE_SERVER], "Bearer s3cret"));
	bench.unverified = true;
	http_run_restart();
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	AGENT_REFUSED("502");
	SERVER_GOT("");
}

Test(http_credentials, asked_for_anew_for_each_request)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	expect("/v1/a", "",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\r\n\r\n");
	bench.password = "another";
	expect("/v1/a", "",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer another\r\n\r\n");
	run.fail_proof = true;
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(holds(&run.sent[SIDE_AGENT], "no proof today"));
	AGENT_REFUSED("502");
	SERVER_GOT("");
}

Test(http_credentials, under_way_while_asked_for)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	run.keep_proof = true;
	cr_assert_not(run.engine->protocol->is_busy(run.engine));
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(run.engine->protocol->is_busy(run.engine));
	SERVER_GOT("");
}

Test(http_credentials, what_is_refused_needs_none)
{
	logs_in(SECRET_IN_BEARER, NULL, "s3cret");
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	AGENT_REFUSED("403");
	cr_assert_not(holds(&run.events, "! proof"));
}

Test(http_credentials, that_cannot_stand_in_a_request)
{
	logs_in(SECRET_IN_BEARER, NULL, "x\r\nHost: other");
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	AGENT_REFUSED("502");
	SERVER_GOT("");
	logs_in(SECRET_IN_BASIC, NULL, "no colon");
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	AGENT_REFUSED("502");
	SERVER_GOT("");
}

Test(http_credentials, of_any_length)
{
	static char secret[LIMIT_SECRET_BYTES + 1], expected[3 * LIMIT_SECRET_BYTES + 100];
	struct protocol_credentials c = {.place = SECRET_IN_QUERY, .name = slice_from_string("k")};
	struct buffer out;

	memset(secret, '%', LIMIT_SECRET_BYTES);
	buffer_init(&out, sizeof(expected));
	cr_assert_eq(http_credentials_put_target(
			     &c, slice_from_string("/?k"), slice_from_string(secret), &out),
		0);
	cr_assert_eq(buffer_length(&out), 4 + 3 * LIMIT_SECRET_BYTES);
	buffer_clear(&out);
	memset(secret, ':', LIMIT_SECRET_BYTES);
	c.place = SECRET_IN_BASIC;
	cr_assert_eq(http_credentials_put_value(&c, slice_from_string(secret), &out), 0);
	cr_assert_eq(buffer_length(&out), 6 + (LIMIT_SECRET_BYTES + 2) / 3 * 4);
	buffer_done(&out);
}

/* Pages name the next one so. */
Test(http_credentials, not_in_links)
{
	logs_in(SECRET_IN_QUERY, "api_key", "s");
	agent_sends(QUERY("/v1/a"));
	server_sends("HTTP/1.1 200 K\r\nLink: <http://h/a?api_key=s&page=2>; rel=next, "
		     "</?page=9&api_key=s>; rel=last\r\nRefresh: 5; url=/a?api_key=s\r\n"
		     "Content-Length: 0\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 K\r\nLink: <http://h/a?page=2>; rel=next, </?page=9>; rel=last\r\n"
		  "Refresh: 5; url=/a\r\n"
		  "Content-Length: 0\r\n\r\n");
}
