/* SPDX-License-Identifier: Apache-2.0
 *
 * pg_drain: a PostgreSQL client that costs next to nothing: sends one query and reads what comes
 * without looking at more than the messages' headers. For tests/bench.
 *
 *	pg_drain PORT USER DATABASE QUERY	prints seconds and bytes from the query to
 *ReadyForQuery
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/clock.h"

#define READ 262144
#define HEADER 5
#define VERSION_3_0 196608u

static uint8_t in[READ];

static void fail(const char *what)
{
	fprintf(stderr, "pg_drain: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int dial(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		fail("connect");
	return s;
}

static void send_all(int s, struct buffer *b)
{
	struct slice rest = buffer_slice(b);

	while (rest.length) {
		ssize_t n = write(s, rest.data, rest.length);

		if (n <= 0)
			fail("write");
		rest = slice_from(rest, (size_t)n);
	}
	buffer_clear(b);
}

/* What has come of a message's header, and how many bytes of its body are still to come. */
struct framing {
	uint8_t header[HEADER];
	size_t have;
	uint64_t left;
	bool failed; /* an ErrorResponse came */
};

/* Goes over the bytes; the type of the last message that ended in them, 0 where none did. */
static uint8_t follow(struct framing *f, struct slice bytes)
{
	uint8_t last = 0;

	while (bytes.length) {
		size_t n;

		if (f->have < HEADER) {
			f->header[f->have++] = bytes.data[0];
			bytes = slice_from(bytes, 1);
			if (f->have == HEADER)
				f->left = bytes_get_u32(f->header + 1) - 4;
		} else {
			n = bytes.length < f->left ? bytes.length : (size_t)f->left;
			f->left -= n;
			bytes = slice_from(bytes, n);
		}
		if (f->have == HEADER && f->left == 0) {
			last = f->header[0];
			f->have = 0;
			f->failed |= last == 'E';
		}
	}
	return last;
}

/* Reads to a ReadyForQuery; the bytes that came. */
static uint64_t drain(int s)
{
	struct framing f = {0};
	uint64_t bytes = 0;

	for (;;) {
		ssize_t n = read(s, in, sizeof(in));

		if (n <= 0)
			fail("read");
		bytes += (uint64_t)n;
		if (follow(&f, slice_of(in, (size_t)n)) == 'Z') {
			if (f.failed) {
				fprintf(stderr, "pg_drain: the server sent an error\n");
				exit(1);
			}
			return bytes;
		}
	}
}

static void append_startup(struct buffer *b, const char *user, const char *database)
{
	uint32_t length = (uint32_t)(8 + sizeof("user") + strlen(user) + 1 + sizeof("database") +
		strlen(database) + 1 + 1);

	buffer_append_u32(b, length);
	buffer_append_u32(b, VERSION_3_0);
	buffer_append(b, "user", sizeof("user"));
	buffer_append(b, user, strlen(user) + 1);
	buffer_append(b, "database", sizeof("database"));
	buffer_append(b, database, strlen(database) + 1);
	buffer_append_byte(b, 0);
}

int main(int argc, char **argv)
{
	uint64_t start, bytes;
	struct buffer out;
	int s;

	if (argc != 5) {
		fprintf(stderr, "usage: pg_drain PORT USER DATABASE QUERY\n");
		return 2;
	}
	s = dial(argv[1]);
	buffer_init(&out, 1 << 20);
	append_startup(&out, argv[2], argv[3]);
	send_all(s, &out);
	drain(s);
	buffer_append_byte(&out, 'Q');
	buffer_append_u32(&out, (uint32_t)(4 + strlen(argv[4]) + 1));
	buffer_append(&out, argv[4], strlen(argv[4]) + 1);
	start = clock_monotonic();
	send_all(s, &out);
	bytes = drain(s);
	printf("%.4f %llu\n", (double)(clock_monotonic() - start) / 1e9, (unsigned long long)bytes);
	buffer_done(&out);
	close(s);
	return 0;
}
