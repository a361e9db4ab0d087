/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"

#define IP4_HEADER 20u
#define IP6_HEADER 40u
#define UDP_HEADER 8u
#define ICMP_HEADER 8u
#define ICMP_ECHO 8u
#define ICMP6_ECHO 128u
#define FRAGMENT_OFFSET 0x1fffu

static void set_mapped(uint8_t ret[16], const uint8_t *address)
{
	memset(ret, 0, 10);
	ret[10] = ret[11] = 0xff;
	memcpy(ret + 12, address, 4);
}

/* What stands behind the IP header is a datagram, whole or cut by who shows it. */
static int parse_transport(struct slice bytes, struct packet *ret)
{
	if (ret->transport == IPPROTO_ICMP || ret->transport == IPPROTO_ICMPV6) {
		if (bytes.length < ICMP_HEADER)
			return -EBADMSG;
		ret->echo = bytes.data[0] ==
				(ret->transport == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO) &&
			bytes.data[1] == 0;
	}
	if (ret->transport != IPPROTO_UDP)
		return 0;
	if (bytes.length < UDP_HEADER)
		return -EBADMSG;
	ret->source_port = bytes_get_u16(bytes.data);
	ret->destination_port = bytes_get_u16(bytes.data + 2);
	ret->payload = slice_from(bytes, UDP_HEADER);
	ret->whole = bytes_get_u16(bytes.data + 4) == bytes.length;
	return 0;
}

static int parse4(struct slice bytes, struct packet *ret)
{
	size_t length;

	if (bytes.length < IP4_HEADER)
		return -EBADMSG;
	length = (bytes.data[0] & 15u) * 4u;
	if (length < IP4_HEADER || length > bytes.length)
		return -EBADMSG;
	if (bytes_get_u16(bytes.data + 6) & FRAGMENT_OFFSET)
		return -ENOTSUP;
	ret->transport = bytes.data[9];
	set_mapped(ret->source, bytes.data + 12);
	set_mapped(ret->destination, bytes.data + 16);
	return parse_transport(slice_from(bytes, length), ret);
}

static bool is_extension(uint8_t header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING ||
		header == IPPROTO_FRAGMENT || header == IPPROTO_DSTOPTS || header == IPPROTO_AH;
}

static int parse6(struct slice bytes, struct packet *ret)
{
	if (bytes.length < IP6_HEADER)
		return -EBADMSG;
	ret->transport = bytes.data[6];
	if (is_extension(ret->transport))
		return -ENOTSUP;
	memcpy(ret->source, bytes.data + 8, 16);
	memcpy(ret->destination, bytes.data + 24, 16);
	return parse_transport(slice_from(bytes, IP6_HEADER), ret);
}

int packet_parse(struct slice bytes, struct packet *ret)
{
	struct packet p = {0};
	int r = -EBADMSG;

	if (bytes.length && bytes.data[0] >> 4 == 4)
		r = parse4(bytes, &p);
	else if (bytes.length && bytes.data[0] >> 4 == 6)
		r = parse6(bytes, &p);
	if (r == 0)
		*ret = p;
	return r;
}

bool packet_is_quic(struct slice payload)
{
	uint32_t version;

	if (payload.length < 5 || !(payload.data[0] & 0x80))
		return false;
	version = bytes_get_u32(payload.data + 1);
	return version == 1 || version == 0x6b3343cf || version >> 8 == 0xff0000 ||
		(version & 0x0f0f0f0f) == 0x0a0a0a0a;
}
