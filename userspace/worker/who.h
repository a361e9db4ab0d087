/* SPDX-License-Identifier: Apache-2.0
 *
 * who: whom agents act for now, as the monitor said last, and whether that is good enough for an
 * action.
 */
#ifndef WAYLEAVE_WORKER_WHO_H
#define WAYLEAVE_WORKER_WHO_H

#include "base/reason.h"
#include "identity/principals.h"

struct who {
	struct principal_entry *items;
	size_t count;
	bool broken; /* it can't be read: nobody is let through */
	struct buffer bytes; /* that the items point into */
};

void who_init(struct who *w);
/* Takes the list that the descriptor holds, in place of the one before. With a broken one nobody is
 * known, and nobody may act: who is suspended is not known either. */
void who_take(struct who *w, int fd);

enum who_answer {
	WHO_GOOD, /* it is known, or the agent needs no identity */
	WHO_AWAITED, /* it isn't, and may be in a moment */
	WHO_REFUSED,
};

/* `cgroup` is that of a connection's socket (struct origin). */

/* Whether the agent may act now. Else `ret_reason` and the sentence behind "wayleave: ". Where we
 * only observe, nothing is refused for want of an identity; but who suspends an agent stops it. */
enum who_answer who_check(const struct who *w, const struct policy_agent *agent, uint64_t cgroup,
	bool observes, enum reason *ret_reason, struct buffer *ret_text);
bool who_is_suspended(const struct who *w, const struct policy_agent *agent, uint64_t cgroup);
/* By whom its actions are judged; valid until the next list. */
const struct principal *who_principal(
	const struct who *w, const struct policy_agent *agent, uint64_t cgroup);
/* Of what may be any run's, such as a datagram: nobody is known where runs have other principals,
 * or the token has expired. */
const struct principal *who_principal_of_any(const struct who *w, const struct policy_agent *agent);
/* Whether some of its runs have another principal or other groups than it has; whether people
 * started some of them. */
bool who_has_other_principals(const struct who *w, const struct policy_agent *agent);
bool who_acts_for_people(const struct who *w, const struct policy_agent *agent);
/* What the monitor said of it is a principal, or that there needs to be none. */
bool who_is_known(const struct who *w, const struct policy_agent *agent, uint64_t cgroup);

#endif
