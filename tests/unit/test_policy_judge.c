/* SPDX-License-Identifier: Apache-2.0
 *
 * Judging by thousands of random policies: against a second judge written straight from the
 * contract's sentences, and by what must hold whatever the rules are.
 */
#include <criterion/criterion.h>

#include "policy/explain.h"
#include "policy_test.h"

#define RULES_MOST 8
#define PAIRS_MOST 4
#define POLICIES 1500
#define ACTIONS 24

static uint64_t state = 88172645463325252ULL;

static unsigned random_below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state % n);
}

/* What a random rule may say; NULL leaves the key out. */
static const char *const agent_choices[] = {NULL, NULL, "[a]", "[b]", "[a, b]"};
static const char *const principal_choices[] = {NULL, NULL, NULL, "[ann]", "[bob]"};
static const char *const group_choices[] = {NULL, NULL, NULL, "[staff]", "[robots, staff]"};
static const char *const resource_choices[] = {NULL, NULL, "[db]", "[egress]", "[db, egress]"};
static const char *const operation_choices[] = {NULL, NULL, "[read]", "[select, insert]", "[write]",
	"[ddl]", "[\"*\"]", "[transaction, catalog]", "[connect]", "[replication]",
	"[do, function]"};
static const char *const object_choices[] = {
	NULL, NULL, NULL, "[\"public.*\"]", "[\"*.t\"]", "[\"hr.pay\", \"public.t\"]"};
enum extra { EXTRA_NONE, EXTRA_MASK, EXTRA_ROWS, EXTRA_COUNT };

struct random_rule {
	enum rule_kind kind;
	const char *agents, *principals, *groups, *resources, *operations, *objects;
	enum extra extra;
	unsigned name; /* also the name of the column that it masks */
};

#define CHOOSE(choices) choices[random_below(ARRAY_SIZE(choices))]

static struct random_rule random_rule(unsigned name)
{
	return (struct random_rule){
		.kind = (enum rule_kind)random_below(RULE_KIND_COUNT),
		.agents = CHOOSE(agent_choices),
		.principals = CHOOSE(principal_choices),
		.groups = CHOOSE(group_choices),
		.resources = CHOOSE(resource_choices),
		.operations = CHOOSE(operation_choices),
		.objects = CHOOSE(object_choices),
		.extra = random_below(3) ? EXTRA_NONE : (enum extra)random_below(EXTRA_COUNT),
		.name = name,
	};
}

static void write_key(struct buffer *b, const char *key, const char *value)
{
	if (value)
		buffer_append_format(b, ", %s: %s", key, value);
}

static void write_rule(struct buffer *b, const struct random_rule *r)
{
	static const char *const kinds[] = {"allow", "review", "deny"};

	buffer_append_format(b, "  - {name: r%u", r->name);
	write_key(b, "agents", r->agents);
	write_key(b, "principals", r->principals);
	write_key(b, "groups", r->groups);
	write_key(b, "resources", r->resources);
	write_key(b, "operations", r->operations);
	write_key(b, "objects", r->objects);
	buffer_append_format(
		b, ", %s: {%s", kinds[r->kind], r->kind == RULE_REVIEW ? "by: dba" : "");
	if (r->kind != RULE_DENY && r->extra == EXTRA_MASK)
		buffer_append_format(b, "%smask: [{columns: [\"s.t.c%u\"], with: redact}]",
			r->kind == RULE_REVIEW ? ", " : "", r->name);
	if (r->kind != RULE_DENY && r->extra == EXTRA_ROWS)
		buffer_append_format(b, "%srecord: rows", r->kind == RULE_REVIEW ? ", " : "");
	buffer_append_string(b, "}}\n");
}

static const char configuration[] =
	"config:\n"
	"  egress: allow\n"
	"  issuers: {i: {url: https://i, audience: x}}\n"
	"  agents:\n"
	"    - {name: a, cgroup: a, identity: {issuer: i}}\n"
	"    - {name: b, cgroup: b, identity: {issuer: i}}\n"
	"  resources: [{name: db, protocol: postgres, hosts: [\"db:1\"]}]\n"
	"  reviewers: {dba: {local_users: [root]}}\n"
	"rules:\n";

static struct policy *open_rules(const struct random_rule *rules, size_t count)
{
	struct buffer text;
	struct policy *p;

	buffer_init(&text, 65536);
	buffer_append_string(&text, configuration);
	for (size_t i = 0; i < count; i++)
		write_rule(&text, &rules[i]);
	if (count == 0)
		buffer_append_string(&text, "  []\n");
	buffer_append_byte(&text, '\0');
	p = policy_test_new((const char *)buffer_slice(&text).data);
	buffer_done(&text);
	cr_assert_not_null(p);
	return p;
}

struct random_action {
	struct action action;
	struct action_pair pairs[PAIRS_MOST];
	const char *agent;
	struct principal principal;
	uint32_t resource;
};

static const char *const pair_choices[] = {"select", "select public.t", "select public.u",
	"select hr.pay", "select ?x", "insert public.t", "insert ?x", "update x.t", "drop public.t",
	"drop", "do", "function public.f()", "transaction", "catalog pg_catalog.pg_class",
	"catalog public.t", "connect", "replication", "function_call", "select public.a.t",
	"execute_unknown"};

static void random_action(struct random_action *ret)
{
	static const struct slice groups[] = {{(const uint8_t *)"staff", 5}};
	static const struct principal principals[] = {
		{.known = true},
		{.known = true, .name = {(const uint8_t *)"ann", 3}},
		{.known = true,
			.name = {(const uint8_t *)"bob", 3},
			.groups = groups,
			.group_count = 1},
		{.known = false},
	};

	*ret = (struct random_action){.agent = random_below(2) ? "a" : "b",
		.principal = CHOOSE(principals),
		.resource = random_below(2) ? 0 : POLICY_EGRESS};
	ret->action.protocol = PROTOCOL_POSTGRES;
	ret->action.pair_count = random_below(PAIRS_MOST);
	ret->action.pairs = ret->pairs;
	for (size_t i = 0; i < ret->action.pair_count; i++) {
		cr_assert(
			policy_test_pair(PROTOCOL_POSTGRES, CHOOSE(pair_choices), &ret->pairs[i]));
		if (ret->pairs[i].state == OBJECT_UNKNOWN)
			ret->action.unknown |= ACTION_UNKNOWN_OBJECT;
	}
	if (random_below(8) == 0)
		ret->action.unknown |= ACTION_UNKNOWN_TEXT;
	if (random_below(8) == 0)
		ret->action.unknown |= ACTION_UNKNOWN_EFFECT;
}

static struct policy_scope *scope_of(struct policy *p, const struct random_action *a)
{
	struct policy_subject subject = {
		.agent = policy_find_agent_name(p, slice_from_string(a->agent)),
		.principal = &a->principal,
		.resource = a->resource,
		.protocol = a->action.protocol};

	return policy_scope_get(p, &subject);
}

/* A verdict without pointers, for comparing. */
struct plain_verdict {
	enum verdict_kind kind;
	enum reason reason;
	unsigned rules; /* bit r = rule r decided */
	unsigned masks; /* bit r = the mask of rule r holds */
	bool rows;
	char text[512];
};

static unsigned number_of(struct slice name)
{
	return (unsigned)(name.data[1] - '0');
}

static struct plain_verdict judge(struct policy *p, const struct random_action *a)
{
	struct policy_scope *s = scope_of(p, a);
	struct plain_verdict plain = {0};
	struct buffer text;
	struct verdict v;

	policy_judge(s, &a->action, &v);
	plain.kind = v.kind;
	plain.reason = v.reason;
	plain.rows = v.outcome->record_rows;
	for (size_t i = 0; i < v.outcome->rule_count; i++)
		plain.rules |= 1u << number_of(v.outcome->rules[i]->name);
	for (size_t i = 0; i < v.outcome->masks->column_count; i++)
		plain.masks |= 1u << (v.outcome->masks->columns[i].pattern.data[5] - '0');
	buffer_init(&text, sizeof(plain.text) - 1);
	cr_assert_eq(verdict_text(&v, &a->action, &text), 0);
	snprintf(plain.text, sizeof(plain.text), "%.*s", SLICE_PRINT(buffer_slice(&text)));
	buffer_done(&text);
	policy_scope_put(s);
	return plain;
}

/* The second judge: slow, and in the contract's words. */

enum answer { NO, YES, UNKNOWN };

static bool lists(const char *list, const char *word)
{
	const char *found = strstr(list, word);
	char end = found ? found[strlen(word)] : 0;

	return found && (end == ',' || end == ']' || end == '"') &&
		(found[-1] == '[' || found[-1] == ' ' || found[-1] == '"');
}

static enum answer selected(const struct random_rule *r, const struct random_action *a)
{
	struct slice name = a->principal.name;

	/* "absent selectors match anything" */
	if (r->agents && !lists(r->agents, a->agent))
		return NO;
	if (r->resources && !lists(r->resources, a->resource == 0 ? "db" : "egress"))
		return NO;
	if ((r->principals || r->groups) && !a->principal.known)
		return UNKNOWN;
	if (r->principals &&
		!(name.length && lists(r->principals, name.data[0] == 'a' ? "ann" : "bob")))
		return NO;
	if (r->groups && a->principal.group_count == 0)
		return NO;
	return YES;
}

static bool needs_no_rule(enum operation o)
{
	return o == OPERATION_TRANSACTION || o == OPERATION_SESSION || o == OPERATION_CATALOG;
}

static bool names(const struct random_rule *r, enum operation o)
{
	static const char *const groups[] = {"read", "write", "ddl"};
	struct operation_set set = {0};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (lists(r->operations, groups[i]))
			operation_set_add_name(
				&set, slice_from_string(groups[i]), PROTOCOL_POSTGRES);
	}
	return operation_set_has(&set, o) || lists(r->operations, "*") ||
		lists(r->operations, operation_name(o));
}

static bool means(const struct random_rule *r, enum operation o)
{
	if (r->operations)
		return names(r, o);
	/* "No rule needed, unless one denies it by name" */
	if (needs_no_rule(o))
		return r->kind == RULE_ALLOW;
	/* "the wire messages; only by name or "*"" */
	if (o == OPERATION_REPLICATION || o == OPERATION_FUNCTION_CALL ||
		o == OPERATION_KUBE_PROXY_SPDY)
		return r->kind == RULE_DENY;
	if (o == OPERATION_CONNECT)
		return r->kind != RULE_REVIEW;
	return true;
}

static enum answer object_fits(const struct random_rule *r, const struct action_pair *pair)
{
	bool public = slice_starts_with(pair->object, slice_from_string("public."));

	if (!r->objects)
		return YES;
	/* "An operation without an object ignores an allow's `objects` and never matches a deny's."
	 */
	if (pair->state == OBJECT_NONE)
		return r->kind == RULE_ALLOW ? YES : NO;
	if (pair->state == OBJECT_UNKNOWN)
		return UNKNOWN;
	if (slice_equal_string(pair->object, "public.a.t")) {
		/* a.t in public, or t in public.a: sure for neither pattern alone */
		return lists(r->objects, "public.*") || lists(r->objects, "*.t") ? UNKNOWN : NO;
	}
	if (lists(r->objects, "public.*"))
		return public ? YES : NO;
	if (lists(r->objects, "*.t"))
		return pair->object.data[pair->object.length - 1] == 't' &&
				pair->object.data[pair->object.length - 2] == '.'
			? YES
			: NO;
	return slice_equal_string(pair->object, "hr.pay") ||
			slice_equal_string(pair->object, "public.t")
		? YES
		: NO;
}

static enum answer both(enum answer a, enum answer b)
{
	if (a == NO || b == NO)
		return NO;
	return a == UNKNOWN || b == UNKNOWN ? UNKNOWN : YES;
}

static enum answer matches(
	const struct random_rule *r, const struct random_action *a, const struct action_pair *pair)
{
	if (!means(r, pair->operation))
		return NO;
	return both(selected(r, a), object_fits(r, pair));
}

/* Whether the rule tells texts apart. */
static bool asks(const struct random_rule *r)
{
	bool some_texts = r->operations && !lists(r->operations, "*");
	bool no_text = r->operations &&
		(lists(r->operations, "connect") || lists(r->operations, "replication"));

	return !no_text && (some_texts || r->objects);
}

static bool is_blanket(const struct random_rule *r)
{
	return !r->objects && (!r->operations || lists(r->operations, "*"));
}

/* Contract: "allowed where any rule for the resource could allow something". */
static bool could_be_used(const struct random_rule *rules, size_t count,
	const struct random_action *a, unsigned *closed_by, unsigned *opened_by)
{
	*closed_by = *opened_by = 0;
	for (unsigned o = 0; o < OPERATION_COUNT; o++) {
		unsigned denied = 0, allowed = 0;

		for (size_t i = 0; i < count; i++) {
			const struct random_rule *r = &rules[i];
			enum answer s = selected(r, a);

			if (!operation_is_of((enum operation)o, PROTOCOL_POSTGRES) ||
				needs_no_rule((enum operation)o) || !means(r, (enum operation)o) ||
				s == NO)
				continue;
			if (r->kind == RULE_DENY && !r->objects)
				denied |= 1u << r->name;
			if (r->kind == RULE_REVIEW || (r->kind == RULE_ALLOW && s == YES))
				allowed |= 1u << r->name;
		}
		*closed_by |= denied;
		*opened_by |= denied ? 0 : allowed;
	}
	return *opened_by != 0;
}

struct tally {
	unsigned allows, reviews, denies, masks;
	bool rows, uncovered, not_understood;
};

static void tally_rule(
	struct tally *t, const struct random_rule *r, enum answer match, bool *covered)
{
	unsigned bit = 1u << r->name;

	if (match == NO)
		return;
	if (r->kind == RULE_DENY) {
		t->denies |= bit;
		return;
	}
	if (r->extra == EXTRA_MASK)
		t->masks |= bit; /* also where the rule matches perhaps */
	if (r->kind == RULE_ALLOW && match == UNKNOWN)
		return;
	*(r->kind == RULE_ALLOW ? &t->allows : &t->reviews) |= bit;
	t->rows |= r->extra == EXTRA_ROWS;
	*covered = true;
}

static void tally_pair(struct tally *t, const struct random_rule *rules, size_t count,
	const struct random_action *a, const struct action_pair *pair)
{
	bool covered = needs_no_rule(pair->operation);
	unsigned closed_by, opened_by;

	for (size_t i = 0; i < count; i++)
		tally_rule(t, &rules[i], matches(&rules[i], a, pair), &covered);
	if (pair->operation == OPERATION_CONNECT) {
		covered = could_be_used(rules, count, a, &closed_by, &opened_by);
		for (size_t i = 0; i < count; i++) {
			unsigned bit = 1u << rules[i].name;

			if (covered && rules[i].kind == RULE_ALLOW && opened_by & bit) {
				t->allows |= bit;
				t->masks |= rules[i].extra == EXTRA_MASK ? bit : 0;
				t->rows |= rules[i].extra == EXTRA_ROWS;
			}
			if (!covered && closed_by & bit)
				t->denies |= bit;
		}
	}
	t->uncovered |= !covered;
}

static void tally_unknown(struct tally *t, const struct random_rule *rules, size_t count,
	const struct random_action *a)
{
	bool blanket = false, asked = false, covered;

	for (size_t i = 0; i < count && a->action.unknown & ACTION_UNKNOWN_EFFECT; i++) {
		/* it may be what any deny or review asks for, and read what any mask hides */
		if (selected(&rules[i], a) == NO)
			continue;
		if (rules[i].kind != RULE_ALLOW && asks(&rules[i]))
			tally_rule(t, &rules[i], YES, &covered);
		if (rules[i].kind != RULE_DENY && rules[i].extra == EXTRA_MASK)
			t->masks |= 1u << rules[i].name;
	}
	if (!(a->action.unknown & ACTION_UNKNOWN_TEXT))
		return;
	for (size_t i = 0; i < count; i++) {
		enum answer s = selected(&rules[i], a);

		if (s == NO || !is_blanket(&rules[i]))
			continue;
		blanket |=
			rules[i].kind == RULE_REVIEW || (rules[i].kind == RULE_ALLOW && s == YES);
		tally_rule(t, &rules[i], s, &covered);
	}
	for (size_t i = 0; i < count; i++) {
		const struct random_rule *r = &rules[i];
		bool no_text = r->operations &&
			(lists(r->operations, "connect") || lists(r->operations, "replication"));

		if (selected(r, a) != NO &&
			((r->kind != RULE_DENY && r->extra == EXTRA_MASK && !no_text) ||
				(asks(r) &&
					(!blanket || r->kind != RULE_ALLOW ||
						r->extra == EXTRA_ROWS))))
			asked = true;
	}
	t->not_understood = !blanket || asked;
}

static struct plain_verdict judge_slowly(
	const struct random_rule *rules, size_t count, const struct random_action *a)
{
	struct plain_verdict v = {.kind = VERDICT_ALLOW};
	struct tally t = {0};

	for (size_t i = 0; i < a->action.pair_count; i++)
		tally_pair(&t, rules, count, a, &a->pairs[i]);
	tally_unknown(&t, rules, count, a);
	if (t.denies) { /* "deny beats review beats allow" */
		v.kind = VERDICT_DENY;
		v.reason = REASON_DENIED_BY_RULE;
		v.rules = t.denies;
		return v;
	}
	if (t.not_understood || t.uncovered) {
		v.kind = VERDICT_DENY;
		v.reason = t.not_understood ? REASON_NOT_UNDERSTOOD : REASON_NOT_COVERED;
		return v;
	}
	v.kind = t.reviews ? VERDICT_REVIEW : VERDICT_ALLOW;
	v.rules = t.reviews ? t.reviews : t.allows;
	v.masks = t.masks;
	v.rows = t.rows;
	return v;
}

static void describe(const struct random_rule *rules, size_t count, const struct random_action *a)
{
	struct buffer text;

	buffer_init(&text, 65536);
	for (size_t i = 0; i < count; i++)
		write_rule(&text, &rules[i]);
	buffer_append_format(&text,
		"  agent %s, principal %s%.*s, resource %u, unknown %u:", a->agent,
		a->principal.known ? "" : "?", SLICE_PRINT(a->principal.name), a->resource,
		a->action.unknown);
	for (size_t i = 0; i < a->action.pair_count; i++)
		buffer_append_format(&text, " (%s %d %.*s)", operation_name(a->pairs[i].operation),
			(int)a->pairs[i].state, SLICE_PRINT(a->pairs[i].object));
	fprintf(stderr, "%.*s\n", SLICE_PRINT(buffer_slice(&text)));
	buffer_done(&text);
}

#define check(condition, rules, count, action, ...)                                                \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			describe(rules, count, action);                                            \
			cr_assert(false, __VA_ARGS__);                                             \
		}                                                                                  \
	} while (0)

static size_t random_rules(struct random_rule *ret)
{
	size_t count = random_below(RULES_MOST);

	for (size_t i = 0; i < count; i++)
		ret[i] = random_rule((unsigned)i);
	return count;
}

Test(policy_judge, as_the_contract_says)
{
	unsigned kinds[VERDICT_KIND_COUNT] = {0};

	for (unsigned n = 0; n < POLICIES; n++) {
		struct random_rule rules[RULES_MOST];
		size_t count = random_rules(rules);
		struct policy *p = open_rules(rules, count);

		for (unsigned i = 0; i < ACTIONS; i++) {
			struct random_action a;
			struct plain_verdict fast, slow;

			random_action(&a);
			fast = judge(p, &a);
			slow = judge_slowly(rules, count, &a);
			check(fast.kind == slow.kind && fast.reason == slow.reason, rules, count,
				&a, "%d (%d) where the contract says %d (%d)", (int)fast.kind,
				(int)fast.reason, (int)slow.kind, (int)slow.reason);
			check(fast.rules == slow.rules, rules, count, &a, "rules %x, not %x",
				fast.rules, slow.rules);
			check(fast.masks == slow.masks, rules, count, &a, "masks %x, not %x",
				fast.masks, slow.masks);
			check(fast.rows == slow.rows, rules, count, &a, "rows");
			kinds[fast.kind]++;
		}
		policy_put(p);
	}
	for (unsigned i = 0; i < VERDICT_KIND_COUNT; i++)
		cr_expect_gt(kinds[i], POLICIES, "too few verdicts of kind %u to mean anything", i);
}

Test(policy_judge, order_means_nothing)
{
	for (unsigned n = 0; n < POLICIES / 3; n++) {
		struct random_rule rules[RULES_MOST], shuffled[RULES_MOST];
		size_t count = random_rules(rules);
		struct policy *p, *q;

		memcpy(shuffled, rules, sizeof(rules));
		for (size_t i = count; i > 1; i--) {
			size_t j = random_below((unsigned)i);
			struct random_rule swap = shuffled[i - 1];

			shuffled[i - 1] = shuffled[j];
			shuffled[j] = swap;
		}
		p = open_rules(rules, count);
		q = open_rules(shuffled, count);
		for (unsigned i = 0; i < ACTIONS; i++) {
			struct random_action a;
			struct plain_verdict x, y;

			random_action(&a);
			x = judge(p, &a);
			y = judge(q, &a);
			check(memcmp(&x, &y, sizeof(x)) == 0, rules, count, &a, "%s / %s", x.text,
				y.text);
		}
		policy_put(p);
		policy_put(q);
	}
}

/* Taking an allow away, or adding a deny, never makes a verdict more permissive. (Allows that mask
 * or record ask for facts of their own, and are left out.) */
Test(policy_judge, less_allowed_is_never_more)
{
	for (unsigned n = 0; n < POLICIES / 3; n++) {
		struct random_rule rules[RULES_MOST + 1], fewer[RULES_MOST];
		size_t count = random_rules(rules), kept = 0, taken;
		struct policy *p, *less, *more;

		rules[count] = random_rule(RULES_MOST);
		rules[count].kind = RULE_DENY;
		taken = count ? random_below((unsigned)count) : 0;
		for (size_t i = 0; i < count; i++) {
			bool take = i == taken && rules[i].kind == RULE_ALLOW &&
				rules[i].extra == EXTRA_NONE;

			if (!take)
				fewer[kept++] = rules[i];
		}
		p = open_rules(rules, count);
		less = open_rules(fewer, kept);
		more = open_rules(rules, count + 1);
		for (unsigned i = 0; i < ACTIONS; i++) {
			struct random_action a;
			enum verdict_kind kind;

			random_action(&a);
			kind = judge(p, &a).kind;
			check(judge(less, &a).kind >= kind, rules, count, &a, "without r%zu",
				taken);
			check(judge(more, &a).kind >= kind, rules, count + 1, &a, "with the deny");
		}
		policy_put(p);
		policy_put(less);
		policy_put(more);
	}
}

/* Doing more in one action never gets a verdict that is more permissive. */
Test(policy_judge, more_pairs_are_never_more)
{
	for (unsigned n = 0; n < POLICIES / 3; n++) {
		struct random_rule rules[RULES_MOST];
		size_t count = random_rules(rules);
		struct policy *p = open_rules(rules, count);

		for (unsigned i = 0; i < ACTIONS; i++) {
			struct random_action a;
			enum verdict_kind kind;

			random_action(&a);
			a.action.pairs = a.pairs;
			kind = judge(p, &a).kind;
			if (a.action.pair_count == 0)
				continue;
			a.action.pair_count--;
			check(judge(p, &a).kind <= kind, rules, count, &a, "one pair less");
		}
		policy_put(p);
	}
}

static bool has_connect(const struct random_action *a)
{
	for (size_t i = 0; i < a->action.pair_count; i++) {
		if (a->pairs[i].operation == OPERATION_CONNECT)
			return true;
	}
	return false;
}

static bool decided(const struct verdict *v, const struct policy_rule *r)
{
	for (size_t i = 0; i < v->outcome->rule_count; i++) {
		if (v->outcome->rules[i] == r)
			return true;
	}
	return false;
}

/* What explain says about single rules agrees with the verdict. (A connection is judged by what
 * could be done through it, which no single rule tells.) */
Test(policy_judge, explained_as_judged)
{
	for (unsigned n = 0; n < POLICIES / 3; n++) {
		struct random_rule rules[RULES_MOST];
		size_t count = random_rules(rules);
		struct policy *p = open_rules(rules, count);

		for (unsigned i = 0; i < ACTIONS; i++) {
			struct random_action a;
			struct policy_scope *s;
			struct verdict v;

			random_action(&a);
			s = scope_of(p, &a);
			policy_judge(s, &a.action, &v);
			for (size_t j = 0; j < p->rule_count && !has_connect(&a); j++) {
				const struct policy_rule *r = &p->rules[j];
				struct rule_report report;
				bool matched;

				policy_explain_rule(s, r, &a.action, &report);
				matched = report.match == RULE_MATCH_YES ||
					report.match == RULE_MATCH_UNKNOWN;
				check(matched || !decided(&v, r), rules, count, &a,
					"%.*s decides, but %s", SLICE_PRINT(r->name),
					rule_match_text(report.match));
				check(!matched || decided(&v, r) || r->kind != RULE_DENY, rules,
					count, &a, "%.*s %s, and decides nothing",
					SLICE_PRINT(r->name), rule_match_text(report.match));
				check((report.unknown != NULL) ==
						(report.match == RULE_MATCH_UNKNOWN ||
							report.match == RULE_MATCH_NOT_UNKNOWN),
					rules, count, &a, "unknown");
			}
			policy_scope_put(s);
		}
		policy_put(p);
	}
}
