/* SPDX-License-Identifier: Apache-2.0
 *
 * What of HTTP/2 is otherwise for gRPC: its status in place of HTTP's, and its headers that people
 * don't decide about.
 */
#include "tests/unit/http2_run.h"

static void begin(void)
{
	http_run_begin();
	http2_run_begin();
}

TestSuite(http2_grpc, .init = begin, .fini = http2_run_end);

#define GRPC "content-type: application/grpc+proto\n"

/* Who asks again when its deadline has come asks for the same. */
Test(http2_grpc, how_long_a_client_waits_is_not_decided)
{
	http2_peer_ask(&agent, "PUT", "/v1/a",
		"x-one: 1\ngrpc-timeout: 59999871u\ngrpc-previous-rpc-attempts: 1\n", "body",
		false);
	talk();
	cr_assert(holds(&run.events, "! held : \"host: h\\x0ax-one: 1\\x0a\"\"body\""));
	HEARD(server, "1 grpc-timeout: 59999871u\n1 grpc-previous-rpc-attempts: 1\n");
}

Test(http2_grpc, a_denial)
{
	http2_peer_ask(&agent, "DELETE", "/v1/a", GRPC, "a message", true);
	talk();
	HEARD(agent,
		"1 :status: 200\n1 content-type: application/grpc\n1 grpc-status: 7\n"
		"1 grpc-message: wayleave: denied by rule \"no deletes\": never\n1 end\n");
	cr_assert_eq(buffer_length(&server.log), 0);
}
