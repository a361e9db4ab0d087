/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/hello.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/ssh_wire.h"

#define KEXINIT 20
#define COOKIE_SIZE 16u
#define PACKET_HEAD 6u /* length, length of the padding, type */

/* Behind the line's end; 0 or an error. */
static int read_version(struct slice *in, struct ssh_hello *ret)
{
	struct slice some = slice_head(*in, SSH_HELLO_VERSION_MOST), line;
	const uint8_t *end = some.length ? memchr(some.data, '\n', some.length) : NULL;

	if (!slice_starts_with(some, slice_from_string("SSH-")) && some.length >= 4)
		return -EBADMSG;
	if (!end)
		return some.length < SSH_HELLO_VERSION_MOST ? -EAGAIN : -EBADMSG;
	line = slice_head(some, (size_t)(end - some.data));
	if (line.length < 4)
		return -EBADMSG;
	ret->version_size = line.length + 1;
	*in = slice_from(*in, ret->version_size);
	if (line.data[line.length - 1] == '\r')
		line.length--;
	ret->version = line;
	return 0;
}

int ssh_hello_read(struct slice in, struct ssh_hello *ret)
{
	size_t length;
	int r;

	*ret = (struct ssh_hello){0};
	r = read_version(&in, ret);
	if (r < 0)
		return r;
	if (in.length < sizeof(uint32_t))
		return -EAGAIN;
	length = bytes_get_u32(in.data);
	if (length < PACKET_HEAD - sizeof(uint32_t) + COOKIE_SIZE || length > SSH_HELLO_PACKET_MOST)
		return -EBADMSG;
	if (in.length < sizeof(uint32_t) + length)
		return -EAGAIN;
	in = slice_head(in, sizeof(uint32_t) + length);
	if (in.data[PACKET_HEAD - 1] != KEXINIT)
		return -EBADMSG;
	in = slice_from(in, PACKET_HEAD + COOKIE_SIZE);
	for (size_t i = 0; i < SSH_HELLO_LIST_COUNT; i++) {
		if (!ssh_wire_take_string(&in, &ret->lists[i]))
			return -EBADMSG;
	}
	return 0;
}
