/* SPDX-License-Identifier: Apache-2.0
 *
 * salted: what passwords became with the salts and iterations of their servers, so that the next
 * login is cheap. In locked memory; found by a keyed digest of password, salt and iterations, so a
 * new password never finds the old one's. One thread's.
 */
#ifndef WAYLEAVE_MONITOR_SALTED_H
#define WAYLEAVE_MONITOR_SALTED_H

#include "protocol/postgres/scram.h"

struct salted;

struct salted *salted_new(void);
void salted_free(struct salted *s); /* takes NULL */
/* The keys, remembered or made. -EIO: the library failed. */
int salted_keys(struct salted *s, const struct scram_exchange *x, struct slice password,
	struct scram_keys *ret);

#endif
