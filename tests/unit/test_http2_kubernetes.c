/* SPDX-License-Identifier: Apache-2.0
 *
 * Kubernetes' streams in WebSockets over HTTP/2: exec and port-forward.
 */
#include "protocol/kubernetes/channels.h"
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

static void begin_observing(void)
{
	http_run_begin_with(CONFIG("observe"));
	http2_run_begin();
}

TestSuite(http2_kubernetes_observed, .init = begin_observing, .fini = http2_run_end);

/* It goes on as it was sent, and that it would be refused is told; each for itself. */
Test(http2_kubernetes_observed, what_stands_in_a_request)
{
	http2_peer_ask(&agent, "GET", POD("a"), "impersonate-user: root\n", NULL, false);
	talk();
	HEARD(server, "1 impersonate-user: root\n");
	cr_assert(holds(&run.events, "! would refuse protocol_violation \"who the agent is, "));
	buffer_clear(&run.events);
	http2_peer_ask(&agent, "GET", POD("b"), NULL, NULL, false);
	talk();
	HEARD(server, "3 end\n");
	cr_assert_not(holds(&run.events, "would refuse"));
	/* While it comes, and when all of it was there. */
	http2_peer_ask(&agent, "PUT", POD("c"), NULL, "[mas", true);
	talk();
	http2_peer_more(&agent, 5, slice_from_string("ked]"), false);
	talk();
	HEARD(server, "5 end\n");
	cr_assert(holds(&run.events, "denied: it holds what stood in the place of a masked value"));
	HEARD(server, "ked]");
	cr_assert_not(http2_peer_heard(&agent, "wayleave"));
}

Test(http2_kubernetes_observed, what_is_asked_of_a_proxy)
{
	http2_peer_connect(&agent, "db.test:443", NULL);
	talk();
	HEARD(server, "1 :method: CONNECT\n");
	cr_assert(holds(
		&run.events, "! would refuse protocol_violation \"an API server is no proxy"));
	http2_peer_agree(&server, 1, NULL);
	talk();
	HEARD(agent, "1 :status: 200\n");
	cr_assert_eq(run.tunnel_count, 1);
}

#define STATUS_BYTES (KUBERNETES_STATUS_MOST + 1000)

/* What is refused is relayed to whom it was said, and what comes behind it. */
Test(http2_kubernetes_observed, what_is_refused_is_relayed_to_one_side)
{
	open_socket_of(POD("web/exec?command=sh&stdin=true"), CHANNELS);
	says(SIDE_SERVER, WEBSOCKET_PING, true, "still there?");
	says_bytes(SIDE_AGENT, slice_of("\x82\x86\0\0\0\0\3hello", 12), true);
	cr_assert(holds(&run.events, "a Kubernetes channel that is not this side's"));
	HEARD(server, "3 data 12 \x82\x86");
	cr_assert_not(http2_peer_heard(&agent, "hello"));
	says_bytes(SIDE_AGENT, slice_from_string("behind"), true);
	HEARD(server, "3 data 6 behind\n");
	says_bytes(SIDE_SERVER, slice_from_string("whatever"), false);
	HEARD(agent, "still there?\n3 data 8 whatever\n3 end\n");
}

Test(http2_kubernetes_observed, what_is_beyond_a_limit_is_relayed)
{
	static char status[STATUS_BYTES];
	struct buffer frame;

	memset(status, ' ', sizeof(status));
	status[0] = '\3';
	buffer_init(&frame, 1u << 20);
	websocket_append(&frame, WEBSOCKET_BINARY, true, NULL, slice_of(status, sizeof(status)));
	open_socket_of(POD("web/exec?command=sh&stdout=true"), CHANNELS);
	says_bytes(SIDE_SERVER, buffer_slice(&frame), true);
	buffer_done(&frame);
	cr_assert(holds(&run.events, "a message of a Kubernetes stream is too long"));
	says(SIDE_SERVER, WEBSOCKET_TEXT, true, "behind");
	HEARD(agent, "behind\n");
	cr_assert_not(http2_peer_heard(&agent, "wayleave"));
	cr_assert_not(http2_peer_heard(&agent, "3 end"));
	/* The rules hold from now on. */
	run.host.observes = false;
	says(SIDE_SERVER, WEBSOCKET_TEXT, true, "later");
	cr_assert_not(http2_peer_heard(&agent, "later"));
	HEARD(agent, "3 reset 2\n");
	HEARD(server, "3 reset 8\n");
	cr_assert_not(run.closed);
}
