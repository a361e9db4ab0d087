/* SPDX-License-Identifier: Apache-2.0
 *
 * translated: where a connection leads in truth that a rule of this host's own sends elsewhere
 * (DNAT, redirections), as those of containers' published ports do. Connection tracking has it.
 */
#ifndef WAYLEAVE_CAPTURE_TRANSLATED_H
#define WAYLEAVE_CAPTURE_TRANSLATED_H

#include <netinet/in.h>
#include <sys/socket.h>

union place {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* The ends of a TCP connection. */
struct ends {
	union place own, peer;
};

/* As the other end sees it, of one that was made in the calling thread's network namespace.
 * -ENOENT: it is not tracked. Another negative errno: nobody knows. */
int translated_find(const struct ends *dialled, struct ends *ret);

#endif
