/* SPDX-License-Identifier: Apache-2.0
 *
 * unix_server: the socket of a server on this host, as a connection's origin names it, and the
 * paths that lead to it.
 */
#ifndef WAYLEAVE_POLICY_UNIX_SERVER_H
#define WAYLEAVE_POLICY_UNIX_SERVER_H

#include <stdbool.h>

#include "base/slice.h"
#include "bpf/shared.h"

/* Of the path as the configuration has it. A digest, and no index, stays right when the
 * configuration changes between connect(2) and accept(2). */
struct unix_server unix_server_of(struct slice path);

/* The path, absolute, with its folder as it is without links, for free(). NULL: that folder is not
 * there. */
char *unix_server_place(const char *path);
/* The same of what it leads to where it is a link itself, also one to what is not there yet; as far
 * as it can be followed. Never NULL; for free(). */
char *unix_server_target(const char *path);
/* The same path with /var/run for /run, or the other way round; for free(). NULL: neither. */
char *unix_server_other_name(const char *path);

#endif
