/* SPDX-License-Identifier: Apache-2.0
 *
 * dialect: what a resource's protocol makes of HTTP: what a request does, and what a refusal looks
 * like. Framing, TLS, reviews and connections are the same for all, in HTTP/1.1 and HTTP/2.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_DIALECT_H
#define WAYLEAVE_PROTOCOL_HTTP_DIALECT_H

#include "protocol/http/pairs.h"
#include "protocol/http/request.h"
#include "protocol/http/stream.h"
#include "protocol/http/target.h"

struct http_dialect {
	enum protocol_id protocol;
	/* Its servers read no Host, and some of its clients say one of this host. */
	bool passes_own_host;
	/* What the request in r->head does, as r->pairs, r->paths being empty; whether it asks for
	 * a stream. False: it is refused as it stands. */
	bool (*read)(
		struct http_request *r, const struct http_target *target, struct http_problem *ret);
	/* Appends to r->text what people should read of it besides, a line each; NULL: nothing. */
	int (*describe)(struct http_request *r);
	/* What is masked in its response whatever the rules say, unless they show it; NULL: nothing
	 * is. Static. */
	const struct mask_json *(*masks)(const struct http_request *r, size_t *ret_count);
	/* Of the request's content, `ret` (which is empty) gets what people are shown of it and
	 * what is recorded, should that not be all of it. False: it is. NULL: always. */
	bool (*hide)(const struct http_request *r, struct slice content, struct buffer *ret);
	/* The server's 101 is in r->head: who reads what comes behind it; the caller's to free.
	 * NULL: nobody does, or, with *ret_problem (static), it is refused. */
	struct http_stream *(*open_stream)(
		const struct http_request *r, struct event_queue *events, const char **ret_problem);
	/* Appends the body of a refusal, which is JSON. */
	int (*refuse)(struct buffer *out, unsigned status, const struct protocol_refusal *refusal);
};

extern const struct http_dialect http_plain;
extern const struct http_dialect http_kubernetes;

/* For a dialect's refuse(): appends what stands for the text in JSON, a string. */
int http_refusal_put_string(struct buffer *out, struct slice text);
/* "wayleave: " and the sentence. */
int http_refusal_put_message(struct buffer *out, const struct protocol_refusal *refusal);
/* Whether the request asks for a WebSocket. */
bool http_asks_for_websocket(const struct http_request *r);
/* Where a CONNECT leads, as r->beyond. False: to no one place, so it is refused as it stands. */
bool http_request_read_beyond(
	struct http_request *r, const struct http_target *target, struct http_problem *ret);

#endif
