/* SPDX-License-Identifier: Apache-2.0
 *
 * scope: how a scope is laid out, for scope.c, judge.c and explain.c.
 *
 * The rules that can matter are numbered from 0 in the order of the policy; sets of them are
 * bitmaps of `words` 64-bit words.
 */
#ifndef WAYLEAVE_POLICY_SCOPE_H
#define WAYLEAVE_POLICY_SCOPE_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/table.h"
#include "policy/judge.h"

#define SCOPE_WORDS_MOST ((LIMIT_POLICY_RULES + 63) / 64)

struct policy_scope {
	unsigned references;
	uint64_t serial;
	struct list idle; /* in policy_private.idle while nobody holds it */
	struct table_node node; /* in policy_private.scopes */
	struct policy *policy; /* a reference while somebody holds the scope */
	struct policy_subject subject;
	struct principal principal; /* of the subject; its texts are in `texts` */
	struct arena texts;

	const struct policy_rule **rules;
	size_t rule_count;
	size_t words;
	unsigned needs;
	bool asks_body; /* some rule looks into bodies */
	bool acts; /* `acting` has some */
	uint64_t *bits; /* what the bitmaps below are parts of */
	uint64_t *by_operation; /* OPERATION_COUNT bitmaps: the rules that mean the operation */
	uint64_t *allows; /* that surely select the subject; the others only add their masks */
	uint64_t *reviews;
	uint64_t *denies;
	uint64_t *certain; /* rules that surely select the subject */
	uint64_t *narrowed; /* rules that don't mean all objects, or all bodies */
	uint64_t *masking; /* allows and reviews with masks */
	uint64_t *showing; /* allows and reviews, of `certain`, that show Secrets */
	uint64_t *passing; /* the same that let masked values be written back */
	uint64_t *acting; /* allows and reviews that say as which role it runs */
	uint64_t *asking; /* denies and reviews of some texts only: an unknown effect satisfies them
			   */
	uint64_t *blanket; /* rules that ask for nothing of a text */
	/* The connection: the allows and reviews that could use it, and the denies that leave none.
	 */
	uint64_t *openers;
	uint64_t *closers;

	/* Interned sets of rules and what was made of each (outcome.c). */
	struct arena interned;
	struct table outcomes;
	struct table masks;
	const struct mask_rules *all_masks;
};

#define SCOPE_SET_HAS(set, index) ((set)[(index) / 64] >> ((index) % 64) & 1)

/* The outcome of the rules in `matched`, with the masks of those in `perhaps` added. NULL: the
 * scope remembers as many as it may (LIMIT_SCOPE_BYTES). */
const struct policy_outcome *scope_find_outcome(
	struct policy_scope *s, const uint64_t *matched, const uint64_t *perhaps);
/* The outcome without rules or masks. */
extern const struct policy_outcome scope_no_outcome;
/* The masks of a set of rules, added up; NULL as above. */
const struct mask_rules *scope_find_masks(struct policy_scope *s, const uint64_t *set);

#endif
