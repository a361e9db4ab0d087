/* SPDX-License-Identifier: Apache-2.0
 *
 * catalogs: what is known of the names of each database, shared by the worker's sessions. A
 * database is known by the server's address and its own name.
 */
#ifndef WAYLEAVE_WORKER_CATALOGS_H
#define WAYLEAVE_WORKER_CATALOGS_H

#include <stdatomic.h>

#include "base/table.h"
#include "protocol/host.h"

struct catalogs {
	struct table table;
	_Atomic uint64_t *epochs; /* WORKER_EPOCHS, shared by all workers */
};

void catalogs_init(struct catalogs *c, _Atomic uint64_t *epochs);
/* Never NULL; lives as long as the worker. `server` tells servers apart; names in different client
 * encodings are different bytes. */
struct protocol_catalog *catalogs_find(
	struct catalogs *c, struct slice server, struct slice database, struct slice encoding);
/* Lets each be compared with its server before it is used again, unless that was asked for a moment
 * ago. `now` is monotonic, in nanoseconds. */
void catalogs_check(struct catalogs *c, uint64_t now);

#endif
