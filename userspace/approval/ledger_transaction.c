/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's transactions: when what is committed is on disk.
 */
#include <errno.h>

#include "approval/ledger_internal.h"

#define CHECKPOINT_PAGES 1000 /* in the log, before they are carried over */

int ledger_execute(struct ledger *l, const char *text)
{
	return ledger_error(sqlite3_exec(l->database, text, NULL, NULL, NULL));
}

/* When what is committed is synced. */
static int set_sync(struct ledger *l, enum ledger_sync sync)
{
	static const char *const texts[] = {
		[LEDGER_SYNC_NEVER] = "PRAGMA synchronous = OFF",
		[LEDGER_SYNC_SOON] = "PRAGMA synchronous = NORMAL",
		[LEDGER_SYNC_AT_ONCE] = "PRAGMA synchronous = FULL",
	};
	int r = l->sync == sync ? 0 : ledger_execute(l, texts[sync]);

	if (r == 0)
		l->sync = sync;
	return r;
}

/* Behind a decision somebody waits: the log is carried over to the file, which syncs both, behind
 * what needs no sync of its own (asking for a review, which comes before each decision). */
static int on_commit(void *context, sqlite3 *database, const char *name, int pages)
{
	struct ledger *l = context;

	if (l->sync == LEDGER_SYNC_SOON && pages >= CHECKPOINT_PAGES &&
		ledger_error(sqlite3_wal_checkpoint_v2(
			database, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL)) == -EIO)
		l->unsynced = true;
	return SQLITE_OK;
}

int ledger_open_log(struct ledger *l)
{
	int r = ledger_execute(l, "PRAGMA journal_mode = WAL");

	sqlite3_wal_hook(l->database, on_commit, l);
	return r < 0 ? r : set_sync(l, LEDGER_SYNC_AT_ONCE);
}

/* A commit whose sync failed stands in the log all the same, whole, and whoever opens the log after
 * a crash would find it decided. What is written in its place makes all of it void: without a sync,
 * as that is what does not work. */
static int make_void(struct ledger *l)
{
	int r = set_sync(l, LEDGER_SYNC_NEVER);

	if (r == 0)
		r = ledger_execute(l, "BEGIN IMMEDIATE; PRAGMA application_id = 0; COMMIT");
	l->refused = r < 0;
	ledger_rollback(l);
	/* Closing syncs, too. */
	set_sync(l, LEDGER_SYNC_AT_ONCE);
	return r;
}

/* Linux says once that pages of a file could not be written, and takes them for written from then
 * on: a later sync that works says nothing of them, and a log with a hole ends there. So all of it
 * is written again, into the file, and the log begins anew. */
static int sync_again(struct ledger *l)
{
	int r = ledger_error(sqlite3_wal_checkpoint_v2(
		l->database, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));

	l->unsynced = r < 0;
	return r;
}

int ledger_begin(struct ledger *l, bool durable)
{
	int r = l->refused ? make_void(l) : 0;

	if (r == 0)
		r = set_sync(l, durable ? LEDGER_SYNC_AT_ONCE : LEDGER_SYNC_SOON);
	if (r == 0 && durable && l->unsynced)
		r = sync_again(l);
	return r < 0 ? r : ledger_execute(l, "BEGIN IMMEDIATE");
}

void ledger_rollback(struct ledger *l)
{
	/* Some errors have done it already. */
	if (!sqlite3_get_autocommit(l->database))
		ledger_execute(l, "ROLLBACK");
}

int ledger_commit(struct ledger *l)
{
	int r = ledger_execute(l, "COMMIT");

	if (r < 0) {
		l->unsynced |= r == -EIO;
		ledger_rollback(l);
		make_void(l);
	}
	return r;
}
