/* SPDX-License-Identifier: Apache-2.0
 *
 * Who asks over HTTP gives up and asks again: the review goes on, and its answer is given once.
 */
#include "approval_book.h"

static struct book_test *t;

static void set_up(void)
{
	t = book_test_new();
}

static void tear_down(void)
{
	book_test_free(t);
}

TestSuite(answers, .init = set_up, .fini = tear_down);

static void give_up(uint64_t id)
{
	book_leave(t->book, &(struct book_wait){0, id}, true, t->now);
}

/* Asks again as `id`; whether it was told an outcome, which is the last one then. */
static bool is_answered(uint64_t id)
{
	size_t before = t->told_count;

	book_answer(t->book, &(struct book_wait){0, id});
	return t->told_count > before && t->told[t->told_count - 1].wait.id == id;
}

Test(answers, the_review_goes_on)
{
	struct identifier first = ASK(t, .id = 1), second;

	give_up(1);
	cr_assert_eq(book_count_pending(t->book), 1);
	second = ASK(t, .id = 2);
	cr_assert_str_eq(first.text, second.text);
	cr_assert_not(is_answered(2));
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	cr_assert_eq(t->told_count, 1);
	cr_assert_eq(t->told[0].wait.id, 2);
	cr_assert_str_neq(ASK(t, .id = 3).text, first.text, "who waited had the answer");
}

Test(answers, the_review_goes_on_whoever_leaves_later)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	cr_assert_str_eq(ASK(t, .id = 2).text, first.text);
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	cr_assert_eq(book_count_pending(t->book), 1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	cr_assert_str_eq(ASK(t, .id = 3).text, first.text);
	cr_assert(is_answered(3));
}

Test(answers, one_is_given_once)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	cr_assert_eq(t->told_count, 0);
	cr_assert_str_neq(ASK(t, .id = 2, .text = "another").text, first.text);
	cr_assert_not(is_answered(2));
	cr_assert_str_neq(ASK(t, .id = 3, .agent = "other").text, first.text);
	cr_assert_not(is_answered(3));
	cr_assert_str_eq(ASK(t, .id = 4).text, first.text);
	cr_assert(is_answered(4));
	cr_assert_eq(t->told[0].outcome, OUTCOME_APPROVED);
	cr_assert_str_eq(t->told[0].by, "bob");
	cr_assert_str_neq(ASK(t, .id = 5).text, first.text);
	cr_assert_not(is_answered(5));
}

Test(answers, a_denial_too)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", false, 0), 0);
	cr_assert_str_eq(ASK(t, .id = 2).text, first.text);
	cr_assert(is_answered(2));
	cr_assert_eq(t->told[0].outcome, OUTCOME_DENIED);
	cr_assert_str_eq(t->told[0].detail, "because");
}

Test(answers, until_the_deadline)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	t->now += 14 * MINUTE;
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	t->now += MINUTE;
	cr_assert_str_neq(ASK(t, .id = 2).text, first.text);
	cr_assert_not(is_answered(2));
	give_up(2);
	t->now += 15 * MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(book_count_pending(t->book), 0, "a review that nobody waits for expires too");
}

Test(answers, not_where_nobody_gave_up)
{
	struct identifier first = ASK(t, .id = 1);

	book_leave(t->book, &(struct book_wait){0, 1}, false, t->now);
	cr_assert_eq(book_count_pending(t->book), 0);
	cr_assert_str_neq(ASK(t, .id = 2).text, first.text);
}

Test(answers, where_there_is_a_grant_it_says_all)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, BOOK_GRANT_RULES), 0);
	cr_assert_str_neq(ASK(t, .id = 2).text, first.text);
	cr_assert_not(is_answered(2));
}

Test(answers, nobody_approves_their_own_request)
{
	struct identifier first = ASK(t, .id = 1, .uid = 5, .user = "eve");

	give_up(1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	cr_assert_str_neq(ASK(t, .id = 2, .uid = 1000u + 'b', .user = "bob").text, first.text);
	cr_assert_not(is_answered(2));
}

Test(answers, not_under_another_configuration)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	book_test_configure(t, BOOK_CONFIG BOOK_REVIEWERS BOOK_RULES);
	cr_assert_str_neq(ASK(t, .id = 2).text, first.text);
	cr_assert_not(is_answered(2));
}

Test(answers, what_cannot_be_recorded_is_not_given)
{
	struct identifier first = ASK(t, .id = 1);

	give_up(1);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	t->note_fails = -EIO;
	cr_assert_lt(book_test_ask(t, &(struct asking){.id = 2}, NULL), 0);
	cr_assert_not(is_answered(2));
	t->note_fails = 0;
	cr_assert_str_eq(ASK(t, .id = 3).text, first.text);
	cr_assert(is_answered(3));
}

Test(answers, are_bounded)
{
	char text[32];

	for (uint64_t i = 1; i <= 1100; i++) {
		snprintf(text, sizeof(text), "update %lu", (unsigned long)i);
		struct identifier id = ASK(t, .id = i, .text = text);

		give_up(i);
		cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	}
	ASK(t, .id = 2000, .text = "update 1");
	cr_assert_not(is_answered(2000), "the oldest went");
	ASK(t, .id = 2001, .text = "update 1100");
	cr_assert(is_answered(2001));
}

/* kubectl asks for a stream over another transport when it was refused: nobody is asked twice. */
Test(answers, a_denial_holds_for_the_other_transport)
{
	struct identifier first = ASK(t, .id = 1, .operation = OPERATION_KUBE_EXEC);

	cr_assert_eq(book_test_decide(t, first.text, "bob", false, 0), 0);
	for (uint64_t id = 2; id < 5; id++) {
		cr_assert_str_eq(
			ASK(t, .id = id, .operation = OPERATION_KUBE_EXEC).text, first.text);
		cr_assert(is_answered(id));
		cr_assert_eq(t->told[t->told_count - 1].outcome, OUTCOME_DENIED);
		cr_assert_str_eq(t->told[t->told_count - 1].detail, "because");
	}
	cr_assert_str_neq(ASK(t, .id = 5, .operation = OPERATION_KUBE_EXEC, .agent = "other").text,
		first.text);
	t->now += MINUTE;
	cr_assert_str_neq(ASK(t, .id = 6, .operation = OPERATION_KUBE_EXEC).text, first.text);
}

Test(answers, an_approval_that_let_nothing_run_is_given_back)
{
	struct identifier first = ASK(t, .id = 1, .operation = OPERATION_KUBE_EXEC), second;

	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	give_up(1);
	cr_assert_str_eq(ASK(t, .id = 2, .operation = OPERATION_KUBE_EXEC).text, first.text);
	cr_assert(is_answered(2));
	cr_assert_eq(t->told[t->told_count - 1].outcome, OUTCOME_APPROVED);
	/* Again, and then it was let begin: each approval is one execution. */
	give_up(2);
	give_up(2);
	cr_assert_str_eq(ASK(t, .id = 3, .operation = OPERATION_KUBE_EXEC).text, first.text);
	cr_assert(is_answered(3));
	second = ASK(t, .id = 4, .operation = OPERATION_KUBE_EXEC);
	cr_assert_str_neq(second.text, first.text);
	cr_assert_not(is_answered(4));
	/* Nobody else's wait, nor another action's, gives anything back. */
	book_leave(t->book, &(struct book_wait){1, 3}, true, t->now);
	cr_assert_not(is_answered(4));
	cr_assert_eq(book_test_decide(t, second.text, "bob", false, 0), 0);
}

Test(answers, what_clients_do_not_retry_is_not_given_back)
{
	struct identifier first = ASK(t, .id = 1);

	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	give_up(1);
	cr_assert_str_neq(ASK(t, .id = 2).text, first.text);
	cr_assert_not(is_answered(2));
}
