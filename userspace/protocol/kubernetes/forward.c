/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/kubernetes/forward.h"

#include <inttypes.h>
#include <stdio.h>

#define NOTES_MOST 4096u /* bytes of what one call tells */
#define MORE_MOST 32u /* of them, of what it does not tell */

void kubernetes_forwards_init(struct kubernetes_forwards *f, struct event_queue *events)
{
	memset(f, 0, sizeof(*f));
	f->events = events;
	buffer_init(&f->notes, NOTES_MOST);
}

void kubernetes_forwards_done(struct kubernetes_forwards *f)
{
	buffer_done(&f->notes);
}

/* --- notes --- */

void kubernetes_forwards_begin(struct kubernetes_forwards *f)
{
	buffer_clear(&f->notes);
	f->untold = 0;
}

void kubernetes_forwards_tell(struct kubernetes_forwards *f)
{
	struct protocol_event *event;

	if (f->untold)
		buffer_append_format(&f->notes, "; and %u more", f->untold);
	if (buffer_length(&f->notes) == 0)
		return;
	event = event_queue_add(f->events, EVENT_NOTE);
	event->note.reason = REASON_NONE;
	event->note.text = buffer_slice(&f->notes);
}

static void note(struct kubernetes_forwards *f, const char *text)
{
	size_t before = buffer_length(&f->notes);

	if (before + strlen(text) + MORE_MOST > NOTES_MOST ||
		buffer_append_format(&f->notes, "%s%s", before ? "; " : "", text) < 0)
		f->untold++;
}

static void note_port(struct kubernetes_forwards *f, const struct kubernetes_forward *one)
{
	char text[64];

	snprintf(text, sizeof(text), "port-forward %u: to port %u", one->number, one->port);
	note(f, text);
}

/* --- connections --- */

struct kubernetes_forward *kubernetes_forwards_open(
	struct kubernetes_forwards *f, uint32_t id, uint16_t port)
{
	struct kubernetes_forward *one;

	if (f->count == LIMIT_KUBERNETES_FORWARDS)
		kubernetes_forwards_end(f, &f->items[0]);
	one = &f->items[f->count++];
	*one = (struct kubernetes_forward){.id = id, .number = ++f->opened, .port = port};
	if (port)
		note_port(f, one);
	return one;
}

void kubernetes_forwards_name(
	struct kubernetes_forwards *f, struct kubernetes_forward *one, uint16_t port)
{
	one->port = port;
	note_port(f, one);
}

struct kubernetes_forward *kubernetes_forwards_find(struct kubernetes_forwards *f, uint32_t id)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->items[i].id == id)
			return &f->items[i];
	}
	return NULL;
}

void kubernetes_forwards_finish(
	struct kubernetes_forwards *f, struct kubernetes_forward *one, enum side from)
{
	one->finished[from] = true;
	if (one->finished[side_other(from)])
		kubernetes_forwards_end(f, one);
}

void kubernetes_forwards_end(struct kubernetes_forwards *f, struct kubernetes_forward *one)
{
	size_t behind = (size_t)(f->items + f->count - one) - 1;
	char text[128];

	snprintf(text, sizeof(text),
		"port-forward %u: %" PRIu64 " bytes to port %u, %" PRIu64 " from it", one->number,
		one->bytes[SIDE_AGENT], one->port, one->bytes[SIDE_SERVER]);
	note(f, text);
	memmove(one, one + 1, behind * sizeof(*one));
	f->count--;
}

void kubernetes_forwards_end_all(struct kubernetes_forwards *f)
{
	while (f->count)
		kubernetes_forwards_end(f, &f->items[0]);
}
