/* SPDX-License-Identifier: Apache-2.0
 *
 * ssh_wire: what all of SSH's messages, keys and signatures are made of (RFC 4251, 5).
 */
#ifndef WAYLEAVE_BASE_SSH_WIRE_H
#define WAYLEAVE_BASE_SSH_WIRE_H

#include "base/buffer.h"

/* "string". Errors: those of buffer.h. */
int ssh_wire_append_string(struct buffer *b, struct slice s);
/* The string at the front, of which `from` is then what follows; the result is of the same memory.
 * False: there is no whole one, and `from` is as before. */
bool ssh_wire_take_string(struct slice *from, struct slice *ret);
/* Whether a "name-list" has the name. */
bool ssh_wire_has_name(struct slice list, const char *name);

#endif
