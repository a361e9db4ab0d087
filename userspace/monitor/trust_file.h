/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_file: certificates of a file that agents' programs pin. It may stand where the agent may
 * put what it likes, and every agent gets to read what is made of it: a link there leads nowhere,
 * and nothing but certificates is taken.
 */
#ifndef WAYLEAVE_MONITOR_TRUST_FILE_H
#define WAYLEAVE_MONITOR_TRUST_FILE_H

#include "base/buffer.h"

/* An ordinary file, open for reading and never to be waited for, or negative errno: -ELOOP where a
 * link that is not root's stands on the way. `path` is absolute. */
int trust_file_open(const char *path);
/* Appends the text's certificates in PEM and nothing else of it; -ENOMSG: there is none. */
int trust_file_take_certificates(struct slice text, struct buffer *ret);

#endif
