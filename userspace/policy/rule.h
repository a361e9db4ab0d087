/* SPDX-License-Identifier: Apache-2.0
 *
 * rule: what one rule has to say about a subject, an operation, an object. The meaning of the
 * policy language stands here; judge.c only does it fast, and explain.c puts it into words.
 */
#ifndef WAYLEAVE_POLICY_RULE_H
#define WAYLEAVE_POLICY_RULE_H

#include "policy/policy.h"
#include "protocol/action.h"

/* Who the session acts for. `known` false: there should be a principal, but who it is could not be
 * established. An agent without `identity` is known to have none: principal_none. */
struct principal {
	bool known;
	struct slice name; /* empty: none */
	const struct slice *groups;
	size_t group_count;
	struct slice on_behalf_of; /* the person who started it; empty: that is not known */
};
extern const struct principal principal_none;

/* Whom and what a session is between. */
struct policy_subject {
	const struct policy_agent *agent;
	const struct principal *principal;
	uint32_t resource; /* index, or POLICY_EGRESS */
	enum protocol_id protocol;
	struct slice exe; /* the program's path; empty: not known */
	struct slice exe_hash; /* SHA-256 of its file, in hexadecimal; the same */
};

/* Whether a rule's selectors mean the subject. */
enum rule_selection {
	RULE_SELECTED,
	RULE_SELECTED_UNKNOWN, /* they may: its principal, groups or program are not known */
	RULE_OTHER_AGENT,
	RULE_OTHER_PRINCIPAL,
	RULE_OTHER_PROGRAM,
	RULE_OTHER_RESOURCE,
};
/* The hash that an item of a rule's `exe` asks for, in hexadecimal; empty: it is a path. */
#define RULE_HASH_PREFIX "sha256:"
struct slice rule_exe_hash(struct slice item);
bool rule_is_of_agent(const struct policy_rule *r, uint32_t agent);
enum rule_selection rule_select(
	const struct policy *p, const struct policy_rule *r, const struct policy_subject *s);

/* Whether the rule's operations mean this one (docs/policy.md). */
bool rule_means(const struct policy_rule *r, enum operation operation);

enum rule_fit {
	RULE_FITS,
	RULE_FITS_NOT,
	RULE_FITS_PERHAPS, /* it is not known, or can be read in two ways */
};
/* Whether the rule's objects mean that of the pair. */
enum rule_fit rule_fit_object(
	const struct policy_rule *r, enum protocol_id protocol, const struct action_pair *pair);

/* Which facts of a text the rule asks for. */
enum policy_needs {
	POLICY_NEEDS_OPERATIONS = 1 << 0,
	POLICY_NEEDS_OBJECTS = 1 << 1,
	POLICY_NEEDS_COLUMNS = 1 << 2, /* where the values of columns go */
	POLICY_NEEDS_BODY = 1 << 3,
};
/* Of them, those that decide whether it matches. */
#define POLICY_NEEDS_TO_MATCH (POLICY_NEEDS_OPERATIONS | POLICY_NEEDS_OBJECTS | POLICY_NEEDS_BODY)
unsigned rule_needs(const struct policy_rule *r, enum protocol_id protocol);
/* Whether any text of the protocol could do something that the rule's operations mean. */
bool rule_means_text(const struct policy_rule *r, enum protocol_id protocol);

bool rule_masks(const struct policy_rule *r);
/* In contents of HTTP. */
bool rule_masks_content(const struct policy_rule *r);

#endif
