/* SPDX-License-Identifier: Apache-2.0
 *
 * ring: one io_uring with its pool of receive buffers; the only place that knows liburing.
 *
 * One thread owns a ring. An operation is a struct embedded in its owner; it is in flight from the
 * call that starts it until its completion function was called, and its owner must stay alive that
 * long (that is why owners are freed only when nothing of theirs is in flight). A completion runs
 * inside ring_turn().
 *
 * Submission can't fail for want of space: a full submission queue is flushed and the call goes on.
 */
#ifndef WAYLEAVE_RING_RING_H
#define WAYLEAVE_RING_RING_H

#include <liburing.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"

struct ring;
struct ring_operation;

/* `result` is the system call's result or a negative errno. */
typedef void ring_complete(struct ring_operation *operation, int result);

struct ring_operation {
	ring_complete *complete;
	void *owner; /* the starter's; unused here */
	bool in_flight;
	bool more; /* inside `complete`: a multishot operation goes on */
	bool receives; /* takes a buffer of the pool */
	bool starved; /* waits in ring.starved for a free buffer */
	bool drained; /* the last receive left nothing in the socket */
	int fd;
	uint32_t flags; /* inside `complete`: the completion's flags */
	struct list link; /* in ring.starved or ring.cancelled */
	struct __kernel_timespec timeout;
};

/* A receive buffer, lent by the pool until its last reference is dropped. */
struct ring_block {
	unsigned references;
	uint16_t id;
	uint8_t *data; /* RING_BLOCK_SIZE bytes */
};

#define RING_BLOCK_SIZE 32768
#define RING_BLOCKS 512
/* That many the kernel may choose from. It takes them in turn, so that few stay in the caches. A
 * power of two. */
#define RING_OFFERED 32

struct ring {
	struct io_uring uring;
	struct io_uring_buf_ring *pool;
	uint8_t *pool_memory;
	struct ring_block blocks[RING_BLOCKS];
	struct ring_block *free_blocks[RING_BLOCKS]; /* a stack: what was used last is used next */
	unsigned free_count;
	unsigned offered;
	struct list starved; /* receives that found no free buffer */
	struct list cancelled; /* of those, the ones to complete with -ECANCELED */
};

/* Sets up, with the opcodes restricted to those below: what the seccomp filter can't see, the ring
 * refuses by itself. -ENOSYS or -EPERM where the kernel or kernel.io_uring_disabled forbids it. */
int ring_init(struct ring *r, unsigned entries, struct error *e);
void ring_done(struct ring *r);

#define RING_FOREVER UINT64_MAX
/* Submits what was queued, waits for at least one completion, but no longer than `most`
 * nanoseconds, and runs all that are there. Returns their number, or a negative errno. */
int ring_turn(struct ring *r, uint64_t most);

/* Receives at most RING_BLOCK_SIZE bytes. In the completion, ring_take_block() gives the buffer
 * when `result` > 0. */
void ring_receive(struct ring *r, struct ring_operation *operation, int fd);
struct ring_block *ring_take_block(struct ring *r, const struct ring_operation *operation);
void ring_block_get(struct ring_block *block);
void ring_block_put(struct ring *r, struct ring_block *block);

/* `message` must live until the completion. `flags` as sendmsg(2); MSG_NOSIGNAL is added. */
void ring_send_message(struct ring *r, struct ring_operation *operation, int fd,
	const struct msghdr *message, int flags);
/* recvmsg(2) on a control channel. */
void ring_receive_message(
	struct ring *r, struct ring_operation *operation, int fd, struct msghdr *message);
/* Completes once per connection, with the new descriptor; `more` says whether it goes on. */
void ring_accept(struct ring *r, struct ring_operation *operation, int fd);
void ring_connect(struct ring *r, struct ring_operation *operation, int fd,
	const struct sockaddr *address, socklen_t length);
/* poll(2) events, once. */
void ring_poll(struct ring *r, struct ring_operation *operation, int fd, unsigned events);
/* Completes with -ETIME after `nanoseconds`, or with -ECANCELED. */
void ring_timeout(struct ring *r, struct ring_operation *operation, uint64_t nanoseconds);
/* Asks for the operation to end; its completion still comes. Nothing where it isn't in flight. */
void ring_cancel(struct ring *r, struct ring_operation *operation);

#endif
