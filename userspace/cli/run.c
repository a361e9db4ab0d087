/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave run: hands the command line and the environment to the launcher, the setuid program that
 * does the work, and becomes it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "cli/cli.h"

#define RUN_FAILED 125 /* as env(1): whatever is not the command's own status */
#define LAUNCHER "wayleave-launch"

struct run_options {
	bool unit;
	const char *agent;
	const char *user;
	const char *token_file; /* NULL: none */
	char **command;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: wayleave run [--agent NAME] [--user USER] [--token-file FILE] -- COMMAND "
		"[ARGUMENT]…\n"
		"       wayleave run --unit [--agent NAME] [--user USER] -- COMMAND "
		"[ARGUMENT]…\n\n"
		"Starts the command inside the agent, which it can't leave, with this "
		"environment,\n"
		"working folder and terminal, and exits with its status.\n\n"
		"  --agent NAME  the agent; absent: the only one that you may start\n"
		"  --user USER   the user that it runs as; root alone may name another\n"
		"  --token-file FILE  a token that says whom this command acts for; it is read "
		"again when\n"
		"                it changes. From a pipe, or /dev/fd/N, once\n"
		"  --unit        for the ExecStart=+ of a unit whose cgroup is the agent's: it "
		"stays in it,\n"
		"                and the user is the unit's User=. Root alone\n\n"
		"Exit status: the command's; 125 Wayleave failed, 126 the command could not be\n"
		"started, 127 it was not found.\n");
}

/* 0, or -EINVAL; 1: help was asked for. */
static int take_options(struct run_options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{"agent", required_argument, NULL, 'a'},
		{"user", required_argument, NULL, 'u'},
		{"token-file", required_argument, NULL, 't'},
		{"unit", no_argument, NULL, 'U'},
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
		case 't':
			o->token_file = optarg;
			break;
		case 'U':
			o->unit = true;
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

/* Of what can't change, or is another file for another process, there is nothing to follow. */
static bool can_be_followed(int fd, const char *path)
{
	struct stat s;

	return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && strncmp(path, "/dev/", 5) != 0 &&
		strncmp(path, "/proc/", 6) != 0;
}

static char *make_absolute(const char *path)
{
	char *folder = *path == '/' ? NULL : getcwd(NULL, 0);
	char *absolute = folder ? memory_format("%s/%s", folder, path) : memory_copy_string(path);

	free(folder);
	return absolute;
}

static int replace_if_same(int fd, const struct stat *file)
{
	int null, flags = fcntl(fd, F_GETFD), r = 0;
	struct stat s;

	if (flags < 0 || flags & FD_CLOEXEC || fstat(fd, &s) < 0 || s.st_dev != file->st_dev ||
		s.st_ino != file->st_ino)
		return 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, fd) < 0)
		r = -errno;
	if (null >= 0)
		close(null);
	return r;
}

/* What the command would inherit of the file, as by /dev/fd/N, would be the token for it to read.
 */
static int hide_file(int from)
{
	DIR *listing = opendir("/proc/self/fd");
	struct dirent *entry;
	struct stat file;
	int r = 0;

	if (!listing)
		return -errno;
	if (fstat(from, &file) < 0)
		r = -errno;
	while (r == 0 && S_ISREG(file.st_mode) && (entry = readdir(listing))) {
		if (entry->d_name[0] != '.')
			r = replace_if_same((int)strtol(entry->d_name, NULL, 10), &file);
	}
	closedir(listing);
	return r;
}

/* Read here, with the caller's own rights: the launcher gets it in a file without a name. Also
 * `ret_followed`, for free(): the path, if the file is to be read again. */
static int save_token(const char *path, char **ret_followed)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), fd = -1, r;
	struct buffer token;

	if (from < 0)
		return -errno;
	buffer_init(&token, LIMIT_TOKEN_BYTES);
	r = file_read_descriptor(from, &token);
	if (r == 0) {
		fd = memfd_create("token", 0);
		r = fd < 0 ? -errno : file_write_all(fd, buffer_slice(&token));
	}
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		*ret_followed =
			can_be_followed(from, path) ? make_absolute(path) : memory_copy_string("");
	if (r == 0)
		r = hide_file(from);
	buffer_wipe(&token);
	close(from);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
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

/* What the launcher gets beside the words: descriptors as text. */
struct inputs {
	char environment[16], token[16];
	char *token_file; /* absolute; empty: nothing is to be followed */
};

/* Returns only where it fails, with what failed. */
static int exec_launcher(const struct cli *cli, const struct run_options *o,
	const struct inputs *inputs, const char *launcher, int argc)
{
	const char *head[] = {launcher, "--socket", find_socket(cli), "--unit",
		o->unit ? "yes" : "", "--agent", o->agent, "--user", o->user, "--token",
		inputs->token, "--token-file", inputs->token_file, "--environment",
		inputs->environment, "--"};
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

/* An exit status, with the sentence printed, or 0. */
static int make_inputs(const struct run_options *o, struct inputs *ret)
{
	int fd = save_environment();

	if (fd < 0)
		return cli_fail("run", RUN_FAILED, "the environment: %s", strerror(-fd));
	snprintf(ret->environment, sizeof(ret->environment), "%d", fd);
	if (!o->token_file) {
		ret->token_file = memory_copy_string("");
		return 0;
	}
	fd = save_token(o->token_file, &ret->token_file);
	if (fd < 0)
		return cli_fail("run", RUN_FAILED, "--token-file: %s: %s", o->token_file,
			fd == -E2BIG ? "it is too long for a token" : strerror(-fd));
	snprintf(ret->token, sizeof(ret->token), "%d", fd);
	return 0;
}

static int become_launcher(const struct cli *cli, const struct run_options *o, int argc)
{
	char *launcher = file_find_program(LAUNCHER);
	struct inputs inputs = {.token = ""};
	int r;

	if (!launcher)
		return cli_fail("run", RUN_FAILED, "%s is not installed", LAUNCHER);
	r = make_inputs(o, &inputs);
	if (r == 0) {
		r = exec_launcher(cli, o, &inputs, launcher, argc);
		cli_fail("run", RUN_FAILED, "%s: %s", launcher, strerror(-r));
	}
	free(inputs.token_file);
	free(launcher);
	return RUN_FAILED;
}

/* Who the unit is to run as: systemd says it (systemd.exec(5), $USER), and leaves to us what a +
 * takes from it. Later versions of it say root where a unit has no User=. */
static int take_unit_user(struct run_options *o)
{
	const char *user = getenv("USER");

	if (o->token_file)
		return cli_fail("run", RUN_FAILED,
			"--unit: a unit's token is its agent's: \"token_file\" in its "
			"\"identity\"");
	if (*o->user)
		return 0;
	if (!user || !*user || strcmp(user, "root") == 0)
		return cli_fail("run", RUN_FAILED,
			"--unit: the unit has no User=; --user root would be the weak form");
	o->user = user;
	return 0;
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
	r = options.unit ? take_unit_user(&options) : 0;
	return r ? r : become_launcher(cli, &options, argc);
}
