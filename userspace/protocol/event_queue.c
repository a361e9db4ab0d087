/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/event_queue.h"

#include <assert.h>

struct protocol_event *event_queue_add(struct event_queue *q, enum protocol_event_type type)
{
	struct protocol_event *event;

	assert(q->count < EVENTS_MOST);
	event = &q->items[(q->first + q->count++) % EVENTS_MOST];
	*event = (struct protocol_event){.type = type};
	return event;
}

struct protocol_event *event_queue_add_last(struct event_queue *q, enum protocol_event_type type)
{
	if (q->count == EVENTS_MOST)
		q->count--;
	return event_queue_add(q, type);
}

bool event_queue_take(struct event_queue *q, struct protocol_event *ret)
{
	if (q->count == 0)
		return false;
	*ret = q->items[q->first];
	q->first = (q->first + 1) % EVENTS_MOST;
	q->count--;
	return true;
}

bool event_queue_has(const struct event_queue *q, enum protocol_event_type type)
{
	for (size_t i = 0; i < q->count; i++) {
		if (q->items[(q->first + i) % EVENTS_MOST].type == type)
			return true;
	}
	return false;
}
