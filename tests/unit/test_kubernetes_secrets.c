/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets through the engine: masked in what comes back, and not written back.
 */
#include "protocol/kubernetes/kubernetes.h"
#include "tests/unit/http_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - { name: all, operations: [read, write], objects: [\"prod/*/*\"], allow: {} }\n";

static void begin(void)
{
	http_run_begin_with(rules);
}

TestSuite(kubernetes_secrets, .init = begin, .fini = http_run_end);

#define HOST " HTTP/1.1\r\nHost: h\r\n"
#define PODS "/api/v1/namespaces/prod/pods"
#define SECRETS "/api/v1/namespaces/prod/secrets"
#define JSON_ANSWER "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define HIDDEN "W21hc2tlZF0="

static void answer_json(const char *body)
{
	char text[2048];

	snprintf(text, sizeof(text), JSON_ANSWER "Content-Length: %zu\r\n\r\n%s", strlen(body),
		body);
	server_sends(text);
}

#define ANNOTATED(value)                                                                           \
	"{\"metadata\":{\"annotations\":{\"" KUBERNETES_LAST_APPLIED "\":" value "}}}"
#define TABLE_EVENT(object)                                                                        \
	"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Table\",\"rows\":[{\"cells\":[\"db\"],"        \
	"\"object\":" object "}]}}"

Test(kubernetes_secrets, secrets_are_masked_wherever_they_stand)
{
	static const struct {
		const char *target, *answer, *masked;
	} cases[] = {
		{SECRETS "/db",
			"{\"kind\":\"Secret\",\"data\":{\"a\":\"czNjcmV0\"},\"type\":\"Opaque\"}",
			"{\"kind\":\"Secret\",\"data\":{\"a\":\"" HIDDEN
			"\"},\"type\":\"Opaque\"}"},
		{SECRETS "/db", "{\"stringData\":{\"a\":\"s3cret\"}}",
			"{\"stringData\":{\"a\":\"[masked]\"}}"},
		{SECRETS, "{\"items\":[{\"data\":{\"a\":\"czNjcmV0\",\"b\":null}}]}",
			"{\"items\":[{\"data\":{\"a\":\"" HIDDEN "\",\"b\":null}}]}"},
		{"/api/v1/namespaces/prod/secrets/db?fieldManager=x",
			"{\"rows\":[{\"cells\":[\"db\"],\"object\":{\"data\":{\"a\":\"czNjcmV0\"}}}"
			"]}",
			"{\"rows\":[{\"cells\":[\"db\"],\"object\":{\"data\":{\"a\":\"" HIDDEN
			"\"}}}]}"},
		{SECRETS "/db",
			"{\"metadata\":{\"annotations\":{\"x\":\"y\",\"kubectl.kubernetes.io/"
			"last-applied-configuration\":\"{\\\"data\\\":1}\"}}}",
			"{\"metadata\":{\"annotations\":{\"x\":\"y\",\"kubectl.kubernetes.io/"
			"last-applied-configuration\":null}}}"},
		{SECRETS, "{\"items\":[{}," ANNOTATED("\"{}\"") "]}",
			"{\"items\":[{}," ANNOTATED("null") "]}"},
		{SECRETS, "{\"rows\":[{\"object\":" ANNOTATED("\"{}\"") "}]}",
			"{\"rows\":[{\"object\":" ANNOTATED("null") "}]}"},
		{SECRETS "?watch=1", "{\"type\":\"MODIFIED\",\"object\":" ANNOTATED("\"{}\"") "}",
			"{\"type\":\"MODIFIED\",\"object\":" ANNOTATED("null") "}"},
		/* Events whose object is a table, as kubectl asks for them, or a list. */
		{SECRETS "?watch=1", TABLE_EVENT("{\"data\":{\"a\":\"czNjcmV0\"}}"),
			TABLE_EVENT("{\"data\":{\"a\":\"" HIDDEN "\"}}")},
		{SECRETS "?watch=1", TABLE_EVENT(ANNOTATED("\"{}\"")),
			TABLE_EVENT(ANNOTATED("null"))},
		{SECRETS "?watch=1", "{\"object\":{\"items\":[{\"stringData\":{\"a\":\"s3\"}}]}}",
			"{\"object\":{\"items\":[{\"stringData\":{\"a\":\"[masked]\"}}]}}"},
		{PODS, "{\"items\":[{\"data\":{\"a\":\"czNjcmV0\"}}]}",
			"{\"items\":[{\"data\":{\"a\":\"czNjcmV0\"}}]}"},
		{"/api/v1/namespaces/prod/configmaps/c", "{\"data\":{\"a\":\"b\"}}",
			"{\"data\":{\"a\":\"b\"}}"},
	};
	char request[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		http_run_restart();
		snprintf(request, sizeof(request), "GET %s" HOST "\r\n", cases[i].target);
		agent_sends(request);
		answer_json(cases[i].answer);
		cr_expect(holds(&run.sent[SIDE_AGENT], cases[i].masked), "%zu: %.*s", i,
			SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
	}
}

Test(kubernetes_secrets, what_writes_one_is_answered_without_its_values)
{
	static const char *const requests[] = {
		"PATCH " SECRETS "/db" HOST "Content-Type: application/merge-patch+json\r\n"
		"Content-Length: 2\r\n\r\n{}",
		"PATCH " SECRETS "/db?fieldManager=x" HOST
		"Content-Type: application/apply-patch+yaml\r\nContent-Length: 5\r\n\r\na: b\n",
		"PUT " SECRETS "/db" HOST "Content-Length: 2\r\n\r\n{}",
		"POST " SECRETS HOST "Content-Length: 2\r\n\r\n{}",
		"DELETE " SECRETS "/db" HOST "\r\n",
		"DELETE " SECRETS HOST "\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		http_run_restart();
		agent_sends(requests[i]);
		answer_json("{\"data\":{\"a\":\"czNjcmV0\"},\"items\":[{\"data\":{\"b\":"
			    "\"czNjcmV0\"}}]}");
		cr_expect(holds(&run.sent[SIDE_AGENT],
				  "{\"data\":{\"a\":\"" HIDDEN
				  "\"},\"items\":[{\"data\":{\"b\":\"" HIDDEN "\"}}]}"),
			"%zu: %.*s", i, SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
	}
}

Test(kubernetes_secrets, a_watch_of_secrets_is_masked_line_by_line)
{
	agent_sends("GET " SECRETS "?watch=1" HOST "\r\n");
	server_sends(JSON_ANSWER "Transfer-Encoding: chunked\r\n\r\n");
	/* Before anything happened. */
	AGENT_GOT(JSON_ANSWER "Transfer-Encoding: chunked\r\n\r\n");
	server_sends("34\r\n{\"type\":\"ADDED\",\"object\":{\"data\":{\"a\":\"czNjcmV0\"}}}\n\r\n");
	AGENT_GOT("38\r\n{\"type\":\"ADDED\",\"object\":{\"data\":{\"a\":\"" HIDDEN "\"}}}\n\r\n");
}

Test(kubernetes_secrets, what_can_be_masked_is_asked_for)
{
	agent_sends("GET " SECRETS HOST
		    "Accept: application/vnd.kubernetes.protobuf,application/json;as=Table;v=v1,"
		    "application/yaml\r\nAccept-Encoding: gzip\r\n\r\n");
	SERVER_GOT("GET " SECRETS HOST "Accept-Encoding: identity\r\n"
		   "Accept: application/json;as=Table;v=v1\r\n\r\n");
	http_run_restart();
	agent_sends("GET " SECRETS HOST "Accept: application/vnd.kubernetes.protobuf\r\n\r\n");
	SERVER_GOT("GET " SECRETS HOST "Accept-Encoding: identity\r\n"
		   "Accept: application/json\r\n\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.kubernetes.protobuf\r\n"
		     "Content-Length: 1\r\n\r\nx");
	AGENT_REFUSED("403");
}

/* --- which rule shows them --- */

static const char showing[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: read, operations: [read], objects: [\"prod/*/*\"], allow: {} }\n"
	"  - { name: own, operations: [get, list], objects: [\"prod/secrets/own\"],\n"
	"      review: { by: dba, secrets: shown } }\n";

Test(kubernetes_secrets, a_review_of_one_secret_shows_no_other)
{
	static const struct {
		const char *target;
		bool shown;
	} cases[] = {{SECRETS "/own", true}, {SECRETS "/other", false}, {SECRETS, false}};
	char request[256];

	http_run_end();
	http_run_begin_with(showing);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		http_run_restart();
		snprintf(request, sizeof(request), "GET %s" HOST "\r\n", cases[i].target);
		agent_sends(request);
		answer_json("{\"data\":{\"a\":\"czNjcmV0\"},\"items\":[{\"data\":{\"a\":"
			    "\"czNjcmV0\"}}]}");
		cr_expect_eq(holds(&run.sent[SIDE_AGENT], "czNjcmV0"), cases[i].shown, "%zu", i);
		cr_expect_eq(holds(&run.sent[SIDE_AGENT], HIDDEN), !cases[i].shown, "%zu", i);
	}
}

/* --- patches --- */

static void patch(const char *target, const char *types)
{
	char request[512];

	http_run_restart();
	snprintf(request, sizeof(request), "PATCH %s" HOST "%sContent-Length: 2\r\n\r\n{}", target,
		types);
	agent_sends(request);
}

Test(kubernetes_secrets, a_patch_does_not_copy_what_is_masked)
{
	static const char *const refused[] = {"Content-Type: application/json-patch+json\r\n",
		"Content-Type: Application/JSON-Patch+json\r\n",
		"Content-Type: application/json-patch+json; charset=utf-8\r\n",
		"Content-Type: application/json-patch+json;x=application/merge-patch+json\r\n",
		"Content-Type: application/merge-patch+json, application/json-patch+json\r\n",
		"Content-Type: application/merge-patch+json;application/json-patch+json\r\n",
		"Content-Type: application/merge-patch+json\r\n"
		"Content-Type: application/json-patch+json\r\n",
		"Content-Type: application/json\r\n", ""};
	static const char *const good[] = {"Content-Type: application/merge-patch+json\r\n",
		"Content-Type: application/strategic-merge-patch+json; charset=UTF-8\r\n",
		"Content-Type: application/apply-patch+yaml\r\n"};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		patch(SECRETS "/db", refused[i]);
		cr_expect(holds(&run.sent[SIDE_AGENT], "JSON Patch"), "%zu", i);
		AGENT_REFUSED("403");
		cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0, "%zu", i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		patch(SECRETS "/db", good[i]);
		cr_expect(holds(&run.sent[SIDE_SERVER], "PATCH "), "%zu", i);
	}
	/* Where nothing is masked, it goes on. */
	patch(PODS "/web", refused[0]);
	cr_expect(holds(&run.sent[SIDE_SERVER], "PATCH "));
}

/* --- writing back --- */

#define WRITE "PUT " SECRETS "/db" HOST
#define PATCH(type) "PATCH " SECRETS "/db" HOST "Content-Type: application/" type "\r\n"

static void write_back(const char *head, const char *body, size_t step)
{
	char text[512];

	http_run_restart();
	snprintf(text, sizeof(text), "%sContent-Length: %zu\r\n\r\n", head, strlen(body) + 2);
	agent_sends(text);
	for (size_t at = 0; at < strlen(body); at += step)
		engine_run_feed(&run, SIDE_AGENT, slice_head(slice_from_string(body + at), step));
	cr_expect(holds(&run.sent[SIDE_AGENT], "write it back"), "%s%s, %zu", head, body, step);
	AGENT_REFUSED("403");
	cr_expect_not(holds(&run.sent[SIDE_SERVER], body));
}

Test(kubernetes_secrets, masked_values_are_not_written_back)
{
	/* As kubectl replaces, edits, applies, and applies at the server. */
	static const char *const heads[] = {WRITE, PATCH("merge-patch+json"),
		PATCH("strategic-merge-patch+json"), PATCH("apply-patch+yaml")};
	static const char *const bodies[] = {"{\"data\":{\"a\":\"" HIDDEN "\"}}",
		"{\"stringData\":{\"a\":\"[masked]\"}}", "a: '[hash:0123456789abcdef]'",
		"data:\n  a: " HIDDEN "\n"};

	for (size_t h = 0; h < ARRAY_SIZE(heads); h++) {
		for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
			for (size_t step = 1; step < 64; step += 9)
				write_back(heads[h], bodies[i], step);
		}
	}
	http_run_restart();
	agent_sends(WRITE "Content-Length: 8\r\n\r\n[hash:x]");
	cr_expect(holds(&run.sent[SIDE_SERVER], "\r\n\r\n[hash:x]"));
}
