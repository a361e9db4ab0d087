/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/delta_text.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "masking/json_reader.h"

#define LEAVES_MOST (4u << 20) /* what stands for a value may be longer than it is */

struct delta_text *delta_text_new(const struct masker *m, uint64_t key)
{
	struct delta_text *t = memory_new(sizeof(*t));

	t->key = key;
	t->end = &t->first;
	mask_stream_init_with(&t->stream, m);
	t->stream.prose = true;
	return t;
}

void delta_text_free(struct delta_text *t)
{
	mask_stream_done(&t->stream);
	free(t);
}

size_t delta_text_held(const struct delta_text *t)
{
	return sizeof(*t) + t->stream.held.capacity;
}

/* --- pieces --- */

static void forget_meant(struct delta_piece *p)
{
	if (p->own)
		memory_wipe(p->own, p->meant.length);
	free(p->own);
	p->own = NULL;
	p->meant = SLICE_EMPTY;
}

void delta_piece_done(struct delta_piece *p)
{
	forget_meant(p);
	buffer_wipe(&p->leaves);
}

/* As long as it waits its bytes stand in the event, but where those are not what they mean. */
static int read_meant(struct delta_piece *p, struct slice inside, size_t most)
{
	struct buffer room;
	int r;

	buffer_init(&room, most);
	r = json_meaning(inside, &room, &p->meant);
	if (r == 0 && p->meant.length && p->meant.data != inside.data) {
		p->own = malloc(p->meant.length);
		if (p->own)
			memcpy(p->own, p->meant.data, p->meant.length);
		else
			r = -ENOMEM;
		p->meant.data = p->own;
	}
	if (r < 0)
		p->meant = SLICE_EMPTY;
	buffer_wipe(&room);
	return r;
}

/* All of it has passed. */
static void end_wait(struct delta_text *t)
{
	struct delta_piece *p = t->first;

	t->first = p->next;
	if (!t->first)
		t->end = &t->first;
	p->text = NULL;
	p->next = NULL;
	forget_meant(p);
	if (!p->changed)
		buffer_wipe(&p->leaves);
}

/* --- what leaves --- */

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
static int give_piece(struct delta_piece *piece, struct passing *p)
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

/* What it means of [t->passed, to). */
static int append_meant(const struct delta_text *t, uint64_t to, struct buffer *out)
{
	int r = 0;

	for (struct delta_piece *p = t->first; r == 0 && p && p->from < to; p = p->next) {
		uint64_t from = p->from > t->passed ? p->from : t->passed;

		r = buffer_append(out, p->meant.data + (from - p->from),
			(size_t)((p->to < to ? p->to : to) - from));
	}
	return r;
}

/* The text passes as `leaves`, up to where its stream keeps it back. */
static int give(struct delta_text *t, struct slice leaves, size_t *held)
{
	uint64_t to = t->came - mask_stream_kept(&t->stream);
	struct passing passing;
	struct buffer before;
	int r;

	if (to == t->passed)
		return 0;
	buffer_init(&before, LEAVES_MOST);
	r = append_meant(t, to, &before);
	passing = compare(t->passed, buffer_slice(&before), leaves);
	while (r == 0 && t->first && t->first->from < to) {
		struct delta_piece *p = t->first;
		bool is_all = p->to <= to;

		*held -= delta_piece_held(p);
		r = give_piece(p, &passing);
		if (r == 0 && is_all)
			end_wait(t);
		*held += delta_piece_held(p);
		if (!is_all)
			break;
	}
	t->passed = to;
	buffer_wipe(&before);
	return r;
}

static int pass(struct delta_text *t, struct slice more, bool all, bool hidden, size_t *held)
{
	struct buffer out;
	int r;

	buffer_init(&out, LEAVES_MOST);
	r = mask_stream_pass(&t->stream, more, all, &out);
	if (r == 0 && hidden) {
		buffer_clear(&out);
		r = masker_append(&t->stream.masker, MASK_REDACT, SLICE_EMPTY, &out);
	}
	if (r == 0)
		r = give(t, buffer_slice(&out), held);
	buffer_wipe(&out);
	return r;
}

int delta_text_take(
	struct delta_text *t, struct delta_piece *p, struct slice inside, size_t most, size_t *held)
{
	int r = read_meant(p, inside, most);

	if (r < 0 || p->meant.length == 0)
		return r;
	*held += delta_piece_held(p);
	buffer_init(&p->leaves, LEAVES_MOST);
	p->text = t;
	p->from = t->came;
	t->came += p->meant.length;
	p->to = t->came;
	*t->end = p;
	t->end = &p->next;
	if (!mask_stream_is_worth(&t->stream, p->meant.length))
		return mask_stream_keep(&t->stream, p->meant);
	return pass(t, p->meant, false, false, held);
}

int delta_text_settle(struct delta_text *t, bool hidden, size_t *held)
{
	return t->passed < t->came ? pass(t, SLICE_EMPTY, true, hidden, held) : 0;
}
