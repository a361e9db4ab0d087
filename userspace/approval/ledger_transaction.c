/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's transactions: when what is committed is on disk.
 */
#include "approval/ledger_internal.h"

#define CHECKPOINT_PAGES 1000 /* in the log, before they are carried over */

int ledger_execute(struct ledger *l, const char *text)
{
	return ledger_error(sqlite3_exec(l->database, text, NULL, NULL, NULL));
}

/* Behind a decision somebody waits: the log is carried over to the file, which syncs both, behind
 * what needs no sync of its own (asking for a review, which comes before each decision). */
void ledger_set_durable(struct ledger *l, bool durable)
{
	l->durable = durable;
	sqlite3_wal_autocheckpoint(l->database, durable ? 0 : CHECKPOINT_PAGES);
}

int ledger_begin(struct ledger *l, bool durable)
{
	if (l->durable != durable) {
		int r = ledger_execute(
			l, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");

		if (r < 0)
			return r;
		ledger_set_durable(l, durable);
	}
	return ledger_execute(l, "BEGIN IMMEDIATE");
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

	if (r < 0)
		ledger_rollback(l);
	return r;
}
