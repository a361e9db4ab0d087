/* SPDX-License-Identifier: Apache-2.0
 *
 * pairs: what a request does, as policy judges it: its method on each reading of its path.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_PAIRS_H
#define WAYLEAVE_PROTOCOL_HTTP_PAIRS_H

#include "base/buffer.h"
#include "protocol/action.h"
#include "protocol/http/target.h"

#define HTTP_PAIRS_MOST 8

struct http_pairs {
	struct action_pair items[HTTP_PAIRS_MOST];
	size_t count;
	unsigned unknown; /* enum action_unknown */
	const char *problem; /* with ACTION_UNKNOWN_TEXT; static */
};

/* OTHER for what is no method of the list. */
enum operation http_operation_of(struct slice method);
/* An operation that has no path. */
void http_pairs_add(struct http_pairs *p, enum operation operation);
/* Another operation with the object of a pair that was added. */
void http_pairs_add_as(
	struct http_pairs *p, enum operation operation, const struct action_pair *pair);
/* The readings are kept in `room`, which nothing else may be appended to before they are done with.
 */
void http_pairs_add_path(
	struct http_pairs *p, enum operation operation, struct slice path, struct buffer *room);
/* CONNECT, whose object is where it leads. The text is kept in `room`, as above. */
void http_pairs_add_beyond(
	struct http_pairs *p, const struct http_beyond *beyond, struct buffer *room);
/* The first line of `text` as people write it, "GET /v1/x", and as recordings have it, "GET
 * https://host/v1/x". What is neither is not understood. */
void http_pairs_of_line(struct slice text, struct buffer *room, struct http_pairs *ret);

#endif
