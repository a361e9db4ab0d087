/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets that are read ahead: everything comes, in its order, and nobody is forgotten meanwhile.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh/readahead.h"

#define PIECE 4096

static int ours, theirs; /* of the socket that is read ahead */
static int other, others; /* of one that is not */

static void setup(void)
{
	int fds[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	ours = fds[0];
	theirs = fds[1];
	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	other = fds[0];
	others = fds[1];
	readahead_add(ours);
}

TestSuite(readahead, .init = setup);

/* At once: a socket has room for few small pieces. */
static void send_bytes(int fd, size_t count)
{
	unsigned char bytes[20000];

	for (size_t i = 0; i < count; i++)
		bytes[i] = (unsigned char)i;
	cr_assert(count <= sizeof(bytes) && write(fd, bytes, count) == (ssize_t)count);
}

static int left_in(int fd)
{
	int n;

	cr_assert(ioctl(fd, FIONREAD, &n) == 0);
	return n;
}

Test(readahead, all_of_it_comes_in_its_order)
{
	unsigned char piece[PIECE], expected = 0;
	size_t most[] = {PIECE, 1, 17, PIECE - 1}, got = 0;

	send_bytes(theirs, 20000);
	shutdown(theirs, SHUT_WR);
	for (size_t i = 0;; i++) {
		ssize_t n = readahead_receive(ours, piece, most[i % 4]);

		cr_assert(n >= 0 && n <= (ssize_t)most[i % 4]);
		if (n == 0)
			break;
		got += (size_t)n;
		for (ssize_t j = 0; j < n; j++)
			cr_assert(piece[j] == expected++);
	}
	cr_assert(got == 20000);
	cr_assert(readahead_receive(ours, piece, PIECE) == 0, "the end stays the end");
}

Test(readahead, one_system_call_takes_what_is_there)
{
	unsigned char piece[PIECE];
	struct pollfd p = {.fd = ours, .events = POLLIN};

	send_bytes(theirs, 3 * PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	cr_assert(left_in(ours) == 0);
	cr_assert(readahead_poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && p.revents == 0);
	errno = 0;
	cr_assert(readahead_receive(ours, piece, PIECE) == -1 && errno == EAGAIN);
}

Test(readahead, who_does_not_ask_for_input_is_not_told_of_any)
{
	unsigned char piece[PIECE];
	struct pollfd p = {.fd = ours, .events = POLLOUT};

	send_bytes(theirs, 2 * PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	cr_assert(readahead_poll(&p, 1, 0) == 1 && p.revents == POLLOUT);
}

Test(readahead, others_have_their_turn)
{
	struct pollfd p[] = {{.fd = ours, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	unsigned char byte;
	int turns = 0;

	send_bytes(theirs, PIECE);
	send_bytes(others, 1);
	cr_assert(readahead_receive(ours, &byte, 1) == 1);
	do {
		cr_assert(readahead_poll(p, 2, -1) >= 1 && p[0].revents == POLLIN);
		cr_assert(readahead_receive(ours, &byte, 1) == 1);
	} while (!p[1].revents && ++turns < 8);
	cr_assert(p[1].revents == POLLIN);
}

Test(readahead, other_sockets_are_not_read_ahead)
{
	unsigned char byte;

	send_bytes(others, 10);
	cr_assert(readahead_receive(other, &byte, 1) == 1);
	cr_assert(left_in(other) == 9);
}

Test(readahead, a_number_that_is_used_again_has_nothing_ahead)
{
	unsigned char byte;
	struct pollfd p = {.fd = ours, .events = POLLIN};

	send_bytes(theirs, 10);
	cr_assert(readahead_receive(ours, &byte, 1) == 1);
	readahead_forget(ours);
	cr_assert(dup2(other, ours) == ours);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && p.revents == 0);
	cr_assert(readahead_receive(ours, &byte, 1) == -1 && errno == EAGAIN);
}

/* But for the one who asks for them. */
Test(readahead, ends_are_nobody_s_business)
{
	struct pollfd p[] = {
		{.fd = ours, .events = POLLIN | POLLOUT}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	send_bytes(theirs, 10);
	send_bytes(others, 1);
	close(theirs);
	cr_assert(readahead_poll(p, 2, -1) == 2 && p[0].revents & POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == 10);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(readahead_poll(p, 2, -1) == 1 && p[0].revents == 0);
		cr_assert(p[0].fd == ours && p[1].revents == POLLIN);
	}
	readahead_enter(READAHEAD_LOOP);
	cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents & POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == 0);
}

Test(readahead, a_failure_is_told_as_it_was)
{
	struct pollfd p = {.fd = ours, .events = POLLIN};
	unsigned char byte;

	/* With something unread at the other end. */
	send_bytes(ours, 1);
	close(theirs);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && p.revents == 0);
	readahead_enter(READAHEAD_LOOP);
	cr_assert(readahead_poll(&p, 1, -1) == 1 && p.revents & POLLIN);
	cr_assert(readahead_receive(ours, &byte, 1) == -1 && errno == ECONNRESET);
	cr_assert(readahead_receive(ours, &byte, 1) == -1 && errno == ECONNRESET);
}

Test(readahead, who_is_held_waits)
{
	struct pollfd p[] = {
		{.fd = ours, .events = POLLIN | POLLOUT}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	send_bytes(theirs, 2 * PIECE);
	send_bytes(others, 1);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	readahead_hold(ours, true);
	for (unsigned i = 0; i < 10; i++) {
		cr_assert(readahead_poll(p, 2, -1) == 2 && p[0].revents == POLLOUT);
		cr_assert(p[0].events == (POLLIN | POLLOUT) && p[1].revents == POLLIN);
	}
	send_bytes(theirs, 1);
	cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents == POLLOUT);
	readahead_hold(ours, false);
	cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents & POLLIN);
	cr_assert(
		readahead_receive(ours, piece, PIECE) == PIECE && piece[0] == (unsigned char)PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == 1);
}

/* Else nobody would learn that it has left. */
Test(readahead, who_has_left_is_not_held)
{
	struct pollfd p = {.fd = ours, .events = POLLIN};
	unsigned char piece[PIECE];

	send_bytes(theirs, 10);
	readahead_hold(ours, true);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && p.revents == 0);
	close(theirs);
	cr_assert(readahead_poll(&p, 1, -1) <= 1 && p.events == POLLIN);
	readahead_hold(ours, true);
	cr_assert(readahead_poll(&p, 1, -1) == 1 && p.revents & POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == 10);
	cr_assert(readahead_receive(ours, piece, PIECE) == 0);
}

/* What comes in one piece is one packet's, and nobody takes it by the way. */
Test(readahead, who_is_taken_in_steps_waits_for_each)
{
	struct pollfd p[] = {{.fd = ours, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	send_bytes(theirs, PIECE);
	send_bytes(others, 1);
	readahead_step(ours, true);
	for (unsigned i = 0; i < 10; i++)
		cr_assert(readahead_poll(p, 2, 0) == 1 && !p[0].revents && p[0].fd == ours);
	for (unsigned char i = 0; i < 10; i++) {
		cr_assert_eq(readahead_give_steps(ours, true), i);
		cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents == POLLIN);
		cr_assert(readahead_receive(ours, piece, PIECE) == READAHEAD_STEP);
		cr_assert(piece[0] == i * READAHEAD_STEP);
		cr_assert_eq(readahead_give_steps(ours, false), i + 1u);
		cr_assert(readahead_poll(p, 1, 0) == 0);
	}
	/* The relay's loop has to learn that there is something. */
	readahead_enter(READAHEAD_LOOP);
	cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents == POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == READAHEAD_STEP);
	readahead_enter(READAHEAD_BESIDE);
	readahead_step(ours, false);
	cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents == POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE - 11 * READAHEAD_STEP);
}

Test(readahead, who_is_held_has_no_steps)
{
	struct pollfd p = {.fd = ours, .events = POLLIN};
	unsigned char piece[PIECE];

	send_bytes(theirs, 2 * PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	readahead_step(ours, true);
	readahead_hold(ours, true);
	readahead_give_steps(ours, true);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && p.revents == 0);
	readahead_hold(ours, false);
	cr_assert(readahead_poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	readahead_give_steps(ours, false);
}

/* Of all that are read ahead, together. */
Test(readahead, no_more_is_taken_than_is_allowed)
{
	struct pollfd p = {.fd = ours, .events = POLLIN};
	unsigned char piece[PIECE];

	readahead_add(other);
	send_bytes(theirs, 2 * PIECE);
	send_bytes(others, 100);
	readahead_allow(PIECE + 50);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == 50);
	cr_assert(readahead_taken() == PIECE + 50);
	cr_assert(left_in(ours) == PIECE - 50 && left_in(other) == 100);
	for (unsigned i = 0; i < 10; i++) {
		errno = 0;
		cr_assert(readahead_receive(ours, piece, PIECE) == -1 && errno == EAGAIN);
		cr_assert(readahead_receive(other, piece, PIECE) == -1 && errno == EAGAIN);
		cr_assert(readahead_poll(&p, 1, 0) == 0 && p.revents == 0 && p.events == POLLIN);
	}
	readahead_allow(PIECE + 60);
	cr_assert(readahead_poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == 10 && piece[0] == (PIECE + 50) % 256);
	readahead_allow(UINT64_MAX);
	cr_assert(readahead_receive(other, piece, PIECE) == 100);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE - 60);
}

/* Nobody is told of an end as long as there may be something before it, nor woken by it. */
Test(readahead, what_is_used_up_has_no_end)
{
	struct pollfd p[] = {
		{.fd = ours, .events = POLLIN | POLLOUT}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	send_bytes(theirs, 20);
	readahead_allow(10);
	cr_assert(readahead_receive(ours, piece, PIECE) == 10);
	shutdown(theirs, SHUT_WR);
	readahead_enter(READAHEAD_LOOP);
	cr_assert(readahead_poll(p, 2, -1) == 1 && p[0].revents == POLLOUT);
	close(theirs);
	p[0].events = POLLIN;
	cr_assert(readahead_poll(p, 2, 0) == 0 && p[0].revents == 0 && p[0].fd == ours);
	readahead_hold(ours, true);
	cr_assert(readahead_poll(p, 2, 0) == 0 && p[0].revents == 0);
	readahead_allow(UINT64_MAX);
	readahead_hold(ours, false);
	cr_assert(readahead_poll(p, 2, -1) == 1 && p[0].revents & POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == 10);
	cr_assert(readahead_receive(ours, piece, PIECE) == 0);
}

/* libssh takes it for a failure when it gets nothing. */
Test(readahead, who_is_told_gets_something)
{
	struct pollfd p[] = {{.fd = ours, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	readahead_add(other);
	readahead_enter(READAHEAD_LOOP);
	for (uint64_t most = 1; most < 20; most++) {
		send_bytes(theirs, 1);
		send_bytes(others, 1);
		readahead_allow(most);
		cr_assert(readahead_poll(p, 2, -1) == 1);
		for (unsigned i = 0; i < 2; i++) {
			if (p[i].revents)
				cr_assert(readahead_receive(p[i].fd, piece, PIECE) == 1);
		}
	}
	readahead_allow(100);
	cr_assert(readahead_poll(p, 2, -1) > 0);
}

Test(readahead, who_is_closed_was_read_ahead_or_not)
{
	cr_assert(readahead_forget(ours));
	cr_assert_not(readahead_forget(ours));
	cr_assert_not(readahead_forget(other));
}

/* The library looks for more in the middle of what it is asked for, again and again. */
Test(readahead, nothing_comes_while_the_relay_looks)
{
	struct pollfd p[] = {
		{.fd = ours, .events = POLLIN | POLLOUT}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	send_bytes(theirs, 3 * PIECE);
	send_bytes(others, 1);
	readahead_enter(READAHEAD_TURN);
	for (unsigned i = 0; i < 10; i++)
		cr_assert(readahead_poll(p, 2, 0) == 0 && !p[0].revents && !p[1].revents);
	/* Also what was read ahead does not. */
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	for (unsigned i = 0; i < 10; i++)
		cr_assert(readahead_poll(p, 2, 0) == 0 && !p[0].revents && !p[1].revents);
	/* But for who waits. */
	cr_assert(readahead_poll(p, 2, 1000) > 0 && p[0].revents & POLLIN);
	readahead_enter(READAHEAD_LOOP);
	cr_assert(readahead_poll(p, 2, -1) == 2 && p[1].revents == POLLIN);
	cr_assert(p[0].revents == (POLLIN | POLLOUT));
}

Test(readahead, what_came_together_is_taken_and_no_more)
{
	struct pollfd p[] = {
		{.fd = ours, .events = POLLIN | POLLOUT}, {.fd = other, .events = POLLIN}};
	unsigned char piece[PIECE];

	send_bytes(theirs, 2 * PIECE + 1);
	readahead_enter(READAHEAD_LOOP);
	cr_assert(readahead_poll(p, 1, -1) == 1 && p[0].revents & POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	readahead_enter(READAHEAD_TAKE);
	send_bytes(theirs, PIECE);
	send_bytes(others, 1);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert(readahead_poll(p, 2, 0) == 1 && p[0].revents == POLLIN);
		cr_assert(readahead_receive(ours, piece, PIECE) == (i ? 1 : PIECE));
	}
	shutdown(theirs, SHUT_WR);
	for (unsigned i = 0; i < 10; i++)
		cr_assert(readahead_poll(p, 2, 0) == 0 && !p[0].revents && !p[1].revents);
	cr_assert(left_in(ours) == PIECE && left_in(other) == 1);
}

Test(readahead, who_is_held_or_stepped_is_not_taken)
{
	struct pollfd p = {.fd = ours, .events = POLLIN};
	unsigned char piece[PIECE];

	send_bytes(theirs, 2 * PIECE);
	cr_assert(readahead_receive(ours, piece, PIECE) == PIECE);
	readahead_enter(READAHEAD_TAKE);
	readahead_hold(ours, true);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && !p.revents);
	readahead_hold(ours, false);
	readahead_step(ours, true);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && !p.revents);
	/* Steps are given while the relay looks. */
	readahead_enter(READAHEAD_TURN);
	cr_assert(readahead_poll(&p, 1, 0) == 0 && !p.revents);
	readahead_give_steps(ours, true);
	cr_assert(readahead_poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	cr_assert(readahead_receive(ours, piece, PIECE) == READAHEAD_STEP);
	readahead_give_steps(ours, false);
}

/* The agent's socket is held for a while before its own loop begins. */
Test(readahead, who_was_forgotten_leaves_room)
{
	unsigned char byte;

	readahead_add(other);
	readahead_hold(ours, true);
	readahead_forget(ours);
	readahead_add(ours);
	send_bytes(theirs, 10);
	cr_assert(readahead_receive(ours, &byte, 1) == 1);
	cr_assert(left_in(ours) == 0);
	cr_assert(readahead_poll(&(struct pollfd){.fd = ours, .events = POLLIN}, 1, 0) == 1);
}
