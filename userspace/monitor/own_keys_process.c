/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/own_keys.h"

struct own_keys_process {
	struct list link;
	uint32_t agent;
	pid_t pid;
	uint64_t deadline; /* monotonic */
};

void own_keys_open(struct own_keys_processes *p)
{
	list_init(&p->list);
	p->count = 0;
}

static size_t count_of(const struct own_keys_processes *p, uint32_t agent)
{
	size_t count = 0;

	list_for_each (position, &p->list)
		count += list_entry(position, struct own_keys_process, link)->agent == agent;
	return count;
}

/* In the child. */
static void become_own_keys(const struct own_keys_start *start)
{
	int fd = memfd_create("wayleave-own-keys", 0);
	char argument[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd < 0 || file_write_all(fd, slice_of(start, sizeof(*start))) < 0 ||
		lseek(fd, 0, SEEK_SET) < 0 || fcntl(start->signer, F_SETFD, 0) < 0)
		_exit(EXIT_FAILURE);
	snprintf(argument, sizeof(argument), "%d", fd);
	execl("/proc/self/exe", "wayleaved: own keys", "--own-keys", argument, (char *)NULL);
	_exit(EXIT_FAILURE);
}

int own_keys_begin(struct own_keys_processes *p, uint32_t agent, const struct own_keys_start *start,
	int *ret_fd, struct error *e)
{
	struct own_keys_start told = *start;
	struct own_keys_process *process;
	int pair[2];
	pid_t pid;

	if (p->count >= LIMIT_SSH_OWN_LOGINS ||
		count_of(p, agent) >= LIMIT_SSH_OWN_LOGINS_PER_AGENT)
		return error_set(e, -EAGAIN, "too many logins by agents' own keys are under way");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(e, -errno, "socketpair");
	told.signer = pair[1];
	pid = fork();
	if (pid == 0)
		become_own_keys(&told);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return error_set_errno(e, -errno, "fork");
	}
	process = memory_new(sizeof(*process));
	process->agent = agent;
	process->pid = pid;
	process->deadline =
		clock_monotonic() + 2 * LIMIT_STARTUP_TIME * NANOSECONDS_PER_MILLISECOND;
	list_append(&p->list, &process->link);
	p->count++;
	*ret_fd = pair[0];
	return 0;
}

static void forget(struct own_keys_processes *p, struct own_keys_process *process)
{
	list_remove(&process->link);
	free(process);
	p->count--;
}

bool own_keys_on_exit(struct own_keys_processes *p, pid_t pid, int status)
{
	list_for_each (position, &p->list) {
		struct own_keys_process *process =
			list_entry(position, struct own_keys_process, link);

		if (process->pid != pid)
			continue;
		/* An agent may end what has its user; that is its own login. */
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
			log_error("what reads agents' own keys called what it may not");
		forget(p, process);
		return true;
	}
	return false;
}

/* Each has an alarm of its own, which one that its agent stopped never comes to. */
void own_keys_tick(const struct own_keys_processes *p, uint64_t now)
{
	list_for_each (position, &p->list) {
		const struct own_keys_process *process =
			list_entry(position, struct own_keys_process, link);

		if (now >= process->deadline)
			kill(process->pid, SIGKILL);
	}
}

void own_keys_close(struct own_keys_processes *p)
{
	list_for_each_safe (position, &p->list) {
		struct own_keys_process *process =
			list_entry(position, struct own_keys_process, link);

		kill(process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
		forget(p, process);
	}
}
