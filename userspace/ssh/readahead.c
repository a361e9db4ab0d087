/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/readahead.h"

#include <errno.h>
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
	bool stopped; /* for the time of a call: nothing is to come, or may be taken, */
	short wanted; /* of this */
	size_t start, end; /* of what was not taken yet */
	uint8_t bytes[READAHEAD_SIZE];
} sockets[SOCKETS_MOST];
static size_t socket_count;
static enum readahead_phase phase;
static bool steps_given;
static uint64_t allowed = UINT64_MAX, taken; /* bytes of all */

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
	struct socket_ahead *s = NULL;

	for (size_t i = 0; i < socket_count; i++)
		s = sockets[i].fd < 0 ? &sockets[i] : s;
	if (!s && socket_count < SOCKETS_MOST)
		s = &sockets[socket_count++];
	if (!s)
		return;
	/* Memory that nothing is read into is none. */
	memset(s, 0, offsetof(struct socket_ahead, bytes));
	s->fd = fd;
}

bool readahead_forget(int fd)
{
	struct socket_ahead *s = find(fd);

	if (s)
		s->fd = -1;
	return s != NULL;
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
	return s->stepped && !steps_given && phase != READAHEAD_LOOP;
}

void readahead_allow(uint64_t most)
{
	allowed = most;
}

uint64_t readahead_taken(void)
{
	return taken;
}

static bool is_used_up(void)
{
	return taken >= allowed;
}

/* The system calls themselves: the C library's names lead here. */
static ssize_t receive(int fd, void *ret, size_t length)
{
	return syscall(SYS_recvfrom, fd, ret, length, 0, NULL, NULL);
}

/* With nothing ahead; as recv(2). */
static ssize_t fill(struct socket_ahead *s)
{
	size_t most = sizeof(s->bytes);
	ssize_t n;

	if (s->ended) {
		errno = s->error;
		return s->error ? -1 : 0;
	}
	if (is_used_up()) {
		errno = EAGAIN;
		return -1;
	}
	if (most > allowed - taken)
		most = (size_t)(allowed - taken);
	n = receive(s->fd, s->bytes, most);
	s->ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
	s->error = n < 0 ? errno : 0;
	s->start = 0;
	s->end = n > 0 ? (size_t)n : 0;
	taken += s->end;
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

void readahead_enter(enum readahead_phase next)
{
	phase = next;
}

static bool is_ahead(const struct pollfd *p)
{
	const struct socket_ahead *s = p->events & POLLIN ? find(p->fd) : NULL;

	return s && !s->held && !is_waiting(s) &&
		(s->start < s->end || (s->ended && phase == READAHEAD_LOOP));
}

/* Nobody is to be told that there is nothing more; or not now, that there is something, or not yet,
 * where it may not be taken: who has left would say so at once, again and again. */
static bool is_hidden(const struct pollfd *p)
{
	const struct socket_ahead *s = find(p->fd);

	if (!s)
		return false;
	return is_waiting(s) || (s->ended && s->start == s->end && phase != READAHEAD_LOOP) ||
		(s->stopped && !p->events);
}

static void hold(struct pollfd *p)
{
	struct socket_ahead *s = find(p->fd);

	if (!s || (!s->held && !is_used_up()))
		return;
	s->stopped = true;
	s->wanted = p->events;
	p->events = (short)(p->events & ~POLLIN);
	if (!is_used_up())
		p->events |= POLLRDHUP;
}

/* Who has left would be held for ever, and the room that it had for its rest is the socket's. */
static void let_go(struct pollfd *p, bool polled)
{
	struct socket_ahead *s = find(p->fd);

	if (!s || !s->stopped)
		return;
	s->stopped = false;
	p->events = s->wanted;
	if (s->held && !is_used_up()) {
		s->parting = polled && p->revents & (POLLRDHUP | POLLHUP | POLLERR);
		s->held = !s->parting;
	}
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

	if (!s || phase == READAHEAD_LOOP || s->start < s->end ||
		!(p->revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	(void)fill(s);
	if (s->ended)
		p->revents = 0;
}

/* Who is told that there is something must get it, for libssh takes it for a failure otherwise,
 * though the other socket uses up what may be taken meanwhile. */
static void take_what_is_told(struct pollfd *p)
{
	struct socket_ahead *s = find(p->fd);

	if (!s || allowed == UINT64_MAX || !(p->revents & POLLIN) || s->start < s->end || s->ended)
		return;
	(void)fill(s);
	if (s->start == s->end && !s->ended)
		p->revents &= ~POLLIN;
}

static bool is_quiet(int timeout)
{
	return phase == READAHEAD_TURN && timeout == 0 && !steps_given;
}

/* Whether the sockets themselves are to be looked at. */
static bool is_to_call(bool ahead)
{
	static unsigned turns;

	if (phase == READAHEAD_TAKE)
		return false;
	return !ahead || phase == READAHEAD_LOOP || ++turns % POLL_EACH == 0;
}

int readahead_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	bool ahead = false;
	int n, ready = 0;

	for (nfds_t i = 0; i < count; i++) {
		fds[i].revents = 0;
		ahead |= is_ahead(&fds[i]);
	}
	if (is_quiet(timeout))
		return 0;
	if (is_to_call(ahead)) {
		n = poll_others(fds, count, ahead ? 0 : timeout);
		if (n < 0)
			return n;
	}
	for (nfds_t i = 0; i < count; i++) {
		hide_end(&fds[i]);
		take_what_is_told(&fds[i]);
		if (is_ahead(&fds[i]))
			fds[i].revents |= POLLIN;
		ready += fds[i].revents != 0;
	}
	return ready;
}
