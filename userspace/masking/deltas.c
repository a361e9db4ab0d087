/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/deltas.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "masking/delta_text.h"
#include "masking/json_copy.h"
#include "masking/json_deltas.h"

/* Nothing waits of a text that makes room for another. */
_Static_assert(DELTAS_WAIT_MOST *DELTAS_TEXTS_MOST <= DELTAS_EVENTS_MOST, "texts wait for longer");

/* A string of an event. */
struct part {
	struct delta_piece piece;
	size_t start, end; /* of the event: its inside */
	bool hidden; /* of no text that is read: it leaves masked */
};

struct event {
	struct event *next;
	size_t count;
	struct slice bytes; /* behind the parts */
	struct part parts[];
};

struct mask_deltas {
	struct masker masker;
	struct delta_text *texts[DELTAS_TEXTS_MOST]; /* the one that had a piece last is first */
	size_t open; /* of them */
	bool crowded; /* there were more */
	struct event *first, **end;
	size_t count, pieces, held; /* events that wait, their parts, and the memory of both */
	uint64_t number; /* of the last event */
};

struct mask_deltas *mask_deltas_new(const struct masker *m)
{
	struct mask_deltas *d = memory_new(sizeof(*d));

	d->masker = *m;
	d->end = &d->first;
	return d;
}

static size_t size_of(size_t count, struct slice bytes)
{
	return sizeof(struct event) + count * sizeof(struct part) + bytes.length;
}

static void free_event(struct event *e)
{
	for (size_t i = 0; i < e->count; i++)
		delta_piece_done(&e->parts[i].piece);
	memory_wipe((void *)e->bytes.data, e->bytes.length);
	free(e);
}

static struct event *take_first(struct mask_deltas *d)
{
	struct event *e = d->first;

	d->first = e->next;
	if (!d->first)
		d->end = &d->first;
	d->count--;
	d->pieces -= e->count;
	d->held -= size_of(e->count, e->bytes);
	for (size_t i = 0; i < e->count; i++)
		d->held -= delta_piece_held(&e->parts[i].piece);
	return e;
}

static void close_texts(struct mask_deltas *d)
{
	while (d->open)
		delta_text_free(d->texts[--d->open]);
}

void mask_deltas_free(struct mask_deltas *d)
{
	if (!d)
		return;
	while (d->first)
		free_event(take_first(d));
	close_texts(d);
	free(d);
}

size_t mask_deltas_held(const struct mask_deltas *d)
{
	size_t held = d->held;

	for (size_t i = 0; i < d->open; i++)
		held += delta_text_held(d->texts[i]);
	return held;
}

/* --- what leaves --- */

static int append_event(const struct mask_deltas *d, const struct event *e, struct buffer *out)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->count; i++) {
		const struct part *p = &e->parts[i];

		if (!p->hidden && !p->piece.changed)
			continue;
		r = buffer_append(out, e->bytes.data + at, p->start - at);
		if (r == 0)
			r = p->hidden ? masker_append(&d->masker, MASK_REDACT, SLICE_EMPTY, out)
				      : json_copy_escaped(buffer_slice(&p->piece.leaves), out);
		at = p->end;
	}
	return r < 0 ? r : buffer_append_slice(out, slice_from(e->bytes, at));
}

/* The first text that it waits for; NULL: it waits for none. */
static struct delta_text *awaited(const struct event *e)
{
	for (size_t i = 0; i < e->count; i++) {
		if (e->parts[i].piece.text)
			return e->parts[i].piece.text;
	}
	return NULL;
}

static int release(struct mask_deltas *d, struct buffer *out)
{
	int r = 0;

	while (r == 0 && d->first && !awaited(d->first)) {
		struct event *e = take_first(d);

		r = append_event(d, e, out);
		free_event(e);
	}
	return r;
}

/* --- what waits no longer --- */

static int settle_all(struct mask_deltas *d)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->open; i++)
		r = delta_text_settle(d->texts[i], false, &d->held);
	return r;
}

/* Who waits for more of a text that does not come, would wait without end. Where texts take turns,
 * its turn comes when all of them had theirs, which those that are not read don't tell. */
static int settle_late(struct mask_deltas *d)
{
	int r = 0;

	if (d->crowded)
		return 0;
	for (size_t i = 0; r == 0 && i < d->open; i++) {
		if (d->number - d->texts[i]->last >= DELTAS_WAIT_MOST * (i + 1))
			r = delta_text_settle(d->texts[i], false, &d->held);
	}
	return r;
}

static bool is_too_much(const struct mask_deltas *d)
{
	return d->count > DELTAS_EVENTS_MOST || d->pieces > DELTAS_PIECES_MOST ||
		d->held > DELTAS_HELD_MOST;
}

/* Whether all events that wait have pieces of one text at most. */
static bool is_alone(const struct mask_deltas *d)
{
	return d->open < 2 || d->texts[1]->last + d->count <= d->number;
}

/* What waits so long is no value where its text came alone, but an image or the like. Where others
 * came between, it may be a short one, and how many do is what the agent asked for. */
static int make_room(struct mask_deltas *d, struct buffer *out)
{
	bool hidden = d->masker.detectors && (d->crowded || !is_alone(d));
	int r = release(d, out);

	while (r == 0 && d->first && is_too_much(d)) {
		r = delta_text_settle(awaited(d->first), hidden, &d->held);
		if (r == 0)
			r = release(d, out);
	}
	return r;
}

/* --- texts --- */

/* In the place behind those that are open, or of the one that had no piece for longest. False: that
 * one may still go on. */
static bool add_text(struct mask_deltas *d, uint64_t key)
{
	if (d->open == DELTAS_TEXTS_MOST) {
		struct delta_text *oldest = d->texts[d->open - 1];

		d->crowded |= d->number - oldest->last <= DELTAS_EVENTS_MOST;
		if (d->crowded)
			return false;
		delta_text_free(oldest);
		d->open--;
	}
	d->texts[d->open++] = delta_text_new(&d->masker, key);
	return true;
}

/* NULL: there are too many. From then on none makes room, as of the others some part was not read.
 */
static struct delta_text *open_text(struct mask_deltas *d, uint64_t key)
{
	struct delta_text *t;
	size_t i = 0;

	while (i < d->open && d->texts[i]->key != key)
		i++;
	if (i == d->open) {
		if (!add_text(d, key))
			return NULL;
		i = d->open - 1;
	}
	t = d->texts[i];
	memmove(&d->texts[1], &d->texts[0], i * sizeof(t));
	d->texts[0] = t;
	t->last = d->number;
	return t;
}

/* --- events --- */

static int take_part(struct mask_deltas *d, const struct event *e, struct part *p, uint64_t key)
{
	struct delta_text *t = open_text(d, key);

	if (!t) {
		p->hidden = d->masker.detectors != 0;
		return 0;
	}
	return delta_text_take(t, &p->piece, slice_of(e->bytes.data + p->start, p->end - p->start),
		DELTAS_PIECE_MOST, &d->held);
}

static struct event *add_event(struct mask_deltas *d, struct slice bytes, size_t count)
{
	struct event *e = calloc(1, size_of(count, bytes));
	uint8_t *room = e ? (uint8_t *)&e->parts[count] : NULL;

	if (!e)
		return NULL;
	if (bytes.length)
		memcpy(room, bytes.data, bytes.length);
	e->bytes = slice_of(room, bytes.length);
	e->count = count;
	*d->end = e;
	d->end = &e->next;
	d->count++;
	d->pieces += count;
	d->held += size_of(count, bytes);
	return e;
}

/* The pieces of an event; most have one. */
struct found {
	struct json_delta few[8];
	struct json_delta *items; /* those, or of its own */
	size_t count;
};

static int find_pieces(struct slice json, struct found *f)
{
	f->items = f->few;
	f->count = json.length ? json_deltas_find(json, f->few, ARRAY_SIZE(f->few)) : 0;
	if (f->count > ARRAY_SIZE(f->few)) {
		f->items = memory_new_array(DELTAS_OF_EVENT_MOST, sizeof(*f->items));
		f->count = json_deltas_find(json, f->items, DELTAS_OF_EVENT_MOST);
	}
	if (f->count > DELTAS_OF_EVENT_MOST)
		return -E2BIG;
	for (size_t i = 0; i < f->count; i++) {
		if (f->items[i].end - f->items[i].start > DELTAS_PIECE_MOST)
			f->count = 0;
	}
	return 0;
}

static void found_done(struct found *f)
{
	if (f->items != f->few)
		free(f->items);
}

static int take_event(struct mask_deltas *d, struct slice event, size_t offset,
	const struct found *f, struct buffer *out)
{
	struct event *e;
	int r = 0;

	d->number++;
	if (f->count == 0 && !d->first)
		return buffer_append_slice(out, event);
	e = add_event(d, event, f->count);
	if (!e)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < f->count; i++) {
		e->parts[i].start = offset + f->items[i].start;
		e->parts[i].end = offset + f->items[i].end;
		r = take_part(d, e, &e->parts[i], f->items[i].key);
	}
	if (r == 0)
		r = settle_late(d);
	return r < 0 ? r : make_room(d, out);
}

int mask_deltas_take(
	struct mask_deltas *d, struct slice event, struct slice json, struct buffer *out)
{
	struct found found;
	int r = find_pieces(json, &found);

	if (r == 0)
		r = take_event(
			d, event, json.length ? (size_t)(json.data - event.data) : 0, &found, out);
	found_done(&found);
	return r;
}

int mask_deltas_end(struct mask_deltas *d, struct buffer *out)
{
	int r = settle_all(d);

	if (r == 0)
		r = release(d, out);
	/* What waits after an error, waits for them. */
	if (r == 0)
		close_texts(d);
	return r;
}
