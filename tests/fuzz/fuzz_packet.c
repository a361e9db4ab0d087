/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_packet: packets as the kernel queues them; what is found lies inside of what was given.
 */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet p;

	if (packet_parse(slice_of(data, size), &p) < 0)
		return 0;
	if (p.payload.length &&
		(p.payload.data < data || p.payload.data + p.payload.length != data + size))
		abort();
	packet_is_quic(p.payload);
	return 0;
}
