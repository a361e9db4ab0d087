/* SPDX-License-Identifier: Apache-2.0
 *
 * forward: what port-forward carries, whichever transport carries it: connections to ports of a
 * pod, of which the recording has where they lead and how much went each way. What they say is any
 * protocol's, and passes as it came. Internal to protocol/kubernetes/.
 */
#ifndef WAYLEAVE_PROTOCOL_KUBERNETES_FORWARD_H
#define WAYLEAVE_PROTOCOL_KUBERNETES_FORWARD_H

#include "base/limits.h"
#include "protocol/http/stream.h"
#include "protocol/spdy/frames.h"
#include "protocol/spdy/headers.h"

struct kubernetes_forward {
	uint32_t id; /* of its stream or channel */
	unsigned number; /* by which the recording knows it: 1, 2, … */
	uint16_t port; /* 0: it was not said yet */
	uint64_t bytes[2]; /* by side that said them */
	bool finished[2]; /* by side: it says no more */
};

/* Those that are open. Beyond the limit the oldest is told of as if it ended. */
struct kubernetes_forwards {
	struct event_queue *events;
	struct kubernetes_forward items[LIMIT_KUBERNETES_FORWARDS]; /* the oldest first */
	size_t count;
	unsigned opened;
	struct buffer notes; /* of the call that is under way, behind each other */
	unsigned untold; /* for which there was no room in it */
};

void kubernetes_forwards_init(struct kubernetes_forwards *f, struct event_queue *events);
void kubernetes_forwards_done(struct kubernetes_forwards *f);
/* In the begin of input() and end(): what was noted before has been told. */
void kubernetes_forwards_begin(struct kubernetes_forwards *f);
/* In their end: adds one event, where something was noted. */
void kubernetes_forwards_tell(struct kubernetes_forwards *f);
/* The pointer holds until the next call. `port` 0: not known yet. */
struct kubernetes_forward *kubernetes_forwards_open(
	struct kubernetes_forwards *f, uint32_t id, uint16_t port);
void kubernetes_forwards_name(
	struct kubernetes_forwards *f, struct kubernetes_forward *one, uint16_t port);
/* NULL: there is none, or no more. */
struct kubernetes_forward *kubernetes_forwards_find(struct kubernetes_forwards *f, uint32_t id);
/* The side says no more in it; with both it is over. */
void kubernetes_forwards_finish(
	struct kubernetes_forwards *f, struct kubernetes_forward *one, enum side from);
void kubernetes_forwards_end(struct kubernetes_forwards *f, struct kubernetes_forward *one);
void kubernetes_forwards_end_all(struct kubernetes_forwards *f);

/* forward_spdy.c: as SPDY/3.1 carries them: a client opens a stream of data and one for errors for
 * each (k8s.io/client-go/tools/portforward). */
struct kubernetes_forward_spdy {
	struct kubernetes_forwards forwards;
	struct spdy_reader frames[2]; /* by side that sends them */
	struct spdy_headers headers[2];
	uint32_t last; /* number that a stream was opened with */
};

void kubernetes_forward_spdy_init(struct kubernetes_forward_spdy *f, struct event_queue *events);
void kubernetes_forward_spdy_done(struct kubernetes_forward_spdy *f);
/* Takes bytes of a side up to the end of the next piece of a frame. -EBADMSG: they may not pass,
 * as *ret_problem (static) says; -ENOMEM. */
int kubernetes_forward_spdy_take(struct kubernetes_forward_spdy *f, enum side from, struct slice in,
	size_t *ret_taken, const char **ret_problem);

/* As a dialect's open_stream(): SPDY as it is; and a WebSocket, which carries that
 * ("SPDY/3.1+portforward.k8s.io") or has a channel for each direction of errors and data
 * ("v4.channel.k8s.io"). NULL: its form is another. */
struct http_stream *kubernetes_forward_spdy_new(
	const struct http_request *r, struct event_queue *events);
struct http_stream *kubernetes_forward_messages_new(
	const struct http_request *r, struct event_queue *events);

#endif
