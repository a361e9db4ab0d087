/* SPDX-License-Identifier: Apache-2.0
 *
 * What people are shown, and what is recorded, of the content of requests: of Secrets no values.
 */
#include "base/memory.h"
#include "protocol/kubernetes/kubernetes.h"
#include "tests/unit/http_run.h"

#define ALL_OF_IT NULL

static struct buffer shown;

static void begin(void)
{
	buffer_init(&shown, 1u << 20);
}

static void end(void)
{
	buffer_done(&shown);
}

TestSuite(kubernetes_shown, .init = begin, .fini = end);

/* NULL: all of it. */
static const char *show_of(const char *object, const char *content)
{
	const struct http_pairs pairs = {.items = {{.operation = OPERATION_KUBE_PATCH,
						 .state = OBJECT_KNOWN,
						 .object = slice_from_string(object)}},
		.count = 1};
	bool hidden;

	buffer_clear(&shown);
	hidden = kubernetes_content_hide(&pairs, slice_from_string(content), &shown);
	cr_assert_eq(buffer_append_byte(&shown, '\0'), 0);
	return hidden ? (const char *)buffer_slice(&shown).data : ALL_OF_IT;
}

struct showing {
	const char *content, *shown;
};

static void check_all(const char *object, const struct showing *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *text = show_of(object, cases[i].content);

		if (!cases[i].shown || !text)
			cr_expect_eq(text, cases[i].shown, "%s: %s", cases[i].content, text);
		else
			cr_expect_str_eq(text, cases[i].shown, "%s: %s", cases[i].content, text);
	}
}

Test(kubernetes_shown, secrets_in_json)
{
	static const struct showing cases[] = {
		{"{\"kind\":\"Secret\",\"data\":{\"a\":\"czNjcmV0\",\"b\":\"\"},\"type\":\"x\"}",
			"{\"kind\":\"Secret\",\"data\":{\"a\":\"[masked]\",\"b\":\"[masked]\"},"
			"\"type\":\"x\"}"},
		{"{\"stringData\":{\"a\":\"s3cret\"}}", "{\"stringData\":{\"a\":\"[masked]\"}}"},
		{"{\"d\\u0061ta\":{\"a\":\"s3cret\"}}", "{\"d\\u0061ta\":{\"a\":\"[masked]\"}}"},
		{"{\"data\":{\"a\":1},\"data\":{\"b\":{\"c\":\"s3cret\"}}}",
			"{\"data\":{\"a\":\"[masked]\"},\"data\":{\"b\":\"[masked]\"}}"},
		{"{\"items\":[{\"data\":{\"a\":\"s3cret\"}}]}",
			"{\"items\":[{\"data\":{\"a\":\"[masked]\"}}]}"},
		{"{\"metadata\":{\"annotations\":{\"" KUBERNETES_LAST_APPLIED
		 "\":\"s3cret\",\"x\":\"y\"}}}",
			"{\"metadata\":{\"annotations\":{\"" KUBERNETES_LAST_APPLIED
			"\":\"[masked]\",\"x\":\"y\"}}}"},
		/* A JSON Patch. */
		{"[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"s3cret\"}]",
			"[{\"op\":\"add\",\"path\":\"/data/a\",\"value\":\"[masked]\"}]"},
		/* A merge patch that takes one away; the options of a delete. */
		{"{\"data\":{\"a\":null}}", ALL_OF_IT},
		{"{\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\"}", ALL_OF_IT},
	};

	check_all("prod/secrets/db", cases, ARRAY_SIZE(cases));
}

Test(kubernetes_shown, secrets_in_yaml)
{
	static const struct showing cases[] = {
		{"kind: Secret\ndata:\n  a: czNjcmV0\n  b: |\n    s3\n    cret\nstringData: {c: "
		 "s3cret}\n",
			"kind: Secret\ndata:\n  a: \"[masked]\"\n  b: \"[masked]\"\n"
			"stringData: {c: \"[masked]\"}\n"},
		{"metadata:\n  annotations:\n    " KUBERNETES_LAST_APPLIED ": s3cret\n    x: y\n",
			"metadata:\n  annotations:\n    " KUBERNETES_LAST_APPLIED
			": \"[masked]\"\n    x: y\n"},
		{"items:\n- data:\n    a: s3cret\n  type: x\n",
			"items:\n- data:\n    a: \"[masked]\"\n  type: x\n"},
		{"\"data\":\n  \"a\": [s3cret, s3cret]\n",
			"\"data\":\n  \"a\": [\"[masked]\", \"[masked]\"]\n"},
		{"{data: {a: s3cret}}", "{data: {a: \"[masked]\"}}\n"},
		{"data: s3cret # or not\ntype: x\n", "data: \"[masked]\"\ntype: x\n"},
		/* What stands for something else, or can't be read, is not shown. */
		{"x: &x s3cret\ndata:\n  a: *x\n", "[masked]"},
		{"data: !!binary czNjcmV0\n", "[masked]"},
		{"data: {a: s3cret\n", "[masked]"},
		{"# s3cret\n", "[masked]"},
		{"? [data]\n: s3cret\n", "[masked]"},
		{"{\"data\":{\"a\":\"s3cret\"}} {", "[masked]"},
		{"k8s\1\0\n\3v1\22\6Secret", "[masked]"},
	};

	check_all("secrets/db", cases, ARRAY_SIZE(cases));
}

Test(kubernetes_shown, what_is_too_much_yaml)
{
	struct buffer b;

	buffer_init(&b, 1u << 20);
	for (unsigned i = 0; i < 70; i++)
		buffer_append_string(&b, "[");
	buffer_append_string(&b, "\n");
	buffer_append_byte(&b, '\0');
	cr_expect_str_eq(show_of("prod/secrets/db", (const char *)b.data), "[masked]");
	buffer_clear(&b);
	while (buffer_length(&b) < 70000)
		buffer_append_string(&b, "a: b\n");
	buffer_append_byte(&b, '\0');
	cr_expect_str_eq(show_of("prod/secrets/db", (const char *)b.data), "[masked]");
	buffer_done(&b);
}

Test(kubernetes_shown, others)
{
	static const struct showing cases[] = {
		{"{\"data\":{\"a\":\"b\"}}", ALL_OF_IT}, {"data:\n  a: b\n", ALL_OF_IT}};

	check_all("prod/configmaps/c", cases, ARRAY_SIZE(cases));
	check_all("prod/secrets.example.com/c", cases, ARRAY_SIZE(cases));
}

/* --- through the engine --- */

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: writes, operations: [write], review: { by: dba } }\n";

struct watching {
	struct engine_watch watch;
	char value[256];
};

static void decided(
	struct engine_watch *w, const struct protocol_action_event *event, bool released)
{
	struct watching *watching = container_of(w, struct watching, watch);

	if (event->value_count && released)
		snprintf(watching->value, sizeof(watching->value), "%.*s",
			SLICE_PRINT(event->values[0].data));
}

Test(kubernetes_shown, what_is_decided_about_leaves_whole)
{
	struct watching watching = {.watch = {.decided = decided}};

	engine_bench_init(&bench, rules);
	engine_run_init(&run, &bench, &watching.watch);
	agent_sends("POST /api/v1/namespaces/prod/secrets HTTP/1.1\r\nHost: h\r\n"
		    "Content-Type: application/json\r\nContent-Length: 25\r\n\r\n"
		    "{\"data\":{\"a\":\"czNjcmV0\"}}");
	cr_expect_str_eq(watching.value, "{\"data\":{\"a\":\"[masked]\"}}", "%s", watching.value);
	cr_expect(holds(&run.sent[SIDE_SERVER], "\r\n\r\n{\"data\":{\"a\":\"czNjcmV0\"}}"));
	http_run_end();
}

/* kubectl says it behind the path, but where it deletes: in the options that are the content. */
Test(kubernetes_shown, what_is_only_tried)
{
	struct watching watching = {.watch = {.decided = decided}};

	engine_bench_init(&bench, rules);
	engine_run_init(&run, &bench, &watching.watch);
	agent_sends("DELETE /api/v1/namespaces/prod/pods/web HTTP/1.1\r\nHost: h\r\n"
		    "Content-Type: application/json\r\nContent-Length: 18\r\n\r\n"
		    "{\"dryRun\":[\"All\"]}");
	cr_expect_str_eq(watching.value, "{\"dryRun\":[\"All\"]}", "%s", watching.value);
	http_run_restart();
	agent_sends(
		"DELETE /api/v1/namespaces/prod/pods/web?dryRun=All HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_expect(holds(&run.events, "/pods/web?dryRun=All"), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
	http_run_end();
}
