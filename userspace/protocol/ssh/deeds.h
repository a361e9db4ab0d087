/* SPDX-License-Identifier: Apache-2.0
 *
 * deeds: what is understood inside one channel, and asked for deed by deed: files by sftp, refs of
 * a git push. Pure: bytes in, bytes and questions out.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_DEEDS_H
#define WAYLEAVE_PROTOCOL_SSH_DEEDS_H

#include "protocol/protocol.h"
#include "protocol/ssh/bridge.h"

/* What stands around it; owned by who opened it, outlives it. */
struct deeds_host {
	/* Asks the worker; answer() follows, unless it is closed before. The question's number; 0:
	 * too many are open. */
	uint32_t (*ask)(struct deeds_host *h, const struct bridge_deed *deeds, size_t count,
		struct slice text);
	/* The last about that question: what came of it; NULL: nothing was done. */
	void (*done)(struct deeds_host *h, uint32_t question, const struct bridge_result *result);
	void (*say)(struct deeds_host *h, struct slice text); /* to people, beside the protocol */
	struct buffer *to[2]; /* what either side is to get; appended to */
	/* Asks the open question once more, by what its names mean now; after again(). */
	void (*repeat)(struct deeds_host *h, uint32_t question, const struct bridge_deed *deeds,
		size_t count, struct slice text);
	struct slice about; /* the command that runs; empty: it is a subsystem */
	struct slice repository; /* of a push, as the command names it */
	bool repository_known; /* else it may mean another one */
	bool observes; /* nothing is refused */
};

struct deeds_protocol;

/* The head of every one. */
struct deeds {
	const struct deeds_protocol *protocol;
	struct deeds_host *host;
};

struct deeds_protocol {
	/* Never NULL. */
	struct deeds *(*open)(struct deeds_host *host);
	/* Says of all that is open that it is over; frees. */
	void (*close)(struct deeds *d);
	/* Takes bytes of a side; what can't be used yet is kept. With none, goes on with what was
	 * kept. 0; -EBADMSG: the side broke the protocol; -E2BIG: a buffer is full. Then it is
	 * over. */
	int (*take)(struct deeds *d, enum side from, struct slice in);
	/* The agent sends no more; NULL: that says nothing. */
	void (*end)(struct deeds *d);
	/* Whether more of the side should be taken now. */
	bool (*wants)(const struct deeds *d, enum side from);
	/* Whether nothing that the side sent is still to be sent on; half a packet never is. */
	bool (*is_dry)(const struct deeds *d, enum side from);
	/* The answer to the open question; there must be one. `text`: why not, for the agent;
	 * `object`: of the deed that is refused; empty: not known. */
	int (*answer)(struct deeds *d, bool allowed, struct slice text, struct slice object);
	/* Instead of an answer: people have decided, and what the question's names mean is to be
	 * found again before it counts; host->repeat() follows. NULL: they can mean nothing else.
	 */
	int (*again)(struct deeds *d);
};

extern const struct deeds_protocol deeds_sftp, deeds_push;

#endif
