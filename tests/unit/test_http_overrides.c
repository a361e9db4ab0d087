/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers that replace a request's method and path for servers that read them.
 */
#include "tests/unit/http_run.h"

TestSuite(http_overrides, .init = http_run_begin, .fini = http_run_end);

Test(http_overrides, an_overridden_method_is_judged_too)
{
	agent_sends("POST /v1/a HTTP/1.1\r\nHost: h\r\nX-HTTP-Method-Override: DELETE\r\n\r\n");
	AGENT_REFUSED("403");
	agent_sends("GET /v1/a HTTP/1.1\r\nHost: h\r\nX-Original-URL: /v1/secret/x?y\r\n\r\n");
	AGENT_REFUSED("403");
	SERVER_GOT("");
}

/* A server may read any of these headers and pass over the others. */
Test(http_overrides, each_method_is_judged_with_each_path)
{
	static const char allows[] =
		"config:\n"
		"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
		"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
		"rules:\n"
		"  - { name: read, operations: [read, websocket], allow: {} }\n"
		"  - { name: public, operations: [POST], objects: [\"/public/**\"], allow: {} }\n";
	static const char denies[] =
		"config:\n"
		"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
		"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
		"rules:\n"
		"  - { name: all, operations: [\"*\"], allow: {} }\n"
		"  - { name: kept, operations: [DELETE], objects: [\"/other\"], deny: {} }\n";
	static const struct {
		const char *rules, *request;
	} cases[] = {
		{allows,
			"POST /public/x HTTP/1.1\r\nHost: h\r\nX-HTTP-Method-Override: GET\r\n"
			"X-Original-URL: /admin/delete\r\nContent-Length: 0\r\n\r\n"},
		{allows,
			"GET /public/x HTTP/1.1\r\nHost: h\r\nX-HTTP-Method: POST\r\n"
			"X-Method-Override: GET\r\nX-Rewrite-URL: /admin/delete\r\n\r\n"},
		{allows,
			"OPTIONS * HTTP/1.1\r\nHost: h\r\nX-HTTP-Method: POST\r\n"
			"X-Rewrite-URL: /admin/delete\r\n\r\n"},
		{denies,
			"POST /x HTTP/1.1\r\nHost: h\r\nX-HTTP-Method-Override: DELETE\r\n"
			"X-HTTP-Method-Override: GET\r\nX-Original-URL: /other\r\n"
			"Content-Length: 0\r\n\r\n"},
		{denies,
			"DELETE /x HTTP/1.1\r\nHost: h\r\nX-HTTP-Method-Override: GET\r\n"
			"X-Original-URL: /other\r\n\r\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		http_run_end();
		http_run_begin_with(cases[i].rules);
		agent_sends(cases[i].request);
		SERVER_GOT("");
		AGENT_REFUSED("403");
	}
}

/* A WebSocket is a GET to a server that takes it for none. */
Test(http_overrides, a_websocket_is_a_get_of_each_path)
{
	http_run_end();
	http_run_begin_with(
		"config:\n"
		"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
		"  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
		"rules:\n"
		"  - { name: all, operations: [\"*\"], allow: {} }\n"
		"  - { name: kept, operations: [GET], objects: [\"/other\"], deny: {} }\n");
	agent_sends("GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		    "Sec-WebSocket-Key: x\r\nX-HTTP-Method-Override: POST\r\n"
		    "X-Original-URL: /other\r\n\r\n");
	SERVER_GOT("");
	AGENT_REFUSED("403");
}

/* What was read of the request's own path stays where it is, however long the others are. */
Test(http_overrides, a_path_beside_a_long_one_is_judged_too)
{
	char *text = memory_format("GET /v1/secret/x HTTP/1.1\r\nHost: h\r\n"
				   "X-Original-URL: /%060000d\r\n\r\n",
		0);

	http_run_end();
	http_run_begin_with("config:\n"
			    "  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
			    "  resources: [{ name: api, protocol: http, hosts: [\"h:80\"] }]\n"
			    "rules:\n"
			    "  - { name: all, operations: [\"*\"], allow: {} }\n"
			    "  - { name: secret, objects: [\"/v1/secret/**\"], deny: {} }\n");
	agent_sends(text);
	cr_assert(holds(&run.sent[SIDE_AGENT], "denied by rule \\\"secret\\\""));
	AGENT_REFUSED("403");
	SERVER_GOT("");
	free(text);
}
