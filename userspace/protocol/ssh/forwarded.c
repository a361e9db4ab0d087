/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/forwarded.h"

#include <errno.h>
#include <string.h>

#define BETWEEN " from "

int forwarded_split(struct slice in, struct slice *ret_place, struct slice *ret_origin)
{
	const uint8_t *from =
		in.length ? memmem(in.data, in.length, BETWEEN, strlen(BETWEEN)) : NULL;
	const uint8_t *colon;
	struct slice origin;

	if (!from || from == in.data)
		return -EBADMSG;
	*ret_place = slice_head(in, (size_t)(from - in.data));
	origin = slice_from(in, ret_place->length + strlen(BETWEEN));
	colon = origin.length ? memrchr(origin.data, ':', origin.length) : NULL;
	if (!colon)
		return -EBADMSG;
	origin = slice_head(origin, (size_t)(colon - origin.data));
	if (origin.length >= 2 && origin.data[0] == '[' && colon[-1] == ']')
		origin = slice_head(slice_from(origin, 1), origin.length - 2);
	*ret_origin = origin;
	return origin.length ? 0 : -EBADMSG;
}
