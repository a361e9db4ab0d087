/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses in which detectors find something, in every form that content comes in.
 */
#include <time.h>

#include "tests/unit/http_run.h"

#define RULES                                                                                      \
	"config:\n"                                                                                \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"                        \
	"rules:\n"                                                                                 \
	"  - name: read\n"                                                                         \
	"    operations: [read, websocket]\n"                                                      \
	"    allow: { mask: [{ detect: [email, credit_card, secret, private_key], with: redact "   \
	"}] }\n"
#define GET "GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static void set_up(void)
{
	engine_bench_init(&bench, RULES);
	engine_run_init(&run, &bench, NULL);
}

TestSuite(http_mask, .init = set_up, .fini = http_run_end);

/* The content of the chunked response that the agent got, with a NUL behind it. */
static char *content(void)
{
	static char joined[4 << 20];
	struct slice sent = buffer_slice(&run.sent[SIDE_AGENT]);
	const uint8_t *at = memmem(sent.data, sent.length, "\r\n\r\n", 4);
	size_t length = 0, n = 1;

	cr_assert(at && holds(&run.sent[SIDE_AGENT], "Transfer-Encoding: chunked"));
	for (at += 4; at < sent.data + sent.length && n; at += n + 2) {
		n = strtoul((const char *)at, NULL, 16);
		at = (const uint8_t *)memchr(at, '\n', 32) + 1;
		memcpy(joined + length, at, n);
		length += n;
	}
	joined[length] = '\0';
	return joined;
}

static void respond(const char *type, const char *body)
{
	char head[256];

	snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nETag: \"x\"\r\nAccept-Ranges: bytes\r\n"
		"Content-Length: %zu\r\n\r\n",
		type, strlen(body));
	server_sends(head);
	server_sends(body);
}

/* Three chunks. */
static void respond_in_pieces(const char *type, const char *a, const char *b, const char *c)
{
	const char *pieces[] = {a, b, c};
	char text[512];

	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n" CHUNKED, type);
	server_sends(text);
	for (size_t i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "%zx\r\n%s\r\n", strlen(pieces[i]), pieces[i]);
		server_sends(text);
	}
	server_sends("0\r\n\r\n");
}

Test(http_mask, json_stays_json)
{
	agent_sends(GET);
	respond("application/json; charset=utf-8",
		"{\"name\":\"ann\",\"mail\":\"ann@acme.com\",\"password\":\"hunter2hunter2\","
		"\"n\":[1,2]}");
	cr_assert_str_eq(content(),
		"{\"name\":\"ann\",\"mail\":\"[masked]\",\"password\":"
		"\"[masked]\",\"n\":[1,2]}");
	cr_assert_not(holds(&run.sent[SIDE_AGENT], "ETag"));
	cr_assert_not(holds(&run.sent[SIDE_AGENT], "Accept-Ranges"));
	cr_assert_not(holds(&run.sent[SIDE_AGENT], "Content-Length"));
	cr_assert_not(run.closed);
}

Test(http_mask, what_claims_to_be_json)
{
	agent_sends(GET);
	respond("application/json", "not json, but ann@acme.com");
	cr_assert_str_eq(content(), "not json, but [masked]");
}

Test(http_mask, text_byte_by_byte)
{
	static const char body[] = "to ann@acme.com, card 4111 1111 1111 1111.\n";

	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" CHUNKED);
	for (size_t i = 0; i < sizeof(body) - 1; i++) {
		char chunk[16];

		snprintf(chunk, sizeof(chunk), "1\r\n%c\r\n", body[i]);
		server_sends(chunk);
	}
	server_sends("0\r\nX-Mail: ann@acme.com\r\n\r\n");
	cr_assert_str_eq(content(), "to [masked], card [masked].\n");
	cr_assert_not(holds(&run.sent[SIDE_AGENT], "acme.com"), "trailers are dropped");
}

/* At every place around a window's edge. */
Test(http_mask, what_straddles_windows_is_found)
{
	static char body[200000];
	static const char secret[] = " ann@acme.com ";

	for (size_t at = 56000; at < 58000; at += 7) {
		memset(body, '.', sizeof(body) - 1);
		for (size_t i = 0; i < sizeof(body) - 1; i += 50)
			body[i] = ' ';
		memcpy(body + at, secret, sizeof(secret) - 1);
		http_run_restart();
		agent_sends(GET);
		server_sends("HTTP/1.1 200 OK\r\nContent-Length: 199999\r\n\r\n");
		for (size_t i = 0; i < sizeof(body) - 1; i += 4000)
			engine_run_feed(&run, SIDE_SERVER,
				slice_head(slice_of(body + i, sizeof(body) - 1 - i), 4000));
		cr_assert(strstr(content(), " [masked] "), "%zu", at);
		cr_assert_not(strstr(content(), "acme"), "%zu", at);
		cr_assert_eq(strlen(content()),
			sizeof(body) - 1 - strlen("ann@acme.com") + strlen("[masked]"));
	}
}

Test(http_mask, a_long_key)
{
	static char body[100000];
	size_t at = 60000;

	memset(body, 'x', sizeof(body) - 1);
	for (size_t i = 0; i < sizeof(body) - 1; i += 65)
		body[i] = '\n';
	at += (size_t)sprintf(body + at, "\n-----BEGIN PRIVATE KEY-----\n");
	body[at] = 'M';
	memcpy(body + at + 3000, "\n-----END PRIVATE KEY-----\n", 27);
	for (size_t i = 0; i < 3000; i += 65)
		body[at + i + 64] = '\n';
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n");
	engine_run_feed(&run, SIDE_SERVER, slice_of(body, sizeof(body) - 1));
	cr_assert_not(strstr(content(), "PRIVATE KEY"));
	cr_assert(strstr(content(), "[masked]"));
}

Test(http_mask, events_pass_one_by_one)
{
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" CHUNKED);
	buffer_clear(&run.sent[SIDE_AGENT]);
	server_sends("15\r\ndata: a@acme.com one\n\r\n");
	AGENT_GOT("");
	server_sends("1\r\n\n\r\n");
	AGENT_GOT("14\r\ndata: [masked] one\n\n\r\n");
	server_sends("9\r\ndata: b\n\n\r\n");
	AGENT_GOT("9\r\ndata: b\n\n\r\n");
}

/* Of a model's, whose words come as they are written. */
Test(http_mask, a_value_over_several_events)
{
	static const char one[] =
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
		"\"delta\":{\"type\":\"text_delta\",\"text\":\"write to a\"}}\n\n"
		": keep alive\n\n";

	agent_sends(GET);
	respond_in_pieces("text/event-stream; charset=utf-8", one,
		"event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
		"\"delta\":{\"type\":\"text_delta\",\"text\":\"nn@acme.com \"}}\r\n\r\n",
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
		"data: [DONE]");
	cr_assert_str_eq(content(),
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
		"\"delta\":{\"type\":\"text_delta\",\"text\":\"write to [masked]\"}}\n\n"
		": keep alive\n\n"
		"event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
		"\"delta\":{\"type\":\"text_delta\",\"text\":\" \"}}\r\n\r\n"
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
		"data: [DONE]");
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent_sends(GET);
	respond_in_pieces("application/x-ndjson", "{\"response\":\"I'm a\",\"done\":false}\n",
		"{\"response\":\"nn@acme\",\"done\":false}\n",
		"{\"response\":\".com\",\"done\":false}\n{\"done\":true}");
	cr_assert_str_eq(content(),
		"{\"response\":\"I'm "
		"[masked]\",\"done\":false}\n{\"response\":\"\",\"done\":false}\n"
		"{\"response\":\"\",\"done\":false}\n{\"done\":true}");
}

Test(http_mask, lines_pass_one_by_one)
{
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n" CHUNKED);
	buffer_clear(&run.sent[SIDE_AGENT]);
	server_sends("13\r\n{\"m\":\"a@acme.com\"}\n\r\n");
	AGENT_GOT("11\r\n{\"m\":\"[masked]\"}\n\r\n");
}

Test(http_mask, the_server_is_asked_for_what_can_be_masked)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n"
		    "Range: bytes=0-5\r\nIf-Range: x\r\n\r\n");
	SERVER_GOT("GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: identity\r\n\r\n");
}

Test(http_mask, what_a_signature_covers_stays)
{
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nAuthorization: "
		    "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=accept-encoding;host, "
		    "Signature=b\r\n\r\n");
	cr_assert(holds(&run.sent[SIDE_SERVER], "Accept-Encoding: gzip\r\n"));
	cr_assert_not(holds(&run.sent[SIDE_SERVER], "identity"));
}

Test(http_mask, what_cannot_be_masked_is_refused)
{
	static const char *const heads[] = {
		"HTTP/1.1 200 OK\r\nContent-Encoding: compress\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
		"99999999\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		http_run_restart();
		agent_sends(GET);
		server_sends(heads[i]);
		AGENT_REFUSED("403");
		cr_assert(run.closed);
	}
}

/* In chunks of a byte each, after `begin`. */
static void respond_in_bytes(const char *type, const char *begin, size_t count, char byte)
{
	struct buffer all;

	buffer_init(&all, 16u << 20);
	buffer_append_format(&all,
		"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n" CHUNKED "%zx\r\n%s\r\n", type,
		strlen(begin), begin);
	while (count--)
		buffer_append_format(&all, "1\r\n%c\r\n", byte);
	buffer_append_string(&all, "1\r\n\n\r\n0\r\n\r\n");
	agent_sends(GET);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&all));
	cr_expect_not(run.closed);
	buffer_done(&all);
}

/* As respond_in_bytes(), in less than so many seconds of the processor's time. */
static void respond_in_tiny_pieces(
	const char *type, const char *begin, size_t count, char byte, double most)
{
	clock_t before = clock();
	double took;

	respond_in_bytes(type, begin, count, byte);
	took = (double)(clock() - before) / CLOCKS_PER_SEC;
	cr_expect_lt(took, most, "%s took %.2f s", type, took);
}

/* What is searched again with each of them would keep a worker from all others. */
Test(http_mask, content_in_tiny_pieces, .timeout = 60)
{
	enum { BYTES = 900000 };

	respond_in_tiny_pieces("application/x-ndjson", "ann@acme.com ", BYTES, '.', 1);
	cr_expect(strncmp(content(), "[masked] ....", 13) == 0);
	cr_expect_eq(strlen(content()), 9 + BYTES + 1);
	http_run_end();
	set_up();
	respond_in_tiny_pieces("text/event-stream", "data: ann@acme.com ", BYTES, '.', 1);
	cr_expect(strncmp(content(), "data: [masked] ....", 19) == 0);
	http_run_end();
	set_up();
	/* A finding without an end is searched whole now and then. */
	respond_in_tiny_pieces("text/plain", "-----BEGIN PRIVATE KEY-----\n", BYTES, 'M', 3);
	cr_expect(strncmp(content(), "[masked]", 8) == 0, "%.40s", content());
	cr_expect_null(strstr(content(), "MMMM"));
}

/* However much of nothing stands before it. */
Test(http_mask, json_behind_blanks)
{
	struct buffer all;

	buffer_init(&all, 1u << 20);
	for (size_t i = 0; i < 100000; i++)
		buffer_append_string(&all, i % 64 ? " " : "\n");
	buffer_append_string(&all, "{\"mail\":\"ann@acme.com\"}");
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" CHUNKED);
	for (struct slice rest = buffer_slice(&all); rest.length; rest = slice_from(rest, 1000)) {
		char size[16];

		snprintf(size, sizeof(size), "%zx\r\n", slice_head(rest, 1000).length);
		server_sends(size);
		engine_run_feed(&run, SIDE_SERVER, slice_head(rest, 1000));
		server_sends("\r\n");
	}
	server_sends("0\r\n\r\n");
	cr_expect(strstr(content(), "{\"mail\":\"[masked]\"}"));
	buffer_done(&all);
}

/* Of a key that comes line by line, no line is passed for something else. */
Test(http_mask, a_key_in_many_lines)
{
	static const char line[] =
		"44\r\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKjxyz\n\r\n";

	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n" CHUNKED
		     "1c\r\n-----BEGIN PRIVATE KEY-----\n\r\n");
	for (unsigned i = 0; i < 30; i++)
		server_sends(line);
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "MIIE"));
}

/* What is said before the response is not framed as the one before it was. */
Test(http_mask, interim_responses_have_no_content)
{
	agent_sends(GET);
	respond("text/plain", "a");
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent_sends(GET);
	server_sends("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	AGENT_GOT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

Test(http_mask, json_that_grows_too_large_is_refused)
{
	static char block[65536];

	memset(block, ' ', sizeof(block));
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
	for (size_t i = 0; i < 300 && !run.closed; i++)
		engine_run_feed(&run, SIDE_SERVER, slice_of(block, sizeof(block)));
	AGENT_REFUSED("502");
	cr_assert(run.closed);
}

Test(http_mask, responses_without_content)
{
	agent_sends("HEAD /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 50\r\nETag: \"x\"\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 OK\r\n\r\n");
	agent_sends(GET);
	server_sends("HTTP/1.1 204 No Content\r\n\r\n");
	AGENT_GOT("HTTP/1.1 204 No Content\r\n\r\n");
	agent_sends(GET);
	respond("application/json", "");
	cr_assert_str_eq(content(), "");
	cr_assert_not(run.closed);
}

Test(http_mask, old_clients_get_it_until_the_end)
{
	agent_sends("GET /v1/a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\na@acme.com");
	AGENT_GOT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[masked]");
	cr_assert(run.closed);
}

/* --- paths --- */

static void set_up_paths(void)
{
	engine_bench_init(&bench,
		"config:\n"
		"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
		"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
		"rules:\n"
		"  - name: read\n"
		"    operations: [read]\n"
		"    allow:\n"
		"      mask:\n"
		"        - { json: [\"$.customers[*].ssn\"], with: redact }\n"
		"        - { json: [\"$.pin\"], with: \"null\" }\n"
		"        - { detect: [email], with: redact }\n");
	engine_run_init(&run, &bench, NULL);
}

TestSuite(http_paths, .init = set_up_paths, .fini = http_run_end);

#define CUSTOMERS(ssn, mail) "{\"customers\":[{\"ssn\":" ssn ",\"mail\":\"" mail "\"}],\"n\":1}"
#define MASKED_CUSTOMERS CUSTOMERS("\"[masked]\"", "[masked]")

Test(http_paths, beside_detectors)
{
	static const char *const types[] = {"application/json", "application/problem+json",
		"text/plain", "application/octet-stream"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		agent_sends(GET);
		respond(types[i], CUSTOMERS("123456789", "ann@acme.com"));
		cr_expect_str_eq(content(), MASKED_CUSTOMERS, "%s", types[i]);
		buffer_clear(&run.sent[SIDE_AGENT]);
	}
	cr_assert_not(run.closed);
}

Test(http_paths, byte_by_byte)
{
	static const char body[] = CUSTOMERS("123456789", "ann@acme.com");
	char head[128];

	snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		sizeof(body) - 1);
	agent_sends(GET);
	server_sends(head);
	for (size_t i = 0; i < sizeof(body) - 1; i++)
		engine_run_feed(&run, SIDE_SERVER, slice_of(body + i, 1));
	cr_expect_str_eq(content(), MASKED_CUSTOMERS);
}

Test(http_paths, lines_and_events)
{
	agent_sends(GET);
	respond("application/x-ndjson", "{\"pin\":1}\n{\"pin\":null}\r\n\n{\"pin\":[2]}");
	cr_expect_str_eq(content(), "{\"pin\":null}\n{\"pin\":null}\r\n\n{\"pin\":null}");
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent_sends(GET);
	respond("application/json-seq", "\x1e{\"pin\":1}\n\x1e{\"pin\":2}\n");
	cr_expect_str_eq(content(), "\x1e{\"pin\":null}\n\x1e{\"pin\":null}\n");
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent_sends(GET);
	respond("text/event-stream", "event: x\ndata: {\"pin\":1}\n\ndata:{\"pin\":2}\n\n");
	cr_expect_str_eq(content(), "event: x\ndata: {\"pin\":null}\n\ndata:{\"pin\":null}\n\n");
	/* As models' APIs end. */
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent_sends(GET);
	respond("text/event-stream", "data: {\"pin\":1}\n\ndata: [DONE]\r\n\r\n");
	cr_expect_str_eq(content(), "data: {\"pin\":null}\n\ndata: [DONE]\r\n\r\n");
}

Test(http_paths, an_event_passes_when_it_came)
{
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" CHUNKED
		     "10\r\ndata: {\"pin\":1}\n\r\n");
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "data"));
	server_sends("1\r\n\n\r\n");
	cr_expect(holds(&run.sent[SIDE_AGENT], "data: {\"pin\":null}\n\n"));
}

Test(http_paths, what_begins_as_json_and_is_none)
{
	static const char *const bodies[] = {
		"{\"pin\":1", "{\"pin\":1,}", "{pin:1}", "{'pin':1}", "[{\"pin\":1}]x"};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		agent_sends(GET);
		respond(i & 1 ? "application/json" : "text/plain", bodies[i]);
		cr_expect(holds(&run.sent[SIDE_AGENT], "looks like JSON"), "%s", bodies[i]);
		AGENT_REFUSED("403");
		http_run_restart();
	}
	agent_sends(GET);
	respond("text/event-stream", "event: x\rdata: {\"pin\":1}\n\n");
	AGENT_REFUSED("403");
}

Test(http_paths, what_is_something_else)
{
	agent_sends(GET);
	respond("text/html", " \n<p>{\"pin\":1} ann@acme.com");
	cr_expect_str_eq(content(), " \n<p>{\"pin\":1} [masked]");
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent_sends(GET);
	respond("application/json", "sorry");
	cr_expect_str_eq(content(), "sorry");
}
