/* SPDX-License-Identifier: Apache-2.0
 *
 * `worker_limits`: what all processes together may have that read what agents and servers send. A
 * worker that was made to take more ends, and is started again; the host does not run out of it.
 *
 * They are in a cgroup of their own inside of the daemon's, which is divided only where whoever
 * manages cgroups has left it to the daemon, as systemd does with Delegate=: it marks it so. In it
 * no process may be left beside those inside, so the monitor goes to one of its own, too.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "monitor/monitor.h"

/* Of the host's memory, where the configuration says nothing: half of it. */
#define MEMORY_PART 2
#define OWN "monitor"
#define THEIRS "workers"

/* systemd.resource-control(5); the second is for managers of users. */
static bool is_delegated(int cgroup)
{
	static const char *const marks[] = {"trusted.delegate", "user.delegate"};
	char value;

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (fgetxattr(cgroup, marks[i], &value, 1) == 1 && value == '1')
			return true;
	}
	return false;
}

static int open_inner(const struct cgroup_root *root, const char *own, const char *name, int *ret,
	struct error *e)
{
	char *path = memory_format("%s/%s", own, name);
	int r = cgroup_open(root, path, true, ret, e);

	free(path);
	return r;
}

static int divide(
	struct worker_limits *l, const struct cgroup_root *root, const char *own, struct error *e)
{
	int monitor, r = open_inner(root, own, OWN, &monitor, e);

	if (r < 0)
		return r;
	r = cgroup_enter(monitor);
	close(monitor);
	if (r < 0)
		return error_set_errno(e, r, "cgroup %s/" OWN, own);
	return open_inner(root, own, THEIRS, &l->cgroup, e);
}

static int find_cgroup(struct worker_limits *l, struct error *e)
{
	char own[CGROUP_PATH_SIZE];
	struct cgroup_root root;
	int r = cgroup_root_open(&root, e);

	if (r < 0)
		return r;
	r = cgroup_of_process(getpid(), own, sizeof(own));
	if (r == 0 && own[0] && cgroup_open(&root, own, false, &l->outer, e) == 0 &&
		is_delegated(l->outer))
		r = divide(l, &root, own, e);
	cgroup_root_close(&root);
	return r == -ENODATA ? 0 : r;
}

void worker_limits_open(struct worker_limits *l)
{
	struct error e = {""};

	*l = (struct worker_limits){.cgroup = -1, .outer = -1};
	if (find_cgroup(l, &e) < 0)
		log_error("worker_limits: %s", e.text);
	else if (l->cgroup < 0)
		log_info("worker_limits: not set, since this daemon's cgroup is not left to it to "
			 "divide (Delegate= of a unit)");
}

void worker_limits_close(struct worker_limits *l)
{
	if (l->cgroup >= 0)
		close(l->cgroup);
	if (l->outer >= 0)
		close(l->outer);
}

void worker_limits_enter(const struct worker_limits *l, const char *who)
{
	int r = l->cgroup >= 0 ? cgroup_enter(l->cgroup) : 0;

	if (r < 0)
		log_error("%s can't enter its cgroup, and is not limited: %s", who, strerror(-r));
}

static struct cgroup_limits configured(const struct config *c)
{
	const struct config_worker_limits *given =
		c->worker_limits ? c->worker_limits : &config_default_worker_limits;
	struct cgroup_limits limits = {.memory = given->memory.value, .tasks = given->tasks.value};

	if (limits.memory == 0)
		limits.memory = (uint64_t)sysconf(_SC_PHYS_PAGES) *
			(uint64_t)sysconf(_SC_PAGESIZE) / MEMORY_PART;
	return limits;
}

/* The controllers that cgroup2 does not have there; NULL: it has them. */
static const char *missing(const struct worker_limits *l)
{
	static const char *const texts[] = {NULL, "memory", "pids", "memory, pids"};

	return texts[l->missing];
}

void worker_limits_apply(struct worker_limits *l, const struct config *c)
{
	unsigned before = l->missing;

	l->set = false;
	l->limits = configured(c);
	if (l->cgroup < 0)
		return;
	if (cgroup_limits_set(l->outer, l->cgroup, &l->limits, &l->missing, &l->failure) < 0) {
		log_error("worker_limits: %s", l->failure.text);
		return;
	}
	l->set = true;
	if (l->missing && l->missing != before)
		log_info("worker_limits: cgroup2 has no controller %s here, so that is not limited",
			missing(l));
}

void worker_limits_describe(const struct worker_limits *l, cJSON *object)
{
	cJSON *item = cJSON_AddObjectToObject(object, "worker_limits");
	char text[sizeof(l->failure.text) + 64];

	if (l->cgroup < 0) {
		cJSON_AddStringToObject(item, "problem",
			"the daemon's cgroup is not left to it to divide (Delegate= of a unit), so "
			"nothing is limited");
		return;
	}
	if (!l->set) {
		snprintf(text, sizeof(text), "not all could be set: %s", l->failure.text);
		cJSON_AddStringToObject(item, "problem", text);
		return;
	}
	if (!(l->missing & CGROUP_MEMORY))
		cJSON_AddNumberToObject(item, "memory", (double)l->limits.memory);
	if (!(l->missing & CGROUP_PIDS))
		cJSON_AddNumberToObject(item, "tasks", (double)l->limits.tasks);
	if (missing(l))
		cJSON_AddStringToObject(item, "missing", missing(l));
}
