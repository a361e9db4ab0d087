/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/memory.h"
#include "worker/unit.h"

#define NUMBER 7

/* Actions whose digests are all `a`, `b`, … */
static struct unit *unit_of(const char *letters)
{
	struct draft *d = memory_new(sizeof(*d));
	struct unit *u;

	for (; letters[d->count]; d->count++)
		memset(d->digests[d->count], letters[d->count], sizeof(d->digests[0]));
	u = unit_new(d, NUMBER);
	free(d);
	return u;
}

static bool take(struct unit *u, uint64_t number, char letter)
{
	uint8_t digest[QUESTION_DIGEST_SIZE];

	memset(digest, letter, sizeof(digest));
	return unit_take(u, number, digest);
}

Test(unit, of_one_action_nothing_is_left)
{
	cr_assert_null(unit_of("a"));
}

Test(unit, the_first_has_gone_and_each_of_the_others_goes_once)
{
	struct unit *u = unit_of("abc");

	cr_assert_not(take(u, NUMBER, 'a'));
	cr_assert(take(u, NUMBER, 'b'));
	cr_assert_not(take(u, NUMBER, 'b'));
	cr_assert(take(u, NUMBER, 'c'));
	cr_assert_not(take(u, NUMBER, 'c'));
	free(u);
}

Test(unit, equal_ones_go_as_often_as_they_were_asked_about)
{
	struct unit *u = unit_of("aaa");

	cr_assert(take(u, NUMBER, 'a'));
	cr_assert(take(u, NUMBER, 'a'));
	cr_assert_not(take(u, NUMBER, 'a'));
	free(u);
}

Test(unit, what_was_passed_over_is_gone)
{
	struct unit *u = unit_of("abcd");

	cr_assert(take(u, NUMBER, 'c'));
	cr_assert_not(take(u, NUMBER, 'b'));
	cr_assert(take(u, NUMBER, 'd'));
	free(u);
}

Test(unit, nothing_of_it_goes_in_another)
{
	struct unit *u = unit_of("ab");

	cr_assert_not(take(u, NUMBER + 1, 'b'));
	cr_assert_not(take(u, 0, 'b'));
	cr_assert(take(u, NUMBER, 'b'));
	free(u);
}
