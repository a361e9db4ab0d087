/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/enrolment.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cgroup_pattern.h"
#include "base/memory.h"
#include "capture/state.h"

#define OWNER "host"
#define AT_ONCE 1024 /* of the awaited; more in the next round */

static int attach(struct capture *c, struct error *e)
{
	int r = programs_attach(&c->programs, PROGRAMS_HOST, OWNER, c->root.fd, e);

	return r < 0 ? r : programs_trace(&c->programs, OWNER, e);
}

int enrolment_open(struct capture *c, struct error *e)
{
	int fd = c->programs.maps[PROGRAMS_ENROLMENT];
	void *state = mmap(NULL, sizeof(*c->enrolment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (state == MAP_FAILED)
		return error_set_errno(e, -errno, "the enrolment's map");
	c->enrolment = state;
	return attach(c, e);
}

int enrolment_verify(struct capture *c, struct error *e)
{
	const char *missing;
	uint64_t root;
	int r = cgroup_get_id(c->root.fd, &root);

	if (r < 0)
		return error_set_errno(e, r, "the root of all cgroups");
	missing = programs_missing(&c->programs, PROGRAMS_HOST, OWNER, root);
	if (!missing)
		missing = programs_missing(&c->programs, PROGRAMS_TRACE, OWNER, 0);
	return missing
		? error_set(e, -ESTALE, "a hook that sees new cgroups was taken away: %s", missing)
		: 0;
}

int enrolment_renew(struct capture *c, struct error *e)
{
	/* What came meanwhile nobody has seen: whatever there is is looked at. */
	__atomic_fetch_add(&c->enrolment->lost, 1, __ATOMIC_ACQ_REL);
	return attach(c, e);
}

static void free_agents(struct capture *c)
{
	for (size_t i = 0; i < c->agent_count; i++) {
		free((char *)c->agents[i].name);
		free((char *)c->agents[i].cgroup);
	}
	free(c->agents);
	c->agents = NULL;
	c->agent_count = 0;
}

void enrolment_close(struct capture *c)
{
	free_agents(c);
	if (c->enrolment)
		munmap(c->enrolment, sizeof(*c->enrolment));
	c->enrolment = NULL;
}

int enrolment_set(
	struct capture *c, const struct capture_agent *agents, size_t count, struct error *e)
{
	struct enrol_pattern pattern;

	for (uint32_t i = 0; i < count; i++) {
		memset(&pattern, 0, sizeof(pattern));
		snprintf(pattern.text, sizeof(pattern.text), "/%s", agents[i].cgroup);
		if (bpf_map_update_elem(
			    c->programs.maps[PROGRAMS_PATTERNS], &i, &pattern, BPF_ANY) < 0)
			return error_set_errno(e, -errno, "the paths of agents' cgroups");
	}
	__atomic_store_n(&c->enrolment->patterns, (uint32_t)count, __ATOMIC_RELEASE);
	free_agents(c);
	c->agents = memory_new_array(count + 1, sizeof(*c->agents));
	for (; c->agent_count < count; c->agent_count++) {
		struct capture_agent *copy = &c->agents[c->agent_count];

		*copy = agents[c->agent_count];
		copy->name = memory_copy_string(copy->name);
		copy->cgroup = memory_copy_string(copy->cgroup);
	}
	return 0;
}

/* As glob(3) wants it, where more than `*` is special. */
static char *glob_text(const struct capture *c, const char *pattern)
{
	char *text = memory_new_array(strlen(c->root.path) + 2 * strlen(pattern) + 2, 1), *out;

	out = text + sprintf(text, "%s/", c->root.path);
	for (; *pattern; pattern++) {
		if (*pattern == '?' || *pattern == '[')
			*out++ = '\\';
		*out++ = *pattern;
	}
	*out = '\0';
	return text;
}

int enrolment_find(struct capture *c, const struct capture_agent *agent, struct error *e)
{
	char *text = glob_text(c, agent->cgroup);
	size_t skip = strlen(c->root.path) + 1;
	glob_t found;
	int r = glob(text, GLOB_ONLYDIR | GLOB_NOSORT | GLOB_PERIOD, NULL, &found);

	free(text);
	if (r == GLOB_NOMATCH)
		return 0;
	if (r != 0)
		return error_set(e, -EIO, "agent %s: its cgroups can't be listed", agent->name);
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
		const char *path = found.gl_pathv[i] + skip;

		if (!cgroup_path_is_valid(path))
			continue;
		r = governed_put(c, agent, path, e);
		/* It was removed meanwhile. */
		if (r == -ENOENT || r == -ENODEV)
			r = 0;
	}
	globfree(&found);
	return r;
}

bool enrolment_is_due(const struct capture *c)
{
	return __atomic_load_n(&c->enrolment->awaited, __ATOMIC_ACQUIRE) > 0 ||
		__atomic_load_n(&c->enrolment->lost, __ATOMIC_ACQUIRE) > 0;
}

const struct capture_agent *enrolment_agent(const struct capture *c, const char *path)
{
	for (size_t i = 0; i < c->agent_count; i++) {
		if (cgroup_pattern_find(c->agents[i].cgroup, path) > 0)
			return &c->agents[i];
	}
	return NULL;
}

/* Whoever deletes the entry counts it: that happens once. */
static void forget(struct capture *c, uint64_t id)
{
	if (bpf_map_delete_elem(c->programs.maps[PROGRAMS_AWAITED], &id) == 0)
		__atomic_fetch_sub(&c->enrolment->awaited, 1, __ATOMIC_ACQ_REL);
}

bool enrolment_awaits(const struct capture *c, uint64_t id)
{
	uint32_t value;

	return bpf_map_lookup_elem(c->programs.maps[PROGRAMS_AWAITED], &id, &value) == 0;
}

static size_t list_awaited(const struct capture *c, uint64_t *ret, size_t room)
{
	int map = c->programs.maps[PROGRAMS_AWAITED];
	uint64_t *before = NULL;
	size_t count = 0;

	while (count < room && bpf_map_get_next_key(map, before, &ret[count]) == 0)
		before = &ret[count++];
	return count;
}

/* What no path matches is nobody's: the configuration has changed, or the comparison in the kernel
 * was left undone. */
static int enrol(struct capture *c, uint64_t id, struct error *e)
{
	const struct capture_agent *agent;
	char path[CGROUP_PATH_SIZE];
	int fd, r = cgroup_open_id(&c->root, id, &fd, path);

	/* No agent's own has a path as long as that. */
	if (r == -ESTALE || r == -ENAMETOOLONG)
		return 0;
	if (r < 0)
		return error_set_errno(e, r, "a cgroup that is new");
	close(fd);
	agent = enrolment_agent(c, path);
	return agent && cgroup_pattern_matches(agent->cgroup, path)
		? governed_put(c, agent, path, e)
		: 0;
}

/* Which those are for which there was no room nobody knows: whatever there is is looked at. */
static int find_lost(struct capture *c, struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->agent_count; i++)
		r = governed_set(c, &c->agents[i], e);
	return r;
}

int enrolment_process(struct capture *c, struct error *e)
{
	uint32_t lost = __atomic_load_n(&c->enrolment->lost, __ATOMIC_ACQUIRE);
	uint64_t *ids = memory_new_array(AT_ONCE, sizeof(*ids));
	size_t count = list_awaited(c, ids, AT_ONCE);
	int r = lost ? find_lost(c, e) : 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = enrol(c, ids[i], e);
	if (r == 0)
		r = governed_refresh(c, e);
	/* Sockets from now on, since hooks and rules are there. */
	for (size_t i = 0; r == 0 && i < count; i++)
		forget(c, ids[i]);
	if (r == 0 && lost)
		__atomic_fetch_sub(&c->enrolment->lost, lost, __ATOMIC_ACQ_REL);
	free(ids);
	return r;
}
