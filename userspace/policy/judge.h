/* SPDX-License-Identifier: Apache-2.0
 *
 * judge: an action in, a verdict out (docs/policy.md).
 *
 * A scope is the part of a policy that can matter between one agent (and its principal) and one
 * resource, prepared for judging: made once, shared by all sessions that have the same ends. Scopes
 * belong to the thread of their policy.
 */
#ifndef WAYLEAVE_POLICY_JUDGE_H
#define WAYLEAVE_POLICY_JUDGE_H

#include "base/reason.h"
#include "policy/rule.h"

enum verdict_kind { VERDICT_ALLOW, VERDICT_REVIEW, VERDICT_DENY, VERDICT_KIND_COUNT };

/* What all verdicts of the same rules have in common. Owned by the scope. */
struct policy_outcome {
	/* What decided: the denies that match, else the reviews, else the allows; by name. Empty
	 * where no rule was needed, or none covers a pair. */
	const struct policy_rule *const *rules;
	size_t rule_count;
	/* All masks of the matching allows and reviews, added up; never NULL. Not to be applied
	 * where verdict_is_enforced() is false. */
	const struct mask_rules *masks;
	bool record_rows;
	/* VERDICT_REVIEW; nanoseconds: the shortest of the rules'. grant 0: this action alone. */
	uint64_t within;
	uint64_t grant;
};

struct verdict {
	enum verdict_kind kind;
	enum reason reason; /* VERDICT_DENY: why; else REASON_NONE */
	const struct policy_outcome *outcome; /* never NULL; lives as long as the scope is held */
	/* The one of the outcome's rules that the agent is told of: the first by name, of a deny
	 * the first that matches without any doubt, if there is one. NULL where there are none. */
	const struct policy_rule *rule;
	/* VERDICT_DENY: the pair that a rule denies or none covers; one of the action's. NULL where
	 * it is about none of them. */
	const struct action_pair *pair;
	/* Kubernetes' Secrets, which are masked else: of each pair, some allow or review that means
	 * it without any doubt shows them. */
	bool shows_secrets;
	/* The same for what stood in the place of masked values, in what a request writes. */
	bool passes_masked;
	/* The role of the server's that it runs as; empty: as who is logged in. */
	struct slice as;
	/* REASON_RUNS_AS: another rule, which says otherwise than `rule`; NULL: it can't run so. */
	const struct policy_rule *as_too;
	/* VERDICT_REVIEW: what judging found to be unknown besides the action's own (enum
	 * action_unknown). No grant covers it. */
	unsigned unknown;
	bool enforced;
};

struct policy_scope;

/* The scope for a subject, made where it is new. The caller holds one reference, which keeps the
 * policy too. Nothing of the subject is kept by pointer. */
struct policy_scope *policy_scope_get(struct policy *p, const struct policy_subject *subject);
void policy_scope_put(struct policy_scope *s); /* takes NULL */
/* One more reference to a scope that is held. */
struct policy_scope *policy_scope_hold(struct policy_scope *s);
/* A number that no other scope of this process has or had; never 0. */
uint64_t policy_scope_serial(const struct policy_scope *s);
const struct policy *policy_scope_policy(const struct policy_scope *s);
/* The subject; its agent and principal live as long as the scope is held. */
const struct policy_subject *policy_scope_subject(const struct policy_scope *s);

/* Which facts can make a difference to some verdict of the scope (enum policy_needs). 0: a text may
 * go unparsed, judged as an action with ACTION_UNKNOWN_TEXT. */
unsigned policy_scope_needs(const struct policy_scope *s);
/* Whether some rule names the operation, among those of the protocol that it means; one that means
 * them all does not. */
bool policy_scope_names(const struct policy_scope *s, enum operation operation);
/* The masks of all allows and reviews of the scope: for what can't be traced to one action
 * (notifications, errors between actions). Never NULL. */
const struct mask_rules *policy_scope_masks(const struct policy_scope *s);

/* Whether a deny or review matches the pair, whatever is in a body, and not the other one. */
bool policy_restricts(const struct policy_scope *s, const struct action_pair *pair,
	const struct action_pair *other);

/* Whether what the action's body says can make a difference to its verdict. */
bool policy_wants_body(const struct policy_scope *s, const struct action *action);

/* Judges. The same scope and an equal action always have the same verdict. Allocates only where a
 * combination of rules matches for the first time in the scope, and where rules look into bodies.
 */
void policy_judge(struct policy_scope *s, const struct action *action, struct verdict *ret);

/* False in mode observe: the action goes on whatever the verdict says, which is recorded. */
static inline bool verdict_is_enforced(const struct verdict *v)
{
	return v->enforced;
}

/* "allow", "review", "deny" */
const char *verdict_kind_name(enum verdict_kind kind);
/* The sentence of a refusal, as base/reason.inc words it for the agent, with `detail` (hostile
 * text, perhaps) on one line and with its control bytes as \xNN. Errors are the buffer's. */
int refusal_text(enum reason reason, struct slice detail, struct buffer *ret);
/* The sentence that the agent reads behind "wayleave: ", for VERDICT_DENY and VERDICT_REVIEW,
 * without a line break: `denied by rule "no schema changes": schema changes go through migrations`.
 * Control bytes of objects are shown as \xNN and long objects cut. Errors are the buffer's. */
int verdict_text(const struct verdict *v, const struct action *action, struct buffer *ret);

#endif
