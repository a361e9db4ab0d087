/* SPDX-License-Identifier: Apache-2.0
 *
 * event_queue: the events of an engine that wait for next_event(), in order. An engine stops taking
 * input before the queue could overflow.
 */
#ifndef WAYLEAVE_PROTOCOL_EVENT_QUEUE_H
#define WAYLEAVE_PROTOCOL_EVENT_QUEUE_H

#include "protocol/event.h"

#define EVENTS_MOST 8

struct event_queue {
	struct protocol_event items[EVENTS_MOST];
	size_t first, count;
};

/* A new last event, of zeros but for its type. There must be room. */
struct protocol_event *event_queue_add(struct event_queue *q, enum protocol_event_type type);
/* The same for the last event of all, instead of the one before where there is no room. */
struct protocol_event *event_queue_add_last(struct event_queue *q, enum protocol_event_type type);
/* Takes the first; false: there is none. */
bool event_queue_take(struct event_queue *q, struct protocol_event *ret);
bool event_queue_has(const struct event_queue *q, enum protocol_event_type type);

static inline bool event_queue_has_room(const struct event_queue *q, size_t events)
{
	return q->count + events <= EVENTS_MOST;
}

#endif
