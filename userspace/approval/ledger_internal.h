/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the ledger share: its statements, prepared once.
 */
#ifndef WAYLEAVE_APPROVAL_LEDGER_INTERNAL_H
#define WAYLEAVE_APPROVAL_LEDGER_INTERNAL_H

#include <sqlite3.h>

#include "approval/ledger.h"

enum statement {
#define STATEMENT(symbol, text) STATEMENT_##symbol,
#include "approval/ledger_statements.inc"
#undef STATEMENT
	STATEMENT_COUNT
};

enum ledger_sync { LEDGER_SYNC_NEVER, LEDGER_SYNC_SOON, LEDGER_SYNC_AT_ONCE };

struct ledger {
	sqlite3 *database;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	enum ledger_sync sync; /* what the connection is set to */
	bool refused; /* a commit that failed may stand in the log */
	bool unsynced; /* what stands in the log may never come to the disk */
};

int ledger_error(int result); /* SQLite's → negative errno */
/* One or several statements, without values and rows. */
int ledger_execute(struct ledger *l, const char *text);
/* The log, and when it is synced. */
int ledger_open_log(struct ledger *l);
/* Binds by `form`, one letter per value: n uint64_t, t struct slice as text, b struct slice as a
 * blob, i struct identifier *. A text or blob must live until the statement has run. */
sqlite3_stmt *ledger_bind(struct ledger *l, enum statement number, const char *form, ...);
/* Binds, and runs to its end. */
int ledger_run(struct ledger *l, enum statement number, const char *form, ...);
/* 1: a row, 0: the end. At the end, and on errors, the statement is ready for the next time. */
int ledger_step(sqlite3_stmt *statement);
/* Before the end. */
void ledger_stop(sqlite3_stmt *statement);

struct slice ledger_text(sqlite3_stmt *statement, int column);
uint64_t ledger_number(sqlite3_stmt *statement, int column);
struct identifier ledger_identifier(sqlite3_stmt *statement, int column);

#endif
