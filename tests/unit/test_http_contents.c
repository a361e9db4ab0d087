/* SPDX-License-Identifier: Apache-2.0
 *
 * Contents by what they are: forms, multipart/form-data and CSV in which detectors find something,
 * and binary ones, which are searched, pass, or are refused, as the rules say.
 */
#include "tests/unit/http2_run.h"
#include "tests/unit/http_frames.h"

#define BINARY_RULE(name, word)                                                                    \
	"  - name: " name "\n"                                                                     \
	"    operations: [GET, websocket]\n"                                                       \
	"    objects: [\"/" name "/**\"]\n"                                                        \
	"    allow: { mask: [{ detect: [email], with: redact" word " }] }\n"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - name: text\n"
	"    operations: [GET]\n"
	"    objects: [\"/text\"]\n"
	"    allow:\n"
	"      mask:\n"
	"        - { detect: [email, credit_card, us_ssn, phone, secret, private_key], with: "
	"redact }\n"
	"  - name: partial\n"
	"    operations: [GET]\n"
	"    objects: [\"/partial\"]\n"
	"    allow: { mask: [{ detect: [email], with: partial }, { json: [\"$.a\"], with: redact "
	"}] }\n" BINARY_RULE("search", "") BINARY_RULE("pass", ", binary: pass")
		BINARY_RULE("refuse", ", binary: refuse");

static void begin(void)
{
	http_run_begin_with(rules);
}

static void begin2(void)
{
	begin();
	http2_run_begin();
}

TestSuite(http_contents, .init = begin, .fini = http_run_end);
TestSuite(http2_contents, .init = begin2, .fini = http2_run_end);

static void ask(const char *path)
{
	char text[128];

	http_run_restart();
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
	agent_sends(text);
}

static void respond(const char *type, struct slice content, size_t step)
{
	char head[256];

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s", type,
		"Transfer-Encoding: chunked\r\n\r\n");
	server_sends(head);
	for (size_t at = 0; at < content.length; at += step) {
		struct slice part = slice_head(slice_from(content, at), step);

		snprintf(head, sizeof(head), "%zx\r\n", part.length);
		server_sends(head);
		engine_run_feed(&run, SIDE_SERVER, part);
		server_sends("\r\n");
	}
	server_sends("0\r\n\r\n");
}

/* The content that the agent got; to be done with. */
static struct buffer content(void)
{
	struct slice sent = buffer_slice(&run.sent[SIDE_AGENT]);
	const uint8_t *at = memmem(sent.data, sent.length, "\r\n\r\n", 4);
	struct buffer joined;
	size_t n = 1;

	buffer_init(&joined, 1u << 24);
	cr_assert(at && holds(&run.sent[SIDE_AGENT], "Transfer-Encoding: chunked"));
	for (at += 4; at < sent.data + sent.length && n; at += n + 2) {
		n = strtoul((const char *)at, NULL, 16);
		at = (const uint8_t *)memchr(at, '\n', 32) + 1;
		buffer_append(&joined, at, n);
	}
	cr_assert_eq(n, 0, "the content has no end");
	return joined;
}

#define EXPECT(type, text, masked)                                                                 \
	do {                                                                                       \
		for (size_t step_ = 1; step_ < 10000; step_ = step_ * 7 + 1) {                     \
			struct buffer got_;                                                        \
                                                                                                   \
			ask("/text");                                                              \
			respond(type, slice_from_string(text), step_);                             \
			got_ = content();                                                          \
			cr_expect(slice_equal_string(buffer_slice(&got_), masked), "%.*s",         \
				SLICE_PRINT(buffer_slice(&got_)));                                 \
			buffer_done(&got_);                                                        \
		}                                                                                  \
	} while (0)

#define FORM "application/x-www-form-urlencoded"

/* However they are cut, and however they are encoded. */
Test(http_contents, forms)
{
	EXPECT(FORM, "name=ann&mail=ann%40acme.com&n=1", "name=ann&mail=%5Bmasked%5D&n=1");
	EXPECT(FORM "; charset=utf-8", "card=4111+1111+1111+1111&b=a+b", "card=%5Bmasked%5D&b=a+b");
	EXPECT(FORM, "ssn=123%2d45%2D6789&x=%", "ssn=%5Bmasked%5D&x=%");
	EXPECT(FORM, "text=to+ann%40acme.com%2C+please&&=&a",
		"text=to+%5Bmasked%5D%2C+please&&=&a");
	EXPECT(FORM, "password=hunter2hunter2&user=%61nn", "password=%5Bmasked%5D&user=%61nn");
	EXPECT(FORM, "ann%40acme.com=1&ann@acme.com", "%5Bmasked%5D=1&%5Bmasked%5D");
	EXPECT(FORM, "%70assword=hunter2%2Bhunter2", "%70assword=%5Bmasked%5D");
	EXPECT(FORM, "", "");
	EXPECT(FORM, "a=%C3%A4&b=%zz&c=%4", "a=%C3%A4&b=%zz&c=%4");
}

Test(http_contents, forms_that_are_something_else)
{
	ask("/partial");
	respond(FORM, slice_from_string("m=ann%40acme.com&x=%20"), 3);
	cr_expect(holds(&run.sent[SIDE_AGENT], "m=********.com&"));
	cr_expect(holds(&run.sent[SIDE_AGENT], "x=%20\r\n0\r\n"));
	ask("/partial");
	respond(FORM, slice_from_string("{\"a\":\"ssn\",\"m\":\"ann@acme.com\"}"), 3);
	cr_expect(holds(&run.sent[SIDE_AGENT], "{\"a\":\"[masked]\",\"m\":\""));
	cr_expect_not(holds(&run.sent[SIDE_AGENT], "ann@acme"));
}

/* What has no end is not held for ever, and is not searched with each byte of it. */
Test(http_contents, a_field_that_is_too_long, .timeout = 100)
{
	char *text = memory_new((2u << 20) + 1);

	memset(text, 'a', 2u << 20);
	ask("/text");
	respond(FORM, slice_of(text, 600000), 1);
	cr_expect_not(run.closed);
	ask("/text");
	respond(FORM, slice_of(text, 2u << 20), 4096);
	cr_expect(run.closed);
	cr_expect(holds(&run.events, "too large"));
	free(text);
}

Test(http_contents, parts_of_a_form)
{
	EXPECT("multipart/form-data; boundary=x",
		"--x\r\nContent-Disposition: form-data; name=\"mail\"\r\n\r\nann@acme.com\r\n"
		"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n"
		"Content-Type: text/plain\r\n\r\n4111 1111 1111 1111\r\n--x--\r\n",
		"--x\r\nContent-Disposition: form-data; name=\"mail\"\r\n\r\n[masked]\r\n"
		"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n"
		"Content-Type: text/plain\r\n\r\n[masked]\r\n--x--\r\n");
}

Test(http_contents, csv)
{
	EXPECT("text/csv",
		"name,mail,card\r\nann,ann@acme.com,\"4111-1111-1111-1111\"\r\nbob,,\r\n",
		"name,mail,card\r\nann,[masked],\"[masked]\"\r\nbob,,\r\n");
	EXPECT("application/csv; header=present", "ssn;n\n123-45-6789;1\n", "ssn;n\n[masked];1\n");
}

/* Not JSON in spite of what it says. */
Test(http_contents, what_claims_to_be_json)
{
	EXPECT("application/json", "mail=ann@acme.com", "mail=[masked]");
	EXPECT("application/json", "{\"mail\": ann@acme.com", "{\"mail\": [masked]");
	EXPECT("application/problem+json", "<p>ann@acme.com</p>", "<p>[masked]</p>");
	EXPECT("text/plain", "{\"mail\":\"ann@acme.com\"}", "{\"mail\":\"[masked]\"}");
}

/* --- binary --- */

static const uint8_t image[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR to ann@acme.com \xff\xfe";
#define IMAGE slice_of(image, sizeof(image) - 1)

static bool passes_as_it_is(const char *path, const char *type, struct slice in)
{
	bool same;

	for (size_t step = 1; step < 10000; step = step * 9 + 2) {
		struct buffer got;

		ask(path);
		respond(type, in, step);
		if (holds(&run.sent[SIDE_AGENT], "HTTP/1.1 403 ") || run.closed)
			return false;
		got = content();
		same = slice_equal(buffer_slice(&got), in);
		buffer_done(&got);
		if (!same)
			return false;
	}
	return true;
}

static bool is_refused(const char *path, const char *type, struct slice in, size_t step)
{
	ask(path);
	respond(type, in, step);
	cr_expect_eq(run.closed, holds(&run.events, "binary, which the rule refuses"));
	return run.closed && !holds(&run.sent[SIDE_AGENT], "\r\n0\r\n\r\n");
}

Test(http_contents, binary_as_rules_say)
{
	cr_expect_not(passes_as_it_is("/search/a", "image/png", IMAGE));
	cr_expect(holds(&run.sent[SIDE_AGENT], " to [masked] \xff\xfe"));
	cr_expect(passes_as_it_is("/pass/a", "image/png", IMAGE));
	cr_expect(holds(&run.events, "binary, and passes unmasked"), "it is recorded");
	cr_expect(passes_as_it_is("/pass/a", "application/octet-stream; a=b", IMAGE));
	cr_expect(is_refused("/refuse/a", "image/png", IMAGE, 1));
	AGENT_REFUSED("403");
	cr_expect(
		is_refused("/refuse/a", "application/octet-stream", slice_from_string("text"), 1));
	AGENT_REFUSED("403");
}

/* A type alone, or a byte alone, makes no text pass. */
Test(http_contents, text_stays_text)
{
	static const char *const types[] = {"", "text/plain", "application/json", "image/svg+xml",
		"application/xml", FORM, "TEXT/CSV"};
	struct slice mail = slice_from_string("to ann@acme.com, ann@acme.com");
	char late[4096];

	cr_expect_not(passes_as_it_is("/pass/a", "application/octet-stream", mail));
	cr_expect_not(passes_as_it_is("/pass/a", "image/png", mail));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		cr_expect_not(passes_as_it_is("/pass/a", types[i], IMAGE), "%s", types[i]);
	cr_expect_not(passes_as_it_is(
		"/pass/a", "application/octet-stream", slice_of("{\"a\":\"ann@acme.com\0\"}", 21)));
	/* Nor one that stands far behind its begin. */
	memset(late, ' ', sizeof(late));
	memcpy(late, "ann@acme.com", 12);
	late[2000] = '\0';
	cr_expect_not(passes_as_it_is(
		"/pass/a", "application/octet-stream", slice_of(late, sizeof(late))));
	cr_expect_not(holds(&run.events, "passes unmasked"));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		cr_expect_not(is_refused("/refuse/a", types[i], mail, 3), "%s", types[i]);
		cr_expect_not(is_refused("/refuse/a", types[i],
				      slice_from_string("\x1b[1m\t\xc3\xa4\r\n\f"), 1),
			"%s", types[i]);
		cr_expect(is_refused("/refuse/a", types[i], IMAGE, 3), "%s", types[i]);
	}
	/* Text that turns out to be none: what has passed has no end. */
	memset(late, 'a', sizeof(late));
	late[4000] = '\x01';
	cr_expect(is_refused("/refuse/a", "text/plain", slice_of(late, sizeof(late)), 100));
}

Test(http2_contents, binary_as_rules_say)
{
	http2_peer_ask(&agent, "GET", "/pass/a", NULL, NULL, false);
	http2_peer_ask(&agent, "GET", "/refuse/a", NULL, NULL, false);
	http2_peer_ask(&agent, "GET", "/refuse/b", NULL, NULL, false);
	talk();
	http2_peer_agree(&server, 1, "content-type: image/png\n");
	http2_peer_agree(&server, 3, "content-type: image/png\n");
	http2_peer_agree(&server, 5, "content-type: application/json\n");
	talk();
	http2_peer_more(&server, 1, IMAGE, false);
	http2_peer_more(&server, 5, IMAGE, false);
	talk();
	HEARD(agent, "1 data 35 \x89PNG");
	HEARD(agent, "1 end\n");
	HEARD(agent, "3 :status: 403\n");
	HEARD(agent, "5 :status: 403\n");
	cr_expect(holds(&run.events, "binary, and passes unmasked"));
	cr_expect(holds(&run.events, "binary, which the rule refuses"), "it is recorded");
}

static void open_socket(const char *path)
{
	char text[256];

	http_run_restart();
	snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
		path);
	agent_sends(text);
	server_sends("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\n"
		     "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	buffer_clear(&run.sent[SIDE_AGENT]);
	buffer_clear(&run.sent[SIDE_SERVER]);
}

Test(http_contents, binary_messages_as_rules_say)
{
	open_socket("/search/a");
	sends_frame(SIDE_SERVER, WEBSOCKET_BINARY, true, slice_of("\0a@acme.com", 11), 1);
	GOT_FRAMES(SIDE_AGENT, "binary \\x00[masked]|");
	open_socket("/pass/a");
	sends_frame(SIDE_SERVER, WEBSOCKET_BINARY, true, slice_of("\0a@acme.com", 11), 1);
	sends_frame(SIDE_SERVER, WEBSOCKET_BINARY, true, slice_from_string("a@acme.com"), 1);
	sends_text(SIDE_SERVER, "a@acme.com");
	GOT_FRAMES(SIDE_AGENT, "binary \\x00a@acme.com|binary [masked]|text [masked]|");
	open_socket("/refuse/a");
	sends_text(SIDE_SERVER, "a@acme.com");
	GOT_FRAMES(SIDE_AGENT, "text [masked]|");
	sends_frame(SIDE_SERVER, WEBSOCKET_BINARY, true, slice_from_string("text"), 1);
	cr_expect(run.closed);
	cr_expect(holds(&run.events, "a message is binary"));
}
