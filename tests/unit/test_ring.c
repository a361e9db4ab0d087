/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring's receive buffers: more receives than are offered, and more than there are.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "ring/ring.h"

struct receiver {
	struct ring *ring;
	struct ring_operation receive;
	int fds[2]; /* ours, and the one that bytes are written to */
	struct ring_block *block; /* kept */
	int result;
};

static void on_receive(struct ring_operation *operation, int result)
{
	struct receiver *v = container_of(operation, struct receiver, receive);

	v->result = result;
	if (result > 0)
		v->block = ring_take_block(v->ring, operation);
}

static struct ring *start(void)
{
	struct ring *r = memory_new(sizeof(*r));
	struct error e;

	cr_assert_eq(ring_init(r, 256, &e), 0, "%s", e.text);
	return r;
}

static struct receiver *open_receivers(struct ring *r, unsigned count)
{
	struct receiver *all = memory_new_array(count, sizeof(*all));

	for (unsigned i = 0; i < count; i++) {
		all[i].ring = r;
		all[i].receive.complete = on_receive;
		cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, all[i].fds), 0);
		ring_receive(r, &all[i].receive, all[i].fds[0]);
	}
	return all;
}

static void write_number(struct receiver *v, unsigned number)
{
	cr_assert_eq(write(v->fds[1], &number, sizeof(number)), (ssize_t)sizeof(number));
}

static void turn_until_quiet(struct ring *r)
{
	int n;

	do {
		n = ring_turn(r, 20 * NANOSECONDS_PER_MILLISECOND);
		cr_assert_geq(n, 0);
	} while (n > 0);
}

/* Checks that the receiver has the number, and gives its block back. */
static void take_number(struct receiver *v, unsigned number)
{
	cr_assert_not_null(v->block, "nothing was received for %u", number);
	cr_assert_eq(v->result, (int)sizeof(number));
	cr_assert_eq(memcmp(v->block->data, &number, sizeof(number)), 0);
	ring_block_put(v->ring, v->block);
	v->block = NULL;
}

static unsigned count_received(const struct receiver *all, unsigned count)
{
	unsigned received = 0;

	for (unsigned i = 0; i < count; i++)
		received += all[i].block != NULL;
	return received;
}

static void close_receivers(struct receiver *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		ring_cancel(all[i].ring, &all[i].receive);
		close(all[i].fds[1]);
	}
	turn_until_quiet(all[0].ring);
	for (unsigned i = 0; i < count; i++) {
		cr_assert(!all[i].receive.in_flight);
		close(all[i].fds[0]);
	}
	ring_done(all[0].ring);
	free(all[0].ring);
	free(all);
}

Test(ring, more_receives_at_once_than_buffers_are_offered)
{
	enum { COUNT = 5 * RING_OFFERED };
	struct receiver *all = open_receivers(start(), COUNT);

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < COUNT; i++)
			write_number(&all[i], round + i);
		turn_until_quiet(all[0].ring);
		for (unsigned i = 0; i < COUNT; i++) {
			take_number(&all[i], round + i);
			ring_receive(all[i].ring, &all[i].receive, all[i].fds[0]);
		}
	}
	close_receivers(all, COUNT);
}

Test(ring, without_a_free_buffer_receives_wait)
{
	enum { COUNT = RING_BLOCKS + 40 };
	struct receiver *all = open_receivers(start(), COUNT);

	for (unsigned i = 0; i < COUNT; i++)
		write_number(&all[i], i);
	turn_until_quiet(all[0].ring);
	cr_assert_eq(count_received(all, COUNT), RING_BLOCKS);
	/* Each that comes back serves one that waits. */
	for (unsigned i = 0; i < COUNT; i++) {
		if (all[i].block && count_received(all, COUNT) == RING_BLOCKS) {
			take_number(&all[i], i);
			turn_until_quiet(all[0].ring);
			all[i].result = 0;
		}
	}
	for (unsigned i = 0; i < COUNT; i++) {
		if (all[i].result)
			take_number(&all[i], i);
	}
	close_receivers(all, COUNT);
}

/* A receive behind one that left nothing waits for the socket first; what came before it was
 * asked for is found all the same. */
Test(ring, receives_what_came_before_it_was_asked_for)
{
	struct receiver *all = open_receivers(start(), 1);

	write_number(&all[0], 1);
	turn_until_quiet(all[0].ring);
	take_number(&all[0], 1);
	cr_assert(all[0].receive.drained);
	write_number(&all[0], 2);
	ring_receive(all[0].ring, &all[0].receive, all[0].fds[0]);
	turn_until_quiet(all[0].ring);
	take_number(&all[0], 2);
	close_receivers(all, 1);
}

/* What a worker needs, and no more: a filter of system calls sees none of it. */
static bool is_needed(unsigned opcode)
{
	static const unsigned needed[] = {IORING_OP_RECV, IORING_OP_SENDMSG, IORING_OP_RECVMSG,
		IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_POLL_ADD, IORING_OP_TIMEOUT,
		IORING_OP_ASYNC_CANCEL};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (needed[i] == opcode)
			return true;
	}
	return false;
}

/* With nothing to work on: what is let through fails for that. */
static int try_operation(struct ring *r, unsigned opcode)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&r->uring);
	struct io_uring_cqe *completion;
	int result;

	cr_assert_not_null(entry);
	memset(entry, 0, sizeof(*entry));
	entry->opcode = (uint8_t)opcode;
	entry->fd = -1;
	cr_assert_eq(io_uring_submit_and_wait(&r->uring, 1), 1);
	cr_assert_eq(io_uring_peek_cqe(&r->uring, &completion), 0, "%u", opcode);
	result = completion->res;
	io_uring_cqe_seen(&r->uring, completion);
	return result;
}

Test(ring, all_other_operations_are_refused)
{
	struct io_uring_probe *probe = io_uring_get_probe();
	struct ring *r = start();
	unsigned refused = 0;

	cr_assert_not_null(probe);
	for (unsigned opcode = 0; opcode <= UINT8_MAX; opcode++) {
		int result = try_operation(r, opcode);

		if (is_needed(opcode)) {
			cr_expect(result < 0 && result != -EACCES, "%u: %d", opcode, result);
		} else if (opcode <= probe->last_op) {
			cr_expect_eq(result, -EACCES, "%u: %d", opcode, result);
			refused++;
		} else { /* the kernel has none of that number */
			cr_expect_eq(result, -EINVAL, "%u: %d", opcode, result);
		}
	}
	cr_expect_gt(refused, 30);
	io_uring_free_probe(probe);
	ring_done(r);
	free(r);
}

Test(ring, turn_ends_after_the_time_given)
{
	struct receiver *all = open_receivers(start(), 1);
	uint64_t begin = clock_monotonic();

	cr_assert_eq(ring_turn(all[0].ring, 5 * NANOSECONDS_PER_MILLISECOND), 0);
	cr_assert_geq(clock_monotonic() - begin, 5 * NANOSECONDS_PER_MILLISECOND);
	close_receivers(all, 1);
}
