/* SPDX-License-Identifier: Apache-2.0
 *
 * Contents in codings: responses that masks look into, which leave without them, and requests that
 * rules look into, which go on as they came; over HTTP/1.1 and HTTP/2.
 */
#include "base/limits.h"
#include "protocol/http2/http2.h"
#include "tests/harness/coded.h"
#include "tests/unit/http2_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - name: read\n"
	"    operations: [read]\n"
	"    allow: { mask: [{ detect: [email], with: redact }, { json: [\"$.ssn\"], with: redact "
	"}] }\n"
	"  - { name: calls, operations: [POST], objects: [\"/mcp\"], body: { \"$.method\": [list] "
	"}, "
	"allow: {} }\n"
	"  - { name: asks, operations: [POST], objects: [\"/ask\"], body: { \"$.method\": [drop] "
	"}, "
	"review: { by: dba } }\n"
	"  - { name: uploads, operations: [POST], objects: [\"/up\"], allow: {} }\n";

static void begin(void)
{
	http_run_begin_with(rules);
}

static void begin2(void)
{
	begin();
	http2_run_begin();
}

TestSuite(http_coded, .init = begin, .fini = http_run_end);
TestSuite(http2_coded, .init = begin2, .fini = http2_run_end);

#define GET "GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n"
#define JSON "{\"ssn\":\"123-45-6789\",\"to\":\"ann@acme.com\"}"
#define MASKED "{\"ssn\":\"[masked]\",\"to\":\"[masked]\"}"

/* Content-Encoding, and what coded_append() calls the same. */
static const struct {
	const char *header, *coded;
} codings[] = {{"gzip", "gzip"}, {"deflate", "deflate"}, {"deflate", "raw"}, {"br", "br"},
	{"zstd", "zstd"}, {"gzip, br", "gzip,br"}, {"zstd,gzip", "zstd,gzip"}};

static struct buffer coded(const char *names, const char *content)
{
	struct buffer out;

	buffer_init(&out, 1u << 28);
	coded_append(&out, names, slice_from_string(content));
	return out;
}

static void respond(const char *type, const char *coding, struct slice content, size_t step)
{
	char head[512];

	snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Encoding: %s\r\nETag: W/\"x\"\r\n"
		"Content-Length: %zu\r\n\r\n",
		type, coding, content.length);
	server_sends(head);
	for (size_t at = 0; at < content.length; at += step)
		engine_run_feed(&run, SIDE_SERVER, slice_head(slice_from(content, at), step));
}

/* Over HTTP/2: a 200 whose content is any bytes. */
static void answers(int32_t id, const char *fields, struct slice content, bool open)
{
	http2_peer_agree(&server, id, fields);
	talk();
	http2_peer_more(&server, id, content, open);
	talk();
}

static void posts(int32_t id, const char *path, const char *fields, struct slice content)
{
	cr_assert_eq(http2_peer_ask(&agent, "POST", path, fields, "", true), id);
	talk();
	http2_peer_more(&agent, id, content, false);
	talk();
}

/* --- responses --- */

Test(http_coded, a_response_is_masked_and_leaves_without)
{
	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct buffer body = coded(codings[i].coded, JSON);

		for (size_t step = 1; step < 10000; step += 9998) {
			agent_sends(GET);
			respond("application/json", codings[i].header, buffer_slice(&body), step);
			AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				  "Transfer-Encoding: chunked\r\n\r\n"
				  "22\r\n" MASKED "\r\n0\r\n\r\n");
		}
		buffer_done(&body);
	}
	cr_assert_not(run.closed);
}

Test(http2_coded, a_response_is_masked_and_leaves_without)
{
	agent.step = server.step = 7;
	for (size_t i = 0; i < ARRAY_SIZE(codings); i++) {
		struct buffer body = coded(codings[i].coded, JSON);
		char *fields = memory_format(
			"content-type: application/json\ncontent-encoding: %s\netag: \"x\"\n",
			codings[i].header);
		char *want =
			memory_format("%zu data 34 " MASKED "\n%zu end\n", 2 * i + 1, 2 * i + 1);

		http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
		talk();
		answers((int32_t)(2 * i + 1), fields, buffer_slice(&body), false);
		HEARD(agent, want);
		cr_assert_not(http2_peer_heard(&agent, "content-encoding"));
		cr_assert_not(http2_peer_heard(&agent, "etag"));
		buffer_done(&body);
		free(fields);
		free(want);
	}
}

Test(http_coded, events_pass_one_by_one)
{
	struct coded_gzip *c = coded_gzip_new();
	struct buffer body;

	buffer_init(&body, 1u << 20);
	agent_sends(GET);
	server_sends(
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n"
		"\r\n");
	for (unsigned i = 0; i < 3; i++) {
		buffer_clear(&body);
		buffer_clear(&run.sent[SIDE_AGENT]);
		coded_gzip_append(c, &body, slice_from_string("data: a@acme.com\n\n"), false);
		engine_run_feed(&run, SIDE_SERVER, buffer_slice(&body));
		cr_expect(holds(&run.sent[SIDE_AGENT], "data: [masked]\n\n"), "%u", i);
	}
	coded_gzip_free(c);
	buffer_done(&body);
}

/* What straddles the decoder's room, and windows of text, is found. */
Test(http_coded, text_that_straddles)
{
	enum { LENGTH = 300000 };
	char *text = memory_new(LENGTH + 1);
	struct buffer body;

	for (size_t i = 0; i < LENGTH; i++)
		text[i] = i % 61 ? "abcdefghijklmnop"[i * 7 % 16] : ' ';
	for (size_t at = 16384 - 6; at + 64 < LENGTH; at += 16384)
		memcpy(text + at, " ann@acme.com ", 14);
	body = coded("br", text);
	agent_sends(GET);
	respond("text/plain", "br", buffer_slice(&body), 1000);
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "acme"));
	cr_expect(holds(&run.sent[SIDE_AGENT], " [masked] "));
	cr_expect(holds(&run.sent[SIDE_AGENT], "\r\n0\r\n\r\n"));
	buffer_done(&body);
	free(text);
}

/* Nothing of what can't be decoded passes, nor an end that looks whole. */
Test(http_coded, what_cannot_be_decoded)
{
	struct buffer body = coded("gzip", JSON);
	struct slice whole = buffer_slice(&body);
	static const char *const headers[] = {"compress", "gzip, gzip, gzip", "br", "aws-chunked"};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		http_run_restart();
		agent_sends(GET);
		respond("application/json", headers[i], whole, SIZE_MAX);
		AGENT_REFUSED("403");
		cr_expect(run.closed, "%s", headers[i]);
	}
	for (size_t n = 1; n < whole.length; n += 5) {
		http_run_restart();
		agent_sends(GET);
		respond("application/json", "gzip", slice_head(whole, n), SIZE_MAX);
		AGENT_REFUSED("403");
		http_run_restart();
		agent_sends(GET);
		respond("text/plain", "gzip", slice_head(whole, n), 1);
		AGENT_REFUSED("403");
	}
	buffer_append_string(&body, "{\"ssn\":1}");
	http_run_restart();
	agent_sends(GET);
	respond("application/json", "gzip", buffer_slice(&body), SIZE_MAX);
	AGENT_REFUSED("403");
	cr_expect_not(holds(&run.events, "123-45"));
	buffer_done(&body);
}

/* Text of which some has passed: the connection ends, without the last chunk. */
Test(http_coded, an_end_that_is_missing)
{
	struct coded_gzip *c = coded_gzip_new();
	static char text[200001];
	struct buffer body;

	memset(text, ' ', sizeof(text) - 1);
	buffer_init(&body, 1u << 20);
	coded_gzip_append(c, &body, slice_from_string(text), false);
	agent_sends(GET);
	respond("text/plain", "gzip", buffer_slice(&body), 100);
	cr_expect(holds(&run.sent[SIDE_AGENT], "200 OK"));
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "\r\n0\r\n\r\n"));
	cr_expect(run.closed);
	coded_gzip_free(c);
	buffer_done(&body);
}

Test(http2_coded, an_end_that_is_missing)
{
	struct buffer body = coded("gzip", JSON);

	http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
	http2_peer_ask(&agent, "GET", "/v1/b", NULL, NULL, false);
	talk();
	answers(1, "content-type: application/json\ncontent-encoding: gzip\n",
		slice_head(buffer_slice(&body), 20), false);
	answers(3, "content-type: application/json\ncontent-encoding: gzip\n", buffer_slice(&body),
		false);
	HEARD(agent, "1 :status: 403\n");
	HEARD(agent, "coding can't be read");
	HEARD(agent, "3 data 34 " MASKED "\n3 end\n");
	buffer_done(&body);
}

Test(http_coded, what_becomes_too_much)
{
	static const char *const types[] = {"application/json", "text/plain", "text/event-stream"};
	char *zeros = memory_new((40u << 20) + 1);
	struct buffer body;

	memset(zeros, ' ', 40u << 20);
	body = coded("zstd", zeros);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		http_run_restart();
		agent_sends(GET);
		respond(types[i], "zstd", buffer_slice(&body), SIZE_MAX);
		cr_expect(run.closed, "%s", types[i]);
		cr_expect(holds(&run.events, "too large"), "%s", types[i]);
		cr_expect_lt(buffer_length(&run.sent[SIDE_AGENT]), 24u << 20);
		cr_expect_not(holds(&run.sent[SIDE_AGENT], "\r\n0\r\n\r\n"));
	}
	buffer_done(&body);
	free(zeros);
}

/* The windows of all streams count among what a connection may hold. */
Test(http2_coded, memory)
{
	enum { STREAMS = 60, LENGTH = 3u << 20 };
	char *text = memory_new(LENGTH + 1);
	uint32_t random = 1;
	struct buffer body;

	for (size_t i = 0; i < LENGTH; i++) {
		random = random * 1664525u + 1013904223u;
		text[i] = (char)('a' + (random >> 27));
	}
	body = coded("zstd", text);
	for (unsigned i = 0; i < STREAMS; i++)
		http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
	talk();
	for (unsigned i = 0; i < STREAMS; i++)
		answers((int32_t)(2 * i + 1),
			"content-type: application/json\ncontent-encoding: zstd\n",
			slice_head(buffer_slice(&body), 200000), true);
	HEARD(agent, ":status: 502\n");
	buffer_done(&body);
	free(text);
}

/* A response that is refused holds nothing any more, however long its request goes on. */
Test(http2_coded, memory_of_what_is_refused)
{
	/* Of zstd, a frame with a window of 8 MiB, and its first block, of five bytes. */
	static const char wide[] = "\x28\xb5\x2f\xfd\x00\x68\x28\x00\x00{    ";
	const struct http2 *h;
	size_t held = 0;

	for (int32_t id = 1; id < 40; id += 2) {
		cr_assert_eq(http2_peer_ask(&agent, "GET", "/v1/a", NULL, "", true), id);
		talk();
		answers(id, "content-type: application/json\ncontent-encoding: zstd\n",
			slice_of(wide, sizeof(wide) - 1), true);
	}
	HEARD(agent, "39 :status: 502\n");
	h = http_engine_of(run.engine)->h2;
	cr_expect_eq(h->stream_count, 20);
	list_for_each (position, &h->streams) {
		held += http_response_held(
			&list_entry(position, struct http2_stream, link)->request);
	}
	cr_expect_gt(held, 8u << 20);
	cr_expect_leq(held, LIMIT_HTTP2_HELD);
	cr_expect_eq(held, h->held);
}

/* Little becomes much of it, which the agent does not take: the server waits, and nothing is lost.
 */
Test(http2_coded, slow_readers)
{
	enum { STREAMS = 20, LENGTH = 3 << 20 };
	static const char fields[] = "content-type: text/plain\ncontent-encoding: gzip\n";
	nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
	char *text = memory_new(LENGTH + 1);
	const struct http2 *h;
	struct buffer body;

	memset(text, ' ', LENGTH);
	body = coded("gzip", text);
	nghttp2_submit_settings(agent.session, NGHTTP2_FLAG_NONE, &window, 1);
	for (unsigned i = 0; i < STREAMS; i++)
		http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
	talk();
	h = http_engine_of(run.engine)->h2;
	for (int32_t id = 1; id < 2 * STREAMS; id += 2) {
		answers(id, fields, buffer_slice(&body), false);
		cr_expect_leq(h->passing, LIMIT_HTTP2_UNREAD + LENGTH, "%d", id);
	}
	cr_expect_gt(h->passing, LIMIT_HTTP2_UNREAD);
	cr_expect_not(http2_peer_heard(&agent, "39 :status"), "not read yet");
	/* Some it gives up, and takes the others. */
	for (int32_t id = 1; id < 2 * STREAMS - 6; id += 2)
		nghttp2_submit_rst_stream(agent.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	window.value = 1 << 20;
	nghttp2_submit_settings(agent.session, NGHTTP2_FLAG_NONE, &window, 1);
	talk();
	HEARD(agent, "35 end\n");
	HEARD(agent, "37 end\n");
	HEARD(agent, "39 end\n");
	cr_expect_eq(h->passing, 0);
	cr_expect_eq(h->stream_count, 0);
	cr_assert_not(run.closed);
	buffer_done(&body);
	free(text);
}

Test(http_coded, what_no_mask_looks_into_stays)
{
	struct buffer body = coded("gzip", JSON);

	agent_sends("POST /up HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nContent-Length: "
		    "0\r\n\r\n");
	cr_expect(holds(&run.sent[SIDE_SERVER], "Accept-Encoding: gzip"));
	respond("application/json", "gzip", buffer_slice(&body), SIZE_MAX);
	cr_expect(holds(&run.sent[SIDE_AGENT], "Content-Encoding: gzip\r\nETag: W/\"x\"\r\n"));
	cr_expect(memmem(buffer_slice(&run.sent[SIDE_AGENT]).data,
		buffer_length(&run.sent[SIDE_AGENT]), buffer_slice(&body).data,
		buffer_length(&body)));
	buffer_done(&body);
}

Test(http_coded, what_signatures_cover_stays)
{
	static const char *const covering[] = {
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nAuthorization: "
		"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=accept-encoding;host, "
		"Signature=b\r\n\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nAuthorization: "
		"AWS4-HMAC-SHA256 Credential=a,SignedHeaders=a;accept-encoding,Signature=b\r\n\r\n",
		"GET /v1/a?X-Amz-SignedHeaders=accept-encoding%3Bhost&b HTTP/1.1\r\nHost: h\r\n"
		"Accept-Encoding: br\r\n\r\n",
		"GET /v1/a?X-Goog-SignedHeaders=a%3baccept-encoding HTTP/1.1\r\nHost: h\r\n"
		"Accept-Encoding: br\r\n\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nSignature-Input: "
		"s=(\"@method\" \"accept-encoding\");created=1\r\nSignature: s=:AA==:\r\n\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nSignature: keyId=\"k\","
		"headers=\"(request-target) accept-encoding\",signature=\"AA==\"\r\n\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nAuthorization: Signature "
		"keyId=\"k\",headers=\"accept-encoding date\",signature=\"AA==\"\r\n\r\n"};
	static const char *const others[] = {
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nAuthorization: "
		"AWS4-HMAC-SHA256 SignedHeaders=x-accept-encoding;accept-encodings, "
		"Signature=b\r\n\r\n",
		"GET /v1/a?SignedHeaders=host&accept-encoding HTTP/1.1\r\nHost: h\r\n"
		"Accept-Encoding: br\r\n\r\n",
		"GET /v1/a HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\nSignature-Input: "
		"s=(\"@method\");accept-encoding\r\n\r\n"};
	struct buffer body = coded("br", JSON);

	for (size_t i = 0; i < ARRAY_SIZE(covering); i++) {
		http_run_restart();
		agent_sends(covering[i]);
		cr_expect(holds(&run.sent[SIDE_SERVER], "Accept-Encoding: br\r\n"), "%s",
			covering[i]);
		cr_expect_not(holds(&run.sent[SIDE_SERVER], "identity"), "%s", covering[i]);
		respond("application/json", "br", buffer_slice(&body), SIZE_MAX);
		cr_expect(holds(&run.sent[SIDE_AGENT], MASKED), "%s", covering[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		http_run_restart();
		agent_sends(others[i]);
		cr_expect(holds(&run.sent[SIDE_SERVER], "Accept-Encoding: identity\r\n"), "%s",
			others[i]);
	}
	buffer_done(&body);
}

/* --- what is said of the content --- */

#define SUMS                                                                                       \
	"content-length: 11\nETag: \"strong\"\ncontent-md5: x\ndigest: sha-256=x\n"                \
	"content-digest: sha-256=:x:\nRepr-Digest: sha-256=:x:\naccept-ranges: bytes\n"            \
	"x-amz-checksum-crc32: x\nx-amz-checksum-sha256: x\nx-goog-hash: crc32c=x\n"               \
	"x-checksum-md5: x\nsignature: s=:x:\nsignature-input: s=(\"content-digest\")\n"
#define KEPT "last-modified: Mon, 01 Jan 2024 00:00:00 GMT\nvary: accept\n"

static const char *const sums[] = {"etag", "content-md5", "digest", "accept-ranges",
	"x-amz-checksum", "x-goog-hash", "x-checksum", "signature", "content-length"};

/* Those lines with "\r\n"; to be freed. */
static char *lines(const char *fields)
{
	char *text = memory_new(2 * strlen(fields) + 1), *to = text;

	for (; *fields; fields++) {
		if (*fields == '\n')
			*to++ = '\r';
		*to++ = *fields;
	}
	return text;
}

static void expect_no_sums(const struct buffer *said, const char *which)
{
	char *text = memory_copy_text(buffer_slice(said).data, buffer_length(said));

	for (char *c = text; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	for (size_t i = 0; i < ARRAY_SIZE(sums); i++)
		cr_expect_null(strstr(text, sums[i]), "%s: %s in %s", which, sums[i], text);
	cr_expect(strstr(text, "last-modified") && strstr(text, "vary"), "%s: %s", which, text);
	free(text);
}

Test(http_coded, what_is_said_of_masked_content_is_true)
{
	static const struct {
		const char *request, *status, *body;
	} all[] = {{GET, "200 OK", "a@acme.com\n"}, {GET, "404 Not Found", "a@acme.com\n"},
		{"HEAD /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", "200 OK", ""},
		{"GET /v1/a HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"strong\"\r\n\r\n",
			"304 Not Modified", ""}};
	char *said = lines(SUMS KEPT);

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		char *text =
			memory_format("HTTP/1.1 %s\r\n%s\r\n%s", all[i].status, said, all[i].body);

		http_run_restart();
		agent_sends(all[i].request);
		server_sends(text);
		expect_no_sums(&run.sent[SIDE_AGENT], all[i].status);
		free(text);
	}
	/* Behind it, too. */
	http_run_restart();
	agent_sends(GET);
	server_sends("HTTP/1.1 200 OK\r\nVary: a\r\nLast-Modified: b\r\nTrailer: Digest\r\n"
		     "Transfer-Encoding: chunked\r\n\r\nb\r\na@acme.com\n\r\n0\r\n"
		     "Digest: sha-256=x\r\nSignature: s=:x:\r\n\r\n");
	expect_no_sums(&run.sent[SIDE_AGENT], "trailers");
	cr_expect(holds(&run.sent[SIDE_AGENT], "\r\n0\r\n\r\n"));
	free(said);
}

Test(http2_coded, what_is_said_of_masked_content_is_true)
{
	http2_peer_ask(&agent, "GET", "/v1/a", NULL, NULL, false);
	http2_peer_ask(&agent, "HEAD", "/v1/a", NULL, NULL, false);
	http2_peer_ask(&agent, "GET", "/v1/a", "if-none-match: \"strong\"\n", NULL, false);
	talk();
	http2_peer_answer(&server, 1, "200",
		"etag: \"strong\"\ncontent-length: 11\ndigest: sha-256=x\ncontent-digest: a\n"
		"x-amz-checksum-crc32: x\n" KEPT,
		"a@acme.com\n", "digest: sha-256=x\n");
	http2_peer_answer(&server, 3, "200",
		"etag: \"strong\"\ncontent-length: 11\nrepr-digest: x\n" KEPT, NULL, NULL);
	http2_peer_answer(&server, 5, "304", "etag: \"strong\"\n" KEPT, NULL, NULL);
	talk();
	expect_no_sums(&agent.log, "HTTP/2");
	HEARD(agent, "1 end\n");
	HEARD(agent, "3 end\n");
	HEARD(agent, "5 end\n");
}

/* Of what is not masked, everything is as it was. */
Test(http_coded, what_is_said_of_other_content_stays)
{
	char *said = lines(SUMS KEPT), *text;

	agent_sends("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	text = memory_format("HTTP/1.1 200 OK\r\n%s\r\na@acme.com\n", said);
	server_sends(text);
	AGENT_GOT(text);
	free(said);
	free(text);
}

/* --- requests --- */

/* Whether rules read it and let it go on, byte for byte. */
static bool passes(const char *fields, struct slice body)
{
	struct slice sent;
	char head[512];
	bool passed;

	snprintf(head, sizeof(head),
		"POST /mcp HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n", fields,
		body.length);
	http_run_restart();
	agent_sends(head);
	engine_run_feed(&run, SIDE_AGENT, body);
	sent = buffer_slice(&run.sent[SIDE_SERVER]);
	passed = sent.length == strlen(head) + body.length &&
		memcmp(sent.data, head, strlen(head)) == 0 &&
		memcmp(sent.data + strlen(head), body.data, body.length) == 0;
	cr_assert(passed || sent.length == 0);
	return passed;
}

#define TYPE "Content-Type: application/json\r\n"
#define LIST "{\"method\":\"list\"}"

Test(http_coded, rules_look_into_a_request)
{
	static const char *const names[] = {"gzip", "br", "zstd"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct buffer list = coded(names[i], LIST);
		struct buffer other = coded(names[i], "{\"method\":\"other\"}");
		char *fields = memory_format(TYPE "Content-Encoding: %s\r\n", names[i]);

		cr_expect(passes(fields, buffer_slice(&list)), "%s", names[i]);
		cr_expect(holds(&run.events, "{\\x22method\\x22:\\x22list\\x22}"),
			"what is recorded can be read");
		cr_expect_not(passes(fields, buffer_slice(&other)), "%s", names[i]);
		cr_expect(holds(&run.events, "other"));
		buffer_done(&list);
		buffer_done(&other);
		free(fields);
	}
}

Test(http2_coded, rules_look_into_a_request)
{
	struct buffer list = coded("gzip", LIST), drop = coded("br", "{\"method\":\"drop\"}");
	struct buffer other = coded("zstd", "{\"method\":\"other\"}");

	posts(1, "/mcp", "content-type: application/json\ncontent-encoding: gzip\n",
		buffer_slice(&list));
	posts(3, "/mcp", "content-type: application/json\ncontent-encoding: zstd\n",
		buffer_slice(&other));
	posts(5, "/ask", "content-type: application/json\ncontent-encoding: br\n",
		buffer_slice(&drop));
	HEARD(server, "1 content-encoding: gzip\n");
	HEARD(server, "1 end\n");
	HEARD(agent, "3 :status: 403\n");
	cr_expect(holds(&run.events, "! held : "));
	cr_expect(holds(&run.events, "{\\x22method\\x22:\\x22drop\\x22}"));
	buffer_done(&list);
	buffer_done(&drop);
	buffer_done(&other);
}

/* What could be read in several ways, or not at all, is not known. */
Test(http_coded, requests_that_are_not_known)
{
	struct buffer list = coded("gzip", LIST), form = coded("gzip", "method=list");
	struct buffer deflate = coded("deflate", LIST), twice = coded("gzip", LIST);
	struct buffer large;
	char *spaces = memory_new(LIMIT_HTTP_BODY_HELD + 2);

	memset(spaces, ' ', LIMIT_HTTP_BODY_HELD + 1);
	memcpy(spaces, LIST, sizeof(LIST) - 1);
	large = coded("gzip", spaces);
	coded_append(&twice, "gzip", slice_from_string(" "));
	cr_expect(passes(TYPE "Content-Encoding: GZIP\r\n", buffer_slice(&list)));
	cr_expect_not(passes(TYPE "Content-Encoding: br\r\n", buffer_slice(&list)));
	cr_expect_not(passes(TYPE "Content-Encoding: gzip, gzip, gzip\r\n", buffer_slice(&list)));
	cr_expect_not(passes(TYPE "Content-Encoding: compress\r\n", buffer_slice(&list)));
	cr_expect_not(passes(TYPE "Content-Encoding: gzip\r\n", slice_from_string(LIST)));
	cr_expect_not(passes(TYPE "Content-Encoding: gzip\r\n",
		slice_head(buffer_slice(&list), buffer_length(&list) - 1)));
	cr_expect_not(passes(TYPE "Content-Encoding: gzip\r\n", buffer_slice(&twice)),
		"readers stop behind the first");
	cr_expect_not(passes(TYPE "Content-Encoding: deflate\r\n", buffer_slice(&deflate)),
		"some take it without its header");
	cr_expect_not(passes("Content-Type: application/x-www-form-urlencoded\r\n"
			     "Content-Encoding: gzip\r\n",
			      buffer_slice(&form)),
		"servers that know no codings find fields in anything");
	cr_expect_not(passes(TYPE "Content-Encoding: gzip\r\n", buffer_slice(&large)));
	spaces[LIMIT_HTTP_BODY_HELD] = '\0';
	buffer_clear(&large);
	coded_append(&large, "gzip", slice_from_string(spaces));
	cr_expect(passes(TYPE "Content-Encoding: gzip\r\n", buffer_slice(&large)));
	buffer_done(&list);
	buffer_done(&form);
	buffer_done(&deflate);
	buffer_done(&twice);
	buffer_done(&large);
	free(spaces);
}
