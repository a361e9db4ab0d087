/* SPDX-License-Identifier: Apache-2.0
 *
 * place: addresses as the kernel's origin has them (16 bytes, IPv4 mapped), for people and for
 * connect(2).
 */
#ifndef WAYLEAVE_WORKER_PLACE_H
#define WAYLEAVE_WORKER_PLACE_H

#include <sys/socket.h>

#include "base/slice.h"

/* "10.0.3.4" or "fd00::1". Returns `room`. */
const char *place_text_of_address(const uint8_t *address, char *room, size_t size);
/* "10.0.3.4:5432" or "[fd00::1]:5432". Returns `room`. */
const char *place_text(const uint8_t *address, uint16_t port, char *room, size_t size);
/* Whether the name, or where that is empty the address, is of the host that looks it up itself. */
bool place_is_loopback(struct slice name, const uint8_t *address);
/* The socket address; `interface` is the scope of a link-local one. Returns its length. */
socklen_t place_socket_address(
	const uint8_t *address, uint16_t port, uint32_t interface, struct sockaddr_storage *ret);

#endif
