/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/mask.h"

#include <errno.h>

#include "masking/json_text.h"
#include "protocol/http/mask_form.h"
#include "protocol/http/media.h"

#define WINDOW (64u << 10) /* text is searched when so much of it has come */
#define LOOKAHEAD (8u << 10) /* and so much is kept back: the longest of what is found */
#define CONTEXT 512u /* of what has passed: the word before a value */
#define BINARY_LOOK 1024u /* where in its begin a content shows that it is no text */

void http_mask_init(struct http_mask *m)
{
	memset(m, 0, sizeof(*m));
	buffer_init(&m->held, LIMIT_HTTP_BODY_MASKED);
}

void http_mask_done(struct http_mask *m)
{
	http_mask_stop(m);
	json_paths_free(m->paths);
}

void http_mask_stop(struct http_mask *m)
{
	buffer_wipe(&m->held);
	http_mask_events_free(m->events);
	m->events = NULL;
}

size_t http_mask_held(const struct http_mask *m)
{
	return buffer_length(&m->held) + (m->events ? http_mask_events_held(m->events) : 0);
}

int http_mask_bind(struct http_mask *m, struct detector_engine *engine, struct mask_hasher *hasher,
	const struct mask_rules *rules)
{
	bool too_many = false;

	masker_init(&m->masker, engine, hasher, rules);
	/* A part of a text can't be NULL. */
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if (m->masker.strategies[i] == MASK_NULL)
			m->masker.strategies[i] = MASK_REDACT;
	}
	m->binary = rules->binary;
	json_paths_free(m->paths);
	m->paths = json_paths_new(rules, &too_many);
	return too_many ? -E2BIG : 0;
}

void http_mask_begin(struct http_mask *m, struct slice type)
{
	m->mode = http_mask_mode_of(type);
	m->undecided = m->paths && (m->mode == HTTP_MASK_TEXT || m->mode == HTTP_MASK_FORM);
	m->may_be_binary = m->binary == MASK_BINARY_PASS && m->mode == HTTP_MASK_TEXT &&
		!http_type_is_text(type);
	m->says_text = http_type_is_text(type);
	m->begin_length = 0;
	m->passed = m->blank = m->searched = 0;
	buffer_clear(&m->held);
	http_mask_events_free(m->events);
	m->events = NULL;
	if (m->masker.detectors && (m->mode == HTTP_MASK_EVENTS || m->mode == HTTP_MASK_LINES))
		m->events = http_mask_events_new(&m->masker, m->mode == HTTP_MASK_LINES);
}

void http_mask_begin_message(struct http_mask *m, bool binary)
{
	http_mask_begin(m, SLICE_EMPTY);
	m->says_text = false; /* what does is UTF-8, which was seen */
	m->undecided = true;
	m->may_be_binary = binary && m->binary == MASK_BINARY_PASS;
	if (binary && m->binary == MASK_BINARY_REFUSE)
		m->mode = HTTP_MASK_REFUSED;
}

void http_mask_in_lines(struct http_mask *m)
{
	m->mode = HTTP_MASK_LINES;
	m->undecided = false;
	/* Whoever waits for a line waits for no other. */
	http_mask_events_free(m->events);
	m->events = NULL;
}

/* Appends [m->passed, end) of `held` with the findings replaced. */
static int append_part(struct http_mask *m, const struct detector_findings *findings, size_t end,
	struct buffer *out)
{
	struct slice text = buffer_slice(&m->held);
	size_t at = m->passed;
	int r = 0;

	for (size_t i = 0; r == 0 && i < findings->count; i++) {
		const struct detector_finding *f = &findings->items[i];
		size_t start = f->start < at ? at : f->start;

		if (f->end <= at || start >= end)
			continue;
		r = buffer_append(out, text.data + at, start - at);
		if (r == 0)
			r = masker_append(&m->masker, masker_strictest(&m->masker, f->detectors),
				slice_of(text.data + start, f->end - start), out);
		at = f->end;
	}
	return r < 0 || at >= end ? r : buffer_append(out, text.data + at, end - at);
}

/* Where the text may be cut at or before `end`: not within a finding, nor behind one that may go
 * on, as a key does whose end has not come. */
static size_t cut_before(const struct detector_findings *findings, size_t end)
{
	for (size_t i = 0; i < findings->count; i++) {
		if (findings->items[i].start < end && findings->items[i].end >= end)
			return findings->items[i].start;
	}
	return end;
}

/* What of the text before `end` is kept, to see what stands behind it as its rest. */
static size_t context_of(const struct detector_findings *findings, size_t end)
{
	const struct detector_finding *last =
		findings->count ? &findings->items[findings->count - 1] : NULL;
	size_t kept = CONTEXT;

	if (last && last->end >= end && last->start < end && end - last->start > kept)
		kept = end - last->start < WINDOW ? end - last->start : WINDOW;
	return end < kept ? end : kept;
}

/* Passes what stands before `end`, as far as it is settled. */
static int pass_until(struct http_mask *m, size_t end, bool whole, struct buffer *out)
{
	struct detector_findings findings = {0};
	size_t kept;
	int r = detector_scan(
		m->masker.engine, m->masker.detectors, buffer_slice(&m->held), &findings);

	if (r == 0 && !whole)
		end = cut_before(&findings, end);
	if (r < 0 || end <= m->passed)
		return r;
	r = append_part(m, &findings, end, out);
	kept = context_of(&findings, end);
	buffer_consume(&m->held, end - kept);
	m->passed = kept;
	return r;
}

/* Behind the last whole event or line; 0: none has come. What was searched before is not again, or
 * a long line in tiny pieces would keep a worker from all others. */
static size_t units_end(const struct http_mask *m)
{
	struct slice held = buffer_slice(&m->held);
	bool events = m->mode == HTTP_MASK_EVENTS;
	size_t from = m->searched > m->passed ? m->searched : m->passed;

	for (size_t end = held.length; end > from; end--) {
		if (held.data[end - 1] != '\n')
			continue;
		if (!events || (end >= 2 && held.data[end - 2] == '\n') ||
			(end >= 4 && memcmp(held.data + end - 4, "\r\n\r\n", 4) == 0))
			return end;
	}
	return 0;
}

/* Whether paths could lead into it: it begins as an object or array. */
static bool begins_as_json(struct slice text)
{
	size_t at = text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	while (at < text.length && memchr(" \t\r\n", text.data[at], 4))
		at++;
	return at < text.length && (text.data[at] == '{' || text.data[at] == '[');
}

/* Masks by paths what is one JSON text, in place of it in `text`, which `room` then holds. */
static int mask_paths(const struct http_mask *m, struct slice *text, struct buffer *room)
{
	int r;

	if (!m->paths || !begins_as_json(*text) || http_event_says_done(*text))
		return 0;
	r = json_paths_mask(m->paths, &m->masker, *text, room);
	if (r == MASK_REPLACED)
		*text = buffer_slice(room);
	return r < 0 ? r : 0;
}

/* What no path leads into; which may be no JSON, and then is text. */
static int mask_findings(const struct http_mask *m, struct slice text, struct buffer *out)
{
	struct mask_source source = mask_source_of(text);
	bool replaced = false;
	int r = json_mask_findings(&m->masker, &source, out);

	if (r == MASK_TO_NULL) {
		r = masker_append_text(&m->masker, text, out, &replaced);
		r = r == 0 && replaced ? MASK_REPLACED : r;
	}
	return r;
}

static int pass_json(struct http_mask *m, struct buffer *out)
{
	struct slice text = buffer_slice(&m->held);
	int r = MASK_UNCHANGED;

	if (m->paths && begins_as_json(text))
		r = m->masker.detectors ? json_paths_mask_findings(m->paths, &m->masker, text, out)
					: json_paths_mask(m->paths, &m->masker, text, out);
	else if (m->masker.detectors)
		r = mask_findings(m, text, out);
	if (r == MASK_UNCHANGED)
		r = buffer_append_slice(out, text);
	buffer_clear(&m->held);
	return r < 0 ? r : 0;
}

static int pass_text(struct http_mask *m, struct buffer *out)
{
	size_t length = buffer_length(&m->held);
	int r = 0;

	/* Where it can't be parted, as in a finding without an end, it is not tried with each byte.
	 */
	if (length - m->passed >= WINDOW && length >= m->searched + LOOKAHEAD) {
		r = pass_until(m, length - LOOKAHEAD, false, out);
		m->searched = m->blank = buffer_length(&m->held);
	}
	return r == 0 && buffer_length(&m->held) > HTTP_MASK_UNIT_MOST ? -E2BIG : r;
}

/* Behind "data:" of an event's line, or the separator of RFC 7464; else the whole line. */
static size_t payload_of(const struct http_mask *m, struct slice line)
{
	if (m->mode == HTTP_MASK_LINES)
		return line.data[0] == 0x1e;
	return slice_starts_with(line, slice_from_string("data:")) ? 5 : 0;
}

/* Events may have lines that end in CR alone, which are lines to nobody else. */
static bool hides_a_line(const struct http_mask *m, struct slice line)
{
	const uint8_t *found = memchr(line.data, '\r', line.length);

	return m->mode == HTTP_MASK_EVENTS && found && found + 2 != line.data + line.length;
}

/* Masks by paths each line of [m->passed, end) that is JSON. */
static int mask_lines(struct http_mask *m, size_t end, struct buffer *ret)
{
	struct slice rest = slice_head(buffer_slice(&m->held), end);
	int r = buffer_append_slice(ret, slice_head(rest, m->passed));

	rest = slice_from(rest, m->passed);
	while (r == 0 && rest.length) {
		const uint8_t *found = memchr(rest.data, '\n', rest.length);
		struct slice line =
			found ? slice_head(rest, (size_t)(found - rest.data) + 1) : rest;
		size_t before = payload_of(m, line);
		struct slice text = slice_from(line, before);
		struct buffer room;

		rest = slice_from(rest, line.length);
		buffer_init(&room, ret->limit);
		r = hides_a_line(m, line) ? -EBADMSG : mask_paths(m, &text, &room);
		if (r == 0)
			r = buffer_append_slice(ret, slice_head(line, before));
		if (r == 0)
			r = buffer_append_slice(ret, text);
		buffer_wipe(&room);
	}
	return r;
}

/* The same, in the place of what is held; `end` moves with it. */
static int mask_held(struct http_mask *m, size_t *end)
{
	struct buffer masked;
	size_t length;
	int r;

	if (!m->paths || m->mode == HTTP_MASK_TEXT)
		return 0;
	buffer_init(&masked, m->held.limit);
	r = mask_lines(m, *end, &masked);
	length = buffer_length(&masked);
	if (r == 0)
		r = buffer_append_slice(&masked, slice_from(buffer_slice(&m->held), *end));
	if (r == 0) {
		buffer_clear(&m->held);
		r = buffer_append_slice(&m->held, buffer_slice(&masked));
		*end = length;
	}
	buffer_wipe(&masked);
	return r;
}

static int pass_units(struct http_mask *m, size_t end, struct buffer *out)
{
	int r = end ? mask_held(m, &end) : 0;

	if (r == 0 && end)
		r = pass_until(m, end, true, out);
	m->searched = buffer_length(&m->held);
	return r == 0 && buffer_length(&m->held) > HTTP_MASK_UNIT_MOST ? -E2BIG : r;
}

/* Of a form, the fields that are complete. */
static int pass_form(struct http_mask *m, bool last, struct buffer *out)
{
	struct slice held = buffer_slice(&m->held);
	size_t end = last ? held.length : mask_form_complete(held, m->searched);
	int r;

	r = end && m->masker.detectors ? mask_form_append(&m->masker, slice_head(held, end), out)
				       : buffer_append_slice(out, slice_head(held, end));
	buffer_consume(&m->held, end);
	m->searched = buffer_length(&m->held);
	return r == 0 && m->searched > HTTP_MASK_UNIT_MOST ? -E2BIG : r;
}

/* What is not said to be JSON may be, and readers that are asked to will read it. */
static void decide(struct http_mask *m)
{
	struct slice held = buffer_slice(&m->held);
	size_t at = m->blank < held.length ? m->blank : held.length;

	if (!m->undecided)
		return;
	while (at < held.length && memchr(" \t\r\n\xef\xbb\xbf", held.data[at], 7))
		at++;
	m->undecided = at == held.length;
	m->blank = at;
	if (!m->undecided && begins_as_json(held))
		m->mode = HTTP_MASK_JSON;
}

/* Both its type and what it begins with must say so: a type alone is often "octet-stream". */
static int decide_binary(struct http_mask *m, bool last, struct buffer *out)
{
	struct slice held = buffer_slice(&m->held);
	int r = 0;

	if (!m->may_be_binary || m->undecided)
		return 0;
	if (m->mode == HTTP_MASK_TEXT && !begins_as_json(held) &&
		http_holds_binary(slice_head(held, BINARY_LOOK))) {
		m->mode = HTTP_MASK_UNREAD;
		r = buffer_append_slice(out, held);
		buffer_clear(&m->held);
	}
	m->may_be_binary = m->mode == HTTP_MASK_TEXT && held.length < BINARY_LOOK && !last;
	return r;
}

/* Text that turns out to be none. */
static bool is_refused(const struct http_mask *m, struct slice content)
{
	return m->mode == HTTP_MASK_REFUSED ||
		(m->binary == MASK_BINARY_REFUSE && http_holds_binary(content));
}

/* Text in which what is looked for has other bytes. No mode lets the first two pass by themselves.
 */
static bool is_wide(struct http_mask *m, struct slice content)
{
	for (size_t i = 0; i < content.length && m->begin_length < sizeof(m->begin); i++)
		m->begin[m->begin_length++] = content.data[i];
	return m->says_text && m->begin_length == sizeof(m->begin) && http_begins_wide(m->begin);
}

int http_mask_pass(struct http_mask *m, struct slice content, bool last, struct buffer *out)
{
	int r;

	if (m->mode == HTTP_MASK_UNREAD)
		return buffer_append_slice(out, content);
	if (is_refused(m, content))
		return -EPERM;
	if (is_wide(m, content))
		return -EILSEQ;
	r = m->events ? http_mask_events_pass(m->events, content, last, &m->held)
		      : buffer_append_slice(&m->held, content);
	if (r < 0)
		return r;
	decide(m);
	r = decide_binary(m, last, out);
	if (r < 0 || m->mode == HTTP_MASK_UNREAD)
		return r;
	if (m->mode == HTTP_MASK_JSON)
		return last ? pass_json(m, out) : 0;
	if (m->mode == HTTP_MASK_FORM)
		return pass_form(m, last, out);
	if (m->mode == HTTP_MASK_TEXT)
		return last ? pass_until(m, buffer_length(&m->held), true, out) : pass_text(m, out);
	return pass_units(m, last ? buffer_length(&m->held) : units_end(m), out);
}
