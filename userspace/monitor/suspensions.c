/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "monitor/monitor.h"

#define SUSPENDED_FILE "suspended"

static char *path_of(const struct monitor *m)
{
	return memory_format("%s/" SUSPENDED_FILE, m->config->state_dir.text);
}

static size_t find(const struct suspensions *all, const char *name)
{
	size_t i = 0;

	while (i < all->count && strcmp(all->names[i], name) != 0)
		i++;
	return i;
}

bool suspensions_has(const struct suspensions *all, const char *name)
{
	return find(all, name) < all->count;
}

static void add(struct suspensions *all, const char *name, size_t length)
{
	all->names = memory_resize_array(all->names, all->count + 1, sizeof(*all->names));
	all->names[all->count++] = memory_copy_text(name, length);
}

/* One name in a line. */
int suspensions_load(struct monitor *m, struct error *e)
{
	char *path = path_of(m);
	struct buffer text;
	struct slice rest;
	int r = 0;

	buffer_init(&text, LIMIT_CONFIG_FILE_BYTES);
	if (access(path, F_OK) == 0)
		r = file_read(path, &text, e);
	rest = buffer_slice(&text);
	while (r == 0 && rest.length) {
		const uint8_t *end = memchr(rest.data, '\n', rest.length);
		size_t length = end ? (size_t)(end - rest.data) : rest.length;

		if (length)
			add(&m->identities.suspensions, (const char *)rest.data, length);
		rest = slice_from(rest, length + 1);
	}
	buffer_done(&text);
	free(path);
	return r;
}

static int save(struct monitor *m, struct error *e)
{
	const struct suspensions *all = &m->identities.suspensions;
	char *path = path_of(m);
	struct buffer text;
	int r = 0;

	buffer_init(&text, LIMIT_CONFIG_FILE_BYTES);
	for (size_t i = 0; r == 0 && i < all->count; i++)
		r = buffer_append_format(&text, "%s\n", all->names[i]);
	r = r < 0 ? error_set_errno(e, r, "%s", path)
		  : file_write(path, buffer_slice(&text), 0600, e);
	buffer_done(&text);
	free(path);
	return r;
}

static void set(struct suspensions *all, const char *name, bool suspended)
{
	size_t i = find(all, name);

	if (suspended) {
		add(all, name, strlen(name));
		return;
	}
	free(all->names[i]);
	all->names[i] = all->names[--all->count];
}

static struct identity *find_agent(struct identities *all, struct slice name)
{
	for (size_t i = 0; i < all->count; i++) {
		if (slice_equal_string(name, all->items[i].name))
			return &all->items[i];
	}
	return NULL;
}

/* On disk and in the audit log before it holds: after a restart it is as it was said to be. */
static int change(struct monitor *m, const struct asker *who, struct slice name, bool suspended,
	struct error *e)
{
	struct identities *all = &m->identities;
	struct identity *item = find_agent(all, name);
	char detail[64];
	int r;

	if (!item)
		return error_set(e, -ENOENT, "there is no agent \"%.*s\"",
			name.length < 64 ? (int)name.length : 64, (const char *)name.data);
	if (item->suspended == suspended)
		return 0;
	snprintf(detail, sizeof(detail), "%s by user %u", suspended ? "suspended" : "resumed",
		(unsigned)who->uid);
	r = store_note(m->store, HOST_AGENT, name, slice_from_string(detail));
	if (r < 0)
		return error_set_errno(e, r, "it could not be recorded");
	set(&all->suspensions, item->name, suspended);
	r = save(m, e);
	if (r < 0) {
		set(&all->suspensions, item->name, !suspended);
		return r;
	}
	item->suspended = suspended;
	for (size_t i = 0; i < all->run_count; i++) {
		if (all->runs[i].agent == item->agent)
			all->runs[i].suspended = suspended;
	}
	identities_tell(m);
	return 0;
}

int suspensions_on_suspend(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	return change(m, who, request, true, &ret->error);
}

int suspensions_on_resume(
	struct monitor *m, const struct asker *who, struct slice request, struct answer *ret)
{
	return change(m, who, request, false, &ret->error);
}

void suspensions_done(struct suspensions *all)
{
	for (size_t i = 0; i < all->count; i++)
		free(all->names[i]);
	free(all->names);
}
