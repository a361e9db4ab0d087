/* SPDX-License-Identifier: Apache-2.0
 *
 * record_postgres: records what real clients and a real server say to the engine, as transcripts.
 *
 *   record_postgres POLICY SERVER-PORT PREFIX    listens on a free port of 127.0.0.1, prints it,
 * and writes PREFIX-N.txt for the Nth connection record_postgres POLICY --bless FILE…         runs
 * transcripts again, and writes what came of it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "tests/harness/transcript.h"

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	return fd;
}

static void send_all(int fd, struct slice bytes)
{
	while (bytes.length) {
		ssize_t n = send(fd, bytes.data, bytes.length, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the other end shows when it is read */
		bytes = slice_from(bytes, (size_t)n);
	}
}

static void save(struct transcript *t, const struct engine_bench *bench, const char *name)
{
	FILE *file = fopen(name, "we");

	if (!file)
		die(name);
	transcript_run(t, bench, NULL, NULL, NULL, true, NULL);
	transcript_write(t, file);
	fclose(file);
}

/* One read of that side; false: the session is over. */
static bool receive(struct engine_run *run, struct transcript *t, enum side side, const int *fds)
{
	uint8_t bytes[65536];
	ssize_t n = recv(fds[side], bytes, sizeof(bytes), 0);

	if (n <= 0) {
		transcript_add(t, side, SLICE_EMPTY, true);
		engine_run_end(run, side);
		return false;
	}
	transcript_add(t, side, slice_of(bytes, (size_t)n), false);
	engine_run_feed(run, side, slice_of(bytes, (size_t)n));
	if (buffer_length(&run->sent[side]))
		transcript_complete(t);
	for (int to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		send_all(fds[to], buffer_slice(&run->sent[to]));
		buffer_clear(&run->sent[to]);
	}
	return !run->closed;
}

static void record(const struct engine_bench *bench, int agent, uint16_t port, const char *name)
{
	int fds[2] = {agent, connect_to(port)};
	struct transcript t;
	struct engine_run run;
	bool open = true;

	transcript_init(&t);
	engine_run_init(&run, bench, NULL);
	engine_run_connected(&run);
	while (open) {
		struct pollfd polled[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};

		if (poll(polled, 2, -1) < 0)
			die("poll");
		for (int side = SIDE_AGENT; side <= SIDE_SERVER && open; side++) {
			if (polled[side].revents)
				open = receive(&run, &t, (enum side)side, fds);
		}
	}
	/* A cancel request is the first and only thing on its connection. */
	if (memmem(run.events.data, run.events.end, "! cancel", 8))
		send_all(fds[SIDE_SERVER], buffer_slice(&t.steps[0].bytes));
	engine_run_done(&run);
	save(&t, bench, name);
	transcript_done(&t);
}

static int listen_somewhere(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t length = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &length) < 0)
		die("listen");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static int bless(const struct engine_bench *bench, char **files)
{
	for (; *files; files++) {
		struct transcript t;

		transcript_init(&t);
		if (transcript_read(&t, *files) < 0)
			return 1;
		save(&t, bench, *files);
		transcript_done(&t);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct engine_bench bench;
	char *policy;
	int listener;

	if (argc < 4) {
		fprintf(stderr,
			"usage: record_postgres POLICY SERVER-PORT PREFIX | POLICY --bless "
			"FILE...\n");
		return 2;
	}
	policy = engine_bench_read(argv[1]);
	engine_bench_init(&bench, policy);
	free(policy);
	if (strcmp(argv[2], "--bless") == 0)
		return bless(&bench, argv + 3);
	signal(SIGCHLD, SIG_IGN);
	listener = listen_somewhere();
	for (unsigned number = 1;; number++) {
		int agent = accept(listener, NULL, NULL);
		char *name = memory_format("%s-%u.txt", argv[3], number);

		if (agent < 0)
			die("accept");
		if (fork() == 0) {
			record(&bench, agent, (uint16_t)strtoul(argv[2], NULL, 10), name);
			_exit(0);
		}
		close(agent);
		free(name);
	}
}
