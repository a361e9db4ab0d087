/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_process: the host's SSH keys, and wayleave-ssh (ssh/messages.h) as the monitor keeps it:
 * there where a resource speaks SSH, started again when it dies. Sessions that it began live on
 * without it.
 */
#ifndef WAYLEAVE_MONITOR_SSH_PROCESS_H
#define WAYLEAVE_MONITOR_SSH_PROCESS_H

#include "base/buffer.h"
#include "base/error.h"
#include "monitor/loop.h"
#include "monitor/worker_limits.h"
#include "ssh/messages.h"

struct ssh_process {
	struct buffer keys[SSH_HOST_KEYS]; /* in PEM */
	struct buffer lines; /* their public halves: "TYPE BASE64\n" each */
	pid_t pid; /* 0: not running */
	int channel; /* -1: none */
	uint64_t started; /* monotonic */
	bool wanted;
	const struct worker_limits *limits; /* whose cgroup it is to enter; NULL: none */
};

void ssh_process_init(struct ssh_process *p);
/* The host keys of the state folder, made where they are not there. */
int ssh_process_open(struct ssh_process *p, const char *state_dir, struct error *e);
void ssh_process_close(struct ssh_process *p);
/* From now on one runs, or none. */
void ssh_process_want(struct ssh_process *p, bool wanted, uid_t uid, gid_t gid);
/* Whether the process was it. */
bool ssh_process_on_exit(struct ssh_process *p, pid_t pid, int status);
void ssh_process_tick(struct ssh_process *p, uint64_t now, uid_t uid, gid_t gid);
/* Begins a session with these texts (by enum ssh_text) and descriptors (by enum ssh_descriptor; -1:
 * none), which stay the caller's. */
int ssh_process_session(struct ssh_process *p, const struct slice *texts, const int *fds);

#endif
