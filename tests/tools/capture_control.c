/* SPDX-License-Identifier: Apache-2.0
 *
 * capture_control: as much of the monitor's control socket as the launcher needs. Answers every
 * CONTROL_RUN with the plan of its command line, and prints who asked for what. For tests/capture.
 *
 *	capture_control SOCKET CGROUP-FOLDER [--allow UID] [--user NAME] [--flags N]
 *		[--hide PATH] [--read-only PATH] [--show SOURCE:TARGET] [--garbage]
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/control.h"
#include "monitor/run_plan.h"

#define PATHS_MOST 16
#define GROUPS_MOST 64

struct control {
	struct run_plan plan;
	const char *hidden[PATHS_MOST], *read_only[PATHS_MOST];
	struct run_path shown[PATHS_MOST];
	gid_t groups[GROUPS_MOST];
	uid_t allowed;
	bool garbage;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void set_user(struct control *c, const char *name)
{
	struct passwd *user = getpwnam(name);
	int count = GROUPS_MOST;

	if (!user || getgrouplist(name, user->pw_gid, c->groups, &count) < 0)
		fail(name);
	c->plan.user = memory_copy_string(name);
	c->plan.home = memory_copy_string(user->pw_dir);
	c->plan.uid = user->pw_uid;
	c->plan.gid = user->pw_gid;
	c->plan.groups = c->groups;
	c->plan.group_count = (size_t)count;
	c->plan.flags &= ~(uint32_t)RUN_PLAN_KEEP_USER;
}

static void take_option(struct control *c, const char *name, char *value)
{
	struct run_plan *p = &c->plan;

	if (strcmp(name, "--allow") == 0) {
		c->allowed = (uid_t)atoi(value);
	} else if (strcmp(name, "--user") == 0) {
		set_user(c, value);
	} else if (strcmp(name, "--flags") == 0) {
		p->flags |= (uint32_t)atoi(value);
	} else if (strcmp(name, "--hide") == 0) {
		c->hidden[p->hidden_count++] = value;
	} else if (strcmp(name, "--read-only") == 0) {
		c->read_only[p->read_only_count++] = value;
	} else if (strcmp(name, "--show") == 0) {
		char *colon = strchr(value, ':');

		*colon = '\0';
		c->shown[p->shown_count++] = (struct run_path){value, colon + 1};
	} else {
		exit(2);
	}
}

static int serve(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
		listen(fd, 16) < 0)
		fail(path);
	return fd;
}

static void answer(const struct control *c, int fd, const struct buffer *question)
{
	struct control_header header = {.type = CONTROL_RUN};
	struct run_request request;
	struct buffer payload;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int r = run_request_decode(buffer_slice(question), &request);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	if (r == 0)
		printf("{\"event\": \"run\", \"agent\": \"%s\", \"user\": \"%s\", \"pid\": %d, "
		       "\"uid\": %u, \"gid\": %u}\n",
			request.agent, request.user, peer.pid, peer.uid, peer.gid);
	fflush(stdout);
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	if (r == 0 && peer.uid != 0 && peer.uid != c->allowed) {
		header.status = -EPERM;
		buffer_append_format(&payload, "you may not start agent \"%s\"", request.agent);
	} else if (c->garbage) {
		buffer_append_string(&payload, "garbage");
	} else {
		run_plan_encode(&c->plan, &payload);
	}
	control_send(fd, &header, buffer_slice(&payload), NULL, 0);
	buffer_done(&payload);
}

int main(int argc, char **argv)
{
	struct control c = {
		.plan = {.flags = RUN_PLAN_KEEP_USER, .agent = 7, .user = "", .home = ""},
		.allowed = (uid_t)-1};
	struct stat folder;
	int server;

	if (argc < 3 || stat(argv[2], &folder) < 0)
		return 2;
	c.plan.cgroup_path = argv[2];
	c.plan.cgroup = folder.st_ino;
	c.plan.hidden = c.hidden;
	c.plan.read_only = c.read_only;
	c.plan.shown = c.shown;
	for (int i = 3; i < argc; i += 2) {
		if (strcmp(argv[i], "--garbage") == 0)
			c.garbage = true;
		else if (i + 1 < argc)
			take_option(&c, argv[i], argv[i + 1]);
	}
	server = serve(argv[1]);
	printf("{\"event\": \"ready\"}\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(server, NULL, NULL);
		struct control_header header;
		struct buffer question;

		buffer_init(&question, CONTROL_PAYLOAD_MOST);
		if (control_receive(fd, &header, &question, NULL, NULL) == 0 &&
			header.type == CONTROL_RUN)
			answer(&c, fd, &question);
		buffer_done(&question);
		close(fd);
	}
}
