/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "approval/ledger_internal.h"
#include "base/memory.h"

#define BUSY_MILLISECONDS 1000 /* that another program may hold the file up */

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT(symbol, text) [STATEMENT_##symbol] = text,
#include "approval/ledger_statements.inc"
#undef STATEMENT
};

/* Questions stand in a table of their own: they are large, and lists don't read them. */
static const char first_schema[] =
	"CREATE TABLE reviews (id TEXT PRIMARY KEY, state INTEGER NOT NULL, agent TEXT NOT NULL, "
	"groups TEXT NOT NULL, kind BLOB NOT NULL, shown TEXT NOT NULL, created INTEGER NOT NULL, "
	"deadline INTEGER NOT NULL, grant_limit INTEGER NOT NULL, bytes INTEGER NOT NULL, "
	"ended INTEGER, decided_by TEXT, reason TEXT, grant_id TEXT);"
	"CREATE INDEX reviews_by_state ON reviews (state, created);"
	"CREATE INDEX reviews_by_time ON reviews (created);"
	"CREATE INDEX reviews_by_kind ON reviews (kind, ended);"
	"CREATE TABLE questions (review TEXT PRIMARY KEY, bytes BLOB NOT NULL);"
	"CREATE TABLE waiters (number INTEGER PRIMARY KEY, review TEXT NOT NULL, "
	"session TEXT NOT NULL, pid INTEGER NOT NULL, uid INTEGER NOT NULL, "
	"gone INTEGER NOT NULL);"
	"CREATE INDEX waiters_by_review ON waiters (review, gone);"
	"CREATE TABLE votes (review TEXT NOT NULL, via INTEGER NOT NULL, name TEXT NOT NULL, "
	"spoken TEXT NOT NULL, approve INTEGER NOT NULL, grant_time INTEGER NOT NULL, "
	"time INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (review, via, name));"
	"CREATE TABLE grants (id TEXT PRIMARY KEY, review TEXT NOT NULL, scope BLOB NOT NULL, "
	"groups TEXT NOT NULL, given_by TEXT NOT NULL, created INTEGER NOT NULL, "
	"ends INTEGER NOT NULL, ended INTEGER, revoked_by TEXT);"
	"CREATE INDEX grants_by_review ON grants (review);"
	"PRAGMA user_version = 1;";

/* What each version made of the one before. */
static const char *const schemas[] = {
	first_schema,
	/* Of the grant's scope: 2 is what fields_put_scope() writes. */
	"ALTER TABLE grants ADD COLUMN form INTEGER NOT NULL DEFAULT 1;"
	"PRAGMA user_version = 2;",
};
#define SCHEMA_VERSION ARRAY_SIZE(schemas)

int ledger_error(int result)
{
	switch (result & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return -EROFS;
	default:
		return -EIO;
	}
}

/* Not all errors are SQLite's, which says "not an error" of others. */
const char *ledger_problem(struct ledger *l, int r)
{
	int code = sqlite3_errcode(l->database);

	return ledger_error(code) ? sqlite3_errmsg(l->database) : strerror(-r);
}

/* --- statements --- */

static int bind_one(sqlite3_stmt *s, int index, char form, va_list *values)
{
	struct slice bytes;

	if (form == 'n')
		return sqlite3_bind_int64(s, index, (sqlite3_int64)va_arg(*values, uint64_t));
	if (form == 'i')
		return sqlite3_bind_text(s, index, va_arg(*values, const struct identifier *)->text,
			-1, SQLITE_STATIC);
	bytes = va_arg(*values, struct slice);
	if (form == 't')
		return sqlite3_bind_text(s, index, bytes.data ? (const char *)bytes.data : "",
			(int)bytes.length, SQLITE_STATIC);
	return sqlite3_bind_blob(s, index, bytes.data ? (const void *)bytes.data : "",
		(int)bytes.length, SQLITE_STATIC);
}

static sqlite3_stmt *bind_list(
	struct ledger *l, enum statement number, const char *form, va_list *values)
{
	sqlite3_stmt *s = l->statements[number];

	for (int i = 0; form[i]; i++) {
		if (bind_one(s, i + 1, form[i], values) != SQLITE_OK)
			return NULL;
	}
	return s;
}

sqlite3_stmt *ledger_bind(struct ledger *l, enum statement number, const char *form, ...)
{
	sqlite3_stmt *s;
	va_list values;

	va_start(values, form);
	s = bind_list(l, number, form, &values);
	va_end(values);
	return s;
}

void ledger_stop(sqlite3_stmt *s)
{
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
}

int ledger_step(sqlite3_stmt *s)
{
	int result;

	if (!s)
		return -ENOMEM;
	result = sqlite3_step(s);
	if (result == SQLITE_ROW)
		return 1;
	ledger_stop(s);
	return ledger_error(result);
}

int ledger_run(struct ledger *l, enum statement number, const char *form, ...)
{
	sqlite3_stmt *s;
	va_list values;

	va_start(values, form);
	s = bind_list(l, number, form, &values);
	va_end(values);
	return ledger_step(s);
}

struct slice ledger_text(sqlite3_stmt *s, int column)
{
	/* Bytes after text, as SQLite asks for. */
	const void *data = sqlite3_column_blob(s, column);

	return slice_of(data, (size_t)sqlite3_column_bytes(s, column));
}

uint64_t ledger_number(sqlite3_stmt *s, int column)
{
	return (uint64_t)sqlite3_column_int64(s, column);
}

struct identifier ledger_identifier(sqlite3_stmt *s, int column)
{
	struct slice text = ledger_text(s, column);
	struct identifier id = {{0}};

	if (text.length < sizeof(id.text))
		memcpy(id.text, text.data ? (const void *)text.data : "", text.length);
	return id;
}

/* --- opening --- */

/* The file, so that nobody ever sees it with another mode. */
static int make_file(const char *path, struct error *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), r = 0;

	if (fd < 0)
		return error_set_errno(e, -errno, "%s", path);
	if (fchmod(fd, 0600) < 0)
		r = error_set_errno(e, -errno, "%s", path);
	close(fd);
	return r;
}

static int read_number(struct ledger *l, const char *text, uint64_t *ret)
{
	sqlite3_stmt *s = NULL;
	int r = ledger_error(sqlite3_prepare_v2(l->database, text, -1, &s, NULL));

	if (r == 0 && sqlite3_step(s) == SQLITE_ROW)
		*ret = ledger_number(s, 0);
	else if (r == 0)
		r = ledger_error(sqlite3_errcode(l->database));
	sqlite3_finalize(s);
	return r;
}

static int make_schema(struct ledger *l, const char *path, struct error *e)
{
	uint64_t version = 0;
	int r = read_number(l, "PRAGMA user_version", &version);

	if (r == 0 && version > SCHEMA_VERSION)
		return error_set(e, -EBADMSG,
			"%s: made by a newer version of Wayleave (%lu; this one knows %zu)", path,
			(unsigned long)version, SCHEMA_VERSION);
	if (r == 0 && version < SCHEMA_VERSION) {
		r = ledger_begin(l, true);
		for (; r == 0 && version < SCHEMA_VERSION; version++)
			r = ledger_execute(l, schemas[version]);
		if (r == 0)
			r = ledger_commit(l);
		else
			ledger_rollback(l);
	}
	return r < 0 ? error_set(e, r, "%s: %s", path, ledger_problem(l, r)) : 0;
}

/* Damage is found now, rather than when a person decides. */
static int check(struct ledger *l, const char *path, struct error *e)
{
	sqlite3_stmt *s = NULL;
	int r = ledger_error(
		sqlite3_prepare_v2(l->database, "PRAGMA quick_check(1)", -1, &s, NULL));

	if (r == 0 && sqlite3_step(s) != SQLITE_ROW)
		r = error_set(e, -EBADMSG, "%s: %s", path, ledger_problem(l, -EBADMSG));
	else if (r == 0 && !slice_equal_string(ledger_text(s, 0), "ok"))
		r = error_set(e, -EBADMSG, "%s is damaged: %.*s", path,
			SLICE_PRINT(slice_head(ledger_text(s, 0), 200)));
	else if (r < 0)
		error_set(e, r, "%s: %s", path, ledger_problem(l, r));
	sqlite3_finalize(s);
	return r;
}

static int prepare(struct ledger *l, const char *path, struct error *e)
{
	for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
		int result = sqlite3_prepare_v3(l->database, statement_texts[i], -1,
			SQLITE_PREPARE_PERSISTENT, &l->statements[i], NULL);

		if (result != SQLITE_OK)
			return error_set(e, -EBADMSG, "%s: not as this program made it: %s", path,
				ledger_problem(l, -EBADMSG));
	}
	return 0;
}

static int configure(struct ledger *l, const char *path, struct error *e)
{
	int r;

	sqlite3_busy_timeout(l->database, BUSY_MILLISECONDS);
	/* A file that others wrote gets no functions and no surprises. */
	sqlite3_db_config(l->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(l->database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = ledger_open_log(l);
	return r < 0 ? error_set(e, r, "%s: %s", path, ledger_problem(l, r)) : 0;
}

int ledger_open(const char *path, struct ledger **ret, struct error *e)
{
	struct ledger *l = memory_new(sizeof(*l));
	int r = make_file(path, e);

	if (r == 0 &&
		sqlite3_open_v2(path, &l->database,
			SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
				SQLITE_OPEN_EXRESCODE,
			NULL) != SQLITE_OK)
		r = error_set(e, -EIO, "%s: %s", path, ledger_problem(l, -EIO));
	if (r == 0)
		r = configure(l, path, e);
	if (r == 0)
		r = check(l, path, e);
	if (r == 0)
		r = make_schema(l, path, e);
	if (r == 0)
		r = prepare(l, path, e);
	if (r < 0) {
		ledger_close(l);
		return r;
	}
	*ret = l;
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(l->statements[i]);
	sqlite3_close(l->database);
	free(l);
}
