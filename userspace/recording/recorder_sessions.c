/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of sessions and events, and what all records of a worker need. Every function makes
 * its records in the streams that want them; errors stay in the journals until the flush.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/table.h"
#include "base/text.h"
#include "recording/pair.h"
#include "recording/recorder_internal.h"
#include "recording/secret.h"

/* Progress is written after 1, 2, 4 … seconds and then once a minute. */
#define PROGRESS_WAIT_FIRST NANOSECONDS_PER_SECOND
#define PROGRESS_WAIT_MOST (60 * NANOSECONDS_PER_SECOND)

/* ---- helpers ---- */

struct slice recorder_name(struct slice name)
{
	return slice_head(name, LIMIT_RECORD_NAME);
}

/* A failure that no journal saw by itself. */
void recorder_lose(struct recorder *r, int error)
{
	if (error < 0)
		r->journals[STREAM_AUDIT].lost = error;
}

/* A text that a peer made, without passwords, cut. Valid until the next use of r->text. */
struct slice recorder_clean(struct recorder *r, struct slice text, size_t most)
{
	struct secret_found found = {0};

	buffer_clear(&r->text);
	text = text_head(text, most);
	recorder_lose(r, secret_hide(text, &r->text, &found));
	return found.hidden ? text_head(buffer_slice(&r->text), most) : text;
}

void recorder_touch(struct recorder *r, struct recorder_session *s)
{
	if (list_is_empty(&s->changed))
		list_append(&r->changed, &s->changed);
}

/* ---- sessions ---- */

/* The facts as fields, in place: they are repeated in each segment, whose dictionaries differ. */
static struct slice facts_encode(const struct session_facts *f, uint64_t started)
{
	const struct {
		enum field field;
		struct slice text;
	} texts[] = {
		{FIELD_ID, f->id},
		{FIELD_AGENT, f->agent},
		{FIELD_PRINCIPAL, f->principal},
		{FIELD_ON_BEHALF_OF, f->on_behalf_of},
		{FIELD_GROUPS, f->groups},
		{FIELD_RESOURCE, f->resource},
		{FIELD_PROTOCOL, slice_from_string(protocol_name(f->protocol))},
		{FIELD_ADDRESS, f->address},
		{FIELD_UPSTREAM, f->upstream},
		{FIELD_EXE, f->exe},
		{FIELD_EXE_HASH, f->exe_hash},
		{FIELD_ARGUMENTS, f->arguments},
		{FIELD_PARENTS, f->parents},
		{FIELD_DATABASE, f->database},
		{FIELD_USER, f->user},
	};
	const struct {
		enum field field;
		uint64_t number;
	} numbers[] = {{FIELD_PID, f->pid}, {FIELD_UID, f->uid}, {FIELD_CGROUP, f->cgroup},
		{FIELD_PROCESS_START, f->process_start}};
	struct buffer b;
	struct slice copy;
	int r;

	/* The limit can't be reached. */
	buffer_init(&b, ARRAY_SIZE(texts) * (LIMIT_RECORD_NAME + 16) + 256);
	r = field_append_number(&b, FIELD_STARTED, started);
	for (size_t i = 0; i < ARRAY_SIZE(texts) && r == 0; i++)
		r = field_append_inline(&b, texts[i].field, recorder_name(texts[i].text));
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && r == 0; i++) {
		if (numbers[i].number != UINT64_MAX)
			r = field_append_number(&b, numbers[i].field, numbers[i].number);
	}
	if (r == 0 && f->observed)
		r = field_append_number(&b, FIELD_OBSERVED, 1);
	if (r < 0)
		abort();
	copy = slice_of(memory_copy_text(b.data, buffer_length(&b)), buffer_length(&b));
	buffer_done(&b);
	return copy;
}

static void session_put(struct recorder *r, struct recorder_session *s, enum stream_kind kind,
	enum session_occasion occasion, uint64_t time)
{
	struct journal *j = &r->journals[kind];

	journal_begin(j, RECORD_SESSION, time);
	journal_number(j, FIELD_SESSION, s->handle);
	journal_number(j, FIELD_OCCASION, occasion);
	if (kind == STREAM_INDEX)
		journal_number(j, FIELD_POSITION, r->journals[STREAM_RECORDING].segment);
	journal_fields(j, s->facts);
	if (journal_end(j) == 0)
		s->introduced[kind] = j->segment;
}

/* Begins a record of a session, which the segment must know. */
struct journal *recorder_begin(struct recorder *r, struct recorder_session *s,
	enum stream_kind kind, enum record_type type, uint64_t time)
{
	struct journal *j = &r->journals[kind];

	if (s->introduced[kind] != j->segment)
		session_put(r, s, kind, SESSION_GOES_ON, time);
	journal_begin(j, type, time);
	journal_number(j, FIELD_SESSION, s->handle);
	return j;
}

void recorder_session_start(
	struct recorder *r, struct recorder_session *s, const struct session_facts *facts)
{
	uint64_t time = r->clock();

	assert(s->handle == 0);
	*s = (struct recorder_session){.handle = ++r->last_handle,
		.progress_wait = PROGRESS_WAIT_FIRST,
		.facts = facts_encode(facts, time)};
	list_init(&s->changed);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		session_put(r, s, (enum stream_kind)kind, SESSION_BEGINS, time);
}

void recorder_session_change(
	struct recorder *r, struct recorder_session *s, const struct session_facts *facts)
{
	uint64_t time = r->clock(), started = time;
	struct slice rest = s->facts, bytes;
	uint8_t field;

	/* The time of the start is the first of the facts. */
	if (field_take(&rest, &field, &bytes) == 0)
		field_to_number(bytes, &started);
	free((void *)s->facts.data);
	s->facts = facts_encode(facts, started);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		session_put(r, s, (enum stream_kind)kind, SESSION_CHANGES, time);
}

static void session_put_totals(struct journal *j, const struct recorder_session *s)
{
	journal_number(j, FIELD_ACTIONS, s->actions);
	journal_number(j, FIELD_DENIED, s->denied);
	journal_number(j, FIELD_ROWS, s->rows);
}

void recorder_session_end(struct recorder *r, struct recorder_session *s, enum reason reason,
	struct slice detail, uint64_t bytes_to_agent, uint64_t bytes_to_server)
{
	uint64_t time = r->clock();
	struct slice clean = recorder_clean(r, detail, LIMIT_RECORD_NAME);

	assert(s->handle);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		struct journal *j =
			recorder_begin(r, s, (enum stream_kind)kind, RECORD_SESSION_END, time);

		journal_string(j, FIELD_REASON, slice_from_string(reason_get(reason)->metric));
		journal_string(j, FIELD_DETAIL, clean);
		session_put_totals(j, s);
		journal_number(j, FIELD_BYTES_TO_AGENT, bytes_to_agent);
		journal_number(j, FIELD_BYTES_TO_SERVER, bytes_to_server);
		journal_end(j);
	}
	list_remove(&s->changed);
	free((void *)s->facts.data);
	*s = (struct recorder_session){.ended = s->handle};
}

/* For the lists alone: what was decided, and what came of it, is told. */
void recorder_session_unread(struct recorder *r, struct recorder_session *s, bool unread)
{
	struct journal *j = &r->journals[STREAM_INDEX];

	assert(s->ended);
	if (s->unread == unread)
		return;
	s->unread = unread;
	journal_begin(j, unread ? RECORD_UNREAD : RECORD_CLOSED, r->clock());
	journal_number(j, FIELD_SESSION, s->ended);
	journal_end(j);
}

void recorder_make_progress(struct recorder *r, uint64_t now)
{
	uint64_t time = r->clock();

	list_for_each_safe (position, &r->changed) {
		struct recorder_session *s = list_entry(position, struct recorder_session, changed);
		struct journal *j;

		if (now < s->progress_due)
			continue;
		list_remove(&s->changed);
		s->progress_due = now + s->progress_wait;
		if (s->progress_wait < PROGRESS_WAIT_MOST)
			s->progress_wait *= 2;
		j = recorder_begin(r, s, STREAM_INDEX, RECORD_PROGRESS, time);
		session_put_totals(j, s);
		journal_end(j);
	}
}

/* ---- notes ---- */

static void note_put(struct journal *j, enum reason reason, struct slice detail)
{
	journal_string(j, FIELD_REASON, slice_from_string(reason_get(reason)->metric));
	journal_string(j, FIELD_DETAIL, detail);
	journal_end(j);
}

void recorder_note(
	struct recorder *r, struct recorder_session *s, enum reason reason, struct slice detail)
{
	struct slice clean = recorder_clean(r, detail, LIMIT_RECORD_NAME);
	uint64_t time = r->clock();

	if (!s) {
		journal_begin(&r->journals[STREAM_AUDIT], RECORD_NOTE, time);
		note_put(&r->journals[STREAM_AUDIT], reason, clean);
		return;
	}
	for (unsigned kind = STREAM_AUDIT; kind <= STREAM_RECORDING; kind++)
		note_put(recorder_begin(r, s, (enum stream_kind)kind, RECORD_NOTE, time), reason,
			clean);
}
