/* SPDX-License-Identifier: Apache-2.0
 *
 * packet: the headers of an IP packet as the kernel queues it, and what a flow of datagrams begins
 * with. Pure.
 */
#ifndef WAYLEAVE_PROTOCOL_PACKET_H
#define WAYLEAVE_PROTOCOL_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct packet {
	uint8_t transport; /* IPPROTO_… */
	uint8_t source[16], destination[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t source_port, destination_port; /* IPPROTO_UDP; else 0 */
	bool echo; /* IPPROTO_ICMP, IPPROTO_ICMPV6: a request for an echo (RFC 792, RFC 4443) */
	struct slice payload; /* IPPROTO_UDP: what of it is there; part of what was parsed */
	bool whole; /* the payload is as long as the datagram says */
};

/* RFC 791, RFC 8200, RFC 768. -EBADMSG: no whole headers; -ENOTSUP: a fragment behind the first,
 * which has no ports, or extension headers, which no program needs privileges to do without. */
int packet_parse(struct slice bytes, struct packet *ret);

/* Whether a flow that begins with this payload is QUIC's: a long header of a version that there is
 * (RFC 8999, RFC 9000, RFC 9369, and drafts), or one of those that stand for any other. */
bool packet_is_quic(struct slice payload);

#endif
