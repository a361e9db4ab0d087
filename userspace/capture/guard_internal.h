/* SPDX-License-Identifier: Apache-2.0
 *
 * guard_internal: what guard.c and guard_judge.c share.
 */
#ifndef WAYLEAVE_CAPTURE_GUARD_INTERNAL_H
#define WAYLEAVE_CAPTURE_GUARD_INTERNAL_H

#include "capture/guard.h"
#include "capture/guard_elements.h"

#define GUARD_TEXT_MOST (4u << 20) /* bytes, of rules as nft reads and prints them */

/* guard_run.c: runs nft's text in the caller's network namespace. What it prints is appended to
 * `ret`, unless that is NULL; of sets with names not what they hold. */
int guard_run(const char *text, struct buffer *ret, struct error *e);
/* 1: the kernel and nft know such a statement; 0: they don't. An error where nothing can be tried,
 * which says neither. */
int guard_try(const char *statement, struct error *e);
/* Rules that accept what goes to the host's resolvers. */
int guard_append_resolvers(struct buffer *b, const struct guard *g);

/* guard.c: where datagrams of the agent go on, however many there are; empty: they pass. */
void guard_other_chain(
	const struct guard *g, const struct guard_agent *a, char ret[GUARD_CHAIN_SIZE]);

/* guard_pace.c */

/* Whether the agent's datagrams are limited; whether some agent's are. */
bool guard_is_paced(const struct guard *g, const struct guard_agent *a);
bool guard_paces(const struct guard *g);
/* The chain pace_ID, which drops what is beyond. */
int guard_append_pace(struct buffer *b, uint32_t agent, uint64_t bandwidth);
/* Those, and the chains leave_N for the agent with index N. */
int guard_append_paces(struct buffer *b, const struct guard *g);
/* What the chain begins with that looks up whose it is that comes. */
extern const char guard_arriving_head[];

/* guard_judge.c */

/* Whether policy is to say where the agent's datagrams go. */
bool guard_is_judged(const struct guard *g, const struct guard_agent *a);
/* Whether they may go anywhere, but for those that answer: the chain `unjudged`. */
bool guard_is_unjudged(const struct guard_agent *a);
/* Whether some agent's are either: connection tracking is asked. */
bool guard_tracks(const struct guard *g);
/* What the chain begins with that looks agents up, before anything is queued. */
extern const char guard_judged_head[];
/* The chains that it leads to, judge_N for the agent with that index; and those for the answers. */
int guard_append_judges(struct buffer *b, const struct guard *g);
/* guard_names.c */

/* Whether what the agent asks name servers is looked at, and what they answer. */
bool guard_is_watched(const struct guard *g, const struct guard_agent *a);
/* The chains names_N and watch_N for the agent with index N: for either direction, and for all of
 * its datagrams that leave. */
int guard_append_watches(struct buffer *b, const struct guard *g);
/* What the chain begins with that looks up whose an answer is; and the chains around it. */
extern const char guard_whose_head[];
int guard_append_answers(struct buffer *b, const struct guard *g);

/* guard_judge.c */

/* Behind the table: that of the queue goes where nobody needs it. */
int guard_append_queue(struct buffer *b, const struct guard *g);
/* guard_shape.c: of the rules, with those that fill the queue. */
int guard_whole_shape(const struct guard *g, uint64_t *ret, struct error *e);

/* As guard_shape(), of that table. One without its rule drops what it should queue. */
int guard_queue_shape(const struct guard *g, uint64_t *ret, struct error *e);

#endif
