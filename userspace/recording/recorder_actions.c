/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of actions: what was asked and how it was judged, how a review ended, results, rows.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/table.h"
#include "recording/pair.h"
#include "recording/recorder_internal.h"
#include "recording/secret.h"

struct action_text {
	struct slice text; /* as it is recorded */
	uint64_t hash;
	uint64_t length; /* of the whole; 0 where `text` is that */
	bool hidden;
	uint64_t secret_parameters;
	uint8_t digest[HASH_SIZE];
};

/* A text that the recording's dictionary knows costs a hash and a comparison; it held no password,
 * because texts that do have no note there. */
static void recorder_read_text(struct recorder *r, struct slice whole, struct action_text *t)
{
	struct secret_found found = {0};
	struct dictionary_slot *slot = NULL;

	*t = (struct action_text){.text = whole};
	if (dictionary_takes(whole)) {
		t->hash = table_hash_slice(whole);
		slot = dictionary_find(&r->journals[STREAM_RECORDING].dictionary, whole, t->hash);
	}
	if (slot && slot->note.known) {
		t->secret_parameters = slot->note.secret_parameters;
		memcpy(t->digest, slot->note.digest, HASH_SIZE);
		return;
	}
	buffer_clear(&r->text);
	recorder_lose(r, secret_hide(slice_head(whole, LIMIT_STATEMENT_BYTES), &r->text, &found));
	t->hidden = found.hidden;
	t->secret_parameters = found.parameters;
	if (found.hidden)
		t->text = buffer_slice(&r->text);
	/* The digest of a text with a password in it would let one try passwords. */
	sha256_of(t->text, t->digest);
	if (t->text.length > LIMIT_STATEMENT_BYTES) {
		t->length = t->text.length;
		t->text = slice_head(t->text, LIMIT_STATEMENT_BYTES);
	}
	if (found.hidden)
		t->hash = dictionary_takes(t->text) ? table_hash_slice(t->text) : 0;
}

/* Once the text is in the dictionary: what is known about it. */
static void recorder_note_text(struct recorder *r, const struct action_text *t)
{
	struct dictionary_slot *slot;

	if (t->hidden)
		return;
	slot = dictionary_find(&r->journals[STREAM_RECORDING].dictionary, t->text, t->hash);
	if (!slot)
		return;
	slot->note.known = true;
	slot->note.secret_parameters = t->secret_parameters;
	memcpy(slot->note.digest, t->digest, HASH_SIZE);
}

static int judgement_put_rules(struct buffer *b, const struct record_action *a)
{
	int r = 0;

	for (size_t i = 0; i < a->rule_count && r == 0; i++) {
		if (buffer_length(b) < LIMIT_RECORD_JUDGEMENT / 2)
			r = field_append_inline(b, FIELD_RULE, recorder_name(a->rules[i]));
	}
	return r;
}

static int judgement_put_pairs(struct buffer *b, const struct action *action)
{
	size_t i = 0;
	int r = 0;

	for (; i < action->pair_count && r == 0; i++) {
		if (buffer_length(b) >= LIMIT_RECORD_JUDGEMENT)
			break;
		r = pair_append(b, &action->pairs[i]);
	}
	if (r == 0 && i < action->pair_count)
		r = field_append_number(b, FIELD_PAIRS_MORE, action->pair_count - i);
	return r;
}

/* The verdict with all that it was made of: it repeats with the statement, and is one string of the
 * dictionary. */
static struct slice recorder_judgement(struct recorder *r, const struct record_action *a)
{
	struct buffer *b = &r->judgement;
	struct slice problem = slice_from_string(a->action->problem);
	int error;

	buffer_clear(b);
	error = field_append_number(b, FIELD_VERDICT, a->verdict);
	if (a->observed && error == 0)
		error = field_append_number(b, FIELD_OBSERVED, 1);
	if (a->verdict == RECORD_VERDICT_DENY && error == 0)
		error = field_append_inline(
			b, FIELD_REASON, slice_from_string(reason_get(a->reason)->metric));
	if (error == 0)
		error = field_append_inline(b, FIELD_MASKS, recorder_name(a->masks));
	if (error == 0)
		error = field_append_inline(b, FIELD_AS, recorder_name(a->as));
	if (a->action->unknown && error == 0)
		error = field_append_number(b, FIELD_UNKNOWN, a->action->unknown);
	if (error == 0)
		error = field_append_inline(b, FIELD_PROBLEM, recorder_name(problem));
	if (error == 0)
		error = field_append_inline(b, FIELD_MESSAGE, recorder_name(a->message));
	if (error == 0)
		error = judgement_put_rules(b, a);
	if (error == 0)
		error = judgement_put_pairs(b, a->action);
	recorder_lose(r, error);
	return buffer_slice(b);
}

/* So that many of them together stay within LIMIT_RECORD_VALUES. */
static size_t value_share(size_t count)
{
	return count <= LIMIT_RECORD_VALUES / LIMIT_RECORD_VALUE ? LIMIT_RECORD_VALUE
								 : LIMIT_RECORD_VALUES / count;
}

static bool parameter_is_secret(uint64_t set, size_t index)
{
	return set == SECRET_ALL_PARAMETERS || (index < 63 && set >> index & 1);
}

static void action_put_parameters(
	struct recorder *r, struct journal *j, const struct record_action *a, uint64_t secret)
{
	size_t kept = value_share(a->parameter_count);

	for (size_t i = 0; i < a->parameter_count; i++) {
		buffer_clear(&r->value);
		recorder_lose(r,
			value_append(&r->value, &a->parameters[i], kept,
				parameter_is_secret(secret, i)));
		journal_bytes(j, FIELD_PARAMETER, buffer_slice(&r->value));
	}
}

static void action_put_text(
	struct journal *j, const struct record_action *a, const struct action_text *t)
{
	/* The text of a long statement that runs again stands with the action that made it. */
	bool left_out = a->run_of && !dictionary_takes(t->text) && t->text.length;

	if (!left_out)
		journal_string_hashed(j, FIELD_TEXT, t->text, t->hash);
	if (left_out || t->length) {
		journal_number(j, FIELD_TEXT_LENGTH, t->length ? t->length : t->text.length);
		journal_bytes(j, FIELD_DIGEST, slice_of(t->digest, HASH_SIZE));
	}
}

uint64_t recorder_action(
	struct recorder *r, struct recorder_session *s, const struct record_action *action)
{
	static const enum stream_kind kinds[] = {STREAM_AUDIT, STREAM_RECORDING};
	struct slice judgement = recorder_judgement(r, action);
	uint64_t hash = table_hash_slice(judgement), time = r->clock();
	struct action_text text;

	recorder_read_text(r, action->action->text, &text);
	s->actions++;
	if (action->verdict == RECORD_VERDICT_DENY && !action->observed)
		s->denied++;
	recorder_touch(r, s);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct journal *j = recorder_begin(r, s, kinds[i], RECORD_ACTION, time);

		journal_number(j, FIELD_NUMBER, s->actions);
		if (action->run_of)
			journal_number(j, FIELD_RUN_OF, action->run_of);
		journal_string_hashed(j, FIELD_JUDGEMENT, judgement, hash);
		journal_string(j, FIELD_REVIEW, recorder_name(action->review));
		if (text.hidden)
			journal_number(j, FIELD_HIDDEN, 1);
		if (kinds[i] == STREAM_AUDIT) {
			journal_bytes(j, FIELD_DIGEST, slice_of(text.digest, HASH_SIZE));
		} else {
			action_put_text(j, action, &text);
			action_put_parameters(r, j, action, text.secret_parameters);
		}
		if (journal_end(j) == 0 && kinds[i] == STREAM_RECORDING)
			recorder_note_text(r, &text);
	}
	return s->actions;
}

void recorder_decision(struct recorder *r, struct recorder_session *s, uint64_t number,
	const struct record_decision *decision)
{
	uint64_t time = r->clock();
	struct slice detail = recorder_clean(r, decision->detail, LIMIT_RECORD_NAME);

	if (decision->outcome != OUTCOME_APPROVED) {
		s->denied++;
		recorder_touch(r, s);
	}
	for (unsigned kind = STREAM_AUDIT; kind <= STREAM_RECORDING; kind++) {
		struct journal *j =
			recorder_begin(r, s, (enum stream_kind)kind, RECORD_DECISION, time);

		journal_number(j, FIELD_NUMBER, number);
		journal_number(j, FIELD_OUTCOME, decision->outcome);
		journal_string(j, FIELD_REVIEW, recorder_name(decision->review));
		journal_string(j, FIELD_BY, recorder_name(decision->by));
		journal_string(j, FIELD_GRANT, recorder_name(decision->grant));
		journal_string(j, FIELD_DETAIL, detail);
		journal_end(j);
	}
}

/* ---- results ---- */

void recorder_result(struct recorder *r, struct recorder_session *s, uint64_t number,
	const struct record_result *result)
{
	struct journal *j = recorder_begin(r, s, STREAM_RECORDING, RECORD_RESULT, r->clock());

	journal_number(j, FIELD_NUMBER, number);
	if (result->rows)
		journal_number(j, FIELD_ROWS, result->rows);
	if (result->bytes)
		journal_number(j, FIELD_BYTES, result->bytes);
	journal_string(j, FIELD_TAG, recorder_name(result->tag));
	journal_string(j, FIELD_ERROR_CODE, recorder_name(result->error_code));
	if (result->error_text.length)
		journal_string(j, FIELD_ERROR_TEXT,
			recorder_clean(r, result->error_text, LIMIT_RECORD_VALUE));
	journal_end(j);
	if (result->rows) {
		s->rows += result->rows;
		recorder_touch(r, s);
	}
}

void recorder_columns(struct recorder *r, struct recorder_session *s, uint64_t number,
	const struct slice *names, size_t count)
{
	struct journal *j = recorder_begin(r, s, STREAM_RECORDING, RECORD_COLUMNS, r->clock());

	journal_number(j, FIELD_NUMBER, number);
	for (size_t i = 0; i < count; i++) {
		/* A column without a name keeps its place. */
		if (names[i].length)
			journal_string(j, FIELD_COLUMN, slice_head(names[i], value_share(count)));
		else
			journal_bytes(j, FIELD_COLUMN, slice_of("", 1));
	}
	journal_end(j);
}

void recorder_rows_begin(struct recorder *r, struct recorder_session *s, uint64_t number)
{
	assert(!r->rows_session);
	r->rows_session = s;
	r->rows_number = number;
	r->rows_begun = false;
}

void recorder_rows_add(struct recorder *r, const struct record_value *values, size_t count)
{
	struct journal *j = &r->journals[STREAM_RECORDING];

	if (r->rows_begun && journal_record_size(j) > LIMIT_RECORD_ROWS) {
		journal_end(j);
		r->rows_begun = false;
	}
	if (!r->rows_begun) {
		recorder_begin(r, r->rows_session, STREAM_RECORDING, RECORD_ROWS, r->clock());
		journal_number(j, FIELD_NUMBER, r->rows_number);
		r->rows_begun = true;
	}
	buffer_clear(&r->value);
	recorder_lose(r, row_append(&r->value, values, count, value_share(count)));
	journal_bytes(j, FIELD_ROW, buffer_slice(&r->value));
}

void recorder_rows_end(struct recorder *r)
{
	if (r->rows_begun)
		journal_end(&r->journals[STREAM_RECORDING]);
	r->rows_session = NULL;
}

/* ---- data ---- */

void recorder_data(struct recorder *r, struct recorder_session *s, uint64_t number,
	enum record_data kind, struct slice bytes, uint16_t columns, uint16_t rows)
{
	struct journal *j = recorder_begin(r, s, STREAM_RECORDING, RECORD_DATA, r->clock());

	journal_number(j, FIELD_NUMBER, number);
	journal_number(j, FIELD_DATA_KIND, kind);
	if (kind == RECORD_DATA_WINDOW) {
		journal_number(j, FIELD_WIDTH, columns);
		journal_number(j, FIELD_HEIGHT, rows);
	} else {
		journal_bytes(j, FIELD_DATA, bytes);
	}
	journal_end(j);
}
