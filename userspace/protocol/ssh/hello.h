/* SPDX-License-Identifier: Apache-2.0
 *
 * hello: what one side of a connection says first, in clear: its version (RFC 4253, 4.2) and the
 * lists of what it speaks (7.1).
 */
#ifndef WAYLEAVE_PROTOCOL_SSH_HELLO_H
#define WAYLEAVE_PROTOCOL_SSH_HELLO_H

#include "base/slice.h"

#define SSH_HELLO_VERSION_MOST 255u /* bytes, with the line's end */
#define SSH_HELLO_PACKET_MOST 16384u /* OpenSSH's lists are 1.5 KiB */

enum ssh_hello_list {
	SSH_HELLO_EXCHANGES,
	SSH_HELLO_HOST_KEYS,
	SSH_HELLO_CIPHERS_TO_SERVER,
	SSH_HELLO_CIPHERS_TO_CLIENT,
	SSH_HELLO_LIST_COUNT, /* of those that are read */
};

struct ssh_hello {
	struct slice version; /* without the line's end; set also where the rest is not there */
	size_t version_size; /* with it; 0: it is not there */
	struct slice lists[SSH_HELLO_LIST_COUNT];
};

/* Reads what stands at the begin of `in`, whose slices it gives. 0; -EAGAIN: more is needed;
 * -EBADMSG: something else stands there. */
int ssh_hello_read(struct slice in, struct ssh_hello *ret);

#endif
