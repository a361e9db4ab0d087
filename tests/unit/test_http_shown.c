/* SPDX-License-Identifier: Apache-2.0
 *
 * What people are shown of a request's content that is no text.
 */
#include "protocol/http/protobuf_text.h"
#include "protocol/http/shown.h"
#include "tests/unit/http_run.h"

TestSuite(http_shown, .init = http_run_begin, .fini = http_run_end);

/* The content as people see it, behind its SHA-256. */
static const char *shown(enum http_shown kind, struct slice content)
{
	const struct protocol_value value = {
		.data = content, .binary = true, .type = kind, .length = content.length};
	static char text[1 << 20];
	struct mask_rules rules = {.detects = true};
	struct masker masker;
	struct buffer b;
	char *digest;

	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = MASK_PARTIAL;
	masker_init(&masker, bench.detectors, bench.hasher, &rules);
	buffer_init(&b, sizeof(text) - 1);
	cr_assert_eq(http_shown_put(&masker, &value, &b), PROTOCOL_SHOWN_AS_TEXT);
	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(buffer_slice(&b)));
	buffer_done(&b);
	digest = strstr(text, ", SHA-256 ");
	cr_assert(digest);
	memmove(digest, digest + 10 + 64, strlen(digest + 10 + 64) + 1);
	return text;
}

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define SHOWN(kind, bytes, expected)                                                               \
	do {                                                                                       \
		const char *shown_ = shown(HTTP_SHOWN_##kind, BYTES(bytes));                       \
		cr_expect_str_eq(shown_, expected, "%s", shown_);                                  \
	} while (0)

/* What kubectl and programs in Go write: an envelope, and the object. */
#define OBJECT "\x0a\5\x0a\3web\x12\x0f\x0a\6colour\x12\5green"
#define ENVELOPE                                                                                   \
	"k8s\0\x0a\x0f\x0a\2v1\x12\x09"                                                            \
	"ConfigMap\x12\x18" OBJECT "\x1a\0\x22\0"

Test(http_shown, kubernetes)
{
	SHOWN(KUBERNETES, ENVELOPE,
		"protobuf of Kubernetes, 51 bytes\n"
		"1: {\n  1: \"v1\"\n  2: \"ConfigMap\"\n}\n"
		"2: {\n  1: {\n    1: \"web\"\n  }\n"
		"  2: {\n    1: \"colour\"\n    2: \"green\"\n  }\n}\n3: \"\"\n4: \"\"\n");
	/* Of two objects the server takes the last. */
	SHOWN(KUBERNETES, "k8s\0\x12\4safe\x12\7another",
		"protobuf of Kubernetes, 19 bytes\n2: \"safe\"\n2: \"another\"\n");
	/* What is no envelope is read as far as it can be. */
	SHOWN(KUBERNETES, "k8s\0\xffhello\1",
		"protobuf of Kubernetes, 11 bytes\n[1 byte]\nhello\n[1 byte]\n");
}

Test(http_shown, protobuf)
{
	SHOWN(PROTOBUF, "\x08\x96\1\x12\3\"a\n\x1d\1\2\3\4\x21\1\2\3\4\5\6\7\x08\x2a\2\xff\xfe",
		"protobuf, 26 bytes\n1: 150\n2: \"\\\"a\\n\"\n3: 0x04030201\n"
		"4: 0x0807060504030201\n5: \\xfffe (2 bytes)\n");
	/* Cut short it is none. */
	SHOWN(PROTOBUF,
		"\x12\x09"
		"hello\1",
		"protobuf, 8 bytes\n[2 bytes]\nhello\n[1 byte]\n");
	/* Groups, a field without a number, a number that does not end. */
	cr_expect_not(protobuf_is_message(BYTES("\x0b\x0c")));
	cr_expect_not(protobuf_is_message(BYTES("\0\1")));
	cr_expect_not(protobuf_is_message(BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")));
	cr_expect(protobuf_is_message(SLICE_EMPTY));
}

Test(http_shown, grpc)
{
	SHOWN(GRPC, "\0\0\0\0\7\x0a\5hello\0\0\0\0\0\1\0\0\0\4abcd",
		"gRPC, 26 bytes\na message, 7 bytes\n1: \"hello\"\na message, 0 bytes\n"
		"a message, 4 bytes, compressed\n");
	SHOWN(GRPC, "\0\0\0\0\x09only a part",
		"gRPC, 16 bytes\na message, 9 bytes\nonly a pa\n[2 bytes]\n");
}

Test(http_shown, others)
{
	SHOWN(BINARY, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\1caf\xc3\xa9\xff\xff\x1b[2Jabc",
		"binary, 31 bytes\n[12 bytes]\nIHDR\n[1 byte]\ncaf\xc3\xa9\n[3 bytes]\n[2Jabc\n");
	SHOWN(BINARY, "\0", "binary, 1 byte\n[1 byte]\n");
}

/* What looks like a secret or a person's data is nobody's to see there either. */
Test(http_shown, what_is_found_is_masked)
{
	SHOWN(PROTOBUF,
		"\x0a\x0f"
		"ann@example.com",
		"protobuf, 17 bytes\n1: \"***********.com\"\n");
}

Test(http_shown, nothing_of_it_drives_a_terminal)
{
	static char bytes[3000];
	const char *text;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 256);
	for (unsigned kind = HTTP_SHOWN_BINARY; kind <= HTTP_SHOWN_KUBERNETES; kind++) {
		text = shown((enum http_shown)kind, slice_of(bytes, sizeof(bytes)));
		for (; *text; text++)
			cr_assert(*text == '\n' || (unsigned char)*text >= ' ');
	}
}

/* Messages in messages, and more fields than anybody reads. */
Test(http_shown, deep_and_long)
{
	static uint8_t bytes[1 << 20];
	size_t length = 100, end;
	const char *text;

	for (size_t i = 0; i < length; i += 2) {
		bytes[i] = 0x0a;
		bytes[i + 1] = (uint8_t)(length - i - 2);
	}
	text = shown(HTTP_SHOWN_PROTOBUF, slice_of(bytes, length));
	cr_expect(strstr(text, "{\n") && strstr(text, "bytes)"));
	for (size_t i = 0; i < sizeof(bytes); i += 2) {
		bytes[i] = 0x08;
		bytes[i + 1] = 1;
	}
	text = shown(HTTP_SHOWN_PROTOBUF, slice_of(bytes, sizeof(bytes)));
	end = strlen(text);
	cr_expect(end > HTTP_SHOWN_MOST && end < HTTP_SHOWN_MOST + 200);
	cr_expect_str_eq(text + end - 23, "CUT: more is not shown\n");
}

/* One line of it alone is more than is shown. */
Test(http_shown, a_long_line_is_cut)
{
	static const char begin[] = "binary, 1048576 bytes\n";
	static uint8_t bytes[1 << 20];
	const char *text;
	size_t end;

	memset(bytes, 'a', sizeof(bytes));
	bytes[sizeof(bytes) - 1] = 0;
	text = shown(HTTP_SHOWN_BINARY, slice_of(bytes, sizeof(bytes)));
	cr_expect(strncmp(text, begin, sizeof(begin) - 1) == 0);
	cr_expect_eq(strspn(text + sizeof(begin) - 1, "a"), HTTP_SHOWN_MOST);
	end = strlen(text);
	cr_expect_str_eq(text + end - 24, "\nCUT: more is not shown\n");
}

static enum http_shown kind_of(const char *type, struct slice content)
{
	static struct http_fields fields;

	fields.count = type ? 1 : 0;
	fields.items[0] =
		(struct http_field){slice_from_string("Content-Type"), slice_from_string(type)};
	return http_shown_of(&fields, content);
}

Test(http_shown, what_it_is)
{
	cr_expect_eq(kind_of(NULL, BYTES(ENVELOPE)), HTTP_SHOWN_KUBERNETES);
	cr_expect_eq(kind_of("application/json", BYTES(ENVELOPE)), HTTP_SHOWN_KUBERNETES);
	cr_expect_eq(kind_of("application/grpc+proto", BYTES("\0\0\0\0\1a")), HTTP_SHOWN_GRPC);
	cr_expect_eq(
		kind_of("Application/X-Protobuf; a=b", BYTES("\x0a\2hi")), HTTP_SHOWN_PROTOBUF);
	/* What is text is shown whole, whatever it claims to be. */
	cr_expect_eq(kind_of("application/x-protobuf", BYTES("{\n\"n\":\n9}")), HTTP_SHOWN_TEXT);
	cr_expect_eq(kind_of("application/grpc", BYTES("{\n\"n\":\n9}")), HTTP_SHOWN_TEXT);
	cr_expect_eq(kind_of("application/grpc", BYTES("\0\0\0\0\2a")), HTTP_SHOWN_BINARY);
	cr_expect_eq(kind_of("application/json", BYTES("{\"a\":\t1}\r\n")), HTTP_SHOWN_TEXT);
	cr_expect_eq(kind_of("application/json", BYTES("a\0b")), HTTP_SHOWN_BINARY);
	cr_expect_eq(kind_of("text/plain", BYTES("caf\xe9")), HTTP_SHOWN_BINARY);
	cr_expect_eq(kind_of(NULL, BYTES("caf\xc3\xa9")), HTTP_SHOWN_TEXT);
}
