/* SPDX-License-Identifier: Apache-2.0
 *
 * http_guard: watches an HTTP engine from outside and knows the protocol on its own: what leaves
 * for the server must be whole, well-formed requests with one meaning, and each must be the one
 * that was released just before it.
 */
#ifndef WAYLEAVE_TESTS_HTTP_GUARD_H
#define WAYLEAVE_TESTS_HTTP_GUARD_H

#include "tests/harness/engine_run.h"

struct http_guard {
	struct engine_watch watch;
	struct buffer to_server; /* what is not yet accounted for */
	uint64_t body; /* bytes of the request's content still to come */
	bool chunked, in_chunk, in_trailers;
	bool released; /* an action was, and its request has not left yet */
	unsigned connects; /* of the run, when something left last */
	bool reused; /* that connection is one that another session left: a request goes twice */
	struct buffer text; /* of that action */
	bool tunnel; /* anything goes */
	const char *broken; /* the first thing that was wrong; static */
};

void http_guard_init(struct http_guard *g);
void http_guard_done(struct http_guard *g);

#endif
