/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking into a user's folders with that user's rights. What is there is the agent's to choose:
 * links, endless folders, filesystems that answer nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/runtimes.h"

#define TIME (10 * NANOSECONDS_PER_SECOND)
#define MEMORY (256u << 20)
#define ANSWER_MOST (1u << 20)

/* A process that root became a user in can't be traced by that user. */
static int become(const struct passwd *user)
{
	const struct rlimit memory = {MEMORY, MEMORY};

	if (user->pw_uid != 0 &&
		(initgroups(user->pw_name, user->pw_gid) < 0 ||
			setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
			setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0))
		return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_AS, &memory) < 0 ||
			chdir("/") < 0
		? -errno
		: 0;
}

static void answer(const struct passwd *user, const struct runtimes_ca *ca, int to)
{
	cJSON *list = cJSON_CreateArray();
	char *text;

	if (become(user) < 0)
		return;
	runtimes_list(user->pw_dir, ca, list);
	text = cJSON_PrintUnformatted(list);
	if (text)
		file_write_all(to, slice_from_string(text));
}

/* Until the other end is closed. */
static int read_answer(int from, struct buffer *ret)
{
	uint64_t deadline = clock_monotonic() + TIME;

	for (;;) {
		struct pollfd polled = {.fd = from, .events = POLLIN};
		uint64_t now = clock_monotonic();
		uint8_t *space;
		ssize_t n;

		if (now >= deadline ||
			poll(&polled, 1, (int)((deadline - now) / NANOSECONDS_PER_MILLISECOND)) ==
				0)
			return -ETIMEDOUT;
		if (buffer_reserve(ret, 4096, &space) < 0)
			return -E2BIG;
		n = read(from, space, 4096);
		if (n <= 0)
			return n == 0 ? 0 : -errno;
		buffer_commit(ret, (size_t)n);
	}
}

static int take_answer(int from, cJSON *ret)
{
	struct buffer text;
	cJSON *list = NULL;
	int r;

	buffer_init(&text, ANSWER_MOST);
	r = read_answer(from, &text);
	if (r == 0) {
		list = cJSON_ParseWithLength(
			(const char *)buffer_slice(&text).data, buffer_length(&text));
		r = cJSON_IsArray(list) ? 0 : -EBADMSG;
	}
	while (r == 0 && cJSON_GetArraySize(list))
		cJSON_AddItemToArray(ret, cJSON_DetachItemFromArray(list, 0));
	cJSON_Delete(list);
	buffer_done(&text);
	return r;
}

int runtimes_list_as(const struct passwd *user, const struct runtimes_ca *ca, cJSON *ret)
{
	int ends[2], r;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		close(ends[0]);
		answer(user, ca, ends[1]);
		_exit(0);
	}
	r = child < 0 ? -errno : 0;
	close(ends[1]);
	if (r == 0)
		r = take_answer(ends[0], ret);
	close(ends[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}
