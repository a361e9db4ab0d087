/* SPDX-License-Identifier: Apache-2.0
 *
 * http2: one HTTP/2 connection (RFC 9113) as its two ends see it: a session of nghttp2 with each,
 * which frames, keeps HPACK's tables and the windows, and does no I/O. Each stream of the agent is
 * a lane with one request, judged as HTTP/1.1's is (http/request.h), and written anew as a stream
 * with the server.
 *
 *   engine.c    protocol.h's functions: verdicts, what waits for people
 *   upstream.c  the server's connection, and the end
 *   frames.c    bytes to and from nghttp2, a frame at a time; floods
 *   agent.c     what the agent sends: requests
 *   server.c    what the server sends: responses
 *   session.c   what nghttp2 is told of either side
 *   stream.c    a stream: its content on the way, and responses of our own
 *   block.c     a list of headers as it comes, and as it leaves
 *   secret.c    the resource's secret in requests
 *   socket.c    WebSockets
 *   tunnel.c    connections that a proxy makes
 *   grpc.c      responses of our own to gRPC
 *
 * The connection before HTTP/2 is known to be spoken (first bytes, TLS) is struct http_engine's,
 * which this one goes on from (http/connection.c). Flow control is end to end: a side's window for
 * a stream is opened again as the other side takes what came.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP2_HTTP2_H
#define WAYLEAVE_PROTOCOL_HTTP2_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "protocol/http/engine.h"

#define HTTP2_FRAME_HEADER 9
/* Of our first frame to the agent, the byte that says whether WebSockets are offered (RFC 8441, 3):
 * the last of the first setting's value. */
#define HTTP2_OFFER_AT (HTTP2_FRAME_HEADER + 5)

/* A list of headers. Names and values are references to nghttp2's. */
struct http2_block {
	nghttp2_rcbuf *held[2 * LIMIT_HTTP_FIELDS];
	size_t held_count;
	size_t bytes; /* as RFC 9113, 6.5.2 counts them */
	struct slice method, scheme, authority, path, status, protocol; /* empty: missing */
	struct http_fields fields;
	struct http_problem problem; /* that was found in it already */
};

/* Content on its way to one side. */
struct http2_flow {
	struct buffer data;
	size_t owed; /* bytes for which the sender's window was not opened again yet */
	size_t held; /* bytes that people are shown, masks hold back, or decoders have */
	bool ended; /* no more comes behind `data` but trailers */
	bool waits; /* nghttp2 is to be told when there is more */
	struct http2_block *trailers; /* NULL: none; owned */
};

enum http2_state {
	HTTP2_HEAD, /* its headers are still coming */
	HTTP2_VERDICT, /* it is being judged */
	HTTP2_COLLECT, /* people are to see its body first */
	HTTP2_READY, /* released; there is no server yet */
	HTTP2_OFFER, /* there is; whether it takes WebSockets is not known yet */
	HTTP2_SECRET, /* there is; what it is to be shown is on its way */
	HTTP2_OPEN, /* it is with the server */
	HTTP2_ANSWERED, /* nothing more is wanted of the server */
};

struct http2_socket;
struct http2_tunnel;
struct http2_list;

/* A result that is still to be told. */
struct http2_report {
	struct list link; /* http2.reports */
	uint64_t action, bytes;
	char tag[64];
};

struct http2_stream {
	struct list link; /* http2.streams */
	struct list asking; /* http2.asking, while its EVENT_ACTION is still to be told */
	struct http2 *h;
	enum http2_state state;
	int32_t id; /* with the agent; the lane. 0: that one ended, the server's not yet */
	int32_t server_id; /* 0: none */
	struct http_request request;
	struct http2_block block; /* the last that came from either side */
	struct http2_flow flows[2]; /* by the side that receives it */
	uint64_t content; /* bytes of the response that came */
	bool agent_ended; /* all of the request came */
	bool server_ended; /* all of the response came */
	bool answering; /* the agent was sent a final response's head */
	bool answered; /* all of the response was sent */
	uint64_t drained; /* bytes of the request that nobody wants */
	bool masking; /* content of its response is masked */
	bool head_held; /* a response's head waits for its masked content */
	struct http2_socket *socket; /* it is to be a WebSocket; owned. NULL: not that */
	struct http2_tunnel *tunnel; /* it is a CONNECT; owned. NULL: not that */
	bool reported; /* what came of the WebSocket was */
	bool grpc; /* that is what the request says it is */
	/* What trailers of our own say, which end a response that was begun. NULL: there are none.
	 */
	const char *grpc_status;
	struct buffer grpc_message;
};

/* Frames of one side as they come. */
struct http2_frames {
	uint8_t header[HTTP2_FRAME_HEADER];
	size_t header_length;
	size_t left; /* bytes of the frame's content, or of the preface, still to come */
	unsigned continuations; /* of this list of headers */
	unsigned idle; /* frames in a row that moved nothing on */
	unsigned resets; /* of streams, or reasons for them, more than complete responses */
};

struct http2 {
	struct http_engine *e;
	nghttp2_session *sessions[2]; /* by side; the server's NULL while there is none */
	struct http2_frames frames[2];
	struct list streams, asking;
	struct list closed; /* streams that nobody has any more, and an event may be about */
	struct list reading; /* WebSockets of which something is still to be read */
	struct list reports;
	char reported[64]; /* the tag of the last */
	size_t stream_count;
	size_t held; /* of all flows */
	size_t passing; /* bytes of content on the way */
	uint64_t sent; /* bytes to either side */
	size_t owed[2]; /* bytes for which a side's connection window was not opened again yet */
	bool settled; /* the server's SETTINGS came */
	bool greeted; /* the agent was sent ours */
	bool offers; /* and WebSockets were offered in them, or since */
	bool draining; /* the server takes no new streams */
	bool ends; /* no new stream is taken, and with the last one the session ends */
	const char *flood; /* what came too often; NULL: nothing did */
	bool lends; /* the host was asked for the resource's secret */
	bool pinged; /* the agent was, and has not answered */
	uint32_t broken[2]; /* the error with which nghttp2 ended a side's session; 0: none */
	char tags[EVENTS_MOST][8]; /* of results that wait */
	size_t next_tag;
	/* Lanes that the agent gave up while they waited; one frame may end all of them. */
	uint32_t dropped[LIMIT_HTTP2_STREAMS];
	size_t dropped_count;
};

extern const struct protocol protocol_http2, protocol_kubernetes2;

/* engine.c */
/* The agent speaks HTTP/2 from its next byte on; `ready`: so does the server, which stands. */
int http2_open(struct http_engine *e, bool ready);
void http2_close(struct http2 *h); /* takes NULL */
/* Asks for the verdict on a stream's request, once what rules look into is here. */
void http2_ask(struct http2_stream *s);
/* All of its body has come, or more of it than is held, which is on its way to the server then: it
 * is judged. */
void http2_collected(struct http2_stream *s);
void http2_too_large(struct http2_stream *s);

/* upstream.c */
/* A released stream goes to the server, as soon as there is one. */
int http2_go_on(struct http2_stream *s);
void http2_connected(struct protocol_engine *base);
void http2_tls_done(
	struct protocol_engine *base, enum side side, const struct protocol_tls_result *result);
/* The agent is to open no new streams, and with its last one the session ends. */
void http2_say_goodbye(struct http2 *h);
/* The server takes no new streams: nor do we, on this connection. */
void http2_on_goaway(struct http2 *h);
void http2_check_drained(struct http2 *h);
/* Its SETTINGS came: WebSockets are offered to the agent where it takes them. -ENOMEM. */
int http2_on_settings(struct http2 *h);
bool http2_server_offers(const struct http2 *h);
/* It closed its connection: what it did not answer fails. */
void http2_server_gone(struct http2 *h);
/* Answers what it can, and the session ends; http2_flush() says so. */
void http2_fail(struct http2 *h, enum reason reason, const char *text);

/* A response is complete: one more stream may be given up. */
static inline void http2_forgive(struct http2 *h)
{
	if (h->frames[SIDE_AGENT].resets)
		h->frames[SIDE_AGENT].resets--;
}

/* frames.c */
int http2_input(struct http2 *h, enum side side, struct slice in, size_t *ret_taken);
/* Sends what there is to send to either side. */
int http2_flush(struct http2 *h);
void http2_frames_begin(struct http2_frames *f, bool preface);
int http2_write(struct http2 *h, enum side to, struct slice bytes);
/* Bytes of content came from a side, whose window for all streams is opened again for them as soon
 * as not too many are on the way. */
void http2_came(struct http2 *h, enum side from, size_t bytes);
/* Whether so many are on the way that nothing more is read of a side. */
bool http2_is_full(const struct http2 *h, enum side from);
/* Fewer are on the way. */
void http2_settle(struct http2 *h);

/* What a session calls; each gets the struct http2. */
struct http2_callbacks {
	nghttp2_on_begin_headers_callback begin_headers;
	nghttp2_on_header_callback2 header;
	nghttp2_on_invalid_header_callback2 invalid_header;
	nghttp2_on_invalid_frame_recv_callback invalid_frame; /* may be NULL */
	nghttp2_on_frame_recv_callback frame;
	nghttp2_on_data_chunk_recv_callback data;
	nghttp2_on_stream_close_callback stream_close;
};

/* What both sessions have in common; negative errno. */
int http2_session_begin(struct http2 *h, enum side side, const struct http2_callbacks *callbacks);

/* agent.c, server.c */
int http2_agent_begin(struct http2 *h);
int http2_server_begin(struct http2 *h);
void http2_say_continue(struct http2_stream *s);
/* Sends the request's head, and its body behind it. */
int http2_server_send(struct http2_stream *s);
/* Nothing more is wanted of the server for it. */
void http2_server_forget(struct http2_stream *s, uint32_t code);

/* stream.c */
struct http2_stream *http2_stream_new(struct http2 *h, int32_t id);
/* The connection has it no more. What events may be about is kept until the next function. */
void http2_stream_free(struct http2_stream *s);
/* No event waits, and the last one was handled. */
void http2_streams_free_closed(struct http2 *h);
/* Something for the record that is no action; `text`: static. */
void http2_note(struct http2 *h, enum reason reason, const char *text);
void http2_flow_drop_trailers(struct http2_flow *f);
/* No more content comes for a side, nor trailers. */
void http2_stream_end(struct http2_stream *s, enum side to);
/* More content for a side. */
int http2_stream_append(struct http2_stream *s, enum side to, struct slice data);
/* Whether content of its request may pass; else it was answered. Where we only observe it may, and
 * is noted. */
bool http2_stream_passes(struct http2_stream *s, struct slice content);
/* The flow changed: nghttp2 may go on with it. */
void http2_stream_wake(struct http2_stream *s, enum side to);
/* Opens the window for what was taken of the flow to `to`. */
void http2_stream_settle(struct http2_stream *s, enum side to);
/* Nothing more is wanted of the server: what was on its way there is dropped. */
void http2_stream_stop(struct http2_stream *s);
/* So much of what goes to a side is held back for people, or by masks, with their decoders; false:
 * that is more than a connection may. */
bool http2_stream_hold(struct http2_stream *s, enum side to, size_t bytes);
/* All content of its request was looked at. */
void http2_stream_looked_at(struct http2_stream *s);
/* Where nghttp2 has the content of a stream of ours from. */
extern const nghttp2_data_provider http2_content;
/* As nghttp2 calls it for each frame of content. */
int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
	size_t length, nghttp2_data_source *source, void *context);
/* Once the agent has its response, it may be told to send no more of the request. */
void http2_stream_cut(struct http2_stream *s);
/* A response of our own, or a reset where the server's was begun. */
void http2_answer(struct http2_stream *s, unsigned status, const struct protocol_refusal *refusal);
/* The same, where there is no number of an action. */
void http2_stream_fail(struct http2_stream *s, enum reason reason, const char *text);

/* secret.c: the stream goes to the server once the host has lent the resource's secret. */
int http2_secret_ask(struct http2_stream *s);
void http2_proven(struct protocol_engine *base, int error, struct slice answer);
/* Puts the secret into the list, which refers to `room`. -EINVAL: it can't stand there. */
int http2_secret_put(const struct http2_stream *s, struct http2_list *list, struct buffer *room);
/* For a session that is to show it: what is freed is wiped. */
extern nghttp2_mem http2_wiping_memory;

/* socket.c: with s->socket, but for the first and where it says so. */
void http2_socket_new(struct http2_stream *s);
void http2_socket_free(struct http2_stream *s); /* takes none */
/* Nothing more is read of it, and what waits goes nowhere; takes none. */
void http2_socket_stop(struct http2_stream *s);
/* The server agreed; takes none. */
bool http2_socket_is_open(const struct http2_stream *s);
/* Its final response is in the request's head. NULL, or why it is refused. */
const char *http2_socket_answered(struct http2_stream *s, bool agreed);
/* Bytes came from a side, or its end. Errors are the buffer's. */
int http2_socket_take(struct http2_stream *s, enum side from, struct slice data);
void http2_socket_end(struct http2_stream *s, enum side from);
/* Both sides are told why it ends. False: there are no words for it; takes none. */
bool http2_socket_leave(struct http2_stream *s, enum reason reason, struct slice text);
/* The agent's stream is closed. Whether what it said last is still on its way; takes none. */
bool http2_socket_outlives(const struct http2_stream *s);
/* The server's stream is closed. Whether what it said last is still to be read; takes none. */
bool http2_socket_has_last_words(const struct http2_stream *s);
/* What came of it, once, if it was open; takes none. */
void http2_socket_report(struct http2_stream *s);
/* Reads what came of all of them, up to the next event. */
int http2_sockets_read(struct http2 *h);

/* tunnel.c: with s->tunnel, but for the first and where it says so. */
void http2_tunnel_new(struct http2_stream *s);
void http2_tunnel_free(struct http2_stream *s); /* takes none */
/* The CONNECT was released by the rules: whether where it leads may be, or it is answered. */
bool http2_tunnel_may_lead(struct http2_stream *s);
/* The proxy has made it: it is judged as that connection from here on. Negative errno: it can't be
 * carried. */
int http2_tunnel_opened(struct http2_stream *s);
/* The proxy has made none. */
void http2_tunnel_refused(struct http2_stream *s);
bool http2_tunnel_is_open(const struct http2_stream *s); /* the proxy has made it; takes none */
/* Nobody has more to say in it, but what is on its way; takes none. */
bool http2_tunnel_is_over(const struct http2_stream *s);
/* Bytes came from a side, or its end. Errors are the buffer's. */
int http2_tunnel_take(struct http2_stream *s, enum side from, struct slice data);
void http2_tunnel_end(struct http2_stream *s, enum side from);
/* The server's stream is closed, with that error. */
void http2_tunnel_closed(struct http2_stream *s, uint32_t error);
/* Some of what waited for a side has left. */
void http2_tunnel_sent(struct http2_stream *s, enum side to);
/* Both sides are told that it ends. False: it is not open; takes none. */
bool http2_tunnel_leave(struct http2_stream *s);
/* The agent's stream is closed, with that error. Whether what the server gets is still on its way;
 * takes none. */
bool http2_tunnel_outlives(const struct http2_stream *s, uint32_t error);

/* grpc.c: its status for a response with this one; static. */
const char *http2_grpc_status(unsigned status);
/* Appends its message. */
int http2_grpc_put_message(struct buffer *out, const struct protocol_refusal *refusal);
/* By the head that it has now, be it the request's or the response's. */
bool http2_is_grpc(const struct http_request *r);
/* A response that was begun ends behind what has come of it, with a status and our message in
 * trailers. False: it is not gRPC's, or has ended. */
bool http2_grpc_end(
	struct http2_stream *s, unsigned status, const struct protocol_refusal *refusal);
void http2_grpc_list_end(struct http2_list *l, const struct http2_stream *s);

/* block.c */
void http2_block_clear(struct http2_block *b);
/* False: it has become so large that no more of it is to be read. */
bool http2_block_add(struct http2_block *b, nghttp2_rcbuf *name, nghttp2_rcbuf *value);
/* The request that it is, in r->head; false: it is none. */
bool http2_block_read_request(
	const struct http2_block *b, struct http_request *r, struct http_problem *ret);

/* A list of headers that leaves; refers to what its parts are of. Besides what came there is room
 * for pseudo-headers, the secret, and all whom a request is said to be of. */
struct http2_list {
	nghttp2_nv items[LIMIT_HTTP_FIELDS + 8 + LIMIT_IMPERSONATED];
	size_t count;
};
void http2_list_add(struct http2_list *l, struct slice name, struct slice value);
/* The same in place of a field of that name, and so that no table keeps it (RFC 7541, 6.2.3). */
void http2_list_hide(struct http2_list *l, struct slice name, struct slice value);
/* With the secret that the engine has now; what is written for the list is in `room`. -EINVAL: that
 * can't stand in a request. */
int http2_list_of_request(struct http2_list *l, const struct http2_stream *s, struct buffer *room);
/* `status` as text, which lives as long as the list, as `room` does. -ENOMEM, -E2BIG. */
int http2_list_of_response(struct http2_list *l, const struct http2_stream *s, struct slice status,
	struct buffer *room);
void http2_list_of_trailers(
	struct http2_list *l, const struct http_request *r, const struct http2_block *b);

#endif
