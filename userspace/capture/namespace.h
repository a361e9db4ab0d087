/* SPDX-License-Identifier: Apache-2.0
 *
 * namespace: network namespaces, as a thread is in them.
 */
#ifndef WAYLEAVE_CAPTURE_NAMESPACE_H
#define WAYLEAVE_CAPTURE_NAMESPACE_H

#include <stdint.h>

/* The cookie of the calling thread's (SO_NETNS_COOKIE), as the programs of bpf/ see it. */
int namespace_cookie(uint64_t *ret);
/* Into the one of that descriptor (/proc/PID/ns/net), if it has that cookie (0: whichever it has),
 * and nothing is made in it before; it takes CAP_SYS_ADMIN. -ESTALE: it has another one. On success
 * the thread must come back, by what `ret_home` gets. */
int namespace_enter(int fd, uint64_t cookie, int *ret_home);
/* A thread that can't come back would do all that follows in the wrong place: the process ends. */
void namespace_leave(int home);
/* Calls `here` once in each network namespace that some thread of the host is in, and that can be
 * entered; the calling thread's own too. */
void namespace_each(void (*here)(void *context), void *context);

#endif
