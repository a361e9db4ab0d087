/* SPDX-License-Identifier: Apache-2.0
 *
 * forwarded: a connection that came to what a host listens on for an agent, as the session's
 * process tells of it: "HOST:PORT from ADDRESS:PORT".
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_FORWARDED_H
#define WAYLEAVE_PROTOCOL_SSH_FORWARDED_H

#include "base/slice.h"

/* Where it came to, as it stands there, and by whom: the address alone, without brackets, as any
 * port may be its. -EBADMSG: it is something else. Slices are the input's. */
int forwarded_split(struct slice in, struct slice *ret_place, struct slice *ret_origin);

#endif
