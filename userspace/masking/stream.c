/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "masking/characters.h"
#include "masking/terminal_text.h"

#define ESC 0x1b
#define BACKSPACE 0x08
#define CONTEXT 512u /* of what has passed: the word before a value */
#define HELD_MOST (1u << 20) /* what is kept, what has passed, and what comes at once */
#define INPUT_FOR_TEXT 16u /* bytes for each of text: a colour for each letter */
#define GROUPS_MOST 12u /* that one number is written in */
#define GROUP_MOST 32u /* bytes */
#define ELEMENT_MOST 1024u /* bytes of a value between XML's tags */
#define QUOTED_SHORT 64u /* bytes of a value in quotes */
#define WRAPPED_LEAST 48u /* characters of a line of base64 that goes on in the next one */
#define SEARCHES_MOST 8u
#define SEARCHED_ANYWAY 4096u /* bytes for a piece, however short */
#define SEARCHED_TO_END 12288u /* of what has passed: text in colours, and not a key's lines */
#define SEARCHED_PER_BYTE 16u /* for each byte that came */
#define SEARCHED_AHEAD (1u << 20) /* before they have come */

/* Findings in a text, in their order. */
struct found {
	struct detector_finding *items;
	size_t count;
};

void mask_stream_init(struct mask_stream *s, struct detector_engine *engine,
	struct mask_hasher *hasher, const struct mask_rules *rules)
{
	struct masker masker;

	masker_init(&masker, engine, hasher, rules);
	mask_stream_init_with(s, &masker);
}

void mask_stream_init_with(struct mask_stream *s, const struct masker *masker)
{
	s->masker = *masker;
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if (s->masker.strategies[i] == MASK_NULL)
			s->masker.strategies[i] = MASK_REDACT;
	}
	buffer_init(&s->held, HELD_MOST);
	s->passed = 0;
	s->replaced = s->prose = false;
	s->credit = SEARCHED_AHEAD;
	s->noise = (struct noise){.has_nul = false};
}

void mask_stream_done(struct mask_stream *s)
{
	buffer_wipe(&s->held);
}

/* --- what is found --- */

static bool is_line_end(uint8_t c)
{
	return c == '\n' || c == '\r';
}

/* Whether a line may belong to a private key or wrapped base64: RFC 7468, RFC 1421, or empty. */
static bool is_of_a_key(struct slice line)
{
	size_t n = character_run(line, 0, CHARACTER_BASE64 | CHARACTER_BASE64_URL, line.length);

	while (n < line.length && line.data[n] == '=')
		n++;
	if (n == line.length || slice_starts_with(line, slice_from_string("-----")))
		return true;
	return n > 0 && n + 1 < line.length && line.data[n] == ':' && line.data[n + 1] == ' ';
}

static size_t line_end(struct slice text, size_t at)
{
	while (at < text.length && !is_line_end(text.data[at]))
		at++;
	return at;
}

/* A finding that has no end yet, as a quote or a key's last line is missing, ends where a line says
 * that it is something else: all that follows would be taken otherwise. */
static size_t end_of(struct slice text, const struct detector_finding *f)
{
	size_t at = line_end(text, f->start), next;

	if (f->end < text.length)
		return f->end;
	for (; at < text.length; at = next) {
		next = line_end(text, at + 1);
		if (!is_of_a_key(slice_of(text.data + at + 1, next - at - 1)))
			return at;
	}
	return f->end;
}

static int add(struct found *found, const struct detector_findings *more, size_t offset)
{
	size_t count = found->count + more->count;
	struct detector_finding *items;

	if (more->count == 0)
		return 0;
	items = reallocarray(found->items, count, sizeof(*items));
	if (!items)
		return -ENOMEM;
	found->items = items;
	for (size_t i = 0; i < more->count; i++) {
		items[found->count] = more->items[i];
		items[found->count].start += offset;
		items[found->count++].end += offset;
	}
	return 0;
}

/* What stands behind a finding that was ended is searched by itself: it was hidden in there. */
static int search(const struct mask_stream *s, struct slice text, struct found *ret)
{
	struct detector_findings findings = {0};
	size_t from = 0;
	int r = 0;

	for (unsigned i = 0; i < SEARCHES_MOST && r == 0 && from < text.length; i++) {
		struct detector_finding *last;

		r = detector_scan(
			s->masker.engine, s->masker.detectors, slice_from(text, from), &findings);
		if (r == 0)
			r = add(ret, &findings, from);
		last = r == 0 && findings.count ? &ret->items[ret->count - 1] : NULL;
		if (!last || last->end < text.length || i + 1 == SEARCHES_MOST)
			break;
		last->end = end_of(text, last);
		from = last->end;
	}
	if (r == 0 && noise_is_no_text(&s->noise))
		ret->count = noise_drop(text, ret->items, ret->count);
	return r;
}

/* --- what is kept back --- */

/* Of digits and capital letters, as cards, telephones and accounts are written in several. */
static bool is_group(struct slice word)
{
	for (size_t i = 0; i < word.length; i++) {
		if (!character_is(word.data[i], CHARACTER_DIGIT | CHARACTER_UPPER) &&
			!memchr("()+./-", word.data[i], 6))
			return false;
	}
	return word.length <= GROUP_MOST;
}

static size_t word_before(struct slice text, size_t end, bool prose)
{
	while (end > 0 && text.data[end - 1] > ' ' && !(prose && text.data[end - 1] >= 0x80))
		end--;
	return end;
}

/* Where the groups begin that end before `end`, one or two blanks behind each. */
static size_t groups_before(struct slice text, size_t end, bool prose)
{
	for (unsigned i = 0; i < GROUPS_MOST; i++) {
		size_t n = character_run_before(text, end, CHARACTER_BLANK, 3);
		size_t word = word_before(text, end - n, prose);

		if (n == 0 || n > 2 || word == end - n ||
			!is_group(slice_of(text.data + word, end - n - word)))
			break;
		end = word;
	}
	return end;
}

/* Behind the tag that opens an element which was not closed in its line; SIZE_MAX: none. */
static size_t element_before(struct slice text)
{
	for (size_t n = 0; n < text.length && n < ELEMENT_MOST; n++) {
		uint8_t c = text.data[text.length - 1 - n];

		if (is_line_end(c))
			break;
		if (c == '>')
			return text.length - n;
	}
	return SIZE_MAX;
}

/* Behind the quote before a value ("token = \"a b"), which says little while it is short; SIZE_MAX:
 * none. */
static size_t quote_before(struct slice text)
{
	for (size_t n = 1; n <= text.length && n <= QUOTED_SHORT; n++) {
		size_t at = text.length - n, before = at;

		if (is_line_end(text.data[at]))
			break;
		if (!memchr("\"'`", text.data[at], 3))
			continue;
		before -= character_run_before(text, at, CHARACTER_BLANK, 2);
		return before > 0 && memchr("=:>", text.data[before - 1], 3) ? at + 1 : SIZE_MAX;
	}
	return SIZE_MAX;
}

/* Base64 may go on behind a line end, where its lines are long and the last has no padding. */
static size_t wrapped_before(struct slice text)
{
	size_t at = text.length, n;

	while (at > 0 && is_line_end(text.data[at - 1]))
		at--;
	n = character_run_before(text, at, CHARACTER_BASE64 | CHARACTER_BASE64_URL, at);
	if (n < WRAPPED_LEAST)
		return text.length;
	at -= n;
	while (at > 0 &&
		(is_line_end(text.data[at - 1]) ||
			character_is(text.data[at - 1], CHARACTER_BASE64 | CHARACTER_BASE64_URL)))
		at--;
	return at;
}

/* From where on the text could still become a finding, or a longer one, by what follows. */
static size_t open_from(struct slice text, bool prose)
{
	size_t element = element_before(text), quote = quote_before(text), open;

	if (text.length && is_line_end(text.data[text.length - 1]))
		return wrapped_before(text);
	open = groups_before(text, word_before(text, text.length, prose), prose);
	open = element < open ? element : open;
	return quote < open ? quote : open;
}

/* Not within a finding. */
static size_t cut_before(const struct found *found, size_t end)
{
	for (size_t i = 0; i < found->count; i++) {
		if (found->items[i].start < end && found->items[i].end > end)
			return found->items[i].start;
	}
	return end;
}

/* How much of the text may pass. */
static size_t settled(struct slice text, const struct found *found, bool prose)
{
	const struct detector_finding *last = found->count ? &found->items[found->count - 1] : NULL;
	size_t end = open_from(text, prose);

	if (last && last->end == text.length && last->start < end)
		end = last->start;
	end = cut_before(found, end);
	if (text.length - end <= MASK_STREAM_KEPT_MOST)
		return end;
	end = text.length - MASK_STREAM_KEPT_MOST / 2;
	if (text.length - cut_before(found, end) <= MASK_STREAM_KEPT_MOST)
		end = cut_before(found, end);
	return end;
}

/* --- what passes --- */

/* The mask in the place of the text in [start, end) of the input, whose sequences pass. */
static int append_masked(const struct mask_stream *s, enum mask_strategy strategy,
	struct slice text, size_t start, size_t end, struct buffer *out)
{
	struct slice in = buffer_slice(&s->held);
	bool done = false;
	int r = 0;

	for (size_t at = start, n; r == 0 && at < end; at += n) {
		n = in.data[at] == ESC ? terminal_sequence(in, at) : 1;
		if ((n > 1 && n <= end - at) || terminal_shows_nothing(in.data[at])) {
			r = buffer_append(out, in.data + at, n);
			continue;
		}
		n = 1;
		if (!done)
			r = masker_append(&s->masker, strategy, text, out);
		done = true;
	}
	return r;
}

/* Appends [s->passed, end) of the input. What is a part of a finding says nothing of the whole. */
static int append_part(struct mask_stream *s, const struct terminal_text *t,
	const struct found *found, size_t end, struct buffer *out)
{
	struct slice in = buffer_slice(&s->held);
	size_t at = s->passed;
	int r = 0;

	for (size_t i = 0; r == 0 && i < found->count; i++) {
		const struct detector_finding *f = &found->items[i];
		size_t start = terminal_text_place(t, f->start),
		       stop = terminal_text_place(t, f->end);
		bool part = start < at || stop > end;

		if (stop <= at || start >= end)
			continue;
		start = start < at ? at : start;
		stop = stop > end ? end : stop;
		s->replaced = true;
		r = buffer_append(out, in.data + at, start - at);
		if (r == 0)
			r = append_masked(s,
				part ? MASK_REDACT : masker_strictest(&s->masker, f->detectors),
				slice_of(t->text.data + f->start, f->end - f->start), start, stop,
				out);
		at = stop;
	}
	return r < 0 || at >= end ? r : buffer_append(out, in.data + at, end - at);
}

/* Where in the input what has passed is kept from: much that is no text is not, as it would be
 * searched again with whatever comes. */
static size_t kept_from(const struct mask_stream *s, const struct terminal_text *t, size_t open,
	size_t passed, size_t end)
{
	size_t from = terminal_text_place(t, open < CONTEXT ? 0 : open - CONTEXT);
	size_t most = INPUT_FOR_TEXT * (CONTEXT + passed - open);

	if (most > MASK_STREAM_INPUT_KEPT_MOST)
		most = MASK_STREAM_INPUT_KEPT_MOST;
	if (end - from > most)
		from = terminal_whole_from(
			slice_head(buffer_slice(&s->held), end), from, end - most);
	return from;
}

/* What has passed is kept as far as what follows may belong to it. */
static void forget(
	struct mask_stream *s, const struct terminal_text *t, const struct found *found, size_t end)
{
	const struct detector_finding *last = found->count ? &found->items[found->count - 1] : NULL;
	size_t passed = terminal_text_count(t, end), open = passed, from;

	if (last && last->end == t->text.length && last->start < open)
		open = last->start;
	if (open_from(slice_head(t->text, passed), s->prose) < open)
		open = open_from(slice_head(t->text, passed), s->prose);
	if (passed - open > MASK_STREAM_KEPT_MOST)
		open = passed - MASK_STREAM_KEPT_MOST;
	from = kept_from(s, t, open, passed, end);
	buffer_consume(&s->held, from);
	s->passed = end - from;
}

/* Behind all of the text, and the sequences behind it; but what a backspace took back may be a
 * letter that is written twice to be bold, and waits for the second. */
static size_t end_of_text(const struct mask_stream *s, const struct terminal_text *t)
{
	size_t end = terminal_text_place(t, t->text.length), n;
	struct slice in = buffer_slice(&s->held);

	end = end > s->passed ? end : s->passed;
	for (size_t at = end; at < t->whole; at += n) {
		n = in.data[at] == ESC ? terminal_sequence(in, at) : 1;
		if (in.data[at] != ESC && in.data[at] != BACKSPACE &&
			!terminal_shows_nothing(in.data[at]))
			return end;
	}
	return t->whole;
}

/* Where in the input what may pass ends. */
static size_t end_in_input(const struct mask_stream *s, const struct terminal_text *t,
	const struct found *found, bool all)
{
	size_t end;

	if (all)
		return buffer_length(&s->held);
	end = settled(t->text, found, s->prose);
	end = end == t->text.length ? end_of_text(s, t) : terminal_text_place(t, end);
	end = end > s->passed ? end : s->passed;
	return buffer_length(&s->held) - end > MASK_STREAM_INPUT_KEPT_MOST ? t->whole : end;
}

int mask_stream_pass(struct mask_stream *s, struct slice bytes, bool all, struct buffer *out)
{
	int r = buffer_append_slice(&s->held, bytes);
	struct terminal_text t = {0};
	struct found found = {0};
	size_t end = 0;

	if (r == 0)
		noise_look(&s->noise, buffer_slice(&s->held));
	if (r == 0)
		r = terminal_text_init(&t, buffer_slice(&s->held));
	if (r == 0)
		r = search(s, t.text, &found);
	if (r == 0)
		end = end_in_input(s, &t, &found, all);
	if (r == 0 && end > s->passed) {
		r = append_part(s, &t, &found, end, out);
		forget(s, &t, &found, end);
	}
	free(found.items);
	terminal_text_done(&t);
	return r;
}

bool mask_stream_is_worth(struct mask_stream *s, size_t bytes)
{
	size_t cost = buffer_length(&s->held) + bytes;

	s->credit += SEARCHED_PER_BYTE * bytes;
	if (s->credit > SEARCHED_AHEAD)
		s->credit = SEARCHED_AHEAD;
	if (cost <= SEARCHED_ANYWAY)
		return true;
	if (cost > s->credit)
		return false;
	s->credit -= cost;
	return true;
}

bool mask_stream_may_end(const struct mask_stream *s)
{
	return s->passed <= SEARCHED_TO_END;
}

int mask_stream_show(struct mask_stream *s, struct slice bytes)
{
	int r = buffer_append_slice(&s->held, bytes);

	if (r < 0)
		return r;
	if (buffer_length(&s->held) > 2 * MASK_STREAM_KEPT_MOST)
		buffer_consume(&s->held, buffer_length(&s->held) - CONTEXT);
	s->passed = buffer_length(&s->held);
	return 0;
}
