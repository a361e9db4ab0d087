/* SPDX-License-Identifier: Apache-2.0
 *
 * announcements: which reviews stand in which channels of Slack, as which messages. On disk, so
 * that after a restart the messages can still be told how their reviews ended.
 */
#ifndef WAYLEAVE_MONITOR_ANNOUNCEMENTS_H
#define WAYLEAVE_MONITOR_ANNOUNCEMENTS_H

#include "base/error.h"
#include "base/list.h"
#include "broker/messages.h"

#define ANNOUNCEMENTS_MOST 4096
#define ANNOUNCEMENTS_OF_AGENT_MOST (ANNOUNCEMENTS_MOST / 4)

struct announcement {
	struct list link;
	struct broker_place place;
	enum broker_posted posted;
	uint64_t due; /* monotonic: no broker is told before */
	uint32_t agent; /* config_agent_id(); 0: not known, as it asked before a restart */
	bool kept; /* on disk */
	bool changed; /* since the broker was told */
	bool soon; /* what changed is more than how many wait */
	bool first; /* this broker was the first to be told */
	bool delayed; /* it can't be told or shown now, which has been logged */
};

struct announcements;

/* `path`: of the file, which is made where it is missing. -EIO and others with a sentence. */
int announcements_open(const char *path, struct announcements **ret, struct error *e);
void announcements_close(struct announcements *a); /* takes NULL */
/* In the order in which they came; the caller may change the flags, and put some at the end. */
struct list *announcements_list(struct announcements *a);
/* NULL: there is none. */
struct announcement *announcements_find(
	struct announcements *a, const struct identifier *review, const char *channel);
/* A new one, which belongs to `a`; on disk it is from when a broker is told. Where there are too
 * many, of the agent's or in all, the oldest of them goes. */
struct announcement *announcements_add(struct announcements *a, const struct identifier *review,
	const char *channel, uint32_t agent);
/* What is to be told soon and is due, the oldest first, but of another agent than the last time
 * where there is such; NULL: nothing is. *ret_more: there is more behind it. */
struct announcement *announcements_next(struct announcements *a, uint64_t now, bool *ret_more);
/* A broker has been told, so that it may stand there; and that its outcome does is not known. */
void announcements_set_told(struct announcements *a, struct announcement *item);
/* This broker can't show it now. */
void announcements_set_refused(struct announcements *a, struct announcement *item);
/* There is another broker; all of it is to be told, but for outcomes that stand there. */
void announcements_forget_broker(struct announcements *a);
/* It stands there now, as the message `time`. */
void announcements_set_posted(struct announcements *a, struct announcement *item, const char *time);
/* With its outcome: no broker is told of it until it has changed. */
void announcements_set_outcome(
	struct announcements *a, struct announcement *item, const char *time);
void announcements_remove(struct announcements *a, struct announcement *item);

#endif
