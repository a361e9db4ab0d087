/* SPDX-License-Identifier: Apache-2.0
 *
 * certified: the key of a host that is known by an authority alone.
 */
#ifndef WAYLEAVE_SSH_CERTIFIED_H
#define WAYLEAVE_SSH_CERTIFIED_H

#include "base/error.h"
#include "ssh/known_hosts.h"

#define CERTIFIED_SECONDS 20u /* that the host has to show its certificate */

/* Asks the host at the other end of the connection for its certificate, after which that is good
 * for nothing more; until `deadline`, of clock_monotonic(). Appends a line of known_hosts that has
 * the key for all names, where an authority of known_hosts says that it is the host's. Else
 * -ENOENT: it has no certificate; -EKEYREJECTED: it is not believed; -ETIMEDOUT and others: it
 * could not be asked; `e` says why, as what follows "it has ", "the certificate of HOST " and "HOST
 * can't be asked: ". */
int certified_ask(int fd, uint64_t deadline, struct slice known_hosts,
	const struct known_host_names *names, struct buffer *ret, struct error *e);

#endif
