/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that would write back what stood in the place of masked values, over HTTP/1.1 and
 * HTTP/2: in content of any form and coding, or in the query.
 */
#include "base/limits.h"
#include "protocol/http2/http2.h"
#include "tests/harness/coded.h"
#include "tests/unit/http2_run.h"

#define MODE(mode) "config:\n  mode: " mode "\n"
#define RULES                                                                                      \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"                        \
	"  reviewers: { dba: { local_users: [root] } }\n"                                          \
	"rules:\n"                                                                                 \
	"  - name: read\n"                                                                         \
	"    operations: [read]\n"                                                                 \
	"    allow: { mask: [{ json: [\"$.ssn\"], with: redact }] }\n"                             \
	"  - { name: write, operations: [POST, PUT, PATCH, DELETE], objects: [\"/v1/**\"], "       \
	"allow: "                                                                                  \
	"{} }\n"                                                                                   \
	"  - { name: bodies, operations: [POST], objects: [\"/mcp\"], body: { \"$.a\": [\"*\"] "   \
	"}, "                                                                                      \
	"allow: {} }\n"                                                                            \
	"  - { name: talk, operations: [POST], objects: [\"/messages\"], allow: { masked_values: " \
	"pass "                                                                                    \
	"} }\n"                                                                                    \
	"  - { name: ask, operations: [POST], objects: [\"/ask\"], review: { by: dba } }\n"

static void begin(void)
{
	http_run_begin_with(MODE("enforce") RULES);
}

static void begin2(void)
{
	begin();
	http2_run_begin();
}

TestSuite(http_written, .init = begin, .fini = http_run_end);
TestSuite(http2_written, .init = begin2, .fini = http2_run_end);

#define HASH "[hash:0123456789abcdef]"

struct content {
	const char *type, *text;
	bool written; /* back */
};

static const struct content contents[] = {
	{"application/json", "{\"ssn\":\"[masked]\",\"name\":\"ann\"}", true},
	{"application/json", "{\"name\":\"ann\",\"hash\":\"" HASH "\"}", true},
	{"application/merge-patch+json", "{\"key\":\"W21hc2tlZF0=\"}", true},
	{"application/x-www-form-urlencoded", "name=ann&ssn=%5Bmasked%5D", true},
	{"application/x-www-form-urlencoded", "name=ann&ssn=%5bm%61sked]&b=1", true},
	{"application/x-www-form-urlencoded", "a=%%5Bhash%3A0123456789abcdef%5D", true},
	{"application/x-www-form-urlencoded; charset=utf-8", "a=[masked]", true},
	{"multipart/form-data; boundary=x",
		"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n[masked]\r\n--x--\r\n",
		true},
	{"text/csv", "name,ssn\r\nann,[masked]\r\n", true},
	{"", "ssn: \"[masked]\"", true},
	{"application/json", "{\"ssn\":\"masked\",\"a\":\"[mask]\",\"b\":\"[hash:0123]\"}", false},
	{"application/x-www-form-urlencoded", "a=%5Bmasked%5&b=%5%42masked%5D&c=%", false},
	{"application/json", "{\"a\":\"%5Bmasked%5D\"}", false},
};

static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};

static void ask(const char *method, const char *target, const char *type, const char *coding,
	struct slice body, size_t step)
{
	char *head =
		memory_format("%s %s HTTP/1.1\r\nHost: h\r\n%s%s%s%s%s%sContent-Length: %zu\r\n"
			      "\r\n",
			method, target, type[0] ? "Content-Type: " : "", type,
			type[0] ? "\r\n" : "", coding ? "Content-Encoding: " : "",
			coding ? coding : "", coding ? "\r\n" : "", body.length);

	http_run_restart();
	agent_sends(head);
	for (size_t at = 0; at < body.length; at += step)
		engine_run_feed(&run, SIDE_AGENT, slice_head(slice_from(body, at), step));
	free(head);
}

static bool is_refused(void)
{
	bool refused = holds(&run.sent[SIDE_AGENT], "\"error\": \"mask_written_back\"");

	if (refused)
		AGENT_REFUSED("403");
	return refused;
}

Test(http_written, whatever_its_form)
{
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		const struct content *c = &contents[i];
		struct slice body = slice_from_string(c->text);

		for (size_t j = 0; j < ARRAY_SIZE(methods); j++) {
			ask(methods[j], "/v1/a", c->type, NULL, body, SIZE_MAX);
			cr_expect_eq(is_refused(), c->written, "%s %s", methods[j], c->text);
			/* All of it never came. */
			cr_expect(!c->written || !holds(&run.sent[SIDE_SERVER], c->text));
		}
		for (size_t step = 1; step < 9; step++) {
			ask("PUT", "/v1/a", c->type, NULL, body, step);
			cr_expect_eq(is_refused(), c->written, "%s in steps of %zu", c->text, step);
		}
		/* Read whole, as rules look into it; over 1 MiB it is judged without. */
		ask("POST", "/mcp", "application/json", NULL,
			slice_from_string("{\"a\":\"[masked]\"}"), 3);
		cr_expect(is_refused());
		cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
	}
}

Test(http_written, in_codings)
{
	static const char *const codings[] = {"gzip", "br", "zstd", "deflate", "gzip,br"};

	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(contents); j++) {
			const struct content *c = &contents[j];
			struct buffer body;

			buffer_init(&body, 1u << 20);
			coded_append(&body, codings[i], slice_from_string(c->text));
			ask("PATCH", "/v1/a", c->type, codings[i], buffer_slice(&body), SIZE_MAX);
			cr_expect_eq(is_refused(), c->written, "%s: %s", codings[i], c->text);
			ask("PATCH", "/v1/a", c->type, codings[i], buffer_slice(&body), 1);
			cr_expect_eq(is_refused(), c->written, "%s: %s", codings[i], c->text);
			buffer_done(&body);
		}
	}
}

/* What looks into it is kept for no longer than there is content, also where that is refused. */
Test(http_written, in_codings_memory)
{
	const struct http_request *r;
	struct buffer body;

	buffer_init(&body, 1u << 20);
	coded_append(&body, "br", slice_from_string("{\"a\":1}"));
	agent_sends("PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\n"
		    "Content-Length: 100\r\n\r\n");
	engine_run_feed(&run, SIDE_AGENT, slice_head(buffer_slice(&body), 3));
	r = &http_engine_of(run.engine)->request;
	cr_assert_not_null(r->writes.decoder);
	ask("PUT", "/v1/a", "application/json", "br", buffer_slice(&body), SIZE_MAX);
	r = &http_engine_of(run.engine)->request;
	cr_expect_null(r->writes.decoder, "before there is an answer");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	ask("PUT", "/v1/a?b=[masked]", "application/json", "br", buffer_slice(&body), SIZE_MAX);
	cr_expect(is_refused());
	r = &http_engine_of(run.engine)->request;
	cr_expect_null(r->writes.decoder);
	buffer_done(&body);
}

/* What can't be read might hold it. */
Test(http_written, in_codings_that_cannot_be_read)
{
	ask("PUT", "/v1/a", "text/plain", "compress", slice_from_string("abc"), SIZE_MAX);
	cr_expect(is_refused());
	SERVER_GOT("");
	ask("PUT", "/v1/a", "text/plain", "gzip", slice_from_string("this is no gzip"), SIZE_MAX);
	cr_expect(is_refused());
	ask("PUT", "/v1/a", "text/plain", "aws-chunked", slice_from_string("3\r\nabc\r\n"),
		SIZE_MAX);
	cr_expect_not(is_refused());
	ask("PUT", "/v1/a", "text/plain", "aws-chunked", slice_from_string("8\r\n[masked]\r\n"),
		SIZE_MAX);
	cr_expect(is_refused());
	ask("GET", "/v1/a", "", NULL, SLICE_EMPTY, SIZE_MAX);
	cr_expect_not(is_refused());
}

Test(http_written, in_the_query)
{
	static const char *const targets[] = {"/v1/a?ssn=[masked]", "/v1/a?b=1&ssn=%5Bmasked%5D",
		"/v1/a?x=%5bhash:0123456789abcdef%5d"};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(methods); j++) {
			ask(methods[j], targets[i], "", NULL, SLICE_EMPTY, SIZE_MAX);
			cr_expect(is_refused(), "%s %s", methods[j], targets[i]);
			SERVER_GOT("");
		}
		ask("GET", targets[i], "", NULL, SLICE_EMPTY, SIZE_MAX);
		cr_expect_not(is_refused(), "reading writes nothing");
	}
}

/* What talks about what it was shown, as a model's client does. */
Test(http_written, where_a_rule_lets_it)
{
	struct slice body = slice_from_string("{\"a\":\"[masked]\"}");

	ask("POST", "/messages?a=[masked]", "application/json", NULL, body, 1);
	cr_expect_not(is_refused());
	cr_expect(holds(&run.sent[SIDE_SERVER], "{\"a\":\"[masked]\"}"));
	ask("POST", "/messages", "application/json", "compress", body, 1);
	cr_expect_not(is_refused());
}

Test(http_written, what_people_approved_is_looked_at_too)
{
	ask("POST", "/ask", "application/json", NULL, slice_from_string("{\"a\":\"[masked]\"}"), 5);
	cr_expect(is_refused());
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
}

/* --- observing --- */

static void begin_observing(void)
{
	http_run_begin_with(MODE("observe") RULES);
}

/* All of it goes on, and what would have been refused is told, once. */
TestSuite(http_observed, .init = begin_observing, .fini = http_run_end);

Test(http_observed, what_would_be_written_back)
{
	static const char *const told[] = {"would write it back", "can't be read"};
	static const struct {
		const char *method, *target, *coding, *body;
		int told; /* which; -1: nothing */
	} all[] = {{"PUT", "/v1/a", NULL, "{\"a\":\"[masked]\",\"b\":\"[masked]\"}", 0},
		{"POST", "/mcp", NULL, "{\"a\":\"[masked]\"}", 0},
		{"PUT", "/v1/a?b=%5Bmasked%5D", NULL, "", 0},
		{"POST", "/mcp?b=%5Bmasked%5D", NULL, "{\"a\":\"[masked]\"}", 0},
		{"PUT", "/v1/a", "compress", "abc", 1}, {"PUT", "/v1/a", "gzip", "no gzip", 1},
		{"POST", "/messages", NULL, "[masked]", -1}, {"PUT", "/v1/a", NULL, "a", -1}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		char *begin, *again;

		ask(all[i].method, all[i].target, "application/json", all[i].coding,
			slice_from_string(all[i].body), 3);
		cr_expect(holds(&run.sent[SIDE_SERVER], all[i].body), "%zu", i);
		begin = memory_copy_text(
			buffer_slice(&run.events).data, buffer_length(&run.events));
		again = all[i].told < 0 ? NULL : strstr(begin, told[all[i].told]);
		cr_expect_eq(again != NULL, all[i].told >= 0, "%zu: %s", i, begin);
		cr_expect(!again || !strstr(again + 1, told[all[i].told]), "%zu: %s", i, begin);
		cr_expect(all[i].told >= 0 || !strstr(begin, "mask_written_back"), "%s", begin);
		free(begin);
	}
}

/* What would be refused as it stands goes on whole, whatever it holds. */
Test(http_observed, what_would_be_refused_for_something_else)
{
	agent_sends("PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n"
		    "Content-Length: 1\r\n\r\n\x1f");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	agent_sends("POST /mcp HTTP/1.1\r\nHost: h\r\nX_HTTP_Method_Override: a\r\n"
		    "Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
		    "{\"a\":\"[masked]\"}");
	cr_expect(holds(&run.sent[SIDE_SERVER], "{\"a\":\"[masked]\"}"));
	/* Its head is reason enough. */
	cr_expect(holds(&run.events, "! would refuse protocol_violation "));
	cr_expect_not(holds(&run.events, "would write it back"));
	cr_expect_not(holds(&run.events, "can't be read"));
	cr_expect_not(run.closed);
}

/* --- HTTP/2 --- */

Test(http2_written, whatever_its_form)
{
	int32_t id = 1;

	agent.step = server.step = 11;
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		const struct content *c = &contents[i];
		char *fields = c->type[0] ? memory_format("content-type: %s\n", c->type) : NULL;

		for (size_t j = 0; j < ARRAY_SIZE(methods); j++, id += 2) {
			char refused[64];

			snprintf(refused, sizeof(refused), "%d :status: 403\n", id);
			http2_peer_ask(&agent, methods[j], "/v1/a", fields, c->text, false);
			talk();
			cr_expect_eq(http2_peer_heard(&agent, refused), c->written, "%s %s",
				methods[j], c->text);
		}
		free(fields);
	}
}

Test(http2_written, in_codings_and_queries)
{
	static const char fields[] = "content-type: application/json\ncontent-encoding: gzip\n";
	struct buffer body;

	buffer_init(&body, 1u << 20);
	coded_append(&body, "gzip", slice_from_string("{\"ssn\":\"[masked]\"}"));
	http2_peer_ask(&agent, "PUT", "/v1/a", fields, "", true);
	http2_peer_ask(&agent, "PUT", "/v1/a?b=%5Bmasked%5D", NULL, NULL, false);
	http2_peer_ask(&agent, "PUT", "/v1/a", "content-encoding: compress\n", "abc", false);
	http2_peer_ask(&agent, "POST", "/messages?b=%5Bmasked%5D", NULL, "[masked]", false);
	http2_peer_ask(&agent, "POST", "/mcp", "content-type: application/json\n",
		"{\"a\":\"[masked]\"}", false);
	http2_peer_ask(&agent, "POST", "/ask", NULL, "[masked]", false);
	talk();
	http2_peer_more(&agent, 1, buffer_slice(&body), false);
	talk();
	HEARD(agent, "1 :status: 403\n");
	HEARD(agent, "3 :status: 403\n");
	HEARD(agent, "5 :status: 403\n");
	HEARD(agent, "9 :status: 403\n");
	HEARD(agent, "11 :status: 403\n");
	HEARD(server, "data 8 [masked]\n");
	cr_expect_not(http2_peer_heard(&server, "/mcp"));
	cr_expect_not(http2_peer_heard(&server, "/ask"));
	buffer_done(&body);
}

/* Of zstd, a frame with a window of 8 MiB, and its first block, of five bytes. */
static const char wide[] = "\x28\xb5\x2f\xfd\x00\x68\x28\x00\x00hello";

static int32_t begins_wide(void)
{
	int32_t id = http2_peer_ask(&agent, "PUT", "/v1/a", "content-encoding: zstd\n", "", true);

	talk();
	http2_peer_more(&agent, id, slice_of(wide, sizeof(wide) - 1), true);
	talk();
	return id;
}

static bool is_denied(int32_t id)
{
	char line[64];

	snprintf(line, sizeof(line), "\n%d :status: 403\n", id);
	return http2_peer_heard(&agent, line) ||
		slice_starts_with(buffer_slice(&agent.log), slice_from_string(line + 1));
}

/* What looks into content counts among what a connection may hold, until it came to its end. */
Test(http2_written, in_codings_memory)
{
	const struct http2 *h;
	uint8_t last[] = {0x29, 0, 0, 'h', 'e', 'l', 'l', 'o'};

	cr_expect_not(is_denied(begins_wide()));
	h = http_engine_of(run.engine)->h2;
	cr_expect_gt(h->held, 8u << 20);
	for (unsigned i = 1; i < LIMIT_HTTP2_STREAMS; i++) {
		int32_t id = begins_wide();

		cr_expect_eq(is_denied(id), i >= 3, "%u", i);
		cr_expect_leq(h->held, LIMIT_HTTP2_HELD);
	}
	HEARD(agent, "no more memory to decode its content");
	for (int32_t id = 1; id < 7; id += 2) {
		cr_expect_not(is_denied(id));
		http2_peer_more(&agent, id, slice_of(last, sizeof(last)), false);
		talk();
	}
	HEARD(server, "5 end\n");
	cr_expect_eq(h->held, 0);
	for (int32_t id = 1; id < 7; id += 2)
		http2_peer_answer(&server, id, "204", NULL, NULL, NULL);
	talk();
	cr_expect_not(is_denied(begins_wide()));
	cr_assert_not(run.closed);
}

static void begin_observing2(void)
{
	begin_observing();
	http2_run_begin();
}

TestSuite(http2_observed, .init = begin_observing2, .fini = http2_run_end);

/* It goes on, and is looked into no further. */
Test(http2_observed, in_codings_memory)
{
	for (unsigned i = 0; i < 20; i++) {
		cr_expect_not(is_denied(begins_wide()));
		cr_expect_leq(http_engine_of(run.engine)->h2->held, LIMIT_HTTP2_HELD);
	}
	cr_expect(holds(&run.events, "no more memory to decode its content"));
	HEARD(server, "39 data 14");
}
