/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave known-hosts: lines by which every program of this host knows our SSH host keys, and
 * beside them the real hosts', in the system's file and out of it again.
 */
#include "cli/known_hosts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/recordings.h"

#define GLOBAL_FILE "/etc/ssh/ssh_known_hosts"
#define FILE_MOST (16u << 20)

static bool is_ours(struct slice line)
{
	const struct slice mark = slice_from_string(" " SSH_KNOWN_MARK);

	return line.length > mark.length &&
		slice_equal(slice_from(line, line.length - mark.length), mark);
}

int known_hosts_append_others(struct slice text, struct buffer *ret)
{
	int r = 0;

	while (r == 0 && text.length) {
		const uint8_t *end = memchr(text.data, '\n', text.length);
		size_t length = end ? (size_t)(end - text.data) : text.length;

		if (!is_ours(slice_head(text, length)))
			r = buffer_append_slice(ret, slice_head(text, length + (end != NULL)));
		text = slice_from(text, length + 1);
	}
	return r;
}

/* What it is a link to stays one. */
static void find_file(char path[static PATH_MAX])
{
	if (!realpath(GLOBAL_FILE, path))
		snprintf(path, PATH_MAX, "%s", GLOBAL_FILE);
}

/* By rename, so that nobody reads half of it. A file of which nothing is left goes: it was made for
 * our lines. */
static int replace(const char *path, struct slice old, struct slice text, struct error *e)
{
	struct stat s;

	if (slice_equal(old, text))
		return 0;
	if (text.length == 0)
		return unlink(path) < 0 && errno != ENOENT ? error_set_errno(e, -errno, "%s", path)
							   : 0;
	return file_write(path, text, stat(path, &s) == 0 ? s.st_mode & 0777 : 0644, e);
}

/* Ours are first, so that the rest needs no change, whatever it ends in. */
static int rewrite(struct slice ours)
{
	char path[PATH_MAX];
	struct buffer old, text;
	struct error e = {""};
	int r = 0;

	find_file(path);
	buffer_init(&old, FILE_MOST);
	buffer_init(&text, FILE_MOST + CONTROL_PAYLOAD_MOST);
	if (access(path, F_OK) == 0)
		r = file_read(path, &old, &e);
	if (r == 0)
		r = buffer_append_slice(&text, ours);
	if (r == 0)
		r = known_hosts_append_others(buffer_slice(&old), &text);
	if (r == 0)
		r = replace(path, buffer_slice(&old), buffer_slice(&text), &e);
	buffer_done(&old);
	buffer_done(&text);
	if (r == 0)
		return CLI_DONE;
	return cli_fail("known-hosts", CLI_REFUSED, "%s", e.text[0] ? e.text : strerror(-r));
}

static int show(const struct cli *cli, struct slice lines)
{
	cJSON *json, *list;

	if (!cli->json) {
		printf("%.*s", SLICE_PRINT(lines));
		return CLI_DONE;
	}
	json = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(json, "lines");
	while (lines.length) {
		const uint8_t *end = memchr(lines.data, '\n', lines.length);
		struct slice line =
			slice_head(lines, end ? (size_t)(end - lines.data) : lines.length);
		char *copy = memory_copy_text(line.data, line.length);

		cJSON_AddItemToArray(list, cJSON_CreateString(copy));
		free(copy);
		lines = slice_from(lines, line.length + 1);
	}
	cli_json_print_line(json);
	return CLI_DONE;
}

static int install(struct slice lines)
{
	if (lines.length == 0)
		return cli_fail("known-hosts", CLI_REFUSED,
			"no resource of protocol ssh has a name or address");
	return rewrite(lines);
}

int cli_known_hosts(const struct cli *cli, int argc, char **argv)
{
	const char *verb = argc == 2 ? argv[1] : "";
	bool shows = strcmp(verb, "show") == 0;
	struct buffer lines;
	int result;

	/* No daemon is needed for it. */
	if (strcmp(verb, "remove") == 0)
		return rewrite(SLICE_EMPTY);
	if (!shows && strcmp(verb, "install") != 0)
		return cli_usage(argc, argv,
			"usage: wayleave known-hosts show [--json] | install | remove\n\n"
			"The keys by which programs of this host know Wayleave as an SSH "
			"server.\n\n"
			"  show     print them as lines of known_hosts, with the real hosts' keys\n"
			"  install  put these into " GLOBAL_FILE "\n"
			"  remove   take them out again\n");
	buffer_init(&lines, CONTROL_PAYLOAD_MOST + 1);
	result = cli_fetch_of(
		cli, "known-hosts", CONTROL_CA, slice_from_string("known_hosts"), &lines);
	if (result == CLI_DONE)
		result = shows ? show(cli, buffer_slice(&lines)) : install(buffer_slice(&lines));
	buffer_done(&lines);
	return result;
}
