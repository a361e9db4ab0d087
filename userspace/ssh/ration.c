/* SPDX-License-Identifier: Apache-2.0
 *
 * ration: what the worker lets this process take of its two connections, which it counts, and
 * where it asks for more.
 */
#include "base/bytes.h"
#include "ssh/readahead.h"
#include "ssh/relay.h"

bool ration_on_frame(struct relay *r, const struct bridge_frame *frame)
{
	uint64_t most, taken = readahead_taken();

	if (frame->lane != 0 || frame->body.length != sizeof(most))
		return false;
	most = bytes_get_u64(frame->body.data);
	readahead_allow(most);
	/* Before it is used up, so that the answer comes in time. */
	r->asks_at = most == UINT64_MAX ? most : most > taken ? taken + (most - taken) / 2 : taken;
	return true;
}

/* A process that is alone says only why. */
void ration_turn(struct relay *r)
{
	uint64_t taken = readahead_taken();
	uint8_t number[sizeof(taken)];

	if (r->alone)
		readahead_allow(UINT64_MAX);
	if (r->alone || r->asks_at == UINT64_MAX || taken < r->asks_at)
		return;
	bytes_put_u64(number, taken);
	link_tell(&r->link, BRIDGE_ALLOWANCE, 0, slice_of(number, sizeof(number)), SLICE_EMPTY);
	r->asks_at = UINT64_MAX;
}
