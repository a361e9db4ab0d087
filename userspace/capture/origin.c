/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/origin.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "capture/prefix.h"

/* SO_ORIGINAL_DST, and IP6T_SO_ORIGINAL_DST: their headers (linux/netfilter_ipv4.h and
 * linux/netfilter_ipv6/ip6_tables.h) don't go with netinet/in.h. */
#define ORIGINAL_DESTINATION 80

/* MAJOR() and MINOR() of the kernel's own dev_t (include/linux/kdev_t.h). */
#define KERNEL_MINOR_BITS 20

union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool ask(int fd, struct origin *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, ORIGIN_LEVEL, ORIGIN_OPTION, ret, &size) == 0 && size == sizeof(*ret);
}

/* A Unix socket's name, where it is one: that this is asked for makes the answer of the first time
 * (bpf/unix.bpf.c). */
static bool is_unix(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	socklen_t length = sizeof(name);

	return getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
		name.sun_family == AF_UNIX;
}

static int ask_destination(int fd, union socket_address *ret)
{
	socklen_t length = sizeof(*ret);

	return getsockopt(fd, ret->any.sa_family == AF_INET6 ? SOL_IPV6 : SOL_IP,
		ORIGINAL_DESTINATION, ret, &length);
}

static void take_address(const union socket_address *from, struct origin *o)
{
	bool six = from->any.sa_family == AF_INET6;

	prefix_map_address(from->any.sa_family,
		six ? (const void *)&from->v6.sin6_addr : (const void *)&from->v4.sin_addr,
		o->address);
	o->port = ntohs(six ? from->v6.sin6_port : from->v4.sin_port);
	o->interface = six ? from->v6.sin6_scope_id : 0;
}

/* What no wire carries (forward_rules.c): connected to, each is a place on this host, whichever
 * listener it was led to, and as `address` has it IPv4 in IPv6 is IPv4. */
static bool is_nowhere(const union socket_address *a)
{
	static const uint8_t none[10];
	uint8_t bytes[16], first;

	if (a->any.sa_family == AF_INET) {
		first = (uint8_t)(ntohl(a->v4.sin_addr.s_addr) >> 24);
		return first == 0 || first == 127;
	}
	memcpy(bytes, &a->v6.sin6_addr, sizeof(bytes));
	return memcmp(bytes, none, sizeof(none)) == 0 && bytes[10] == bytes[11] &&
		(bytes[10] == 0 || bytes[10] == 0xff);
}

/* Connection tracking's entry says where it was to go, which nobody but the kernel writes. What was
 * dialled at the listener itself was led here by no rule. */
static int find_destination(int fd, struct origin *o)
{
	union socket_address own, dialled;
	socklen_t length = sizeof(own);
	struct origin listener = *o;

	memset(&own, 0, sizeof(own));
	if (getsockname(fd, &own.any, &length) < 0 || own.any.sa_family != o->family)
		return -ENODATA;
	memset(&dialled, 0, sizeof(dialled));
	dialled.any.sa_family = own.any.sa_family;
	if (ask_destination(fd, &dialled) < 0 || dialled.any.sa_family != o->family)
		return -ENODATA;
	if (is_nowhere(&dialled))
		return -ENODATA;
	take_address(&own, &listener);
	take_address(&dialled, o);
	return o->port == listener.port &&
			memcmp(o->address, listener.address, sizeof(o->address)) == 0
		? -ENODATA
		: 0;
}

int origin_get(int accepted_fd, struct origin *ret)
{
	struct origin o;

	if (!ask(accepted_fd, &o) && !(is_unix(accepted_fd) && ask(accepted_fd, &o)))
		return errno == EBADF || errno == ENOTSOCK ? -errno : -ENODATA;
	if (o.version != ORIGIN_VERSION || o.agent == 0)
		return -ENODATA;
	if (o.way != ORIGIN_DIALLED && find_destination(accepted_fd, &o) < 0)
		return -ENODATA;
	*ret = o;
	return 0;
}

bool origin_is_program(const struct origin *o, const struct stat *file)
{
	unsigned major = o->exe_device >> KERNEL_MINOR_BITS;
	unsigned minor = o->exe_device & ((1u << KERNEL_MINOR_BITS) - 1);

	return o->exe_inode != 0 && o->exe_inode == file->st_ino &&
		makedev(major, minor) == file->st_dev;
}
