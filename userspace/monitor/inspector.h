/* SPDX-License-Identifier: Apache-2.0
 *
 * inspector: the process that reads, for the monitor, what /proc says of agents' processes. What it
 * reads lies in memory and in files of theirs, which may let it wait for as long as they like: so
 * it is none of the monitor's threads, has few capabilities, and reads several at once, but not
 * many of one agent.
 */
#ifndef WAYLEAVE_MONITOR_INSPECTOR_H
#define WAYLEAVE_MONITOR_INSPECTOR_H

#include "capture/cgroup.h"
#include "monitor/messages.h"

/* monitor → inspector, over a SOCK_SEQPACKET socketpair. */
struct inspector_request {
	uint32_t worker; /* who is to be told */
	uint32_t unused;
	struct identifier incarnation;
	struct message_inspect asked;
	char cgroup[CGROUP_PATH_SIZE]; /* the agent's, a pattern; empty: there is no such agent */
};

/* inspector → monitor, then arguments and parents. One that can't be read now has one that says
 * that nothing is known. */
struct inspector_answer {
	uint32_t worker;
	uint32_t unused;
	struct identifier incarnation;
	struct message_facts facts;
};

#define INSPECTOR_TEXTS_MOST (LIMIT_PROCESS_ARGUMENTS + (LIMIT_PROCESS_PARENTS + 1) * 300u)

/* `fd`: its end. Returns, with an exit status, when the monitor is gone. */
int inspector_main(int fd);

#endif
