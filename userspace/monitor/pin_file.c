/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/pin_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"

/* A page has a whole number of slots: none is written in two steps. */
#define SLOT_SIZE 512u
#define FILE_MOST (LIMIT_PINNED * SLOT_SIZE)

struct slot {
	char boot[BOOT_ID_SIZE];
	uint8_t address[16];
	uint64_t until; /* monotonic, nanoseconds */
	uint32_t agent;
	char name[PINNED_NAME_SIZE];
	uint8_t unused[SLOT_SIZE - BOOT_ID_SIZE - 16 - 8 - 4 - PINNED_NAME_SIZE];
};
static_assert(sizeof(struct slot) == SLOT_SIZE, "struct slot");

static bool is_good(const struct pin_file *f, const struct slot *s, uint64_t now)
{
	uint64_t longest =
		(uint64_t)(LIMIT_PINNED_LIFETIME + LIMIT_PINNED_KEPT) * NANOSECONDS_PER_SECOND;

	return s->agent && memcmp(s->boot, f->boot, sizeof(s->boot)) == 0 && s->until > now &&
		s->until - now <= longest && s->name[0] && memchr(s->name, 0, sizeof(s->name));
}

static void take(
	const struct pin_file *f, struct slice bytes, struct pinned_table *table, uint64_t now)
{
	for (; bytes.length >= SLOT_SIZE; bytes = slice_from(bytes, SLOT_SIZE)) {
		struct address address;
		struct slot s;
		uint32_t at;

		memcpy(&s, bytes.data, sizeof(s));
		memcpy(address.bytes, s.address, sizeof(address.bytes));
		if (is_good(f, &s, now))
			pinned_put(table, s.agent, s.name, &address, now, s.until, &at);
	}
}

static void fill(
	const struct pin_file *f, const struct pinned_table *table, uint32_t at, struct slot *ret)
{
	*ret = (struct slot){.agent = table->agents[at], .until = table->until[at]};
	memcpy(ret->boot, f->boot, sizeof(ret->boot));
	memcpy(ret->address, table->addresses[at].bytes, sizeof(ret->address));
	snprintf(ret->name, sizeof(ret->name), "%s", table->names[at]);
}

static int write_all(const struct pin_file *f, const char *path, const struct pinned_table *table,
	struct error *e)
{
	struct buffer content;
	int r = 0;

	buffer_init(&content, FILE_MOST);
	for (uint32_t i = 0; r == 0 && i < table->count; i++) {
		struct slot s;

		fill(f, table, i, &s);
		r = buffer_append(&content, &s, sizeof(s));
	}
	if (r == 0)
		r = file_write(path, buffer_slice(&content), 0600, e);
	buffer_done(&content);
	return r;
}

int pin_file_open(struct pin_file *ret, const char *path, struct pinned_table *table, uint64_t now,
	struct error *e)
{
	struct pin_file f = {.fd = -1};
	struct buffer content;
	int r = boot_id_read(f.boot, e);

	ret->fd = -1;
	if (r < 0)
		return r;
	buffer_init(&content, FILE_MOST);
	if (file_read(path, &content, e) == 0)
		take(&f, buffer_slice(&content), table, now);
	buffer_done(&content);
	r = write_all(&f, path, table, e);
	if (r < 0)
		return r;
	f.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (f.fd < 0)
		return error_set_errno(e, -errno, "%s", path);
	*ret = f;
	return 0;
}

void pin_file_close(struct pin_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

int pin_file_put(struct pin_file *f, const struct pinned_table *table, uint32_t at)
{
	struct slot s;
	ssize_t n;

	if (f->fd < 0)
		return 0;
	fill(f, table, at, &s);
	n = pwrite(f->fd, &s, sizeof(s), (off_t)at * (off_t)sizeof(s));
	return n < 0 ? -errno : n == (ssize_t)sizeof(s) ? 0 : -ENOSPC;
}
