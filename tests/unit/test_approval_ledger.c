/* SPDX-License-Identifier: Apache-2.0
 *
 * What is on disk: after a crash at any point, with damaged files, with a full disk.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "approval/ledger.h"
#include "approval_book.h"

Test(ledger, is_for_root_alone)
{
	struct book_test *t = book_test_new();
	struct stat s;

	cr_assert_eq(stat(t->path, &s), 0);
	cr_assert_eq(s.st_mode & 07777, 0600);
	book_free(t->book);
	chmod(t->path, 0644);
	book_test_open(t);
	cr_assert_eq(stat(t->path, &s), 0);
	cr_assert_eq(s.st_mode & 07777, 0600);
	book_test_free(t);
}

Test(ledger, a_restart_cancels_what_was_pending)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), decided = ASK(t, .id = 2, .text = "x");
	cJSON *json;

	cr_assert_eq(book_test_decide(t, decided.text, "bob", true, 0), 0);
	book_free(t->book);
	t->now += SECOND;
	book_test_open(t);
	json = book_test_show(t, id.text);
	cr_assert_str_eq(book_test_text(json, "state"), "cancelled");
	cr_assert_str_eq(book_test_text(json, "reason"), "Wayleave restarted");
	cr_assert_str_eq(book_test_text(json, "text"), "update orders");
	cJSON_Delete(json);
	json = book_test_show(t, decided.text);
	cr_assert_str_eq(book_test_text(json, "state"), "approved");
	cr_assert_str_eq(book_test_text(json, "decided_by"), "bob");
	cJSON_Delete(json);
	cr_assert_eq(t->notes[HOST_CANCELLED], 1);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), -EALREADY);
	book_test_free(t);
}

static void expect_no_start(struct book_test *t, const char *text)
{
	t->book = NULL;
	cr_assert_lt(book_test_try_open(t), 0);
	cr_assert_not_null(strstr(t->error.text, t->path), "%s", t->error.text);
	cr_assert_not_null(strstr(t->error.text, text), "%s", t->error.text);
}

static void overwrite(const char *path, off_t at, const char *bytes)
{
	int fd = open(path, O_WRONLY);

	cr_assert_eq(pwrite(fd, bytes, strlen(bytes), at), (ssize_t)strlen(bytes));
	close(fd);
}

Test(ledger, a_damaged_file_is_an_error_at_start)
{
	struct book_test *t = book_test_new();

	for (uint64_t i = 0; i < 4; i++)
		ASK(t, .id = i, .agent = "other");
	book_free(t->book);
	overwrite(t->path, 0, "this is no database at all, is it");
	expect_no_start(t, "not a database");
	unlink(t->path);
	book_test_open(t);
	book_free(t->book);
	overwrite(t->path, 4096, "\xff\xff\xff\xff\xff\xff\xff\xff");
	expect_no_start(t, "is damaged");
	book_test_free(t);
}

static void execute(const char *path, const char *text)
{
	sqlite3 *database;

	cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(database, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

Test(ledger, files_of_others_are_left_alone)
{
	struct book_test *t = book_test_new();

	book_free(t->book);
	execute(t->path, "PRAGMA user_version = 99");
	expect_no_start(t, "newer version");
	execute(t->path, "PRAGMA user_version = 2");
	execute(t->path, "DROP TABLE votes");
	expect_no_start(t, "not as this program made it");
	unlink(t->path);
	cr_assert_eq(mkdir(t->path, 0700), 0);
	expect_no_start(t, "");
	rmdir(t->path);
	cr_assert_eq(symlink("/dev/null", t->path), 0);
	expect_no_start(t, "");
	book_test_free(t);
}

Test(ledger, damaged_grants_are_an_error_at_start)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0);
	book_free(t->book);
	execute(t->path, "UPDATE grants SET scope = x'00'");
	t->book = NULL;
	cr_assert_lt(book_test_try_open(t), 0);
	cr_assert_not_null(strstr(t->error.text, "its scope is damaged"), "%s", t->error.text);
	book_test_free(t);
}

/* It is not known for which database they were given. */
Test(ledger, grants_of_older_versions_are_over)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0);
	book_free(t->book);
	execute(t->path,
		"UPDATE grants SET scope = x'00'; ALTER TABLE grants DROP COLUMN form;"
		"PRAGMA user_version = 1");
	t->book = NULL;
	cr_assert_eq(book_test_try_open(t), 0, "%s", t->error.text);
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_eq(t->notes[HOST_REVOKED], 1);
	id = ASK(t, .id = 2);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0);
	book_test_restart(t, NULL);
	cr_assert_eq(book_count_grants(t->book), 1);
	cr_assert_eq(t->notes[HOST_REVOKED], 1);
	book_test_free(t);
}

/* --- dying at each point --- */

static void die_on_note(struct book_test *t, enum host_event event)
{
	if (event == HOST_APPROVED || event == HOST_GRANTED || event == HOST_DENIED ||
		event == HOST_REVOKED)
		book_test_die(t);
}

static void die_at_the_first(struct book_test *t, enum host_event event)
{
	(void)event;
	book_test_die(t);
}

static void die_before_it_is_kept(struct book_test *t)
{
	t->on_note = die_at_the_first;
	ASK(t, .id = 1);
}

static void ask_and_die(struct book_test *t)
{
	ASK(t, .id = 1);
	book_test_die(t);
}

static void die_before_the_commit(struct book_test *t)
{
	struct identifier id = ASK(t, .id = 1);

	t->on_note = die_on_note;
	book_test_decide(t, id.text, "bob", true, 30 * MINUTE);
}

static void die_after_the_commit(struct book_test *t)
{
	struct identifier id = ASK(t, .id = 1);

	t->on_told = book_test_die;
	book_test_decide(t, id.text, "bob", true, 30 * MINUTE);
}

static void deny_and_die(struct book_test *t)
{
	struct identifier id = ASK(t, .id = 1);

	t->on_told = book_test_die;
	book_test_decide(t, id.text, "bob", false, 0);
}

static void vote_and_die(struct book_test *t)
{
	struct identifier id = ASK(t, .id = 1, .rule = "pair");

	book_test_decide(t, id.text, "bob", true, 0);
	book_test_die(t);
}

static void revoke_and_die(struct book_test *t)
{
	const struct reviewer root = {REVIEWER_LOCAL, 0, "root"};
	struct identifier id = ASK(t, .id = 1);

	book_test_decide(t, id.text, "bob", true, 30 * MINUTE);
	t->on_note = die_on_note;
	book_revoke(t->book, slice_from_string(t->told[0].grant.text), &root, t->now, &t->error);
}

static void expect_after(void (*work)(struct book_test *t), const char *state, size_t grants)
{
	struct book_test *t = book_test_new();
	char *expected = memory_format("\"state\":\"%s\"", state), *list;

	book_free(t->book);
	book_test_die_in(t, work);
	list = book_test_list_text(t);
	cr_assert_not_null(strstr(list, expected), "%s", list);
	cr_assert_eq(book_count_grants(t->book), grants);
	cr_assert_eq(atomic_load(&t->table->slots[0].serial) != 0, grants != 0);
	free(list);
	free(expected);
	book_test_free(t);
}

/* Nobody was told its name. */
Test(ledger, killed_before_the_review_is_kept)
{
	struct book_test *t = book_test_new();
	char *list;

	book_free(t->book);
	book_test_die_in(t, die_before_it_is_kept);
	list = book_test_list_text(t);
	cr_assert_str_eq(list, "[]");
	cr_assert_eq(t->notes[HOST_CANCELLED], 0);
	free(list);
	book_test_free(t);
}

Test(ledger, killed_while_it_is_pending)
{
	expect_after(ask_and_die, "cancelled", 0);
}

Test(ledger, killed_before_a_decision_is_kept)
{
	expect_after(die_before_the_commit, "cancelled", 0);
}

Test(ledger, killed_when_the_first_is_told)
{
	expect_after(die_after_the_commit, "approved", 1);
}

Test(ledger, killed_when_a_denial_is_told)
{
	expect_after(deny_and_die, "denied", 0);
}

Test(ledger, killed_between_two_votes)
{
	expect_after(vote_and_die, "cancelled", 0);
}

Test(ledger, killed_before_a_revocation_is_kept)
{
	expect_after(revoke_and_die, "approved", 1);
}

/* --- a full disk --- */

/* No file gets any larger. */
static void fill_disk(bool full)
{
	struct rlimit limit = {full ? 4096 : RLIM_INFINITY, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
}

Test(ledger, on_a_full_disk_nothing_is_decided)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	fill_disk(true);
	cr_assert_lt(book_test_ask(t, &(struct asking){.id = 2, .text = "x"}, NULL), 0);
	cr_assert_lt(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0);
	cr_assert_not_null(strstr(t->error.text, "could not be kept"), "%s", t->error.text);
	cr_assert_lt(book_test_decide(t, id.text, "bob", false, 0), 0);
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_not_null(book_problem(t->book));
	fill_disk(false);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0, "%s", t->error.text);
	cr_assert_eq(t->told_count, 1);
	cr_assert_null(book_problem(t->book));
	book_test_free(t);
}

static void fill_disk_on_note(struct book_test *t, enum host_event event)
{
	(void)t;
	if (event == HOST_APPROVED)
		fill_disk(true);
}

/* The audit log has it by then. */
Test(ledger, on_a_disk_that_is_full_at_the_commit_it_is_taken_back)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	t->on_note = fill_disk_on_note;
	cr_assert_lt(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0);
	cr_assert_eq(t->notes[HOST_APPROVED], 1);
	cr_assert_eq(t->notes[HOST_GRANTED], 1);
	cr_assert_eq(t->notes[HOST_WARNING], 2, "of the review, and of the grant");
	cr_assert_eq(book_count_grants(t->book), 0);
	t->on_note = NULL;
	fill_disk(false);
	ASSERT_STATE(t, id.text, "pending");
	book_test_free(t);
}

Test(ledger, on_a_full_disk_waits_end_even_so)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	fill_disk(true);
	t->now += 15 * MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(t->told_count, 1);
	cr_assert_eq(t->told[0].outcome, OUTCOME_EXPIRED);
	fill_disk(false);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), -EALREADY);
	ASSERT_STATE(t, id.text, "cancelled");
	book_test_free(t);
}

/* --- others that hold the file, and what is kept --- */

/* By a clock that is wrong everything is old. */
Test(ledger, keeps_what_is_old_by_a_clock_that_was_just_set)
{
	struct book_test *t = book_test_new();
	const uint64_t days = 60 * 24 * 60 * MINUTE;
	struct identifier id = ASK(t, .id = 1);
	struct error e;

	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	t->now += days;
	book_set_clock(t->book, (int64_t)days);
	t->now += 11 * MINUTE;
	book_tick(t->book, t->now, true);
	ASSERT_STATE(t, id.text, "approved");
	/* Long after, it counts. */
	t->now += 11 * MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(
		book_review_json(t->book, slice_from_string(id.text), NULL, NULL, &e), -ENOENT);
	book_test_free(t);
}

Test(ledger, somebody_reads_it_meanwhile)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	sqlite3 *reader;

	cr_assert_eq(sqlite3_open(t->path, &reader), SQLITE_OK);
	cr_assert_eq(
		sqlite3_exec(reader, "BEGIN; SELECT * FROM reviews", NULL, NULL, NULL), SQLITE_OK);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0, "%s", t->error.text);
	sqlite3_close(reader);
	book_test_free(t);
}

static off_t file_size(const char *path)
{
	struct stat s;

	cr_assert_eq(stat(path, &s), 0);
	return s.st_size;
}

/* More than the log holds before it is carried over. */
static void add_large(struct ledger *l, const char *id, bool durable)
{
	struct ledger_review row = {.state = REVIEW_PENDING, .agent = slice_from_string("a")};
	struct slice question = slice_of(memory_new(8u << 20), 8u << 20);

	snprintf(row.id.text, sizeof(row.id.text), "%s", id);
	cr_assert_eq(ledger_begin(l, durable), 0);
	cr_assert_eq(ledger_add_review(l, &row, question), 0);
	cr_assert_eq(ledger_commit(l), 0);
	free((void *)question.data);
}

Test(ledger, a_decision_waits_for_no_checkpoint)
{
	struct book_test *t = book_test_new();
	struct ledger *l = NULL;
	off_t before;

	book_free(t->book);
	t->book = NULL;
	cr_assert_eq(ledger_open(t->path, &l, &t->error), 0);
	before = file_size(t->path);
	add_large(l, "r-AAAA", true);
	cr_assert_eq(file_size(t->path), before);
	add_large(l, "r-BBBB", false);
	cr_assert_gt(file_size(t->path), before + (8 << 20));
	ledger_close(l);
	book_test_free(t);
}

Test(ledger, what_is_old_is_forgotten)
{
	struct book_test *t = book_test_new();
	struct identifier old = ASK(t, .id = 1), granted = ASK(t, .id = 2, .text = "x"), recent;
	struct buffer b;

	cr_assert_eq(book_test_decide(t, old.text, "bob", true, 0), 0);
	cr_assert_eq(book_test_decide(t, granted.text, "bob", true, 60 * SECOND), 0);
	t->now += 31 * 24 * 60 * MINUTE;
	recent = ASK(t, .id = 3);
	book_tick(t->book, t->now, false);
	book_tick(t->book, t->now + 20 * MINUTE, false);
	buffer_init(&b, 1 << 20);
	cr_assert_eq(book_review_json(t->book, slice_from_string(old.text), NULL, &b, &t->error),
		-ENOENT);
	cr_assert_eq(
		book_review_json(t->book, slice_from_string(granted.text), NULL, &b, &t->error),
		-ENOENT);
	buffer_done(&b);
	ASSERT_STATE(t, recent.text, "expired");
	book_test_free(t);
}

static int count_rows(const char *path, const char *condition)
{
	char *text = memory_format("SELECT count(*) FROM reviews WHERE %s", condition);
	sqlite3 *database;
	sqlite3_stmt *s;
	int count;

	cr_assert_eq(sqlite3_open(path, &database), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(database, text, -1, &s, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_step(s), SQLITE_ROW);
	count = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(database);
	free(text);
	return count;
}

/* What is pending takes no room from what was decided: an agent that asks for much would make
 * others' decisions go. */
Test(ledger, only_what_was_decided_counts_as_kept)
{
	struct book_test *t = book_test_new();
	char *fill = memory_format(
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
		"INSERT INTO reviews (id, state, agent, groups, kind, shown, created, deadline, "
		"grant_limit, bytes, ended) SELECT 'old ' || i, 2, 'bot', 'dba', x'', '{}', i, i, "
		"0, "
		"1, %lu FROM n",
		LIMIT_REVIEWS_KEPT, (unsigned long)NOW);

	execute(t->path, fill);
	for (uint64_t i = 0; i < 4; i++)
		ASK(t, .id = i, .text = (const char *const[]){"a", "b", "c", "d"}[i]);
	book_tick(t->book, t->now, false);
	cr_assert_eq(count_rows(t->path, "state > 0"), LIMIT_REVIEWS_KEPT);
	book_leave(t->book, &(struct book_wait){0, 0}, false, t->now);
	book_tick(t->book, t->now + 20 * MINUTE,
		false); /* the others expire: all four are decided now */
	book_tick(t->book, t->now + 40 * MINUTE, false);
	cr_assert_eq(count_rows(t->path, "state > 0"), LIMIT_REVIEWS_KEPT);
	cr_assert_eq(count_rows(t->path, "id = 'old 4'"), 0, "the oldest go first");
	cr_assert_eq(count_rows(t->path, "id = 'old 5'"), 1);
	free(fill);
	book_test_free(t);
}

/* Nor does an agent that asks and leaves in a loop: what nobody decided has half of the room. */
Test(ledger, what_nobody_decided_makes_no_decision_go)
{
	struct book_test *t = book_test_new();
	char *fill = memory_format(
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
		"INSERT INTO reviews (id, state, agent, groups, kind, shown, created, deadline, "
		"grant_limit, bytes, ended) SELECT 'old ' || i, iif(i <= 1000, 1, 3 + i %% 2), "
		"'bot', "
		"'dba', x'', '{}', i, i, 0, 1, %lu FROM n",
		LIMIT_REVIEWS_KEPT + 40, (unsigned long)NOW);

	execute(t->path, fill);
	book_tick(t->book, t->now, false);
	cr_assert_eq(count_rows(t->path, "state > 0"), LIMIT_REVIEWS_KEPT);
	cr_assert_eq(count_rows(t->path, "state = 1"), 1000, "the oldest, but people's");
	/* Of a busy host's decisions the oldest go: what expired lately is to be seen, too. */
	execute(t->path, "UPDATE reviews SET state = 1 WHERE rowid % 10 > 0");
	ASK(t, .id = 1);
	book_leave(t->book, &(struct book_wait){0, 1}, false, t->now);
	book_tick(t->book, t->now + 20 * MINUTE, false);
	cr_assert_eq(count_rows(t->path, "state > 0"), LIMIT_REVIEWS_KEPT);
	cr_assert_eq(count_rows(t->path, "id = 'old 1'"), 0);
	free(fill);
	book_test_free(t);
}

/* Those who wait take room as well: of one review thousands may come and leave. */
Test(ledger, who_waited_counts_as_kept)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	char *condition;

	for (uint64_t i = 2; i <= 1000; i++) {
		ASK(t, .id = i);
		book_leave(t->book, &(struct book_wait){0, i}, false, t->now);
	}
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	condition = memory_format("id = '%s' AND bytes >= %d", id.text, 1000 * LEDGER_WAITER_BYTES);
	cr_assert_eq(count_rows(t->path, condition), 1);
	free(condition);
	/* At the end of the daemon as well. */
	id = ASK(t, .id = 2000);
	book_test_restart(t, NULL);
	condition = memory_format("id = '%s' AND bytes >= %d", id.text, LEDGER_WAITER_BYTES);
	cr_assert_eq(count_rows(t->path, condition), 1);
	free(condition);
	book_test_free(t);
}

/* Agents choose how large each of them is. */
Test(ledger, a_list_that_would_be_too_large_is_brief_at_its_end, .timeout = 60)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	cJSON *json;
	bool whole;

	execute(t->path,
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
		"INSERT INTO reviews (id, state, agent, groups, kind, shown, created, deadline, "
		"grant_limit, bytes, ended) SELECT 'old ' || i, 2, 'bot', 'dba', x'', "
		"'{\"text\":\"' || hex(zeroblob(65536)) || '\"}', i, i, 0, 1, 1 FROM n");
	json = book_test_list(t, NULL, 0, &whole);
	cr_assert_eq(cJSON_GetArraySize(json), 501);
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 0), "id"), id.text);
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 1), "id"), "old 500");
	cr_assert_not_null(book_test_text(cJSON_GetArrayItem(json, 1), "text"));
	cr_assert_null(book_test_text(cJSON_GetArrayItem(json, 500), "text"));
	cr_assert(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(json, 500), "brief")));
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 500), "state"), "denied");
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 500), "agent"), "bot");
	cJSON_Delete(json);
	book_test_free(t);
}

Test(ledger, what_is_too_large_is_forgotten, .timeout = 120)
{
	enum { SIZE = 4 << 20, COUNT = 70 };
	struct book_test *t = book_test_new();
	char *text = memory_new(SIZE + 1);
	struct identifier first = {{0}}, id = {{0}};
	struct buffer b;
	struct stat s;

	memset(text, 'x', SIZE);
	for (uint64_t i = 0; i < COUNT; i++) {
		text[0] = (char)('A' + i);
		id = ASK(t, .id = i, .text = text);
		if (i == 0)
			first = id;
		book_leave(t->book, &(struct book_wait){0, i}, false, t->now);
		/* Who asks and leaves in a loop does not wait for the next look. */
		t->now += SECOND;
		if (t->now >= book_next(t->book))
			book_tick(t->book, t->now, false);
	}
	buffer_init(&b, 1 << 20);
	cr_assert_eq(book_review_json(t->book, slice_from_string(first.text), NULL, &b, &t->error),
		-ENOENT);
	buffer_done(&b);
	ASSERT_STATE(t, id.text, "cancelled");
	cr_assert_eq(stat(t->path, &s), 0);
	cr_assert_lt(s.st_size, 300 << 20);
	free(text);
	book_test_free(t);
}
