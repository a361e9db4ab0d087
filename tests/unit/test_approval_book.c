/* SPDX-License-Identifier: Apache-2.0 */
#include "approval_book.h"

Test(book, asks_and_is_approved_once)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .worker = 1, .id = 7);
	cJSON *json = book_test_show(t, id.text);

	cr_assert_eq(strlen(id.text), 6);
	cr_assert_str_eq(book_test_text(json, "state"), "pending");
	cr_assert_str_eq(book_test_text(json, "agent"), "bot");
	cr_assert_str_eq(book_test_text(json, "rule"), "writes");
	cr_assert_str_eq(book_test_text(json, "text"), "update orders");
	cr_assert_str_eq(book_test_text(json, "settings"), "search_path=public");
	cr_assert_eq(book_test_number(json, "waiters"), 1);
	cr_assert_eq(book_test_number(json, "grant_limit"), 1800);
	cr_assert(cJSON_IsNull(cJSON_GetObjectItem(json, "decided_by")));
	cJSON_Delete(json);
	cr_assert_eq(book_count_pending(t->book), 1);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0, "%s", t->error.text);
	cr_assert_eq(t->told_count, 1);
	cr_assert_eq(t->told[0].wait.worker, 1);
	cr_assert_eq(t->told[0].wait.id, 7);
	cr_assert_eq(t->told[0].outcome, OUTCOME_APPROVED);
	cr_assert_str_eq(t->told[0].by, "root");
	cr_assert_str_eq(t->told[0].detail, "because");
	cr_assert_eq(t->told[0].grant.text[0], '\0');
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_not_null(strstr(t->last_note, "by root at the command line: because"));
	json = book_test_show(t, id.text);
	cr_assert_str_eq(book_test_text(json, "state"), "approved");
	cr_assert_str_eq(book_test_text(json, "decided_by"), "root");
	cJSON_Delete(json);
	/* Who comes after the decision asks anew. */
	cr_assert_str_neq(ASK(t, .worker = 1, .id = 8).text, id.text);
	cr_assert_eq(t->changes[BOOK_ASKED], 2);
	cr_assert_eq(t->changes[BOOK_ENDED], 1);
	book_test_free(t);
}

static void assert_noted(struct book_test *t, const struct identifier *review, const char *format)
{
	cJSON *json = book_test_show(t, review->text);
	char *what = memory_format(format, book_test_text(json, "digest")),
	     *whole = memory_format("%s %s", review->text, what);

	cr_assert_str_eq(t->last_note, whole);
	free(whole);
	free(what);
	cJSON_Delete(json);
}

/* IDs come again when what had them is forgotten; digests don't. */
Test(book, the_audit_log_has_who_how_why_and_what)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	cr_assert_eq(book_test_decide(t, id.text, "bob", false, 0), 0);
	assert_noted(
		t, &id, "by bob at the command line: because (agent bot, 1 waiting, digest %s)");
	id = ASK(t, .id = 2);
	cr_assert_eq(book_test_slack(t, id.text, "U2", true, 0), 0);
	assert_noted(t, &id, "by Slack U2 in Slack (agent bot, 1 waiting, digest %s)");
	id = ASK(t, .id = 3);
	cr_assert_eq(book_test_slack(t, id.text, "U1", false, 0), 0);
	assert_noted(t, &id, "by Ann (Slack U1) in Slack (agent bot, 1 waiting, digest %s)");
	id = ASK(t, .id = 4, .rule = "pair");
	cr_assert_eq(book_test_decide(t, id.text, "cid", true, 0), 1);
	assert_noted(t, &id,
		"approved by cid at the command line; others must approve too: because (digest "
		"%s)");
	cr_assert_eq(book_test_slack(t, id.text, "U1", true, 0), 0);
	assert_noted(t, &id, "by cid, Ann (Slack U1) in Slack (agent bot, 1 waiting, digest %s)");
	book_test_free(t);
}

Test(book, is_denied_with_a_reason)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	cr_assert_eq(book_test_slack(t, id.text, "U2", false, 0), 0);
	cr_assert_eq(t->told[0].outcome, OUTCOME_DENIED);
	cr_assert_str_eq(t->told[0].by, "Slack U2");
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), -EALREADY);
	cr_assert_not_null(strstr(t->error.text, "denied by Slack U2"), "%s", t->error.text);
	cr_assert_eq(t->told_count, 1);
	book_test_free(t);
}

Test(book, takes_ids_in_any_case_and_nothing_else)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	char lower[IDENTIFIER_SIZE];

	for (size_t i = 0; i < sizeof(lower); i++)
		lower[i] = (char)(id.text[i] >= 'A' ? id.text[i] | 32 : id.text[i]);
	cr_assert_eq(book_test_decide(t, "r-", "root", true, 0), -ENOENT);
	cr_assert_eq(book_test_decide(t, "r-%s%n", "root", true, 0), -ENOENT);
	cr_assert_eq(book_test_decide(t, "g-7Q2K", "root", true, 0), -ENOENT);
	cr_assert_eq(book_test_decide(t, "r-00000", "root", true, 0), -ENOENT);
	cr_assert_eq(
		book_test_decide(t, "r-0000000000000000000000000000000", "root", true, 0), -ENOENT);
	cr_assert_eq(book_test_decide(t, lower, "root", true, 0), 0, "%s", t->error.text);
	book_test_free(t);
}

Test(book, identical_actions_share_a_review)
{
	struct book_test *t = book_test_new();
	struct identifier first = ASK(t, .worker = 0, .id = 1), second;
	cJSON *json;

	for (uint64_t i = 2; i <= 10; i++) {
		second = ASK(t, .worker = (unsigned)i % 2, .id = i);
		cr_assert_str_eq(first.text, second.text);
	}
	cr_assert_str_neq(
		ASK(t, .id = 1, .worker = 1, .settings = "search_path=evil").text, first.text);
	cr_assert_str_neq(ASK(t, .id = 99, .agent = "other").text, first.text);
	json = book_test_show(t, first.text);
	cr_assert_eq(book_test_number(json, "waiters"), 10);
	cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "sessions")), 10);
	cJSON_Delete(json);
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	book_leave(t->book, &(struct book_wait){5, 5}, false, t->now);
	json = book_test_show(t, first.text);
	cr_assert_eq(book_test_number(json, "waiters"), 9);
	cJSON_Delete(json);
	cr_assert_eq(book_test_decide(t, first.text, "bob", true, 0), 0);
	cr_assert_eq(t->told_count, 9, "each of them is released once");
	cr_assert_eq(book_count_pending(t->book), 2);
	book_test_free(t);
}

Test(book, a_digest_that_lies_is_refused)
{
	struct book_test *t = book_test_new();

	ASK(t, .id = 1, .text = "delete", .keep_digest = true);
	cr_assert_eq(book_test_ask(t,
			     &(struct asking){.id = 2, .text = "drop", .keep_digest = true}, NULL),
		-EINVAL);
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 1}, NULL), -EINVAL,
		"a wait has one review");
	book_test_free(t);
}

/* What is shown beside the text is no part of the digest by itself: parameters are, by their exact
 * bytes, which the monitor never sees. */
Test(book, who_joins_shows_reviewers_the_same)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .value = "42"), unknown;

	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 2, .value = "43"}, NULL), -EINVAL);
	cr_assert_not_null(strstr(t->error.text, "another action has this digest"));
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 2}, NULL), -EINVAL);
	cr_assert_eq(
		book_test_ask(t,
			&(struct asking){.id = 2, .value = "42", .unknown = ACTION_UNKNOWN_EFFECT},
			NULL),
		-EINVAL);
	cr_assert_str_eq(ASK(t, .id = 2, .value = "42").text, id.text);
	unknown = ASK(t, .id = 3, .text = "x", .unknown = ACTION_UNKNOWN_EFFECT);
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 4, .text = "x"}, NULL), -EINVAL);
	cr_assert_str_neq(unknown.text, id.text);
	book_test_free(t);
}

Test(book, one_agent_can_not_flood)
{
	struct book_test *t = book_test_new();
	char text[32];
	int r = 0;

	for (uint64_t i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "update %d", (int)i);
		r = book_test_ask(t, &(struct asking){.id = i, .text = text}, NULL);
		cr_assert_eq(r, i < 4 ? 0 : -EDQUOT);
	}
	cr_assert_not_null(strstr(t->error.text, "too many reviews of this agent are pending"));
	ASK(t, .id = 100, .agent = "other");
	for (uint64_t i = 200; i < 200 + LIMIT_REVIEW_WAITERS - 1; i++)
		ASK(t, .id = i, .text = "update 1");
	cr_assert_eq(
		book_test_ask(t, &(struct asking){.id = 1, .worker = 9, .text = "update 1"}, NULL),
		-EDQUOT);
	cr_assert_not_null(strstr(t->error.text, "too many wait for review"));
	book_test_free(t);
}

/* One that waits keeps the review open for others that come and go, each a row on disk. */
Test(book, nobody_joins_without_end, .timeout = 60)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 0), next;

	for (uint64_t i = 1; i < LIMIT_REVIEW_JOINED; i++) {
		ASK(t, .id = i);
		book_leave(t->book, &(struct book_wait){0, i}, false, t->now);
	}
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 9999}, NULL), -EDQUOT);
	cr_assert_not_null(
		strstr(t->error.text, "too many have waited for review"), "%s", t->error.text);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	next = ASK(t, .id = 9999);
	cr_assert_str_neq(next.text, id.text);
	book_test_free(t);
}

Test(book, rules_are_checked_against_the_configuration)
{
	struct book_test *t = book_test_new();

	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 1, .rule = "no such"}, NULL), -EINVAL);
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 1, .rule = "fine"}, NULL), -EINVAL);
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 1, .agent = "nobody"}, NULL), -EINVAL);
	cr_assert_eq(
		book_test_ask(t, &(struct asking){.id = 1, .rule = "writes", .second_rule = "fine"},
			NULL),
		-EINVAL);
	cr_assert_eq(book_count_pending(t->book), 0);
	book_test_free(t);
}

Test(book, several_rules_need_each_group_and_the_shortest_times)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .rule = "writes", .second_rule = "pair");
	cJSON *json = book_test_show(t, id.text);

	cr_assert_eq(book_test_number(json, "grant_limit"), 600);
	cr_assert_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "groups")), 2);
	cJSON_Delete(json);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 1, "dba alone is not enough");
	cr_assert_eq(book_test_decide(t, id.text, "cid", true, 0), 1);
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(t->notes[HOST_VOTE], 2);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	cr_assert_str_eq(t->told[0].by, "root, cid, bob");
	book_test_free(t);
}

Test(book, a_person_counts_once)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .rule = "pair");

	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1);
	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1, "a double click");
	cr_assert_eq(book_test_slack(t, id.text, "U1", true, 0), 1, "Ann again, in Slack");
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(t->changes[BOOK_VOTED], 3);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	cr_assert_str_eq(t->told[0].by, "Ann (Slack U1), bob");
	book_test_free(t);
}

#define THREE                                                                                      \
	"  reviewers:\n"                                                                           \
	"    dba: { local_users: [ann, bob, cid, dan], slack: { channel: C1, users: [U5] }, "      \
	"approvals: 3 }\n"                                                                         \
	"    two: { slack: { channel: C1, users: [U5] } }\n"
#define AGENT_AND_RESOURCE                                                                         \
	"config:\n"                                                                                \
	"  agents: [{ name: bot, cgroup: bot }]\n"                                                 \
	"  resources: [{ name: orders, protocol: postgres, hosts: ['10.0.0.1:5432'] }]\n"

static double given_of(struct book_test *t, const char *id, int group)
{
	cJSON *json = book_test_show(t, id);
	double given = book_test_number(
		cJSON_GetArrayItem(cJSON_GetObjectItem(json, "groups"), group), "given");

	cJSON_Delete(json);
	return given;
}

/* A reload says that two who have voted are one person. */
Test(book, two_voters_who_are_one_person_count_once)
{
	struct book_test *t = book_test_new();
	struct identifier id;

	book_test_configure(t, AGENT_AND_RESOURCE THREE BOOK_RULES);
	id = ASK(t, .id = 1);
	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1);
	cr_assert_eq(book_test_slack(t, id.text, "U5", true, 0), 1);
	cr_assert_eq(given_of(t, id.text, 0), 2);
	book_test_configure(t,
		AGENT_AND_RESOURCE
		"  people: [{ name: Ann, slack: U5, local: ann }]\n" THREE BOOK_RULES);
	cr_assert_eq(given_of(t, id.text, 0), 1);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 1, "two people are not three");
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(book_test_decide(t, id.text, "cid", true, 0), 0);
	cr_assert_eq(t->told_count, 1);
	book_test_free(t);
}

/* In a group that knows one of them alone, that one counts. */
Test(book, an_identity_counts_where_it_is_a_member)
{
	struct book_test *t = book_test_new();
	struct identifier id;

	book_test_configure(t, AGENT_AND_RESOURCE THREE BOOK_RULES);
	id = ASK(t, .id = 1, .second_rule = "pair");
	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1);
	cr_assert_eq(book_test_slack(t, id.text, "U5", true, 0), 1);
	book_test_configure(t,
		AGENT_AND_RESOURCE
		"  people: [{ name: Ann, slack: U5, local: ann }]\n" THREE BOOK_RULES);
	cr_assert_eq(given_of(t, id.text, 0), 1);
	cr_assert_eq(given_of(t, id.text, 1), 1);
	book_test_free(t);
}

Test(book, one_denial_is_enough)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .rule = "pair");

	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1);
	cr_assert_eq(book_test_decide(t, id.text, "cid", false, 0), 0);
	cr_assert_eq(t->told[0].outcome, OUTCOME_DENIED);
	book_test_free(t);
}

Test(book, only_reviewers_decide)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), pair = ASK(t, .id = 2, .rule = "pair");

	cr_assert_eq(book_test_decide(t, id.text, "eve", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, id.text, "eve", false, 0), -EPERM);
	cr_assert_eq(book_test_slack(t, id.text, "U3", true, 0), -EPERM);
	cr_assert_eq(book_test_slack(t, id.text, "root", true, 0), -EPERM,
		"a local user's name is no Slack user");
	cr_assert_eq(book_test_decide(t, id.text, "U2", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, pair.text, "root", true, 0), -EPERM,
		"root is no reviewer unless listed");
	cr_assert_not_null(
		strstr(t->error.text, "root is no reviewer of two"), "%s", t->error.text);
	cr_assert_eq(t->told_count, 0);
	book_test_free(t);
}

Test(book, nobody_approves_what_is_asked_on_their_behalf)
{
	struct book_test *t = book_test_new();
	struct identifier review = ASK(t, .id = 1, .principal = "bot@acme.com",
		.on_behalf_of = "ann@acme.com", .uid = 5, .user = "runner");
	struct identifier other =
		ASK(t, .id = 2, .principal = "bot@acme.com", .uid = 5, .user = "runner");

	cr_assert_str_neq(review.text, other.text, "another's question");
	cr_assert_eq(book_test_decide(t, review.text, "ann", true, 0), -EPERM);
	cr_assert_eq(book_test_slack(t, review.text, "U1", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, review.text, "bob", true, 0), 0);
	cr_assert_eq(book_test_decide(t, other.text, "ann", true, 0), 0);
	book_test_free(t);
}

Test(book, nobody_approves_their_own_request)
{
	struct book_test *t = book_test_new();
	struct identifier by_user = ASK(t, .id = 1, .uid = 1097, .user = "ann");
	struct identifier by_principal =
		ASK(t, .id = 2, .principal = "ann@acme.com", .uid = 5, .user = "runner");
	struct identifier by_uid = ASK(t, .id = 3, .uid = 1098, .text = "x", .user = NULL);
	struct identifier by_root = ASK(t, .id = 4, .text = "y", .uid = 0, .user = "root");

	cr_assert_eq(book_test_decide(t, by_user.text, "ann", true, 0), -EPERM);
	cr_assert_not_null(strstr(t->error.text, "nobody approves their own request"));
	cr_assert_eq(book_test_slack(t, by_user.text, "U1", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, by_principal.text, "ann", true, 0), -EPERM);
	cr_assert_eq(book_test_slack(t, by_principal.text, "U1", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, by_uid.text, "bob", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, by_root.text, "root", true, 0), -EPERM,
		"`people` says who root is");
	cr_assert_eq(book_test_decide(t, by_user.text, "ann", false, 0), 0, "denying is no secret");
	cr_assert_eq(book_test_decide(t, by_principal.text, "bob", true, 0), 0);
	cr_assert_eq(book_test_decide(t, by_uid.text, "ann", true, 0), 0);
	cr_assert_eq(book_test_decide(t, by_root.text, "bob", true, 0), 0);
	book_test_free(t);
}

/* A user that had no name at first, or whose name could not be found then. */
Test(book, who_joins_with_a_name_gives_it_to_the_request)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .uid = 77);

	ASK(t, .id = 2, .uid = 77, .user = "ann");
	cr_assert_eq(book_test_slack(t, id.text, "U1", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0);
	book_test_free(t);
}

Test(book, root_is_a_person_only_where_people_says_so)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .uid = 0, .user = "root");

	book_test_configure(t, AGENT_AND_RESOURCE BOOK_REVIEWERS BOOK_RULES);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), 0, "%s", t->error.text);
	book_test_free(t);
}

/* Behind an interface: no process of this host. */
Test(book, who_is_no_local_user_is_not_root)
{
	struct book_test *t = book_test_new();
	struct identifier unknown = ASK(t, .id = 1, .uid = UINT64_MAX);
	struct identifier anns = ASK(t, .id = 2, .uid = UINT64_MAX, .principal = "ann@acme.com");
	cJSON *json = book_test_show(t, unknown.text), *waiter;

	cr_assert(cJSON_IsNull(cJSON_GetObjectItem(json, "uid")));
	waiter = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "sessions"), 0);
	cr_assert(cJSON_IsNull(cJSON_GetObjectItem(waiter, "uid")));
	cJSON_Delete(json);
	cr_assert_eq(book_test_decide(t, unknown.text, "root", true, 0), 0, "%s", t->error.text);
	cr_assert_eq(book_test_decide(t, anns.text, "ann", true, 0), -EPERM);
	cr_assert_eq(book_test_slack(t, anns.text, "U1", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, anns.text, "root", true, 0), 0);
	book_test_free(t);
}

Test(book, who_joins_later_has_asked_too)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1, .rule = "pair");

	cr_assert_eq(book_test_decide(t, id.text, "ann", true, 0), 1);
	ASK(t, .id = 2, .rule = "pair", .uid = 1097, .user = "ann");
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 1,
		"ann's vote does not count any more");
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 1, "nor after leaving");
	cr_assert_eq(book_test_decide(t, id.text, "cid", true, 0), 0);
	book_test_free(t);
}

Test(book, expires)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), once = ASK(t, .id = 2, .rule = "once");

	cr_assert_leq(book_next(t->book), NOW + 5 * MINUTE);
	t->now = NOW + 5 * MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(t->told_count, 1);
	cr_assert_eq(t->told[0].wait.id, 2);
	cr_assert_eq(t->told[0].outcome, OUTCOME_EXPIRED);
	ASSERT_STATE(t, once.text, "expired");
	/* Too late, even where no tick came before. */
	t->now = NOW + 15 * MINUTE;
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), -EALREADY);
	ASSERT_STATE(t, id.text, "expired");
	cr_assert_eq(t->told[1].outcome, OUTCOME_EXPIRED);
	book_test_free(t);
}

Test(book, nothing_joins_what_is_over)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	t->now = NOW + 15 * MINUTE;
	cr_assert_str_neq(ASK(t, .id = 2).text, id.text);
	ASSERT_STATE(t, id.text, "expired");
	book_test_free(t);
}

Test(book, nobody_waits_nothing_is_asked)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .worker = 1, .id = 1);
	struct identifier gone = ASK(t, .worker = 2, .id = 1, .text = "x");

	ASK(t, .worker = 2, .id = 2);
	book_worker_gone(t->book, 2, t->now);
	ASSERT_STATE(t, gone.text, "cancelled");
	ASSERT_STATE(t, id.text, "pending");
	book_leave(t->book, &(struct book_wait){1, 1}, false, t->now);
	ASSERT_STATE(t, id.text, "cancelled");
	cr_assert_eq(t->told_count, 0, "who left is not told");
	cr_assert_eq(t->notes[HOST_CANCELLED], 2);
	cr_assert_eq(book_test_decide(t, id.text, "root", true, 0), -EALREADY);
	book_test_free(t);
}

Test(book, what_the_audit_log_does_not_take_does_not_happen)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1), pair = ASK(t, .id = 2, .rule = "pair");

	t->note_fails = -ENOSPC;
	cr_assert_eq(book_test_ask(t, &(struct asking){.id = 3, .text = "x"}, NULL), -ENOSPC);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), -ENOSPC);
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), -ENOSPC);
	cr_assert_eq(book_test_decide(t, id.text, "bob", false, 0), -ENOSPC);
	cr_assert_eq(book_test_decide(t, pair.text, "bob", true, 0), -ENOSPC);
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(book_count_grants(t->book), 0);
	cr_assert_eq(book_count_pending(t->book), 2);
	cr_assert_not_null(book_problem(t->book));
	t->note_fails = 0;
	ASSERT_STATE(t, id.text, "pending");
	cr_assert_eq(book_test_decide(t, pair.text, "cid", true, 0), 1, "bob's was not counted");
	cr_assert_null(book_problem(t->book));
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	cr_assert_eq(t->told_count, 1);
	book_test_free(t);
}

/* What stands in the audit log already is taken back there, where the rest of it is not kept. */
Test(book, what_happened_in_part_is_taken_back)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	t->note_fails = -ENOSPC;
	t->only_fails = HOST_APPROVED;
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, BOOK_GRANT_RULES), -ENOSPC);
	cr_assert_eq(t->notes[HOST_GRANTED], 1);
	cr_assert_eq(t->notes[HOST_WARNING], 1);
	cr_assert_eq(book_count_grants(t->book), 0);
	t->note_fails = 0;
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 0), 0);
	cr_assert_eq(t->notes[HOST_GRANTED], t->notes[HOST_WARNING], "what was not kept is gone");
	book_test_free(t);
}

/* Not every error is the database's. */
Test(book, an_error_says_what_it_is)
{
	struct book_test *t = book_test_new();
	struct question *q = book_test_question(&(struct asking){.id = 1});
	const struct book_wait wait = {0, 1};
	uint8_t *text = memory_new(3 * QUESTION_BYTES_MOST);
	struct book_held held;

	q->text = slice_of(text, 3 * QUESTION_BYTES_MOST);
	cr_assert_lt(book_ask(t->book, &wait, q, SLICE_EMPTY, NULL, t->now, &held, &t->error), 0);
	cr_assert_str_eq(t->error.text, "it could not be kept: Argument list too long");
	free(text);
	free(q);
	book_test_free(t);
}

Test(book, what_lets_nothing_run_happens_even_so)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);

	t->note_fails = -ENOSPC;
	t->now = NOW + 15 * MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(t->told_count, 1);
	cr_assert_eq(t->told[0].outcome, OUTCOME_EXPIRED);
	t->note_fails = 0;
	ASSERT_STATE(t, id.text, "cancelled");
	book_test_free(t);
}

Test(book, another_configuration)
{
	struct book_test *t = book_test_new();
	struct identifier writes = ASK(t, .id = 1), once = ASK(t, .id = 2, .rule = "once");

	/* "once" is gone, "writes" goes to others, and gives no time any more. */
	book_test_configure(t,
		BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: writes, resources: [orders], operations: [write], "
		"review: { by: two, within: 15m } }\n");
	/* Workers see for themselves that "once" is gone: they have the time to. */
	cr_assert_eq(t->told_count, 0);
	cr_assert_eq(book_test_decide(t, once.text, "root", true, 0), -EPERM);
	cr_assert_not_null(strstr(t->error.text, "asks for a review any more"));
	t->now += 5 * SECOND;
	cr_assert_leq(book_next(t->book), t->now);
	book_tick(t->book, t->now, false);
	ASSERT_STATE(t, once.text, "cancelled");
	cr_assert_eq(t->told[0].outcome, OUTCOME_CANCELLED);
	cr_assert_not_null(strstr(t->told[0].detail, "asks for a review any more"));
	cr_assert_eq(book_test_decide(t, writes.text, "root", true, 0), -EPERM);
	cr_assert_eq(book_test_decide(t, writes.text, "ann", true, 60 * SECOND), -EINVAL);
	cr_assert_eq(book_test_decide(t, writes.text, "ann", true, 0), 1);
	cr_assert_eq(book_test_decide(t, writes.text, "cid", true, 0), 0);
	book_test_free(t);
}

Test(book, rules_that_come_back_ask_again)
{
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	struct config *old = t->config;

	t->config = book_test_config(BOOK_CONFIG BOOK_REVIEWERS
		"rules:\n"
		"  - { name: fine, resources: [orders], operations: [read], allow: {} }\n");
	book_configure(t->book, t->config, t->now);
	book_configure(t->book, old, t->now + SECOND);
	config_free(t->config);
	t->config = old;
	t->now += MINUTE;
	book_tick(t->book, t->now, false);
	cr_assert_eq(
		book_test_decide(t, id.text, "root", true, 60 * SECOND), 0, "%s", t->error.text);
	book_test_free(t);
}

Test(book, counts_what_was_approved_lately)
{
	struct book_test *t = book_test_new();
	struct identifier id;
	cJSON *json;

	for (uint64_t i = 1; i <= 3; i++) {
		id = ASK(t, .id = i);
		cr_assert_eq(book_test_decide(t, id.text, "bob", i != 2, 0), 0);
	}
	id = ASK(t, .id = 9, .text = "update orders set x = 2");
	json = book_test_show(t, id.text);
	cr_assert_eq(book_test_number(json, "approved_lately"), 2);
	cJSON_Delete(json);
	id = ASK(t, .id = 10, .operation = OPERATION_DELETE);
	json = book_test_show(t, id.text);
	cr_assert_eq(book_test_number(json, "approved_lately"), 0, "another operation");
	cJSON_Delete(json);
	t->now += 25 * 60 * MINUTE;
	id = ASK(t, .id = 11, .text = "z");
	json = book_test_show(t, id.text);
	cr_assert_eq(book_test_number(json, "approved_lately"), 0, "yesterday");
	cJSON_Delete(json);
	book_test_free(t);
}

static size_t list_length(struct book_test *t, const struct reviewer *viewer)
{
	bool whole;
	cJSON *json = book_test_list(t, viewer, 0, &whole);
	size_t count = (size_t)cJSON_GetArraySize(json);

	cJSON_Delete(json);
	return count;
}

Test(book, everybody_sees_their_own_groups)
{
	const struct reviewer root = {REVIEWER_LOCAL, 0, "root"}, cid = {REVIEWER_LOCAL, 7, "cid"},
			      eve = {REVIEWER_LOCAL, 8, "eve"}, nobody = {REVIEWER_LOCAL, 9, NULL};
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	struct buffer b;

	ASK(t, .id = 2, .rule = "pair");
	cr_assert_eq(list_length(t, NULL), 2);
	cr_assert_eq(list_length(t, &root), 2);
	cr_assert_eq(list_length(t, &cid), 1);
	cr_assert_eq(list_length(t, &eve), 0);
	cr_assert_eq(list_length(t, &nobody), 0);
	buffer_init(&b, 1 << 20);
	cr_assert_eq(
		book_review_json(t->book, slice_from_string(id.text), &cid, &b, &t->error), -EPERM);
	cr_assert_eq(buffer_length(&b), 0);
	buffer_done(&b);
	book_test_free(t);
}

Test(book, long_texts_are_cut_in_lists_and_whole_alone)
{
	struct book_test *t = book_test_new();
	char *text = memory_new((2u << 20) + 1);
	struct identifier id;
	cJSON *json, *item;
	bool whole;

	memset(text, 'x', 2u << 20);
	memcpy(text + (2u << 20) - 4, "TAIL", 4);
	id = ASK(t, .id = 1, .text = text);
	json = book_test_list(t, NULL, 0, &whole);
	item = cJSON_GetArrayItem(json, 0);
	cr_assert_lt(strlen(book_test_text(item, "text")), 5000);
	cr_assert(cJSON_IsTrue(cJSON_GetObjectItem(item, "text_cut")));
	cr_assert_eq(book_test_number(item, "text_length"), 2u << 20);
	cJSON_Delete(json);
	json = book_test_show(t, id.text);
	cr_assert_str_eq(book_test_text(json, "text"), text);
	cJSON_Delete(json);
	free(text);
	book_test_free(t);
}

/* --- those who follow the list --- */

/* "r-7Q2K pending, …" of what changed since; "all: …" where that can't be told. For free(). */
static char *changes_since(struct book_test *t, const struct reviewer *viewer, uint64_t since)
{
	bool whole;
	cJSON *json = book_test_list(t, viewer, since, &whole), *item;
	char *text = memory_copy_string(whole ? "all:" : "");

	cJSON_ArrayForEach(item, json)
	{
		char *longer = memory_format("%s %s %s", text, book_test_text(item, "id"),
			book_test_text(item, "state"));

		free(text);
		text = longer;
	}
	cJSON_Delete(json);
	return text;
}

#define ASSERT_CHANGES(t, since, ...)                                                              \
	do {                                                                                       \
		char *expected_ = memory_format(__VA_ARGS__),                                      \
		     *got_ = changes_since(t, NULL, since);                                        \
		cr_assert_str_eq(got_, expected_);                                                 \
		free(expected_);                                                                   \
		free(got_);                                                                        \
	} while (0)

Test(book, who_follows_the_list_gets_what_changed)
{
	struct book_test *t = book_test_new();
	struct identifier a = ASK(t, .id = 1), b = ASK(t, .id = 2, .text = "b", .rule = "pair"), c;
	uint64_t seen = book_generation(t->book);

	ASSERT_CHANGES(t, 0, "all: %s pending %s pending", b.text, a.text);
	ASSERT_CHANGES(t, seen, "%s", "");
	t->now += SECOND;
	c = ASK(t, .id = 3, .text = "c");
	ASSERT_CHANGES(t, seen, " %s pending", c.text);
	ASK(t, .id = 4);
	ASSERT_CHANGES(t, seen, " %s pending %s pending", a.text, c.text);
	seen = book_generation(t->book);
	cr_assert_eq(book_test_decide(t, a.text, "bob", true, 0), 0);
	cr_assert_eq(book_test_decide(t, b.text, "bob", true, 0), 1, "a vote shows");
	book_leave(t->book, &(struct book_wait){0, 3}, false, t->now);
	ASSERT_CHANGES(t, seen, " %s cancelled %s pending %s approved", c.text, b.text, a.text);
	cr_assert_eq(book_test_decide(t, b.text, "cid", true, 0), 0);
	ASSERT_CHANGES(t, seen, " %s approved %s cancelled %s approved", b.text, c.text, a.text);
	/* A generation of another process is none. */
	ASSERT_CHANGES(t, book_generation(t->book) + 1, "all: %s cancelled %s approved %s approved",
		c.text, b.text, a.text);
	book_test_free(t);
}

Test(book, who_follows_the_list_sees_others_after_a_reload)
{
	const struct reviewer eve = {REVIEWER_LOCAL, 8, "eve"};
	struct book_test *t = book_test_new();
	struct identifier id = ASK(t, .id = 1);
	uint64_t seen = book_generation(t->book);
	char *before = changes_since(t, &eve, 0), *after, *expected;

	cr_assert_str_eq(before, "all:");
	book_test_configure(t,
		BOOK_CONFIG "  reviewers: { dba: { local_users: [eve] }, two: { local_users: [eve] "
			    "} }\n" BOOK_RULES);
	after = changes_since(t, &eve, seen);
	expected = memory_format("all: %s pending", id.text);
	cr_assert_str_eq(after, expected);
	free(before);
	free(after);
	free(expected);
	book_test_free(t);
}

/* Only so many endings are remembered: who was away for longer gets the whole list. */
Test(book, who_follows_from_afar_gets_all)
{
	struct book_test *t = book_test_new();
	uint64_t early = book_generation(t->book), late = 0;
	char *text;

	for (uint64_t i = 0; i < 600; i++) {
		struct identifier id = ASK(t, .id = i);

		if (i == 590)
			late = book_generation(t->book);
		cr_assert_eq(book_test_decide(t, id.text, "bob", false, 0), 0);
	}
	text = changes_since(t, NULL, early);
	cr_assert_eq(strncmp(text, "all:", 4), 0);
	free(text);
	text = changes_since(t, NULL, late);
	cr_assert_eq(strlen(text), 10 * strlen(" r-0000 denied"), "%s", text);
	free(text);
	book_test_free(t);
}

/* When something is due is known without looking at all there is. */
Test(book, what_is_due_next)
{
	struct book_test *t = book_test_new();
	struct identifier id;

	book_tick(t->book, t->now, false);
	cr_assert_eq(book_next(t->book), NOW + 10 * MINUTE, "to look at what is old");
	ASK(t, .id = 1);
	ASK(t, .id = 2, .rule = "once");
	cr_assert_eq(book_next(t->book), NOW + 5 * MINUTE);
	book_leave(t->book, &(struct book_wait){0, 2}, false, t->now);
	book_tick(t->book, NOW + 5 * MINUTE, false);
	cr_assert_eq(book_next(t->book), NOW + 10 * MINUTE);
	id = ASK(t, .id = 3, .text = "x");
	cr_assert_eq(book_test_decide(t, id.text, "bob", true, 60 * SECOND), 0);
	cr_assert_eq(book_next(t->book), NOW + 60 * SECOND, "a grant's end");
	book_tick(t->book, NOW + 11 * MINUTE, false);
	cr_assert_eq(book_next(t->book), NOW + 15 * MINUTE, "the first one expires");
	book_test_free(t);
}

Test(book, a_list_says_that_it_is_cut)
{
	struct book_test *t = book_test_new();
	const struct reviewer eve = {REVIEWER_LOCAL, 7, "eve"};
	struct buffer b;
	bool whole, cut;

	for (uint64_t i = 1; i <= 3; i++)
		cr_assert_eq(book_test_decide(t, ASK(t, .id = i).text, "bob", false, 0), 0);
	ASK(t, .id = 4);
	buffer_init(&b, 1u << 20);
	for (uint64_t most = 2; most <= 4; most++) {
		const char *at;
		size_t count = 0;

		buffer_clear(&b);
		cr_assert_eq(book_list_json(t->book, NULL, 0, most, &b, &whole, &cut), 0);
		cr_assert_eq(buffer_append_byte(&b, 0), 0);
		for (at = (const char *)buffer_slice(&b).data; (at = strstr(at, "\"denied\""));
			at++)
			count++;
		cr_expect_eq(count, most < 3 ? most : 3);
		cr_expect_eq(cut, most <= 3);
	}
	/* For who is in no group none is read. */
	buffer_clear(&b);
	cr_assert_eq(book_list_json(t->book, &eve, 0, 2, &b, &whole, &cut), 0);
	cr_expect(!cut && whole && buffer_length(&b) == 2);
	buffer_done(&b);
	book_test_free(t);
}
