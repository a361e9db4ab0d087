/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tell.h"

#include "base/buffer.h"
#include "monitor/control.h"

int tell_monitor(
	int channel, enum broker_message type, const void *head, size_t length, struct slice text)
{
	struct control_header header = {.type = type};
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = buffer_append(&payload, head, length);
	if (r == 0)
		r = buffer_append_slice(&payload, text);
	if (r == 0)
		r = control_send(channel, &header, buffer_slice(&payload), NULL, 0);
	buffer_done(&payload);
	return r;
}
