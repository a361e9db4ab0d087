/* SPDX-License-Identifier: Apache-2.0
 *
 * Where we only observe, nothing of HTTP is refused, and it is told what would be.
 */
#include <errno.h>

#include "tests/unit/http_run.h"

static const char rules[] =
	"config:\n"
	"  mode: observe\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
	"rules:\n"
	"  - { name: read, operations: [read, connect, websocket], allow: { mask: [{ detect: "
	"[email], with: redact }] } }\n"
	"  - { name: write, operations: [write], allow: {} }\n"
	"  - { name: never, operations: [DELETE], deny: {} }\n";

static const char kubernetes_rules[] =
	"config:\n"
	"  mode: observe\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: all, operations: [\"*\"], objects: [\"prod/*/*\"], allow: {} }\n"
	"  - { name: shown, operations: [\"*\"], objects: [shown/secrets/*], allow: { secrets: "
	"shown } }\n";

static void begin(void)
{
	http_run_begin_with(rules);
}

static void begin_kubernetes(void)
{
	http_run_begin_with(kubernetes_rules);
}

TestSuite(http_observed, .init = begin, .fini = http_run_end);
TestSuite(kubernetes_observed, .init = begin_kubernetes, .fini = http_run_end);

#define HOST " HTTP/1.1\r\nHost: h\r\n"
#define TOLD(reason)                                                                               \
	cr_assert(holds(&run.events, reason), "%.*s", SLICE_PRINT(buffer_slice(&run.events)))
#define WOULD(reason, text) TOLD("! would refuse " reason " \"" text "\"\n")
#define NOTHING_TOLD()                                                                             \
	cr_assert_not(holds(&run.events, "would refuse") || holds(&run.events, "! note"))

static void answered(void)
{
	server_sends("HTTP/1.1 204 Done\r\n\r\n");
	AGENT_GOT("HTTP/1.1 204 Done\r\n\r\n");
}

static int elsewhere(struct protocol_host *host, struct slice name, uint16_t port, bool certified)
{
	(void)host;
	(void)port;
	(void)certified;
	return slice_equal_string(name, "h") ? 0 : -EPERM;
}

Test(http_observed, what_would_pass_is_not_told_of)
{
	run.host.place = elsewhere;
	agent_sends("GET /x" HOST "\r\n");
	SERVER_GOT("GET /x" HOST "\r\n");
	answered();
	/* Denied by a rule: the verdict says it. */
	agent_sends("DELETE /x" HOST "\r\n");
	SERVER_GOT("DELETE /x" HOST "\r\n");
	NOTHING_TOLD();
}

Test(http_observed, another_place)
{
	run.host.place = elsewhere;
	agent_sends("GET /x HTTP/1.1\r\nHost: other\r\n\r\n");
	SERVER_GOT("GET /x HTTP/1.1\r\nHost: other\r\n\r\n");
	WOULD("misdirected", "Host names another place than the one that was dialled");
	answered();
	/* The next one is another. */
	buffer_clear(&run.events);
	agent_sends("GET /x" HOST "\r\n");
	SERVER_GOT("GET /x" HOST "\r\n");
	NOTHING_TOLD();
}

static const struct {
	const char *lines, *why;
} odd[] = {
	{"Host: h\r\nHost: g\r\n", "more than one Host"},
	{"Host: a b\r\n", "a Host that is no name or address"},
	{"Host: h\r\nExpect: wonders\r\n", "an Expect other than \\x22100-continue\\x22"},
	{"Host: h\r\nConnection: Authorization\r\n", "a Connection that names what must stay"},
	{"Host: h\r\nConnection: If-Match\r\nIf-Match: x\r\n",
		"a Connection that names what must stay"},
	{"Host: h\r\nX_Http-Method-Override: DELETE\r\n",
		"a header with \\x22_\\x22 for \\x22-\\x22 that some servers read"},
};

Test(http_observed, what_stands_in_its_head)
{
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		char request[200], told[200];

		snprintf(request, sizeof(request), "GET /x HTTP/1.1\r\n%s\r\n", odd[i].lines);
		snprintf(told, sizeof(told), "! would refuse protocol_violation \"%s\"\n",
			odd[i].why);
		http_run_restart();
		agent_sends(request);
		cr_assert(slice_starts_with(buffer_slice(&run.sent[SIDE_SERVER]),
				  slice_from_string("GET /x HTTP/1.1\r\n")),
			"%s", request);
		buffer_clear(&run.sent[SIDE_SERVER]);
		TOLD(told);
		answered();
		cr_assert_not(run.closed);
	}
}

/* Also the first, for which there is no server yet. */
Test(http_observed, what_can_not_be_read_is_relayed_unread)
{
	static const char two[] = "GET /x" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n";

	for (unsigned before = 0; before < 2; before++) {
		for (size_t piece = 1; piece <= sizeof(two); piece += sizeof(two) - 1) {
			http_run_restart();
			if (before) {
				agent_sends("GET /x" HOST "\r\n");
				SERVER_GOT("GET /x" HOST "\r\n");
				answered();
			}
			for (const char *at = two; *at; at += strnlen(at, piece))
				engine_run_feed(&run, SIDE_AGENT, slice_of(at, strnlen(at, piece)));
			TOLD("! note ");
			TOLD("! violation agent\n");
			/* The rest of the input is for who reads on. */
			cr_assert(slice_equal(buffer_slice(&run.sent[SIDE_SERVER]),
				slice_of(two, sizeof(two) - 2)));
			cr_assert_eq(buffer_length(&run.sent[SIDE_AGENT]), 0);
		}
	}
}

/* Nor is what comes back masked. */
Test(http_observed, what_masks_can_not_reach)
{
	agent_sends("CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n");
	SERVER_GOT("CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n");
	WOULD("mask_impossible", "denied: masks don't reach into a connection that a proxy makes");
	http_run_restart();
	agent_sends("GET /x" HOST "\r\n");
	SERVER_GOT("GET /x" HOST "\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na@b.test\n");
	AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na@b.test\n");
	NOTHING_TOLD();
}

Test(http_observed, a_get_that_was_judged_as_a_websocket)
{
	agent_sends(
		"GET /x" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
	buffer_clear(&run.sent[SIDE_SERVER]);
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	TOLD("\"denied: the server opened no WebSocket, and answered as it does a GET, which no "
	     "rule "
	     "had to allow\"");
}

#define PUT(namespace, length)                                                                     \
	"PUT /api/v1/namespaces/" namespace "/secrets/s HTTP/1.1\r\nHost: h\r\n"                   \
					    "Content-Type: "                                       \
					    "application/json\r\nContent-Length: " length          \
					    "\r\n\r\n"
#define WRITTEN_BACK "denied: it holds what stood in the place of a masked value"

Test(kubernetes_observed, who_the_agent_says_that_it_is)
{
	agent_sends("GET /api/v1/namespaces/prod/pods" HOST "Impersonate-User: root\r\n\r\n");
	SERVER_GOT("GET /api/v1/namespaces/prod/pods" HOST "Impersonate-User: root\r\n\r\n");
	WOULD("protocol_violation",
		"who the agent is, is not for it to say (Impersonate-User and the like)");
}

/* An API server is no proxy, but what it makes of it is its own. */
Test(kubernetes_observed, what_is_asked_of_a_proxy)
{
	agent_sends("CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n");
	SERVER_GOT("CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n");
	WOULD("protocol_violation", "an API server is no proxy");
	server_sends("HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno");
	AGENT_GOT("HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno");
	agent_sends("CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n");
	SERVER_GOT("CONNECT db.test:443 HTTP/1.1\r\nHost: db.test:443\r\n\r\n");
	server_sends("HTTP/1.1 200 Done\r\n\r\n");
	AGENT_GOT("HTTP/1.1 200 Done\r\n\r\n");
	TOLD("! tunnel db.test 443\n");
	/* What names no place can't be read, and nothing behind it. */
	http_run_restart();
	agent_sends("CONNECT db.test HTTP/1.1\r\nHost: db.test\r\n\r\n");
	cr_assert(holds(&run.sent[SIDE_SERVER], "CONNECT db.test HTTP/1.1\r\nHost: db.test\r\n"));
	cr_assert_eq(buffer_length(&run.sent[SIDE_AGENT]), 0);
	TOLD("! violation agent\n");
}

Test(kubernetes_observed, what_is_written_back)
{
	agent_sends(PUT("prod", "16"));
	agent_sends("{\"a\":\"[ma");
	agent_sends("sked]\"}");
	SERVER_GOT(PUT("prod", "16") "{\"a\":\"[masked]\"}");
	TOLD("\"" WRITTEN_BACK);
	answered();
	/* Once for each. */
	buffer_clear(&run.events);
	agent_sends(PUT("prod", "16"));
	agent_sends("[masked]");
	agent_sends("[masked]");
	SERVER_GOT(PUT("prod", "16") "[masked][masked]");
	TOLD("\"" WRITTEN_BACK);
	*(char *)memmem(buffer_slice(&run.events).data, buffer_length(&run.events), WRITTEN_BACK,
		strlen(WRITTEN_BACK)) = ' ';
	cr_assert_not(holds(&run.events, "\"" WRITTEN_BACK));
}

static bool any_body(struct protocol_host *host, const struct action *action)
{
	(void)host;
	(void)action;
	return true;
}

/* What was collected is judged with it. */
Test(kubernetes_observed, what_is_written_back_and_was_looked_into)
{
	run.host.wants_body = any_body;
	agent_sends(PUT("prod", "8"));
	agent_sends("[masked]");
	SERVER_GOT(PUT("prod", "8") "[masked]");
	TOLD("! would refuse mask_written_back \"" WRITTEN_BACK);
	cr_assert_not(holds(&run.events, "! note"));
	answered();
	buffer_clear(&run.events);
	agent_sends(PUT("prod", "8"));
	agent_sends("harmless");
	SERVER_GOT(PUT("prod", "8") "harmless");
	NOTHING_TOLD();
}

/* One reason is enough, and nothing else refuses it. */
Test(kubernetes_observed, what_is_written_back_where_more_is_wrong)
{
	static const char *const lines[] = {"Impersonate-User: root\r\n", "Expect: wonders\r\n"};

	run.host.wants_body = any_body;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char head[300];

		snprintf(head, sizeof(head),
			"PUT /api/v1/namespaces/prod/secrets/s HTTP/1.1\r\nHost: h\r\n%s"
			"Content-Length: 8\r\n\r\n",
			lines[i]);
		agent_sends(head);
		agent_sends("[masked]");
		cr_assert(holds(&run.sent[SIDE_SERVER], "\r\n\r\n[masked]"), "%s", lines[i]);
		buffer_clear(&run.sent[SIDE_SERVER]);
		TOLD("! would refuse protocol_violation ");
		buffer_clear(&run.events);
		answered();
	}
}

#define PATCH(namespace)                                                                           \
	"PATCH /api/v1/namespaces/" namespace "/secrets/s HTTP/1.1\r\nHost: h\r\n"                 \
					      "Content-Type: "                                     \
					      "application/json-patch+json\r\nContent-Length: "    \
					      "2\r\n\r\n[]"

Test(kubernetes_observed, what_would_copy_secrets)
{
	agent_sends(PATCH("prod"));
	SERVER_GOT(PATCH("prod"));
	TOLD("! would refuse mask_impossible \"denied: a JSON Patch could copy what is masked ");
	answered();
	/* Where they are shown, and where all of it is denied, nothing would be masked. */
	buffer_clear(&run.events);
	agent_sends(PATCH("shown"));
	SERVER_GOT(PATCH("shown"));
	answered();
	agent_sends(PATCH("dev"));
	SERVER_GOT(PATCH("dev"));
	NOTHING_TOLD();
}
