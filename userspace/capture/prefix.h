/* SPDX-License-Identifier: Apache-2.0
 *
 * prefix: ranges of addresses as the tries of bpf/maps.h want them. IPv4 and IPv6 are apart.
 */
#ifndef WAYLEAVE_CAPTURE_PREFIX_H
#define WAYLEAVE_CAPTURE_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/shared.h"

/* From an address as netlink has it: AF_INET with 4 bytes or AF_INET6 with 16; `bits` of them
 * count, the others are cleared. A mapped range (::ffff:0:0/96 and longer) becomes IPv4. `port` 0 =
 * any. -EINVAL for another family or too many bits. */
int prefix_from_address(
	int family, const void *address, unsigned bits, uint16_t port, struct prefix_key *ret);
/* An order in which equal keys are neighbours, as for qsort(). */
int prefix_compare(const struct prefix_key *a, const struct prefix_key *b);
/* The address of 4 or 16 bytes as 16 (IPv4 mapped). */
void prefix_map_address(int family, const void *address, uint8_t ret[16]);

#endif
