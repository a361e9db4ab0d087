/* SPDX-License-Identifier: Apache-2.0
 *
 * Kubernetes' streams in WebSockets over HTTP/2: exec and port-forward.
 */
#include "tests/unit/http2_sockets.h"

#define CONFIG(mode)                                                                               \
	"config:\n"                                                                                \
	"  mode: " mode "\n"                                                                       \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: kube, protocol: kubernetes, hosts: [\"h:80\"] }]\n"                 \
	"rules:\n"                                                                                 \
	"  - { name: all, operations: [\"*\"], allow: {} }\n"                                      \
	"  - name: masked\n"                                                                       \
	"    operations: [exec]\n"                                                                 \
	"    objects: [prod/pods/masked]\n"                                                        \
	"    allow: { mask: [{ detect: [email], with: redact }] }\n"
#define POD(what) "/api/v1/namespaces/prod/pods/" what
#define CHANNELS "sec-websocket-protocol: v4.channel.k8s.io\n"

static void begin(void)
{
	http_run_begin_with(CONFIG("enforce"));
	http2_run_begin();
}

TestSuite(http2_kubernetes, .init = begin, .fini = http2_run_end);

/* With the end of the second side the stream is gone, and what it carried is told behind that. */
Test(http2_kubernetes, what_a_port_forward_carried_is_told_behind_its_end)
{
	open_socket_of(POD("web/portforward?ports=8080"), CHANNELS);
	says_bytes(SIDE_SERVER, slice_of("\x82\3\0\x90\x1f", 5), true);
	says_bytes(SIDE_AGENT, slice_of("\x82\x86\0\0\0\0\0hello", 12), true);
	HEARD(server, "3 data 12 ");
	says_bytes(SIDE_SERVER, SLICE_EMPTY, false);
	HEARD(agent, "3 end\n");
	says_bytes(SIDE_AGENT, SLICE_EMPTY, false);
	HEARD(server, "3 end\n");
	cr_assert(holds(
		&run.events, "! note 0 \"port-forward 1: 5 bytes to port 8080, 0 from it\"\n"));
	cr_assert(holds(&run.events, "! result 2"));
}

/* A mask kept it back for what might have followed. */
Test(http2_kubernetes, what_a_program_says_last_arrives)
{
	open_socket_of(POD("masked/exec?command=cat&stdout=true"), CHANNELS);
	says_bytes(SIDE_AGENT, SLICE_EMPTY, false);
	HEARD(server, "3 end\n");
	says_bytes(SIDE_SERVER, slice_of("\x82\x10\1ann@example.com", 18), false);
	HEARD(agent, "[masked]\n3 end\n");
	cr_assert_not(http2_peer_heard(&agent, "3 reset"));
	RECORDED(DATA_OUTPUT, "[masked]");
	cr_assert(holds(&run.events, "! result 2"));
}
