/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of HTTP/2 share: an agent and a server, both of which are nghttp2's.
 */
#ifndef WAYLEAVE_TESTS_HTTP2_RUN_H
#define WAYLEAVE_TESTS_HTTP2_RUN_H

#include "tests/harness/http2_peer.h"
#include "tests/unit/http_run.h"

static struct http2_peer agent, server;

/* In a session that has begun (http_run.h). */
static inline void http2_run_begin(void)
{
	http2_peer_init(&agent, &run, SIDE_AGENT);
	http2_peer_init(&server, &run, SIDE_SERVER);
}

static inline void http2_run_end(void)
{
	http2_peer_done(&agent);
	http2_peer_done(&server);
	http_run_end();
}

static inline void talk(void)
{
	http2_peers_talk(&agent, &server);
	cr_assert_eq(agent.failed + server.failed, 0);
}

#define HEARD(peer, text)                                                                          \
	cr_assert(http2_peer_heard(&(peer), text), #peer ": %.*s",                                 \
		SLICE_PRINT(buffer_slice(&(peer).log)))

#endif
