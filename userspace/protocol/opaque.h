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

#endif
