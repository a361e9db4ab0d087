/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * address: a destination in the one form that everything behind the hooks uses. IPv4 in IPv6 is
 * unwrapped here, so that no form of an address is judged differently (bypass B3).
 */
#ifndef WAYLEAVE_BPF_ADDRESS_H
#define WAYLEAVE_BPF_ADDRESS_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel.h"
#include "shared.h"

/* Words in network byte order: an IPv4 address is {0, 0, htonl(0xffff), address}. */
struct address {
	__u32 word[4];
};

#define ADDRESS_MAPPED bpf_htonl(0xffff)
#define ADDRESS_LOOPBACK4 bpf_htonl(0x7f000001)
#define ADDRESS_LOOPBACK6 bpf_htonl(1)

static __always_inline bool address_is_v4(const struct address *a)
{
	return a->word[0] == 0 && a->word[1] == 0 && a->word[2] == ADDRESS_MAPPED;
}

static __always_inline void address_set_v4(struct address *a, __u32 v4)
{
	a->word[0] = 0;
	a->word[1] = 0;
	a->word[2] = ADDRESS_MAPPED;
	a->word[3] = v4;
}

static __always_inline void address_set_loopback6(struct address *a)
{
	a->word[0] = 0;
	a->word[1] = 0;
	a->word[2] = 0;
	a->word[3] = ADDRESS_LOOPBACK6;
}

static __always_inline bool address_is_zero6(const struct address *a)
{
	return (a->word[0] | a->word[1] | a->word[2] | a->word[3]) == 0;
}

/* 127.0.0.0/8 or ::1, in whatever network namespace. */
static __always_inline bool address_is_loopback(const struct address *a)
{
	if (address_is_v4(a))
		return (a->word[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return a->word[0] == 0 && a->word[1] == 0 && a->word[2] == 0 &&
		a->word[3] == ADDRESS_LOOPBACK6;
}

/* 224.0.0.0/4, 255.255.255.255, ff00::/8: nothing that TCP can reach. */
static __always_inline bool address_is_multicast(const struct address *a)
{
	if (address_is_v4(a))
		return (a->word[3] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000) ||
			a->word[3] == 0xffffffff;
	return (a->word[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline void address_to_bytes(const struct address *a, __u8 *bytes)
{
	__builtin_memcpy(bytes, a, sizeof(*a));
}

/* The most specific key of an address. */
static __always_inline void address_to_prefix(
	const struct address *a, __u16 port, struct prefix_key *key)
{
	key->port = port;
	if (address_is_v4(a)) {
		key->length = PREFIX_KEY_HEAD_BITS + 32;
		key->family = AF_INET;
		__builtin_memset(key->address, 0, sizeof(key->address));
		__builtin_memcpy(key->address, &a->word[3], 4);
	} else {
		key->length = PREFIX_KEY_HEAD_BITS + 128;
		key->family = AF_INET6;
		__builtin_memcpy(key->address, a, sizeof(*a));
	}
}

#endif
