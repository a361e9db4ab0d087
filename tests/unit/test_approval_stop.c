/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of reviews whose sessions end because Wayleave, or a worker of it, does.
 */
#include "approval_book.h"

static void assert_cancelled(struct book_test *t, const struct identifier *review, const char *why)
{
	cJSON *json = book_test_show(t, review->text);

	cr_assert_str_eq(book_test_text(json, "state"), "cancelled");
	cr_assert_str_eq(book_test_text(json, "reason"), why);
	cJSON_Delete(json);
}

Test(book_stop, says_why)
{
	struct book_test *t = book_test_new();
	struct identifier left = ASK(t, .id = 1, .text = "update 1"),
			  lost = ASK(t, .id = 2, .worker = 1, .text = "update 2"),
			  waits = ASK(t, .id = 3, .text = "update 3"),
			  stays = ASK(t, .id = 4, .text = "update 4"), given_up;

	book_leave(t->book, &(struct book_wait){0, 1}, false, t->now);
	book_worker_gone(t->book, 1, t->now);
	given_up = ASK(t, .id = 5, .text = "update 5");
	/* Nobody waits for that one, which may be asked again as long as there is a daemon. */
	book_leave(t->book, &(struct book_wait){0, 4}, true, t->now);
	cr_assert_eq(book_count_pending(t->book), 3);
	book_stop(t->book, t->now);
	cr_assert_eq(book_count_pending(t->book), 2);
	book_leave(t->book, &(struct book_wait){0, 3}, false, t->now);
	/* Who gives up now can't come back either. */
	book_leave(t->book, &(struct book_wait){0, 5}, true, t->now);
	cr_assert_eq(book_count_pending(t->book), 0);
	assert_cancelled(t, &left, "the agent no longer waits");
	assert_cancelled(t, &lost, "the worker that had its session ended");
	assert_cancelled(t, &waits, "Wayleave stopped");
	assert_cancelled(t, &stays, "Wayleave stopped");
	assert_cancelled(t, &given_up, "Wayleave stopped");
	cr_assert_eq(t->notes[HOST_CANCELLED], 5);
	/* Killed instead it is the next one that says so. */
	waits = ASK(t, .id = 6, .text = "update 6");
	book_test_restart(t, NULL);
	assert_cancelled(t, &waits, "Wayleave restarted");
	book_test_free(t);
}

/* What `show` says of the waits, in order: "ran", "not used", "not known". */
static void assert_ran(struct book_test *t, const struct identifier *review, const char *expected)
{
	cJSON *json = book_test_show(t, review->text);
	const cJSON *item;
	char said[256] = "";

	cr_assert_str_eq(book_test_text(json, "state"), "approved");
	cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "sessions"))
	{
		const cJSON *ran = cJSON_GetObjectItem(item, "ran");

		strcat(said, !ran ? "ran " : cJSON_IsFalse(ran) ? "unused " : "unknown ");
	}
	cr_expect_str_eq(said, expected);
	cr_expect_eq(book_test_number(json, "waiters"),
		cJSON_GetArraySize(cJSON_GetObjectItem(json, "sessions")));
	cJSON_Delete(json);
}

Test(book_stop, what_was_approved_and_lost_is_told)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	for (uint64_t i = 2; i <= 5; i++)
		cr_assert_str_eq(ASK(t, .id = i, .worker = i == 3).text, id.text);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0);
	cr_assert_eq(t->told_count, 5);
	/* That is over in a moment. */
	assert_ran(t, &id, "ran ran ran ran ran ");
	book_ran(t->book, &(struct book_wait){0, 1});
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	cr_assert_not_null(
		strstr(t->last_note, "approved, but it no longer waited"), "%s", t->last_note);
	cr_assert_not_null(strstr(t->last_note, id.text));
	book_worker_gone(t->book, 1, t->now);
	cr_assert_not_null(strstr(t->last_note, "not known to have run"), "%s", t->last_note);
	assert_ran(t, &id, "ran unused unknown ran ran ");
	/* Once each. */
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	book_leave(t->book, &(struct book_wait){0, 1}, false, t->now);
	book_ran(t->book, &(struct book_wait){1, 3});
	assert_ran(t, &id, "ran unused unknown ran ran ");
	book_ran(t->book, &(struct book_wait){0, 4});
	cr_assert_eq(t->changes[BOOK_RAN], 0, "one may still be lost");
	/* What was on its way is not known when all was killed. */
	book_test_restart(t, NULL);
	assert_ran(t, &id, "ran unused unknown ran unknown ");
	book_test_free(t);
}

static void count_lost(void *context, const struct identifier *review)
{
	char *told = context;

	strcat(strcat(told, review->text), " ");
}

/* Who reads of the approval in Slack, where nothing may come behind it, has to hear of it. */
Test(book_stop, whoever_shows_an_approval_knows_when_it_is_all_over)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), other;
	char told[256] = "", expected[64];

	cr_assert_str_eq(ASK(t, .id = 2).text, id.text);
	cr_assert_not(book_is_going_on(t->book, &id));
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0);
	cr_assert(book_is_going_on(t->book, &id));
	book_ran(t->book, &(struct book_wait){0, 1});
	cr_assert(book_is_going_on(t->book, &id));
	cr_assert_eq(t->changes[BOOK_RAN], 0);
	book_ran(t->book, &(struct book_wait){0, 2});
	cr_assert_not(book_is_going_on(t->book, &id));
	cr_assert_eq(t->changes[BOOK_RAN], 1);
	/* Of those that the end of the daemon took, the next one tells, once; the one after it does
	 * not. */
	other = ASK(t, .id = 3, .text = "update 2");
	cr_assert_eq(book_test_decide(t, other.text, "root", true, 0), 0);
	book_each_lost(t->book, count_lost, told);
	cr_assert_str_eq(told, "");
	book_test_restart(t, NULL);
	cr_expect_not_null(
		strstr(t->last_note, "not all is known to have run"), "%s", t->last_note);
	book_each_lost(t->book, count_lost, told);
	snprintf(expected, sizeof(expected), "%s ", other.text);
	cr_assert_str_eq(told, expected);
	assert_ran(t, &other, "unknown ");
	strcpy(t->last_note, "none");
	book_test_restart(t, NULL);
	book_each_lost(t->book, count_lost, told);
	cr_assert_str_eq(told, expected);
	cr_expect_str_eq(t->last_note, "none");
	assert_ran(t, &other, "unknown ");
	book_test_free(t);
}

Test(book_stop, an_answer_that_was_lost_is_told)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	book_leave(t->book, &(struct book_wait){0, 1}, true, t->now);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0);
	cr_assert_str_eq(ASK(t, .id = 2).text, id.text);
	book_answer(t->book, &(struct book_wait){0, 2});
	cr_assert_eq(t->told_count, 1);
	book_leave(t->book, &(struct book_wait){0, 2}, true, t->now);
	cr_assert_not_null(strstr(t->last_note, "no longer waited"), "%s", t->last_note);
	book_test_free(t);
}

/* kubectl tries it once more by itself: of one approval there are two attempts. */
Test(book_stop, what_was_given_back_let_nothing_run)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .operation = OPERATION_KUBE_EXEC);
	uint64_t changes;

	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0);
	changes = t->changes[BOOK_WAITERS];
	/* It left while it was being told. */
	book_leave(t->book, &(struct book_wait){0, 1}, true, t->now);
	assert_ran(t, &id, "unused ");
	cr_expect_not_null(strstr(t->last_note, "it did not begin"), "%s", t->last_note);
	cr_expect_eq(t->changes[BOOK_WAITERS], changes + 1);
	cr_assert_str_eq(ASK(t, .id = 2, .operation = OPERATION_KUBE_EXEC).text, id.text);
	book_answer(t->book, &(struct book_wait){0, 2});
	cr_assert_eq(t->told_count, 2);
	/* The server got it, and refused. */
	book_ran(t->book, &(struct book_wait){0, 2});
	book_leave(t->book, &(struct book_wait){0, 2}, true, t->now);
	assert_ran(t, &id, "unused unused ");
	cr_assert_str_eq(ASK(t, .id = 3, .operation = OPERATION_KUBE_EXEC).text, id.text);
	book_answer(t->book, &(struct book_wait){0, 3});
	book_ran(t->book, &(struct book_wait){0, 3});
	strcpy(t->last_note, "none");
	book_worker_gone(t->book, 0, t->now);
	cr_expect_str_eq(t->last_note, "none");
	book_test_restart(t, NULL);
	assert_ran(t, &id, "unused unused ran ");
	book_test_free(t);
}

/* The next worker of that number counts its waits anew. */
Test(book_stop, what_a_lost_worker_was_told_is_given_back_by_none)
{
	static const char first[] = "exec in one", second[] = "exec in two";
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .operation = OPERATION_KUBE_EXEC, .text = first);
	struct identifier later;

	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0);
	book_ran(t->book, &(struct book_wait){0, 1});
	book_worker_gone(t->book, 0, t->now);
	later = ASK(t, .id = 1, .operation = OPERATION_KUBE_EXEC, .text = second);
	cr_assert_eq(book_test_decide(t, later.text, "root", true, 0), 0);
	book_ran(t->book, &(struct book_wait){0, 1});
	book_leave(t->book, &(struct book_wait){0, 1}, true, t->now);
	assert_ran(t, &id, "ran ");
	cr_assert_str_eq(
		ASK(t, .id = 2, .operation = OPERATION_KUBE_EXEC, .text = second).text, later.text);
	book_answer(t->book, &(struct book_wait){0, 2});
	cr_assert_str_neq(
		ASK(t, .id = 3, .operation = OPERATION_KUBE_EXEC, .text = first).text, id.text);
	book_test_free(t);
}
