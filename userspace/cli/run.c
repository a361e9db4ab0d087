/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave run: hands the command line and the environment to the launcher, the setuid program that
 * does the work, and becomes it.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"

#define RUN_FAILED 125 /* as env(1): whatever is not the command's own status */
#define LAUNCHER "wayleave-launch"

struct run_options {
	const char *agent;
	const char *user;
	char **command;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: wayleave run [--agent NAME] [--user USER] -- COMMAND [ARGUMENT]…\n\n"
		"Starts the command inside the agent, which it can't leave, with this "
		"environment,\n"
		"working folder and terminal, and exits with its status.\n\n"
		"  --agent NAME  the agent; absent: the only one that you may start\n"
		"  --user USER   the user that it runs as; root alone may name another\n\n"
		"Exit status: the command's; 125 Wayleave failed, 126 the command could not be\n"
		"started, 127 it was not found.\n");
}

/* 0, or -EINVAL; 1: help was asked for. */
static int take_options(struct run_options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{"agent", required_argument, NULL, 'a'},
		{"user", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	/* "+": the command's own options are not ours. */
	while ((option = getopt_long(argc, argv, "+h", table, NULL)) != -1) {
		switch (option) {
		case 'a':
			o->agent = optarg;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'h':
			return 1;
		default:
			return -EINVAL;
		}
	}
	o->command = argv + optind;
	return optind < argc ? 0 : -EINVAL;
}

/* A descriptor, which is inherited by the launcher, of a file with the environment's strings. */
static int save_environment(void)
{
	int fd = memfd_create("environment", 0);
	int r = fd < 0 ? -errno : 0;

	for (char **entry = environ; r == 0 && *entry; entry++)
		r = file_write_all(fd, slice_of(*entry, strlen(*entry) + 1));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* WAYLEAVE_SOCKET goes as an option: the launcher gets no environment but as a file. */
static const char *find_socket(const struct cli *cli)
{
	const char *path = cli->socket ? cli->socket : getenv("WAYLEAVE_SOCKET");

	return path ? path : "";
}

/* Returns only where it fails, with what failed. */
static int exec_launcher(const struct cli *cli, const struct run_options *o, const char *launcher,
	const char *descriptor, int argc)
{
	const char *head[] = {launcher, "--socket", find_socket(cli), "--agent", o->agent, "--user",
		o->user, "--environment", descriptor, "--"};
	char **words = memory_new_array(ARRAY_SIZE(head) + (size_t)argc + 1, sizeof(*words));
	char *nothing[] = {NULL};
	size_t n = 0;
	int r;

	for (; n < ARRAY_SIZE(head); n++)
		words[n] = (char *)head[n];
	for (char **word = o->command; *word; word++)
		words[n++] = *word;
	execve(launcher, words, nothing);
	r = -errno;
	free(words);
	return r;
}

static int become_launcher(const struct cli *cli, const struct run_options *o, int argc)
{
	char *launcher = file_find_program(LAUNCHER), descriptor[16];
	int fd, r;

	if (!launcher)
		return cli_fail("run", RUN_FAILED, "%s is not installed", LAUNCHER);
	fd = r = save_environment();
	if (r >= 0) {
		snprintf(descriptor, sizeof(descriptor), "%d", fd);
		r = exec_launcher(cli, o, launcher, descriptor, argc);
		close(fd);
	}
	cli_fail("run", RUN_FAILED, "%s: %s", launcher, strerror(-r));
	free(launcher);
	return RUN_FAILED;
}

int cli_run(const struct cli *cli, int argc, char **argv)
{
	struct run_options options = {.agent = "", .user = ""};
	int r = take_options(&options, argc, argv);

	if (r > 0) {
		usage(stdout);
		return CLI_DONE;
	}
	if (r < 0) {
		usage(stderr);
		return RUN_FAILED;
	}
	return become_launcher(cli, &options, argc);
}
