/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "monitor/monitor.h"

#define READ_DELAY (100 * NANOSECONDS_PER_MILLISECOND) /* who writes a file may not be done yet */
/* Links lead to folders that are not watched, and folders are made later. */
#define POLL_TIME (5 * NANOSECONDS_PER_SECOND)

/* Without waiting for the other end of a pipe or running a device: an agent may own the place. */
static int read_token(struct identity *item, struct buffer *ret)
{
	int fd = open(item->token_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat s;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &s) < 0)
		r = -errno;
	else if (!S_ISREG(s.st_mode))
		r = S_ISDIR(s.st_mode) ? -EISDIR : -EINVAL;
	else
		r = file_read_descriptor(fd, ret);
	close(fd);
	if (r < 0)
		return r;
	if (s.st_mode & (S_IROTH | S_IWOTH) && !item->open_to_all)
		log_warning("agent %s: token_file: %s is open to every user (mode %04o)",
			item->name, item->token_file, s.st_mode & 07777u);
	item->open_to_all = s.st_mode & (S_IROTH | S_IWOTH);
	return 0;
}

static void refuse_token(struct monitor *m, struct identity *item, int error)
{
	char *problem =
		memory_format("the token of this agent can't be read: %s: %s", item->token_file,
			error == -E2BIG            ? "it is too long for a token"
				: error == -EINVAL ? "it is no file"
						   : strerror(-error));

	if (item->readable || buffer_length(&item->entry) == 0)
		item->serial = ++m->identities.last_serial;
	item->readable = false;
	buffer_wipe(&item->token);
	identity_set_problem(m, item, problem);
	free(problem);
}

static void watch_folder(struct monitor *m, const struct identity *item)
{
	char *copy = memory_copy_string(item->token_file);

	inotify_add_watch(m->identities.files.watch.fd, dirname(copy),
		IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB);
	free(copy);
}

static void read_all(struct monitor *m)
{
	struct buffer token;

	buffer_init(&token, LIMIT_TOKEN_BYTES);
	for (size_t i = 0; i < m->identities.count; i++) {
		struct identity *item = &m->identities.items[i];
		int r;

		if (!item->token_file)
			continue;
		watch_folder(m, item);
		buffer_clear(&token);
		r = read_token(item, &token);
		if (r < 0)
			refuse_token(m, item, r);
		else
			identity_take_token(m, item, buffer_slice(&token));
	}
	buffer_wipe(&token);
}

static void on_watch(struct loop_source *source)
{
	struct monitor *m = source->context;
	uint8_t events[4096];

	while (read(source->fd, events, sizeof(events)) > 0)
		;
	if (!m->identities.files.read_at)
		m->identities.files.read_at = clock_monotonic() + READ_DELAY;
}

void token_files_turn(struct monitor *m, uint64_t now)
{
	struct token_files *files = &m->identities.files;

	if ((files->read_at && now >= files->read_at) || now >= files->next_poll) {
		files->read_at = 0;
		files->next_poll = now + POLL_TIME;
		read_all(m);
	}
}

void token_files_configure(struct monitor *m)
{
	m->identities.files.next_poll = 0;
}

int token_files_open(struct monitor *m, struct error *e)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return error_set_errno(e, -errno, "inotify_init1");
	return loop_add(&m->loop, &m->identities.files.watch, fd, on_watch, m);
}
