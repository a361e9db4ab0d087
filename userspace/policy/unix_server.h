/* SPDX-License-Identifier: Apache-2.0
 *
 * unix_server: the socket of a server on this host, as a connection's origin names it.
 */
#ifndef WAYLEAVE_POLICY_UNIX_SERVER_H
#define WAYLEAVE_POLICY_UNIX_SERVER_H

#include "base/slice.h"
#include "bpf/shared.h"

/* Of the path as the configuration has it. A digest, and no index, stays right when the
 * configuration changes between connect(2) and accept(2). */
struct unix_server unix_server_of(struct slice path);

#endif
