/* SPDX-License-Identifier: Apache-2.0
 *
 * tell: what the broker's parts say to the monitor.
 */
#ifndef WAYLEAVE_BROKER_TELL_H
#define WAYLEAVE_BROKER_TELL_H

#include "base/slice.h"
#include "broker/messages.h"

/* One message: `length` bytes of `head`, then `text`, both copied. Never waits: 0, -EAGAIN where
 * `channel` is full, or another negative errno. */
int tell_monitor(
	int channel, enum broker_message type, const void *head, size_t length, struct slice text);

#endif
