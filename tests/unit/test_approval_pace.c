/* SPDX-License-Identifier: Apache-2.0
 *
 * How many reviews an agent may ask for.
 */
#include "approval_book.h"

#define CONFIG_OF(rate)                                                                            \
	"config:\n"                                                                                \
	"  agents:\n"                                                                              \
	"    - { name: bot, cgroup: bot, pending_reviews: 4, reviews_per_minute: " rate " }\n"     \
	"    - { name: other, cgroup: other }\n"                                                   \
	"  resources: [{ name: orders, protocol: postgres, hosts: ['10.0.0.1:5432'] "              \
	"}]\n" BOOK_REVIEWERS BOOK_RULES

static struct book_test *new_with_rate_of_6(void)
{
	struct book_test *t = book_test_new();

	book_test_configure(t, CONFIG_OF("6"));
	return t;
}

static uint64_t next_wait;

/* Asks, and leaves at once, so many times; how many of them were let. */
static unsigned ask_and_leave(struct book_test *t, unsigned times)
{
	unsigned done = 0;

	for (unsigned i = 0; i < times; i++) {
		uint64_t wait = ++next_wait;

		if (book_test_ask(t, &(struct asking){.id = wait}, NULL) < 0)
			continue;
		book_leave(t->book, &(struct book_wait){0, wait}, false, t->now);
		done++;
	}
	return done;
}

Test(pace, who_asks_and_leaves_is_slowed)
{
	struct book_test *t = new_with_rate_of_6();

	cr_assert_eq(ask_and_leave(t, 100), 6);
	cr_assert_str_eq(t->error.text,
		"too many reviews of this agent were asked for that nobody decided (at most 6 in a "
		"minute)");
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = ++next_wait}, NULL), -EDQUOT);
	cr_assert_eq(book_count_refused(t->book, "bot", BOOK_LIMIT_RATE), 95);
	cr_assert_eq(book_count_refused(t->book, "bot", BOOK_LIMIT_PENDING), 0);
	/* Others are not. */
	ASK(t, .id = ++next_wait, .agent = "other");
	t->now += 10 * SECOND - 1;
	cr_assert_eq(ask_and_leave(t, 10), 0);
	t->now += 1;
	cr_assert_eq(ask_and_leave(t, 10), 1);
	t->now += 10 * MINUTE;
	cr_assert_eq(ask_and_leave(t, 100), 6, "no more than a minute's is saved up");
	book_test_free(t);
}

/* Who joins a review that is there asks nobody anew. */
Test(pace, only_new_reviews_count)
{
	struct book_test *t = new_with_rate_of_6();

	ASK(t, .id = ++next_wait);
	cr_assert_eq(ask_and_leave(t, 100), 100);
	cr_assert_eq(book_count_refused(t->book, "bot", BOOK_LIMIT_RATE), 0);
	book_test_free(t);
}

/* People who answer are slow enough. */
Test(pace, what_people_decide_is_free)
{
	struct book_test *t = new_with_rate_of_6();

	for (unsigned i = 0; i < 100; i++) {
		struct identifier id = ASK(t, .id = ++next_wait);

		cr_assert_eq(book_test_decide(t, id.text, "bob", i % 2, 0), 0);
	}
	cr_assert_eq(ask_and_leave(t, 100), 6, "and gives nothing besides");
	book_test_free(t);
}

/* All that may be pending can be asked for at once, and again when the rules are others. */
Test(pace, what_may_be_pending_may_be_asked_for)
{
	struct book_test *t = book_test_new();

	book_test_configure(t, CONFIG_OF("1"));
	for (unsigned i = 0; i < 4; i++)
		ASK(t, .id = 1000 + i, .text = (char[]){(char)('a' + i), 0});
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 2000}, NULL), -EDQUOT);
	cr_assert_str_eq(t->error.text, "too many reviews of this agent are pending (at most 4)");
	cr_assert_eq(book_count_refused(t->book, "bot", BOOK_LIMIT_PENDING), 1);
	book_test_configure(t, CONFIG_OF("1"));
	for (unsigned i = 0; i < 4; i++)
		book_leave(t->book, &(struct book_wait){0, 1000 + i}, false, t->now);
	for (unsigned i = 0; i < 4; i++)
		ASK(t, .id = 3000 + i, .text = (char[]){(char)('a' + i), 0});
	cr_assert_eq(book_count_refused(t->book, "bot", BOOK_LIMIT_PENDING), 1,
		"what was counted stays");
	book_test_free(t);
}

Test(pace, zero_is_no_limit)
{
	struct book_test *t = book_test_new();

	book_test_configure(t, CONFIG_OF("0"));
	cr_assert_eq(ask_and_leave(t, 1000), 1000);
	book_test_free(t);
}

/* The audit log is never shortened: a flood leaves one line a minute there. */
Test(pace, what_is_refused_is_noted_once_a_minute)
{
	struct book_test *t = new_with_rate_of_6();
	unsigned before = t->notes[HOST_WARNING];

	ask_and_leave(t, 100);
	cr_assert_eq(t->notes[HOST_WARNING], before + 1);
	cr_assert_not_null(strstr(t->last_note, "bot refused to ask for 1 review; the last time: "),
		"%s", t->last_note);
	t->now += MINUTE;
	ask_and_leave(t, 100);
	cr_assert_eq(t->notes[HOST_WARNING], before + 2);
	cr_assert_not_null(
		strstr(t->last_note, "bot refused to ask for 94 reviews; "), "%s", t->last_note);
	book_test_free(t);
}

Test(pace, a_clock_that_is_set_changes_nothing)
{
	struct book_test *t = new_with_rate_of_6();

	cr_assert_eq(ask_and_leave(t, 100), 6);
	book_set_clock(t->book, -1000 * (int64_t)SECOND);
	t->now -= 1000 * SECOND;
	cr_assert_eq(ask_and_leave(t, 100), 0);
	t->now += 10 * SECOND;
	cr_assert_eq(ask_and_leave(t, 100), 1);
	book_set_clock(t->book, 1000 * (int64_t)SECOND);
	t->now += 1000 * SECOND;
	cr_assert_eq(ask_and_leave(t, 100), 0);
	book_test_free(t);
}
