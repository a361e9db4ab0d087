/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/readahead.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOCKETS_MOST 2
#define POLL_EACH 8

static struct socket_ahead {
	int fd;
	bool ended; /* by its peer, behind what was not taken yet, */
	int error; /* with this; 0: in order */
	bool held;
	bool parting; /* its peer sends nothing more, and is not held for that rest */
	bool stepped;
	size_t steps; /* that were taken since */
	short wanted; /* while it is held */
	size_t start, end; /* of what was not taken yet */
	uint8_t bytes[READAHEAD_SIZE];
} sockets[SOCKETS_MOST];
static size_t socket_count;
static bool ends_told, steps_given;

static struct socket_ahead *find(int fd)
{
	for (size_t i = 0; fd >= 0 && i < socket_count; i++) {
		if (sockets[i].fd == fd)
			return &sockets[i];
	}
	return NULL;
}

void readahead_add(int fd)
{
	if (socket_count < SOCKETS_MOST)
		sockets[socket_count++].fd = fd;
}

void readahead_forget(int fd)
{
	struct socket_ahead *s = find(fd);

	if (s)
		s->fd = -1;
}

void readahead_hold(int fd, bool on)
{
	struct socket_ahead *s = find(fd);

	if (s)
		s->held = on && !s->parting;
}

void readahead_step(int fd, bool on)
{
	struct socket_ahead *s = find(fd);

	if (!s || s->stepped == on)
		return;
	s->stepped = on;
	s->steps = 0;
}

size_t readahead_give_steps(int fd, bool on)
{
	const struct socket_ahead *s = find(fd);

	steps_given = on;
	return s ? s->steps : 0;
}

/* What it has is for others now. */
static bool is_waiting(const struct socket_ahead *s)
{
	return s->stepped && !steps_given && !ends_told;
}

/* The system calls themselves: the C library's names lead here. */
static ssize_t receive(int fd, void *ret, size_t length)
{
	return syscall(SYS_recvfrom, fd, ret, length, 0, NULL, NULL);
}

/* With nothing ahead; as recv(2). */
static ssize_t fill(struct socket_ahead *s)
{
	ssize_t n;

	if (s->ended) {
		errno = s->error;
		return s->error ? -1 : 0;
	}
	n = receive(s->fd, s->bytes, sizeof(s->bytes));
	s->ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	s->error = n < 0 ? errno : 0;
	s->start = 0;
	s->end = n > 0 ? (size_t)n : 0;
	return n;
}

ssize_t readahead_receive(int fd, void *ret, size_t length)
{
	struct socket_ahead *s = find(fd);

	if (!s)
		return receive(fd, ret, length);
	if (s->start == s->end) {
		ssize_t n = fill(s);

		if (n <= 0)
			return n;
	}
	if (length > s->end - s->start)
		length = s->end - s->start;
	if (s->stepped && length > READAHEAD_STEP)
		length = READAHEAD_STEP;
	s->steps++;
	memcpy(ret, s->bytes + s->start, length);
	s->start += length;
	return (ssize_t)length;
}

void readahead_tell_ends(bool on)
{
	ends_told = on;
}

static bool is_ahead(const struct pollfd *p)
{
	const struct socket_ahead *s = p->events & POLLIN ? find(p->fd) : NULL;

	return s && !s->held && !is_waiting(s) && (s->start < s->end || (s->ended && ends_told));
}

/* Nobody is to be told that there is nothing more; or not now, that there is something. */
static bool is_hidden(const struct pollfd *p)
{
	const struct socket_ahead *s = find(p->fd);

	return s && (is_waiting(s) || (s->ended && s->start == s->end && !ends_told));
}

static void hold(struct pollfd *p)
{
	struct socket_ahead *s = find(p->fd);

	if (!s || !s->held)
		return;
	s->wanted = p->events;
	p->events = (short)((p->events & ~POLLIN) | POLLRDHUP);
}

/* Who has left would be held for ever, and the room that it had for its rest is the socket's. */
static void let_go(struct pollfd *p, bool polled)
{
	struct socket_ahead *s = find(p->fd);

	if (!s || !s->held)
		return;
	p->events = s->wanted;
	s->parting = polled && p->revents & (POLLRDHUP | POLLHUP | POLLERR);
	s->held = !s->parting;
	p->revents &= POLLOUT;
}

/* The descriptors of those that are hidden are none for the time of the call: their complements,
 * which are below -1, as nothing is hidden of standard input. */
static int poll_others(struct pollfd *fds, nfds_t count, int timeout)
{
	int n;

	for (nfds_t i = 0; i < count; i++) {
		hold(&fds[i]);
		fds[i].fd = is_hidden(&fds[i]) ? ~fds[i].fd : fds[i].fd;
	}
	n = (int)syscall(SYS_poll, fds, count, timeout);
	for (nfds_t i = 0; i < count; i++) {
		fds[i].fd = fds[i].fd < -1 ? ~fds[i].fd : fds[i].fd;
		let_go(&fds[i], n > 0);
	}
	return n;
}

/* Whether it is an end is known only by reading. */
static void hide_end(struct pollfd *p)
{
	struct socket_ahead *s = find(p->fd);

	if (!s || ends_told || s->start < s->end || !(p->revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	(void)fill(s);
	if (s->ended)
		p->revents = 0;
}

int readahead_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static unsigned turns;
	bool ahead = false;
	int n, ready = 0;

	for (nfds_t i = 0; i < count; i++)
		ahead |= is_ahead(&fds[i]);
	if (!ahead || ++turns % POLL_EACH == 0) {
		n = poll_others(fds, count, ahead ? 0 : timeout);
		if (n < 0)
			return n;
	} else {
		for (nfds_t i = 0; i < count; i++)
			fds[i].revents = 0;
	}
	for (nfds_t i = 0; i < count; i++) {
		hide_end(&fds[i]);
		if (is_ahead(&fds[i]))
			fds[i].revents |= POLLIN;
		ready += fds[i].revents != 0;
	}
	return ready;
}
