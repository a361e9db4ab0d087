/* SPDX-License-Identifier: Apache-2.0
 *
 * enrolment: agents' cgroups that appear while the daemon runs, or while it doesn't. The programs
 * of bpf/enrol.bpf.c note each that a configured path matches, and refuse sockets in it, until
 * enrolment_process() has put the hooks and rules there. For the files of this folder alone.
 */
#ifndef WAYLEAVE_CAPTURE_ENROLMENT_H
#define WAYLEAVE_CAPTURE_ENROLMENT_H

#include "capture/capture.h"

/* Attaches the programs to the root of all cgroups; an earlier daemon's stay until then. */
int enrolment_open(struct capture *c, struct error *e);
/* Whether they are still there. */
int enrolment_verify(struct capture *c, struct error *e);
/* Attaches them anew; all cgroups are looked at again, soon. */
int enrolment_renew(struct capture *c, struct error *e);
void enrolment_close(struct capture *c);
/* Makes these the agents whose cgroups are waited for; copies them. */
int enrolment_set(
	struct capture *c, const struct capture_agent *agents, size_t count, struct error *e);
/* Governs the cgroups of an agent with wildcards that are there already. */
int enrolment_find(struct capture *c, const struct capture_agent *agent, struct error *e);
/* Whether sockets are refused in the cgroup with that id, and were ever since it was made. */
bool enrolment_awaits(const struct capture *c, uint64_t id);
bool enrolment_is_due(const struct capture *c);
/* Governs what is awaited. After an error it stays awaited. */
int enrolment_process(struct capture *c, struct error *e);
/* The agent whose cgroup has, or will have, this path in it; NULL. */
const struct capture_agent *enrolment_agent(const struct capture *c, const char *path);

#endif
