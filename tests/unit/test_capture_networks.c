/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
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
	const struct network_asked nothing = {0};
	const uint32_t agent = AGENT;
	struct error e;
	int map, asked, cgroup;

	cr_assert_eq(cgroup_root_open(&root, &e), 0, "%s", e.text);
	cr_assert_eq(cgroup_of_process(getpid(), path, sizeof(path)), 0);
	cgroup = openat(root.fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(cgroup, 0);
	map = bpf_map_create(BPF_MAP_TYPE_HASH, "networks", sizeof(uint64_t),
		sizeof(struct steer_network), STEER_NETWORKS_MOST, NULL);
	cr_assert_geq(map, 0, "%s", strerror(errno));
	asked = bpf_map_create(BPF_MAP_TYPE_HASH, "asked", sizeof(agent), sizeof(nothing), 2, NULL);
	cr_assert_geq(asked, 0, "%s", strerror(errno));
	cr_assert_eq(bpf_map_update_elem(asked, &agent, &nothing, BPF_ANY), 0);
	networks_open(&networks, map, asked, cgroup, on_network, &networks);
}

static void ask_as(uint64_t network, pid_t pid, pid_t thread)
{
	const struct network_event event = {.network = network,
		.agent = AGENT,
		.pid = (uint32_t)pid,
		.thread = (uint32_t)thread};

	networks_on_event(&networks, &event);
}

static void ask(uint64_t network)
{
	ask_as(network, getpid(), gettid());
}

static unsigned port_of(uint64_t network)
{
	struct steer_network there = {0};

	return bpf_map_lookup_elem(networks.map, &network, &there) == 0 ? there.port : 0;
}

/* Who connects there is refused, instead of waiting. */
static bool is_refused(uint64_t network)
{
	struct steer_network there = {.port = 1};

	return bpf_map_lookup_elem(networks.map, &network, &there) == 0 && there.port == 0;
}

/* The same, wherever the agent has none. */
static bool is_agent_refused(void)
{
	struct network_asked asked = {0};
	uint32_t agent = AGENT;

	cr_assert_eq(bpf_map_lookup_elem(networks.asked, &agent, &asked), 0);
	return asked.refused_until > clock_monotonic();
}

/* Whether another one of the same user may listen there, too, and would get its part. */
static bool can_join(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	bool can;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	can = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0;
	close(fd);
	return can;
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
	cr_assert_not(can_join(PORT));
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

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static unsigned option_of(int fd, int option)
{
	int value = 0;
	socklen_t size = sizeof(value);

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, option, &value, &size), 0);
	return (unsigned)value;
}

/* Who owns the namespace chooses what the kernel keeps for its own sockets, and not for ours. */
Test(networks, buffers_are_ours)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct listener_pair *listener;
	uint64_t cookie;
	int client, accepted;

	open_networks();
	cookie = leave_home(true);
	write_file("/proc/sys/net/ipv4/tcp_wmem", "4096 16777216 1073741824");
	write_file("/proc/sys/net/ipv4/tcp_rmem", "4096 16777216 1073741824");
	ask(cookie);
	cr_assert_neq(port_of(cookie), 0);
	listener = networks.items[0].listener.pairs;
	address.sin_port = htons((uint16_t)port_of(cookie));
	client = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	accepted = accept(listener->v4, NULL, NULL);
	cr_assert_geq(accepted, 0);
	cr_expect_eq(option_of(accepted, SO_SNDBUF), LIMIT_NETWORK_SOCKET_BUFFER);
	cr_expect_eq(option_of(accepted, SO_RCVBUF), LIMIT_NETWORK_SOCKET_BUFFER);
	cr_expect_eq(option_of(listener->v6, SO_SNDBUF), LIMIT_NETWORK_SOCKET_BUFFER);
	cr_expect_eq(option_of(listener->v6, SO_RCVBUF), LIMIT_NETWORK_SOCKET_BUFFER);
	close(accepted);
	close(client);
	networks_close(&networks);
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
	cr_assert_not(is_refused(cookie + 1));
	cr_assert_eq(port_of(cookie), 0);
	networks_close(&networks);
}

/* Who asked and has ended keeps nobody else from being heard. */
Test(networks, a_process_that_has_ended_is_forgotten)
{
	uint64_t cookie;
	pid_t child;

	open_networks();
	cookie = leave_home(true);
	child = fork();
	if (child == 0)
		_exit(0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	ask_as(cookie, child, child);
	cr_assert_eq(came, 0);
	cr_assert_not(is_refused(cookie));
	ask(cookie);
	cr_assert_neq(port_of(cookie), 0);
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

static int ports[1024];

/* All that a listener may have. */
static void take_ports(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};

	for (int i = 1; i < 1024; i++) {
		address.sin_port = htons((uint16_t)i);
		ports[i] = socket(AF_INET, SOCK_STREAM, 0);
		cr_assert_eq(bind(ports[i], (struct sockaddr *)&address, sizeof(address)), 0);
	}
}

static void give_ports_back(void)
{
	for (int i = 1; i < 1024; i++)
		close(ports[i]);
}

/* Where no listener can be made nobody waits for it, until one can. */
Test(networks, a_listener_that_fails_is_refused)
{
	uint64_t cookie;

	open_networks();
	cookie = leave_home(true);
	take_ports();
	ask(cookie);
	cr_assert_eq(came, 0);
	cr_assert(is_refused(cookie));
	give_ports_back();
	/* Not at once: agents must not keep the monitor busy. */
	ask(cookie);
	cr_assert(is_refused(cookie));
	networks.items[0].retry = 1;
	ask(cookie);
	cr_assert_eq(came, 1);
	cr_assert_neq(port_of(cookie), 0);
	networks_close(&networks);
	cr_assert_eq(went, 1);
	cr_assert_not(is_refused(cookie));
}

Test(networks, a_refusal_ends)
{
	uint64_t cookie;

	open_networks();
	cookie = leave_home(true);
	take_ports();
	ask(cookie);
	cr_assert(is_refused(cookie));
	give_ports_back();
	networks.items[0].retry = 1;
	networks_tick(&networks);
	cr_assert_eq(networks.count, 0);
	cr_assert_not(is_refused(cookie));
	networks_close(&networks);
}

struct wanderer {
	uint64_t cookie; /* of its namespace */
	pid_t thread;
	sem_t there, go;
};

static void *wander(void *context)
{
	struct wanderer *w = context;

	w->cookie = leave_home(true);
	w->thread = gettid();
	sem_post(&w->there);
	sem_wait(&w->go);
	return NULL;
}

/* The process is at home. */
Test(networks, a_thread_lives_there)
{
	struct wanderer w = {0};
	pthread_t thread;

	open_networks();
	sem_init(&w.there, 0, 0);
	sem_init(&w.go, 0, 0);
	cr_assert_eq(pthread_create(&thread, NULL, wander, &w), 0);
	sem_wait(&w.there);
	ask_as(w.cookie, getpid(), w.thread);
	cr_assert_neq(port_of(w.cookie), 0);
	networks_tick(&networks);
	cr_assert_neq(port_of(w.cookie), 0);
	/* Also where it is not who asked. */
	networks.items[0].thread = (uint32_t)getpid();
	networks.next_look = 0;
	networks_tick(&networks);
	cr_assert_neq(port_of(w.cookie), 0);
	cr_assert_eq(networks.items[0].thread, (uint32_t)w.thread);
	sem_post(&w.go);
	pthread_join(thread, NULL);
	networks.next_look = 0;
	networks_tick(&networks);
	cr_assert_eq(port_of(w.cookie), 0);
	cr_assert_eq(went, 1);
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
	cr_assert(is_agent_refused());
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
