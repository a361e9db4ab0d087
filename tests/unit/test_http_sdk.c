/* SPDX-License-Identifier: Apache-2.0
 *
 * Vendors' libraries: what differs between their tries, and how they read a refusal.
 */
#include "tests/unit/http_run.h"

TestSuite(http_sdk, .init = http_run_begin, .fini = http_run_end);

#define PUT(headers) "PUT /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n" headers "\r\nx"

/* What people would be asked about, as it is bound. */
static struct slice asked(const char *request)
{
	static char text[4096];
	size_t length;

	http_run_restart();
	agent_sends(request);
	length = buffer_length(&run.events);
	cr_assert_lt(length, sizeof(text));
	memcpy(text, buffer_slice(&run.events).data, length);
	return slice_of((const uint8_t *)text, length);
}

static bool is_bound(const char *request, const char *text)
{
	struct slice all = asked(request);

	cr_assert(memmem(all.data, all.length, "content-length: 1", 17) ||
			memmem(all.data, all.length, "Content-Length: 1", 17),
		"%.*s", SLICE_PRINT(all));
	return memmem(all.data, all.length, text, strlen(text));
}

/* A client that has given up and tries again asks the same. */
Test(http_sdk, what_differs_between_tries_is_not_bound)
{
	cr_expect_not(is_bound(PUT("X-Stainless-Retry-Count: 1\r\n"), "Retry-Count"));
	cr_expect_not(is_bound(PUT("X-Stainless-Timeout: 600\r\n"), "Timeout"));
	cr_expect_not(is_bound(PUT("X-Stainless-Read-Timeout: 600\r\n"), "Timeout"));
	cr_expect_not(is_bound(PUT("amz-sdk-request: attempt=2; max=3\r\n"), "attempt"));
	cr_expect_not(is_bound(PUT("amz-sdk-invocation-id: a-b\r\n"), "a-b"));
	cr_expect_not(is_bound(PUT("X-Goog-Api-Client: gccl-attempt-count/2\r\n"), "attempt"));
	cr_expect(is_bound(PUT("X-Stainless-Lang: js\r\n"), "Lang: js"));
}

#define SIGNED(scheme, key)                                                                        \
	"X-Amz-Date: 20261124T000001Z\r\n"                                                         \
	"Authorization: " scheme " Credential=" key "/20261124/eu/s3/aws4_request, "               \
	"SignedHeaders=host;x-amz-date, Signature=0123abcd\r\n"

/* Who signs is, and for what. */
Test(http_sdk, a_signature_is_not_bound)
{
	static const char aws[] = PUT(SIGNED("AWS4-HMAC-SHA256", "AKIA"));

	cr_expect_not(is_bound(aws, "0123abcd"));
	cr_expect_not(is_bound(aws, "20261124T000001Z"));
	cr_expect(is_bound(aws, "Credential=AKIA/20261124/eu/s3/aws4_request"));
	cr_expect(is_bound(PUT(SIGNED("Other", "AKIA")), "0123abcd"));
	cr_expect(is_bound(PUT("Authorization: AWS4-HMAC-SHA256 Signature=0a, Credential=b\r\n"),
		"Signature=, Credential=b"));
}

Test(http_sdk, a_refusal_is_an_object)
{
	struct buffer *sent = &run.sent[SIDE_AGENT];

	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\nX-Stainless-Lang: js\r\n\r\n");
	cr_expect(holds(sent,
		"{\"error\": {\"type\": \"denied_by_rule\", \"code\": \"denied_by_rule\", "
		"\"param\": null, "
		"\"message\": \"wayleave: denied by rule \\\"no deletes\\\": never\"}, \"rule\": "
		"null, "
		"\"message\": \"wayleave: denied by rule \\\"no deletes\\\": never\", \"review\": "
		"null}\n"));
	buffer_clear(sent);
	agent_sends("DELETE /v1/a HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect(holds(sent, "{\"error\": \"denied_by_rule\", \"rule\": "));
}
