/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/privileges.h"
#include "capture/prefix.h"
#include "capture/scratch.h"

static const struct {
	int family;
	const char *name;
} families[SELFTEST_FAMILIES] = {{AF_INET, "IPv4"}, {AF_INET6, "IPv6"}};

/* What the child writes, once per family. */
struct result {
	int index;
	int error; /* of connect(2), 0 = none */
	bool disguised; /* getpeername(2) gave what was dialled */
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t set_address(union address *ret, int family)
{
	memset(ret, 0, sizeof(*ret));
	ret->any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		ret->v4.sin_port = htons(SELFTEST_PORT);
		ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_port = htons(SELFTEST_PORT);
	ret->v6.sin6_addr = in6addr_loopback;
	return sizeof(ret->v6);
}

/* The socket stays open: the worker's end is to find it alive. */
static struct result dial(int index)
{
	struct result result = {.index = index};
	union address dialled, shown;
	socklen_t length = set_address(&dialled, families[index].family), shown_length = length;
	int fd = socket(families[index].family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	memset(&shown, 0, sizeof(shown));
	if (fd < 0 || connect(fd, &dialled.any, length) < 0)
		result.error = errno;
	else if (getpeername(fd, &shown.any, &shown_length) == 0)
		result.disguised = memcmp(&shown, &dialled, length) == 0;
	return result;
}

static void live(pid_t parent, int cgroup_fd, int out, const bool *wanted)
{
	struct result failed = {.error = -cgroup_enter(cgroup_fd)};

	/* A daemon that is killed takes its child along, and with it the copies of the listener. */
	if (privileges_end_with(parent) < 0)
		_exit(1);
	if (failed.error && write(out, &failed, sizeof(failed)) < 0)
		_exit(1);
	for (int i = 0; !failed.error && i < SELFTEST_FAMILIES; i++) {
		struct result result;

		if (!wanted[i])
			continue;
		result = dial(i);
		if (write(out, &result, sizeof(result)) < 0)
			_exit(1);
	}
	for (;;)
		pause();
}

static int start_child(struct selftest *t, int cgroup_fd)
{
	pid_t parent = getpid();
	int channel[2];

	if (pipe2(channel, O_CLOEXEC) < 0)
		return -errno;
	t->child = fork();
	if (t->child == 0)
		live(parent, cgroup_fd, channel[1], t->wanted);
	close(channel[1]);
	if (t->child < 0) {
		close(channel[0]);
		return -errno;
	}
	t->results = channel[0];
	return 0;
}

int selftest_start(struct capture *c, const struct listener_set *listeners, struct selftest *ret,
	struct error *e)
{
	struct selftest t = {.capture = c, .child = -1, .results = -1, .wanted = {true, false}};
	int fd = -1;
	int r = scratch_open(c, &fd, &t.cgroup, e);

	t.wanted[1] = listeners->pairs[0].v6 != LISTENER_NO_SOCKET;
	if (r == 0) {
		r = start_child(&t, fd);
		close(fd);
		if (r < 0)
			error_set_errno(e, r, "the self-test's process");
	}
	if (r < 0) {
		selftest_finish(&t);
		return r;
	}
	*ret = t;
	return 0;
}

int selftest_descriptor(const struct selftest *t)
{
	return t->results;
}

int selftest_on_result(struct selftest *t, struct error *e)
{
	struct result result;
	ssize_t n = read(t->results, &result, sizeof(result));
	const char *name;

	if (n != sizeof(result) || result.index < 0 || result.index >= SELFTEST_FAMILIES)
		return error_set(e, -EPIPE, "the self-test's process ended");
	name = families[result.index].name;
	if (result.error)
		return error_set_errno(e, -result.error, "self-test: connecting over %s", name);
	if (!result.disguised)
		return error_set(e, -EADDRNOTAVAIL,
			"self-test: getpeername over %s does not give what was dialled", name);
	t->connected[result.index] = true;
	return 0;
}

int selftest_on_origin(struct selftest *t, const struct origin *o, struct error *e)
{
	int index = o->family == AF_INET6;
	union address dialled;
	uint8_t address[16];

	set_address(&dialled, families[index].family);
	prefix_map_address(families[index].family,
		index ? (const void *)&dialled.v6.sin6_addr : (const void *)&dialled.v4.sin_addr,
		address);
	if (o->agent != CAPTURE_SELFTEST_AGENT || o->pid != (uint32_t)t->child ||
		o->cgroup != t->cgroup || o->port != SELFTEST_PORT || o->uid != geteuid() ||
		o->start_time == 0 || memcmp(o->address, address, sizeof(address)) != 0)
		return error_set(
			e, -EBADMSG, "self-test: a wrong origin over %s", families[index].name);
	t->arrived[index] = true;
	return 0;
}

bool selftest_is_done(const struct selftest *t)
{
	for (int i = 0; i < SELFTEST_FAMILIES; i++) {
		if (t->wanted[i] && !(t->connected[i] && t->arrived[i]))
			return false;
	}
	return true;
}

void selftest_finish(struct selftest *t)
{
	if (t->child > 0) {
		kill(t->child, SIGKILL);
		waitpid(t->child, NULL, 0);
	}
	if (t->results >= 0)
		close(t->results);
	t->child = t->results = -1;
	scratch_close(t->capture);
}
