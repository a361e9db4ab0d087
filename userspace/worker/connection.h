/* SPDX-License-Identifier: Apache-2.0
 *
 * connection: the connection of a session as the action that is judged first.
 */
#ifndef WAYLEAVE_WORKER_CONNECTION_H
#define WAYLEAVE_WORKER_CONNECTION_H

#include "protocol/action.h"
#include "worker/session.h"

#define CONNECTION_NAMES_MOST 2

struct connection_facts {
	struct action action;
	struct action_pair pairs[CONNECTION_NAMES_MOST];
	char objects[CONNECTION_NAMES_MOST][SESSION_NAME_SIZE + HOST_NAME_MOST + 16];
};

/* `connect`; to a resource of SSH on the object "user@host", once by what the host is called, if
 * it is, and once by what was dialled. Points to itself and into the session. */
void connection_describe(const struct session *s, struct connection_facts *ret);

#endif
