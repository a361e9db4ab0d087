/* SPDX-License-Identifier: Apache-2.0
 *
 * client: requests over HTTP(S), any number at once, without blocking (libcurl's multi interface).
 * Certificates are verified; redirections are not followed.
 */
#ifndef WAYLEAVE_BROKER_CLIENT_H
#define WAYLEAVE_BROKER_CLIENT_H

#include <poll.h>

#include "base/error.h"
#include "base/slice.h"

#define CLIENT_ANSWER_MOST (256u << 10) /* bytes; Slack gives back the message that it was sent */
#define CLIENT_TIME_MOST 10000 /* milliseconds from the beginning to the last byte */
#define CLIENT_POLL_MOST 8

struct client;

struct client_answer {
	const char *problem; /* why there is none; NULL: there is one */
	unsigned status; /* of HTTP */
	uint64_t retry_after; /* seconds, of the header; 0: not there */
	struct slice body;
};

/* Called once, from client_turn(); the answer is valid until it returns. */
typedef void client_done(void *context, const struct client_answer *answer);

/* Lives as long as the process. */
int client_new(struct client **ret, struct error *e);
struct client_request {
	const char *url;
	const char *body; /* posted; NULL: the request is a GET */
	const char *content_type; /* of the body */
	const char *authorization; /* NULL: none */
	const char *ca; /* PEM by which the server is verified; NULL: the system's store */
	bool https_alone;
	size_t answer_most; /* bytes; a longer answer is none */
};

/* Copies what it is given. */
void client_send(
	struct client *c, const struct client_request *request, client_done *done, void *context);
/* Posts JSON. `bearer` NULL or empty: without authorization. */
void client_post(struct client *c, const char *url, const char *bearer, const char *json,
	client_done *done, void *context);
/* Waits for descriptors, at most CLIENT_POLL_MOST (their `revents` are set), and for what is under
 * way, at most `milliseconds`; then goes on with it. */
void client_turn(struct client *c, struct pollfd *more, unsigned count, int milliseconds);

#endif
