/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "capture/cgroup.h"
#include "capture/networks.h"

#define AGENT 7
#define PORT 777

static struct networks networks;
static int came, went; /* what was told */
static uint64_t told_last;

static void on_network(void *context, uint64_t network, const struct listener_pair *listener)
{
	cr_assert_eq(context, &networks);
	came += listener != NULL;
	went += listener == NULL;
	told_last = network;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size), 0);
	return cookie;
}

/* Goes to a network namespace of its own; its cookie. */
static uint64_t leave_home(bool loopback_up)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	uint64_t cookie;
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "%s", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_geq(fd, 0);
	if (loopback_up)
		cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	cookie = cookie_of(fd);
	close(fd);
	return cookie;
}

static void open_networks(void)
{
	char path[CGROUP_PATH_SIZE];
	struct cgroup_root root;
	struct error e;
	int map, cgroup;

	cr_assert_eq(cgroup_root_open(&root, &e), 0, "%s", e.text);
	cr_assert_eq(cgroup_of_process(getpid(), path, sizeof(path)), 0);
	cgroup = openat(root.fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(cgroup, 0);
	map = bpf_map_create(BPF_MAP_TYPE_HASH, "networks", sizeof(uint64_t),
		sizeof(struct steer_network), STEER_NETWORKS_MOST, NULL);
	cr_assert_geq(map, 0, "%s", strerror(errno));
	networks_open(&networks, map, cgroup, on_network, &networks);
}

static void ask(uint64_t network)
{
	const struct network_event event = {.network = network,
		.agent = AGENT,
		.pid = (uint32_t)getpid(),
		.thread = (uint32_t)gettid()};

	networks_on_event(&networks, &event);
}

static unsigned port_of(uint64_t network)
{
	struct steer_network there = {0};

	return bpf_map_lookup_elem(networks.map, &network, &there) == 0 ? there.port : 0;
}

Test(networks, listens_where_the_agent_is)
{
	uint64_t cookie;

	open_networks();
	networks.port = PORT;
	cookie = leave_home(true);
	ask(cookie);
	cr_assert_eq(came, 1);
	cr_assert_eq(told_last, cookie);
	cr_assert_eq(networks.items[0].listener.port, PORT);
	cr_assert_eq(cookie_of(networks.items[0].listener.pairs[0].v4), cookie);
	cr_assert_eq(port_of(cookie), networks.items[0].listener.port);
	/* Once. */
	ask(cookie);
	cr_assert_eq(came, 1);
	networks_close(&networks);
	cr_assert_eq(went, 1);
	cr_assert_eq(port_of(cookie), 0);
	/* Whoever asks then is not heard. */
	ask(cookie);
	cr_assert_eq(came, 1);
}

/* Who has taken the port there finds nobody waiting for it. */
Test(networks, a_taken_port_is_another_one)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	uint64_t cookie;
	int fd;

	open_networks();
	networks.port = PORT;
	cookie = leave_home(true);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	ask(cookie);
	cr_assert_eq(came, 1);
	cr_assert_neq(port_of(cookie), 0);
	cr_assert_neq(port_of(cookie), PORT);
	close(fd);
	networks_close(&networks);
}

/* The number of a process that has ended may be another's by now: who has our own namespace. */
Test(networks, listens_nowhere_else)
{
	uint64_t cookie;

	open_networks();
	cookie = leave_home(true);
	ask(cookie + 1);
	cr_assert_eq(came, 0);
	cr_assert_eq(port_of(cookie + 1), 0);
	cr_assert_eq(port_of(cookie), 0);
	networks_close(&networks);
}

/* What its maker has shut off stays shut off. */
Test(networks, a_loopback_that_is_down_stays_so)
{
	struct ifreq lo = {.ifr_name = "lo"};
	int fd;

	open_networks();
	ask(leave_home(false));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ioctl(fd, SIOCGIFFLAGS, &lo), 0);
	cr_assert_eq(lo.ifr_flags & IFF_UP, 0);
	close(fd);
	networks_close(&networks);
}

Test(networks, an_agent_has_a_share)
{
	uint64_t cookie = 0;

	open_networks();
	for (unsigned i = 0; i <= LIMIT_NETWORKS_PER_AGENT; i++) {
		cookie = leave_home(true);
		ask(cookie);
	}
	cr_assert_eq(came, (int)LIMIT_NETWORKS_PER_AGENT);
	cr_assert_eq(port_of(cookie), 0);
	/* All but the last are without processes. */
	networks_tick(&networks);
	cr_assert_eq(went, (int)LIMIT_NETWORKS_PER_AGENT);
	ask(cookie);
	cr_assert_neq(port_of(cookie), 0);
	networks.next_look = 0;
	networks_tick(&networks);
	cr_assert_neq(port_of(cookie), 0);
	networks_close(&networks);
}
