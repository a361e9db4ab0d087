/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_peer: an agent or a server that speaks HTTP/2 with an engine, byte for byte as nghttp2
 * does, and keeps what it was told.
 */
#ifndef WAYLEAVE_TESTS_HTTP2_PEER_H
#define WAYLEAVE_TESTS_HTTP2_PEER_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "tests/harness/engine_run.h"

struct http2_peer {
	nghttp2_session *session;
	struct engine_run *run;
	enum side side;
	size_t step; /* bytes that are fed at a time; 0: all */
	/* A line for each thing that came: "1 :status: 200", "1 data 5 hello", "1 end", "1 reset
	 * 8", "goaway 11", "ping". */
	struct buffer log;
	struct list bodies; /* that it sends */
	/* Sees each header field that came. May be NULL. */
	void (*field)(struct http2_peer *p, struct slice name, struct slice value);
	size_t failed; /* what the other side sent is no HTTP/2 */
};

void http2_peer_init(struct http2_peer *p, struct engine_run *run, enum side side);
void http2_peer_done(struct http2_peer *p);
/* An agent's request; `fields`: "name: value\n" each. `body` NULL: none; it ends with it, or is
 * kept open where `open`. Returns the stream. */
int32_t http2_peer_ask(struct http2_peer *p, const char *method, const char *path,
	const char *fields, const char *body, bool open);
/* Asks a proxy for a connection, to be kept open. */
int32_t http2_peer_connect(struct http2_peer *p, const char *place, const char *fields);
/* A request whose body has something behind it. */
int32_t http2_peer_ask_trailed(struct http2_peer *p, const char *method, const char *path,
	const char *body, const char *trailers);
/* A server's response to a stream. */
void http2_peer_answer(struct http2_peer *p, int32_t id, const char *status, const char *fields,
	const char *body, const char *trailers);
/* More of a body that was kept open, which ends with it unless `open`. */
void http2_peer_more(struct http2_peer *p, int32_t id, struct slice bytes, bool open);
/* A server's 200 whose body is kept open. */
void http2_peer_agree(struct http2_peer *p, int32_t id, const char *fields);
/* Feeds the engine what the peer has to say. */
void http2_peer_speak(struct http2_peer *p);
/* Takes what the engine wrote for it, and answers. True: something was. */
bool http2_peer_listen(struct http2_peer *p);
/* Lets both talk until neither has anything to say. */
void http2_peers_talk(struct http2_peer *agent, struct http2_peer *server);
bool http2_peer_heard(const struct http2_peer *p, const char *text);

#endif
