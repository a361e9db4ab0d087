/* SPDX-License-Identifier: Apache-2.0
 *
 * diag: what the kernel says of the host's TCP sockets (sock_diag(7)).
 */
#ifndef WAYLEAVE_CAPTURE_DIAG_H
#define WAYLEAVE_CAPTURE_DIAG_H

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <stdbool.h>
#include <stdint.h>

/* A channel to it, for mnl_socket_close(). NULL: errno says why. */
struct mnl_socket *diag_open(void);
/* Sends one request, with these flags besides NLM_F_REQUEST, and reads what comes for it. 0 or
 * negative errno. */
int diag_ask(struct mnl_socket *netlink, uint16_t type, uint16_t flags,
	const struct inet_diag_req_v2 *request, mnl_cb_t call, void *context);
/* The cgroup in which the socket of an answer was made, also one that is gone. False: it is not
 * said. */
bool diag_cgroup(const struct nlmsghdr *answer, uint64_t *ret_id);

#endif
