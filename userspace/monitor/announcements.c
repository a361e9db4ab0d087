/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/announcements.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

enum statement { INSERT, UPDATE, DELETE, STATEMENT_COUNT };

struct announcements {
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct list list;
	unsigned count;
	uint32_t last_agent; /* whose was to be told last */
};

/* What is lost with the power are names of messages, no decisions: nothing waits for the disk. */
static const char setup[] =
	"pragma journal_mode = wal;"
	"pragma synchronous = normal;"
	"create table if not exists messages (review text not null, channel text not null,"
	" time text not null, posted integer not null, primary key (review, channel));";

static const char *const texts[STATEMENT_COUNT] = {
	[INSERT] = "insert or replace into messages (review, channel, time, posted)"
		   " values (?1, ?2, ?3, ?4)",
	[UPDATE] = "update messages set time = ?3, posted = ?4 where review = ?1 and channel = ?2",
	[DELETE] = "delete from messages where review = ?1 and channel = ?2",
};

static int fail(struct announcements *a, const char *path, struct error *e)
{
	return error_set(
		e, -EIO, "%s: %s", path, a->database ? sqlite3_errmsg(a->database) : "no memory");
}

/* --- memory --- */

static struct announcement *remember(struct announcements *a, const char *review,
	const char *channel, const char *time, enum broker_posted posted)
{
	struct announcement *item = memory_new(sizeof(*item));

	snprintf(item->place.review.text, sizeof(item->place.review.text), "%s", review);
	snprintf(item->place.channel, sizeof(item->place.channel), "%s", channel);
	snprintf(item->place.time, sizeof(item->place.time), "%s", time);
	item->posted = posted;
	item->changed = item->soon = posted != BROKER_POSTED_OUTCOME;
	list_append(&a->list, &item->link);
	a->count++;
	return item;
}

static void forget(struct announcements *a, struct announcement *item)
{
	list_remove(&item->link);
	a->count--;
	free(item);
}

struct list *announcements_list(struct announcements *a)
{
	return &a->list;
}

struct announcement *announcements_find(
	struct announcements *a, const struct identifier *review, const char *channel)
{
	list_for_each (position, &a->list) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (strcmp(item->place.review.text, review->text) == 0 &&
			strcmp(item->place.channel, channel) == 0)
			return item;
	}
	return NULL;
}

/* --- disk --- */

static int load(struct announcements *a)
{
	sqlite3_stmt *rows;
	int r = sqlite3_prepare_v2(a->database,
		"select review, channel, time, posted from messages order by rowid", -1, &rows,
		NULL);

	while (r == SQLITE_OK && sqlite3_step(rows) == SQLITE_ROW)
		remember(a, (const char *)sqlite3_column_text(rows, 0),
			(const char *)sqlite3_column_text(rows, 1),
			(const char *)sqlite3_column_text(rows, 2),
			(enum broker_posted)sqlite3_column_int(rows, 3))
			->kept = true;
	if (r == SQLITE_OK)
		r = sqlite3_finalize(rows);
	return r;
}

int announcements_open(const char *path, struct announcements **ret, struct error *e)
{
	/* With the mode that SQLite gives to the files beside it too. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;
	struct announcements *a;

	if (fd < 0)
		return error_set_errno(e, -errno, "%s", path);
	close(fd);
	a = memory_new(sizeof(*a));
	list_init(&a->list);
	r = sqlite3_open_v2(path, &a->database, SQLITE_OPEN_READWRITE, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_exec(a->database, setup, NULL, NULL, NULL);
	if (r == SQLITE_OK)
		r = load(a);
	for (size_t i = 0; r == SQLITE_OK && i < STATEMENT_COUNT; i++)
		r = sqlite3_prepare_v2(a->database, texts[i], -1, &a->statements[i], NULL);
	if (r != SQLITE_OK) {
		r = fail(a, path, e);
		announcements_close(a);
		return r;
	}
	*ret = a;
	return 0;
}

void announcements_close(struct announcements *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(a->statements[i]);
	sqlite3_close(a->database);
	list_for_each_safe (position, &a->list)
		forget(a, list_entry(position, struct announcement, link));
	free(a);
}

/* What can't be written is still in memory; it is missed only after a restart. */
static void write_row(
	struct announcements *a, enum statement which, const struct announcement *item)
{
	sqlite3_stmt *s = a->statements[which];

	sqlite3_bind_text(s, 1, item->place.review.text, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, item->place.channel, -1, SQLITE_STATIC);
	if (which != DELETE) {
		sqlite3_bind_text(s, 3, item->place.time, -1, SQLITE_STATIC);
		sqlite3_bind_int(s, 4, item->posted);
	}
	if (sqlite3_step(s) != SQLITE_DONE)
		log_warning("slack: what is shown there can't be kept: %s",
			sqlite3_errmsg(a->database));
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

/* --- changes --- */

/* One agent's take no room from all others': Slack may be down for long. */
static void make_room(struct announcements *a, uint32_t agent)
{
	struct announcement *oldest = NULL;
	unsigned count = 0;

	list_for_each (position, &a->list) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (item->agent != agent)
			continue;
		count++;
		if (!oldest)
			oldest = item;
	}
	if (oldest && count >= ANNOUNCEMENTS_OF_AGENT_MOST)
		announcements_remove(a, oldest);
	else if (a->count >= ANNOUNCEMENTS_MOST)
		announcements_remove(a, list_entry(a->list.next, struct announcement, link));
}

struct announcement *announcements_add(struct announcements *a, const struct identifier *review,
	const char *channel, uint32_t agent)
{
	struct announcement *item;

	make_room(a, agent);
	item = remember(a, review->text, channel, "", BROKER_NOT_POSTED);
	item->agent = agent;
	return item;
}

/* As it is now; also where nothing of it was on disk yet. */
static void keep(struct announcements *a, struct announcement *item)
{
	write_row(a, item->kept ? UPDATE : INSERT, item);
	item->kept = true;
}

struct announcement *announcements_next(struct announcements *a, uint64_t now, bool *ret_more)
{
	struct announcement *oldest = NULL, *others = NULL;
	unsigned count = 0;

	list_for_each (position, &a->list) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (!item->soon || now < item->due)
			continue;
		count++;
		if (!oldest)
			oldest = item;
		if (!others && item->agent != a->last_agent)
			others = item;
	}
	*ret_more = count > 1;
	if (others)
		oldest = others;
	if (oldest)
		a->last_agent = oldest->agent;
	return oldest;
}

void announcements_set_told(struct announcements *a, struct announcement *item)
{
	if (item->posted == BROKER_NOT_POSTED) {
		item->posted = BROKER_PERHAPS_POSTED;
		item->first = true;
	} else if (item->posted == BROKER_POSTED_OUTCOME) {
		item->posted = BROKER_POSTED;
	} else {
		return;
	}
	keep(a, item);
}

void announcements_set_refused(struct announcements *a, struct announcement *item)
{
	item->changed = true;
	if (item->posted != BROKER_PERHAPS_POSTED || !item->first)
		return;
	item->posted = BROKER_NOT_POSTED;
	keep(a, item);
}

void announcements_forget_broker(struct announcements *a)
{
	list_for_each (position, &a->list) {
		struct announcement *item = list_entry(position, struct announcement, link);

		if (item->posted != BROKER_POSTED_OUTCOME)
			item->changed = item->soon = true;
		item->first = false;
	}
}

static void set_posted(struct announcements *a, struct announcement *item,
	enum broker_posted posted, const char *time)
{
	if (item->posted == posted && strcmp(item->place.time, time) == 0)
		return;
	item->posted = posted;
	snprintf(item->place.time, sizeof(item->place.time), "%s", time);
	keep(a, item);
}

void announcements_set_posted(struct announcements *a, struct announcement *item, const char *time)
{
	set_posted(a, item, BROKER_POSTED, time);
}

void announcements_set_outcome(struct announcements *a, struct announcement *item, const char *time)
{
	set_posted(a, item, BROKER_POSTED_OUTCOME, time);
}

void announcements_remove(struct announcements *a, struct announcement *item)
{
	if (item->kept)
		write_row(a, DELETE, item);
	forget(a, item);
}
