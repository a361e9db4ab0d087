/* SPDX-License-Identifier: Apache-2.0
 *
 * draft: the question to people about an action, and about those behind it in its unit that need
 * the same people (protocol.h: ahead()); as it is bound by a digest, and as it is shown.
 */
#ifndef WAYLEAVE_WORKER_DRAFT_H
#define WAYLEAVE_WORKER_DRAFT_H

#include "approval/question.h"
#include "worker/session.h"

struct draft_end {
	size_t count, values, values_total, text_length;
};

struct draft {
	struct session *session;
	struct question question;
	/* Of each action alone: the first by itself, the others as they are behind it in its unit.
	 */
	uint8_t digests[QUESTION_PARTS_MOST][QUESTION_DIGEST_SIZE];
	size_t count; /* of actions: at least one */
	struct draft_end asked; /* behind the last that people decide about */
	bool grows; /* what is still to arrive may belong to it */
	bool maybe_late; /* as in struct protocol_binding */
	struct protocol_value values[QUESTION_VALUES_MOST];
	size_t value_count;
	struct buffer text; /* of several actions */
	struct buffer groups; /* of the principal, sorted, each on a line */
	struct question single; /* room to look at one */
};

/* Of the action that waits for its verdict, and of at most `most` in all. What it refers to lives
 * as long as the action waits and none of the engine's functions is called. NULL with a sentence in
 * `ret_problem`: people can't be asked about it; without one: the engine will bring it again. */
struct draft *draft_make(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, size_t most, const char **ret_problem);
void draft_free(struct draft *d); /* takes NULL */
/* The digest of the action that waits for its verdict, behind others of its unit. False: it can't
 * be one of theirs. */
bool draft_digest_in_unit(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, uint8_t ret[QUESTION_DIGEST_SIZE]);
/* A file in memory that holds the question as people are to see it, or negative errno. */
int draft_write(struct session *s, struct draft *d);

/* Whom, which rules and what: -E2BIG where a grant could not hold it. Slices are the session's, the
 * scope's and the action's. */
int draft_scope(struct session *s, const struct verdict *verdict, const struct action *action,
	struct scope_of_action *ret);

#endif
