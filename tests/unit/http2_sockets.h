/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of WebSockets over HTTP/2 (RFC 8441): one that an agent asks for, and what is said in
 * it.
 */
#ifndef WAYLEAVE_TESTS_HTTP2_SOCKETS_H
#define WAYLEAVE_TESTS_HTTP2_SOCKETS_H

#include "tests/unit/http2_run.h"
#include "tests/unit/http_frames.h"

static inline bool agent_was_offered_it(void)
{
	return nghttp2_session_get_remote_settings(
		       agent.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static inline void ask_for(const char *path, const char *fields)
{
	char all[512];

	snprintf(all, sizeof(all),
		":protocol: websocket\nsec-websocket-version: 13\n"
		"sec-websocket-extensions: permessage-deflate\n%s",
		fields ? fields : "");
	http2_peer_ask(&agent, "CONNECT", path, all, "", true);
	talk();
}

/* In clear the server is known once something was asked of it. */
static inline void meet(void)
{
	http2_peer_ask(&agent, "GET", "/a", NULL, NULL, false);
	talk();
	http2_peer_answer(&server, 1, "200", NULL, NULL, NULL);
	talk();
}

/* Stream 3 of the agent, and of the server. */
static inline void ask_with(const char *path, const char *fields)
{
	const nghttp2_settings_entry offer = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};

	nghttp2_submit_settings(server.session, NGHTTP2_FLAG_NONE, &offer, 1);
	meet();
	cr_assert(agent_was_offered_it());
	ask_for(path, fields);
}

static inline void ask(const char *path)
{
	ask_with(path, NULL);
}

/* `form`: a Sec-WebSocket-Protocol that both agree on; NULL: none. */
static inline void open_socket_of(const char *path, const char *form)
{
	ask_with(path, form);
	http2_peer_agree(&server, 3, form);
	talk();
	HEARD(agent, "3 :status: 200\n");
}

static inline void open_socket(const char *path)
{
	open_socket_of(path, NULL);
}

static inline void says_bytes(enum side from, struct slice bytes, bool open)
{
	http2_peer_more(from == SIDE_AGENT ? &agent : &server, 3, bytes, open);
	talk();
}

static inline void says(enum side from, enum websocket_opcode opcode, bool final, const char *text)
{
	struct buffer frame;

	buffer_init(&frame, 1u << 20);
	websocket_append(&frame, opcode, final, from == SIDE_AGENT ? frames_key : NULL,
		slice_from_string(text));
	says_bytes(from, buffer_slice(&frame), true);
	buffer_done(&frame);
}

#endif
