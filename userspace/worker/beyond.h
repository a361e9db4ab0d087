/* SPDX-License-Identifier: Apache-2.0
 *
 * beyond: what can't be had behind a proxy, whatever the rules say: it is the proxy that looks up a
 * name, and its own host that a loopback address is of.
 */
#ifndef WAYLEAVE_WORKER_BEYOND_H
#define WAYLEAVE_WORKER_BEYOND_H

#include "base/reason.h"
#include "policy/policy.h"

/* Where a proxy is asked to connect to. All is borrowed. */
struct beyond_place {
	const struct policy_resource *resource; /* that it means; NULL: none */
	struct slice name; /* that the proxy looks up, in lower case; empty: it is an address */
	const uint8_t *address; /* 16 bytes, as in struct origin; without a name */
	uint16_t port;
	bool here; /* it is this host's own loopback, as the proxy is on this host */
};

/* REASON_NONE: it may be asked for where the rules allow it. Else *ret_why (static) says why not.
 */
enum reason beyond_check(
	const struct policy *p, const struct beyond_place *place, const char **ret_why);

#endif
