/* SPDX-License-Identifier: Apache-2.0
 *
 * names: what the configuration's host names resolve to, found out on a thread of its own, as the
 * resolver blocks (hosts file included). Addresses that a name had are kept for a day after they
 * were last seen: runtimes cache, and an agent may dial an older one.
 */
#ifndef WAYLEAVE_MONITOR_NAMES_H
#define WAYLEAVE_MONITOR_NAMES_H

#include "policy/policy.h"

struct names;

int names_new(struct names **ret);
void names_free(struct names *n); /* waits for a lookup under way; takes NULL */
/* Which names to know from now on; copied. Looks them up at once. */
void names_set(struct names *n, const char *const *names, size_t count);
/* Readable when addresses changed, or the first lookup after names_set() is complete. */
int names_event(const struct names *n);
/* What is known now, owned by the caller (names_free_addresses()). Resets the event. */
size_t names_take(struct names *n, struct policy_address **ret);
void names_free_addresses(struct policy_address *addresses, size_t count);

#endif
