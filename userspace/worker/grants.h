/* SPDX-License-Identifier: Apache-2.0
 *
 * grants: those that the monitor gave this worker (approval/grant.h).
 */
#ifndef WAYLEAVE_WORKER_GRANTS_H
#define WAYLEAVE_WORKER_GRANTS_H

#include "approval/grant.h"

struct grants {
	struct grant *items;
	uint64_t *signatures; /* of each, beside one another: most can be told apart by them */
	size_t count;
	struct buffer bytes; /* that the items point into */
	const struct grant_table *table; /* shared with the monitor, which alone writes it */
	uint64_t version; /* counts the lists that came */
};

/* `table_fd`: of struct worker_start. */
int grants_init(struct grants *g, int table_fd);
/* Takes the list that the descriptor holds, in place of the one before; a broken one is empty. */
void grants_take(struct grants *g, int fd);
/* A grant that is in force and covers the action; NULL: none does. Valid until the next list. */
const struct grant *grants_find(
	const struct grants *g, const struct scope_of_action *scope, unsigned unknown);

#endif
