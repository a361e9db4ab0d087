/* SPDX-License-Identifier: Apache-2.0
 *
 * principals: who each agent acts for now, as the broker finds out, the monitor keeps and workers
 * judge by. Written as bytes between them: big-endian numbers, texts behind their length.
 */
#ifndef WAYLEAVE_IDENTITY_PRINCIPALS_H
#define WAYLEAVE_IDENTITY_PRINCIPALS_H

#include "base/buffer.h"
#include "policy/rule.h"

#define PRINCIPALS_BYTES_MOST (32u << 20) /* of a whole list */
#define PRINCIPALS_PROBLEM_MOST 500 /* bytes */

enum principal_state {
	PRINCIPAL_NONE, /* the agent has no identity */
	PRINCIPAL_AWAITED, /* its token is being looked at for the first time */
	PRINCIPAL_KNOWN,
	PRINCIPAL_ENDED, /* its token was good, and has ended */
	PRINCIPAL_REFUSED, /* there is no token that is taken */
	PRINCIPAL_STATE_COUNT
};

struct principal_entry {
	uint32_t agent; /* config_agent_id() */
	uint64_t run; /* id of the cgroup of one `wayleave run`; 0: the rest of the agent */
	uint32_t serial; /* of the token that it is about, between monitor and broker */
	enum principal_state state;
	bool suspended; /* by an administrator: everything is refused */
	uint64_t until; /* PRINCIPAL_KNOWN: wall clock, nanoseconds; leeway counted in */
	struct principal principal; /* empty unless PRINCIPAL_KNOWN */
	struct slice issuer; /* its name in the configuration */
	struct slice problem; /* why there is none, for people; empty: nothing is wrong */
};

/* "known", "ended", … */
const char *principal_state_name(enum principal_state state);

/* Whether both act for the same, on whose behalf apart. */
bool principals_are_same(const struct principal_entry *a, const struct principal_entry *b);

/* Appends the entry; errors are the buffer's. */
int principals_encode(const struct principal_entry *entry, struct buffer *ret);
/* Reads all entries. Their texts point into `bytes`; the array, for free(), holds their groups too.
 * -EBADMSG: not such a list. */
int principals_decode(struct slice bytes, struct principal_entry **ret, size_t *ret_count);

#endif
