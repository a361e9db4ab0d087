/* SPDX-License-Identifier: Apache-2.0
 *
 * question: one action that a rule wants a person to decide, with all that the decision is bound
 * to. The worker makes it and the monitor keeps it; neither needs to know the protocol.
 *
 * Encoded, it is one flat run of bytes: what crosses from the (untrusted) worker to the monitor,
 * and what the store keeps.
 */
#ifndef WAYLEAVE_APPROVAL_QUESTION_H
#define WAYLEAVE_APPROVAL_QUESTION_H

#include "base/buffer.h"
#include "protocol/action.h"

#define QUESTION_RULES_MOST 16
#define QUESTION_PAIRS_MOST 256
#define QUESTION_VALUES_MOST 64
#define QUESTION_PARTS_MOST 16
#define QUESTION_SEPARATOR "\n;\n" /* between the texts of parts */
#define QUESTION_DIGEST_SIZE 32 /* SHA-256 */
#define QUESTION_BYTES_MOST (6u << 20) /* encoded */
#define QUESTION_VERSION 4 /* of the encoding; the store may hold older ones */

/* Whom an action is between, which rules want it decided, and what it does: what a grant is about.
 */
struct scope_of_action {
	struct slice agent;
	struct slice principal; /* empty: none */
	struct slice on_behalf_of; /* who started it; empty: that is not known */
	struct slice resource; /* "egress" where no resource names the place */
	struct slice database, user; /* as the server knows them; empty: there is none */
	struct slice as; /* the role of the server's that it runs as; empty: as `user` */
	struct slice rules[QUESTION_RULES_MOST]; /* names, as the verdict has them */
	size_t rule_count;
	struct action_pair pairs[QUESTION_PAIRS_MOST];
	size_t pair_count;
};

struct question_value {
	bool null, binary;
	struct slice data; /* as it may be shown: masked, perhaps cut */
	uint64_t length; /* of the whole value */
};

/* One of several actions that are decided together. */
struct question_part {
	uint64_t text_length; /* of the question's text, behind those before it and a separator */
	uint64_t value_count; /* of the values that are bound, behind those of the parts before */
};

/* Slices point to what the maker has, or into what was decoded. */
struct question {
	uint8_t digest[QUESTION_DIGEST_SIZE];
	struct scope_of_action scope;
	struct slice groups; /* of the principal, each on a line; for people */
	struct slice protocol;
	struct slice session, address, program; /* of the first that asks */
	/* What else is known of that process: SHA-256 of its program in hexadecimal, command line,
	 * parents. */
	struct slice program_hash, arguments, parents;
	uint64_t pid, uid; /* UINT64_MAX: not known, no process of this host */
	unsigned unknown; /* enum action_unknown */
	struct slice text; /* the exact bytes; of several actions all, in their order */
	struct slice runs; /* the text of what it runs by name; empty: nothing */
	struct slice settings; /* what gives the text its meaning, for people too */
	struct slice preview; /* what it would do, as far as was asked; may be empty */
	struct question_value values[QUESTION_VALUES_MOST];
	size_t value_count; /* that are here */
	size_t values_total; /* that are bound */
	struct question_part parts[QUESTION_PARTS_MOST];
	size_t part_count; /* 0: one action alone; else at least two */
};

/* Behind `*at`, which it moves on, the text of the part. */
struct slice question_part_text(const struct question *q, size_t part, size_t *at);

/* Sets the digest: over scope, groups, settings, text, what it runs and `bound`, the exact
 * bytes of all bound parameters; not over who asks where. -EIO: no digest could be made. */
int question_seal(struct question *q, struct slice bound);

/* Whether the action has room in a question: -E2BIG with more rules or pairs. `ret` is filled. */
int scope_of_action_set(
	struct scope_of_action *ret, const struct action_pair *pairs, size_t pair_count);

/* Appends; -E2BIG beyond the buffer's limit. */
int question_encode(const struct question *q, struct buffer *ret);
/* Hostile bytes: -EBADMSG for anything that question_encode() would not have made, now or in an
 * older version. The slices of `ret` point into `bytes`; names of operations that this version does
 * not know are refused. */
int question_decode(struct slice bytes, struct question *ret);

#endif
