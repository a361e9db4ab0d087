/* SPDX-License-Identifier: Apache-2.0
 *
 * filter: the system calls that a session may make: what its sockets need, and no other files,
 * sockets or processes.
 */
#ifndef WAYLEAVE_SSH_FILTER_H
#define WAYLEAVE_SSH_FILTER_H

#include "base/error.h"

int filter_session(struct error *e);

#endif
