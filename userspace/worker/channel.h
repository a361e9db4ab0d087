/* SPDX-License-Identifier: Apache-2.0
 *
 * channel: a worker's end of the socketpair to the monitor. Requests are answered later, each by
 * its id; nothing blocks.
 */
#ifndef WAYLEAVE_WORKER_CHANNEL_H
#define WAYLEAVE_WORKER_CHANNEL_H

#include "base/buffer.h"
#include "base/table.h"
#include "monitor/control.h"
#include "monitor/messages.h"
#include "ring/ring.h"

struct channel;

/* The reply to a request; `status` is 0 or a negative errno with a sentence as payload. The
 * descriptor, if any (else -1), becomes the callee's. */
typedef void channel_reply(void *context, int status, struct slice payload, int fd);
/* A message of the monitor's own. */
typedef void channel_message(void *context, enum message_type type, struct slice payload, int fd);

struct channel {
	struct ring *ring;
	int fd;
	channel_message *on_message;
	void (*on_closed)(void *context);
	void *context;
	uint64_t last_id;
	struct table requests;
	struct list outgoing; /* datagrams that wait */
	struct ring_operation receive, writable;
	struct msghdr message;
	struct iovec parts[2];
	struct control_header header;
	uint8_t *payload;
	char control[256];
};

void channel_init(struct channel *c, struct ring *ring, int fd, channel_message *on_message,
	void (*on_closed)(void *context), void *context);
/* Sends a message that has no reply. */
void channel_tell(struct channel *c, enum message_type type, struct slice payload);
/* Sends a request, whose struct begins with its id, which is filled in. `fd` goes with it; the
 * caller keeps it. -1: none. */
void channel_ask(struct channel *c, enum message_type type, void *request, size_t length,
	struct slice text, int fd, channel_reply *reply, void *context);

#endif
