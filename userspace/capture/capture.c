/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/capture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "capture/enrolment.h"
#include "capture/guard.h"
#include "capture/namespace.h"
#include "capture/network_rules.h"
#include "capture/prefix.h"
#include "capture/state.h"

/* Of all agents together: what the map holds, less what is lost between processors. */
#define QUOTA_ALL (STEER_PENDING_MOST - 1024)

const struct capture_count_text *capture_count_text(enum steer_count count)
{
	static const struct capture_count_text texts[STEER_COUNT_COUNT] = {
#define ROW(symbol, metric, text) [STEER_##symbol] = {metric, text},
		STEER_COUNTS(ROW)
#undef ROW
	};

	return &texts[count];
}

int capture_write_settings(struct capture *c, struct error *e)
{
	uint32_t zero = 0;

	c->settings.routes_known = c->routes.complete;
	if (bpf_map_update_elem(c->programs.maps[PROGRAMS_SETTINGS], &zero, &c->settings, BPF_ANY) <
		0)
		return error_set_errno(e, -errno, "the settings of the BPF programs");
	return 0;
}

/* An earlier daemon's port stays until capture_listen(): nobody carries its mark any more. */
static int read_settings(struct capture *c, struct error *e)
{
	uint64_t network = 0;
	uint32_t zero = 0;
	int r;

	if (bpf_map_lookup_elem(c->programs.maps[PROGRAMS_SETTINGS], &zero, &c->settings) < 0)
		return error_set_errno(e, -errno, "the settings of the BPF programs");
	c->settings.quota = QUOTA_ALL;
	r = namespace_cookie(&network);
	if (r < 0)
		return error_set_errno(e, r, "SO_NETNS_COOKIE");
	c->settings.network = network;
	return 0;
}

int capture_attach_workers(struct capture *c, struct error *e)
{
	return programs_attach(
		&c->programs, PROGRAMS_WORKER, CAPTURE_WORKER_OWNER, c->worker_fd, e);
}

static int open_worker_cgroup(struct capture *c, const char *configuration, struct error *e)
{
	char path[CGROUP_PATH_SIZE];
	int r;

	snprintf(path, sizeof(path), "%s/workers", c->folder);
	r = cgroup_open(&c->root, path, true, &c->worker_fd, e);
	if (r < 0)
		return r;
	/* Without it, teardown needs a configuration that can be read. */
	if (configuration)
		(void)cgroup_write_note(&c->root, c->folder, configuration);
	return capture_attach_workers(c, e);
}

static int on_ring(void *context, void *data, size_t size)
{
	struct capture *c = context;

	/* What is awaited is looked at behind all that the ring has. */
	if (size == sizeof(struct steer_event) && c->on_event)
		c->on_event(c->context, data);
	if (size == sizeof(struct network_event))
		networks_on_event(&c->networks, data);
	return 0;
}

static int watch(struct capture *c, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_epoll(struct capture *c, struct error *e)
{
	int routes[ROUTES_DESCRIPTORS], r = 0;

	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	c->ring = ring_buffer__new(c->programs.maps[PROGRAMS_EVENTS], on_ring, c, NULL);
	if (c->epoll < 0 || !c->ring)
		return error_set_errno(e, -errno, "the events of the BPF programs");
	routes_descriptors(&c->routes, routes);
	for (size_t i = 0; r == 0 && i < ROUTES_DESCRIPTORS; i++)
		r = watch(c, routes[i]);
	if (r == 0)
		r = watch(c, guard_watch_descriptor(&c->watch));
	if (r == 0)
		r = watch(c, guard_watch_descriptor(&c->forward_watch));
	if (r == 0)
		r = watch(c, ring_buffer__epoll_fd(c->ring));
	return r < 0 ? error_set_errno(e, r, "epoll") : 0;
}

/* The counters of the host, under agent 0. */
static int open_host_counters(struct capture *c, struct error *e)
{
	static const struct steer_agent zero;
	uint32_t host = 0;

	if (bpf_map_update_elem(c->programs.maps[PROGRAMS_AGENTS], &host, &zero, BPF_NOEXIST) < 0 &&
		errno != EEXIST)
		return error_set_errno(e, -errno, "the counters of the BPF programs");
	return 0;
}

/* Without it, what it is for is refused. */
static void open_queue(struct capture *c)
{
	struct error e;

	dropped_note(c);
	dropped_begin_anew(c, DROPPED_QUEUE_FULL);
	dropped_begin_anew(c, DROPPED_QUEUE_UNREAD);
	if (queue_renew(&c->queue, c->pins.instance, &e) < 0)
		log_warning("%s; UDP can't be judged, and goes to resolvers alone", e.text);
	else
		c->queue_is_native = queue_is_native();
}

void capture_renew_queue(struct capture *c)
{
	struct error e;

	open_queue(c);
	c->queue_use = QUEUE_UNUSED;
	/* Until they are loaded the old number is nobody's, and drops. */
	c->guard_gone |= governed_guard(c, &e) < 0;
	c->forwarded.loaded = c->forwarded.known && forwarded_load(c, &e) == 0;
	network_rules_renew_queues(&c->networks);
}

void capture_queue(const struct capture *c, int *ret_packets, int *ret_verdicts)
{
	*ret_packets = queue_descriptor(&c->queue);
	*ret_verdicts = c->queue.socket ? c->queue.verdicts : -1;
}

bool capture_limits_datagrams(const struct capture *c)
{
	return !c->limits_not;
}

static int open_watches(struct capture *c, struct error *e)
{
	char name[FORWARD_RULES_NAME_SIZE];
	int r = guard_watch_open(&c->watch, c->pins.instance, e);

	forward_rules_name(c->pins.instance, name);
	return r == 0 ? guard_watch_open(&c->forward_watch, name, e) : r;
}

static void open_networks(struct capture *c, const struct capture_options *options)
{
	const int *maps = c->programs.maps;

	networks_open(&c->networks, maps[PROGRAMS_NETWORKS], maps[PROGRAMS_ASKED], c->worker_fd,
		options->on_network, options->context);
	c->networks.on_queue = options->on_queue;
	c->networks.capture = options->on_queue ? c : NULL;
	/* Nobody waits for a listener that can't be made. */
	c->settings.holds = options->on_network && programs_hold_packets(&c->programs) &&
		networks_can_be_entered();
}

static int open_all(struct capture *c, const struct capture_options *options, struct error *e)
{
	const int *maps = c->programs.maps;
	int r = pins_open(&c->pins, options->instance, e);

	if (r == 0)
		r = cgroup_root_open(&c->root, e);
	if (r == 0)
		r = programs_load(&c->programs, &c->pins, e);
	if (r == 0)
		r = read_settings(c, e);
	if (r == 0)
		r = open_host_counters(c, e);
	if (r == 0)
		r = open_worker_cgroup(c, options->configuration, e);
	if (r == 0)
		open_networks(c, options);
	if (r == 0)
		r = routes_open(
			&c->routes, maps[PROGRAMS_ROUTES], maps[PROGRAMS_LOCAL_ADDRESSES], e);
	if (r == 0)
		r = trie_open(&c->destinations, maps[PROGRAMS_LOCAL_DESTINATIONS]);
	if (r == 0)
		r = capture_write_settings(c, e);
	if (r == 0)
		r = open_watches(c, e);
	if (r == 0)
		r = open_epoll(c, e);
	if (r == 0) {
		open_queue(c);
		r = guard_can_limit(e);
	}
	/* Not known is no reason to go without: no rules could be loaded either. */
	if (r >= 0) {
		c->limits_not = r == 0;
		r = governed_adopt(c, e);
	}
	if (r == 0)
		r = enrolment_open(c, e);
	return r;
}

int capture_open(const struct capture_options *options, struct capture **ret, struct error *e)
{
	struct capture *c = memory_new(sizeof(*c));
	int r;

	c->epoll = c->worker_fd = c->root.fd = c->pins.lock = c->routes.timer = -1;
	c->quota = options->quota ? options->quota : CAPTURE_DEFAULT_QUOTA;
	snprintf(c->folder, sizeof(c->folder), "wayleave_%s", options->instance);
	r = open_all(c, options, e);
	if (r < 0) {
		capture_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	forwarded_done(c);
	networks_close(&c->networks);
	governed_done(c);
	enrolment_close(c);
	queue_close(&c->queue);
	ring_buffer__free(c->ring);
	if (c->epoll >= 0)
		close(c->epoll);
	guard_watch_close(&c->watch);
	guard_watch_close(&c->forward_watch);
	trie_done(&c->destinations);
	routes_close(&c->routes);
	if (c->worker_fd >= 0)
		close(c->worker_fd);
	programs_unload(&c->programs);
	if (c->root.fd >= 0)
		cgroup_root_close(&c->root);
	pins_close(&c->pins);
	free(c);
}

static int adopt(const struct capture *c, unsigned count, uint16_t port,
	const struct listener_inherited *inherited, struct listener_set *ret)
{
	if (!inherited || inherited->v4_count == 0)
		return -ENOENT;
	return listener_adopt(
		inherited, c->programs.maps[PROGRAMS_LISTENERS], c->worker_fd, count, port, ret);
}

static int open_listeners(struct capture *c, unsigned count, uint16_t port,
	struct listener_inherited *inherited, struct listener_set *ret, struct error *e)
{
	int r = adopt(c, count, port, inherited, ret);

	if (r == 0) {
		inherited->v4_count = inherited->v6_count = 0;
		return 0;
	}
	if (r == -ESTALE)
		log_warning("the sockets of the daemon before are others than the configuration "
			    "wants: who waits there has to connect again");
	if (inherited)
		listener_discard(inherited);
	return listener_open(c->worker_fd, count, port, ret, e);
}

int capture_listen(struct capture *c, unsigned count, uint16_t port,
	struct listener_inherited *inherited, struct listener_set *ret, struct error *e)
{
	struct listener_set set;
	int r = open_listeners(c, count, port, inherited, &set, e);

	if (r < 0)
		return r;
	c->settings.port = c->networks.port = set.port;
	/* The rules first: until they know the port, connections to it would be rejected. */
	r = governed_guard(c, e);
	if (r == 0)
		r = capture_write_settings(c, e);
	if (r < 0) {
		listener_close(&set);
		return r;
	}
	*ret = set;
	return 0;
}

static int set_destinations(struct capture *c, const struct capture_setup *setup, struct error *e)
{
	struct trie_item *items = memory_new_array(setup->destination_count + 1, sizeof(*items));
	int r;

	for (size_t i = 0; i < setup->destination_count; i++) {
		const struct capture_destination *d = &setup->destinations[i];

		r = prefix_from_address(AF_INET6, d->address, d->bits, d->port, &items[i].key);
		if (r < 0) {
			free(items);
			return error_set_errno(e, r, "a destination of %u bits", d->bits);
		}
	}
	r = trie_set(&c->destinations, items, setup->destination_count);
	return r < 0 ? error_set_errno(e, r, "the destinations that resources name") : 0;
}

int capture_apply(struct capture *c, const struct capture_setup *setup, struct error *e)
{
	int r = governed_check(c, setup->agents, setup->agent_count, e);

	if (r == 0)
		r = set_destinations(c, setup, e);
	if (r == 0)
		r = capture_set_servers(c, setup, e);
	/* Before those are looked for that are there: none falls in between. */
	if (r == 0)
		r = enrolment_set(c, setup->agents, setup->agent_count, e);
	if (r < 0)
		return r;
	r = forwarded_apply(c, setup, e);
	if (r < 0)
		return r;
	c->generation = (uint16_t)setup->generation;
	for (size_t i = 0; i < c->count; i++) {
		c->governed[i].configured = false;
		c->governed[i].listen = false;
		c->governed[i].udp = UDP_DENY;
	}
	for (size_t i = 0; r == 0 && i < setup->agent_count; i++)
		r = governed_set(c, &setup->agents[i], e);
	if (r < 0)
		return r;
	governed_release_empty(c);
	r = governed_guard(c, e);
	/* Until they are loaded flows pass by the policy of before: capture_process() tries again.
	 */
	c->guard_gone |= r < 0;
	if (r == 0)
		r = forwarded_load(c, e);
	if (r == 0)
		r = governed_abort_older(c, e);
	if (r == 0)
		r = enrolment_process(c, e);
	if (r == 0)
		pins_remove_other_layouts(&c->pins);
	return r;
}

int capture_prepare(struct capture *c, uint32_t agent, struct capture_place *ret, struct error *e)
{
	struct governed *g = governed_find(c, agent);
	struct capture_agent same;
	uint64_t before;
	int r;

	if (!g || !g->configured)
		return error_set(e, -ENOENT,
			"its cgroup has wildcards: others start its processes, not wayleave run");
	same = (struct capture_agent){.id = agent,
		.name = g->cgroup,
		.cgroup = g->cgroup,
		.loopback = g->loopback,
		.listen = g->listen,
		.udp = g->udp,
		.bandwidth = g->bandwidth};
	before = g->cgroup_id;
	r = governed_set(c, &same, e);
	if (r == 0 && g->cgroup_id != before)
		r = enrolment_process(c, e);
	if (r < 0)
		return r;
	if (snprintf(ret->path, sizeof(ret->path), "%s/%s", c->root.path, g->cgroup) >=
		(int)sizeof(ret->path))
		return error_set(e, -ENAMETOOLONG, "cgroup %s", g->cgroup);
	ret->cgroup = g->cgroup_id;
	return 0;
}

int capture_find_agent(struct capture *c, pid_t pid, uint32_t *ret_agent)
{
	char path[CGROUP_PATH_SIZE];
	const struct capture_agent *expected;
	uint32_t agent = 0;
	int r = cgroup_of_process(pid, path, sizeof(path));

	if (r < 0 && r != -ENODATA)
		return r;
	/* Also in one that is not governed yet. */
	expected = r == 0 ? enrolment_agent(c, path) : NULL;
	if (expected)
		agent = expected->id;
	for (size_t i = 0; r == 0 && i < c->count; i++) {
		if (cgroup_path_is_within(path, c->governed[i].cgroup))
			agent = c->governed[i].id;
	}
	*ret_agent = agent;
	return 0;
}

int capture_forbid(const struct capture *c, int fd)
{
	const uint32_t nobody = STEER_LISTENER_FORBIDDEN;

	return bpf_map_update_elem(c->programs.maps[PROGRAMS_LISTENERS], &fd, &nobody, BPF_ANY) < 0
		? -errno
		: 0;
}

int capture_get_counts(const struct capture *c, uint32_t agent, struct steer_agent *ret)
{
	struct steer_agent counts;

	if (bpf_map_lookup_elem(c->programs.maps[PROGRAMS_AGENTS], &agent, &counts) < 0)
		return -errno;
	*ret = counts;
	return 0;
}

const char *capture_cgroup_root(const struct capture *c)
{
	return c->root.path;
}

void capture_each_network(const struct capture *c, networks_tell *on_network, void *context)
{
	networks_each(&c->networks, on_network, context);
	forwarded_each(c, on_network, context);
}

void capture_each_queue(const struct capture *c, networks_tell_queue *on_queue, void *context)
{
	network_rules_each_queue(&c->networks, on_queue, context);
}

void capture_leave_networks(struct capture *c)
{
	forwarded_leave(c);
	networks_close(&c->networks);
}

int capture_descriptor(const struct capture *c)
{
	return c->epoll;
}

/* Whether somebody has changed those of one table; the canary tells of it, though they are put back
 * at once. */
static bool are_others(struct capture *c, struct guard_watch *watch,
	int (*check)(struct capture *c, struct error *e))
{
	struct error e;

	if (!guard_watch_read(watch) || check(c, &e) == 0)
		return false;
	log_warning("%s; they are put back", e.text);
	c->tampered = e;
	return true;
}

/* Puts back what is not as it was loaded. */
static int renew_rules(struct capture *c, struct error *e)
{
	int r = 0;

	if (are_others(c, &c->watch, governed_check_guard) ||
		c->resolvers_version != resolvers_version())
		c->guard_gone = true;
	if (c->guard_gone) {
		c->queue_use = QUEUE_UNUSED;
		r = governed_guard(c, e);
		c->guard_gone = r < 0;
		c->forwarded.loaded = false;
	}
	/* In any case: what happened is not to be read once more. */
	if (are_others(c, &c->forward_watch, forwarded_verify) && c->forwarded.count > 0)
		c->forwarded.loaded = false;
	return r == 0 ? forwarded_process(c, e) : r;
}

int capture_process(struct capture *c, capture_on_event *on_event, void *context, struct error *e)
{
	bool complete = c->routes.complete;
	int r = 0;

	routes_process(&c->routes);
	if (c->routes.complete != complete)
		r = capture_write_settings(c, e);
	if (r == 0)
		r = renew_rules(c, e);
	c->on_event = on_event;
	c->context = context;
	ring_buffer__consume(c->ring);
	c->on_event = NULL;
	c->context = NULL;
	networks_tick(&c->networks);
	if (r == 0 && enrolment_is_due(c))
		r = enrolment_process(c, e);
	return r;
}
