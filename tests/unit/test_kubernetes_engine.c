/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of the API through the engine: refusals as the API server's, streams, impersonation.
 */
#include "protocol/kubernetes/kubernetes.h"
#include "tests/unit/http_run.h"

static const char rules[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: read, operations: [read, logs], objects: [\"prod/*/*\"], allow: {} }\n"
	"  - { name: update, operations: [update, patch, create, proxy],\n"
	"      objects: [\"prod/*/*\"], allow: {} }\n"
	"  - { name: exec, operations: [exec, attach], objects: [\"prod/pods/*\"], allow: {} }\n"
	"  - { name: forward, operations: [portforward], review: { by: dba } }\n"
	"  - { name: no deletes, operations: [delete], deny: { message: never } }\n";

static void begin(void)
{
	engine_bench_init(&bench, rules);
	engine_run_init(&run, &bench, NULL);
}

TestSuite(kubernetes_engine, .init = begin, .fini = http_run_end);

#define HOST " HTTP/1.1\r\nHost: h\r\n"
#define PODS "/api/v1/namespaces/prod/pods"

Test(kubernetes_engine, what_is_allowed_passes)
{
	agent_sends("GET " PODS HOST "\r\n");
	SERVER_GOT("GET " PODS HOST "\r\n");
	server_sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	AGENT_GOT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
	agent_sends("GET /api" HOST "\r\n");
	SERVER_GOT("GET /api" HOST "\r\n");
}

Test(kubernetes_engine, refusals_are_status_objects)
{
	struct buffer *got = &run.sent[SIDE_AGENT];

	agent_sends("DELETE " PODS "/web" HOST "\r\n");
	cr_expect(holds(got, "{\"kind\": \"Status\", \"apiVersion\": \"v1\", "));
	cr_expect(
		holds(got, "\"message\": \"wayleave: denied by rule \\\"no deletes\\\": never\""));
	cr_expect(holds(got, "\"reason\": \"Forbidden\", "));
	cr_expect(holds(got, "\"code\": 403}"));
	AGENT_REFUSED("403");
	agent_sends("GET /api/v1/namespaces/dev/pods" HOST "\r\n");
	cr_expect(holds(got, "no rule allows list on dev/pods/*"));
	AGENT_REFUSED("403");
	/* The connection lives on. */
	agent_sends("GET " PODS HOST "\r\n");
	SERVER_GOT("GET " PODS HOST "\r\n");
}

Test(kubernetes_engine, a_status_names_rule_and_review)
{
	const struct protocol_refusal refusal = {.reason = REASON_REVIEW_DENIED,
		.rule = slice_from_string("ask"),
		.review = slice_from_string("r-1"),
		.text = slice_from_string("denied by \"ann\"")};
	struct buffer body;

	buffer_init(&body, 4096);
	cr_assert_eq(kubernetes_status_write(&body, 403, &refusal), 0);
	cr_expect(slice_equal_string(buffer_slice(&body),
			  "{\"kind\": \"Status\", \"apiVersion\": \"v1\", \"metadata\": {}, "
			  "\"status\": \"Failure\", \"message\": \"wayleave: denied by "
			  "\\\"ann\\\"\", \"reason\": \"Forbidden\", \"details\": {\"causes\": "
			  "[{\"reason\": \"review_denied\"}, {\"reason\": \"review_denied\", "
			  "\"field\": \"rule\", \"message\": \"ask\"}, {\"reason\": "
			  "\"review_denied\", \"field\": \"review\", \"message\": \"r-1\"}]}, "
			  "\"code\": 403}\n"),
		"%.*s", SLICE_PRINT(buffer_slice(&body)));
	buffer_done(&body);
}

Test(kubernetes_engine, who_it_is_the_agent_does_not_say)
{
	static const char *const names[] = {"Impersonate-User: a",
		"impersonate-group: system:masters", "IMPERSONATE-EXTRA-x: y",
		"Impersonate-Uid: 1"};
	char request[256];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		http_run_restart();
		snprintf(request, sizeof(request), "GET " PODS HOST "%s\r\n\r\n", names[i]);
		agent_sends(request);
		cr_expect(holds(&run.sent[SIDE_AGENT], "\"reason\": \"Forbidden\""));
		AGENT_REFUSED("403");
		cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
	}
}

/* The resource does, in each request; what else says so goes. */
Test(kubernetes_engine, who_it_is_the_resource_says)
{
	bench.impersonates = "impersonate-user: ci\r\nimpersonate-group: a b\r\n";
	http_run_restart();
	agent_sends("GET " PODS HOST "Impersonate_User: root\r\nA: b\r\n\r\n");
	SERVER_GOT(
		"GET " PODS HOST "A: b\r\nimpersonate-user: ci\r\nimpersonate-group: a b\r\n\r\n");
}

#define EXEC PODS "/web/exec?command=ls&command=-l"
#define SPDY "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"

Test(kubernetes_engine, streams)
{
	agent_sends(
		"POST " EXEC HOST "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" SPDY "\r\n");
	SERVER_GOT(
		"POST " EXEC HOST "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" SPDY "\r\n");
	server_sends("HTTP/1.1 101 Switching Protocols\r\n" SPDY "\r\n");
	AGENT_GOT("HTTP/1.1 101 Switching Protocols\r\n" SPDY "\r\n");
	/* A ping of SPDY's. */
	engine_run_feed(&run, SIDE_AGENT, slice_of("\x80\3\0\6\0\0\0\4\0\0\0\1", 12));
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 12);
	engine_run_feed(&run, SIDE_SERVER, slice_of("any thing", 9));
	cr_expect(run.closed);
	cr_expect(holds(&run.events, "a SPDY frame with an unknown flag"));
}

Test(kubernetes_engine, only_streams_are_upgraded)
{
	agent_sends("GET " PODS "/web/log" HOST SPDY "\r\n");
	SERVER_GOT("GET " PODS "/web/log" HOST "\r\n");
	http_run_restart();
	agent_sends("GET " PODS "?watch=1" HOST
		    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n");
	SERVER_GOT("GET " PODS "?watch=1" HOST "Sec-WebSocket-Key: x\r\n\r\n");
}

Test(kubernetes_engine, another_upgrade_than_was_asked_for)
{
	agent_sends("POST " EXEC HOST SPDY "\r\n");
	server_sends("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	AGENT_REFUSED("502");
}

#define PROXY PODS "/web/proxy/chat"
#define PROXY_RULES                                                                                \
	"config:\n"                                                                                \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"                 \
	"rules:\n"

static void begin_with(const char *rule)
{
	char text[1024];

	http_run_end();
	snprintf(text, sizeof(text), PROXY_RULES "%s", rule);
	http_run_begin_with(text);
}

/* A rule without `operations` does not mean what nobody reads. */
Test(kubernetes_engine, spdy_through_a_proxy_is_refused)
{
	static const char *const rules_without[] = {
		"  - { name: proxy, operations: [proxy], allow: {} }\n",
		"  - { name: all, allow: {} }\n",
		"  - { name: pods, objects: [\"prod/*/*\"], allow: {} }\n"};

	for (size_t i = 0; i < ARRAY_SIZE(rules_without); i++) {
		begin_with(rules_without[i]);
		agent_sends("POST " PROXY HOST SPDY "\r\n");
		cr_expect(
			holds(&run.sent[SIDE_AGENT], "no rule allows proxy_spdy on prod/pods/web"));
		cr_expect(holds(&run.sent[SIDE_AGENT], "{\"kind\": \"Status\", "));
		AGENT_REFUSED("403");
		SERVER_GOT("");
		/* Of a kubelet, too. */
		agent_sends("POST /api/v1/nodes/n1/proxy/exec/prod/web/app?command=id" HOST SPDY
			    "\r\n");
		AGENT_REFUSED("403");
		SERVER_GOT("");
		agent_sends("POST " PROXY HOST "Content-Length: 1\r\n\r\nx");
		SERVER_GOT("POST " PROXY HOST "Content-Length: 1\r\n\r\nx");
	}
}

Test(kubernetes_engine, spdy_through_a_proxy_where_a_rule_names_it)
{
	static const char *const rules_with[] = {
		"  - { name: proxy, operations: [proxy, proxy_spdy], allow: {} }\n",
		"  - { name: all, operations: [\"*\"], allow: {} }\n"};

	for (size_t i = 0; i < ARRAY_SIZE(rules_with); i++) {
		begin_with(rules_with[i]);
		agent_sends("POST " PROXY HOST SPDY "\r\n");
		SERVER_GOT("POST " PROXY HOST SPDY "\r\n");
		server_sends("HTTP/1.1 101 Switching Protocols\r\n" SPDY "\r\nany thing");
		AGENT_GOT("HTTP/1.1 101 Switching Protocols\r\n" SPDY "\r\nany thing");
		cr_expect(holds(&run.events, "relayed unread from here on"));
	}
	begin_with("  - { name: only, operations: [proxy_spdy], allow: {} }\n");
	agent_sends("POST " PROXY HOST SPDY "\r\n");
	cr_expect(holds(&run.sent[SIDE_AGENT], "no rule allows proxy on prod/pods/web"));
	begin_with(
		"  - { name: masked, operations: [\"*\"], allow: { mask: [{ detect: [email], with: "
		"redact }] } }\n");
	agent_sends("POST " PROXY HOST SPDY "\r\n");
	cr_expect(holds(&run.sent[SIDE_AGENT], "relayed unread can't be masked"));
	SERVER_GOT("");
}

/* --- what people decide about --- */

Test(kubernetes_engine, an_upgrade_does_not_hide_the_method_of_a_proxied_request)
{
	agent_sends("DELETE " PODS "/web/proxy/all" HOST "Destination: /x\r\n" SPDY "\r\n");
	cr_expect(holds(&run.events, "DELETE http://h" PODS "/web/proxy/all"), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
	cr_expect(holds(&run.events, "Destination: /x"));
	http_run_restart();
	agent_sends("POST " EXEC HOST SPDY "\r\n");
	cr_expect(holds(&run.events, "exec http://h" EXEC));
}

Test(kubernetes_engine, long_commands_are_shown_whole)
{
	char request[1024], word[301] = "";

	memset(word, 'w', 300);
	snprintf(request, sizeof(request),
		"POST " PODS "/web/exec?command=a&command=%s&x%s=y" HOST SPDY "\r\n", word, word);
	agent_sends(request);
	snprintf(request, sizeof(request), "command: a %s", word);
	cr_expect(holds(&run.events, request), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
}

Test(kubernetes_engine, whose_log_is_read_is_shown_as_it_is_meant)
{
	agent_sends("GET " PODS "/web/log?follow=true&container=a%2Dpp" HOST "\r\n");
	cr_expect(holds(&run.events, "\\x0acontainer: a-pp"), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
	http_run_restart();
	agent_sends("GET " PODS "/web?container=app" HOST "\r\n");
	cr_expect_not(holds(&run.events, "container: "));
}

#define WEBSOCKET                                                                                  \
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"                    \
	"Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.eA\r\n"

Test(kubernetes_engine, a_token_comes_by_no_other_way)
{
	agent_sends("GET " EXEC HOST WEBSOCKET "\r\n");
	cr_expect(holds(&run.sent[SIDE_SERVER], "GET "));
	http_run_restart();
	run.host.credentials.given = true;
	agent_sends("GET " EXEC HOST WEBSOCKET "\r\n");
	cr_expect(holds(&run.sent[SIDE_AGENT], "Sec-WebSocket-Protocol"));
	AGENT_REFUSED("403");
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
}
