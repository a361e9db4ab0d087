/* SPDX-License-Identifier: Apache-2.0
 *
 * start_agent: what the launcher is told when somebody runs a command inside an agent: who may, as
 * whom, and what it must not see.
 */
#ifndef WAYLEAVE_MONITOR_START_AGENT_H
#define WAYLEAVE_MONITOR_START_AGENT_H

#include "monitor/monitor.h"

/* Appends the plan (run_plan.h) for a caller with that user id. Negative errno with the sentence
 * that the caller reads: -EINVAL for a usage error, -EPERM, -ENOENT. */
int start_agent(
	struct monitor *m, uid_t caller, struct slice request, struct buffer *ret, struct error *e);

/* The same for the launcher of a unit's command, as root and inside of the agent with that id. */
int start_unit(struct monitor *m, uint32_t agent, struct slice request, struct buffer *ret,
	struct error *e);

#endif
