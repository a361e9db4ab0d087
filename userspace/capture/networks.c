/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/networks.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "capture/network_rules.h"

/* How often processes are looked for: all of the host are looked at. */
#define LOOK_INTERVAL (2 * NANOSECONDS_PER_SECOND)
#define RETRY_AFTER NANOSECONDS_PER_SECOND

void networks_open(
	struct networks *ret, int map, int asked, int cgroup_fd, networks_tell *tell, void *context)
{
	uint64_t cookie;

	*ret = (struct networks){.map = map,
		.asked = asked,
		.cgroup_fd = cgroup_fd,
		.tell = tell,
		.context = context};
	while (bpf_map_get_next_key(map, NULL, &cookie) == 0 &&
		bpf_map_delete_elem(map, &cookie) == 0)
		;
}

/* Into the one that it is in, which takes the same right. */
bool networks_can_be_entered(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	bool can = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;

	if (fd >= 0)
		close(fd);
	return can;
}

static struct network *find(const struct networks *n, uint64_t cookie)
{
	for (size_t i = 0; i < n->count; i++) {
		if (n->items[i].cookie == cookie)
			return &n->items[i];
	}
	return NULL;
}

static bool is_full(const struct networks *n, uint32_t agent)
{
	unsigned own = 0;

	for (size_t i = 0; i < n->count; i++)
		own += n->items[i].agent == agent;
	return own >= LIMIT_NETWORKS_PER_AGENT || n->count >= STEER_NETWORKS_MOST;
}

/* The hooks first: from there on nobody is sent there, and nothing leaves. */
static void let_go(struct networks *n, struct network *w)
{
	bpf_map_delete_elem(n->map, &w->cookie);
	if (w->listener.count)
		n->tell(n->context, w->cookie, NULL);
	listener_close(&w->listener);
	network_rules_close(n, w);
	if (w->namespace_fd >= 0)
		close(w->namespace_fd);
	*w = n->items[--n->count];
}

/* A thread may be in another namespace than its process. */
static int open_namespace(const struct network_event *event, uint64_t *ret_id)
{
	struct stat namespace;
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%u/task/%u/ns/net", event->pid, event->thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &namespace) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_id = namespace.st_ino;
	return fd;
}

int networks_put(const struct networks *n, const struct network *w, uint32_t judged)
{
	const struct steer_network there = {.port = w->listener.port, .judged = judged};

	return bpf_map_update_elem(n->map, &w->cookie, &there, BPF_ANY) < 0 ? -errno : 0;
}

/* The workers have it before anybody is sent there. -ESTALE: the process has ended, or is in
 * another namespace by now. */
static int open_listener(
	struct networks *n, struct network *w, const struct network_event *event, struct error *e)
{
	struct listener_place place = {.cookie = event->network};
	int r;

	place.namespace_fd = open_namespace(event, &w->namespace_id);
	if (place.namespace_fd == -ENOENT || place.namespace_fd == -ESRCH)
		return -ESTALE;
	if (place.namespace_fd < 0)
		return error_set_errno(e, place.namespace_fd, "its process");
	r = listener_open_in(n->cgroup_fd, &place, n->port, &w->listener, e);
	if (r < 0) {
		close(place.namespace_fd);
		return r;
	}
	n->tell(n->context, w->cookie, w->listener.pairs);
	r = networks_put(n, w, 0);
	if (r == 0) {
		w->namespace_fd = place.namespace_fd;
		return 0;
	}
	error_set_errno(e, r, "the map of network namespaces");
	close(place.namespace_fd);
	n->tell(n->context, w->cookie, NULL);
	listener_close(&w->listener);
	return r;
}

static void complain(
	struct networks *n, const struct network_event *event, int r, const struct error *e)
{
	if (!n->failing)
		log_warning("no listener in the network namespace of pid %u, agent %08x: %s%s",
			event->pid, event->agent, e->text,
			r == -EPERM ? "; CAP_SYS_ADMIN is needed to enter it" : "");
	n->failing = true;
}

/* All of the agent's that have none. */
static void refuse_more(struct networks *n, const struct network_event *event)
{
	const struct network_asked full = {.refused_until = clock_monotonic() + RETRY_AFTER};
	struct error e;
	int r = error_set(&e, -ENOSPC, "at most %u of one agent have one, and %u of all",
		LIMIT_NETWORKS_PER_AGENT, STEER_NETWORKS_MOST);

	bpf_map_update_elem(n->asked, &event->agent, &full, BPF_EXIST);
	complain(n, event, r, &e);
}

/* Until it is asked for again, later. */
static void refuse(struct networks *n, struct network *w)
{
	static const struct steer_network none;

	bpf_map_update_elem(n->map, &w->cookie, &none, BPF_ANY);
	w->retry = clock_monotonic() + RETRY_AFTER;
}

static struct network *set(struct networks *n, const struct network *made)
{
	struct network *w = find(n, made->cookie);

	if (!w) {
		n->items = memory_resize_array(n->items, n->count + 1, sizeof(*n->items));
		w = &n->items[n->count++];
	}
	*w = *made;
	return w;
}

void networks_on_event(struct networks *n, const struct network_event *event)
{
	struct network *w = find(n, event->network);
	struct network made = {.cookie = event->network,
		.namespace_fd = -1,
		.agent = w ? w->agent : event->agent,
		.pid = event->pid,
		.thread = event->thread};
	struct error e;
	int r;

	if (!n->tell || (w && w->retry && clock_monotonic() < w->retry))
		return;
	if (w && !w->retry) {
		network_rules_on_event(n, w, event);
		return;
	}
	if (!w && is_full(n, event->agent)) {
		refuse_more(n, event);
		return;
	}
	r = open_listener(n, &made, event, &e);
	if (r == -ESTALE)
		return;
	if (r < 0) {
		complain(n, event, r, &e);
		refuse(n, &made);
	} else {
		n->failing = false;
	}
	w = set(n, &made);
	network_rules_on_event(n, w, event);
}

/* One that has ended, or ends, is in none. */
static bool is_of_process(int error)
{
	return error == ENOENT || error == ESRCH || error == EACCES;
}

/* Notes whose namespace it is that a thread is in. False: that can't be known. */
static bool look_at(struct networks *n, int proc, uint32_t pid, uint32_t thread)
{
	struct stat namespace;
	char path[64];

	snprintf(path, sizeof(path), "%u/task/%u/ns/net", pid, thread);
	if (fstatat(proc, path, &namespace, 0) < 0)
		return is_of_process(errno);
	for (size_t i = 0; i < n->count; i++) {
		struct network *w = &n->items[i];

		if (w->namespace_id != namespace.st_ino)
			continue;
		w->lived_in = true;
		w->pid = pid;
		w->thread = thread;
	}
	return true;
}

/* What look_each() calls for each number in a folder of /proc. */
typedef bool look_at_number(struct networks *n, int folder, uint32_t pid, uint32_t number);

static bool look_each(
	struct networks *n, int proc, const char *path, uint32_t pid, look_at_number *look)
{
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool known = true;

	if (!folder) {
		known = is_of_process(errno);
		if (fd >= 0)
			close(fd);
		return known;
	}
	while (known && (entry = readdir(folder))) {
		if (isdigit((unsigned char)entry->d_name[0]))
			known = look(n, proc, pid, (uint32_t)strtoul(entry->d_name, NULL, 10));
	}
	closedir(folder);
	return known;
}

static bool look_at_process(struct networks *n, int proc, uint32_t unused, uint32_t pid)
{
	(void)unused;
	return look_at(n, proc, pid, pid);
}

static bool look_at_threads(struct networks *n, int proc, uint32_t unused, uint32_t pid)
{
	char path[32];

	(void)unused;
	snprintf(path, sizeof(path), "%u/task", pid);
	return look_each(n, proc, path, pid, look_at);
}

static bool all_are_lived_in(const struct networks *n)
{
	for (size_t i = 0; i < n->count; i++) {
		if (!n->items[i].lived_in && !n->items[i].retry)
			return false;
	}
	return true;
}

/* Where somebody was the last time is looked at first, and threads, which are many, when no process
 * is there: each may be in another namespace than its process. False: nothing is known. */
static bool find_processes(struct networks *n)
{
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool known = proc >= 0;

	for (size_t i = 0; i < n->count; i++)
		n->items[i].lived_in = false;
	for (size_t i = 0; known && i < n->count; i++)
		known = look_at(n, proc, n->items[i].pid, n->items[i].thread);
	if (known && !all_are_lived_in(n))
		known = look_each(n, proc, ".", 0, look_at_process);
	if (known && !all_are_lived_in(n))
		known = look_each(n, proc, ".", 0, look_at_threads);
	if (proc >= 0)
		close(proc);
	return known;
}

void networks_tick(struct networks *n)
{
	uint64_t now = clock_monotonic();
	bool known;

	network_rules_put_back(n);
	if (n->count == 0 || now < n->next_look)
		return;
	n->next_look = now + LOOK_INTERVAL;
	known = find_processes(n);
	for (size_t i = n->count; i-- > 0;) {
		struct network *w = &n->items[i];

		if (w->retry ? now >= w->retry : known && !w->lived_in)
			let_go(n, w);
	}
}

void networks_each(const struct networks *n, networks_tell *tell, void *context)
{
	for (size_t i = 0; i < n->count; i++) {
		if (n->items[i].listener.count)
			tell(context, n->items[i].cookie, n->items[i].listener.pairs);
	}
}

void networks_close(struct networks *n)
{
	while (n->count)
		let_go(n, &n->items[n->count - 1]);
	free(n->items);
	n->items = NULL;
	n->tell = NULL;
}
