/* SPDX-License-Identifier: Apache-2.0
 *
 * Following a command's token: the file is the caller's to read, so a process with the caller's
 * rights, and in the caller's mount namespace, reads it again when it has changed. The daemon knows
 * by SO_PEERCRED and the run's starter that it may tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "launcher/launcher.h"
#include "monitor/control.h"

#define LOOK_TIME 1000 /* milliseconds */

struct follower {
	const struct follow *from;
	const char *cgroup_path;
	uint64_t cgroup;
	struct control_client client; /* fd -1: not connected */
	struct buffer token; /* as the daemon knows it */
	struct stat seen; /* of the file, when it was read */
	bool told; /* the daemon knows `token` */
};

/* The run is there as long as its cgroup is: the daemon removes it. */
static bool run_lives(const struct follower *f)
{
	struct stat s;

	return stat(f->cgroup_path, &s) == 0 && s.st_ino == f->cgroup;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Also a file that can't be read any more is told of: as one without a token. */
static void read_again(struct follower *f)
{
	struct stat now = {.st_size = -1};
	struct buffer token;
	int fd = open(f->from->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	buffer_init(&token, LIMIT_TOKEN_BYTES);
	if (fd >= 0 && (fstat(fd, &now) < 0 || !S_ISREG(now.st_mode)))
		now = (struct stat){.st_size = -1};
	else if (fd >= 0 && !is_same_file(&now, &f->seen) && file_read_descriptor(fd, &token) < 0)
		buffer_clear(&token);
	if (fd >= 0)
		close(fd);
	if (!is_same_file(&now, &f->seen)) {
		f->seen = now;
		if (!slice_equal(buffer_slice(&token), buffer_slice(&f->token))) {
			buffer_wipe(&f->token);
			buffer_append_slice(&f->token, buffer_slice(&token));
			f->told = false;
		}
	}
	buffer_wipe(&token);
}

/* A daemon that has ended knew the token, and the next one does not. */
static void watch_daemon(struct follower *f)
{
	struct pollfd polled = {.fd = f->client.fd, .events = POLLIN};

	if (f->client.fd >= 0 && poll(&polled, 1, 0) > 0) {
		control_close(&f->client);
		f->client.fd = -1;
	}
	if (f->client.fd < 0 && control_open(&f->client, f->from->socket, NULL) == 0)
		f->told = false;
}

static void tell(struct follower *f)
{
	const struct control_token head = {.run = f->cgroup};
	struct buffer request, answer;

	buffer_init(&request, CONTROL_PAYLOAD_MOST);
	buffer_init(&answer, CONTROL_PAYLOAD_MOST);
	if (buffer_append(&request, &head, sizeof(head)) == 0 &&
		buffer_append_slice(&request, buffer_slice(&f->token)) == 0)
		f->told = control_call(&f->client, CONTROL_TOKEN, buffer_slice(&request), &answer,
				  NULL, NULL, NULL) == 0;
	buffer_wipe(&request);
	buffer_done(&answer);
}

static void follow(struct follower *f)
{
	while (run_lives(f)) {
		read_again(f);
		watch_daemon(f);
		if (f->client.fd >= 0 && !f->told)
			tell(f);
		poll(NULL, 0, LOOK_TIME);
	}
}

/* The caller's rights and nothing else of the caller's: no terminal, no descriptor that somebody
 * waits for the end of. */
static int become_caller(const struct caller *c)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
		syscall(SYS_close_range, 3u, ~0u, 0) < 0)
		return -errno;
	setsid();
	if (setresgid(c->gid, c->gid, c->gid) < 0 || setresuid(c->uid, c->uid, c->uid) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || chdir("/") < 0)
		return -errno;
	prctl(PR_SET_NAME, "wayleave-follow");
	return 0;
}

static void run_follower(const struct follow *from, const struct run_plan *plan)
{
	struct follower f = {.from = from,
		.cgroup_path = plan->cgroup_path,
		.cgroup = plan->cgroup,
		.client = {.fd = -1}};

	if (become_caller(from->caller) < 0)
		return;
	buffer_init(&f.token, LIMIT_TOKEN_BYTES);
	buffer_append_string(&f.token, from->last);
	follow(&f);
	buffer_wipe(&f.token);
}

/* By a process between, so that it is no child of the command's. */
int follow_start(const struct follow *f, const struct run_plan *plan, struct error *e)
{
	pid_t between = fork(), ended;
	int status;

	if (between == 0) {
		pid_t child = fork();

		if (child == 0)
			run_follower(f, plan);
		_exit(child < 0);
	}
	if (between < 0)
		return error_set_errno(e, -errno, "fork");
	do {
		ended = waitpid(between, &status, 0);
	} while (ended < 0 && errno == EINTR);
	return ended == between && status == 0
		? 0
		: error_set(e, -EAGAIN, "no process could be started that follows the token");
}
