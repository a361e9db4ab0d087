/* SPDX-License-Identifier: Apache-2.0
 *
 * capture_dial: connections that Python can't make, or not fast enough. For tests/capture and
 * tests/bench.
 *
 *   capture_dial uring plain|async|sqpoll|fixed|fast_open ADDRESS PORT
 *       connects by io_uring, prints getpeername and waits for the end of stdin
 *   capture_dial datagram message|fixed|zero_copy ADDRESS PORT
 *       sends a datagram by io_uring from a socket that is not connected, prints 0 or its errno
 *   capture_dial socket FAMILY TYPE PROTOCOL
 *       makes a socket by io_uring, prints 0 or its errno
 *   capture_dial connect COUNT ADDRESS PORT
 *       connects and resets COUNT times, prints the median of connect(2) in nanoseconds
 *   capture_dial login COUNT ADDRESS PORT
 *       the same from connect(2) to PostgreSQL's ReadyForQuery, as user app, without a password
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

static struct sockaddr_in to_address(const char *address, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		fail(address, EINVAL);
	return a;
}

/* Of either family. */
union any_address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

static union any_address to_any(const char *address, const char *port)
{
	union any_address a = {.six = {.sin6_family = AF_INET6}};

	if (inet_pton(AF_INET6, address, &a.six.sin6_addr) == 1)
		a.six.sin6_port = htons((uint16_t)atoi(port));
	else
		a.four = to_address(address, port);
	return a;
}

static void print_any(const union any_address *a)
{
	bool six = a->any.sa_family == AF_INET6;
	const void *host = six ? (const void *)&a->six.sin6_addr : &a->four.sin_addr;
	char text[INET6_ADDRSTRLEN];

	printf("%s %u\n", inet_ntop(a->any.sa_family, host, text, sizeof(text)),
		ntohs(six ? a->six.sin6_port : a->four.sin_port));
}

/* The ring's own name for the descriptor. */
static void use_fixed(struct io_uring *ring, struct io_uring_sqe *entry, int fd)
{
	int r = io_uring_register_files(ring, &fd, 1);

	if (r < 0)
		fail("io_uring_register_files", -r);
	entry->fd = 0;
	io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
}

static int by_uring(char **words)
{
	union any_address to = to_any(words[1], words[2]), peer;
	socklen_t length = sizeof(peer);
	struct io_uring_params parameters = {
		.flags = strcmp(words[0], "sqpoll") == 0 ? IORING_SETUP_SQPOLL : 0};
	struct io_uring_sqe *entry;
	struct io_uring_cqe *done;
	struct io_uring ring;
	int r = io_uring_queue_init_params(4, &ring, &parameters);
	int fd = socket(to.any.sa_family, SOCK_STREAM, 0);

	if (r < 0)
		fail("io_uring", -r);
	entry = io_uring_get_sqe(&ring);
	if (strcmp(words[0], "fast_open") == 0) {
		io_uring_prep_send(entry, fd, "ping", 4, MSG_FASTOPEN);
		io_uring_prep_send_set_addr(entry, &to.any, sizeof(to.six));
	} else {
		io_uring_prep_connect(entry, fd, &to.any, sizeof(to));
	}
	if (strcmp(words[0], "async") == 0)
		io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
	if (strcmp(words[0], "fixed") == 0)
		use_fixed(&ring, entry, fd);
	io_uring_submit(&ring);
	r = io_uring_wait_cqe(&ring, &done);
	/* Without a cookie of the server's yet, what was to be sent with the SYN is not. */
	if (r == 0 && done->res == -EINPROGRESS)
		poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
	else if (r < 0 || done->res < 0)
		fail("connect", r < 0 ? -r : -done->res);
	if (getpeername(fd, &peer.any, &length) < 0)
		fail("getpeername", errno);
	print_any(&peer);
	fflush(stdout);
	/* The monitor looks the program up while the process lives. */
	getchar();
	return 0;
}

static int make_socket(char **words)
{
	struct io_uring_cqe *done;
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);

	if (r < 0)
		fail("io_uring", -r);
	io_uring_prep_socket(
		io_uring_get_sqe(&ring), atoi(words[0]), atoi(words[1]), atoi(words[2]), 0);
	io_uring_submit(&ring);
	r = io_uring_wait_cqe(&ring, &done);
	printf("%d\n", r < 0 ? -r : done->res < 0 ? -done->res : 0);
	return 0;
}

static int send_datagram(char **words)
{
	static char text[] = "datagram";
	union any_address to = to_any(words[1], words[2]);
	socklen_t length = to.any.sa_family == AF_INET6 ? sizeof(to.six) : sizeof(to.four);
	struct iovec part = {text, sizeof(text)};
	struct msghdr message = {
		.msg_name = &to, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
	struct io_uring_sqe *entry;
	struct io_uring_cqe *done;
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);
	int fd = socket(to.any.sa_family, SOCK_DGRAM, 0);

	if (r < 0)
		fail("io_uring", -r);
	entry = io_uring_get_sqe(&ring);
	if (strcmp(words[0], "zero_copy") == 0)
		io_uring_prep_sendmsg_zc(entry, fd, &message, 0);
	else
		io_uring_prep_sendmsg(entry, fd, &message, 0);
	if (strcmp(words[0], "fixed") == 0)
		use_fixed(&ring, entry, fd);
	io_uring_submit(&ring);
	r = io_uring_wait_cqe(&ring, &done);
	printf("%d\n", r < 0 ? -r : done->res < 0 ? -done->res : 0);
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void receive_all(int fd, void *room, size_t size)
{
	if (size && recv(fd, room, size, MSG_WAITALL) != (ssize_t)size)
		fail("recv", errno ? errno : EPIPE);
}

/* The messages up to ReadyForQuery. */
static void log_in(int fd)
{
	static const char startup[] = "\0\0\0\x24\0\3\0\0user\0app\0database\0postgres\0";
	char type = 0, body[8192];
	uint32_t length;

	static_assert(sizeof(startup) == 0x24, "the length says so");
	if (send(fd, startup, sizeof(startup), MSG_NOSIGNAL) != (ssize_t)sizeof(startup))
		fail("send", errno);
	while (type != 'Z') {
		receive_all(fd, &type, sizeof(type));
		receive_all(fd, &length, sizeof(length));
		length = ntohl(length) - (uint32_t)sizeof(length);
		if (type == 'E' || length > sizeof(body))
			fail("login", EPROTO);
		receive_all(fd, body, length);
	}
}

static void nothing(int fd)
{
	(void)fd;
}

static int by_time(char **words, void (*then)(int fd))
{
	size_t count = (size_t)atoi(words[0]);
	struct sockaddr_in to = to_address(words[1], words[2]);
	uint64_t *times = memory_new_array(count, sizeof(*times));
	struct linger abort = {1, 0};

	for (size_t i = 0; i < count; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		uint64_t start = clock_monotonic();

		if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
			fail("connect", errno);
		then(fd);
		times[i] = clock_monotonic() - start;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
		close(fd);
	}
	qsort(times, count, sizeof(*times), compare);
	printf("%llu\n", (unsigned long long)times[count / 2]);
	free(times);
	return 0;
}

static int time_connect(char **words)
{
	return by_time(words, nothing);
}

static int time_login(char **words)
{
	return by_time(words, log_in);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **words);
	} modes[] = {
		{"uring", by_uring},
		{"datagram", send_datagram},
		{"socket", make_socket},
		{"connect", time_connect},
		{"login", time_login},
	};

	for (size_t i = 0; argc == 5 && i < ARRAY_SIZE(modes); i++) {
		if (strcmp(argv[1], modes[i].name) == 0)
			return modes[i].run(argv + 2);
	}
	return 2;
}
