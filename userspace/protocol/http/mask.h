/* SPDX-License-Identifier: Apache-2.0
 *
 * mask: the content of a response with what must not be seen taken out, by detectors and by paths
 * in JSON, which are looked for wherever the content begins as JSON does. JSON is held
 * whole, so that it stays JSON; events and lines pass one by one, those whose texts go on in the
 * next one as far as nothing found could; other text passes in windows that overlap, so that what
 * straddles two reads is found.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_MASK_H
#define WAYLEAVE_PROTOCOL_HTTP_MASK_H

#include "masking/json_path.h"
#include "protocol/http/head.h"
#include "protocol/http/mask_events.h"

#define HTTP_MASK_UNIT_MOST (1u << 20) /* an event, a line, or one finding */

enum http_mask_mode {
	HTTP_MASK_JSON,
	HTTP_MASK_EVENTS,
	HTTP_MASK_LINES,
	HTTP_MASK_FORM, /* its fields pass one by one */
	HTTP_MASK_TEXT,
	HTTP_MASK_UNREAD, /* it is binary, and passes as it is */
	HTTP_MASK_REFUSED, /* it is binary, and does not */
};

struct http_mask {
	struct masker masker;
	struct json_paths *paths; /* NULL: none; owned */
	enum mask_binary binary; /* what the rules say of content that is no text */
	enum http_mask_mode mode;
	bool may_be_binary; /* whether it is is seen when it begins, and then it passes */
	bool undecided; /* whether it is text is seen when it begins */
	bool says_text; /* its type does, or it has none */
	uint8_t begin[2]; /* its first bytes, */
	unsigned begin_length; /* as many as came */
	/* Of events and lines in which something may be found; NULL: it is none of these. Owned. */
	struct http_mask_events *events;
	struct buffer held; /* content that has not passed, behind some that has */
	size_t passed; /* of `held` */
	size_t blank; /* begin of `held` in which nothing stands yet, while undecided */
	size_t searched; /* begin of `held` in which nothing was found at which it may be parted */
};

/* media.c: of a content of that type, which may have parameters, or be empty. */
enum http_mask_mode http_mask_mode_of(struct slice type);
void http_mask_init(struct http_mask *m);
void http_mask_done(struct http_mask *m);
/* For the responses from here on. -E2BIG: too many paths. */
int http_mask_bind(struct http_mask *m, struct detector_engine *engine, struct mask_hasher *hasher,
	const struct mask_rules *rules);
/* For one response; `type`: its Content-Type, which may be empty. */
void http_mask_begin(struct http_mask *m, struct slice type);
/* For one message of a WebSocket, which is JSON where it begins as JSON does; `binary`: it does not
 * say that it is text. */
void http_mask_begin_message(struct http_mask *m, bool binary);
/* And it passes line by line, whatever its type is. */
void http_mask_in_lines(struct http_mask *m);
/* Takes content, and appends to `out` what of all that came may pass; `last`: no more comes.
 * -E2BIG: more would have to be held than is; -EBADMSG: it begins as JSON, of which paths mask
 * something, and is none; -EPERM: it is binary, and that is refused; -EILSEQ: it is text in a
 * character set that nobody here reads. */
int http_mask_pass(struct http_mask *m, struct slice content, bool last, struct buffer *out);
/* Bytes that are kept back, or of what has passed to read what comes by. */
size_t http_mask_held(const struct http_mask *m);
/* No more passes: what is kept back is forgotten. */
void http_mask_stop(struct http_mask *m);

#endif
