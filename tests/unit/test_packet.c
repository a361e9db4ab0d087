/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "protocol/packet.h"

static const uint8_t datagram4[] = {0x46, 0, 0, 36, 0, 0, 0x40, 0, 64, IPPROTO_UDP, 0, 0, 10, 0, 0,
	1, 10, 0, 0, 2, 1, 1, 1, 1, 0x30, 0x39, 0, 53, 0, 12, 0, 0, 'a', 'b', 'c', 'd'};
static const uint8_t datagram6[] = {0x60, 0, 0, 0, 0, 10, IPPROTO_UDP, 64, 0x20, 1, 0xd, 0xb8, 0, 0,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1,
	0x01, 0xbb, 0, 10, 0, 0, 'x', 'y'};

/* Cut short by `less`, in memory of that size, so that the sanitizer sees what is read. */
static int parse(const uint8_t *bytes, size_t size, size_t less, struct packet *ret)
{
	uint8_t *copy = malloc(size - less + 1);
	int r;

	memcpy(copy, bytes, size - less);
	r = packet_parse(slice_of(copy, size - less), ret);
	free(copy);
	return r;
}

Test(packet, version_4_with_options)
{
	static const uint8_t to[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
	struct packet p;

	cr_assert_eq(packet_parse(slice_of(datagram4, sizeof(datagram4)), &p), 0);
	cr_assert_eq(p.transport, IPPROTO_UDP);
	cr_assert_arr_eq(p.destination, to, sizeof(to));
	cr_assert_eq(p.source[15], 1);
	cr_assert_eq(p.source_port, 12345);
	cr_assert_eq(p.destination_port, 53);
	cr_assert(slice_equal_string(p.payload, "abcd"));
	cr_assert(p.whole);
}

Test(packet, version_6)
{
	struct packet p;

	cr_assert_eq(packet_parse(slice_of(datagram6, sizeof(datagram6)), &p), 0);
	cr_assert_eq(p.destination[15], 2);
	cr_assert_eq(p.destination_port, 443);
	cr_assert(slice_equal_string(p.payload, "xy"));
	cr_assert(p.whole);
}

Test(packet, cut_short)
{
	struct packet p;

	for (size_t less = sizeof(datagram4) - 31; less <= sizeof(datagram4); less++)
		cr_assert_eq(parse(datagram4, sizeof(datagram4), less, &p), -EBADMSG, "%zu", less);
	for (size_t less = sizeof(datagram6) - 47; less <= sizeof(datagram6); less++)
		cr_assert_eq(parse(datagram6, sizeof(datagram6), less, &p), -EBADMSG, "%zu", less);
	cr_assert_eq(parse(datagram4, sizeof(datagram4), 4, &p), 0);
	cr_assert_eq(p.payload.length, 0);
	cr_assert_not(p.whole);
}

Test(packet, what_has_no_ports_where_they_are_looked_for)
{
	static const uint8_t extensions[] = {
		IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_DSTOPTS, IPPROTO_AH};
	uint8_t bytes[sizeof(datagram6)];
	struct packet p;

	memcpy(bytes, datagram4, sizeof(datagram4));
	bytes[7] = 1; /* an offset */
	cr_assert_eq(packet_parse(slice_of(bytes, sizeof(datagram4)), &p), -ENOTSUP);
	bytes[7] = 0;
	bytes[0] = 0x44; /* a header shorter than a header */
	cr_assert_eq(packet_parse(slice_of(bytes, sizeof(datagram4)), &p), -EBADMSG);
	bytes[0] = 0x50;
	cr_assert_eq(packet_parse(slice_of(bytes, sizeof(datagram4)), &p), -EBADMSG);
	memcpy(bytes, datagram6, sizeof(datagram6));
	for (size_t i = 0; i < sizeof(extensions); i++) {
		bytes[6] = extensions[i];
		cr_assert_eq(packet_parse(slice_of(bytes, sizeof(bytes)), &p), -ENOTSUP);
	}
	bytes[6] = IPPROTO_ICMPV6;
	cr_assert_eq(packet_parse(slice_of(bytes, sizeof(bytes)), &p), 0);
	cr_assert_eq(p.destination_port, 0);
}

static bool is_quic(const char *bytes, size_t length)
{
	return packet_is_quic(slice_of(bytes, length));
}

Test(packet, quic)
{
	cr_assert(is_quic("\xc0\x00\x00\x00\x01", 5));
	cr_assert(is_quic("\xc3\x6b\x33\x43\xcf...", 8));
	cr_assert(is_quic("\xe0\xff\x00\x00\x1d", 5));
	cr_assert(is_quic("\xc0\x1a\x2a\x3a\x4a", 5));
	cr_assert_not(is_quic("\xc0\x00\x00\x00", 4));
	cr_assert_not(is_quic("\x40\x00\x00\x00\x01", 5));
	cr_assert_not(is_quic("\x80\x60\x12\x34\x56", 5)); /* RTP */
	cr_assert_not(is_quic("\x16\xfe\xfd\x00\x00", 5)); /* DTLS */
}

Test(packet, echoes)
{
	static const uint8_t echo4[] = {0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, IPPROTO_ICMP, 0, 0, 10,
		0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 1, 0, 1};
	uint8_t bytes[48] = {0};
	struct packet p;

	cr_assert_eq(packet_parse(slice_of(echo4, sizeof(echo4)), &p), 0);
	cr_assert(p.echo && p.destination_port == 0 && p.payload.length == 0);
	cr_assert_eq(parse(echo4, sizeof(echo4), 1, &p), -EBADMSG);
	/* Anything else of ICMP is none, nor are its numbers anything in UDP. */
	for (unsigned type = 0; type < 256; type++) {
		memcpy(bytes, echo4, sizeof(echo4));
		bytes[20] = (uint8_t)type;
		cr_assert_eq(packet_parse(slice_of(bytes, sizeof(echo4)), &p), 0);
		cr_assert_eq(p.echo, type == 8);
		bytes[9] = IPPROTO_UDP;
		cr_assert_eq(packet_parse(slice_of(bytes, sizeof(echo4)), &p), 0);
		cr_assert_not(p.echo);
		memcpy(bytes, datagram6, 40);
		bytes[6] = IPPROTO_ICMPV6;
		bytes[40] = (uint8_t)type;
		cr_assert_eq(packet_parse(slice_of(bytes, sizeof(bytes)), &p), 0);
		cr_assert_eq(p.echo, type == 128);
	}
	bytes[40] = 128;
	bytes[41] = 1;
	cr_assert_eq(packet_parse(slice_of(bytes, sizeof(bytes)), &p), 0);
	cr_assert_not(p.echo);
}
