/* SPDX-License-Identifier: Apache-2.0 */
#include "ring/ring.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/memory.h"

#define RING_BUFFER_GROUP 0
/* From one block to the next. Most receives are short: with a power of two between their beginnings
 * all of them would fight for the same few sets of the caches. */
#define RING_BLOCK_STRIDE (RING_BLOCK_SIZE + 192)
#define RING_POOL_SIZE ((size_t)RING_BLOCKS * RING_BLOCK_STRIDE)

static const uint8_t ring_opcodes[] = {
	IORING_OP_RECV,
	IORING_OP_SENDMSG,
	IORING_OP_RECVMSG,
	IORING_OP_ACCEPT,
	IORING_OP_CONNECT,
	IORING_OP_POLL_ADD,
	IORING_OP_TIMEOUT,
	IORING_OP_ASYNC_CANCEL,
};

static int ring_restrict(struct ring *r)
{
	struct io_uring_restriction rules[ARRAY_SIZE(ring_opcodes) + 1];
	unsigned n = 0;
	int result;

	memset(rules, 0, sizeof(rules));
	for (size_t i = 0; i < ARRAY_SIZE(ring_opcodes); i++, n++) {
		rules[n].opcode = IORING_RESTRICTION_SQE_OP;
		rules[n].sqe_op = ring_opcodes[i];
	}
	/* Poll first is a flag of the operation; buffer selection is one of the entry. */
	rules[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rules[n].sqe_flags = IOSQE_BUFFER_SELECT;
	n++;
	/* By opcode: Debian 12's liburing declares functions for these two but doesn't export them.
	 */
	result = io_uring_register(r->uring.ring_fd, IORING_REGISTER_RESTRICTIONS, rules, n);
	if (result < 0)
		return result;
	return io_uring_register(r->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static void ring_offer_blocks(struct ring *r)
{
	while (r->offered < RING_OFFERED && r->free_count > 0) {
		struct ring_block *block = r->free_blocks[--r->free_count];

		io_uring_buf_ring_add(r->pool, block->data, RING_BLOCK_SIZE, block->id,
			io_uring_buf_ring_mask(RING_OFFERED), 0);
		io_uring_buf_ring_advance(r->pool, 1);
		r->offered++;
	}
}

static int ring_init_pool(struct ring *r)
{
	struct io_uring_buf_reg registration = {
		.ring_entries = RING_OFFERED,
		.bgid = RING_BUFFER_GROUP,
	};
	void *memory = mmap(
		NULL, RING_POOL_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *entries = mmap(NULL, RING_OFFERED * sizeof(struct io_uring_buf),
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	if (memory == MAP_FAILED || entries == MAP_FAILED)
		return -ENOMEM;
	r->pool_memory = memory;
	r->pool = entries;
	registration.ring_addr = (uintptr_t)entries;
	result = io_uring_register_buf_ring(&r->uring, &registration, 0);
	if (result < 0)
		return result;
	io_uring_buf_ring_init(r->pool);
	for (unsigned i = 0; i < RING_BLOCKS; i++) {
		r->blocks[i] = (struct ring_block){
			.id = (uint16_t)i,
			.data = r->pool_memory + (size_t)i * RING_BLOCK_STRIDE,
		};
		r->free_blocks[r->free_count++] = &r->blocks[i];
	}
	ring_offer_blocks(r);
	return 0;
}

int ring_init(struct ring *r, unsigned entries, struct error *e)
{
	struct io_uring_params parameters = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = entries * 8,
	};
	int result;

	memset(r, 0, sizeof(*r));
	list_init(&r->starved);
	list_init(&r->cancelled);
	result = io_uring_queue_init_params(entries, &r->uring, &parameters);
	if (result < 0)
		return error_set_errno(e, result,
			"io_uring_setup (is kernel.io_uring_disabled 0 for this group?)");
	/* The pool is registered before the ring is enabled: afterwards no registration is allowed.
	 */
	/* Saves a lookup per system call; not vital. */
	io_uring_register_ring_fd(&r->uring);
	result = ring_init_pool(r);
	if (result == 0)
		result = ring_restrict(r);
	if (result < 0) {
		ring_done(r);
		return error_set_errno(e, result, "io_uring_register");
	}
	return 0;
}

void ring_done(struct ring *r)
{
	io_uring_queue_exit(&r->uring);
	if (r->pool_memory)
		munmap(r->pool_memory, RING_POOL_SIZE);
	if (r->pool)
		munmap(r->pool, RING_OFFERED * sizeof(struct io_uring_buf));
	r->pool_memory = NULL;
	r->pool = NULL;
}

static struct io_uring_sqe *ring_entry(struct ring *r)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&r->uring);

	while (!entry) {
		io_uring_submit(&r->uring);
		entry = io_uring_get_sqe(&r->uring);
	}
	return entry;
}

/* The caller prepares the entry and then sets its data: preparing clears it. */
static struct io_uring_sqe *ring_prepare(struct ring *r, struct ring_operation *operation, int fd)
{
	struct io_uring_sqe *entry = ring_entry(r);

	assert(!operation->in_flight);
	operation->in_flight = true;
	operation->fd = fd;
	return entry;
}

void ring_receive(struct ring *r, struct ring_operation *operation, int fd)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, fd);

	operation->receives = true;
	io_uring_prep_recv(entry, fd, NULL, RING_BLOCK_SIZE, 0);
	/* Where nothing was left an attempt would be in vain. */
	entry->ioprio = operation->drained ? IORING_RECVSEND_POLL_FIRST : 0;
	entry->flags |= IOSQE_BUFFER_SELECT;
	entry->buf_group = RING_BUFFER_GROUP;
	io_uring_sqe_set_data(entry, operation);
}

struct ring_block *ring_take_block(struct ring *r, const struct ring_operation *operation)
{
	struct ring_block *block;

	assert(operation->flags & IORING_CQE_F_BUFFER);
	block = &r->blocks[operation->flags >> IORING_CQE_BUFFER_SHIFT];
	block->references = 1;
	r->offered--;
	ring_offer_blocks(r);
	return block;
}

void ring_block_get(struct ring_block *block)
{
	block->references++;
}

/* One receive that found no buffer tries again: a buffer came back, or one that was meant for
 * another receive was not used. */
static void ring_feed_starved(struct ring *r)
{
	struct ring_operation *operation;

	if (list_is_empty(&r->starved))
		return;
	operation = list_entry(r->starved.next, struct ring_operation, link);
	list_remove(&operation->link);
	operation->starved = false;
	operation->in_flight = false;
	ring_receive(r, operation, operation->fd);
}

void ring_block_put(struct ring *r, struct ring_block *block)
{
	assert(block->references > 0);
	if (--block->references > 0)
		return;
	r->free_blocks[r->free_count++] = block;
	ring_offer_blocks(r);
	ring_feed_starved(r);
}

void ring_send_message(struct ring *r, struct ring_operation *operation, int fd,
	const struct msghdr *message, int flags)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, fd);

	io_uring_prep_sendmsg(entry, fd, message, (unsigned)(flags | MSG_NOSIGNAL));
	io_uring_sqe_set_data(entry, operation);
}

void ring_receive_message(
	struct ring *r, struct ring_operation *operation, int fd, struct msghdr *message)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, fd);

	io_uring_prep_recvmsg(entry, fd, message, MSG_CMSG_CLOEXEC);
	io_uring_sqe_set_data(entry, operation);
}

void ring_accept(struct ring *r, struct ring_operation *operation, int fd)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, fd);

	io_uring_prep_multishot_accept(entry, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	io_uring_sqe_set_data(entry, operation);
}

void ring_connect(struct ring *r, struct ring_operation *operation, int fd,
	const struct sockaddr *address, socklen_t length)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, fd);

	io_uring_prep_connect(entry, fd, address, length);
	io_uring_sqe_set_data(entry, operation);
}

void ring_poll(struct ring *r, struct ring_operation *operation, int fd, unsigned events)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, fd);

	io_uring_prep_poll_add(entry, fd, events);
	io_uring_sqe_set_data(entry, operation);
}

void ring_timeout(struct ring *r, struct ring_operation *operation, uint64_t nanoseconds)
{
	struct io_uring_sqe *entry = ring_prepare(r, operation, -1);

	operation->timeout = (struct __kernel_timespec){
		.tv_sec = (int64_t)(nanoseconds / NANOSECONDS_PER_SECOND),
		.tv_nsec = (long long)(nanoseconds % NANOSECONDS_PER_SECOND),
	};
	io_uring_prep_timeout(entry, &operation->timeout, 0, 0);
	io_uring_sqe_set_data(entry, operation);
}

void ring_cancel(struct ring *r, struct ring_operation *operation)
{
	struct io_uring_sqe *entry;

	if (!operation->in_flight)
		return;
	if (operation->starved) {
		operation->starved = false;
		list_remove(&operation->link);
		list_append(&r->cancelled, &operation->link);
		return;
	}
	entry = ring_entry(r);
	io_uring_prep_cancel(entry, operation, 0);
	/* Nobody waits for the cancellation itself. */
	io_uring_sqe_set_data(entry, NULL);
}

/* Many receives at once may take all that was offered while there are more. */
static void ring_starve(struct ring *r, struct ring_operation *operation)
{
	if (r->offered > 0) {
		operation->in_flight = false;
		ring_receive(r, operation, operation->fd);
		return;
	}
	operation->starved = true;
	list_append(&r->starved, &operation->link);
}

static void ring_complete_one(struct ring *r, const struct io_uring_cqe *entry)
{
	struct ring_operation *operation = io_uring_cqe_get_data(entry);
	int result = entry->res;

	if (!operation)
		return;
	operation->flags = entry->flags;
	operation->more = entry->flags & IORING_CQE_F_MORE;
	if (operation->receives && result == -ENOBUFS) {
		ring_starve(r, operation);
		return;
	}
	operation->drained = !(entry->flags & IORING_CQE_F_SOCK_NONEMPTY);
	if (!operation->more)
		operation->in_flight = false;
	if (operation->receives && result <= 0) {
		/* A buffer may come with a result of 0; it holds nothing. */
		if (operation->flags & IORING_CQE_F_BUFFER)
			ring_block_put(r, ring_take_block(r, operation));
		else
			ring_feed_starved(r);
	}
	operation->receives = false;
	operation->complete(operation, result);
}

static void ring_complete_cancelled(struct ring *r)
{
	while (!list_is_empty(&r->cancelled)) {
		struct ring_operation *operation =
			list_entry(r->cancelled.next, struct ring_operation, link);

		list_remove(&operation->link);
		operation->in_flight = false;
		operation->receives = false;
		operation->complete(operation, -ECANCELED);
	}
}

static int ring_enter(struct ring *r, uint64_t most)
{
	struct __kernel_timespec time = {
		.tv_sec = (int64_t)(most / NANOSECONDS_PER_SECOND),
		.tv_nsec = (long long)(most % NANOSECONDS_PER_SECOND),
	};
	struct io_uring_cqe *first;

	if (!list_is_empty(&r->cancelled))
		return io_uring_submit_and_get_events(&r->uring);
	if (most == RING_FOREVER)
		return io_uring_submit_and_wait(&r->uring, 1);
	return io_uring_submit_and_wait_timeout(&r->uring, &first, 1, &time, NULL);
}

int ring_turn(struct ring *r, uint64_t most)
{
	int result = ring_enter(r, most);
	struct io_uring_cqe *entry;
	unsigned head, count = 0;

	if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY &&
		result != -ETIME)
		return result;
	ring_complete_cancelled(r);
	io_uring_for_each_cqe(&r->uring, head, entry)
	{
		count++;
		ring_complete_one(r, entry);
	}
	io_uring_cq_advance(&r->uring, count);
	return (int)count;
}
