/* SPDX-License-Identifier: Apache-2.0
 *
 * kept: connections to servers that sessions of a worker have left, for the next session that would
 * make the very same one: of the same agent, principal and user, under the same rules, to the same
 * address, and in TLS with the same name, verified in the same way. The worker owns them, each for
 * as long as its resource says (`reuse`); a server that says or ends anything meanwhile loses it.
 * Whatever changes rules, credentials, CAs or principals drops all (kept_clear). Knows no session
 * and no clock.
 */
#ifndef WAYLEAVE_WORKER_KEPT_H
#define WAYLEAVE_WORKER_KEPT_H

#include <stdint.h>

#include "base/identifier.h"
#include "base/list.h"
#include "worker/leg.h"

#define KEPT_MOST 256u /* of a worker */
#define KEPT_MOST_AGENT 16u /* of them, of one agent */
/* Nanoseconds since it was made, beyond which none is kept: as late is a certificate that was
 * withdrawn noticed (worker/resume.h). */
#define KEPT_AGE_MOST (600ULL * 1000000000ULL)
#define KEPT_NAME_MOST 256u

/* All that tells one connection from another that may not take its place. Zeroes, then filled in:
 * compared as bytes. */
struct kept_key {
	/* policy_scope_serial(): the agent with its principal and groups, the resource with its CA,
	 * credentials and way of verifying, and the rules, of one generation of the policy. */
	uint64_t scope;
	uint64_t cgroup; /* of the agent's socket */
	uint64_t network; /* the cookie of its network namespace */
	uint32_t agent;
	uint32_t uid;
	uint32_t way; /* enum origin_way */
	uint32_t interface;
	uint8_t address[16]; /* where it is connected to, which is what the agent dialled */
	uint32_t port;
	uint32_t tls; /* 1: in TLS */
	char alpn[32]; /* what that offered, with commas between; empty: nothing */
	char name[KEPT_NAME_MOST]; /* that it asked for, and verified */
	char sni[KEPT_NAME_MOST]; /* that the agent sent */
};

/* One connection; owned by whoever has it, and inside by the kept. */
struct kept_connection {
	struct leg_connection connection;
	uint64_t made; /* when, monotonic */
	struct identifier session; /* in which */
};

struct kept {
	struct list items; /* the oldest first */
	size_t count;
};

void kept_init(struct kept *k);
/* Keeps it until `until` (monotonic), at the cost of the oldest, of the agent's or of all, where
 * there are too many. Takes the connection. */
void kept_put(struct kept *k, const struct kept_key *key, const struct kept_connection *c,
	uint64_t until);
/* The latest that has the key and about which its server has not changed its mind; the caller's
 * from then on. False: there is none. */
bool kept_take(
	struct kept *k, const struct kept_key *key, uint64_t now, struct kept_connection *ret);
/* Closes those whose time has come, or whose server said or ended something. */
void kept_tick(struct kept *k, uint64_t now);
/* How many an agent has; closes its oldest; closes all. */
size_t kept_count(const struct kept *k, uint32_t agent);
void kept_drop(struct kept *k, uint32_t agent);
void kept_clear(struct kept *k);

#endif
