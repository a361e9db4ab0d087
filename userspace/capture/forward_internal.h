/* SPDX-License-Identifier: Apache-2.0
 *
 * forward_internal: what forward_rules.c and forward_judge.c share.
 */
#ifndef WAYLEAVE_CAPTURE_FORWARD_INTERNAL_H
#define WAYLEAVE_CAPTURE_FORWARD_INTERNAL_H

#include "capture/forward_rules.h"

/* Towards which side of its interface a packet goes that is an agent's. */
enum forward_way { FORWARD_IN, FORWARD_OUT };

/* Rules that lead to chain NAME_N for the agent with index N: by its interfaces, and by the end of
 * the packet that is the agent's. */
int forward_append_dispatch(
	struct buffer *b, const struct forward_rules *f, enum forward_way way, const char *name);

/* forward_judge.c */

/* Whether what the agent asks name servers is looked at; whether policy says where its datagrams
 * go. */
bool forward_is_watched(const struct forward_rules *f, const struct forward_agent *a);
bool forward_is_judged(const struct forward_rules *f, const struct forward_agent *a);
/* The chains that queue for the agent with index `i`: names_N, heard_N, told_N and judge_N. */
int forward_append_queueing(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i);
/* For the end of source_N: queries go to names_N. */
int forward_append_queries(struct buffer *b, const struct forward_rules *f, size_t i);
/* For forward_N and input_N: what was refused, or not judged, and comes that far all the same.
 * While rules are replaced the kernel may lead a packet from the queue past the chain that refuses
 * it. */
int forward_append_refused(struct buffer *b, const struct forward_rules *f, size_t i);
/* For forward_N: the same, and what was judged passes. */
int forward_append_passes(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i);
/* For the agent with index `i`: pace_ID of guard_pace.c, where its datagrams are limited, and
 * arrive_N, which leads there; and the chain of the hook that leads to those. */
int forward_append_pace(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i);
int forward_append_arriving(struct buffer *b, const struct forward_rules *f);
/* The chains around the queue, for all agents. */
int forward_append_settling(struct buffer *b, const struct forward_rules *f);

#endif
