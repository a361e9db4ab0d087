/* SPDX-License-Identifier: Apache-2.0
 *
 * sftp: one channel of the SSH File Transfer Protocol between an agent and a host. Each request
 * that names a file is asked for, under the name that the host itself gives it; what is done with
 * an open file was decided when it was opened. Pure: bytes in, bytes and questions out.
 *
 *   sftp.c          both streams of packets; what is done with open files
 *   sftp_job.c      a request that names files: found, asked for, sent on; the rest stands behind
 * it sftp_files.c    open files, and what went through them sftp_packet.c   the packets
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SFTP_H
#define WAYLEAVE_PROTOCOL_SSH_SFTP_H

#include "protocol/protocol.h"
#include "protocol/ssh/bridge.h"

/* What stands around it; owned by who made it, outlives it. */
struct sftp_host {
	/* Asks the worker; sftp_answer() follows, unless it is freed before. The question's number;
	 * 0: too many are open. */
	uint32_t (*ask)(struct sftp_host *h, const struct bridge_deed *deeds, size_t count,
		struct slice text);
	/* The last about that question: what came of it; NULL: nothing was done. */
	void (*done)(struct sftp_host *h, uint32_t question, const struct bridge_result *result);
	void (*say)(struct sftp_host *h, struct slice text); /* to people, beside the protocol */
	struct buffer *to[2]; /* what either side is to get; appended to */
};

struct sftp;

/* Never NULL. Free with sftp_free(), which says of all that is open that it is over. */
struct sftp *sftp_new(struct sftp_host *host);
void sftp_free(struct sftp *s);

/* Takes bytes of a side; what can't be used yet is kept. With none, goes on with what was kept. 0;
 * -EBADMSG: the side broke the protocol; -E2BIG: a buffer is full. Then it is over. */
int sftp_take(struct sftp *s, enum side from, struct slice in);
/* Whether more of the side should be taken now. */
bool sftp_wants(const struct sftp *s, enum side from);
/* Whether nothing that the side sent is still to be sent on; half a packet never is. */
bool sftp_is_dry(const struct sftp *s, enum side from);
/* The answer to the open question; there must be one. `text`: why not, for the agent. */
int sftp_answer(struct sftp *s, bool allowed, struct slice text);

#endif
