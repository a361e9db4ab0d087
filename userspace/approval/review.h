/* SPDX-License-Identifier: Apache-2.0
 *
 * review: a question to people about one action, and who may answer it.
 */
#ifndef WAYLEAVE_APPROVAL_REVIEW_H
#define WAYLEAVE_APPROVAL_REVIEW_H

#include <sys/types.h>

#include "base/error.h"
#include "policy/config.h"

/* On disk: explicit numbers. All but the first are final. */
enum review_state {
	REVIEW_PENDING = 0,
	REVIEW_APPROVED = 1,
	REVIEW_DENIED = 2,
	REVIEW_EXPIRED = 3,
	REVIEW_CANCELLED = 4,
	REVIEW_STATE_COUNT
};

/* Static text; "?" where there is no such state. */
const char *review_state_name(unsigned state);

enum reviewer_via { REVIEWER_LOCAL = 0, REVIEWER_SLACK = 1, REVIEWER_VIA_COUNT };

/* "at the command line", "in Slack": static text. */
const char *reviewer_via_text(enum reviewer_via via);

/* One identity of a person. The text is the caller's. */
struct reviewer {
	enum reviewer_via via;
	uid_t uid; /* REVIEWER_LOCAL */
	const char *name; /* the local user's, or Slack's id of the user; NULL: not known */
};

/* The groups that all must approve, and within which bounds: what the rules of an action ask for
 * together. Points into the configuration. */
#define REVIEW_GROUPS_MOST 16
struct requirement {
	const struct config_reviewer *groups[REVIEW_GROUPS_MOST];
	size_t group_count;
	uint64_t within; /* nanoseconds; the shortest */
	uint64_t grant; /* nanoseconds; the shortest, 0 where a rule allows none */
};

/* -EINVAL with a sentence: a name is no rule of this configuration, or none that asks for a review.
 */
int requirement_find(const struct config *c, const struct slice *rules, size_t count,
	struct requirement *ret, struct error *e);
/* The groups' names: "dba and security". Free with free(). */
char *requirement_groups(const struct requirement *r, const char *separator);

/* NULL: `people` does not know this identity. */
const struct config_person *reviewer_person(const struct config *c, const struct reviewer *who);
bool reviewer_is_member(const struct config_reviewer *group, const struct reviewer *who);
/* Takes the first of the groups, whose names are separated by newlines; false: there is none left.
 */
bool review_take_group(struct slice *groups, struct slice *ret);
/* Of any of the groups, whose names are separated by newlines. */
bool reviewer_is_member_of_any(
	const struct config *c, struct slice groups, const struct reviewer *who);
/* The same identity, or two of one person. */
bool reviewer_is_same(const struct config *c, const struct reviewer *a, const struct reviewer *b);
/* Whom a session acts for, by what tokens said; either may be empty. */
struct requester_names {
	struct slice principal, on_behalf_of;
};
/* Whether a process of `user` (its local user), acting for these, asks in this person's name: the
 * person is, by `people`, behind one of the names or the user; or is the same local user. Root is
 * a person only where `people` says so: much runs as root, agents' commands too, and it is no
 * secret that root can approve whatever it likes. */
bool reviewer_is_requester(const struct config *c, const struct reviewer *who,
	const struct reviewer *user, const struct requester_names *names);
/* "ann", "ann (Slack U111)", "Slack U111": as people read it. */
void reviewer_describe(const struct config *c, const struct reviewer *who, char *ret, size_t size);

#endif
