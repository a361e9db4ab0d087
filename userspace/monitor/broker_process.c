/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/broker_process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/control.h"
#include "policy/host.h"

#define PROGRAM "wayleave-broker"
#define BACKLOG 256
#define CHANNEL_BYTES (4 << 20) /* a thousand reviews may be told of at once */
#define BACKOFF_FIRST (NANOSECONDS_PER_SECOND / 4)
#define BACKOFF_MOST (30 * NANOSECONDS_PER_SECOND)
#define HEALTHY_AFTER (60 * NANOSECONDS_PER_SECOND) /* then the backoff begins anew */

struct broker_setup *broker_setup_new(enum broker_role role)
{
	struct broker_setup *s = memory_new(sizeof(*s));

	s->role = role;

	for (size_t i = 0; i < BROKER_TEXT_COUNT; i++)
		buffer_init(&s->texts[i], BROKER_TEXT_MOST);
	return s;
}

void broker_setup_free(struct broker_setup *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < BROKER_TEXT_COUNT; i++)
		buffer_wipe(&s->texts[i]);
	free(s->listen);
	free(s);
}

static bool same_address(const struct broker_setup *a, const struct broker_setup *b)
{
	const char *old = a ? a->listen : NULL, *new = b ? b->listen : NULL;

	return old && new ? strcmp(old, new) == 0 : old == new;
}

static bool same_setup(const struct broker_setup *a, const struct broker_setup *b)
{
	if (!a || !b)
		return a == b;
	for (size_t i = 0; i < BROKER_TEXT_COUNT; i++) {
		if (!slice_equal(buffer_slice(&a->texts[i]), buffer_slice(&b->texts[i])))
			return false;
	}
	return same_address(a, b) && a->uid == b->uid && a->gid == b->gid;
}

void broker_process_init(struct broker_process *b, struct loop *loop)
{
	*b = (struct broker_process){.loop = loop, .listener = -1, .channel = -1};
}

/* --- the listening socket: it outlives the process, so that nobody else can take the address while
 * there is none. Who clicks meanwhile is answered by the next one, which takes nothing that was
 * signed before it began (service.c), and has to click again. --- */

static socklen_t socket_address(const struct host *host, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;

	*ret = (struct sockaddr_storage){0};
	/* Not as a mapped address: hosts may have no IPv6. */
	if (address_is_mapped(&host->address)) {
		four->sin_family = AF_INET;
		four->sin_port = htons(host->port);
		memcpy(&four->sin_addr, host->address.bytes + 12, sizeof(four->sin_addr));
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(host->port);
	memcpy(&six->sin6_addr, host->address.bytes, sizeof(six->sin6_addr));
	return sizeof(*six);
}

/* Whether others of ours may listen on the same port: "127.0.0.1:8443" and "0.0.0.0:8443" are two
 * addresses and no two sockets can have them, but for a moment, while one takes over from the
 * other.
 */
static void share_port(int fd, int on)
{
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

static int bind_and_listen(
	struct broker_process *b, int fd, const struct sockaddr_storage *address, socklen_t length)
{
	const int on = 1;
	int old = b->listener, r = b->on_listen ? b->on_listen(b->context, fd) : 0;

	if (r < 0)
		return r;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	share_port(fd, 1);
	share_port(old, 1);
	if (bind(fd, (const struct sockaddr *)address, length) < 0 || listen(fd, BACKLOG) < 0)
		r = -errno;
	share_port(fd, 0);
	share_port(old, 0);
	return r;
}

/* Takes over from the listener that there is. */
static int listen_on(struct broker_process *b, const char *text, int *ret, struct error *e)
{
	struct sockaddr_storage address;
	char *copy = memory_copy_string(text);
	socklen_t length;
	struct host host;
	int fd, r = host_parse(copy, &host, e);

	free(copy);
	if (r < 0)
		return r;
	length = socket_address(&host, &address);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set_errno(e, -errno, "socket");
	r = bind_and_listen(b, fd, &address, length);
	if (r < 0) {
		close(fd);
		return error_set_errno(e, r, "slack: can't listen on %s", text);
	}
	*ret = fd;
	return 0;
}

/* --- hearing from it --- */

static void close_channel(struct broker_process *b)
{
	if (b->channel < 0)
		return;
	loop_remove(b->loop, &b->source);
	close(b->channel);
	b->channel = -1;
}

/* It has closed its end, or sent what is no message: nothing else is heard from it, and it may not
 * live on without us. SIGCHLD says the rest. */
static void end_it(struct broker_process *b)
{
	close_channel(b);
	assert(b->pid > 0);
	kill(b->pid, SIGKILL);
}

static void on_channel(struct loop_source *source)
{
	struct broker_process *b = source->context;
	struct control_header header;
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(b->channel, &header, &payload, NULL, NULL);
	if (r == 0)
		b->on_message(b->context, header.type, buffer_slice(&payload));
	else if (r != -EAGAIN)
		end_it(b);
	buffer_done(&payload);
}

int broker_process_tell(struct broker_process *b, enum broker_message type, const void *head,
	size_t length, const char *text, int fd)
{
	const struct control_header header = {.type = type};
	struct buffer payload;
	int r;

	if (b->channel < 0)
		return -EPIPE;
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = buffer_append(&payload, head, length);
	if (r == 0)
		r = buffer_append_string(&payload, text);
	if (r == 0)
		r = control_send(b->channel, &header, buffer_slice(&payload), &fd, fd >= 0);
	buffer_done(&payload);
	return r;
}

int broker_process_tell_bytes(
	struct broker_process *b, enum broker_message type, struct slice payload)
{
	const struct control_header header = {.type = type};

	return b->channel < 0 ? -EPIPE : control_send(b->channel, &header, payload, NULL, 0);
}

/* --- starting and ending --- */

/* What it begins with, in a descriptor that it inherits. */
static int start_descriptor(const struct broker_process *b, int channel)
{
	struct broker_start start = {.channel = channel,
		.listener = b->listener,
		.uid = b->setup->uid,
		.gid = b->setup->gid};
	int fd = memfd_create("wayleave-broker", 0), r = fd < 0 ? -errno : 0;

	for (size_t i = 0; i < BROKER_TEXT_COUNT; i++)
		start.lengths[i] = (uint32_t)buffer_length(&b->setup->texts[i]);
	if (r == 0)
		r = file_write_all(fd, slice_of(&start, sizeof(start)));
	for (size_t i = 0; r == 0 && i < BROKER_TEXT_COUNT; i++)
		r = file_write_all(fd, buffer_slice(&b->setup->texts[i]));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : fd;
}

/* In the child. */
static void become_broker(const struct broker_process *b, int channel, const char *program)
{
	char argument[16];
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fd = start_descriptor(b, channel);
	if (fd < 0 || fcntl(channel, F_SETFD, 0) < 0 ||
		(b->listener >= 0 && fcntl(b->listener, F_SETFD, 0) < 0))
		_exit(EXIT_FAILURE);
	snprintf(argument, sizeof(argument), "%d", fd);
	execl(program, PROGRAM, argument, broker_role_name(b->setup->role), (char *)NULL);
	_exit(EXIT_FAILURE);
}

static int fork_broker(struct broker_process *b, struct error *e)
{
	char *program = file_find_program(PROGRAM);
	int pair[2], size = CHANNEL_BYTES, r;

	if (!program)
		return error_set(e, -ENOENT, "%s is not installed", PROGRAM);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		free(program);
		return error_set_errno(e, -errno, "socketpair");
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	b->pid = fork();
	if (b->pid == 0)
		become_broker(b, pair[1], program);
	free(program);
	close(pair[1]);
	if (b->pid < 0) {
		b->pid = 0;
		close(pair[0]);
		return error_set_errno(e, -errno, "fork");
	}
	b->channel = pair[0];
	r = loop_add(b->loop, &b->source, b->channel, on_channel, b);
	if (r < 0) {
		broker_process_stop(b);
		return error_set_errno(e, r, "epoll");
	}
	return 0;
}

static void wait_before_next(struct broker_process *b)
{
	uint64_t now = clock_monotonic(), wait = BACKOFF_FIRST;

	if (now - b->started > HEALTHY_AFTER)
		b->failures = 0;
	for (unsigned i = 0; i < b->failures && wait < BACKOFF_MOST; i++)
		wait *= 2;
	b->failures++;
	b->start_again = now + (wait < BACKOFF_MOST ? wait : BACKOFF_MOST);
}

static void start(struct broker_process *b)
{
	struct error e;

	b->started = clock_monotonic();
	if (fork_broker(b, &e) < 0) {
		log_error("the broker for %s can't be started: %s",
			broker_role_name(b->setup->role), e.text);
		wait_before_next(b);
		return;
	}
	b->on_start(b->context);
}

int broker_process_set(struct broker_process *b, struct broker_setup *setup, struct error *e)
{
	int listener = -1;

	if (same_setup(b->setup, setup)) {
		broker_setup_free(setup);
		return 0;
	}
	if (same_address(b->setup, setup)) {
		listener = b->listener;
	} else if (setup && setup->listen) {
		int r = listen_on(b, setup->listen, &listener, e);

		if (r < 0) {
			broker_setup_free(setup);
			return r;
		}
	}
	broker_process_stop(b);
	if (b->listener >= 0 && b->listener != listener)
		close(b->listener);
	b->listener = listener;
	broker_setup_free(b->setup);
	b->setup = setup;
	b->failures = 0;
	if (setup)
		start(b);
	return 0;
}

bool broker_process_on_exit(struct broker_process *b, pid_t pid, int status)
{
	const char *name;

	if (pid != b->pid)
		return false;
	name = broker_role_name(b->setup->role);
	b->pid = 0;
	close_channel(b);
	if (WIFSIGNALED(status))
		log_error("the broker for %s was killed by signal %d", name, WTERMSIG(status));
	else
		log_error("the broker for %s exited with status %d", name, WEXITSTATUS(status));
	wait_before_next(b);
	return true;
}

void broker_process_tick(struct broker_process *b, uint64_t now)
{
	if (b->setup && !b->pid && now >= b->start_again)
		start(b);
}

/* It has nothing to lose: what Slack does not show yet is told to the next one. */
void broker_process_stop(struct broker_process *b)
{
	close_channel(b);
	if (!b->pid)
		return;
	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	b->pid = 0;
}
