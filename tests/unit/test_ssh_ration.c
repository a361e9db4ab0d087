/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session's process may take of its connections, and where it asks for more.
 */
#include <criterion/criterion.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "ssh/readahead.h"
#include "ssh/relay.h"

static struct relay relay;
static int ours, theirs, bridge[2];

static void setup(void)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ours = fds[0];
	theirs = fds[1];
	readahead_add(ours);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, bridge), 0);
	link_init(&relay.link, bridge[0]);
	relay.asks_at = UINT64_MAX;
}

TestSuite(ration, .init = setup);

static bool told(uint32_t lane, uint64_t most, size_t length)
{
	uint8_t body[16] = {0};
	struct bridge_frame frame = {.type = BRIDGE_ALLOWANCE, .lane = lane};

	bytes_put_u64(body, most);
	frame.body = slice_of(body, length);
	return ration_on_frame(&relay, &frame);
}

/* The number with which it asks for more; UINT64_MAX: it does not. */
static uint64_t asks(void)
{
	struct bridge_frame frame;
	uint8_t bytes[64];
	size_t length;
	ssize_t n;

	ration_turn(&relay);
	link_flush(&relay.link);
	n = recv(bridge[1], bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0)
		return UINT64_MAX;
	cr_assert_eq(bridge_take(slice_of(bytes, (size_t)n), &frame, &length), 0);
	cr_assert(frame.type == BRIDGE_ALLOWANCE && frame.lane == 0 && length == (size_t)n);
	cr_assert_eq(frame.body.length, 8);
	return bytes_get_u64(frame.body.data);
}

static size_t take(size_t most)
{
	uint8_t bytes[4096];
	ssize_t n = readahead_receive(ours, bytes, most);

	return n > 0 ? (size_t)n : 0;
}

Test(ration, more_is_asked_for_when_half_is_used)
{
	uint8_t bytes[4096] = {0};

	cr_assert_eq(write(theirs, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	cr_assert_eq(asks(), UINT64_MAX, "where nobody limits it, it asks for nothing");
	cr_assert(told(0, 0, 8));
	cr_assert_eq(take(4096), 0);
	cr_assert_eq(asks(), 0, "at once, with nothing");
	cr_assert_eq(asks(), UINT64_MAX, "once");
	cr_assert(told(0, 1000, 8));
	cr_assert_eq(asks(), UINT64_MAX);
	cr_assert_eq(take(4096), 1000, "read ahead");
	cr_assert_eq(asks(), 1000);
	cr_assert_eq(take(4096), 0);
	cr_assert(told(0, 5000, 8));
	cr_assert_eq(asks(), UINT64_MAX);
	cr_assert_eq(take(4096), 3096);
	cr_assert_eq(asks(), 4096, "beyond half of 4,000 more");
	cr_assert(told(0, UINT64_MAX, 8));
	cr_assert_eq(asks(), UINT64_MAX, "it is free again");
}

Test(ration, what_is_no_number_is_not_taken)
{
	cr_expect_not(told(1, 1000, 8));
	cr_expect_not(told(0, 1000, 7));
	cr_expect_not(told(0, 1000, 9));
	cr_expect_not(told(0, 1000, 0));
	cr_expect(told(0, 1000, 8));
}

/* Nobody would answer; it has to read what the agent asks for, to say why not. */
Test(ration, alone_it_asks_for_nothing)
{
	cr_assert_eq(write(theirs, "abc", 3), 3);
	cr_assert(told(0, 0, 8));
	relay.alone = true;
	cr_assert_eq(asks(), UINT64_MAX);
	cr_assert_eq(take(4096), 3);
}
