/* SPDX-License-Identifier: Apache-2.0
 *
 * workers: started by fork and exec, so that nothing of the monitor's memory (keys) is in theirs;
 * what they need to begin with they read from a descriptor. One that dies is started again, its
 * listening sockets waiting meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/landlock.h"
#include "base/log.h"
#include "capture/queue.h"
#include "monitor/authority.h"
#include "monitor/monitor.h"

/* One decision may release a thousand waits at once, before the worker reads the first. */
#define CHANNEL_BYTES (16 << 20)
#define BACKOFF_FIRST (NANOSECONDS_PER_SECOND / 4)
#define BACKOFF_MOST (30 * NANOSECONDS_PER_SECOND)
#define HEALTHY_AFTER (60 * NANOSECONDS_PER_SECOND) /* then the backoff begins anew */

/* --- telling them --- */

bool workers_tell(struct monitor_worker *w, enum message_type type, struct slice payload, int fd)
{
	struct control_header header = {.type = type};
	int r;

	if (w->channel < 0)
		return false;
	r = control_send(w->channel, &header, payload, &fd, fd >= 0);
	/* A worker that does not read its messages is as good as dead. */
	if (r == -EAGAIN) {
		log_error("worker %u does not read its messages; killing it", w->index);
		kill(w->pid, SIGKILL);
	}
	return r == 0;
}

int workers_tell_all(struct monitor *m, enum message_type type, struct slice payload)
{
	int told = 0;

	for (unsigned i = 0; i < m->worker_count; i++)
		told += workers_tell(&m->workers[i], type, payload, -1);
	return told;
}

void workers_send_policy(struct monitor *m, struct monitor_worker *w)
{
	workers_tell(w, MESSAGE_POLICY, SLICE_EMPTY, m->policy_fd);
}

static void send_network(void *context, uint64_t network, const struct listener_pair *listener)
{
	const struct message_network message = {.network = network};
	struct slice payload = slice_of(&message, sizeof(message));
	struct monitor_worker *w = context;

	if (!listener) {
		workers_tell(w, MESSAGE_UNLISTEN, payload, -1);
		return;
	}
	workers_tell(w, MESSAGE_LISTEN, payload, listener->v4);
	if (listener->v6 != LISTENER_NO_SOCKET)
		workers_tell(w, MESSAGE_LISTEN, payload, listener->v6);
}

void workers_on_network(void *monitor, uint64_t network, const struct listener_pair *listener)
{
	struct monitor *m = monitor;

	for (unsigned i = 0; i < m->worker_count; i++)
		send_network(&m->workers[i], network, listener);
}

static void send_queue(void *context, uint64_t network, const struct queue *queue)
{
	const struct message_network message = {.network = network};
	struct slice payload = slice_of(&message, sizeof(message));
	struct monitor_worker *w = context;

	workers_tell(w, MESSAGE_PACKETS, payload, queue ? queue_descriptor(queue) : -1);
	if (queue)
		workers_tell(w, MESSAGE_VERDICTS, payload, queue->verdicts);
}

/* One worker has all flows. */
void workers_on_queue(void *monitor, uint64_t network, const struct queue *queue)
{
	struct monitor *m = monitor;

	if (m->worker_count)
		send_queue(&m->workers[0], network, queue);
}

/* --- hearing from them --- */

/* One message; false: there is none. */
static bool receive(struct monitor_worker *w)
{
	struct control_header header;
	struct buffer payload;
	int fds[CONTROL_DESCRIPTORS_MOST], r;
	size_t count = 0;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(w->channel, &header, &payload, fds, &count);
	if (r == 0 || r == -EMFILE) {
		int none = r == 0 ? REQUESTS_NO_DESCRIPTOR : REQUESTS_LOST_DESCRIPTOR;

		requests_handle(w, header.type, buffer_slice(&payload), count ? fds[0] : none);
		r = 0;
	} else if (r != -EAGAIN) {
		/* Its end is closed: SIGCHLD says the rest. */
		loop_remove(&w->monitor->loop, &w->source);
		close(w->channel);
		w->channel = -1;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	buffer_done(&payload);
	return r == 0;
}

static void on_message(struct loop_source *source)
{
	receive(source->context);
}

/* --- starting --- */

/* What the worker begins with, in a descriptor that it inherits. */
static int start_descriptor(const struct worker_start *start)
{
	int fd = memfd_create("wayleave-worker", 0);

	if (fd < 0)
		return -errno;
	if (file_write_all(fd, slice_of(start, sizeof(*start))) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static int keep_open(int fd)
{
	return fd < 0 ? 0 : fcntl(fd, F_SETFD, 0);
}

/* In the child. */
static void become_worker(struct monitor *m, struct worker_start *start)
{
	char argument[16];
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	worker_limits_enter(&m->limits, "a worker");
	fd = start_descriptor(start);
	if (fd < 0 || keep_open(start->channel) < 0 || keep_open(m->epochs_fd) < 0 ||
		keep_open(m->grants_fd) < 0 || keep_open(m->pinned_fd) < 0 ||
		keep_open(m->shares_fd) < 0)
		_exit(EXIT_FAILURE);
	if (keep_open(start->packets) < 0 || keep_open(start->verdicts) < 0)
		_exit(EXIT_FAILURE);
	for (unsigned i = 0; i < start->listener_count; i++) {
		if (keep_open(start->listeners[i]) < 0)
			_exit(EXIT_FAILURE);
	}
	snprintf(argument, sizeof(argument), "%d", fd);
	execl("/proc/self/exe", "wayleaved: worker", "--worker", argument, (char *)NULL);
	_exit(EXIT_FAILURE);
}

/* A channel's two ends, the monitor's first. */
static int make_channel(int ret[2])
{
	int size = CHANNEL_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
		return -errno;
	if (setsockopt(ret[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0) {
		int r = -errno;

		close(ret[0]);
		close(ret[1]);
		return r;
	}
	return 0;
}

static void fill_start(struct monitor_worker *w, int channel, struct worker_start *ret)
{
	struct monitor *m = w->monitor;
	const struct listener_pair *pair = &m->listeners.pairs[w->index];

	*ret = (struct worker_start){
		.index = w->index,
		.incarnation = w->incarnation,
		.channel = channel,
		.epochs_fd = m->epochs_fd,
		.grants_fd = m->grants_fd,
		.pinned_fd = m->pinned_fd,
		.shares_fd = m->shares_fd,
		.packets = -1,
		.verdicts = -1,
		.selftest_agent = CAPTURE_SELFTEST_AGENT,
		.uid = m->worker_uid,
		.gid = m->worker_gid,
	};
	memcpy(ret->hash_key, m->hash_key, sizeof(ret->hash_key));
	/* One has all flows, so that it knows what it has let pass. */
	if (w->index == 0)
		capture_queue(m->capture, &ret->packets, &ret->verdicts);
	authority_fingerprint(m->authority, ret->host_ca);
	ret->listeners[ret->listener_count++] = pair->v4;
	if (pair->v6 != LISTENER_NO_SOCKET)
		ret->listeners[ret->listener_count++] = pair->v6;
	if (m->unix_fd >= 0)
		ret->listeners[ret->listener_count++] = m->unix_fd;
}

static int start_worker(struct monitor_worker *w, struct error *e)
{
	struct monitor *m = w->monitor;
	struct worker_start start;
	int pair[2], r;

	r = store_add_worker(m->store, &w->incarnation);
	if (r < 0)
		return error_set_errno(e, r, "the audit log does not take a new worker");
	r = make_channel(pair);
	if (r < 0)
		return error_set_errno(e, r, "socketpair");
	fill_start(w, pair[1], &start);
	w->pid = fork();
	if (w->pid == 0)
		become_worker(m, &start);
	close(pair[1]);
	memory_wipe(start.hash_key, sizeof(start.hash_key));
	if (w->pid < 0) {
		w->pid = 0;
		close(pair[0]);
		return error_set_errno(e, -errno, "fork");
	}
	w->ready = false;
	w->channel = pair[0];
	w->started = clock_monotonic();
	memset(&w->statistics, 0, sizeof(w->statistics));
	loop_add(&m->loop, &w->source, w->channel, on_message, w);
	identities_send(m, w); /* before there is anything to judge */
	workers_send_policy(m, w);
	reviews_send_grants(m, w);
	capture_each_network(m->capture, send_network, w);
	if (w->index == 0)
		capture_each_queue(m->capture, send_queue, w);
	return 0;
}

int workers_start(struct monitor *m, struct error *e)
{
	if (landlock_version() == 0)
		log_info("no Landlock in this kernel: what reads peers' bytes is kept from files "
			 "by its filter of system calls alone");
	for (unsigned i = 0; i < m->worker_count; i++) {
		int r = start_worker(&m->workers[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- dying --- */

static void describe_death(int status, char *room, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(room, size, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		snprintf(room, size, "exited with status %d", WEXITSTATUS(status));
}

static void wait_before_next(struct monitor_worker *w)
{
	uint64_t now = clock_monotonic(), wait = BACKOFF_FIRST;

	if (now - w->started > HEALTHY_AFTER)
		w->failures = 0;
	for (unsigned i = 0; i < w->failures && wait < BACKOFF_MOST; i++)
		wait *= 2;
	w->failures++;
	w->start_again = now + (wait < BACKOFF_MOST ? wait : BACKOFF_MOST);
}

void workers_on_exit(struct monitor *m, pid_t pid, int status)
{
	struct monitor_worker *w = NULL;
	char why[128], name[32];

	for (unsigned i = 0; i < m->worker_count; i++) {
		if (m->workers[i].pid == pid)
			w = &m->workers[i];
	}
	if (!w)
		return;
	describe_death(status, why, sizeof(why));
	snprintf(name, sizeof(name), "worker %u", w->index);
	/* What it had reported before it died is still to be read. */
	while (w->channel >= 0 && receive(w))
		;
	if (w->channel >= 0) {
		loop_remove(&m->loop, &w->source);
		close(w->channel);
		w->channel = -1;
	}
	w->pid = 0;
	w->ready = false;
	store_worker_gone(m->store, &w->incarnation, why);
	reviews_worker_gone(w);
	if (m->stopping)
		return;
	log_error("%s %s", name, why);
	if (w->index == 0)
		capture_renew_queue(m->capture);
	wait_before_next(w);
}

void workers_tick(struct monitor *m, uint64_t now)
{
	struct error e;

	/* They begin with a policy; while names are looked up at the start there is none yet. */
	if (m->policy_fd < 0)
		return;
	for (unsigned i = 0; i < m->worker_count; i++) {
		struct monitor_worker *w = &m->workers[i];

		if (w->pid || m->stopping || now < w->start_again)
			continue;
		if (start_worker(w, &e) < 0) {
			log_error("worker %u can't be started again: %s", i, e.text);
			wait_before_next(w);
		}
	}
}

void workers_stop(struct monitor *m)
{
	workers_tell_all(m, MESSAGE_STOP, SLICE_EMPTY);
}

bool workers_are_ready(const struct monitor *m)
{
	for (unsigned i = 0; i < m->worker_count; i++) {
		if (!m->workers[i].ready)
			return false;
	}
	return true;
}

bool workers_are_gone(const struct monitor *m)
{
	for (unsigned i = 0; i < m->worker_count; i++) {
		if (m->workers[i].pid)
			return false;
	}
	return true;
}
