/* SPDX-License-Identifier: Apache-2.0
 *
 * scrub: errors, notices, notifications and parameter statuses carry data as well ("Failing
 * row contains (…)", RAISE, NOTIFY, set_config). Detectors look at every field; where a statement,
 * or what the server says it is about, touches a masked column, the fields that quote values lose
 * them. What code says that is not known to be harmless is not shown at all.
 */
#include <ctype.h>
#include <errno.h>

#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

static const struct slice hidden = {(const uint8_t *)"[masked]", 8};

/* What a message may quote. */
enum closeness {
	CLOSE_NOTHING,
	CLOSE_ROWS, /* in its details, rows of a relation that has masked columns */
	CLOSE_MASKED, /* values of such a relation anywhere */
	CLOSE_CODE, /* anything */
};

static enum closeness request_closeness(const struct pg_request *q)
{
	const struct pg_masks *masks = NULL;

	if (q)
		masks = q->masks ? q->masks : q->portal ? q->portal->masks : NULL;
	if (!masks || !masks->lineage.touches_masked)
		return CLOSE_NOTHING;
	return masks->lineage.runs_code ? CLOSE_CODE : CLOSE_MASKED;
}

static bool is_masked(const struct pg_engine *e, const struct sql_relation *relation)
{
	const struct mask_rules *rules = e->base.host->session_masks;

	return relation && sql_catalog_column_mask(e->names, relation, 0, rules, NULL) != MASK_NONE;
}

/* What the server says the message is about, which the statement need not name: a foreign key's
 * action fails for other rows, or a constraint when the transaction ends. */
static bool names_masked(const struct pg_engine *e, struct slice body)
{
	struct slice schema = pg_error_field(body, 's'), name = pg_error_field(body, 't');

	return e->names && name.length && is_masked(e, sql_catalog_find(e->names, schema, name));
}

/* The rule that let it pass need not be the one that masks. What a view's condition or check option
 * fails on is of the tables behind it, which the message does not name (ExecWithCheckOptions(),
 * execMain.c). */
static enum closeness plan_closeness(const struct pg_engine *e, const struct pg_plan *plan)
{
	enum closeness closest = CLOSE_NOTHING;

	for (size_t i = 0; plan && i < plan->action.pair_count; i++) {
		const struct action_pair *pair = &plan->action.pairs[i];
		const struct sql_relation *r = pg_naming_find(e, pair->object);

		if (r && sql_catalog_masked_behind(r, e->base.host->session_masks))
			return CLOSE_MASKED;
		if (pair->state == OBJECT_UNKNOWN || is_masked(e, r))
			closest = CLOSE_ROWS;
	}
	return closest;
}

static enum closeness closeness_of(
	const struct pg_engine *e, const struct pg_request *q, struct slice body)
{
	enum closeness closeness = request_closeness(q);
	const struct pg_plan *plan = q ? q->plan : NULL;

	if (!plan && q && q->portal)
		plan = q->portal->plan;
	if (closeness != CLOSE_NOTHING || e->base.host->session_masks->column_count == 0)
		return closeness;
	closeness = plan_closeness(e, plan);
	return closeness == CLOSE_NOTHING && names_masked(e, body) ? CLOSE_ROWS : closeness;
}

/* Fields of the server's own making: severity, SQLSTATE, positions, and where in its source. */
static bool is_servers_own(char code)
{
	return strchr("SVCPpFLR", code) != NULL;
}

/* Text that a function or trigger wrote (RAISE), with whatever it wanted in it. */
static bool is_raised(struct slice state)
{
	return slice_starts_with(state, slice_from_string("P0")) ||
		slice_equal_string(state, "00000") || slice_equal_string(state, "01000");
}

/* Of bytes that are shown there: 'byte sequence 0xe1 0x80 in encoding "UTF8"'. */
static size_t length_of_bytes(struct slice text)
{
	size_t length = 0;

	for (;;) {
		const uint8_t *at = text.data + length + (length ? 1 : 0);

		if (text.length < length + (length ? 5 : 4) || (length && at[-1] != ' ') ||
			at[0] != '0' || at[1] != 'x' || !isxdigit(at[2]) || !isxdigit(at[3]))
			return length;
		length += length ? 5 : 4;
	}
}

/* Replaces what stands in double quotes: 'invalid input syntax for type integer: "987-65-4321"';
 * and bytes. */
static int append_without_quoted(struct buffer *out, struct slice text)
{
	bool inside = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < text.length; i++) {
		size_t length = inside ? 0 : length_of_bytes(slice_from(text, i));

		if (length) {
			r = buffer_append_slice(out, hidden);
			i += length - 1;
		} else if (text.data[i] == '"') {
			inside = !inside;
			r = buffer_append_byte(out, '"');
			if (r == 0 && inside)
				r = buffer_append_slice(out, hidden);
		} else if (!inside) {
			r = buffer_append_byte(out, text.data[i]);
		}
	}
	return r;
}

/* Other languages have marks of their own («», „“, ‘’), inside which nothing here looks. */
static bool has_other_marks(struct slice text)
{
	bool inside = false;

	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == '"')
			inside = !inside;
		else if (!inside && text.data[i] >= 0x80)
			return true;
	}
	return false;
}

/* lc_messages is another language than that of the words that are known here: only V is never
 * translated. */
static bool is_translated(struct slice body)
{
	return !slice_equal(pg_error_field(body, 'S'), pg_error_field(body, 'V'));
}

/* What of a message the detectors alone are not enough for. */
struct scrubbing {
	bool all; /* but what is the server's own */
	bool quoted; /* what stands in quotes, and bytes */
	bool translated; /* with `quoted`: what stands in quotes is not known */
	bool details;
};

/* Where there is a context, it is of code: that may raise whatever it likes under any SQLSTATE, and
 * have the server fail on what it read. Code may also have become part of the statement itself
 * (inlined SQL functions); but what the server says of a place in the agent's text is of that. Data
 * exceptions quote the value that they choked on, and contexts show the document around it. */
static struct scrubbing scrubbing_of(enum closeness closeness, struct slice body)
{
	struct slice state = pg_error_field(body, 'C');
	bool data = slice_starts_with(state, slice_from_string("22"));
	bool code = closeness == CLOSE_CODE, placed = pg_error_field(body, 'P').length;

	if (closeness < CLOSE_MASKED)
		return (struct scrubbing){.details = closeness == CLOSE_ROWS};
	return (struct scrubbing){
		.all = is_raised(state) || (code && pg_error_field(body, 'W').length),
		.quoted = data || (code && !placed),
		.translated = is_translated(body),
		.details = true,
	};
}

static bool is_of_document(struct slice context)
{
	return slice_starts_with(context, slice_from_string("JSON data, line "));
}

/* False: the field is left to the detectors. */
static bool hide_field(
	char code, const struct scrubbing *s, struct slice text, struct buffer *out, int *r)
{
	if (s->all || (code == 'D' && s->details) ||
		(code == 'W' && s->quoted && is_of_document(text))) {
		*r = buffer_append_slice(out, hidden);
		return true;
	}
	if ((code == 'M' || code == 'W') && s->quoted) {
		*r = s->translated || has_other_marks(text) ? buffer_append_slice(out, hidden)
							    : append_without_quoted(out, text);
		return true;
	}
	return false;
}

static int append_scrubbed(
	const struct masker *masker, struct slice text, struct buffer *out, bool *changed)
{
	bool replaced = false;
	int r = 0;

	if (masker->detectors)
		r = masker_append_text(masker, text, out, &replaced);
	if (r < 0)
		return r;
	*changed |= replaced;
	return replaced ? 0 : buffer_append_slice(out, text);
}

/* Fields of ErrorResponse and NoticeResponse. */
static int scrub_fields(const struct masker *masker, enum closeness closeness, struct slice body,
	struct buffer *out, bool *changed)
{
	const struct scrubbing scrubbing = scrubbing_of(closeness, body);
	struct slice text;
	struct pg_error_walk walk;
	char code;
	int r;

	pg_error_walk_init(&walk, body);
	while ((r = pg_error_next(&walk, &code, &text)) > 0) {
		int result = buffer_append_byte(out, (uint8_t)code);

		if (result == 0 && is_servers_own(code))
			result = buffer_append_slice(out, text);
		else if (result == 0 && hide_field(code, &scrubbing, text, out, &result))
			*changed = true;
		else if (result == 0)
			result = append_scrubbed(masker, text, out, changed);
		if (result == 0)
			result = buffer_append_byte(out, 0);
		if (result < 0)
			return result;
	}
	return r < 0 ? r : buffer_append_byte(out, 0);
}

/* NotificationResponse: a process id, then channel and payload. ParameterStatus: name and value. */
static int scrub_strings(const struct masker *masker, struct slice body, size_t head,
	struct buffer *out, bool *changed)
{
	struct slice rest = slice_from(body, head), text;
	int r = buffer_append_slice(out, slice_head(body, head));

	while (r == 0 && rest.length) {
		r = pg_get_string(&rest, &text);
		if (r == 0)
			r = append_scrubbed(masker, text, out, changed);
		if (r == 0)
			r = buffer_append_byte(out, 0);
	}
	return r;
}

int pg_scrub(struct pg_engine *e, struct slice message, uint8_t type, struct slice body,
	const struct pg_request *request)
{
	const struct mask_rules *rules = e->base.host->session_masks;
	bool changed = false;
	struct masker masker;
	size_t mark;
	int r;

	if (!pg_scrub_needed(e))
		return pg_pass(e, SIDE_AGENT, message);
	pg_masker(e, rules, &masker);
	buffer_clear(&e->scratch);
	r = pg_begin(&e->scratch, type, &mark);
	if (r == 0 && (type == 'E' || type == 'N'))
		r = scrub_fields(
			&masker, closeness_of(e, request, body), body, &e->scratch, &changed);
	else if (r == 0)
		r = scrub_strings(&masker, body, type == 'A' ? 4 : 0, &e->scratch, &changed);
	if (r < 0)
		return r;
	if (!changed)
		return pg_pass(e, SIDE_AGENT, message);
	pg_end(&e->scratch, mark);
	return pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}

/* A text too long to be searched, where it would have to be: a short one in its place. */
int pg_scrub_oversized(struct pg_engine *e, uint8_t type)
{
	static const struct slice text = {
		(const uint8_t *)"wayleave: a message too long to be checked is not shown", 55};
	int r;

	buffer_clear(&e->scratch);
	r = type == 'E'
		? pg_error_put(&e->scratch, e->encoding, false, PG_STATE_PROGRAM_LIMIT, text)
		: pg_notice_put(&e->scratch, e->encoding, text);
	return r < 0 ? r : pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}

bool pg_scrub_needed(const struct pg_engine *e)
{
	const struct mask_rules *rules = e->base.host->session_masks;

	return rules && (rules->detects || rules->column_count);
}
