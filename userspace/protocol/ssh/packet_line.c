/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/packet_line.h"

#include <errno.h>

#include "base/text.h"

int packet_line_length(const uint8_t head[PACKET_LINE_HEAD])
{
	int length = 0;

	for (size_t i = 0; i < PACKET_LINE_HEAD; i++) {
		int value = text_hex_digit(head[i]);

		if (value < 0)
			return -EBADMSG;
		length = length * 16 + value;
	}
	/* 1 to 3 are of other lists; an empty line is in none. */
	if (length && (length <= (int)PACKET_LINE_HEAD || length > (int)PACKET_LINE_MOST))
		return -EBADMSG;
	return length;
}

int packet_line_append(struct buffer *to, struct slice first, struct slice second)
{
	size_t length = PACKET_LINE_HEAD + first.length + second.length;
	int r = length > PACKET_LINE_MOST ? -E2BIG : 0;

	if (r == 0)
		r = buffer_append_format(to, "%04x", (unsigned)length);
	if (r == 0)
		r = buffer_append_slice(to, first);
	return r < 0 ? r : buffer_append_slice(to, second);
}

int packet_line_append_end(struct buffer *to)
{
	return buffer_append_string(to, "0000");
}
