/* SPDX-License-Identifier: Apache-2.0
 *
 * opaque: the protocol of what is not read: bytes pass both ways. For resources of protocol tcp,
 * for what egress lets through, and for sessions that are only observed after they broke their
 * protocol.
 */
#ifndef WAYLEAVE_PROTOCOL_OPAQUE_H
#define WAYLEAVE_PROTOCOL_OPAQUE_H

#include "protocol/protocol.h"

extern const struct protocol protocol_opaque;
/* The same for a flow of datagrams, which pass beside us: all that is asked is whether they may. */
extern const struct protocol protocol_datagrams;
extern const struct protocol protocol_echoes;

/* Of an engine that is new: the connection itself is an action, which is judged, and perhaps held
 * for people, before anything is taken. Released, it asks for the upstream connection. `address`:
 * of where it leads; must live as long as the engine. */
void opaque_judge(struct protocol_engine *e, struct slice address);

#endif
