/* SPDX-License-Identifier: Apache-2.0
 *
 * logins: people who logged in with an issuer on this host, by their local user. What such a user
 * starts with `wayleave run` from then on is on that person's behalf. Tokens stay with the broker;
 * here is the name, until the person's token ends, and in memory alone.
 */
#ifndef WAYLEAVE_MONITOR_LOGINS_H
#define WAYLEAVE_MONITOR_LOGINS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

struct monitor;

struct person_login {
	uid_t uid;
	uint64_t id; /* between monitor and broker */
	size_t issuer; /* in the configuration */
	uint32_t stage; /* enum broker_login_stage */
	uint64_t asked_at; /* monotonic */
	uint64_t until; /* wall clock, nanoseconds */
	uint64_t ends; /* the same by clock_boot(): setting the clock back makes it no longer */
	char *texts[3]; /* as the stage has them */
};

struct logins {
	struct person_login *items;
	size_t count;
	uint64_t last_id;
};

/* Whom the user is now; NULL: that is not known. */
const char *logins_person(const struct monitor *m, uid_t uid);
/* What the broker says: a struct broker_login_state and its texts. -EBADMSG: it is no such thing.
 */
int logins_take(struct monitor *m, struct slice payload);
/* Issuers are other ones, or the broker knows nothing any more: what is under way fails; `all`:
 * nobody is logged in any more. */
void logins_forget(struct monitor *m, bool all);
void logins_close(struct monitor *m);

#endif
