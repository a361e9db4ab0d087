/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave-launch --socket PATH --agent NAME --user USER --environment FD -- COMMAND…
 *
 * Only `wayleave run` starts it; all four options are always there, PATH, NAME and USER possibly
 * empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "launcher/launcher.h"

enum { EXIT_WAYLEAVE = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct options {
	const char *socket;
	const char *agent;
	const char *user;
	const char *environment;
	char **command;
};

static int take_options(struct options *o, int argc, char **argv)
{
	const struct {
		const char *name;
		const char **value;
	} table[] = {
		{"--socket", &o->socket},
		{"--agent", &o->agent},
		{"--user", &o->user},
		{"--environment", &o->environment},
	};
	int i = 1;

	for (size_t j = 0; j < ARRAY_SIZE(table); j++, i += 2) {
		if (i + 1 >= argc || strcmp(argv[i], table[j].name) != 0)
			return -EINVAL;
		*table[j].value = argv[i + 1];
	}
	if (i + 1 >= argc || strcmp(argv[i], "--") != 0)
		return -EINVAL;
	o->command = argv + i + 1;
	return 0;
}

static int take_environment(const char *number, char ***ret, struct error *e)
{
	uint64_t fd;

	if (text_to_number(slice_from_string(number), 1 << 20, &fd) < 0)
		return error_set(e, -EINVAL, "no descriptor of the environment");
	return environment_take((int)fd, ret, e);
}

/* In this order: the answer first, because a refusal must leave no trace; descriptors before the
 * cgroup, so that nothing foreign is ever held inside it; mounts while there is the privilege. */
static int prepare(
	const struct options *o, const struct caller *c, char ***ret_environment, struct error *e)
{
	struct run_request request = {o->agent, o->user};
	struct arena memory;
	struct run_plan plan;
	int r;

	arena_init(&memory, RUN_PLAN_MEMORY);
	r = take_environment(o->environment, ret_environment, e);
	if (r == 0)
		r = ask(c, *o->socket ? o->socket : NULL, &request, &memory, &plan, e);
	if (r == 0)
		r = descriptors_close(e);
	if (r == 0)
		r = enter_cgroup(&plan, e);
	if (r == 0)
		r = mounts_make(&plan, c, e);
	if (r == 0)
		r = confine(&plan, c, e);
	if (r == 0) {
		environment_set_user(ret_environment, &plan);
		environment_set_trust(ret_environment, &plan);
	}
	arena_done(&memory);
	return r;
}

/* What is wrong with the way in which it was started. */
static int check_start(struct options *o, int argc, char **argv, struct error *e)
{
	if (take_options(o, argc, argv) < 0)
		return error_set(e, -EINVAL, "wayleave-launch is for `wayleave run` alone");
	if (geteuid() != 0)
		return error_set(e, -EPERM, "%s is not installed setuid root", argv[0]);
	return 0;
}

/* Returns only where that fails. */
static int become(char **command, char **environment, struct error *e)
{
	/* execvp() looks the command up in the PATH of `environ`. */
	environ = environment;
	execvp(command[0], command);
	return error_set_errno(e, -errno, "%s", command[0]);
}

int main(int argc, char **argv)
{
	struct caller caller = {getuid(), getgid()};
	struct options options;
	char **environment = NULL;
	int status = EXIT_WAYLEAVE;
	struct error e;
	int r = check_start(&options, argc, argv, &e);

	if (r == 0)
		r = prepare(&options, &caller, &environment, &e);
	if (r == 0) {
		r = become(options.command, environment, &e);
		status = r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	}
	fprintf(stderr, "wayleave run: %s\n", e.text);
	environment_free(environment);
	return status;
}
