/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/pair.h"

#include <errno.h>

int pair_append(struct buffer *b, const struct action_pair *pair)
{
	struct slice operation = slice_from_string(operation_name(pair->operation));
	struct slice object = slice_head(pair->object, LIMIT_RECORD_NAME);
	uint8_t head[2];
	uint8_t field = FIELD_PAIR;
	int r;

	head[0] = (uint8_t)(pair->state | (pair->everything ? PAIR_EVERYTHING : 0));
	head[1] = (uint8_t)operation.length;
	r = buffer_append(b, &field, 1);
	if (r == 0)
		r = field_append_length(b, sizeof(head) + operation.length + object.length);
	if (r == 0)
		r = buffer_append(b, head, sizeof(head));
	if (r == 0)
		r = buffer_append_slice(b, operation);
	return r < 0 ? r : buffer_append_slice(b, object);
}

int pair_decode(struct slice bytes, struct recorded_pair *ret)
{
	struct recorded_pair pair = {0};
	unsigned state;

	if (bytes.length < 2 || bytes.data[1] > bytes.length - 2)
		return -EBADMSG;
	state = bytes.data[0] & (unsigned)~PAIR_EVERYTHING;
	if (state > OBJECT_UNKNOWN)
		return -EBADMSG;
	pair.state = (enum object_state)state;
	pair.everything = bytes.data[0] & PAIR_EVERYTHING;
	pair.operation = slice_head(slice_from(bytes, 2), bytes.data[1]);
	pair.object = slice_from(bytes, 2 + (size_t)bytes.data[1]);
	*ret = pair;
	return 0;
}
