/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses that detectors could not read, or that would tell what is masked otherwise.
 */
#include "tests/unit/http2_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - name: searched\n"
	"    objects: [\"/search/**\"]\n"
	"    allow: { mask: [{ detect: [email], with: redact }] }\n"
	"  - name: passed\n"
	"    objects: [\"/pass/**\"]\n"
	"    allow: { mask: [{ detect: [email], with: redact, binary: pass }] }\n"
	"  - { name: bare, objects: [\"/bare/**\"], allow: {} }\n";

static void begin(void)
{
	http_run_begin_with(rules);
}

static void begin2(void)
{
	begin();
	http2_run_begin();
}

TestSuite(http_unread, .init = begin, .fini = http_run_end);
TestSuite(http2_unread, .init = begin2, .fini = http_run_end);

/* Whether it passes what the server answers, in pieces of `step` bytes. */
static bool passes(const char *path, const char *type, struct slice content, size_t step)
{
	char head[256];

	http_run_restart();
	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	agent_sends(head);
	snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type,
		content.length);
	server_sends(head);
	for (size_t at = 0; at < content.length; at += step)
		engine_run_feed(&run, SIDE_SERVER, slice_head(slice_from(content, at), step));
	return holds(&run.sent[SIDE_AGENT], "HTTP/1.1 200 ") && holds(&run.events, "! result") &&
		!run.closed;
}

#define MAIL slice_from_string("ann@acme.com")
#define BYTES(text) slice_of((const uint8_t *)text, sizeof(text) - 1)

Test(http_unread, character_sets)
{
	static const char *const read[] = {"text/csv; charset=utf-8", "text/csv; charset=\"UTF-8\"",
		"text/csv; header=present; charset=ISO-8859-15", "text/csv;charset=windows-1252",
		"application/json; charset=us-ascii", "text/csv; charset=", "text/csv; charset=GBK",
		"application/octet-stream; charset=binary", "image/png; charset=utf-16",
		"text/csv; charset=ANSI_X3.4-1968", "text/csv; charset=ISO_8859-1:1987",
		"text/csv; charset=ISO8859_15", "text/csv; charset=Windows-31J",
		"text/csv; charset=windows-874", "text/csv; charset=cp932",
		"text/csv; charset=x-sjis", "text/csv; charset=cp852", "text/csv; charset=cp866",
		"text/csv; charset=IBM851", "text/csv; charset=IBM852", "text/csv; charset=IBM855",
		"text/csv; charset=IBM857", "text/csv; charset=IBM00858",
		"text/csv; charset=IBM866"};
	static const char *const not_read[] = {"text/csv; charset=utf-16",
		"text/csv; charset=\"UTF-16LE\"", "text/csv; header=present; Charset = utf-7",
		"text/csv;charset=utf-32", "application/json; charset=utf-16",
		"text/a; charset=ibm037", "text/csv; charset=utf-8; charset=utf-16",
		"text/csv; charset=ISO-2022-JP", "text/csv; charset=IBM880",
		"text/csv; charset=IBM871", "text/csv; charset=cp875",
		"text/csv; charset=ANSI_X3.110-1983"};

	for (size_t i = 0; i < ARRAY_SIZE(read); i++) {
		cr_expect(passes("/search/a", read[i], MAIL, 1), "%s", read[i]);
		cr_expect_not(holds(&run.sent[SIDE_AGENT], "ann@"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_read); i++) {
		cr_expect_not(passes("/search/a", not_read[i], MAIL, 1), "%s", not_read[i]);
		cr_expect(holds(&run.sent[SIDE_AGENT], "HTTP/1.1 403 "));
		cr_expect(holds(&run.sent[SIDE_AGENT], "character set"));
		cr_expect_not(passes("/pass/a", not_read[i], MAIL, 1), "%s", not_read[i]);
		cr_expect(passes("/bare/a", not_read[i], MAIL, 1), "%s", not_read[i]);
	}
}

static bool holds_zero(void)
{
	struct slice sent = buffer_slice(&run.sent[SIDE_AGENT]);

	return sent.length && memchr(sent.data, 0, sent.length);
}

/* What says nothing of it shows it where it begins. */
Test(http_unread, wide_text)
{
	static const struct slice wide[] = {{(const uint8_t *)"\xff\xfe"
							      "a\0@\0b\0.\0d\0e\0",
						    14},
		{(const uint8_t *)"\xfe\xff\0a\0@\0b\0.\0d\0e", 14},
		{(const uint8_t *)"a\0@\0b\0.\0d\0e\0", 12}, {(const uint8_t *)"\0{\0}", 4},
		{(const uint8_t *)"{\0\0\0}\0\0\0", 8}};
	static const char *const types[] = {"text/csv", "application/json", "text/event-stream",
		"application/x-www-form-urlencoded", "application/x-ndjson"};

	for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
		for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
			for (size_t step = 1; step < 4; step++) {
				passes("/search/a", types[t], wide[i], step);
				cr_expect(run.closed, "%zu as %s", i, types[t]);
				cr_expect_not(holds_zero(), "%zu as %s", i, types[t]);
			}
			cr_expect(passes("/bare/a", types[t], wide[i], 1));
		}
		cr_expect(passes("/search/a", "application/octet-stream", wide[i], 1));
	}
	cr_expect(passes("/search/a", "text/plain",
		BYTES("\0\0\0\x18"
		      "ftyp"),
		1));
	cr_expect(passes("/search/a", "text/plain", BYTES("a"), 1));
}

/* Bedrock's answers: what they say stands in base64 within frames that have sums. */
Test(http_unread, event_streams_of_aws)
{
	static const char type[] = "application/vnd.amazon.eventstream";
	struct slice frame = BYTES("\0\0\0\x20\0\0\0\x0b{\"bytes\":\"YUBiLmRl\"}");

	cr_expect_not(passes("/search/a", type, frame, 1));
	cr_expect(holds(&run.sent[SIDE_AGENT], "HTTP/1.1 403 "));
	cr_expect(holds(&run.sent[SIDE_AGENT], "event streams can't be masked"));
	cr_expect(passes("/pass/a", type, frame, 1));
	cr_expect(holds(&run.events, "passes unmasked"));
	cr_expect(passes("/bare/a", type, frame, 1));
}

#define COMPARING "If-None-Match: \"5d41\"\r\nif-match: \"5d41\"\r\nIf: ([\"5d41\"])\r\n"
#define SIGNED(names)                                                                              \
	"Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=" names ", Signature=0\r\n"

/* An ETag is often a sum of the content, of which there are not many that it could be. */
Test(http_unread, no_content_is_guessed_by_its_etag)
{
	static const char *const methods[] = {"GET", "HEAD"};
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		http_run_restart();
		snprintf(text, sizeof(text),
			"%s /search/a HTTP/1.1\r\nHost: h\r\n" COMPARING "\r\n", methods[i]);
		agent_sends(text);
		cr_expect(holds(&run.sent[SIDE_SERVER], "/search/a"));
		cr_expect_not(holds(&run.sent[SIDE_SERVER], "5d41"), "%s", methods[i]);
		http_run_restart();
		snprintf(text, sizeof(text),
			"%s /search/a HTTP/1.1\r\nHost: h\r\n" COMPARING SIGNED(
				"host;if-none-match") "\r\n",
			methods[i]);
		agent_sends(text);
		cr_expect_not(holds(&run.sent[SIDE_SERVER], "5d41"), "%s", methods[i]);
		AGENT_REFUSED("403");
	}
	http_run_restart();
	agent_sends("GET /bare/a HTTP/1.1\r\nHost: h\r\n" COMPARING SIGNED("if-match") "\r\n");
	cr_expect(holds(&run.sent[SIDE_SERVER], COMPARING));
	/* Who writes says of what: left out, it would be written over anything. */
	http_run_restart();
	agent_sends("DELETE /search/a HTTP/1.1\r\nHost: h\r\n" COMPARING "\r\n");
	cr_expect(holds(&run.sent[SIDE_SERVER], COMPARING));
}

/* CGI and its heirs read one for the other. */
Test(http_unread, no_content_is_guessed_by_an_etag_in_disguise)
{
	static const char *const names[] = {
		"If_None_Match", "if-none_match", "IF_MATCH", "if_range"};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		http_run_restart();
		snprintf(text, sizeof(text),
			"GET /search/a HTTP/1.1\r\nHost: h\r\n%s: \"5d41\"\r\n\r\n", names[i]);
		agent_sends(text);
		cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0, "%s", names[i]);
		AGENT_REFUSED("400");
	}
}

/* Nor where some servers read them all the same. */
Test(http_unread, no_content_is_guessed_by_its_etag_behind_it)
{
	static const char *const names[] = {"If-None-Match", "if-match", "If", "If-Range"};
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		http_run_restart();
		snprintf(text, sizeof(text),
			"GET /search/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
			"0\r\n%s: \"5d41\"\r\nX-A: b\r\n\r\n",
			names[i]);
		agent_sends(text);
		cr_expect(holds(&run.sent[SIDE_SERVER], "X-A: b"), "%s", names[i]);
		cr_expect_not(holds(&run.sent[SIDE_SERVER], "5d41"), "%s", names[i]);
	}
}

/* Where a header puts another method in the line's place, it is not known which of them counts. */
Test(http_unread, no_content_is_guessed_by_its_etag_with_another_method)
{
	static const struct {
		const char *method, *header;
		enum { KEEPS, DROPS, REFUSES } does;
	} cases[] = {{"POST", "X-HTTP-Method-Override: GET", REFUSES},
		{"POST", "x-http-method: HEAD", REFUSES},
		{"POST", "X-Method-Override: get", REFUSES},
		{"DELETE", "X-HTTP-Method-Override: PUT\r\nX-HTTP-Method: Head", REFUSES},
		{"GET", "X-HTTP-Method-Override: DELETE", REFUSES},
		{"GET", "X-HTTP-Method-Override: HEAD", DROPS}, {"get", "X-A: b", DROPS},
		{"POST", "X-HTTP-Method: MERGE", KEEPS}, {"POST", "X-A: GET", KEEPS}};
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		http_run_restart();
		snprintf(text, sizeof(text),
			"%s /search/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n%s\r\n" COMPARING
			"\r\n",
			cases[i].method, cases[i].header);
		agent_sends(text);
		cr_expect_eq(holds(&run.sent[SIDE_SERVER], COMPARING), cases[i].does == KEEPS,
			"%s, %s", cases[i].method, cases[i].header);
		cr_expect_eq(holds(&run.sent[SIDE_SERVER], "/search/a"), cases[i].does != REFUSES,
			"%s, %s", cases[i].method, cases[i].header);
		if (cases[i].does == REFUSES)
			AGENT_REFUSED("403");
		/* What is not masked may be compared with anything. */
		http_run_restart();
		snprintf(text, sizeof(text),
			"%s /bare/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n%s\r\n" COMPARING
			"\r\n",
			cases[i].method, cases[i].header);
		agent_sends(text);
		cr_expect(holds(&run.sent[SIDE_SERVER], COMPARING));
	}
}

Test(http2_unread, no_content_is_guessed_by_its_etag)
{
	http2_peer_ask(&agent, "GET", "/search/a", "if-none-match: \"5d41\"\n", NULL, false);
	http2_peer_ask(&agent, "GET", "/bare/a", "if-none-match: \"5d42\"\n", NULL, false);
	http2_peer_ask(&agent, "POST", "/search/b",
		"x-http-method-override: GET\nif-none-match: \"5d41\"\n", NULL, false);
	talk();
	HEARD(server, "/search/a");
	cr_expect_not(holds(&server.log, "/search/b"));
	cr_expect_not(holds(&server.log, "5d41"));
	HEARD(server, "5d42");
}
