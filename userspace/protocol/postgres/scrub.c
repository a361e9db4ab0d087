/* SPDX-License-Identifier: Apache-2.0
 *
 * scrub: errors, notices, notifications and parameter statuses carry data as well (traps: "Failing
 * row contains (…)", RAISE, NOTIFY, set_config). Detectors look at every field; where a statement
 * touches a masked column, the fields that quote values lose them.
 */
#include <errno.h>

#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

static const struct slice hidden = {(const uint8_t *)"[masked]", 8};

static bool touches_masked(const struct pg_request *q)
{
	const struct pg_masks *masks = NULL;

	if (q)
		masks = q->masks ? q->masks : q->portal ? q->portal->masks : NULL;
	return masks && masks->lineage.touches_masked;
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

/* Replaces what stands in double quotes: 'invalid input syntax for type integer: "987-65-4321"'. */
static int append_without_quoted(struct buffer *out, struct slice text)
{
	bool inside = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < text.length; i++) {
		if (text.data[i] == '"') {
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

/* A field of a message about a statement that touches masked columns. False: it is left to the
 * detectors. */
static bool hide_field(char code, struct slice state, struct slice text, struct buffer *out, int *r)
{
	if (code == 'D' || (is_raised(state) && !is_servers_own(code))) {
		*r = buffer_append_slice(out, hidden);
		return true;
	}
	/* Data exceptions quote the value that they choked on. */
	if ((code == 'M' || code == 'W') && slice_starts_with(state, slice_from_string("22"))) {
		*r = append_without_quoted(out, text);
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
static int scrub_fields(const struct masker *masker, bool touches, struct slice body,
	struct buffer *out, bool *changed)
{
	struct slice state = pg_error_field(body, 'C'), text;
	struct pg_error_walk walk;
	char code;
	int r;

	pg_error_walk_init(&walk, body);
	while ((r = pg_error_next(&walk, &code, &text)) > 0) {
		int result = buffer_append_byte(out, (uint8_t)code);

		if (result == 0 && is_servers_own(code))
			result = buffer_append_slice(out, text);
		else if (result == 0 && touches && hide_field(code, state, text, out, &result))
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
	bool changed = false, touches = touches_masked(request);
	struct masker masker;
	size_t mark;
	int r;

	if (!rules || (!rules->detects && !touches))
		return pg_pass(e, SIDE_AGENT, message);
	pg_masker(e, rules, &masker);
	buffer_clear(&e->scratch);
	r = pg_begin(&e->scratch, type, &mark);
	if (r == 0 && (type == 'E' || type == 'N'))
		r = scrub_fields(&masker, touches, body, &e->scratch, &changed);
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
	r = type == 'E' ? pg_error_put(&e->scratch, false, PG_STATE_PROGRAM_LIMIT, text)
			: pg_notice_put(&e->scratch, text);
	return r < 0 ? r : pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}

bool pg_scrub_needed(const struct pg_engine *e, const struct pg_request *request)
{
	const struct mask_rules *rules = e->base.host->session_masks;

	return rules && (rules->detects || touches_masked(request));
}
