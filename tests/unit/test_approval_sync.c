/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that takes what is written and can't sync it: nothing is decided, also for who comes after
 * a crash; and what it lost is written again before anything is decided.
 */
#include <sqlite3.h>
#include <sys/syscall.h>

#include "approval/ledger.h"
#include "approval_book.h"

static bool broken;
static unsigned failed;

static int sync_or_fail(long call, int fd)
{
	if (!broken)
		return (int)syscall(call, fd);
	failed++;
	errno = EIO;
	return -1;
}

/* In the place of the C library's, for SQLite as for all of us. */
int fdatasync(int fd)
{
	return sync_or_fail(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return sync_or_fail(SYS_fsync, fd);
}

static void break_disk(bool yes)
{
	broken = yes;
	failed = 0;
}

Test(ledger_sync, what_is_not_synced_is_not_decided)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), pair = ASK(t, .id = 2, .rule = "pair");

	break_disk(true);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), -EIO);
	cr_assert_str_eq(t->error.text, "it could not be kept: Input/output error");
	cr_assert_gt(failed, 0);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), -EIO);
	cr_assert_eq(book_test_decide(t, id.text, "bob", false, 0), -EIO);
	cr_assert_eq(book_test_decide(t, pair.text, "bob", true, 0), -EIO);
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_not_null(book_problem(t->book));
	ASSERT_STATE(t, id.text, "pending");
	/* Asking needs no sync. */
	ASK(t, .id = 3, .text = "x");
	break_disk(false);
	cr_assert_eq(book_test_decide(t, pair.text, "cid", true, 0), 1, "bob's was not counted");
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0, "%s",
		t->error.text);
	cr_assert_eq(t->told_count, 1);
	cr_assert_null(book_problem(t->book));
	book_test_restart(t, NULL);
	ASSERT_STATE(t, id.text, "approved");
	ASSERT_STATE(t, pair.text, "cancelled");
	cr_assert_eq(book_count_grants(t->book), 1);
	book_test_free(t);
}

static void be_refused_and_die(struct book_test *t)
{
	struct identifier id = ASK(t, .id = 1);

	break_disk(true);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), -EIO);
	book_test_die(t);
}

/* The log has all of it by then. */
Test(ledger_sync, what_was_refused_is_not_decided_after_a_crash)
{
	struct book_test *t = book_test_new();
	char *list;

	book_free(t->book);
	book_test_die_in(t, be_refused_and_die);
	list = book_test_list_text(t);
	cr_assert_not_null(strstr(list, "\"state\":\"cancelled\""), "%s", list);
	cr_assert_eq(book_count_grants(t->book), 0);
	free(list);
	book_test_free(t);
}

static struct identifier give_grant(struct book_test *t)
{
	struct identifier id = ASK(t, .id = 1);

	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0, "%s",
		t->error.text);
	cr_assert(t->told[0].in_force);
	return t->told[0].grant;
}

static int end_grant(struct book_test *t, const struct identifier *grant)
{
	const struct reviewer bob = {REVIEWER_LOCAL, 1098, "bob"};

	return book_revoke(t->book, slice_from_string(grant->text), &bob, t->now, &t->error);
}

static bool is_in_force(const struct book_test *t)
{
	return book_count_grants(t->book) == 1 && atomic_load(&t->table->slots[0].serial) != 0;
}

static void be_refused_a_revocation_and_die(struct book_test *t)
{
	struct identifier grant = give_grant(t);

	break_disk(true);
	/* Nobody is to think it ended, who would find it in force after a crash. */
	if (end_grant(t, &grant) != -EIO || failed == 0 || !is_in_force(t) ||
		t->notes[HOST_GRANT_ENDED])
		_exit(1);
	book_test_die(t);
}

static void revoke_and_die(struct book_test *t)
{
	struct identifier grant = give_grant(t);

	break_disk(true);
	if (end_grant(t, &grant) != -EIO)
		_exit(2);
	break_disk(false);
	if (!is_in_force(t) || end_grant(t, &grant) != 0 || is_in_force(t))
		_exit(3);
	book_test_die(t);
}

Test(ledger_sync, a_grant_is_revoked_once_that_is_on_disk)
{
	struct book_test *t = book_test_new();

	book_free(t->book);
	book_test_die_in(t, be_refused_a_revocation_and_die);
	cr_assert(is_in_force(t), "its end was refused");
	book_free(t->book);
	unlink(t->path);
	book_test_die_in(t, revoke_and_die);
	cr_assert_eq(book_count_grants(t->book), 0);
	book_test_free(t);
}

/* Rows of the file by itself, as if nothing of its log had ever come to the disk. */
static int count_without_log(const char *path, const char *table)
{
	char *place = memory_format("file:%s?immutable=1", path),
	     *text = memory_format("SELECT count(*) FROM %s", table);
	sqlite3_stmt *s;
	sqlite3 *file;
	int count = -1;

	cr_assert_eq(sqlite3_open_v2(place, &file, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL),
		SQLITE_OK);
	if (sqlite3_prepare_v2(file, text, -1, &s, NULL) == SQLITE_OK) {
		cr_assert_eq(sqlite3_step(s), SQLITE_ROW);
		count = sqlite3_column_int(s, 0);
		sqlite3_finalize(s);
	}
	sqlite3_close(file);
	free(text);
	free(place);
	return count;
}

/* Linux forgets what it could not write: a sync that works then says nothing of it, and the
 * decision would stand behind a hole. */
Test(ledger_sync, no_decision_stands_on_what_the_disk_has_lost)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	cr_assert_lt(count_without_log(t->path, "reviews"), 1);
	break_disk(true);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), -EIO);
	ASK(t, .id = 2, .text = "x");
	break_disk(false);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0, "%s", t->error.text);
	cr_assert_eq(count_without_log(t->path, "reviews"), 2);
	book_test_free(t);
}

static void add(struct ledger *l, const char *id, size_t length)
{
	struct ledger_review row = {.agent = slice_from_string("a")};
	struct slice question = slice_of(memory_new(length), length);

	snprintf(row.id.text, sizeof(row.id.text), "%s", id);
	cr_assert_eq(ledger_begin(l, false), 0);
	cr_assert_eq(ledger_add_review(l, &row, question), 0);
	cr_assert_eq(ledger_commit(l), 0, "it needs no sync");
	free((void *)question.data);
}

/* Nobody waits for the log to be carried over to the file; that it failed counts all the same. */
Test(ledger_sync, nor_on_what_nobody_waited_for)
{
	struct book_test *t = book_test_new();
	struct ledger *l = NULL;

	book_free(t->book);
	t->book = NULL;
	cr_assert_eq(ledger_open(t->path, &l, &t->error), 0);
	add(l, "r-AAAA", 100); /* the log's beginning is synced */
	break_disk(true);
	add(l, "r-BBBB", 8u << 20);
	cr_assert_gt(failed, 0);
	cr_assert_lt(ledger_begin(l, true), 0);
	break_disk(false);
	cr_assert_lt(count_without_log(t->path, "questions"), 1);
	cr_assert_eq(ledger_begin(l, true), 0);
	cr_assert_eq(count_without_log(t->path, "questions"), 2);
	ledger_rollback(l);
	ledger_close(l);
	book_test_free(t);
}
