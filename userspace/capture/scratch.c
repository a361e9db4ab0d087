/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/scratch.h"

#include <stdio.h>

#include "capture/state.h"

int scratch_open(struct capture *c, int *ret_fd, uint64_t *ret_cgroup, struct error *e)
{
	char path[CGROUP_PATH_SIZE];
	struct capture_agent agent = {.id = CAPTURE_SELFTEST_AGENT,
		.udp = UDP_DNS,
		.name = "self-test",
		.cgroup = path,
		.loopback = STEER_LOOPBACK_EGRESS};
	int r;

	snprintf(path, sizeof(path), "%s/selftest", c->folder);
	r = governed_set(c, &agent, e);
	if (r == 0)
		r = governed_guard(c, e);
	if (r < 0)
		return r;
	*ret_cgroup = governed_find(c, CAPTURE_SELFTEST_AGENT)->cgroup_id;
	return cgroup_open(&c->root, path, false, ret_fd, e);
}

void scratch_close(struct capture *c)
{
	struct governed *g = governed_find(c, CAPTURE_SELFTEST_AGENT);

	if (!g)
		return;
	g->configured = false;
	governed_release_empty(c);
	/* Rules for a cgroup that is gone do no harm until the next load. */
	(void)governed_guard(c, NULL);
}
