/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/place.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static bool is_mapped(const uint8_t *address)
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(address, prefix, sizeof(prefix)) == 0;
}

const char *place_text_of_address(const uint8_t *address, char *room, size_t size)
{
	bool mapped = is_mapped(address);

	if (!inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? address + 12 : address, room,
		    (socklen_t)size))
		room[0] = '\0';
	return room;
}

const char *place_text(const uint8_t *address, uint16_t port, char *room, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	place_text_of_address(address, host, sizeof(host));
	snprintf(room, size, is_mapped(address) ? "%s:%u" : "[%s]:%u", host, port);
	return room;
}

socklen_t place_socket_address(
	const uint8_t *address, uint16_t port, uint32_t interface, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (is_mapped(address)) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, address + 12, 4);
		return sizeof(*four);
	}
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	memcpy(&six->sin6_addr, address, 16);
	six->sin6_scope_id = interface;
	return sizeof(*six);
}

bool place_is_loopback(struct slice name, const uint8_t *address)
{
	static const char suffix[] = ".localhost"; /* RFC 6761, 6.3 */
	static const uint8_t six[16] = {[15] = 1}, none[16];
	const size_t length = sizeof(suffix) - 1;

	if (name.length)
		return slice_equal_string(name, suffix + 1) ||
			(name.length > length &&
				slice_equal_string(slice_from(name, name.length - length), suffix));
	/* Linux connects to itself where the address is none. */
	return (is_mapped(address) && (address[12] == 127 || address[12] == 0)) ||
		memcmp(address, six, sizeof(six)) == 0 || memcmp(address, none, sizeof(none)) == 0;
}
