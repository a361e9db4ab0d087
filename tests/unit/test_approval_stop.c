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
