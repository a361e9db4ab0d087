/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh: the engine of one SSH session. Its bytes are what the session's own process says and is told
 * (bridge.h), as those of SIDE_SERVER; that process speaks SSH.
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_SSH_H
#define WAYLEAVE_PROTOCOL_SSH_SSH_H

#include "protocol/protocol.h"

extern const struct protocol protocol_ssh;

#endif
