/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "monitor/own_keys.h"
#include "monitor/process.h"

#define STATUS_MOST 65536u

/* --- what it says of itself --- */

/* What stands behind "NAME:" in a line of its own. The kernel escapes newlines of the process's
 * name, so that it can't add a line. */
static bool find_line(struct slice text, const char *name, struct slice *ret)
{
	size_t length = strlen(name);

	while (text.length) {
		const uint8_t *end = memchr(text.data, '\n', text.length);
		struct slice line = slice_head(text, end ? (size_t)(end - text.data) : text.length);

		if (slice_starts_with(line, slice_of(name, length))) {
			*ret = slice_from(line, length);
			return true;
		}
		text = slice_from(text, line.length + 1);
	}
	return false;
}

/* The next number between blanks; 1, or 0: there is none, or -EBADMSG. */
static int take_number(struct slice *line, uint64_t *ret)
{
	size_t n = 0;
	int r;

	while (line->length && (line->data[0] == ' ' || line->data[0] == '\t'))
		*line = slice_from(*line, 1);
	while (n < line->length && line->data[n] != ' ' && line->data[n] != '\t')
		n++;
	if (n == 0)
		return 0;
	r = text_to_number(slice_head(*line, n), UINT32_MAX, ret);
	*line = slice_from(*line, n);
	return r < 0 ? -EBADMSG : 1;
}

static int parse_first(struct slice text, const char *name, uint32_t *ret)
{
	struct slice line;
	uint64_t number;

	if (!find_line(text, name, &line) || take_number(&line, &number) != 1)
		return -EBADMSG;
	*ret = (uint32_t)number;
	return 0;
}

int owner_parse_status(struct slice text, struct owner *ret)
{
	struct slice line;
	uint64_t number;
	int r = parse_first(text, "Uid:", &ret->uid);

	if (r == 0)
		r = parse_first(text, "Gid:", &ret->gid);
	if (r == 0 && !find_line(text, "Groups:", &line))
		r = -EBADMSG;
	ret->group_count = 0;
	while (r == 0 && (r = take_number(&line, &number)) == 1) {
		if (ret->group_count == OWNER_GROUPS_MOST)
			return -E2BIG;
		ret->groups[ret->group_count++] = (gid_t)number;
		r = 0;
	}
	return r;
}

char *owner_find_variable(struct slice environment, const char *name)
{
	size_t length = strlen(name);

	while (environment.length) {
		const uint8_t *end = memchr(environment.data, '\0', environment.length);
		struct slice text = slice_head(
			environment, end ? (size_t)(end - environment.data) : environment.length);

		if (text.length > length && memcmp(text.data, name, length) == 0 &&
			text.data[length] == '=')
			return text.length == length + 1 ? NULL
							 : memory_copy_text(text.data + length + 1,
								   text.length - length - 1);
		environment = slice_from(environment, text.length + 1);
	}
	return NULL;
}

/* --- reading it --- */

static int read_file(int folder, const char *name, struct buffer *ret)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = file_read_descriptor(fd, ret);
	close(fd);
	return r;
}

static int read_status(int folder, struct owner *ret)
{
	struct buffer text;
	int r;

	buffer_init(&text, STATUS_MOST);
	r = read_file(folder, "status", &text);
	if (r == 0)
		r = owner_parse_status(buffer_slice(&text), ret);
	buffer_done(&text);
	return r;
}

static int read_environment(int folder, struct owner *ret)
{
	struct buffer text;
	int r;

	buffer_init(&text, OWNER_ENVIRONMENT_MOST);
	r = read_file(folder, "environ", &text);
	if (r == 0) {
		ret->socket = owner_find_variable(buffer_slice(&text), "SSH_AUTH_SOCK");
		ret->home = owner_find_variable(buffer_slice(&text), "HOME");
	}
	buffer_done(&text);
	return r;
}

static int open_root(int folder, struct owner *ret)
{
	ret->root = openat(folder, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return ret->root < 0 ? -errno : 0;
}

int owner_read(const struct own_keys_start *start, struct owner *ret, struct error *e)
{
	int folder, r;

	*ret = (struct owner){.root = -1};
	folder = start->cgroup[0] ? process_open(&start->process, start->cgroup) : -ESRCH;
	if (folder < 0)
		return error_set(e, folder, "the process that connected is gone");
	r = read_status(folder, ret);
	if (r == 0)
		r = read_environment(folder, ret);
	if (r == 0)
		r = open_root(folder, ret);
	/* Last, so that all of it was read of the same program of the same process. */
	if (r == 0)
		r = process_check(folder, &start->process);
	if (r == 0 && ret->uid != start->uid)
		r = -ESRCH;
	close(folder);
	if (r < 0)
		return error_set_errno(e, r, "the process that connected can't be read");
	/* Root's sockets are the administrator's too. */
	if (ret->uid == 0)
		return error_set(e, -EPERM, "keys of agents that run as root are not used");
	return 0;
}

void owner_done(struct owner *o)
{
	if (o->root >= 0)
		close(o->root);
	free(o->socket);
	free(o->home);
}

int owner_open(const struct owner *o, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	if (path[0] != '/')
		return -EINVAL;
	fd = syscall(SYS_openat2, o->root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}
