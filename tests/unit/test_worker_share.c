/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "policy_test.h"
#include "worker/session.h"

#define WORKERS 2

static const char text[] = "config:\n"
			   "  mode: %s\n"
			   "  agents:\n"
			   "    - {name: few, cgroup: a, limits: {sessions: 2}}\n"
			   "    - {name: slow, cgroup: b, limits: {rate: 1}}\n"
			   "    - {name: narrow, cgroup: c, limits: {bandwidth: 1K}}\n"
			   "    - {name: free, cgroup: d}\n"
			   "rules: []\n";

struct setting {
	struct share_table *table;
	struct worker *workers[WORKERS];
	struct policy *policy;
	struct principal nobody;
};

/* What a test made, until it ends. */
static void *all_made[4096];
static size_t made_count;
static struct policy *policies[8];
static struct policy_scope *scopes[1024];
static size_t policy_count, scope_count;

static void *make(size_t size)
{
	cr_assert_lt(made_count, ARRAY_SIZE(all_made));
	return all_made[made_count++] = calloc(1, size);
}

static void teardown(void)
{
	while (scope_count > 0)
		policy_scope_put(scopes[--scope_count]);
	while (policy_count > 0)
		policy_put(policies[--policy_count]);
	while (made_count > 0)
		free(all_made[--made_count]);
}

TestSuite(share, .fini = teardown);

static void setting_new(struct setting *ret, const char *mode)
{
	char written[sizeof(text) + 16];

	*ret = (struct setting){.table = make(sizeof(*ret->table))};
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker_start *start = make(sizeof(*start));

		start->index = i;
		ret->workers[i] = make(sizeof(*ret->workers[i]));
		ret->workers[i]->start = start;
		shares_init(ret->workers[i], ret->table);
		ret->workers[i]->shares.timer.in_flight = true; /* there is no ring */
	}
	snprintf(written, sizeof(written), text, mode);
	cr_assert_lt(policy_count, ARRAY_SIZE(policies));
	ret->policy = policies[policy_count++] = policy_test_new(written);
}

static struct session *session_of(struct setting *t, unsigned worker, const char *agent)
{
	struct session *s = make(sizeof(*s));
	struct policy_subject subject = {.principal = &t->nobody, .resource = POLICY_EGRESS};

	s->worker = t->workers[worker];
	s->agent = subject.agent = policy_find_agent_name(t->policy, slice_from_string(agent));
	cr_assert_not_null(s->agent);
	cr_assert_lt(scope_count, ARRAY_SIZE(scopes));
	s->scope = scopes[scope_count++] = policy_scope_get(t->policy, &subject);
	list_init(&s->share.link);
	s->share.slot = -1;
	return s;
}

enum outcome { PASSES, TOLD, ENDS };

static enum outcome take(struct session *s)
{
	struct buffer why;
	bool passes;

	if (share_take(s) < 0)
		return ENDS;
	buffer_init(&why, 4096);
	passes = share_may_begin(s, &why);
	cr_assert_eq(passes, buffer_length(&why) == 0);
	buffer_done(&why);
	return passes ? PASSES : TOLD;
}

Test(share, sessions_are_counted_over_all_workers)
{
	struct setting t;
	struct session *first, *second;

	setting_new(&t, "enforce");
	first = session_of(&t, 0, "few");
	second = session_of(&t, 1, "few");
	cr_assert_eq(take(first), PASSES);
	cr_assert_eq(take(second), PASSES);
	cr_assert_eq(take(session_of(&t, 0, "free")), PASSES);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct session *more = session_of(&t, i, "few");

		cr_assert_eq(take(more), TOLD);
		share_give_back(more);
	}
	share_give_back(first);
	share_give_back(first);
	first = session_of(&t, 1, "few");
	cr_assert_eq(take(first), PASSES);
	/* A worker that died is started again: what it had is gone. */
	shares_init(t.workers[1], t.table);
	cr_assert_eq(take(session_of(&t, 0, "few")), PASSES);
	cr_assert_eq(take(session_of(&t, 0, "few")), PASSES);
	cr_assert_eq(take(session_of(&t, 0, "few")), TOLD);
}

/* An HTTP client that opens spare connections would lock itself out for as long as they last. */
Test(share, what_is_refused_takes_no_place)
{
	struct session *first, *spare;
	struct setting t;

	setting_new(&t, "enforce");
	first = session_of(&t, 0, "few");
	cr_assert_eq(take(first), PASSES);
	cr_assert_eq(take(session_of(&t, 1, "few")), PASSES);
	spare = session_of(&t, 1, "few");
	cr_assert_eq(take(spare), TOLD);
	share_give_back(first);
	cr_assert_eq(take(session_of(&t, 0, "few")), PASSES);
	cr_assert_eq(take(session_of(&t, 0, "few")), TOLD);
	share_give_back(spare);
	cr_assert_eq(take(session_of(&t, 0, "few")), TOLD);
}

/* Who is refused stays until it was told: as many as it likes would fill the worker. */
Test(share, not_all_that_is_beyond_a_limit_is_kept)
{
	static const char *const agents[] = {"few", "slow"};

	for (size_t i = 0; i < ARRAY_SIZE(agents); i++) {
		struct session *told = NULL;
		unsigned counts[3] = {0};
		struct setting t;

		setting_new(&t, "enforce");
		while (counts[ENDS] < 10) {
			struct session *s = session_of(&t, 0, agents[i]);
			enum outcome outcome = take(s);

			if (outcome == ENDS)
				share_give_back(s);
			else if (outcome == TOLD)
				told = s;
			counts[outcome]++;
		}
		cr_assert_geq(counts[PASSES], 1);
		cr_assert_eq(counts[TOLD], LIMIT_REFUSED_AGENT);
		/* Those of others have their own. */
		cr_assert_eq(take(session_of(&t, 0, "free")), PASSES);
		share_give_back(told);
		told = session_of(&t, 0, agents[i]);
		/* By time, one more may have begun. */
		if (take(told) == PASSES)
			cr_assert_str_eq(agents[i], "slow");
		else
			cr_assert(told->share.told);
	}
}

/* What is sent too fast waits there too. */
Test(share, nothing_is_refused_where_we_only_observe)
{
	struct session *narrow;
	struct setting t;

	setting_new(&t, "observe");
	narrow = session_of(&t, 0, "narrow");
	cr_assert_eq(take(narrow), PASSES);
	share_moved(narrow, 1 << 20);
	cr_assert(share_waits(narrow));
	share_give_back(narrow);
	for (unsigned i = 0; i < 2 * LIMIT_REFUSED_AGENT; i++) {
		cr_assert_eq(take(session_of(&t, 0, "few")), PASSES);
		cr_assert_eq(take(session_of(&t, 0, "slow")), PASSES);
	}
}

Test(share, who_moved_too_much_waits_alone)
{
	struct setting t;
	struct session *narrow, *other, *open;

	setting_new(&t, "enforce");
	narrow = session_of(&t, 0, "narrow");
	other = session_of(&t, 1, "narrow");
	open = session_of(&t, 0, "free");
	cr_assert_eq(take(narrow), PASSES);
	cr_assert_eq(take(other), PASSES);
	cr_assert_eq(take(open), PASSES);
	cr_assert_not(share_waits(narrow));
	share_moved(narrow, 1 << 20);
	share_moved(open, 1 << 20);
	cr_assert(share_waits(narrow));
	cr_assert(share_waits(other), "at another worker too");
	cr_assert_not(share_waits(open));
	share_give_back(narrow);
	share_give_back(other);
	cr_assert(list_is_empty(&t.workers[0]->shares.waiting));
	cr_assert(list_is_empty(&t.workers[1]->shares.waiting));
}
