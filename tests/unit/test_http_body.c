/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules that look into bodies, over HTTP/1.1 and HTTP/2: nothing goes on before the body was
 * judged.
 */
#include "base/limits.h"
#include "tests/unit/http2_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: calls, operations: [POST], objects: [\"/mcp\"], body: { \"$.method\": [list] "
	"}, "
	"allow: {} }\n"
	"  - { name: asks, operations: [POST], objects: [\"/mcp\"], body: { \"$.method\": [drop] "
	"}, "
	"review: { by: dba } }\n"
	"  - { name: uploads, operations: [POST], objects: [\"/up\"], allow: {} }\n"
	"  - { name: not these, operations: [POST], objects: [\"/mcp\", \"/no\"], body: { "
	"\"$.bad\": "
	"[\"*\"] }, deny: {} }\n"
	"  - { name: or those, operations: [POST], objects: [\"/no\"], allow: {} }\n"
	"  - { name: large, operations: [POST], objects: [\"/large\"], body: { \"$.a\": [b] }, "
	"allow: { mask: [{ detect: [email], with: redact }] } }\n"
	"  - { name: also large, operations: [POST], objects: [\"/large\"], allow: {} }\n";

static void begin(void)
{
	http_run_begin_with(rules);
}

static void begin2(void)
{
	begin();
	http2_run_begin();
}

TestSuite(http_body, .init = begin, .fini = http_run_end);
TestSuite(http2_body, .init = begin2, .fini = http2_run_end);

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define JSON "Content-Type: application/json\r\n"

static char *request(const char *path, const char *fields, const char *body)
{
	return memory_format("POST %s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n%s", path,
		fields, strlen(body), body);
}

static void ask(const char *path, const char *fields, const char *body)
{
	char *text = request(path, fields, body);

	http_run_restart();
	agent_sends(text);
	free(text);
}

/* Whether it went on, whole. */
static bool passes(const char *fields, const char *body)
{
	char *text = request("/mcp", fields, body);
	bool passed;

	http_run_restart();
	agent_sends(text);
	passed = slice_equal_string(buffer_slice(&run.sent[SIDE_SERVER]), text);
	cr_assert(passed || buffer_length(&run.sent[SIDE_SERVER]) == 0);
	free(text);
	return passed;
}

Test(http_body, not_a_byte_before_the_verdict)
{
	agent_sends("POST /mcp HTTP/1.1\r\nHost: h\r\n" JSON "Expect: 100-continue\r\n"
		    "Content-Length: 17\r\n\r\n");
	AGENT_GOT("HTTP/1.1 100 Continue\r\n\r\n");
	agent_sends("{\"method\":\"list\"");
	SERVER_GOT("");
	agent_sends("}");
	SERVER_GOT("POST /mcp HTTP/1.1\r\nHost: h\r\n" JSON
		   "Content-Length: 17\r\n\r\n{\"method\":\"list\"}");
	server_sends(OK);
	AGENT_GOT(OK);
	agent_sends("POST /mcp HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 3\r\n\r\n{");
	agent_sends("}x");
	AGENT_REFUSED("403");
	SERVER_GOT("");
	cr_assert_not(run.closed);
	cr_assert(holds(&run.events, "{}x"), "what was refused for its body is recorded with it");
}

Test(http_body, in_chunks)
{
	agent_sends("POST /mcp HTTP/1.1\r\nHost: h\r\n" JSON
		    "Transfer-Encoding: chunked\r\n\r\n9\r\n{\"method\"\r\n8\r\n:\"list\"}\r\n");
	SERVER_GOT("");
	agent_sends("0\r\nChecksum: 1\r\n\r\n");
	SERVER_GOT("POST /mcp HTTP/1.1\r\nHost: h\r\n" JSON
		   "Transfer-Encoding: chunked\r\n\r\n11\r\n{\"method\":\"list\"}\r\n0\r\n"
		   "Checksum: 1\r\n\r\n");
}

Test(http_body, what_it_claims_to_be)
{
	static const char list[] = "{\"method\":\"list\"}";
	static const char *const json[] = {"content-type: application/json\r\n",
		"Content-Type: APPLICATION/JSON ; charset=\"UTF-8\"\r\n",
		"Content-Type: application/vnd.api+json; charset=utf-8\r\n",
		"Content-Type: application/json\r\nContent-Encoding: identity\r\n"};
	static const char *const others[] = {"", "Content-Type: text/plain\r\n",
		"Content-Type: application/json; charset=utf-16\r\n",
		"Content-Type: application/json\r\nContent-Type: application/json\r\n",
		"Content-Type: application/jsonx\r\n", "Content-Type: +json\r\n",
		"Content-Type: application/x-www-form-urlencoded,+json\r\n",
		"Content-Type: application/x-www-form-urlencoded +json\r\n",
		"Content-Type: application/json;a=b, text/plain\r\n",
		"Content-Type: application/a/b+json\r\n",
		"Content-Type: application/json-patch+json\r\n",
		"Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
		"Content-Type: multipart/form-data; boundary=x\r\n"};

	for (size_t i = 0; i < sizeof(json) / sizeof(*json); i++)
		cr_assert(passes(json[i], list), "%s", json[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		cr_assert_not(passes(others[i], list), "%s", others[i]);
	cr_assert(passes("Content-Type: application/x-www-form-urlencoded\r\n", "method=list"));
	cr_assert_not(passes(JSON, "method=list"));
	cr_assert_not(passes(JSON, ""));
	cr_assert(passes(JSON, "[{\"method\":\"list\"},{\"method\":\"list\"}]"));
	cr_assert_not(passes(JSON, "[{\"method\":\"list\"},{\"method\":\"list\",\"bad\":1}]"));
}

Test(http_body, people_see_it)
{
	ask("/mcp", JSON, "{\"method\":\"drop\"}");
	cr_assert(holds(&run.events, "! held : "));
	cr_assert(holds(&run.events, "{\\x22method\\x22:\\x22drop\\x22}"));
}

Test(http_body, nobody_waits_where_no_rule_asks)
{
	agent_sends("POST /up HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 9\r\n\r\n{");
	SERVER_GOT("POST /up HTTP/1.1\r\nHost: h\r\n" JSON "Content-Length: 9\r\n\r\n{");
}

static char *large(size_t length)
{
	char *body = memory_new(length + 1);

	memset(body, ' ', length);
	return body;
}

/* What is larger than is looked into is an unknown: an allow does not take it, a deny does. */
Test(http_body, too_large)
{
	char *body = large(LIMIT_HTTP_BODY_HELD + 1);

	memcpy(body, "{\"method\":\"list\"}", 17);
	cr_assert_not(passes(JSON, body));
	AGENT_REFUSED("403");
	body[LIMIT_HTTP_BODY_HELD] = '\0';
	cr_assert(passes(JSON, body));
	body[LIMIT_HTTP_BODY_HELD] = ' ';
	ask("/no", JSON, body);
	AGENT_REFUSED("403");
	SERVER_GOT("");
	free(body);
}

/* What is allowed anyway goes on whole, with the masks of the rule that may have meant it. */
Test(http_body, too_large_and_allowed)
{
	for (size_t more = 1; more < 5; more += 3) {
		char *body = large(LIMIT_HTTP_BODY_HELD + more), *text;
		struct slice sent;

		ask("/large", JSON, body);
		text = request("/large", JSON, body);
		sent = buffer_slice(&run.sent[SIDE_SERVER]);
		cr_assert(sent.length > strlen(body));
		cr_assert_eq(memcmp(sent.data + sent.length - strlen(body), body, strlen(body)), 0);
		server_sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na@b.c");
		cr_assert(holds(&run.sent[SIDE_AGENT], "200 OK"));
		buffer_clear(&run.sent[SIDE_SERVER]);
		agent_sends("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
		SERVER_GOT("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
		free(body);
		free(text);
	}
}

/* --- HTTP/2 --- */

Test(http2_body, not_a_byte_before_the_verdict)
{
	agent.step = server.step = 1;
	http2_peer_ask(&agent, "POST", "/mcp", "content-type: application/json\n",
		"{\"method\":\"list\"}", false);
	http2_peer_ask(&agent, "POST", "/mcp", "content-type: application/json\n",
		"{\"method\":\"other\"}", false);
	http2_peer_ask(&agent, "POST", "/mcp", "content-type: application/json\n",
		"{\"method\":\"drop\"}", false);
	talk();
	HEARD(server, "1 data 17 {\"method\":\"list\"}\n1 end\n");
	HEARD(agent, "3 :status: 403\n");
	cr_assert_not(http2_peer_heard(&server, "5 "), "the server's third stream");
	cr_assert(holds(&run.events, "! held : "));
	HEARD(server, "3 end\n");
}

Test(http2_body, an_upload_that_no_rule_asks_for_streams)
{
	http2_peer_ask(&agent, "POST", "/up", NULL, "begin", true);
	http2_peer_ask(&agent, "POST", "/mcp", NULL, "begin", true);
	talk();
	HEARD(server, "1 data 5 begin\n");
	cr_assert_not(http2_peer_heard(&server, "3 "));
}

Test(http2_body, too_large)
{
	char *body = large(LIMIT_HTTP_BODY_HELD + 100000), *want;

	http2_peer_ask(&agent, "POST", "/mcp", "content-type: application/json\n", body, false);
	talk();
	HEARD(agent, "1 :status: 403\n");
	cr_assert_not(http2_peer_heard(&server, "/mcp"));
	memset(body, 'x', LIMIT_HTTP_BODY_HELD + 100000);
	http2_peer_ask(&agent, "POST", "/large", "content-type: application/json\n", body, false);
	talk();
	HEARD(server, "1 end\n");
	want = memory_format("1 data 16384 %.16384s\n", body);
	HEARD(server, want);
	http2_peer_answer(&server, 1, "200", NULL, "fine", NULL);
	talk();
	HEARD(agent, "3 :status: 200\n");
	free(want);
	free(body);
}

/* They would go on with what people approved of, who never saw them. */
Test(http_body, nobody_is_asked_about_trailers)
{
	agent_sends("POST /mcp HTTP/1.1\r\nHost: h\r\n" JSON
		    "Transfer-Encoding: chunked\r\n\r\n11\r\n{\"method\":\"drop\"}\r\n"
		    "0\r\nX: 1\r\n\r\n");
	cr_assert_not(holds(&run.events, "! held : "));
}

/* CGI and its heirs read them with "-". */
Test(http_body, names_with_other_letters)
{
	static const char *const names[] = {"X_HTTP_Method_Override", "x-http_method",
		"Content_Type", "transfer_encoding", "X_Original-URL"};
	char fields[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(fields, sizeof(fields), JSON "%s: DELETE\r\n", names[i]);
		ask("/mcp", fields, "{\"method\":\"list\"}");
		AGENT_REFUSED("400");
	}
	cr_assert(passes(JSON "X_Request_Id: 1\r\n", "{\"method\":\"list\"}"));
	ask("/mcp", JSON "X-HTTP-Method-Override: POST\r\n", "{\"method\":\"list\"}");
	cr_assert(holds(&run.sent[SIDE_SERVER], "Override: POST"));
}
