/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/deltas.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "masking/json_copy.h"
#include "masking/json_deltas.h"
#include "masking/json_reader.h"
#include "masking/stream.h"

#define LEAVES_MOST (4u << 20) /* what stands for a value may be longer than it is */

/* Places in a text count its bytes from its first piece on. */
struct text {
	bool used;
	uint64_t key;
	uint64_t last; /* the event that had a piece of it */
	uint64_t came, passed;
	struct mask_stream stream;
};

struct piece {
	struct text *text; /* NULL: all of it has passed */
	uint64_t from, to; /* of the text */
	size_t start, end; /* of the event: the string's inside */
	struct buffer meant, leaves; /* what it means, and what leaves in place of that */
	bool changed;
};

struct event {
	struct event *next;
	size_t waiting; /* pieces */
	size_t count;
	struct slice bytes; /* behind the pieces */
	struct piece pieces[];
};

struct mask_deltas {
	struct masker masker;
	struct text texts[DELTAS_TEXTS_MOST];
	struct event *first, **end;
	size_t count, held; /* events that wait, and their bytes */
	uint64_t number; /* of the last event */
};

struct mask_deltas *mask_deltas_new(const struct masker *m)
{
	struct mask_deltas *d = memory_new(sizeof(*d));

	d->masker = *m;
	d->end = &d->first;
	return d;
}

static void free_event(struct event *e)
{
	for (size_t i = 0; i < e->count; i++) {
		buffer_wipe(&e->pieces[i].meant);
		buffer_wipe(&e->pieces[i].leaves);
	}
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
	d->held -= e->bytes.length;
	return e;
}

void mask_deltas_free(struct mask_deltas *d)
{
	if (!d)
		return;
	while (d->first)
		free_event(take_first(d));
	for (size_t i = 0; i < DELTAS_TEXTS_MOST; i++) {
		if (d->texts[i].used)
			mask_stream_done(&d->texts[i].stream);
	}
	free(d);
}

size_t mask_deltas_held(const struct mask_deltas *d)
{
	return d->held;
}

/* --- what leaves --- */

static int append_event(const struct event *e, struct buffer *out)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->count; i++) {
		const struct piece *p = &e->pieces[i];

		if (!p->changed)
			continue;
		r = buffer_append(out, e->bytes.data + at, p->start - at);
		if (r == 0)
			r = json_copy_escaped(buffer_slice(&p->leaves), out);
		at = p->end;
	}
	return r < 0 ? r : buffer_append_slice(out, slice_from(e->bytes, at));
}

static int release(struct mask_deltas *d, struct buffer *out)
{
	int r = 0;

	while (r == 0 && d->first && d->first->waiting == 0) {
		struct event *e = take_first(d);

		r = append_event(e, out);
		free_event(e);
	}
	return r;
}

/* The piece of the text that is `p` or behind it; NULL: there is none. */
static struct piece *next_of(const struct text *t, struct event **e, size_t *i)
{
	for (; *e; *e = (*e)->next, *i = 0) {
		for (; *i < (*e)->count; (*i)++) {
			if ((*e)->pieces[*i].text == t)
				return &(*e)->pieces[(*i)++];
		}
	}
	return NULL;
}

/* What passes of a text, from `begin` on: its first and last bytes are the same before and after,
 * what is between them is not. */
struct passing {
	uint64_t begin;
	struct slice before, after;
	size_t first, last; /* bytes that are the same */
	bool placed; /* what is between has left */
};

static bool is_inside_character(struct slice s, size_t at)
{
	return at < s.length && (s.data[at] & 0xc0) == 0x80;
}

static struct passing compare(uint64_t begin, struct slice before, struct slice after)
{
	size_t most = before.length < after.length ? before.length : after.length;
	struct passing p = {begin, before, after, 0, 0, false};

	while (p.first < most && before.data[p.first] == after.data[p.first])
		p.first++;
	while (p.first && is_inside_character(after, p.first))
		p.first--;
	while (p.last < most - p.first &&
		before.data[before.length - 1 - p.last] == after.data[after.length - 1 - p.last])
		p.last++;
	while (p.last && is_inside_character(after, after.length - p.last))
		p.last--;
	return p;
}

/* What is between leaves with the first of the pieces that it was in. */
static int give_piece(struct piece *piece, struct passing *p)
{
	size_t begin = piece->from > p->begin ? (size_t)(piece->from - p->begin) : 0;
	size_t end = (size_t)(piece->to - p->begin);
	size_t same = p->first, other = p->before.length - p->last;
	int r = 0;

	end = end < p->before.length ? end : p->before.length;
	if (begin < same)
		r = buffer_append(
			&piece->leaves, p->after.data + begin, (end < same ? end : same) - begin);
	piece->changed |= begin < other && end > same;
	if (r == 0 && !p->placed && (end > same || end == p->before.length)) {
		struct slice between =
			slice_of(p->after.data + same, p->after.length - p->last - same);

		p->placed = true;
		piece->changed |= between.length > 0;
		r = buffer_append_slice(&piece->leaves, between);
	}
	begin = begin > other ? begin : other;
	if (r == 0 && begin < end)
		r = buffer_append(&piece->leaves,
			p->after.data + p->after.length - (p->before.length - begin), end - begin);
	return r;
}

/* The text passes as `leaves`, up to where its stream keeps it back. */
static int give(struct mask_deltas *d, struct text *t, struct slice leaves)
{
	uint64_t to = t->came - mask_stream_kept(&t->stream);
	struct passing passing;
	struct buffer before;
	struct event *e;
	struct piece *p;
	size_t i = 0;
	int r = 0;

	if (to == t->passed)
		return 0;
	buffer_init(&before, LEAVES_MOST);
	for (e = d->first; r == 0 && (p = next_of(t, &e, &i));) {
		uint64_t from = p->from > t->passed ? p->from : t->passed;

		if (from < to)
			r = buffer_append(&before, buffer_slice(&p->meant).data + (from - p->from),
				(size_t)((p->to < to ? p->to : to) - from));
	}
	passing = compare(t->passed, buffer_slice(&before), leaves);
	i = 0;
	for (e = d->first; r == 0 && (p = next_of(t, &e, &i)) && p->from < to;) {
		r = give_piece(p, &passing);
		if (p->to > to)
			break;
		p->text = NULL;
		e->waiting--;
	}
	t->passed = to;
	buffer_wipe(&before);
	return r;
}

/* --- texts --- */

/* `all`: nothing of it is kept back. */
static int pass_text(struct mask_deltas *d, struct text *t, struct slice more, bool all)
{
	struct buffer out;
	int r;

	t->came += more.length;
	if (!all && !mask_stream_is_worth(&t->stream, more.length))
		return mask_stream_keep(&t->stream, more);
	buffer_init(&out, LEAVES_MOST);
	r = mask_stream_pass(&t->stream, more, all, &out);
	if (r == 0)
		r = give(d, t, buffer_slice(&out));
	buffer_wipe(&out);
	return r;
}

static int settle(struct mask_deltas *d, struct text *t)
{
	return t->used && t->passed < t->came ? pass_text(d, t, SLICE_EMPTY, true) : 0;
}

static int settle_all(struct mask_deltas *d)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < DELTAS_TEXTS_MOST; i++)
		r = settle(d, &d->texts[i]);
	return r;
}

/* Who waits for more of a text that does not come, would wait without end. */
static int settle_late(struct mask_deltas *d)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < DELTAS_TEXTS_MOST; i++) {
		if (d->number - d->texts[i].last >= DELTAS_WAIT_MOST)
			r = settle(d, &d->texts[i]);
	}
	return r;
}

static int open_text(struct mask_deltas *d, uint64_t key, struct text **ret)
{
	struct text *oldest = &d->texts[0];
	int r = 0;

	for (size_t i = 0; i < DELTAS_TEXTS_MOST; i++) {
		struct text *t = &d->texts[i];

		if (t->used && t->key == key) {
			*ret = t;
			return 0;
		}
		if (oldest->used && (!t->used || t->last < oldest->last))
			oldest = t;
	}
	r = settle(d, oldest);
	if (r < 0)
		return r;
	if (oldest->used)
		mask_stream_done(&oldest->stream);
	*oldest = (struct text){.used = true, .key = key};
	mask_stream_init_with(&oldest->stream, &d->masker);
	oldest->stream.prose = true;
	*ret = oldest;
	return 0;
}

/* --- events --- */

static int take_piece(struct mask_deltas *d, struct event *e, struct piece *p, uint64_t key)
{
	struct slice inside = slice_of(e->bytes.data + p->start, p->end - p->start), meant;
	struct buffer room;
	int r = open_text(d, key, &p->text);

	if (r < 0)
		return r;
	p->text->last = d->number;
	p->from = p->text->came;
	e->waiting++;
	buffer_init(&room, DELTAS_PIECE_MOST);
	r = json_meaning(inside, &room, &meant);
	if (r == 0)
		r = buffer_append_slice(&p->meant, meant);
	buffer_wipe(&room);
	p->to = p->from + buffer_length(&p->meant);
	return r < 0 ? r : pass_text(d, p->text, buffer_slice(&p->meant), false);
}

static struct event *add_event(struct mask_deltas *d, struct slice bytes, size_t count)
{
	struct event *e = calloc(1, sizeof(*e) + count * sizeof(e->pieces[0]) + bytes.length);
	uint8_t *room = e ? (uint8_t *)&e->pieces[count] : NULL;

	if (!e)
		return NULL;
	if (bytes.length)
		memcpy(room, bytes.data, bytes.length);
	e->bytes = slice_of(room, bytes.length);
	e->count = count;
	for (size_t i = 0; i < count; i++) {
		buffer_init(&e->pieces[i].meant, DELTAS_PIECE_MOST);
		buffer_init(&e->pieces[i].leaves, LEAVES_MOST);
	}
	*d->end = e;
	d->end = &e->next;
	d->count++;
	d->held += bytes.length;
	return e;
}

static size_t find_pieces(struct slice json, struct json_delta found[JSON_DELTAS_MOST])
{
	size_t count = json.length ? json_deltas_find(json, found) : 0;

	for (size_t i = 0; i < count; i++) {
		if (found[i].end - found[i].start > DELTAS_PIECE_MOST)
			return 0;
	}
	return count;
}

int mask_deltas_take(
	struct mask_deltas *d, struct slice event, struct slice json, struct buffer *out)
{
	struct json_delta found[JSON_DELTAS_MOST];
	size_t count = find_pieces(json, found);
	size_t offset = count ? (size_t)(json.data - event.data) : 0;
	struct event *e;
	int r = 0;

	d->number++;
	if (count == 0 && !d->first)
		return buffer_append_slice(out, event);
	e = add_event(d, event, count);
	if (!e)
		return -ENOMEM;
	/* All of them, as they are no pieces of a text while they have no place in it. */
	for (size_t i = 0; i < count; i++) {
		e->pieces[i].start = offset + found[i].start;
		e->pieces[i].end = offset + found[i].end;
	}
	for (size_t i = 0; r == 0 && i < count; i++)
		r = take_piece(d, e, &e->pieces[i], found[i].key);
	if (r == 0)
		r = d->count > DELTAS_EVENTS_MOST || d->held > DELTAS_HELD_MOST ? settle_all(d)
										: settle_late(d);
	return r < 0 ? r : release(d, out);
}

int mask_deltas_end(struct mask_deltas *d, struct buffer *out)
{
	int r = settle_all(d);

	return r < 0 ? r : release(d, out);
}
