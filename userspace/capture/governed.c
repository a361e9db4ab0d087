/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup_pattern.h"
#include "base/log.h"
#include "base/memory.h"
#include "capture/enrolment.h"
#include "capture/guard.h"
#include "capture/network_rules.h"
#include "capture/older.h"
#include "capture/state.h"

/* The folder of the pinned links: AGENT, or AGENT-CGROUP where the agent may have several. */
#define OWNER_SIZE (8 + 1 + 16 + 1)

static void set_owner(uint32_t id, bool wild, uint64_t cgroup_id, char ret[OWNER_SIZE])
{
	if (wild)
		snprintf(ret, OWNER_SIZE, "%08x-%016llx", id, (unsigned long long)cgroup_id);
	else
		snprintf(ret, OWNER_SIZE, "%08x", id);
}

struct governed *governed_find(struct capture *c, uint32_t id)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->governed[i].id == id && !c->governed[i].wild)
			return &c->governed[i];
	}
	return NULL;
}

struct governed *governed_find_wild(struct capture *c, uint32_t id, uint64_t cgroup_id)
{
	for (size_t i = 0; i < c->count; i++) {
		struct governed *g = &c->governed[i];

		if (g->id == id && g->wild && g->cgroup_id == cgroup_id)
			return g;
	}
	return NULL;
}

struct governed *governed_new(struct capture *c, uint32_t id, const char *cgroup)
{
	struct governed *g;

	c->governed = memory_resize_array(c->governed, c->count + 1, sizeof(*c->governed));
	g = &c->governed[c->count++];
	*g = (struct governed){.id = id, .cgroup = memory_copy_string(cgroup)};
	return g;
}

void governed_done(struct capture *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->governed[i].cgroup);
	free(c->governed);
	c->governed = NULL;
	c->count = 0;
}

static bool has_other(const struct capture *c, const struct governed *g)
{
	for (size_t i = 0; i < c->count; i++) {
		if (&c->governed[i] != g && c->governed[i].id == g->id)
			return true;
	}
	return false;
}

void governed_forget_counters(struct capture *c, uint32_t id)
{
	for (size_t i = 0; i < c->count; i++) {
		if (c->governed[i].id == id)
			return;
	}
	bpf_map_delete_elem(c->programs.maps[PROGRAMS_AGENTS], &id);
}

static void release(struct capture *c, struct governed *g)
{
	char owner[OWNER_SIZE];

	set_owner(g->id, g->wild, g->cgroup_id, owner);
	programs_detach(&c->programs, owner);
	if (!has_other(c, g)) {
		bpf_map_delete_elem(c->programs.maps[PROGRAMS_AGENTS], &g->id);
		bpf_map_delete_elem(c->programs.maps[PROGRAMS_ASKED], &g->id);
	}
	cgroup_remove(&c->root, g->cgroup);
	free(g->cgroup);
	*g = c->governed[--c->count];
}

static int check_one(
	struct capture *c, const struct capture_agent *a, const char *own_cgroup, struct error *e)
{
	const struct governed *g = governed_find(c, a->id);
	bool populated = false;
	int fd;

	if (a->id == 0 || a->id == CAPTURE_SELFTEST_AGENT)
		return error_set(e, -EINVAL, "agent %s: its id %u is not usable", a->name, a->id);
	if (!cgroup_path_is_valid(a->cgroup))
		return error_set(
			e, -EINVAL, "agent %s: \"%s\" is no path of a cgroup", a->name, a->cgroup);
	if (strlen(a->cgroup) + 1 >= ENROL_TEXT_MOST)
		return error_set(e, -ENAMETOOLONG, "agent %s: its cgroup's path is longer than %d",
			a->name, ENROL_TEXT_MOST - 2);
	if (cgroup_pattern_may_nest(a->cgroup, c->folder))
		return error_set(e, -EINVAL, "agent %s: the cgroup %s is wayleave's own", a->name,
			a->cgroup);
	if (cgroup_pattern_find(a->cgroup, own_cgroup) > 0)
		return error_set(e, -EINVAL, "agent %s: this daemon runs in its cgroup, %s",
			a->name, a->cgroup);
	/* The hooks can't be in both places. */
	if (!g || cgroup_pattern_is_wild(a->cgroup) || strcmp(g->cgroup, a->cgroup) == 0)
		return 0;
	if (cgroup_open(&c->root, g->cgroup, false, &fd, NULL) == 0) {
		if (cgroup_is_populated(fd, &populated) < 0)
			populated = true;
		close(fd);
	}
	if (populated)
		return error_set(e, -EBUSY,
			"agent %s: still has processes in its former cgroup, %s", a->name,
			g->cgroup);
	return 0;
}

/* With nested cgroups both agents' hooks would run for one connection. */
static int check_pair(const struct capture_agent *a, const struct capture_agent *b, struct error *e)
{
	if (a->id == b->id)
		return error_set(e, -EINVAL, "agents %s and %s have the same id", a->name, b->name);
	if (cgroup_pattern_may_nest(a->cgroup, b->cgroup))
		return error_set(e, -EINVAL, "agents %s and %s: one's cgroup is inside the other's",
			a->name, b->name);
	return 0;
}

int governed_check(
	struct capture *c, const struct capture_agent *agents, size_t count, struct error *e)
{
	char own_cgroup[CGROUP_PATH_SIZE];
	int r = cgroup_of_process(getpid(), own_cgroup, sizeof(own_cgroup));

	if (r == -ENODATA)
		own_cgroup[0] = '\0';
	else if (r < 0)
		return error_set_errno(e, r, "this daemon's cgroup");
	if (count > STEER_AGENTS_MOST / 2)
		return error_set(e, -E2BIG, "%zu agents, at most %d", count, STEER_AGENTS_MOST / 2);
	for (size_t i = 0; i < count; i++) {
		r = check_one(c, &agents[i], own_cgroup, e);
		for (size_t j = 0; r == 0 && j < i; j++)
			r = check_pair(&agents[i], &agents[j], e);
		if (r < 0)
			return r;
	}
	return 0;
}

int governed_ensure_counters(struct capture *c, uint32_t id)
{
	static const struct steer_agent zero;
	static const struct network_asked nothing;
	const int *maps = c->programs.maps;

	if ((bpf_map_update_elem(maps[PROGRAMS_AGENTS], &id, &zero, BPF_NOEXIST) < 0 &&
		    errno != EEXIST) ||
		(bpf_map_update_elem(maps[PROGRAMS_ASKED], &id, &nothing, BPF_NOEXIST) < 0 &&
			errno != EEXIST))
		return -errno;
	return 0;
}

/* Until the last step the hooks refuse everything. */
static int attach(struct capture *c, const struct capture_agent *a, bool wild, int fd,
	uint64_t cgroup_id, struct error *e)
{
	struct steer_attachment attachment = {
		.agent = a->id,
		.loopback = a->loopback,
		.quota = c->quota,
		.echo = a->udp == UDP_POLICY,
		.listen = a->listen,
	};
	char owner[OWNER_SIZE];
	int r;

	set_owner(a->id, wild, cgroup_id, owner);
	r = governed_ensure_counters(c, a->id);
	if (r < 0)
		return error_set_errno(e, r, "agent %s: its counters", a->name);
	r = programs_attach(&c->programs, PROGRAMS_AGENT, owner, fd, e);
	if (r < 0)
		return r;
	if (bpf_map_update_elem(
		    c->programs.maps[PROGRAMS_ATTACHMENTS], &cgroup_id, &attachment, BPF_ANY) < 0)
		return error_set_errno(e, -errno, "agent %s: its settings", a->name);
	return 0;
}

static void moved(struct capture *c, struct governed *g, const char *path)
{
	if (strcmp(g->cgroup, path) == 0)
		return;
	cgroup_remove(&c->root, g->cgroup);
	free(g->cgroup);
	g->cgroup = memory_copy_string(path);
}

int governed_put(
	struct capture *c, const struct capture_agent *a, const char *path, struct error *e)
{
	bool wild = cgroup_pattern_is_wild(a->cgroup);
	struct governed *g;
	uint64_t id;
	int fd, r;

	/* What wildcards stand for, others make. */
	r = cgroup_open(&c->root, path, !wild, &fd, e);
	if (r < 0)
		return r;
	r = cgroup_get_id(fd, &id);
	if (r < 0)
		error_set_errno(e, r, "cgroup %s", path);
	else
		r = attach(c, a, wild, fd, id, e);
	close(fd);
	if (r < 0)
		return r;
	g = wild ? governed_find_wild(c, a->id, id) : governed_find(c, a->id);
	if (!g)
		g = governed_new(c, a->id, path);
	/* No socket was made in one that is awaited: looking for some goes through all threads of
	 * the host. */
	g->fresh |= g->cgroup_id != id && !enrolment_awaits(c, id);
	moved(c, g, path);
	g->cgroup_id = id;
	g->wild = wild;
	g->loopback = a->loopback;
	g->listen = a->listen;
	g->udp = a->udp;
	g->bandwidth = a->bandwidth;
	g->configured = true;
	return 0;
}

int governed_set(struct capture *c, const struct capture_agent *a, struct error *e)
{
	return cgroup_pattern_is_wild(a->cgroup) ? enrolment_find(c, a, e)
						 : governed_put(c, a, a->cgroup, e);
}

/* Whether it is still the cgroup that the hooks are on, with somebody in it, or nobody knows. */
static bool is_in_use(struct capture *c, const struct governed *g)
{
	char path[CGROUP_PATH_SIZE];
	bool populated;
	int fd, r = cgroup_open_id(&c->root, g->cgroup_id, &fd, path);

	if (r < 0)
		return r != -ESTALE;
	if (cgroup_is_populated(fd, &populated) < 0)
		populated = true;
	close(fd);
	return populated;
}

void governed_release_empty(struct capture *c)
{
	for (size_t i = c->count; i-- > 0;) {
		if (!c->governed[i].configured && !is_in_use(c, &c->governed[i]))
			release(c, &c->governed[i]);
	}
}

/* What can't be looked for is taken to be there. */
static bool is_there(const struct capture *c, const struct governed *g)
{
	char path[CGROUP_PATH_SIZE];
	int fd, r = cgroup_open_id(&c->root, g->cgroup_id, &fd, path);

	if (r == 0)
		close(fd);
	return r != -ESTALE;
}

/* A cgroup that is gone has nobody in it to guard against, and nft takes no path without one. */
void governed_fill_guard(struct capture *c, uint32_t agent, struct guard *ret)
{
	struct guard_agent *agents = memory_new_array(c->count + 1, sizeof(*agents));

	*ret = (struct guard){.instance = c->pins.instance,
		.cgroup_root = c->root.path,
		.port = (uint16_t)c->settings.port,
		.queue = c->queue_is_taken ? 0 : c->queue.number,
		.queue_is_native = c->queue_is_native,
		.limits_not = c->limits_not,
		.queue_is_taken = c->queue_is_taken,
		.generation = c->generation,
		.forwards_names = forwarded_watches(c),
		.forwards_flows = forwarded_judges(c),
		.agents = agents};
	for (size_t i = 0; i < c->count; i++) {
		const struct governed *g = &c->governed[i];

		if ((!agent || g->id == agent) && is_there(c, g))
			agents[ret->count++] = (struct guard_agent){
				g->cgroup, g->listen, g->udp, g->id, g->bandwidth};
	}
}

/* Without the rule that fills the queue, datagrams go where they go without a queue. */
static void rule_queue(struct capture *c, struct guard *guard)
{
	bool was_taken = c->queue_is_taken;
	unsigned use = QUEUE_UNUSED;
	struct error e;

	guard->queue = c->queue.number;
	if (guard_watches(guard))
		use = guard_judges(guard) ? QUEUE_FOR_FLOWS : QUEUE_FOR_NAMES;
	if (guard->queue && (guard->forwards_names || guard->forwards_flows))
		use |= QUEUE_FOR_FORWARDED;
	c->queue_is_taken =
		use != QUEUE_UNUSED && c->queue_use != use && guard_make_queue(guard, &e) < 0;
	c->queue_use = c->queue_is_taken ? QUEUE_UNUSED : use;
	if (c->queue_is_taken && !was_taken)
		log_warning("%s; UDP can't be judged, and goes to resolvers alone", e.text);
	if (!c->queue_is_taken && was_taken)
		log_info("UDP is judged again");
	guard->queue_is_taken = c->queue_is_taken;
	if (c->queue_is_taken)
		guard->queue = 0;
}

int governed_guard(struct capture *c, struct error *e)
{
	struct guard guard;
	int r;

	governed_fill_guard(c, 0, &guard);
	rule_queue(c, &guard);
	c->resolvers_version = resolvers_version();
	resolvers_read(&guard.resolvers);
	dropped_note(c);
	r = guard_apply(&guard, e);
	if (r < 0)
		c->queue_use = QUEUE_UNUSED;
	else
		dropped_begin_anew(c, DROPPED_RULES);
	if (r == 0)
		r = guard_take_shape(&guard, &c->watch, &c->guard_shape, e);
	free((void *)guard.agents);
	network_rules_reload(&c->networks);
	return r;
}

int governed_check_guard(struct capture *c, struct error *e)
{
	struct guard guard;
	int r;

	governed_fill_guard(c, 0, &guard);
	r = guard_check(&guard, c->guard_shape, e);
	free((void *)guard.agents);
	return r;
}

int governed_verify(struct capture *c, struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++) {
		const struct governed *g = &c->governed[i];
		const char *missing = NULL;
		char owner[OWNER_SIZE];

		set_owner(g->id, g->wild, g->cgroup_id, owner);
		if (is_there(c, g))
			missing =
				programs_missing(&c->programs, PROGRAMS_AGENT, owner, g->cgroup_id);
		if (missing)
			r = error_set(e, -ESTALE, "a hook of cgroup %s was taken away: %s",
				g->cgroup, missing);
	}
	return r < 0 ? r : governed_check_guard(c, e);
}

int governed_renew(struct capture *c, struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->count; i++) {
		const struct governed g = c->governed[i];
		const struct capture_agent *a = enrolment_agent(c, g.cgroup);

		if (g.configured && a && is_there(c, &g))
			r = governed_put(c, a, g.cgroup, e);
	}
	c->queue_use = QUEUE_UNUSED;
	return r == 0 ? governed_guard(c, e) : r;
}

int governed_abort_older(struct capture *c, struct error *e)
{
	const char **cgroups = memory_new_array(c->count + 1, sizeof(*cgroups));
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < c->count; i++) {
		if (c->governed[i].fresh)
			cgroups[count++] = c->governed[i].cgroup;
	}
	if (count)
		r = older_abort(&c->root, cgroups, count, e);
	for (size_t i = 0; r == 0 && i < c->count; i++)
		c->governed[i].fresh = false;
	free(cgroups);
	return r;
}

int governed_refresh(struct capture *c, struct error *e)
{
	int r;

	for (size_t i = 0; i < c->count; i++) {
		if (c->governed[i].wild && !is_there(c, &c->governed[i]))
			c->governed[i].configured = false;
	}
	governed_release_empty(c);
	r = governed_guard(c, e);
	return r < 0 ? r : governed_abort_older(c, e);
}
