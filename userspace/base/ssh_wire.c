/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ssh_wire.h"

#include "base/bytes.h"

int ssh_wire_append_string(struct buffer *b, struct slice s)
{
	int r = buffer_append_u32(b, (uint32_t)s.length);

	return r < 0 ? r : buffer_append_slice(b, s);
}

bool ssh_wire_take_string(struct slice *from, struct slice *ret)
{
	uint32_t length;

	if (from->length < 4)
		return false;
	length = bytes_get_u32(from->data);
	if (length > from->length - 4)
		return false;
	*ret = slice_head(slice_from(*from, 4), length);
	*from = slice_from(*from, 4 + (size_t)length);
	return true;
}

bool ssh_wire_has_name(struct slice list, const char *name)
{
	while (list.length) {
		const uint8_t *comma = memchr(list.data, ',', list.length);
		struct slice item =
			slice_head(list, comma ? (size_t)(comma - list.data) : list.length);

		if (slice_equal_string(item, name))
			return true;
		list = slice_from(list, item.length + 1);
	}
	return false;
}
