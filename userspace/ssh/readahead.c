/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/readahead.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOCKETS_MOST 2
#define POLL_EACH 8

static struct socket_ahead {
	int fd;
	size_t start, end; /* of what was not taken yet */
	uint8_t bytes[READAHEAD_SIZE];
} sockets[SOCKETS_MOST];
static size_t socket_count;

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

/* The system calls themselves: the C library's names lead here. */
static ssize_t receive(int fd, void *ret, size_t length)
{
	return syscall(SYS_recvfrom, fd, ret, length, 0, NULL, NULL);
}

ssize_t readahead_receive(int fd, void *ret, size_t length)
{
	struct socket_ahead *s = find(fd);
	ssize_t n;

	if (!s || (s->start == s->end && length >= sizeof(s->bytes)))
		return receive(fd, ret, length);
	if (s->start == s->end) {
		n = receive(fd, s->bytes, sizeof(s->bytes));
		if (n <= 0)
			return n;
		s->start = 0;
		s->end = (size_t)n;
	}
	if (length > s->end - s->start)
		length = s->end - s->start;
	memcpy(ret, s->bytes + s->start, length);
	s->start += length;
	return (ssize_t)length;
}

static bool is_ahead(const struct pollfd *p)
{
	const struct socket_ahead *s = p->events & POLLIN ? find(p->fd) : NULL;

	return s && s->start < s->end;
}

int readahead_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static unsigned turns;
	bool ahead = false;
	int n, ready = 0;

	for (nfds_t i = 0; i < count; i++)
		ahead |= is_ahead(&fds[i]);
	if (!ahead)
		return (int)syscall(SYS_poll, fds, count, timeout);
	if (++turns % POLL_EACH == 0) {
		n = (int)syscall(SYS_poll, fds, count, 0);
		if (n < 0)
			return n;
	} else {
		for (nfds_t i = 0; i < count; i++)
			fds[i].revents = 0;
	}
	for (nfds_t i = 0; i < count; i++) {
		if (is_ahead(&fds[i]))
			fds[i].revents |= POLLIN;
		ready += fds[i].revents != 0;
	}
	return ready;
}
