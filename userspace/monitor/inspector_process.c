/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "monitor/monitor.h"

#define PAUSE NANOSECONDS_PER_SECOND /* before another is started */
#define CHANNEL_BYTES (4 << 20) /* connections that begin at once */

/* A worker that was started anew has no such session. */
static void pass_on(struct inspector_process *p, struct slice message)
{
	struct inspector_answer head;
	struct monitor_worker *w;

	if (message.length < sizeof(head))
		return;
	memcpy(&head, message.data, sizeof(head));
	if (head.worker >= p->worker_count)
		return;
	w = &p->workers[head.worker];
	if (w->channel < 0 ||
		memcmp(&w->incarnation, &head.incarnation, sizeof(head.incarnation)) != 0)
		return;
	workers_tell(w, MESSAGE_FACTS,
		slice_from(message, offsetof(struct inspector_answer, facts)), -1);
}

static void on_answer(struct loop_source *source)
{
	struct inspector_process *p = source->context;
	uint8_t room[sizeof(struct inspector_answer) + INSPECTOR_TEXTS_MOST];
	ssize_t n = recv(p->channel, room, sizeof(room), MSG_DONTWAIT);

	if (n > 0)
		pass_on(p, slice_of(room, (size_t)n));
	else if (n == 0) /* SIGCHLD says the rest */
		loop_remove(p->loop, &p->source);
}

/* In the child. */
static void become_inspector(int channel)
{
	char argument[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fcntl(channel, F_SETFD, 0) < 0)
		_exit(EXIT_FAILURE);
	snprintf(argument, sizeof(argument), "%d", channel);
	execl("/proc/self/exe", "wayleaved: inspector", "--inspector", argument, (char *)NULL);
	_exit(EXIT_FAILURE);
}

static int start(struct inspector_process *p, struct error *e)
{
	int pair[2], size = CHANNEL_BYTES;

	p->started = clock_monotonic();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(e, -errno, "socketpair");
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	p->pid = fork();
	if (p->pid == 0)
		become_inspector(pair[1]);
	close(pair[1]);
	if (p->pid < 0) {
		p->pid = 0;
		close(pair[0]);
		return error_set_errno(e, -errno, "fork");
	}
	p->channel = pair[0];
	return loop_add(p->loop, &p->source, p->channel, on_answer, p);
}

static void forget(struct inspector_process *p)
{
	if (p->channel >= 0) {
		loop_remove(p->loop, &p->source);
		close(p->channel);
	}
	p->channel = -1;
	p->pid = 0;
}

int inspector_process_open(struct inspector_process *p, struct loop *loop,
	struct monitor_worker *workers, unsigned worker_count, struct error *e)
{
	*p = (struct inspector_process){
		.loop = loop, .workers = workers, .worker_count = worker_count, .channel = -1};
	return start(p, e);
}

/* One whose threads stand still ends when they can; it holds nothing that anybody waits for. */
void inspector_process_close(struct inspector_process *p)
{
	if (p->pid)
		kill(p->pid, SIGKILL);
	if (p->loop)
		forget(p);
}

void inspector_process_ask(struct inspector_process *p, const struct inspector_request *request)
{
	if (p->channel >= 0)
		send(p->channel, request, sizeof(*request), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void inspector_process_tick(struct inspector_process *p, uint64_t now)
{
	struct error e;

	if (p->loop && p->pid == 0 && now >= p->started + PAUSE && start(p, &e) < 0)
		log_error("processes can't be looked at: %s", e.text);
}

bool inspector_process_on_exit(struct inspector_process *p, pid_t pid, int status)
{
	if (p->pid == 0 || pid != p->pid)
		return false;
	forget(p);
	log_error("the inspector ended (%s %d)", WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return true;
}
