/* SPDX-License-Identifier: Apache-2.0
 *
 * grant: an approval for a time. The monitor keeps grants and gives their list to the workers,
 * which judge by it; a table in shared memory, written by the monitor alone, says which are in
 * force this very moment, so that a revoked one covers nothing any more from then on.
 */
#ifndef WAYLEAVE_APPROVAL_GRANT_H
#define WAYLEAVE_APPROVAL_GRANT_H

#include <stdatomic.h>

#include "approval/question.h"
#include "base/identifier.h"

#define GRANTS_MOST 1024 /* in force at once */
#define GRANTS_BYTES_MOST (16u << 20) /* the encoded list */

/* The shared table: slot i is in force until `end` (wall clock, nanoseconds) for the grant that has
 * this serial; 0: free. */
struct grant_table {
	struct {
		_Atomic uint64_t serial;
		_Atomic uint64_t end;
	} slots[GRANTS_MOST];
};

struct grant {
	struct identifier id; /* "g-…" */
	uint32_t slot;
	uint64_t serial; /* never used twice */
	struct scope_of_action scope;
};

/* The monitor's side: sets and clears a slot. */
void grant_table_set(struct grant_table *t, uint32_t slot, uint64_t serial, uint64_t end);
/* Whether the grant is in force at `now` (wall clock). */
bool grant_is_in_force(const struct grant *g, const struct grant_table *t, uint64_t now);
/* The same of one that may have left the list since; `slot` below GRANTS_MOST. */
bool grant_table_has(const struct grant_table *t, uint32_t slot, uint64_t serial, uint64_t now);

/* Whether the grant covers the action: same agent, principal, person on whose behalf, resource,
 * database, user and role,
 * no rule and no (operation, object) beyond the approved ones, nothing unknown (`unknown`: enum
 * action_unknown), and no missing WHERE where the approved action had one. */
bool grant_covers(const struct grant *g, const struct scope_of_action *scope, unsigned unknown);

/* A list, as workers get it. Appends; decoding gives an array for free(), whose slices point into
 * `bytes`. -EBADMSG. */
int grants_encode(const struct grant *grants, size_t count, struct buffer *ret);
int grants_decode(struct slice bytes, struct grant **ret, size_t *ret_count);

#endif
