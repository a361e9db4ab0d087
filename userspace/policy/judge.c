/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/judge.h"

#include "base/text.h"
#include "policy/body.h"
#include "policy/scope.h"

#define TEXT_OBJECT_MOST 200 /* bytes of an agent's object that an error repeats */

/* One action while it is judged. Only the first `words` of the sets are used. */
struct judging {
	struct policy_scope *scope;
	struct body *body; /* NULL: no rule asks for it */
	size_t message; /* of the body, that is judged now */
	uint64_t matched[SCOPE_WORDS_MOST];
	uint64_t doubtless[SCOPE_WORDS_MOST]; /* of `matched`: by known facts */
	uint64_t perhaps[SCOPE_WORDS_MOST]; /* they allow nothing, but their masks hold */
	/* Pairs, those of which a rule shows Secrets, and those of which one lets pass what stood
	 * in masked values' places. */
	size_t judged, shown, passed;
	const struct action_pair *denied; /* the first pair that a deny matches */
	const struct action_pair *uncovered; /* the first pair that nothing covers */
	bool restated, all_restated; /* there are such pairs; all of them are covered */
	bool unsure; /* a review matches whose body may say something else too */
};

static enum rule_fit fit_rule(
	struct judging *j, const struct policy_rule *r, const struct action_pair *pair)
{
	enum rule_fit object = rule_fit_object(r, j->scope->subject.protocol, pair);
	enum rule_fit body;

	if (object == RULE_FITS_NOT || r->body_count == 0)
		return object;
	body = body_fit(j->body, j->message, r);
	if (r->kind == RULE_REVIEW && body != RULE_FITS_NOT &&
		!body_fits_surely(j->body, j->message, r))
		j->unsure = true;
	return body == RULE_FITS ? object : body;
}

/* What rules say of a pair that they surely match. */
struct said {
	bool shows, passes;
};

/* The rules of one word that match the pair. */
static uint64_t match_word(
	struct judging *j, size_t word, const struct action_pair *pair, struct said *ret)
{
	const struct policy_scope *s = j->scope;
	uint64_t means = s->by_operation[pair->operation * s->words + word];
	uint64_t selected = s->allows[word] | s->reviews[word] | s->denies[word];
	uint64_t fits = means & ~s->narrowed[word], may_fit = 0;

	for (uint64_t rest = means & s->narrowed[word]; rest; rest &= rest - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(rest);
		const struct policy_rule *r = s->rules[word * 64 + bit];
		enum rule_fit fit = fit_rule(j, r, pair);

		fits |= (uint64_t)(fit == RULE_FITS) << bit;
		may_fit |= (uint64_t)(fit == RULE_FITS_PERHAPS) << bit;
	}
	j->doubtless[word] |= fits & s->certain[word];
	ret->shows |= (fits & s->showing[word]) != 0;
	ret->passes |= (fits & s->passing[word]) != 0;
	/* An unknown fact satisfies denies and reviews, never an allow. */
	fits |= may_fit & (s->denies[word] | s->reviews[word]);
	j->perhaps[word] |= (fits | may_fit) & ~(fits & selected);
	return fits & selected;
}

static bool has_any(const struct judging *j, const uint64_t *set)
{
	uint64_t any = 0;

	for (size_t i = 0; i < j->scope->words; i++)
		any |= j->matched[i] & set[i];
	return any;
}

/* What is relayed unread to a place that no resource names: `egress` says whether a rule is needed,
 * and that `review` asks for one that makes people decide, whatever else is allowed. */
static bool cover_egress(const struct judging *j)
{
	enum egress_mode egress = j->scope->policy->egress;

	return egress == EGRESS_ALLOW || (egress == EGRESS_REVIEW && has_any(j, j->scope->reviews));
}

/* The connection is covered by what could be done through it. */
static bool cover_connect(struct judging *j)
{
	const struct policy_scope *s = j->scope;
	uint64_t open = 0;

	if (s->subject.resource == POLICY_EGRESS && protocol_is_unread(s->subject.protocol))
		return cover_egress(j);
	for (size_t i = 0; i < s->words; i++)
		open |= s->openers[i];
	for (size_t i = 0; i < s->words; i++) {
		uint64_t rules = open ? s->openers[i] & s->allows[i] : s->closers[i];

		j->matched[i] |= rules;
		j->doubtless[i] |= rules & s->certain[i];
	}
	return open;
}

static void judge_pair(struct judging *j, const struct action_pair *pair)
{
	const struct policy_scope *s = j->scope;
	bool covered = operation_get_group(pair->operation) == OPERATION_GROUP_FREE;
	struct said said = {.shows = false};

	for (size_t i = 0; i < s->words; i++) {
		uint64_t hits = match_word(j, i, pair, &said);

		j->matched[i] |= hits;
		covered |= hits != 0; /* a deny that hits settles it anyway */
		if (hits & s->denies[i] && !j->denied)
			j->denied = pair;
	}
	j->judged++;
	j->shown += said.shows;
	j->passed += said.passes;
	if (pair->operation == OPERATION_CONNECT)
		covered = cover_connect(j);
	if (operation_get_group(pair->operation) == OPERATION_GROUP_RESTATED) {
		j->restated = true;
		j->all_restated &= covered && pair->state == OBJECT_KNOWN;
	} else if (!covered && !j->uncovered) {
		j->uncovered = pair;
	}
}

/* What the action runs is not known, so it may be what any deny or review asks for, and may read
 * what any mask hides. */
static void judge_unknown_effect(struct judging *j)
{
	const struct policy_scope *s = j->scope;

	for (size_t i = 0; i < s->words; i++) {
		j->matched[i] |= s->asking[i];
		j->perhaps[i] |= s->masking[i];
	}
}

/* A text that nobody could read is covered only where no rule would have asked for what it says. */
static bool judge_unknown_text(struct judging *j)
{
	const struct policy_scope *s = j->scope;
	uint64_t covered = 0;

	for (size_t i = 0; i < s->words; i++) {
		uint64_t sure = s->allows[i] | s->reviews[i] | s->denies[i];

		j->matched[i] |= s->blanket[i] & sure;
		j->doubtless[i] |= s->blanket[i] & s->certain[i];
		j->perhaps[i] |= s->blanket[i] & ~sure;
		covered |= s->blanket[i] & (s->allows[i] | s->reviews[i]);
	}
	return covered && !s->needs;
}

/* The first by name of the rules that decide: of denies, one that no doubt is about comes first. */
static const struct policy_rule *choose_rule(
	const struct judging *j, const struct policy_outcome *o)
{
	const struct policy_scope *s = j->scope;

	for (size_t i = 0; i < s->words; i++) {
		uint64_t rules = j->doubtless[i] & s->denies[i];

		if (rules)
			return s->rules[i * 64 + (unsigned)__builtin_ctzll(rules)];
	}
	return o->rule_count ? o->rules[0] : NULL;
}

static void refuse(struct verdict *v, enum reason reason, const struct action_pair *pair)
{
	v->kind = VERDICT_DENY;
	v->reason = reason;
	v->outcome = &scope_no_outcome;
	v->pair = pair;
}

/* Whether what it does can be done as another role: reads and writes, and what those call. Others
 * leave something behind in the session, or belong to whoever did them. */
static bool runs_as_any(enum operation operation)
{
	switch (operation_get_group(operation)) {
	case OPERATION_GROUP_READ:
	case OPERATION_GROUP_WRITE:
	case OPERATION_GROUP_FREE:
		return true;
	default:
		return operation == OPERATION_FUNCTION;
	}
}

/* Whether the rule says as whom the pair's part is done: it does not of the connection, of what
 * needs no rule, nor, where it means some objects, of what names none. */
static bool gives_role(
	const struct judging *j, const struct policy_rule *r, const struct action_pair *pair)
{
	if (pair->operation == OPERATION_CONNECT ||
		operation_get_group(pair->operation) == OPERATION_GROUP_FREE ||
		(pair->state == OBJECT_NONE && r->objects.count))
		return false;
	return rule_means(r, pair->operation) &&
		rule_fit_object(r, j->scope->subject.protocol, pair) != RULE_FITS_NOT;
}

/* The first rule that gives the action a role, and one that gives it another. */
static void find_role(const struct judging *j, const struct action *action,
	const struct policy_rule **ret, const struct policy_rule **ret_other)
{
	const struct policy_scope *s = j->scope;

	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];
		bool gives = false;

		if (!(SCOPE_SET_HAS(s->acting, i) && SCOPE_SET_HAS(j->matched, i)))
			continue;
		for (size_t k = 0; k < action->pair_count && !gives; k++)
			gives = gives_role(j, r, &action->pairs[k]);
		if (gives && !*ret)
			*ret = r;
		else if (gives && !slice_equal((*ret)->as, r->as))
			*ret_other = r;
	}
}

static void choose_role(const struct judging *j, const struct action *action, struct verdict *ret)
{
	const struct policy_rule *rule = NULL, *other = NULL;
	bool can = action->alone && !action->unknown;

	if (ret->kind == VERDICT_DENY || !j->scope->acts)
		return;
	find_role(j, action, &rule, &other);
	for (size_t i = 0; i < action->pair_count && can; i++)
		can = runs_as_any(action->pairs[i].operation);
	if (rule && can && !other) {
		ret->as = rule->as;
	} else if (rule) {
		ret->kind = VERDICT_DENY;
		ret->reason = REASON_RUNS_AS;
		ret->rule = rule;
		ret->as_too = other;
	}
}

static void decide(struct judging *j, bool understood, struct verdict *ret)
{
	struct policy_scope *s = j->scope;
	bool denied = has_any(j, s->denies);

	if (!denied && !understood) {
		refuse(ret, REASON_NOT_UNDERSTOOD, NULL);
		return;
	}
	if (!denied && j->uncovered) {
		refuse(ret, REASON_NOT_COVERED, j->uncovered);
		return;
	}
	ret->outcome = scope_find_outcome(s, j->matched, j->perhaps);
	if (!ret->outcome) {
		refuse(ret, REASON_LIMIT, NULL);
		return;
	}
	ret->rule = choose_rule(j, ret->outcome);
	if (denied) {
		ret->kind = VERDICT_DENY;
		ret->reason = REASON_DENIED_BY_RULE;
		ret->pair = j->denied;
	} else if (has_any(j, s->reviews)) {
		ret->kind = VERDICT_REVIEW;
		ret->unknown = j->unsure ? ACTION_UNKNOWN_BODY : 0;
	}
}

/* Every message of a batch is an action of its own: all of them must be covered. */
static void judge_pairs(struct judging *j, const struct action *action)
{
	size_t messages = 1;

	if (j->scope->asks_body) {
		j->body = body_read(&action->body);
		messages = body_message_count(j->body);
	}
	for (; j->message < messages; j->message++) {
		for (size_t i = 0; i < action->pair_count; i++)
			judge_pair(j, &action->pairs[i]);
	}
	if (j->restated && j->all_restated)
		j->uncovered = NULL;
	body_free(j->body);
}

void policy_judge(struct policy_scope *s, const struct action *action, struct verdict *ret)
{
	struct judging j;
	bool understood = true, sure;

	j.scope = s;
	j.denied = j.uncovered = NULL;
	j.judged = j.shown = j.passed = 0;
	memset(j.matched, 0, s->words * sizeof(*j.matched));
	memset(j.perhaps, 0, s->words * sizeof(*j.perhaps));
	memset(j.doubtless, 0, s->words * sizeof(*j.doubtless));
	j.body = NULL;
	j.message = 0;
	j.unsure = j.restated = false;
	j.all_restated = true;
	judge_pairs(&j, action);
	if (action->unknown & ACTION_UNKNOWN_EFFECT)
		judge_unknown_effect(&j);
	if (action->unknown & ACTION_UNKNOWN_TEXT)
		understood = judge_unknown_text(&j);
	*ret = (struct verdict){.kind = VERDICT_ALLOW, .reason = REASON_NONE};
	ret->enforced = s->policy->mode == POLICY_ENFORCE;
	decide(&j, understood, ret);
	choose_role(&j, action, ret);
	sure = ret->kind != VERDICT_DENY && j.judged &&
		!(action->unknown & (ACTION_UNKNOWN_TEXT | ACTION_UNKNOWN_EFFECT));
	ret->shows_secrets = sure && j.shown == j.judged;
	ret->passes_masked = sure && j.passed == j.judged;
}

/* --- bodies --- */

/* Whether an allow or review covers the pair whatever its body says. */
static bool is_covered_without_body(const struct policy_scope *s, const struct action_pair *pair)
{
	const uint64_t *meant = s->by_operation + pair->operation * s->words;

	for (size_t i = 0; i < s->rule_count; i++) {
		if (SCOPE_SET_HAS(meant, i) && SCOPE_SET_HAS(s->allows, i) &&
			s->rules[i]->body_count == 0 &&
			rule_fit_object(s->rules[i], s->subject.protocol, pair) == RULE_FITS)
			return true;
	}
	return false;
}

static bool wants_body(const struct policy_scope *s, const struct action_pair *pair)
{
	const uint64_t *meant = s->by_operation + pair->operation * s->words;
	bool covered = is_covered_without_body(s, pair);

	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (!r->body_count || !SCOPE_SET_HAS(meant, i) ||
			rule_fit_object(r, s->subject.protocol, pair) == RULE_FITS_NOT)
			continue;
		/* What is allowed anyway, an allow that only allows can't allow more. */
		if (!covered || r->kind != RULE_ALLOW || rule_masks(r) ||
			r->record == RECORD_MODE_ROWS)
			return true;
	}
	return false;
}

bool policy_wants_body(const struct policy_scope *s, const struct action *action)
{
	for (size_t i = 0; s->asks_body && i < action->pair_count; i++) {
		if (wants_body(s, &action->pairs[i]))
			return true;
	}
	return false;
}

static bool may_match(const struct policy_scope *s, size_t rule, const struct action_pair *pair)
{
	const uint64_t *meant = s->by_operation + pair->operation * s->words;

	return SCOPE_SET_HAS(meant, rule) &&
		rule_fit_object(s->rules[rule], s->subject.protocol, pair) != RULE_FITS_NOT;
}

bool policy_restricts(const struct policy_scope *s, const struct action_pair *pair,
	const struct action_pair *other)
{
	for (size_t i = 0; i < s->rule_count; i++) {
		if ((SCOPE_SET_HAS(s->denies, i) || SCOPE_SET_HAS(s->reviews, i)) &&
			s->rules[i]->body_count == 0 && may_match(s, i, pair) &&
			!may_match(s, i, other))
			return true;
	}
	return false;
}

const char *verdict_kind_name(enum verdict_kind kind)
{
	static const char *const names[VERDICT_KIND_COUNT] = {
		[VERDICT_ALLOW] = "allow",
		[VERDICT_REVIEW] = "review",
		[VERDICT_DENY] = "deny",
	};

	return names[kind];
}

/* An error is one line, and text_append_visible() keeps line breaks. */
static int append_one_line(struct slice text, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	int r = text_append_visible(ret, text);

	for (size_t i = ret->start + before; r == 0 && i < ret->end; i++) {
		if (ret->data[i] == '\n' || ret->data[i] == '\t')
			ret->data[i] = ' ';
	}
	return r;
}

static int append_object(const struct action_pair *pair, struct buffer *ret)
{
	struct slice shown = slice_head(pair->object, TEXT_OBJECT_MOST);
	int r;

	if (pair->state == OBJECT_NONE)
		return 0;
	if (shown.length == 0)
		return buffer_append_string(ret, " on an object that is not known");
	r = buffer_append_string(ret, " on ");
	if (r == 0)
		r = buffer_append_slice(ret, shown);
	if (r == 0 && shown.length < pair->object.length)
		r = buffer_append_string(ret, "…");
	if (r == 0 && pair->state == OBJECT_UNKNOWN)
		r = buffer_append_string(ret, " (which one that is could not be established)");
	return r;
}

static int append_uncovered(const struct verdict *v, struct buffer *ret)
{
	int r = buffer_append_format(ret, "no rule allows %s", operation_name(v->pair->operation));

	return r < 0 ? r : append_object(v->pair, ret);
}

static int append_rule(const struct verdict *v, struct buffer *ret)
{
	int r = buffer_append_format(ret, "\"%.*s\"", SLICE_PRINT(v->rule->name));

	if (r == 0 && v->rule->message.length)
		r = buffer_append_format(ret, ": %.*s", SLICE_PRINT(v->rule->message));
	return r;
}

static int append_role(const struct verdict *v, struct buffer *ret)
{
	const struct policy_rule *other = v->as_too;

	if (other)
		return buffer_append_format(ret,
			"rules \"%.*s\" and \"%.*s\" would have it run as different roles",
			SLICE_PRINT(v->rule->name), SLICE_PRINT(other->name));
	return buffer_append_format(ret,
		"rule \"%.*s\" would have it run as %.*s, as which only one statement by itself "
		"can run, of those that read or write",
		SLICE_PRINT(v->rule->name), SLICE_PRINT(v->rule->as));
}

static int append_problem(const struct action *action, struct buffer *ret)
{
	return buffer_append_string(ret, action->problem ? action->problem : "the text");
}

static int append_detail(const struct verdict *v, const struct action *action, struct buffer *ret)
{
	switch (v->reason) {
	case REASON_DENIED_BY_RULE:
		return append_rule(v, ret);
	case REASON_NOT_COVERED:
		return append_uncovered(v, ret);
	case REASON_NOT_UNDERSTOOD:
		return append_problem(action, ret);
	case REASON_RUNS_AS:
		return append_role(v, ret);
	default:
		return buffer_append_string(ret, "too many different combinations of rules");
	}
}

static bool is_named_before(const struct policy_outcome *o, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (slice_equal(o->rules[i]->reviewers, o->rules[index]->reviewers))
			return true;
	}
	return false;
}

static int append_reviewers(const struct verdict *v, struct buffer *ret)
{
	const struct policy_outcome *o = v->outcome;
	int r = buffer_append_string(ret, "needs approval by ");

	for (size_t i = 0; r == 0 && i < o->rule_count; i++) {
		if (!is_named_before(o, i))
			r = buffer_append_format(ret, "%s%.*s", i ? " and " : "",
				SLICE_PRINT(o->rules[i]->reviewers));
	}
	return r;
}

int refusal_text(enum reason reason, struct slice detail, struct buffer *ret)
{
	const char *template = reason_get(reason)->agent;
	const char *hole = strstr(template, "%s");
	int r;

	if (!hole)
		return buffer_append_string(ret, template);
	r = buffer_append(ret, template, (size_t)(hole - template));
	if (r == 0)
		r = append_one_line(detail, ret);
	return r < 0 ? r : buffer_append_string(ret, hole + 2);
}

int verdict_text(const struct verdict *v, const struct action *action, struct buffer *ret)
{
	struct buffer detail;
	int r;

	if (v->kind == VERDICT_REVIEW)
		return append_reviewers(v, ret);
	buffer_init(&detail, ret->limit);
	r = append_detail(v, action, &detail);
	if (r == 0)
		r = refusal_text(v->reason, buffer_slice(&detail), ret);
	buffer_done(&detail);
	return r;
}
