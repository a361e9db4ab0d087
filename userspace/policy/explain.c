/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/explain.h"

#include "policy/body.h"
#include "policy/scope.h"

const char *rule_match_text(enum rule_match match)
{
	static const char *const texts[RULE_MATCH_COUNT] = {
		[RULE_MATCH_OTHER_AGENT] = "is for other agents",
		[RULE_MATCH_OTHER_RESOURCE] = "is for other resources",
		[RULE_MATCH_OTHER_PRINCIPAL] = "is for other principals or groups",
		[RULE_MATCH_OTHER_PROGRAM] = "is for other programs",
		[RULE_MATCH_OTHER_OPERATION] = "is about other operations",
		[RULE_MATCH_OTHER_OBJECT] = "is about other objects",
		[RULE_MATCH_OTHER_BODY] = "is about other bodies",
		[RULE_MATCH_NOT_UNKNOWN] = "would have to know more to match",
		[RULE_MATCH_UNKNOWN] = "matches, because something is not known",
		[RULE_MATCH_YES] = "matches",
	};

	return texts[match];
}

static enum rule_match match_of_selection(enum rule_selection selection)
{
	switch (selection) {
	case RULE_OTHER_AGENT:
		return RULE_MATCH_OTHER_AGENT;
	case RULE_OTHER_RESOURCE:
		return RULE_MATCH_OTHER_RESOURCE;
	case RULE_OTHER_PRINCIPAL:
		return RULE_MATCH_OTHER_PRINCIPAL;
	case RULE_OTHER_PROGRAM:
		return RULE_MATCH_OTHER_PROGRAM;
	default:
		return RULE_MATCH_YES;
	}
}

static void keep_nearest(struct rule_report *best, struct rule_report other)
{
	if (other.match > best->match)
		*best = other;
}

/* An unknown fact keeps an allow from matching and makes the others match. */
static struct rule_report report_unknown(
	const struct policy_rule *r, const char *fact, const struct action_pair *pair)
{
	enum rule_match match = r->kind == RULE_ALLOW ? RULE_MATCH_NOT_UNKNOWN : RULE_MATCH_UNKNOWN;

	return (struct rule_report){match, fact, pair};
}

/* The nearest that any message comes. */
static struct rule_report explain_body(
	const struct policy_rule *r, struct body *body, const struct action_pair *pair)
{
	struct rule_report report = {RULE_MATCH_OTHER_BODY, NULL, pair};

	for (size_t i = 0; i < body_message_count(body); i++) {
		enum rule_fit fit = body_fit(body, i, r);

		if (fit == RULE_FITS)
			keep_nearest(&report, (struct rule_report){RULE_MATCH_YES, NULL, pair});
		else if (fit == RULE_FITS_PERHAPS)
			keep_nearest(&report, report_unknown(r, "body", pair));
	}
	return report;
}

static struct rule_report explain_pair(const struct policy_rule *r, enum protocol_id protocol,
	const struct action_pair *pair, struct body *body)
{
	struct rule_report report = {RULE_MATCH_OTHER_OPERATION, NULL, pair};

	if (!rule_means(r, pair->operation))
		return report;
	switch (rule_fit_object(r, protocol, pair)) {
	case RULE_FITS:
		return explain_body(r, body, pair);
	case RULE_FITS_PERHAPS:
		return report_unknown(r, "object", pair);
	default:
		report.match = RULE_MATCH_OTHER_OBJECT;
		return report;
	}
}

void policy_explain_rule(const struct policy_scope *s, const struct policy_rule *r,
	const struct action *action, struct rule_report *ret)
{
	enum rule_selection selection = rule_select(s->policy, r, &s->subject);
	enum protocol_id protocol = s->subject.protocol;
	bool asks = rule_needs(r, protocol) & POLICY_NEEDS_TO_MATCH;
	struct body *body;
	struct rule_report report = {match_of_selection(selection), NULL, NULL};

	if (report.match != RULE_MATCH_YES) {
		*ret = report;
		return;
	}
	report.match = RULE_MATCH_OTHER_OPERATION;
	body = body_read(&action->body);
	for (size_t i = 0; i < action->pair_count; i++)
		keep_nearest(&report, explain_pair(r, protocol, &action->pairs[i], body));
	body_free(body);
	if (action->unknown & ACTION_UNKNOWN_EFFECT && asks && r->kind != RULE_ALLOW)
		keep_nearest(&report, report_unknown(r, "effect", NULL));
	if (action->unknown & ACTION_UNKNOWN_TEXT && rule_means_text(r, protocol)) {
		if (!asks)
			report = (struct rule_report){RULE_MATCH_YES, NULL, NULL};
		else
			keep_nearest(&report,
				(struct rule_report){RULE_MATCH_NOT_UNKNOWN, "text", NULL});
	}
	if (selection == RULE_SELECTED_UNKNOWN && report.match == RULE_MATCH_YES)
		report = report_unknown(
			r, s->subject.principal->known ? "exe" : "principal", report.pair);
	*ret = report;
}
