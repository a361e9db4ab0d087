/* SPDX-License-Identifier: Apache-2.0
 *
 * receiver: where Slack's callbacks arrive (libmicrohttpd), with TLS or plain behind a proxy. It
 * may stand in the open: sizes, connections and the time of each are bounded, nobody's connections
 * keep others out, and nothing but POST is served.
 */
#ifndef WAYLEAVE_BROKER_RECEIVER_H
#define WAYLEAVE_BROKER_RECEIVER_H

#include "base/error.h"
#include "base/slice.h"

#define RECEIVER_CONNECTIONS_MOST 256
#define RECEIVER_TIME_MOST 15 /* seconds that a connection may last */

struct receiver;

struct receiver_request {
	struct slice timestamp, signature; /* headers; empty: not there */
	struct slice body; /* raw */
};

/* The status to answer with; at once, since Slack waits three seconds. */
typedef unsigned receiver_handler(void *context, const struct receiver_request *request);

/* `fd`: bound and listening, non-blocking; becomes the receiver's. Certificate and key: PEM, both
 * empty for plain HTTP; needed as long as it is, which is as long as the process. -EINVAL: they
 * can't be used. */
int receiver_new(int fd, const char *certificate, const char *key, receiver_handler *handler,
	void *context, struct receiver **ret, struct error *e);
/* To be waited on; then, and after receiver_wait(), receiver_turn() is due. */
int receiver_descriptor(const struct receiver *l);
/* Milliseconds, at most `most`: 0 while more of what came is to be read. */
int receiver_wait(const struct receiver *l, int most);
void receiver_turn(struct receiver *l);

#endif
