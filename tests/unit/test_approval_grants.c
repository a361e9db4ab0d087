/* SPDX-License-Identifier: Apache-2.0 */
#include "approval_book.h"

/* An approval for a time; the grant's slot is the first. */
static struct identifier grant_for(struct book_test *t, uint64_t wait, uint64_t length)
{
	struct identifier id = ASK(t, .id = wait);

	cr_assert_eq(book_test_decide(t, id.text, "bob", true, length), 0, "%s", t->error.text);
	return t->told[t->told_count - 1].grant;
}

static struct grant *list_of(struct book_test *t, size_t *ret_count, struct buffer *bytes)
{
	struct grant *grants;

	buffer_init(bytes, GRANTS_BYTES_MOST);
	cr_assert_eq(book_grants_encode(t->book, bytes), 0);
	cr_assert_eq(grants_decode(buffer_slice(bytes), &grants, ret_count), 0);
	return grants;
}

/* Whether a worker would let such an action pass now. */
static bool passes(struct book_test *t, const struct asking *a)
{
	struct question *q = book_test_question(a);
	struct buffer bytes;
	struct grant *grants;
	bool any = false;
	size_t count;

	grants = list_of(t, &count, &bytes);
	for (size_t i = 0; i < count; i++)
		any |= grant_is_in_force(&grants[i], t->table, t->now) &&
			grant_covers(&grants[i], &q->scope, q->unknown);
	free(grants);
	free(q);
	buffer_done(&bytes);
	return any;
}

static int revoke_as(struct book_test *t, const char *id, uid_t uid, const char *user)
{
	const struct reviewer who = {REVIEWER_LOCAL, uid, user};

	return book_revoke(t->book, slice_from_string(id), &who, t->now, &t->error);
}

Test(grants, cover_what_was_approved_until_they_end)
{
	struct book_test *t = book_test_new();
	struct identifier id = grant_for(t, 1, 10 * MINUTE);

	cr_assert_eq(id.text[0], 'g');
	cr_assert(t->told[0].in_force, "before anybody goes on");
	cr_assert_eq(t->settled_after, 1, "who waited for it goes on by it, not by the grant");
	cr_assert_eq(t->lists, 1);
	cr_assert_eq(t->notes[HOST_GRANTED], 1);
	cr_assert(passes(t, &(struct asking){.text = "update orders set x = 2"}));
	cr_assert_not(passes(t, &(struct asking){.operation = OPERATION_DELETE}));
	cr_assert_not(passes(t, &(struct asking){.agent = "other"}));
	cr_assert_not(passes(t, &(struct asking){.principal = "ann@acme.com"}));
	cr_assert_not(passes(t, &(struct asking){.on_behalf_of = "ann@acme.com"}));
	cr_assert_not(passes(t, &(struct asking){.rule = "once"}));
	cr_assert_not(passes(t, &(struct asking){.database = "prod"}));
	cr_assert_not(passes(t, &(struct asking){.database_user = "owner"}));
	t->now += 10 * MINUTE - 1;
	cr_assert(passes(t, &(struct asking){.id = 0}));
	t->now += 1;
	cr_assert_not(passes(t, &(struct asking){.id = 0}), "without any tick");
	book_tick(t->book, t->now, false);
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_eq(t->notes[HOST_GRANT_ENDED], 1);
	book_test_free(t);
}

Test(grants, are_no_longer_than_the_rule_allows)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), once = ASK(t, .id = 2, .rule = "once");
	struct identifier unknown = ASK(t, .id = 3, .text = "x", .unknown = ACTION_UNKNOWN_EFFECT);

	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 30 * MINUTE + 1), -EINVAL);
	cr_assert_eq(book_test_decide(t, once.text, "bob", true, 1), -EINVAL);
	cr_assert_eq(book_test_decide(t, once.text, "bob", true, BOOK_GRANT_RULES), -EINVAL);
	cr_assert_eq(book_test_decide(t, unknown.text, "bob", true, 60 * SECOND), -EINVAL,
		"nothing could be recognised as the same again");
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(book_test_decide(t, once.text, "bob", true, 0), 0);
	cr_assert_eq(book_count_grants(t->book), 0, "once, whatever the rule says");
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), 0);
	cr_assert_eq(atomic_load(&t->table->slots[0].end), NOW + 30 * MINUTE);
	book_test_free(t);
}

Test(grants, last_as_long_as_all_approvers_want)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .rule = "pair");

	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 5 * MINUTE), 1);
	cr_assert_eq(book_test_decide(t, id.text, "cid", true, BOOK_GRANT_RULES), 0);
	cr_assert_eq(atomic_load(&t->table->slots[0].end), NOW + 5 * MINUTE);
	id = ASK(t, .id = 2, .rule = "pair");
	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1);
	cr_assert_eq(book_test_decide(t, id.text, "cid", true, BOOK_GRANT_RULES), 0);
	cr_assert_eq(book_count_grants(t->book), 1, "one of them meant this action alone");
	book_test_free(t);
}

Test(grants, are_revoked_at_once)
{
	struct book_test *t = book_test_new();
	struct identifier id = grant_for(t, 1, 10 * MINUTE);
	char lower[IDENTIFIER_SIZE];

	cr_assert_eq(revoke_as(t, id.text, 7, "eve"), -EPERM);
	cr_assert_eq(revoke_as(t, id.text, 7, NULL), -EPERM);
	cr_assert_eq(revoke_as(t, "g-0000", 0, "root"), -ENOENT);
	cr_assert_eq(revoke_as(t, "r-0000", 0, "root"), -ENOENT);
	t->note_fails = -ENOSPC;
	cr_assert_eq(revoke_as(t, id.text, 0, "root"), -ENOSPC);
	t->note_fails = 0;
	cr_assert(passes(t, &(struct asking){.id = 0}), "what can't be noted does not happen");
	for (size_t i = 0; i < sizeof(lower); i++)
		lower[i] = (char)(id.text[i] >= 'A' ? id.text[i] | 32 : id.text[i]);
	cr_assert_eq(revoke_as(t, lower, 1098, "bob"), 0, "%s", t->error.text);
	cr_assert_not(passes(t, &(struct asking){.id = 0}));
	cr_assert_eq(atomic_load(&t->table->slots[0].serial), 0);
	cr_assert_not_null(strstr(t->last_note, "by bob at the command line"));
	cr_assert_eq(revoke_as(t, id.text, 0, "root"), -ENOENT);
	book_test_free(t);
}

Test(grants, a_slot_is_never_taken_for_another_grant)
{
	struct book_test *t = book_test_new();
	struct buffer bytes;
	struct grant *old;
	size_t count;
	struct identifier id = grant_for(t, 1, 10 * MINUTE);

	old = list_of(t, &count, &bytes);
	cr_assert_eq(revoke_as(t, id.text, 0, "root"), 0);
	grant_for(t, 2, 10 * MINUTE);
	cr_assert_not(grant_is_in_force(&old[0], t->table, t->now),
		"a worker with the list of before, whose slot has another grant");
	free(old);
	buffer_done(&bytes);
	book_test_free(t);
}

Test(grants, outlive_a_restart)
{
	struct book_test *t = book_test_new();
	struct identifier id = grant_for(t, 1, 10 * MINUTE), gone = grant_for(t, 2, 10 * MINUTE);

	grant_for(t, 3, 60 * SECOND);
	cr_assert_eq(revoke_as(t, gone.text, 0, "root"), 0);
	book_free(t->book);
	memset(t->table, 0xff, sizeof(*t->table));
	t->now += 5 * MINUTE;
	book_test_open(t);
	cr_assert(passes(t, &(struct asking){.id = 0}));
	book_tick(t->book, t->now, false);
	cr_assert_eq(book_count_grants(t->book), 1);
	cr_assert_eq(revoke_as(t, gone.text, 0, "root"), -ENOENT);
	cr_assert_eq(revoke_as(t, id.text, 0, "root"), 0);
	cr_assert_not(passes(t, &(struct asking){.id = 0}));
	book_free(t->book);
	book_test_open(t);
	cr_assert_eq(book_count_grants(t->book), 0);
	book_test_free(t);
}

Test(grants, end_with_the_rules_that_gave_them)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 30 * MINUTE);
	book_test_configure(t, BOOK_CONFIG BOOK_REVIEWERS BOOK_RULES);
	cr_assert(passes(t, &(struct asking){.id = 0}), "nothing that matters has changed");
	book_test_configure(t,
		BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: writes, resources: [orders], operations: [write], "
		"review: { by: dba, within: 15m, grant: 20m } }\n");
	cr_assert_not(passes(t, &(struct asking){.id = 0}), "longer than the rule gives now");
	grant_for(t, 2, 20 * MINUTE);
	book_test_configure(t,
		BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: writes, resources: [orders], operations: [write], "
		"review: { by: two, within: 15m, grant: 20m } }\n");
	cr_assert_not(passes(t, &(struct asking){.id = 0}), "others must approve now");
	cr_assert_eq(t->notes[HOST_REVOKED], 2);
	book_test_free(t);
}

static void expect_end(struct book_test *t, const struct identifier *review, enum book_grant state,
	const char *end, const char *by)
{
	cJSON *json = book_test_show(t, review->text);
	const char *revoked_by = book_test_text(json, "grant_revoked_by");

	cr_assert_eq(book_grant_of(t->book, review), state);
	cr_assert_str_eq(book_test_text(json, "grant_end"), end);
	cr_assert(by ? revoked_by && strcmp(revoked_by, by) == 0 : !revoked_by, "%s", revoked_by);
	cJSON_Delete(json);
}

/* NOW is 1970-01-12T13:46:40Z. */
Test(grants, how_they_end_is_part_of_their_review)
{
	struct book_test *t = book_test_new();
	struct identifier over = ASK(t, .id = 1), revoked = ASK(t, .id = 2, .text = "x"),
			  stale = ASK(t, .id = 3, .text = "y"), once = ASK(t, .id = 4, .text = "z");
	cJSON *json;

	cr_assert_eq(book_test_decide(t, over.text, "bob", true, MINUTE), 0);
	cr_assert_eq(book_test_decide(t, revoked.text, "bob", true, 20 * MINUTE), 0);
	cr_assert_eq(book_test_decide(t, stale.text, "bob", true, 30 * MINUTE), 0);
	cr_assert_eq(book_test_decide(t, once.text, "bob", true, 0), 0);
	expect_end(t, &over, BOOK_GRANT_IN_FORCE, "1970-01-12T13:47:40.000Z", NULL);
	expect_end(t, &revoked, BOOK_GRANT_IN_FORCE, "1970-01-12T14:06:40.000Z", NULL);
	cr_assert_eq(book_grant_of(t->book, &once), BOOK_GRANT_NONE);
	json = book_test_show(t, once.text);
	cr_assert_null(cJSON_GetObjectItem(json, "grant_end"));
	cJSON_Delete(json);
	t->now += MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(t->changes[BOOK_GRANT_ENDED], 1);
	expect_end(t, &over, BOOK_GRANT_OVER, "1970-01-12T13:47:40.000Z", NULL);
	cr_assert_eq(revoke_as(t, t->told[1].grant.text, 1098, "bob"), 0);
	cr_assert_eq(t->changes[BOOK_GRANT_ENDED], 2);
	expect_end(t, &revoked, BOOK_GRANT_REVOKED, "1970-01-12T13:47:40.000Z", "bob");
	/* Nobody is told of what ends before there is a book; it can be asked. */
	book_test_restart(t,
		BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: writes, resources: [orders], operations: [write], "
		"review: { by: dba, within: 15m, grant: 29m } }\n");
	cr_assert_eq(t->changes[BOOK_GRANT_ENDED], 2);
	expect_end(t, &over, BOOK_GRANT_OVER, "1970-01-12T13:47:40.000Z", NULL);
	expect_end(t, &revoked, BOOK_GRANT_REVOKED, "1970-01-12T13:47:40.000Z", "bob");
	expect_end(t, &stale, BOOK_GRANT_REVOKED, "1970-01-12T13:47:40.000Z", "the configuration");
	book_test_free(t);
}

/* What ended while nothing ran is told to nobody: nobody has a list yet. */
static void expect_none_after_restart(struct book_test *t, const char *config)
{
	unsigned lists = t->lists;

	book_test_restart(t, config);
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_eq(atomic_load(&t->table->slots[0].serial), 0);
	cr_assert_eq(t->lists, lists);
	cr_assert_not(passes(t, &(struct asking){.id = 0}));
	book_test_restart(t, NULL);
	cr_assert_eq(book_count_grants(t->book), 0, "for good");
}

Test(grants, a_rule_that_goes_takes_them_with_it_at_a_restart_too)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 30 * MINUTE);
	expect_none_after_restart(t,
		BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: writes, resources: [orders], operations: [write], allow: {} }\n");
	cr_assert_eq(t->notes[HOST_REVOKED], 1);
	book_test_free(t);
}

Test(grants, a_rule_that_gives_less_ends_them_at_a_restart_too)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 30 * MINUTE);
	expect_none_after_restart(t,
		BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: writes, resources: [orders], operations: [write], "
		"review: { by: dba, within: 15m, grant: 29m } }\n");
	cr_assert_eq(t->notes[HOST_REVOKED], 1);
	book_test_free(t);
}

Test(grants, whose_time_was_over_while_nothing_ran)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 10 * MINUTE);
	t->now += 10 * MINUTE;
	expect_none_after_restart(t, NULL);
	cr_assert_eq(t->notes[HOST_GRANT_ENDED], 1);
	book_test_free(t);
}

Test(grants, are_listed_for_their_groups)
{
	const struct reviewer eve = {REVIEWER_LOCAL, 8, "eve"}, bob = {REVIEWER_LOCAL, 9, "bob"};
	struct book_test *t = book_test_new();
	struct identifier id = grant_for(t, 1, 10 * MINUTE);
	struct buffer b;
	cJSON *json;

	buffer_init(&b, 1 << 20);
	cr_assert_eq(book_grants_json(t->book, &eve, &b), 0);
	cr_assert(slice_equal_string(buffer_slice(&b), "[]"));
	buffer_clear(&b);
	cr_assert_eq(book_grants_json(t->book, &bob, &b), 0);
	json = cJSON_ParseWithLength((const char *)buffer_slice(&b).data, buffer_length(&b));
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 0), "id"), id.text);
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 0), "by"), "bob");
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 0), "agent"), "bot");
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 0), "database"), "shop");
	cr_assert_str_eq(book_test_text(cJSON_GetArrayItem(json, 0), "user"), "app");
	cJSON_Delete(json);
	buffer_done(&b);
	book_test_free(t);
}

Test(grants, there_is_an_end_to_how_many, .timeout = 60)
{
	struct book_test *t = book_test_new();
	struct identifier id;

	for (uint64_t i = 0; i < GRANTS_MOST; i++)
		grant_for(t, i, 30 * MINUTE);
	id = ASK(t, .id = 5000);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), -EDQUOT);
	cr_assert_not_null(strstr(t->error.text, "too many grants"));
	ASSERT_STATE(t, id.text, "pending");
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	book_test_free(t);
}

/* Whoever sets the clock gives nobody more time, and takes none away. */
Test(grants, and_reviews_last_as_long_by_a_clock_that_is_set)
{
	static const int64_t steps[] = {(int64_t)(24 * 60 * MINUTE), -(int64_t)(60 * MINUTE),
		-(int64_t)(100 * 365 * 24 * 60 * MINUTE)};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct book_test *t = book_test_new();
		int64_t by = steps[i];

		grant_for(t, 1, 10 * MINUTE);
		ASK(t, .id = 2, .operation = OPERATION_DELETE);
		/* Before the beginning of time everything is over. */
		t->now = by < 0 && t->now < (uint64_t)-by ? 0 : t->now + (uint64_t)by;
		book_set_clock(t->book, by);
		book_tick(t->book, t->now, false);
		cr_assert_eq(book_count_grants(t->book), t->now ? 1 : 0);
		cr_assert_eq(book_count_pending(t->book), t->now ? 1 : 0);
		t->now += 10 * MINUTE - 1;
		cr_assert_eq(passes(t, &(struct asking){.id = 0}), i < 2);
		t->now += 1;
		cr_assert_not(passes(t, &(struct asking){.id = 0}));
		cr_assert_leq(book_next(t->book), t->now);
		t->now += 5 * MINUTE;
		book_tick(t->book, t->now, false);
		cr_assert_eq(book_count_pending(t->book), 0);
		book_test_free(t);
	}
}

Test(grants, last_as_long_for_the_next_start_too)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 10 * MINUTE);
	t->now += 24 * 60 * MINUTE;
	book_set_clock(t->book, (int64_t)(24 * 60 * MINUTE));
	book_test_restart(t, NULL);
	cr_assert_eq(book_count_grants(t->book), 1);
	/* Set back while nobody ran: no longer than it was given for. */
	t->now -= 5 * 60 * MINUTE;
	book_test_restart(t, NULL);
	cr_assert(passes(t, &(struct asking){.id = 0}));
	t->now += 10 * MINUTE;
	cr_assert_not(passes(t, &(struct asking){.id = 0}));
	book_test_free(t);
}

/* As after a reboot of a machine whose clock is behind: nothing says by how much. */
Test(grants, last_as_long_over_any_number_of_starts_with_a_clock_that_is_behind)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 10 * MINUTE);
	t->now -= 60 * MINUTE;
	book_test_restart(t, NULL);
	t->now += 9 * MINUTE;
	book_test_restart(t, NULL);
	cr_assert(passes(t, &(struct asking){.id = 0}));
	t->now += 2 * MINUTE;
	cr_assert_not(passes(t, &(struct asking){.id = 0}));
	book_test_free(t);
}

/* And then it is set right: what it was behind by is no time that the grant lasts. */
Test(grants, last_as_long_where_the_clock_was_behind_and_is_set_right)
{
	struct book_test *t = book_test_new();

	grant_for(t, 1, 10 * MINUTE);
	t->now -= 60 * MINUTE;
	book_test_restart(t, NULL);
	t->now += 5 * MINUTE + 55 * MINUTE;
	book_set_clock(t->book, (int64_t)(55 * MINUTE));
	book_test_restart(t, NULL);
	t->now += 5 * MINUTE - 1;
	cr_assert(passes(t, &(struct asking){.id = 0}));
	t->now += 1;
	cr_assert_not(passes(t, &(struct asking){.id = 0}));
	book_test_free(t);
}

Test(grants, last_as_long_where_the_clock_was_set_while_nobody_ran)
{
	static const int64_t steps[] = {
		(int64_t)(24 * 60 * MINUTE), -(int64_t)(2 * MINUTE), -(int64_t)(60 * MINUTE)};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct book_test *t = book_test_new();

		grant_for(t, 1, 10 * MINUTE);
		t->now += 5 * MINUTE;
		t->moved = steps[i];
		t->now += (uint64_t)t->moved;
		book_test_restart(t, NULL);
		t->moved = 0;
		t->now += 5 * MINUTE - 1;
		book_test_restart(t, NULL);
		cr_assert(passes(t, &(struct asking){.id = 0}), "%zu", i);
		t->now += 1;
		cr_assert_not(passes(t, &(struct asking){.id = 0}), "%zu", i);
		book_test_free(t);
	}
}
