/* SPDX-License-Identifier: Apache-2.0
 *
 * link: this process's end of the bridge to its worker (protocol/ssh/bridge.h).
 */
#ifndef WAYLEAVE_SSH_LINK_H
#define WAYLEAVE_SSH_LINK_H

#include "protocol/ssh/bridge.h"

#define LINK_QUEUE_HIGH (512u << 10) /* beyond this nothing more is read for the worker */

struct link {
	int fd; /* non-blocking */
	struct buffer in, out;
	/* That came with what is in `in`, or -1: the frame's own, and the socket over which more
	 * come. */
	int received_fd, passing_fd;
	bool closed; /* the worker is gone */
};

void link_init(struct link *l, int fd);
/* Reads what is there. */
void link_receive(struct link *l);
/* The next frame, valid until link_receive(); false: none. */
bool link_next(struct link *l, struct bridge_frame *ret);
/* The two sockets that the worker passed for a lane; false: there are none. Those of earlier lanes,
 * which are gone, are closed. */
bool link_take_sockets(struct link *l, uint32_t lane, int ret[2]);
/* Sends what it can. */
void link_flush(struct link *l);
/* All of these queue; what can't be queued closes the link. */
void link_tell(
	struct link *l, enum bridge_type type, uint32_t lane, struct slice head, struct slice body);
void link_request(struct link *l, uint32_t lane, const struct bridge_request *request);
void link_result(struct link *l, uint32_t lane, const struct bridge_result *result);
void link_data(struct link *l, uint32_t lane, enum bridge_stream stream, struct slice bytes);

#endif
