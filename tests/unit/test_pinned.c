/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/pinned.h"

static struct address numbered(uint32_t number)
{
	struct address a = {{0}};

	memcpy(a.bytes, &number, sizeof(number));
	return a;
}

static bool is_whole(const void *context, const char *name)
{
	(void)context;
	return strcmp(name, "db.example") == 0;
}

static const struct pinned_first first = {is_whole, NULL};

static size_t found(const struct pinned_table *t, uint32_t agent, uint32_t number, uint64_t now)
{
	struct address a = numbered(number);
	struct pinned_names names;

	pinned_find(t, agent, &a, now, &first, &names);
	return names.count;
}

static int put(
	struct pinned_table *t, uint32_t agent, uint32_t number, uint64_t now, uint64_t until)
{
	struct address a = numbered(number);
	uint32_t at;

	return pinned_put(t, agent, "db.example", &a, now, until, &at);
}

Test(pinned, is_one_agents_and_ends)
{
	struct pinned_table *t = calloc(1, sizeof(*t));
	struct address a = numbered(1);
	struct pinned_names names;

	cr_assert_eq(put(t, 7, 1, 0, 100), 0);
	pinned_find(t, 7, &a, 99, &first, &names);
	cr_assert_eq(names.count, 1);
	cr_assert_str_eq(names.texts[0], "db.example");
	cr_assert_eq(found(t, 8, 1, 99), 0);
	cr_assert_eq(found(t, 7, 2, 99), 0);
	cr_assert_eq(found(t, 7, 1, 100), 0);
	/* Told again, it lasts longer, never shorter; in one entry. */
	cr_assert_eq(put(t, 7, 1, 50, 200), 0);
	cr_assert_eq(put(t, 7, 1, 60, 70), 0);
	cr_assert_eq(found(t, 7, 1, 199), 1);
	cr_assert_eq(t->count, 1);
	free(t);
}

/* Names that an agent makes up below a wildcard hide none that is a resource's own. */
Test(pinned, what_is_first_is_not_crowded_out)
{
	for (size_t before = 0; before <= 2 * PINNED_FOUND_MOST; before++) {
		struct pinned_table *t = calloc(1, sizeof(*t));
		struct address a = numbered(1);
		struct pinned_names names;
		uint32_t at;

		for (size_t i = 0; i <= 2 * PINNED_FOUND_MOST; i++) {
			char name[32];

			snprintf(name, sizeof(name), "%zu.example", i);
			if (i == before)
				cr_assert_eq(put(t, 7, 1, 0, 100), 0);
			cr_assert_eq(pinned_put(t, 7, name, &a, 0, 100, &at), 0);
		}
		pinned_find(t, 7, &a, 1, &first, &names);
		cr_assert_eq(names.count, PINNED_FOUND_MOST);
		cr_assert_str_eq(names.texts[0], "db.example", "%zu", before);
		for (size_t i = 1; i < names.count; i++) {
			for (size_t j = 0; j < i; j++)
				cr_assert_str_neq(names.texts[i], names.texts[j], "%zu", before);
		}
		free(t);
	}
}

Test(pinned, an_agent_loses_its_own_alone)
{
	struct pinned_table *t = calloc(1, sizeof(*t));

	cr_assert_eq(put(t, 8, 1, 0, 10), 0);
	for (uint32_t i = 0; i <= LIMIT_PINNED_AGENT; i++)
		cr_assert_eq(put(t, 7, i, 0, 100 + i), 0);
	cr_assert_eq(found(t, 7, 0, 0), 0);
	cr_assert_eq(found(t, 7, 1, 0), 1);
	cr_assert_eq(found(t, 7, LIMIT_PINNED_AGENT, 0), 1);
	cr_assert_eq(found(t, 8, 1, 0), 1);
	free(t);
}

Test(pinned, a_full_table_says_so)
{
	struct pinned_table *t = calloc(1, sizeof(*t));

	for (uint32_t i = 0; i < LIMIT_PINNED; i++)
		cr_assert_eq(put(t, 1 + i / LIMIT_PINNED_AGENT, i, 0, 100), 0);
	cr_assert_eq(put(t, 1000, 0, 0, 100), -ENOSPC);
	/* What has ended makes room. */
	cr_assert_eq(put(t, 1000, 0, 100, 200), 0);
	free(t);
}

Test(pinned, what_is_being_written_says_nothing)
{
	struct pinned_table *t = calloc(1, sizeof(*t));

	cr_assert_eq(put(t, 7, 1, 0, 100), 0);
	atomic_fetch_add(&t->version, 1);
	cr_assert_eq(found(t, 7, 1, 0), 0);
	free(t);
}

Test(pinned, resolvers_are_those_that_were_set_last)
{
	struct pinned_table *t = calloc(1, sizeof(*t));
	struct address all[PINNED_RESOLVERS_MOST], a = numbered(1), none = {{0}};

	for (uint32_t i = 0; i < PINNED_RESOLVERS_MOST; i++)
		all[i] = numbered(i + 1);
	cr_expect(!pinned_is_resolver(t, &none), "zeroes are nobody's");
	pinned_set_resolvers(t, all, PINNED_RESOLVERS_MOST);
	for (uint32_t i = 0; i < PINNED_RESOLVERS_MOST; i++)
		cr_expect(pinned_is_resolver(t, &all[i]));
	a = numbered(PINNED_RESOLVERS_MOST + 1);
	cr_expect(!pinned_is_resolver(t, &a));
	pinned_set_resolvers(t, all, 1);
	cr_expect(pinned_is_resolver(t, &all[0]));
	cr_expect(!pinned_is_resolver(t, &all[1]));
	/* Whoever writes has not come to an end: nobody is believed. */
	atomic_fetch_add(&t->version, 1);
	cr_expect(!pinned_is_resolver(t, &all[0]));
	free(t);
}
