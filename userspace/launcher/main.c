/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave-launch --socket PATH --unit yes --agent NAME --user USER --token FD --token-file FILE
 *	--environment FD -- COMMAND…
 *
 * Only `wayleave run` starts it; all options are always there, all but --environment possibly
 * empty. --unit: for a unit of systemd, which has put us into the agent's cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "launcher/launcher.h"

enum { EXIT_WAYLEAVE = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

struct options {
	const char *socket;
	const char *unit;
	const char *agent;
	const char *user;
	const char *token;
	const char *token_file;
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
		{"--unit", &o->unit},
		{"--agent", &o->agent},
		{"--user", &o->user},
		{"--token", &o->token},
		{"--token-file", &o->token_file},
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

static int take_descriptor(const char *number, int *ret, struct error *e)
{
	uint64_t fd;

	if (text_to_number(slice_from_string(number), 1 << 20, &fd) < 0)
		return error_set(e, -EINVAL, "\"%s\" is no descriptor", number);
	*ret = (int)fd;
	return 0;
}

/* What `wayleave run` hands over in files without names. */
static int take_inputs(
	const struct options *o, char ***ret_environment, char **ret_token, struct error *e)
{
	int fd, r = take_descriptor(o->environment, &fd, e);

	if (r == 0)
		r = environment_take(fd, ret_environment, e);
	if (r == 0 && *o->token) {
		r = take_descriptor(o->token, &fd, e);
		if (r == 0)
			r = token_take(fd, ret_token, e);
	}
	return r;
}

/* The command has no need of the file, and others could be after it. */
static int hide_token_file(
	const struct options *o, struct arena *memory, struct run_plan *plan, struct error *e)
{
	size_t count = plan->hidden_count;
	const char **hidden = arena_new_array(memory, count + 1, sizeof(*hidden));

	if (!hidden)
		return error_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		hidden[i] = plan->hidden[i];
	hidden[count] = o->token_file;
	plan->hidden = hidden;
	plan->hidden_count = count + 1;
	return 0;
}

static int follow_token(const struct options *o, const struct caller *c, const char *token,
	struct arena *memory, struct run_plan *plan, struct error *e)
{
	const struct follow follow = {c, *o->socket ? o->socket : NULL, o->token_file, token};
	int r = hide_token_file(o, memory, plan, e);

	return r < 0 ? r : follow_start(&follow, plan, e);
}

/* What the command sees, and no more than that. */
static int make_view(struct run_plan *plan, const struct caller *c, char *const *environment,
	struct arena *memory, struct error *e)
{
	struct buffer hosts;
	int r = user_known_hosts_read(plan, &hosts, e);

	if (r == 0)
		r = key_sockets_show(plan, run_user(plan, c), environment, memory, e);
	if (r == 0)
		r = mounts_make(plan, c, environment, e);
	if (r == 0)
		r = kubeconfig_show(environment, plan, c, e);
	if (r == 0)
		r = user_known_hosts_show(environment, plan, c, &hosts, e);
	buffer_done(&hosts);
	return r;
}

/* In this order: the answer first, because a refusal must leave no trace; descriptors before the
 * cgroup, so that nothing foreign is ever held inside it; mounts while there is the privilege. */
static int prepare(
	const struct options *o, const struct caller *c, char ***ret_environment, struct error *e)
{
	struct run_request request = {o->agent, o->user, NULL};
	struct arena memory;
	struct run_plan plan;
	char *token = NULL;
	int r;

	arena_init(&memory, RUN_PLAN_MEMORY);
	r = take_inputs(o, ret_environment, &token, e);
	request.token = token;
	if (r == 0)
		r = ask(c, *o->socket ? o->socket : NULL, *o->unit ? CONTROL_UNIT : CONTROL_RUN,
			&request, &memory, &plan, e);
	if (r == 0 && *o->token_file)
		r = follow_token(o, c, token, &memory, &plan, e);
	if (token)
		memory_wipe(token, strlen(token));
	free(token);
	if (r == 0)
		r = descriptors_close(e);
	if (r == 0 && !*o->unit)
		r = enter_cgroup(&plan, e);
	if (r == 0)
		r = make_view(&plan, c, *ret_environment, &memory, e);
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
