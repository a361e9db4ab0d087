/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/prefix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void clear_behind(uint8_t *address, size_t size, unsigned bits)
{
	for (size_t i = 0; i<size; i++, bits = bits> 8 ? bits - 8 : 0) {
		if (bits < 8)
			address[i] &= (uint8_t) ~(0xff >> bits);
	}
}

int prefix_from_address(
	int family, const void *address, unsigned bits, uint16_t port, struct prefix_key *ret)
{
	struct prefix_key key = {.family = (uint16_t)family, .port = port};
	size_t size = family == AF_INET ? 4 : 16;

	if ((family != AF_INET && family != AF_INET6) || bits > size * 8)
		return -EINVAL;
	if (family == AF_INET6 && bits >= 96 &&
		memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return prefix_from_address(
			AF_INET, (const uint8_t *)address + 12, bits - 96, port, ret);
	key.length = PREFIX_KEY_HEAD_BITS + bits;
	memcpy(key.address, address, size);
	clear_behind(key.address, size, bits);
	*ret = key;
	return 0;
}

int prefix_compare(const struct prefix_key *a, const struct prefix_key *b)
{
	return memcmp(a, b, sizeof(*a));
}

void prefix_map_address(int family, const void *address, uint8_t ret[16])
{
	if (family == AF_INET) {
		memcpy(ret, mapped_prefix, sizeof(mapped_prefix));
		memcpy(ret + 12, address, 4);
	} else {
		memcpy(ret, address, 16);
	}
}
