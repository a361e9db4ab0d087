/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/draft.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "worker/decide.h"
#include "worker/session_internal.h"

static const char too_large[] = "it is too large to be reviewed";
static const char too_long[] = "with its parameters it is longer than 4 MiB";
_Static_assert(LIMIT_STATEMENT_BYTES == 4194304, "too_long names it");
static const char too_late[] =
	"what others change can't be seen inside a REPEATABLE READ or SERIALIZABLE transaction "
	"that has begun reading: begin a new one, with this statement first";

static const char *problem_of(int error)
{
	switch (error) {
	case -ENOTSUP:
		return "nobody can be asked at this point";
	case -EMSGSIZE:
		return too_long;
	case -ESTALE:
		return too_late;
	default:
		return too_large;
	}
}

void draft_free(struct draft *d)
{
	if (!d)
		return;
	/* What it refers to is no longer needed. */
	if (d->session->engine->protocol->ahead)
		d->session->engine->protocol->ahead(d->session->engine, 0, false, NULL, NULL);
	buffer_done(&d->text);
	buffer_done(&d->groups);
	free(d);
}

/* --- one action --- */

int draft_scope(struct session *s, const struct verdict *verdict, const struct action *action,
	struct scope_of_action *ret)
{
	const struct policy_subject *subject = policy_scope_subject(s->scope);
	const struct policy *p = policy_scope_policy(s->scope);

	ret->agent = s->agent->name;
	ret->principal = subject->principal->name;
	ret->on_behalf_of = subject->principal->on_behalf_of;
	ret->resource = s->resource == POLICY_EGRESS ? slice_from_string("egress")
						     : p->resources[s->resource].name;
	ret->database = slice_from_string(s->database);
	ret->user = slice_from_string(s->user);
	ret->as = verdict->as;
	if (verdict->outcome->rule_count > QUESTION_RULES_MOST)
		return -E2BIG;
	for (size_t i = 0; i < verdict->outcome->rule_count; i++)
		ret->rules[i] = verdict->outcome->rules[i]->name;
	ret->rule_count = verdict->outcome->rule_count;
	return scope_of_action_set(ret, action->pairs, action->pair_count);
}

static void fill_origin(struct session *s, struct question *ret)
{
	bool is_ours = session_has_process(s);

	ret->protocol = slice_from_string(protocol_name(s->engine->protocol->id));
	ret->session = slice_from_string(s->id.text);
	ret->address = slice_from_string(s->address);
	ret->program = slice_from_string(s->exe);
	ret->program_hash = slice_from_string(s->process.hash);
	ret->arguments = slice_from_string(s->process.arguments);
	ret->parents = slice_from_string(s->process.parents);
	ret->pid = is_ours ? s->origin.pid : UINT64_MAX;
	ret->uid = is_ours ? s->origin.uid : UINT64_MAX;
}

/* Each behind its length, so that no part's end is the next one's beginning. */
static int seal(struct question *q, const struct slice *parts, size_t count)
{
	struct buffer bound;
	int r = 0;

	buffer_init(&bound, QUESTION_BYTES_MOST);
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = buffer_append_u64(&bound, parts[i].length);
		if (r == 0)
			r = buffer_append_slice(&bound, parts[i]);
	}
	if (r == 0)
		r = question_seal(q, buffer_slice(&bound));
	buffer_done(&bound);
	return r;
}

static int compare_groups(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	size_t both = x->length < y->length ? x->length : y->length;
	int order = both ? memcmp(x->data, y->data, both) : 0;

	if (order)
		return order;
	return x->length < y->length ? -1 : x->length > y->length;
}

/* The groups of whom it acts for, each on a line: what people decide about is asked anew when they
 * are others. Sorted, as a token may have them in any order. */
static int join_groups(const struct session *s, struct buffer *ret)
{
	const struct principal *p = policy_scope_subject(s->scope)->principal;
	struct slice groups[LIMIT_TOKEN_GROUPS];
	size_t count = p->group_count < LIMIT_TOKEN_GROUPS ? p->group_count : LIMIT_TOKEN_GROUPS;
	int r = 0;

	if (count == 0)
		return 0;
	memcpy(groups, p->groups, count * sizeof(*groups));
	qsort(groups, count, sizeof(*groups), compare_groups);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (i)
			r = buffer_append_byte(ret, '\n');
		if (r == 0)
			r = buffer_append_slice(ret, groups[i]);
	}
	return r;
}

/* The question about this action alone; `in_unit`: as one that stands behind others of its unit. */
static int make_single(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct protocol_binding *binding, bool in_unit,
	struct draft *d, struct question *ret)
{
	const struct slice behind[] = {binding->bound[0], binding->bound[1], binding->in_unit};
	int r = draft_scope(s, verdict, event->action, &ret->scope);

	if (r < 0)
		return r;
	fill_origin(s, ret);
	ret->groups = buffer_slice(&d->groups);
	ret->unknown = event->action->unknown | verdict->unknown;
	ret->text = event->action->text;
	ret->settings = in_unit ? SLICE_EMPTY : binding->context;
	ret->runs = binding->runs;
	if (in_unit)
		return seal(ret, behind, ARRAY_SIZE(behind));
	return seal(ret, binding->bound, ARRAY_SIZE(binding->bound));
}

static size_t value_total(const struct protocol_action_event *event)
{
	return event->value_total > event->value_count ? event->value_total : event->value_count;
}

/* Values beyond those that are kept are bound, and counted. */
static void add_values(struct draft *d, const struct protocol_action_event *event)
{
	d->question.values_total += value_total(event);
	for (size_t i = 0; i < event->value_count && d->value_count < QUESTION_VALUES_MOST; i++)
		d->values[d->value_count++] = event->values[i];
}

/* --- several --- */

static bool asks_group(const struct verdict *verdict, struct slice group)
{
	for (size_t i = 0; i < verdict->outcome->rule_count; i++) {
		if (slice_equal(verdict->outcome->rules[i]->reviewers, group))
			return true;
	}
	return false;
}

/* Nobody is shown what they have no say in. */
static bool asks_the_same(const struct verdict *a, const struct verdict *b)
{
	for (size_t i = 0; i < a->outcome->rule_count; i++) {
		if (!asks_group(b, a->outcome->rules[i]->reviewers))
			return false;
	}
	for (size_t i = 0; i < b->outcome->rule_count; i++) {
		if (!asks_group(a, b->outcome->rules[i]->reviewers))
			return false;
	}
	return true;
}

static int merge_rules(struct scope_of_action *scope, const struct scope_of_action *more)
{
	for (size_t i = 0; i < more->rule_count; i++) {
		bool known = false;

		for (size_t j = 0; j < scope->rule_count; j++)
			known |= slice_equal(scope->rules[j], more->rules[i]);
		if (known)
			continue;
		if (scope->rule_count == QUESTION_RULES_MOST)
			return -E2BIG;
		scope->rules[scope->rule_count++] = more->rules[i];
	}
	return 0;
}

static bool is_same_pair(const struct action_pair *a, const struct action_pair *b)
{
	return a->operation == b->operation && a->state == b->state &&
		a->everything == b->everything && slice_equal(a->object, b->object);
}

static int merge_pairs(struct scope_of_action *scope, const struct scope_of_action *more)
{
	for (size_t i = 0; i < more->pair_count; i++) {
		bool known = false;

		for (size_t j = 0; j < scope->pair_count; j++)
			known |= is_same_pair(&scope->pairs[j], &more->pairs[i]);
		if (known)
			continue;
		if (scope->pair_count == QUESTION_PAIRS_MOST)
			return -E2BIG;
		scope->pairs[scope->pair_count++] = more->pairs[i];
	}
	return 0;
}

static int add_text(struct draft *d, struct slice text)
{
	int r = 0;

	if (d->count == 1)
		r = buffer_append_slice(&d->text, d->question.text);
	if (r == 0)
		r = buffer_append_string(&d->text, QUESTION_SEPARATOR);
	return r < 0 ? r : buffer_append_slice(&d->text, text);
}

/* One more, whose question is d->single; `asks`: people decide about it too, and don't only see it.
 * -E2BIG: there is no room, and nothing has changed. */
static int add(struct draft *d, const struct protocol_action_event *event, bool asks)
{
	struct question *q = &d->question;
	const struct scope_of_action before = q->scope;
	size_t length = buffer_length(&d->text);
	int r = -E2BIG;

	if (d->value_count + value_total(event) <= QUESTION_VALUES_MOST)
		r = asks ? merge_rules(&q->scope, &d->single.scope) : 0;
	if (r == 0 && asks)
		r = merge_pairs(&q->scope, &d->single.scope);
	if (r == 0)
		r = add_text(d, d->single.text);
	if (r < 0) {
		q->scope = before;
		buffer_truncate(&d->text, length);
		return r;
	}
	if (d->count == 1)
		q->parts[0] = (struct question_part){q->text.length, q->values_total};
	q->parts[d->count] = (struct question_part){d->single.text.length, value_total(event)};
	memcpy(d->digests[d->count++], d->single.digest, QUESTION_DIGEST_SIZE);
	add_values(d, event);
	if (asks)
		d->asked = (struct draft_end){
			d->count, d->value_count, q->values_total, buffer_length(&d->text)};
	return 0;
}

/* Behind the last that people decide about nothing need be shown. */
static void end_with_asked(struct draft *d)
{
	if (d->asked.count == d->count)
		return;
	d->count = d->asked.count;
	d->value_count = d->asked.values;
	d->question.values_total = d->asked.values_total;
	buffer_truncate(&d->text, d->asked.text_length);
}

/* What is allowed is not asked about. It is shown where what the next ones mean hangs on it. */
static bool belongs(const struct verdict *first, const struct verdict *other,
	const struct protocol_binding *binding, bool *ret_asks)
{
	*ret_asks = other->kind == VERDICT_REVIEW && verdict_is_enforced(other) &&
		slice_equal(first->as, other->as) && asks_the_same(first, other);
	return *ret_asks || (other->kind == VERDICT_ALLOW && binding->changes);
}

/* What stands behind it, up to what needs others, is denied, or has no room. */
static void add_behind(
	struct session *s, const struct verdict *verdict, size_t most, struct draft *d)
{
	const struct protocol *protocol = s->engine->protocol;
	struct protocol_action_event event;
	struct protocol_binding binding;

	for (bool first = true; d->count < most; first = false) {
		struct verdict other;
		bool asks;
		int r = protocol->ahead(s->engine, 0, first, &event, &binding);

		d->grows = r == -EAGAIN;
		if (r < 0)
			return;
		decide_judge(s, &event, &other);
		if (other.kind == VERDICT_ALLOW && !binding.changes)
			continue;
		if (!belongs(verdict, &other, &binding, &asks) ||
			make_single(s, &event, &other, &binding, true, d, &d->single) < 0 ||
			add(d, &event, asks) < 0)
			return;
	}
}

/* The digest of several is that of theirs. */
static int finish(struct draft *d)
{
	struct question *q = &d->question;
	struct slice digests[QUESTION_PARTS_MOST];

	end_with_asked(d);
	if (d->count == 1)
		return 0;
	q->text = buffer_slice(&d->text);
	q->part_count = d->count;
	for (size_t i = 0; i < d->count; i++)
		digests[i] = slice_of(d->digests[i], sizeof(d->digests[i]));
	return seal(q, digests, d->count);
}

static struct draft *draft_new(struct session *s)
{
	struct draft *d = memory_new(sizeof(*d));

	d->session = s;
	buffer_init(&d->text, LIMIT_STATEMENT_BYTES);
	buffer_init(&d->groups, LIMIT_TOKEN_BYTES);
	return d;
}

bool draft_digest_in_unit(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, uint8_t ret[QUESTION_DIGEST_SIZE])
{
	struct draft *d = draft_new(s);
	struct protocol_binding binding;
	int r = s->engine->protocol->bind(s->engine, event->lane, &binding);

	if (r == 0 && !binding.in_unit.data)
		r = -ENOENT;
	if (r == 0)
		r = join_groups(s, &d->groups);
	if (r == 0)
		r = make_single(s, event, verdict, &binding, true, d, &d->single);
	if (r == 0)
		memcpy(ret, d->single.digest, QUESTION_DIGEST_SIZE);
	draft_free(d);
	return r == 0;
}

struct draft *draft_make(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, size_t most, const char **ret_problem)
{
	const struct protocol *protocol = s->engine->protocol;
	struct draft *d = draft_new(s);
	struct protocol_binding binding = {0};
	int r = -ENOTSUP;

	if (protocol->bind)
		r = protocol->bind(s->engine, event->lane, &binding);
	if (r == 0 && binding.late)
		r = -ESTALE;
	if (r == 0)
		r = join_groups(s, &d->groups);
	if (r == 0)
		r = make_single(s, event, verdict, &binding, false, d, &d->question);
	if (r == 0) {
		memcpy(d->digests[d->count++], d->question.digest, QUESTION_DIGEST_SIZE);
		d->maybe_late = binding.maybe_late;
		add_values(d, event);
		d->asked = (struct draft_end){1, d->value_count, d->question.values_total, 0};
		if (event->unit && protocol->ahead && most > 1)
			add_behind(s, verdict, most, d);
		r = finish(d);
	}
	if (r == 0)
		return d;
	draft_free(d);
	if (r != -EAGAIN)
		*ret_problem = problem_of(r);
	return NULL;
}
