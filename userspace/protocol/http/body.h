/* SPDX-License-Identifier: Apache-2.0
 *
 * body: where a message's content ends (RFC 9112, 6 and 7): its length, its chunks, or the end of
 * the connection. Chunks are read strictly; their extensions are dropped, as nobody uses them but
 * who wants two readers to disagree.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_BODY_H
#define WAYLEAVE_PROTOCOL_HTTP_BODY_H

#include "base/buffer.h"
#include "protocol/http/head.h"

enum http_body_kind {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_END,
};

enum http_chunk_state { HTTP_CHUNK_SIZE, HTTP_CHUNK_DATA, HTTP_CHUNK_END, HTTP_CHUNK_TRAILERS };

struct http_body {
	enum http_body_kind kind;
	enum http_chunk_state chunk;
	uint64_t left; /* bytes of the content, or of this chunk */
	uint64_t length; /* HTTP_BODY_LENGTH: of all of it */
	uint64_t seen; /* bytes of content that came */
	bool complete;
	struct buffer line; /* a chunk's size, or trailers, as far as they came */
};

enum http_piece {
	HTTP_PIECE_NONE, /* more bytes are needed */
	HTTP_PIECE_DATA,
	HTTP_PIECE_END, /* complete; trailers are in `line`, with the empty line behind them */
	HTTP_PIECE_BAD,
};

void http_body_init(struct http_body *b);
void http_body_done(struct http_body *b);
/* How the content of this message is framed. False: two readers could disagree. `to_head`: it
 * answers a HEAD request. */
bool http_body_of_request(
	struct http_body *b, const struct http_head *head, struct http_problem *ret);
bool http_body_of_response(
	struct http_body *b, const struct http_head *head, bool to_head, struct http_problem *ret);
/* Takes the next piece. HTTP_PIECE_DATA: *ret_data is a part of `in`. A body without content ends
 * at once, also where `in` is empty. */
enum http_piece http_body_next(
	struct http_body *b, struct slice in, size_t *ret_taken, struct slice *ret_data);

#endif
