/* SPDX-License-Identifier: Apache-2.0
 *
 * explain: why a verdict is what it is, rule by rule. For people; judging does not need it.
 */
#ifndef WAYLEAVE_POLICY_EXPLAIN_H
#define WAYLEAVE_POLICY_EXPLAIN_H

#include "policy/judge.h"

/* In rising order of how near the rule came to mattering. */
enum rule_match {
	RULE_MATCH_OTHER_AGENT,
	RULE_MATCH_OTHER_RESOURCE,
	RULE_MATCH_OTHER_PRINCIPAL,
	RULE_MATCH_OTHER_PROGRAM,
	RULE_MATCH_OTHER_OPERATION,
	RULE_MATCH_OTHER_OBJECT,
	RULE_MATCH_OTHER_BODY,
	RULE_MATCH_NOT_UNKNOWN, /* an allow that a fact that is not known keeps from matching */
	RULE_MATCH_UNKNOWN, /* a deny or review that matches because a fact is not known */
	RULE_MATCH_YES,
	RULE_MATCH_COUNT
};

struct rule_report {
	enum rule_match match;
	/* The fact that is not known: "text", "effect", "object", "principal", "exe"; else NULL. */
	const char *unknown;
	/* The pair that this is about, one of the action's; NULL: none in particular. */
	const struct action_pair *pair;
};

/* What the rule, one of the scope's policy, says to the action. */
void policy_explain_rule(const struct policy_scope *s, const struct policy_rule *r,
	const struct action *action, struct rule_report *ret);
/* "matches", "is for other agents", … */
const char *rule_match_text(enum rule_match match);

#endif
