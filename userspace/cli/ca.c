/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave ca: the authority whose certificates agents see: shown, put into the system's store, and
 * taken out of it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/recordings.h"

#define STORE_FOLDER "/usr/local/share/ca-certificates"
#define STORE_FILE STORE_FOLDER "/wayleave.crt"
#define UPDATE "/usr/sbin/update-ca-certificates"

/* `option` may be NULL. */
static int update_store(const char *option)
{
	char *words[] = {(char *)"update-ca-certificates", (char *)option, NULL};
	char *environment[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t quiet;
	int status = -1, r;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	r = posix_spawn(&pid, UPDATE, &quiet, NULL, words, environment);
	posix_spawn_file_actions_destroy(&quiet);
	if (r != 0)
		return cli_fail("ca", CLI_REFUSED, "%s: %s", UPDATE, strerror(r));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return cli_fail("ca", CLI_REFUSED, "%s failed", UPDATE);
	return CLI_DONE;
}

static void print_certificate(struct slice pem)
{
	cJSON *json = cJSON_CreateObject();

	json_add_text(json, "certificate", pem);
	cli_json_print_line(json);
}

static int show(const struct cli *cli, struct slice pem)
{
	if (cli->json)
		print_certificate(pem);
	else
		printf("%.*s", SLICE_PRINT(pem));
	return CLI_DONE;
}

static int install(const struct cli *cli, struct slice pem)
{
	struct error e;

	(void)cli;
	if (access(UPDATE, X_OK) < 0)
		return cli_fail("ca", CLI_REFUSED,
			"%s is not here; put the certificate of `wayleave ca show` into this "
			"system's store by its own means",
			UPDATE);
	if (file_make_folders(STORE_FOLDER, 0755, &e) < 0 ||
		file_write(STORE_FILE, pem, 0644, &e) < 0)
		return cli_fail("ca", CLI_REFUSED, "%s", e.text);
	return update_store(NULL);
}

/* No daemon is needed for it. */
static int remove_certificate(void)
{
	if (unlink(STORE_FILE) < 0 && errno != ENOENT)
		return cli_fail("ca", CLI_REFUSED, STORE_FILE ": %s", strerror(errno));
	/* Else what was made of the file stays. */
	return access(UPDATE, X_OK) < 0 ? CLI_DONE : update_store("--fresh");
}

static int show_line(const struct cli *cli, struct slice line)
{
	cJSON *json;

	if (!cli->json) {
		printf("%.*s", SLICE_PRINT(line));
		return CLI_DONE;
	}
	json = cJSON_CreateObject();
	json_add_text(json, "ssh_ca", slice_head(line, line.length ? line.length - 1 : 0));
	cli_json_print_line(json);
	return CLI_DONE;
}

static int with_certificate(const struct cli *cli, const char *which,
	int (*act)(const struct cli *cli, struct slice text))
{
	struct buffer payload;
	int result;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST + 1);
	result = cli_fetch_of(cli, "ca", CONTROL_CA, slice_from_string(which), &payload);
	if (result == CLI_DONE)
		result = act(cli, buffer_slice(&payload));
	buffer_done(&payload);
	return result;
}

int cli_ca(const struct cli *cli, int argc, char **argv)
{
	const char *verb = argc == 2 ? argv[1] : "";

	if (strcmp(verb, "show") == 0)
		return with_certificate(cli, "", show);
	if (argc == 3 && strcmp(argv[1], "show") == 0 && strcmp(argv[2], "--ssh") == 0)
		return with_certificate(cli, "ssh", show_line);
	if (strcmp(verb, "install") == 0)
		return with_certificate(cli, "", install);
	if (strcmp(verb, "remove") == 0)
		return remove_certificate();
	return cli_usage(argc, argv,
		"usage: wayleave ca show [--ssh] [--json] | install | remove\n\n"
		"The authority whose certificates agents see.\n\n"
		"  show     print its certificate (PEM); with --ssh the key that signs logins\n"
		"           of resources with \"ca: true\", for sshd's TrustedUserCAKeys\n"
		"  install  put it into the system's store, for programs that read that\n"
		"  remove   take it out again\n");
}
