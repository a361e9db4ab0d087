/* SPDX-License-Identifier: Apache-2.0
 *
 * path: a request's path as rules see it: percent-encoding taken off, dot segments resolved (RFC
 * 3986, 6.2.2). Servers disagree about a few things: a slash that is encoded, an empty segment,
 * what stands behind ";", what is encoded twice. A path with one of them has two readings, both of
 * which are judged, and one that begins with "//", which names a host to some, three; with more
 * than one of them, or with what no server should accept, it is not understood.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_PATH_H
#define WAYLEAVE_PROTOCOL_HTTP_PATH_H

#include "base/buffer.h"

#define HTTP_PATH_READINGS 3
/* Bytes of `room` that are reserved for one of a path, which is read twice: three at most. */
#define HTTP_PATH_ROOM 6u

struct http_path {
	const char *problem; /* static; NULL: it is understood */
	size_t count; /* of readings: 1 to HTTP_PATH_READINGS */
	struct slice
		readings[HTTP_PATH_READINGS]; /* parts of `room`, or static; no two are equal */
};

/* The path of a target, without its query. The readings are appended to `room`, and are valid until
 * something else is. */
void http_path_read(struct slice path, struct buffer *room, struct http_path *ret);

#endif
