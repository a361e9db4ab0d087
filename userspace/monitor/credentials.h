/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials: proofs of the secrets that resources log in with. A worker asks for the proof that
 * one server demands; the secret stays here, in locked memory, and only for as long as the proof
 * takes to make. It is read from its file each time, so that a new one holds at once.
 *
 * A hostile server can make proofs expensive, so they are made on a thread, one at a time for each
 * resource; salted passwords are remembered.
 */
#ifndef WAYLEAVE_MONITOR_CREDENTIALS_H
#define WAYLEAVE_MONITOR_CREDENTIALS_H

#include "base/slice.h"

struct credentials;
struct monitor;
struct monitor_worker;

/* -errno: no thread. */
int credentials_new(struct monitor *m, struct credentials **ret);
/* A MESSAGE_PROOF; answered by and by. `server`: the worker's connection, or why there is none
 * (requests_handle()); what an agent's own process would get by it is refused, and what is asked
 * for by a connection that was lost on the way. */
void credentials_ask(struct monitor_worker *w, struct slice request, int server);

#endif
