/* SPDX-License-Identifier: Apache-2.0
 *
 * routes: mirrors the host's routes and addresses into the tries that connect(2) asks, so that it
 * fails where the host has no route, and knows which addresses are this host.
 *
 * Every change is answered by a new dump, at most ten times a second: the kernel doesn't tell all
 * that a vanished link takes along. Where a dump fails, or there are more routes than the trie
 * holds, everything counts as reachable; the worker's own connect(2) finds out then.
 */
#ifndef WAYLEAVE_CAPTURE_ROUTES_H
#define WAYLEAVE_CAPTURE_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "capture/trie.h"

#define ROUTES_DESCRIPTORS 2

struct mnl_socket;

struct routes {
	struct mnl_socket *events;
	int timer;
	bool dirty; /* a change waits for the timer */
	bool complete; /* the tries say all there is */
	uint64_t refreshed; /* CLOCK_MONOTONIC */
	struct trie reachable;
	struct trie local;
};

/* Fills the maps, whose descriptors stay the caller's, from the network namespace of the caller. */
int routes_open(struct routes *ret, int reachable_map, int local_map, struct error *e);
void routes_close(struct routes *r);
/* Descriptors to poll for reading. */
void routes_descriptors(const struct routes *r, int ret[ROUTES_DESCRIPTORS]);
/* After poll. Doesn't block. */
void routes_process(struct routes *r);

#endif
