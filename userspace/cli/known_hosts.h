/* SPDX-License-Identifier: Apache-2.0
 *
 * known_hosts: our lines in the host's own file of that name.
 */
#ifndef WAYLEAVE_CLI_KNOWN_HOSTS_H
#define WAYLEAVE_CLI_KNOWN_HOSTS_H

#include "base/buffer.h"

/* Appends the file's text without the lines that are ours (SSH_KNOWN_MARK), byte for byte. Negative
 * errno: `ret` is full. */
int known_hosts_append_others(struct slice text, struct buffer *ret);

#endif
