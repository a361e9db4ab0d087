/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave-ssh: SSH sessions, one process each. This one is their parent: it has the host keys and
 * no privileges, and forks when the monitor gives it a session's sockets, so that a session begins
 * with all that is the same for each. Started by the monitor alone:
 *
 *   wayleave-ssh FD     a descriptor of struct ssh_start and the host keys (ssh/messages.h)
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/descriptors_filter.h"
#include "base/file.h"
#include "base/log.h"
#include "base/privileges.h"
#include "base/text.h"
#include "monitor/control.h"
#include "ssh/relay.h"
#include "ssh/watchdog.h"

struct parent {
	int channel;
	int children; /* signalfd: one has ended */
	ssh_bind keys;
	unsigned sessions;
};

/* --- a session --- */

static bool read_opening(struct slice payload, const int *fds, size_t count, struct opening *ret)
{
	struct ssh_opening head;
	struct slice rest;

	if (payload.length < sizeof(head))
		return false;
	memcpy(&head, payload.data, sizeof(head));
	rest = slice_from(payload, sizeof(head));
	for (size_t i = 0; i < SSH_TEXT_COUNT; i++) {
		struct slice text = slice_head(rest, head.lengths[i]);

		ret->texts[i] = memory_copy_text(text.data, text.length);
		rest = slice_from(rest, text.length);
	}
	for (size_t i = 0, taken = 0; i < SSH_DESCRIPTOR_COUNT; i++)
		ret->fds[i] = head.present[i] && taken < count ? fds[taken++] : -1;
	return ret->fds[SSH_DESCRIPTOR_WORKER] >= 0;
}

static void let_signals_in(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the session's process. */
static void run_session(struct parent *p, struct slice payload, const int *fds, size_t count)
{
	struct opening *o = memory_new(sizeof(*o));
	struct error e = {""};

	close(p->channel);
	close(p->children);
	let_signals_in();
	prctl(PR_SET_NAME, "ssh: session");
	if (!read_opening(payload, fds, count, o))
		_exit(EXIT_FAILURE);
	if (descriptors_filter(&e) < 0) {
		log_error("sandbox: %s", e.text);
		_exit(EXIT_FAILURE);
	}
	relay_run(p->keys, o);
	_exit(EXIT_SUCCESS);
}

static void reap(struct parent *p)
{
	struct signalfd_siginfo info;
	int status;

	while (read(p->children, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	while (waitpid(-1, &status, WNOHANG) > 0) {
		p->sessions--;
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM)
			log_error("a session was killed by signal %d", WTERMSIG(status));
		if (WIFEXITED(status) && WEXITSTATUS(status) == WATCHDOG_STATUS)
			log_error("a session stayed in one step for %d s of a processor's time, "
				  "and was ended",
				LIMIT_SSH_TURN);
	}
}

static void start_session(struct parent *p, struct slice payload, const int *fds, size_t count)
{
	pid_t pid;

	if (p->sessions >= LIMIT_SSH_SESSIONS) {
		log_error("more than %u SSH sessions: one is refused", LIMIT_SSH_SESSIONS);
		return;
	}
	pid = fork();
	if (pid == 0)
		run_session(p, payload, fds, count);
	if (pid < 0)
		log_error("fork: %s", strerror(errno));
	else
		p->sessions++;
}

/* One message of the monitor's; false: it is gone. */
static bool serve(struct parent *p)
{
	int fds[CONTROL_DESCRIPTORS_MOST], r;
	struct control_header header;
	struct buffer payload;
	size_t count = 0;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(p->channel, &header, &payload, fds, &count);
	if (r == 0 && header.type == SSH_MESSAGE_SESSION)
		start_session(p, buffer_slice(&payload), fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	buffer_wipe(&payload);
	return r != -EPIPE;
}

/* --- start --- */

static int add_key(struct parent *p, struct slice text)
{
	char *copy = memory_copy_text(text.data, text.length);
	ssh_key key;
	int r = ssh_pki_import_privkey_base64(copy, NULL, NULL, NULL, &key);

	if (r == SSH_OK)
		r = ssh_bind_options_set(p->keys, SSH_BIND_OPTIONS_IMPORT_KEY, key);
	memory_wipe(copy, text.length);
	free(copy);
	return r == SSH_OK ? 0 : -EINVAL;
}

/* The keys stay in memory, and in that of every session: a session signs with them. */
static int read_start(struct parent *p, int fd, struct ssh_start *ret)
{
	struct buffer all;
	struct slice rest;
	bool no = false;
	int r;

	buffer_init(&all, sizeof(*ret) + SSH_HOST_KEYS * SSH_TEXT_MOST);
	r = file_read_descriptor(fd, &all);
	rest = buffer_slice(&all);
	p->keys = ssh_bind_new();
	if (r == 0 && (rest.length < sizeof(*ret) || !p->keys))
		r = -EINVAL;
	if (r == 0) {
		memcpy(ret, rest.data, sizeof(*ret));
		ssh_bind_options_set(p->keys, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
		rest = slice_from(rest, sizeof(*ret));
	}
	for (size_t i = 0; r == 0 && i < SSH_HOST_KEYS; i++) {
		r = add_key(p, slice_head(rest, ret->lengths[i]));
		rest = slice_from(rest, ret->lengths[i]);
	}
	buffer_wipe(&all);
	return r;
}

static int watch_children(struct parent *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p->children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return p->children < 0 ? -errno : 0;
}

/* False: the monitor is gone. */
static bool turn(struct parent *p)
{
	struct pollfd sources[] = {
		{.fd = p->channel, .events = POLLIN}, {.fd = p->children, .events = POLLIN}};

	if (poll(sources, ARRAY_SIZE(sources), -1) < 0)
		return errno == EINTR;
	if (sources[1].revents)
		reap(p);
	return !sources[0].revents || serve(p);
}

int main(int argc, char **argv)
{
	struct parent p = {.channel = -1};
	struct ssh_start start;
	struct error e = {""};
	uint64_t fd;

	ssh_init();
	if (argc != 2 || text_to_number(slice_from_string(argv[1]), 1 << 20, &fd) < 0 ||
		read_start(&p, (int)fd, &start) < 0) {
		fputs("wayleave-ssh: started by wayleaved alone\n", stderr);
		return EXIT_FAILURE;
	}
	close((int)fd);
	log_set_name("ssh");
	signal(SIGPIPE, SIG_IGN);
	p.channel = start.channel;
	if (privileges_drop(start.uid, start.gid, &e) < 0) {
		log_error("privileges: %s", e.text);
		return EXIT_FAILURE;
	}
	if (watch_children(&p) < 0)
		return EXIT_FAILURE;
	while (turn(&p))
		;
	_exit(EXIT_SUCCESS);
}
