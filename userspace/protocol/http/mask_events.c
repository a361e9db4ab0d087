/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/mask_events.h"

#include <errno.h>

#include "base/memory.h"
#include "masking/deltas.h"
#include "protocol/http/mask.h"

struct http_mask_events {
	bool lines;
	struct buffer came; /* an event that is not whole yet */
	size_t searched; /* of it: whole lines */
	size_t looked; /* of it: those, and what came of the next, which has no end there */
	struct mask_deltas *deltas;
};

struct http_mask_events *http_mask_events_new(const struct masker *m, bool lines)
{
	struct http_mask_events *e = memory_new(sizeof(*e));

	e->lines = lines;
	/* Whole events leave before the limit is looked at. */
	buffer_init(&e->came, LIMIT_HTTP_BODY_MASKED);
	e->deltas = mask_deltas_new(m);
	return e;
}

void http_mask_events_free(struct http_mask_events *e)
{
	if (!e)
		return;
	buffer_wipe(&e->came);
	mask_deltas_free(e->deltas);
	free(e);
}

size_t http_mask_events_held(const struct http_mask_events *e)
{
	return buffer_length(&e->came) + mask_deltas_held(e->deltas);
}

bool http_event_says_done(struct slice data)
{
	while (data.length && memchr(" \r\n", data.data[data.length - 1], 3))
		data.length--;
	while (data.length && data.data[0] == ' ')
		data = slice_from(data, 1);
	return slice_equal_string(data, "[DONE]");
}

static struct slice take_line(struct slice *rest)
{
	const uint8_t *end = rest->length ? memchr(rest->data, '\n', rest->length) : NULL;
	struct slice line = end ? slice_head(*rest, (size_t)(end - rest->data) + 1) : *rest;

	*rest = slice_from(*rest, line.length);
	return line;
}

static bool is_blank(struct slice line)
{
	return slice_equal_string(line, "\n") || slice_equal_string(line, "\r\n");
}

/* The line behind those that were searched, or empty: it has no end yet. What was looked at before
 * is not again, or a long line in tiny pieces would keep a worker from all others. */
static struct slice next_line(struct http_mask_events *e)
{
	struct slice came = buffer_slice(&e->came);
	struct slice rest = slice_from(came, e->looked);
	const uint8_t *end = rest.length ? memchr(rest.data, '\n', rest.length) : NULL;

	e->looked = end ? (size_t)(end - came.data) + 1 : came.length;
	return end ? slice_from(slice_head(came, e->looked), e->searched) : SLICE_EMPTY;
}

/* The event that the bytes begin with, or empty: it has no end yet. */
static struct slice first_event(struct http_mask_events *e)
{
	struct slice line;

	while ((line = next_line(e)).length) {
		e->searched += line.length;
		if (e->lines || is_blank(line))
			return slice_head(buffer_slice(&e->came), e->searched);
	}
	return SLICE_EMPTY;
}

/* What of an event is JSON: the one line of its data, or a line itself. Empty: there is none. Data
 * of several lines is no piece of anybody's text. */
static struct slice json_of(const struct http_mask_events *e, struct slice event)
{
	struct slice data = SLICE_EMPTY, name = slice_from_string("data:");

	if (e->lines)
		return event.data[0] == 0x1e ? slice_from(event, 1) : event;
	while (event.length) {
		struct slice line = take_line(&event);

		if (!slice_starts_with(line, name))
			continue;
		if (data.length)
			return SLICE_EMPTY;
		data = slice_from(line, name.length);
	}
	return data;
}

static int take(struct http_mask_events *e, struct slice event, struct buffer *out)
{
	int r = mask_deltas_take(e->deltas, event, json_of(e, event), out);

	buffer_consume(&e->came, event.length);
	e->searched = e->looked = 0;
	return r;
}

int http_mask_events_pass(
	struct http_mask_events *e, struct slice content, bool last, struct buffer *out)
{
	int r = buffer_append_slice(&e->came, content);
	struct slice event;

	while (r == 0 && (event = first_event(e)).length)
		r = take(e, event, out);
	if (r == 0 && last && buffer_length(&e->came))
		r = take(e, buffer_slice(&e->came), out);
	if (r == 0 && last)
		return mask_deltas_end(e->deltas, out);
	return r == 0 && buffer_length(&e->came) > HTTP_MASK_UNIT_MOST ? -E2BIG : r;
}
