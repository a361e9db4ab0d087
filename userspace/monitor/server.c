/* SPDX-License-Identifier: Apache-2.0
 *
 * server: the control socket. A peer is known by SO_PEERCRED and by its cgroup: whoever is inside
 * an agent, whatever its user, is told of itself and nothing else; root there, also what a command
 * of the agent is not to see. One row per request says who may ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "monitor/monitor.h"
#include "monitor/start_agent.h"

/* Runs' followers stay connected. */
#define CLIENTS_MOST (256 + LIMIT_RUNS)

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* kernel 6.5 */
#endif

struct client {
	struct monitor *monitor;
	struct list link;
	struct loop_source source;
	int fd;
	struct ucred peer;
	int process; /* pidfd of the peer; -1: it was gone when it was looked for */
};

static int on_status(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	(void)request;
	return status_build(m, who->agent, &ret->payload);
}

static int on_run(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	return start_agent(m, who->uid, request, &ret->payload, &ret->error);
}

static int on_unit(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	return start_unit(m, who->agent, request, &ret->payload, &ret->error);
}

static int on_policy(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	(void)who;
	(void)request;
	ret->fds[ret->fd_count++] = m->policy_fd;
	return 0;
}

static int on_recordings(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	(void)who;
	(void)request;
	ret->fds[ret->fd_count++] = store_recordings_folder(m->store);
	ret->fds[ret->fd_count++] = store_audit_folder(m->store);
	return store_live(m->store, &ret->payload);
}

static int on_kill(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	char detail[64];
	int r;

	if (!identifier_is_valid(request, 's'))
		return error_set(&ret->error, -EINVAL, "not a session's id");
	snprintf(detail, sizeof(detail), "ended by user %u", (unsigned)who->uid);
	r = store_note(m->store, HOST_ADMIN, request, slice_from_string(detail));
	if (r < 0)
		return error_set_errno(&ret->error, r, "it could not be recorded");
	/* Whichever worker has it; whether one had, the recording says. */
	workers_tell_all(m, MESSAGE_KILL, request);
	return 0;
}

static int on_ca(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	(void)who;
	if (slice_equal_string(request, "known_hosts"))
		return ssh_known_append(m, &ret->payload, &ret->error);
	return buffer_append_slice(&ret->payload,
		slice_equal_string(request, "ssh") ? ssh_authority_line(m->ssh_authority)
						   : authority_certificate(m->authority));
}

static int on_canary(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	(void)who;
	(void)request;
	canary_start(&m->canary);
	return status_build_canary(m, &ret->payload);
}

enum who { EVERYBODY, OUTSIDE_OF_AGENTS, ROOT, ROOT_INSIDE };

static const struct row {
	int (*handle)(struct monitor *m, const struct asker *who, struct slice request,
		struct answer *ret);
	enum who who;
} rows[CONTROL_REQUEST_COUNT] = {
	[CONTROL_STATUS] = {on_status, EVERYBODY},
	[CONTROL_RUN] = {on_run, OUTSIDE_OF_AGENTS},
	[CONTROL_UNIT] = {on_unit, ROOT_INSIDE},
	[CONTROL_POLICY] = {on_policy, ROOT},
	[CONTROL_RECORDINGS] = {on_recordings, ROOT},
	[CONTROL_KILL] = {on_kill, ROOT},
	[CONTROL_CA] = {on_ca, OUTSIDE_OF_AGENTS},
	/* Who of them may see and decide what, the configuration says. */
	[CONTROL_REVIEWS] = {reviews_on_list, OUTSIDE_OF_AGENTS},
	[CONTROL_REVIEW] = {reviews_on_show, OUTSIDE_OF_AGENTS},
	[CONTROL_DECIDE] = {reviews_on_decide, OUTSIDE_OF_AGENTS},
	[CONTROL_GRANTS] = {reviews_on_grants, OUTSIDE_OF_AGENTS},
	[CONTROL_CANARY] = {on_canary, ROOT},
	[CONTROL_REVOKE] = {reviews_on_revoke, OUTSIDE_OF_AGENTS},
	[CONTROL_AGENTS] = {identities_on_list, ROOT},
	[CONTROL_SUSPEND] = {suspensions_on_suspend, ROOT},
	[CONTROL_RESUME] = {suspensions_on_resume, ROOT},
	[CONTROL_LOGIN] = {logins_on_begin, OUTSIDE_OF_AGENTS},
	[CONTROL_LOGIN_STATE] = {logins_on_state, OUTSIDE_OF_AGENTS},
	[CONTROL_LOGOUT] = {logins_on_end, OUTSIDE_OF_AGENTS},
	[CONTROL_TOKEN] = {runs_on_token, OUTSIDE_OF_AGENTS},
};

static int check_asker(const struct row *row, const struct asker *who, struct error *e)
{
	bool as_root = row->who == ROOT || row->who == ROOT_INSIDE;

	if (row->who == ROOT_INSIDE && !who->agent)
		return error_set(e, -EPERM,
			"the unit is in no agent's cgroup: name it in the configuration, as in "
			"`cgroup: wayleave.slice/NAME.service`");
	if (row->who != EVERYBODY && row->who != ROOT_INSIDE && who->agent)
		return error_set(e, -EPERM, "refused: the request comes from inside an agent");
	if (as_root && who->uid != 0)
		return error_set(e, -EPERM, "refused: only root may ask for that");
	return 0;
}

void server_reserve(struct monitor *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->reserve); i++) {
		if (m->reserve[i] < 0)
			m->reserve[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
}

/* A client takes its connection and its process, and looking at it and answering one each. False:
 * there is none to make. */
static bool make_room(struct monitor *m)
{
	bool made = false;

	for (size_t i = 0; i < ARRAY_SIZE(m->reserve); i++) {
		made |= m->reserve[i] >= 0;
		if (m->reserve[i] >= 0)
			close(m->reserve[i]);
		m->reserve[i] = -1;
	}
	return made;
}

/* Before kernel 6.5 whoever has the number now is taken for the peer, as if it could not have been
 * given to another process between connect(2) and here. */
static int find_peer(int fd, pid_t pid)
{
	int process;
	socklen_t length = sizeof(process);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &length) == 0)
		return process;
	return errno == ENOPROTOOPT ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

static int open_peer(struct monitor *m, int fd, pid_t pid)
{
	int process = find_peer(fd, pid);

	return process < 0 && errno == EMFILE && make_room(m) ? find_peer(fd, pid) : process;
}

static bool peer_lives(const struct client *c)
{
	struct pollfd process = {.fd = c->process, .events = POLLIN};

	return c->process >= 0 && poll(&process, 1, 0) == 0;
}

/* Which agent the peer is in. Its number says that only while it lives: a socket can outlive the
 * process that connected it, whose number may by then be that of a process outside of all agents.
 */
static int identify(const struct client *c, struct asker *ret)
{
	int r;

	*ret = (struct asker){.uid = c->peer.uid, .pid = c->peer.pid};
	r = capture_find_agent(c->monitor->capture, c->peer.pid, &ret->agent);
	return r == 0 && !peer_lives(c) ? -ESRCH : r;
}

static void answer(struct client *c, uint32_t type, struct slice request)
{
	struct control_header header = {.type = type};
	struct answer a = {.made = -1, .error = {""}};
	const struct row *row = type < CONTROL_REQUEST_COUNT ? &rows[type] : NULL;
	struct asker who;
	int r;

	buffer_init(&a.payload, CONTROL_PAYLOAD_MOST);
	if (!row || !row->handle)
		r = error_set(&a.error, -ENOSYS, "this daemon does not know that request");
	else if (identify(c, &who) < 0)
		r = error_set(&a.error, -EPERM, "refused: who asks is not known");
	else
		r = check_asker(row, &who, &a.error);
	if (r == 0)
		r = row->handle(c->monitor, &who, request, &a);
	if (r < 0) {
		header.status = r;
		buffer_clear(&a.payload);
		buffer_append_string(&a.payload, a.error.text[0] ? a.error.text : strerror(-r));
		a.fd_count = 0;
	} else if (a.made >= 0) {
		a.fds[a.fd_count++] = a.made;
	}
	control_send(c->fd, &header, buffer_slice(&a.payload), a.fds, a.fd_count);
	if (a.made >= 0)
		close(a.made);
	buffer_done(&a.payload);
}

static void client_free(struct client *c)
{
	struct monitor *m = c->monitor;

	loop_remove(&m->loop, &c->source);
	list_remove(&c->link);
	if (c->process >= 0)
		close(c->process);
	close(c->fd);
	free(c);
	server_reserve(m);
}

static void on_client(struct loop_source *source)
{
	struct client *c = source->context;
	struct control_header header;
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(c->fd, &header, &payload, NULL, NULL);
	if (r == 0)
		answer(c, header.type, buffer_slice(&payload));
	else if (r != -EAGAIN)
		client_free(c);
	buffer_done(&payload);
}

static size_t count_clients(const struct monitor *m)
{
	size_t count = 0;

	list_for_each (position, &m->clients)
		count++;
	return count;
}

static int take_connection(const struct loop_source *source)
{
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* A connection that can't be taken stays ready, and would be looked at without end. */
static void hear_nobody(struct monitor *m, int error)
{
	if (!m->deaf)
		log_warning("who connects to the control socket has to wait: %s", strerror(-error));
	m->deaf = true;
	loop_pause(&m->loop, &m->control);
}

/* With what is kept for that one client is served after the other. */
static int take_client(struct monitor *m, const struct loop_source *source)
{
	int fd = take_connection(source);

	if (fd == -EMFILE && make_room(m))
		fd = take_connection(source);
	if (fd < 0 && fd != -EAGAIN && fd != -ECONNABORTED)
		hear_nobody(m, fd);
	return fd;
}

void server_tick(struct monitor *m)
{
	server_reserve(m);
	if (m->deaf && m->control.ready)
		loop_go_on(&m->loop, &m->control);
}

static void on_connection(struct loop_source *source)
{
	struct monitor *m = source->context;
	int fd = take_client(m, source);
	socklen_t length = sizeof(struct ucred);
	struct client *c;

	if (fd < 0)
		return;
	m->deaf = false;
	/* The oldest goes, so that nobody can keep the others out by connecting. */
	if (count_clients(m) >= CLIENTS_MOST)
		client_free(list_entry(m->clients.next, struct client, link));
	c = memory_new(sizeof(*c));
	c->monitor = m;
	c->fd = fd;
	c->process = -1;
	list_append(&m->clients, &c->link);
	loop_add(&m->loop, &c->source, fd, on_client, c);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c->peer, &length) < 0)
		client_free(c);
	else
		c->process = open_peer(m, fd, c->peer.pid);
}

int server_open(struct monitor *m, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	m->control_path = memory_format("%s/control.sock", m->config->runtime_dir.text);
	if (strlen(m->control_path) >= sizeof(address.sun_path))
		return error_set(
			e, -ENAMETOOLONG, "%s: too long for a socket's path", m->control_path);
	memcpy(address.sun_path, m->control_path, strlen(m->control_path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(e, -errno, "socket");
	unlink(m->control_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(m->control_path, 0666) < 0 || listen(fd, 64) < 0) {
		int r = -errno;

		close(fd);
		return error_set_errno(e, r, "%s", m->control_path);
	}
	return loop_add(&m->loop, &m->control, fd, on_connection, m);
}

void server_close(struct monitor *m)
{
	list_for_each_safe (position, &m->clients)
		client_free(list_entry(position, struct client, link));
	if (!m->control.ready)
		return;
	loop_remove(&m->loop, &m->control);
	unlink(m->control_path);
	free(m->control_path);
	m->control_path = NULL;
}
