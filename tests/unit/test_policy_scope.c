/* SPDX-License-Identifier: Apache-2.0
 *
 * Scopes: sharing, lifetime, bounds; verdicts as texts.
 */
#include <criterion/criterion.h>

#include "policy/private.h"
#include "policy/scope.h"
#include "policy_test.h"

static const char simple[] =
	"config:\n"
	"  agents: [{name: a, cgroup: a}, {name: b, cgroup: b}]\n"
	"  resources: [{name: db, protocol: postgres, hosts: [\"db:1\"]}]\n"
	"rules:\n"
	"  - {name: reads, operations: [read], allow: {mask: [{columns: [s.t.c], with: hash}]}}\n"
	"  - {name: no drops, operations: [drop], deny: {message: never}}\n";

static struct policy_subject subject_of(
	const struct policy *p, const char *agent, const struct principal *principal)
{
	return (struct policy_subject){
		.agent = policy_find_agent_name(p, slice_from_string(agent)),
		.principal = principal,
		.protocol = PROTOCOL_POSTGRES,
	};
}

static struct verdict judge(struct policy_scope *s, const char *pair)
{
	struct action_pair one;
	struct action action = {.protocol = PROTOCOL_POSTGRES, .pairs = &one, .pair_count = 1};
	struct verdict v;

	cr_assert(policy_test_pair(PROTOCOL_POSTGRES, pair, &one));
	policy_judge(s, &action, &v);
	return v;
}

Test(policy_scope, equal_subjects_share)
{
	struct policy *p = policy_test_new(simple);
	struct slice groups[] = {slice_from_string("x"), slice_from_string("y")};
	struct principal ann = {true, slice_from_string("ann"), groups, 2};
	struct principal same = {true, slice_from_string("ann"), groups, 2};
	struct principal fewer = {true, slice_from_string("ann"), groups, 1};
	struct principal unknown = {false, slice_from_string("ann"), groups, 2};
	struct policy_subject a = subject_of(p, "a", &ann), b = subject_of(p, "b", &ann);
	struct policy_scope *first = policy_scope_get(p, &a), *other;

	a.principal = &same;
	other = policy_scope_get(p, &a);
	cr_expect_eq(other, first);
	policy_scope_put(other);
	other = policy_scope_get(p, &b);
	cr_expect_neq(other, first);
	cr_expect_neq(policy_scope_serial(other), policy_scope_serial(first));
	policy_scope_put(other);
	cr_expect_eq(policy_scope_hold(first), first);
	policy_scope_put(first);
	cr_expect_eq(judge(first, "select s.t").kind, VERDICT_ALLOW, "still held");
	a.principal = &fewer;
	other = policy_scope_get(p, &a);
	cr_expect_neq(other, first);
	policy_scope_put(other);
	a.principal = &unknown;
	other = policy_scope_get(p, &a);
	cr_expect_neq(other, first);
	policy_scope_put(other);
	a.principal = &ann;
	a.resource = POLICY_EGRESS;
	other = policy_scope_get(p, &a);
	cr_expect_neq(other, first);
	policy_scope_put(other);
	policy_scope_put(first);
	policy_put(p);
}

/* What a scope knows of its principal is its own: sessions come and go. */
Test(policy_scope, outlives_its_session)
{
	struct policy *p = policy_test_new(simple);
	char *name = memory_copy_string("ann");
	struct slice *groups = memory_new(sizeof(*groups));
	struct principal ann = {true, slice_from_string(name), groups, 1};
	struct policy_subject subject = subject_of(p, "a", &ann);
	struct policy_scope *s;

	groups[0] = slice_from_string(name);
	s = policy_scope_get(p, &subject);
	free(groups);
	memset(name, 'x', 3);
	free(name);
	cr_expect(slice_equal_string(policy_scope_subject(s)->principal->groups[0], "ann"));
	cr_expect(slice_equal_string(policy_scope_subject(s)->principal->name, "ann"));
	policy_put(p); /* the scope keeps the policy */
	cr_expect_eq(judge(s, "select s.t").kind, VERDICT_ALLOW);
	policy_scope_put(s);
}

Test(policy_scope, idle_ones_are_bounded)
{
	struct policy *p = policy_test_new(simple);

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 2 * LIMIT_SCOPES_IDLE; i++) {
			char name[16];
			struct principal principal = {.known = true};
			struct policy_subject subject = subject_of(p, "a", &principal);

			snprintf(name, sizeof(name), "p%u", i);
			principal.name = slice_from_string(name);
			policy_scope_put(policy_scope_get(p, &subject));
		}
	}
	cr_expect_eq(p->private->idle_count, LIMIT_SCOPES_IDLE);
	cr_expect_eq(p->private->scopes.count, LIMIT_SCOPES_IDLE);
	policy_put(p);
}

/* The same question again takes no memory. */
Test(policy_scope, judging_again_allocates_nothing)
{
	struct policy *p = policy_test_new(simple);
	struct policy_subject subject = subject_of(p, "a", &principal_none);
	struct policy_scope *s = policy_scope_get(p, &subject);
	const struct policy_outcome *first = judge(s, "select s.t").outcome;
	size_t used;

	judge(s, "drop s.t");
	used = s->interned.used + s->outcomes.count + s->masks.count;
	for (unsigned i = 0; i < 1000; i++) {
		cr_expect_eq(judge(s, "select s.t").outcome, first);
		judge(s, "drop s.t");
		judge(s, "insert s.t");
		judge(s, "transaction");
	}
	cr_expect_eq(s->interned.used + s->outcomes.count + s->masks.count, used);
	cr_expect_eq(first->masks, policy_scope_masks(s));
	policy_scope_put(s);
	policy_put(p);
}

/* An agent that makes every combination of rules match gets a named refusal, not our memory. */
Test(policy_scope, combinations_are_bounded)
{
	const unsigned count = 40;
	struct buffer text;
	struct policy *p;
	struct policy_subject subject;
	struct policy_scope *s;
	struct action_pair pairs[40];
	char objects[40][8];
	struct verdict v = {0};
	uint64_t state = 1;
	unsigned tries = 0;

	buffer_init(&text, 1 << 20);
	buffer_append_string(&text,
		"config:\n  agents: [{name: a, cgroup: a}]\n  resources: "
		"[{name: db, protocol: postgres, hosts: [\"db:1\"]}]\nrules:\n");
	for (unsigned i = 0; i < count; i++)
		buffer_append_format(&text,
			"  - {name: r%u, operations: [read], objects: [s.t%u], allow: {mask: "
			"[{columns: [s.t%u.c], with: redact}]}}\n",
			i, i, i);
	buffer_append_byte(&text, 0);
	p = policy_test_new((const char *)buffer_slice(&text).data);
	subject = subject_of(p, "a", &principal_none);
	s = policy_scope_get(p, &subject);
	do {
		struct action action = {.protocol = PROTOCOL_POSTGRES, .pairs = pairs};

		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		for (unsigned i = 0; i < count; i++) {
			if (!(state >> 20 >> i & 1))
				continue;
			snprintf(objects[i], sizeof(objects[i]), "s.t%u", i);
			pairs[action.pair_count++] = (struct action_pair){
				.operation = OPERATION_SELECT,
				.state = OBJECT_KNOWN,
				.object = slice_from_string(objects[i]),
			};
		}
		policy_judge(s, &action, &v);
	} while (v.kind == VERDICT_ALLOW && ++tries < 1000000);
	cr_expect_eq(v.reason, REASON_LIMIT);
	cr_expect_gt(tries, 1000, "only %u combinations", tries);
	cr_expect_leq(s->interned.used, s->interned.limit);
	buffer_clear(&text);
	cr_expect_eq(verdict_text(&v, &(struct action){0}, &text), 0);
	cr_expect(slice_equal_string(
		buffer_slice(&text), "denied: too many different combinations of rules"));
	/* What needs no new combination goes on. */
	cr_expect_eq(judge(s, "transaction").kind, VERDICT_ALLOW);
	cr_expect_eq(judge(s, "insert s.t").reason, REASON_NOT_COVERED);
	buffer_done(&text);
	policy_scope_put(s);
	policy_put(p);
}

Test(policy_scope, observe_enforces_nothing)
{
	struct policy *p;
	struct policy_subject subject;
	struct policy_scope *s;
	struct verdict v;

	p = policy_test_new(simple);
	subject = subject_of(p, "a", &principal_none);
	s = policy_scope_get(p, &subject);
	v = judge(s, "drop s.t");
	cr_expect(verdict_is_enforced(&v));
	policy_scope_put(s);
	policy_put(p);
	p = policy_test_new("config:\n  mode: observe\n  agents: [{name: a, cgroup: a}]\n"
			    "  resources: [{name: db, protocol: postgres, hosts: [\"db:1\"]}]\n"
			    "rules: [{name: no, operations: [drop], deny: }]\n");
	subject = subject_of(p, "a", &principal_none);
	s = policy_scope_get(p, &subject);
	v = judge(s, "drop s.t");
	cr_expect_eq(v.kind, VERDICT_DENY, "what would have been");
	cr_expect(!verdict_is_enforced(&v));
	v = judge(s, "connect");
	cr_expect(!verdict_is_enforced(&v));
	policy_scope_put(s);
	policy_put(p);
}

static void check_text(struct policy_scope *s, struct slice object, const char *expected)
{
	struct action_pair pair = {
		.operation = OPERATION_INSERT, .state = OBJECT_KNOWN, .object = object};
	struct action action = {.protocol = PROTOCOL_POSTGRES, .pairs = &pair, .pair_count = 1};
	struct buffer text;
	struct verdict v;

	buffer_init(&text, 4096);
	policy_judge(s, &action, &v);
	cr_expect_eq(verdict_text(&v, &action, &text), 0);
	buffer_append_byte(&text, 0);
	cr_expect_str_eq((const char *)buffer_slice(&text).data, expected);
	buffer_done(&text);
}

/* Objects are the agent's words: they can't forge lines, drive terminals or fill logs. */
Test(policy_scope, hostile_objects)
{
	struct policy *p = policy_test_new(simple);
	struct policy_subject subject = subject_of(p, "a", &principal_none);
	struct policy_scope *s = policy_scope_get(p, &subject);
	char longer[4000];
	char expected[512];

	check_text(s, slice_of("s.\n\x1b[2J\0\t\xff", 10),
		"denied: no rule allows insert on s. \\x1b[2J\\x00 \\xff");
	check_text(s, slice_of("s.%s%n", 6), "denied: no rule allows insert on s.%s%n");
	check_text(s, SLICE_EMPTY, "denied: no rule allows insert on an object that is not known");
	memset(longer, 'a', sizeof(longer));
	snprintf(expected, sizeof(expected), "denied: no rule allows insert on %.200s…", longer);
	check_text(s, slice_of(longer, sizeof(longer)), expected);
	policy_scope_put(s);
	policy_put(p);
}

/* A buffer without room: an error, not half a sentence taken for a whole one. */
Test(policy_scope, no_room_for_the_text)
{
	struct policy *p = policy_test_new(simple);
	struct policy_subject subject = subject_of(p, "a", &principal_none);
	struct policy_scope *s = policy_scope_get(p, &subject);
	struct verdict v = judge(s, "drop s.t");

	for (size_t limit = 0; limit < strlen("denied by rule \"no drops\": never"); limit++) {
		struct buffer text;

		buffer_init(&text, limit);
		cr_expect_lt(verdict_text(&v, &(struct action){0}, &text), 0, "%zu", limit);
		buffer_done(&text);
	}
	policy_scope_put(s);
	policy_put(p);
}

/* Rules for everything don't, so that what they cover is as it was. */
Test(policy_scope, names_what_some_rule_names)
{
	static const struct {
		const char *operations;
		bool named;
	} rows[] = {
		{"operations: [shell, exec]", false},
		{"operations: [\"*\"]", false},
		{"", false},
		{"operations: [line]", true},
		{"operations: [shell, line], objects: [\"rm *\"]", true},
	};
	char text[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_subject subject;
		struct policy_scope *s;
		struct policy *p;

		snprintf(text, sizeof(text),
			"config:\n  agents: [{name: a, cgroup: a}]\n"
			"  resources: [{name: db, protocol: ssh, hosts: [\"db:1\"]}]\n"
			"rules:\n  - {name: r, resources: [db], %s%s deny: {}}\n",
			rows[i].operations, rows[i].operations[0] ? "," : "");
		p = policy_test_new(text);
		subject = subject_of(p, "a", &principal_none);
		subject.protocol = PROTOCOL_SSH;
		s = policy_scope_get(p, &subject);
		cr_expect_eq(policy_scope_names(s, OPERATION_SSH_LINE), rows[i].named, "%s",
			rows[i].operations);
		policy_scope_put(s);
		policy_put(p);
	}
}

Test(policy_scope, without_rules)
{
	struct policy *p = policy_test_new(
		"config:\n  agents: [{name: a, cgroup: a}]\n"
		"  resources: [{name: db, protocol: postgres, hosts: [\"db:1\"]}]\nrules: []\n");
	struct policy_subject subject = subject_of(p, "a", &principal_none);
	struct policy_scope *s = policy_scope_get(p, &subject);

	cr_expect_eq(judge(s, "select s.t").reason, REASON_NOT_COVERED);
	cr_expect_eq(judge(s, "connect").reason, REASON_NOT_COVERED);
	cr_expect_eq(judge(s, "transaction").kind, VERDICT_ALLOW);
	cr_expect_eq(policy_scope_needs(s), 0);
	cr_expect_eq(policy_scope_masks(s)->column_count, 0);
	policy_scope_put(s);
	policy_put(p);
}

/* More rules than one word of a bitmap holds. */
Test(policy_scope, many_rules)
{
	const unsigned count = 1000;
	struct buffer text;
	struct policy *p;
	struct policy_subject subject;
	struct policy_scope *s;

	buffer_init(&text, 1 << 20);
	buffer_append_string(&text,
		"config:\n  agents: [{name: a, cgroup: a}]\n  resources: "
		"[{name: db, protocol: postgres, hosts: [\"db:1\"]}]\nrules:\n");
	for (unsigned i = 0; i < count; i++)
		buffer_append_format(&text,
			"  - {name: r%u, operations: [read], objects: [s.t%u], %s: }\n", i, i,
			i % 2 ? "allow" : "deny");
	buffer_append_byte(&text, 0);
	p = policy_test_new((const char *)buffer_slice(&text).data);
	buffer_done(&text);
	subject = subject_of(p, "a", &principal_none);
	s = policy_scope_get(p, &subject);
	for (unsigned i = 0; i < count; i++) {
		char pair[32], name[16];
		struct verdict v;

		snprintf(pair, sizeof(pair), "select s.t%u", i);
		snprintf(name, sizeof(name), "r%u", i);
		v = judge(s, pair);
		cr_expect_eq(v.kind, i % 2 ? VERDICT_ALLOW : VERDICT_DENY);
		cr_expect_eq(v.outcome->rule_count, 1);
		cr_expect(slice_equal_string(v.outcome->rules[0]->name, name));
	}
	policy_scope_put(s);
	policy_put(p);
}

/* Which of several pairs a refusal is about: the first. */
Test(policy_scope, pair_of_a_refusal)
{
	struct policy *p = policy_test_new(simple);
	struct policy_subject subject = subject_of(p, "a", &principal_none);
	struct policy_scope *s = policy_scope_get(p, &subject);
	struct action_pair pairs[4];
	struct action action = {.protocol = PROTOCOL_POSTGRES, .pairs = pairs, .pair_count = 4};
	struct verdict v;

	cr_assert(policy_test_pair(PROTOCOL_POSTGRES, "insert s.t", &pairs[0]));
	cr_assert(policy_test_pair(PROTOCOL_POSTGRES, "drop s.t", &pairs[1]));
	cr_assert(policy_test_pair(PROTOCOL_POSTGRES, "drop s.u", &pairs[2]));
	cr_assert(policy_test_pair(PROTOCOL_POSTGRES, "update s.u", &pairs[3]));
	policy_judge(s, &action, &v);
	cr_expect_eq(v.reason, REASON_DENIED_BY_RULE);
	cr_expect_eq(v.pair, &pairs[1]);
	pairs[1].operation = pairs[2].operation = OPERATION_SELECT;
	policy_judge(s, &action, &v);
	cr_expect_eq(v.reason, REASON_NOT_COVERED);
	cr_expect_eq(v.pair, &pairs[0]);
	action.pair_count = 0;
	action.unknown = ACTION_UNKNOWN_TEXT;
	policy_judge(s, &action, &v);
	cr_expect_eq(v.reason, REASON_NOT_UNDERSTOOD);
	cr_expect_null(v.pair);
	policy_scope_put(s);
	policy_put(p);
}

static struct verdict judge_body(struct policy_scope *s, const char *body)
{
	struct action_pair one;
	struct action action = {.protocol = PROTOCOL_HTTP,
		.pairs = &one,
		.pair_count = 1,
		.body = {BODY_JSON, slice_from_string(body)}};
	struct verdict v;

	cr_assert(policy_test_pair(PROTOCOL_HTTP, "POST /x", &one));
	policy_judge(s, &action, &v);
	return v;
}

/* Doubt satisfies a review; what people then approve of must not let through, by a grant, what
 * nobody saw. */
Test(policy_scope, a_review_that_only_may_match_is_of_an_unknown)
{
	static const char text[] = "config:\n"
				   "  agents: [{name: a, cgroup: a}]\n"
				   "  resources: [{name: api, protocol: http, hosts: [\"h:80\"]}]\n"
				   "  reviewers: {dba: {local_users: [root]}}\n"
				   "rules:\n"
				   "  - {name: all, operations: [POST], allow: {}}\n"
				   "  - {name: drops, operations: [POST], body: {\"$.do\": "
				   "[drop]}, review: {by: dba}}\n";
	static const char *const doubtful[] = {"{\"do\":\"drop\",\"do\":\"x\"}",
		"{\"DO\":\"drop\"}", "{\"do\":{}}", "{", "[{\"do\":\"drop\"},{\"do\":1.0}]"};
	struct policy *p = policy_test_new(text);
	struct principal nobody = {true, SLICE_EMPTY, NULL, 0};
	struct policy_subject subject = subject_of(p, "a", &nobody);
	struct policy_scope *s;
	struct verdict v;

	subject.protocol = PROTOCOL_HTTP;
	s = policy_scope_get(p, &subject);
	v = judge_body(s, "[{\"do\":\"drop\"},{\"do\":\"x\"}]");
	cr_assert(v.kind == VERDICT_REVIEW && v.unknown == 0);
	v = judge_body(s, "{\"do\":\"x\"}");
	cr_assert(v.kind == VERDICT_ALLOW && v.unknown == 0);
	for (size_t i = 0; i < ARRAY_SIZE(doubtful); i++) {
		v = judge_body(s, doubtful[i]);
		cr_assert(v.kind == VERDICT_REVIEW && v.unknown == ACTION_UNKNOWN_BODY, "%s",
			doubtful[i]);
	}
	policy_scope_put(s);
	policy_put(p);
}

static unsigned needs_of(enum protocol_id protocol, const char *rule)
{
	char text[512];
	struct policy_subject subject;
	struct policy *p;
	struct policy_scope *s;
	unsigned needs;

	snprintf(text, sizeof(text),
		"config:\n"
		"  agents: [{name: a, cgroup: a}]\n"
		"  resources: [{name: box, protocol: ssh, hosts: [\"box:1\"]}]\n"
		"  reviewers: {ops: {local_users: [root]}}\n"
		"rules:\n"
		"  - {name: one, %s}\n",
		rule);
	p = policy_test_new(text);
	subject = subject_of(p, "a", &principal_none);
	subject.protocol = protocol;
	s = policy_scope_get(p, &subject);
	needs = policy_scope_needs(s);
	policy_scope_put(s);
	policy_put(p);
	return needs;
}

/* Whoever decides about "sh" is to see what it will read. */
Test(policy_scope, reviews_of_ssh_need_what_a_shell_is_to_read)
{
	cr_expect(needs_of(PROTOCOL_SSH, "review: {by: ops, within: 1m}"));
	cr_expect(needs_of(PROTOCOL_SSH, "operations: [\"*\"], review: {by: ops, within: 1m}"));
	cr_expect_not(needs_of(PROTOCOL_SSH, "operations: [\"*\"], allow: {}"));
	cr_expect_not(needs_of(PROTOCOL_POSTGRES, "review: {by: ops, within: 1m}"));
}
