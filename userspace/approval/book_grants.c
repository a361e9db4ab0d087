/* SPDX-License-Identifier: Apache-2.0
 *
 * Grants: made by approvals for a time, revoked, over.
 */
#include <errno.h>
#include <stdio.h>

#include "approval/book_internal.h"
#include "approval/fields.h"
#include "base/clock.h"
#include "base/memory.h"

#define GRANT_DIGITS 4
#define ENTRY_BYTES 64 /* of a grant in the encoded list, besides its scope */

/* --- in memory --- */

static uint32_t free_slot(const struct book *b)
{
	bool taken[GRANTS_MOST] = {false};
	uint32_t slot = 0;

	for (size_t i = 0; i < b->grant_count; i++)
		taken[b->grants[i].slot] = true;
	while (slot < GRANTS_MOST && taken[slot])
		slot++;
	return slot;
}

/* Room for one more, with this scope; not in force. */
static int add(struct book *b, struct slice scope, struct error *e)
{
	struct grant *g;
	struct grant_details *d;
	struct field_reader reader;

	if (b->grant_count == GRANTS_MOST ||
		b->grant_bytes + scope.length + ENTRY_BYTES > GRANTS_BYTES_MOST - ENTRY_BYTES)
		return error_set(
			e, -EDQUOT, "too many grants are in force (at most %d)", GRANTS_MOST);
	b->grants = memory_resize_array(b->grants, b->grant_count + 1, sizeof(*b->grants));
	b->details = memory_resize_array(b->details, b->grant_count + 1, sizeof(*b->details));
	g = &b->grants[b->grant_count];
	d = &b->details[b->grant_count];
	memset(g, 0, sizeof(*g));
	memset(d, 0, sizeof(*d));
	d->scope_length = scope.length;
	d->scope_bytes = memory_new(scope.length + 1);
	memcpy(d->scope_bytes, scope.data ? (const void *)scope.data : "", scope.length);
	reader.rest = slice_of(d->scope_bytes, d->scope_length);
	reader.bad = false;
	fields_get_scope(&reader, &g->scope);
	if (reader.bad || reader.rest.length) {
		free(d->scope_bytes);
		return error_set(e, -EBADMSG, "its scope is damaged");
	}
	g->slot = free_slot(b);
	g->serial = b->next_serial++;
	b->grant_count++;
	b->grant_bytes += d->scope_length + ENTRY_BYTES;
	return 0;
}

static void drop(struct book *b, size_t index)
{
	struct grant_details *d = &b->details[index];

	b->grant_bytes -= d->scope_length + ENTRY_BYTES;
	free(d->scope_bytes);
	free(d->groups);
	free(d->by);
	b->grant_count--;
	memmove(&b->grants[index], &b->grants[index + 1],
		(b->grant_count - index) * sizeof(*b->grants));
	memmove(d, d + 1, (b->grant_count - index) * sizeof(*d));
}

void book_grants_free(struct book *b)
{
	while (b->grant_count)
		drop(b, b->grant_count - 1);
	free(b->grants);
	free(b->details);
}

/* --- a new one --- */

struct scope_reader {
	struct buffer scope;
	int result;
};

static void read_scope(void *context, const struct ledger_review *review, struct slice bytes)
{
	struct scope_reader *r = context;
	struct question *q = memory_new(sizeof(*q));

	(void)review;
	r->result = question_decode(bytes, q);
	if (r->result == 0)
		r->result = fields_put_scope(&r->scope, &q->scope);
	free(q);
}

int book_grant_prepare(struct book *b, const struct pending *p, uint64_t length, struct slice by,
	uint64_t now, struct error *e)
{
	struct scope_reader reader = {.result = -EBADMSG};
	struct grant_details *d;
	int r;

	buffer_init(&reader.scope, QUESTION_BYTES_MOST);
	r = ledger_find_review(b->ledger, &p->id, read_scope, &reader);
	if (r < 0 || reader.result < 0)
		r = error_set(e, r < 0 ? r : reader.result, "its question can't be read again");
	else
		r = add(b, buffer_slice(&reader.scope), e);
	buffer_done(&reader.scope);
	if (r < 0)
		return r;
	d = &b->details[b->grant_count - 1];
	d->review = p->id;
	d->groups = memory_copy_string(p->groups);
	d->by = memory_copy_text(by.data, by.length);
	d->created = now;
	d->end = now + length;
	return 0;
}

int book_grant_write(struct book *b, struct identifier *ret)
{
	struct grant *g = &b->grants[b->grant_count - 1];
	const struct grant_details *d = &b->details[b->grant_count - 1];
	struct ledger_grant row = {
		.review = d->review,
		.scope = slice_of(d->scope_bytes, d->scope_length),
		.groups = slice_from_string(d->groups),
		.by = slice_from_string(d->by),
		.created = d->created,
		.end = d->end,
	};
	char detail[512];
	int r = -EEXIST;

	for (unsigned i = 0; r == -EEXIST && i < GUESSES; i++) {
		row.id = identifier_new('g', GRANT_DIGITS + i / 8);
		r = ledger_add_grant(b->ledger, &row);
	}
	if (r < 0)
		return r;
	g->id = *ret = row.id;
	snprintf(detail, sizeof(detail), "by %.200s, for %lu s, by review %s", d->by,
		(unsigned long)((d->end - d->created) / NANOSECONDS_PER_SECOND), d->review.text);
	book_note(b, HOST_GRANTED, &row.id, detail);
	return 0;
}

void book_grant_start(struct book *b)
{
	const struct grant *g = &b->grants[b->grant_count - 1];
	uint64_t end = b->details[b->grant_count - 1].end;

	grant_table_set(b->table, g->slot, g->serial, end);
	book_due(b, end);
	b->events->granted(b->context);
}

void book_grant_drop(struct book *b)
{
	drop(b, b->grant_count - 1);
}

/* --- those of before --- */

#define OLDER "an older version made them, without database and user"

static int end_old(struct book *b, uint64_t now, struct error *e)
{
	uint64_t count = 0;
	char detail[128];
	int r = book_begin(b, true, e);

	if (r < 0)
		return r;
	r = ledger_end_old_grants(b->ledger, OLDER, now, &count);
	if (r == 0 && count == 0) {
		ledger_rollback(b->ledger);
		return 0;
	}
	snprintf(detail, sizeof(detail), "%lu that were in force: " OLDER, (unsigned long)count);
	book_note(b, HOST_REVOKED, &(struct identifier){"grants"}, detail);
	return book_end(b, r, e);
}

/* The clock was set back while nobody looked: they last no longer than they were given for. Kept,
 * as otherwise each start would begin them anew. */
static int begin_early(struct book *b, uint64_t now, struct error *e)
{
	uint64_t count = 0;
	int r = book_begin(b, true, e);

	if (r < 0)
		return r;
	r = ledger_begin_grants(b->ledger, now, &count);
	if (r == 0 && count == 0) {
		ledger_rollback(b->ledger);
		return 0;
	}
	return book_end(b, r, e);
}

struct grant_loader {
	struct book *book;
	int result;
	struct error *error;
};

static void load(void *context, const struct ledger_grant *row)
{
	struct grant_loader *l = context;
	struct book *b = l->book;
	struct grant_details *d;
	struct error cause;

	if (l->result < 0)
		return;
	l->result = add(b, row->scope, &cause);
	if (l->result < 0) {
		error_set(l->error, l->result, "grant %s: %s", row->id.text, cause.text);
		return;
	}
	b->grants[b->grant_count - 1].id = row->id;
	d = &b->details[b->grant_count - 1];
	d->review = row->review;
	d->groups = memory_copy_text(row->groups.data, row->groups.length);
	d->by = memory_copy_text(row->by.data, row->by.length);
	d->created = row->created;
	d->end = row->end;
	grant_table_set(b->table, b->grants[b->grant_count - 1].slot,
		b->grants[b->grant_count - 1].serial, d->end);
}

int book_grants_load(struct book *b, uint64_t now, struct error *e)
{
	struct grant_loader l = {.book = b, .error = e};
	int r = end_old(b, now, e);

	if (r == 0)
		r = begin_early(b, now, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < GRANTS_MOST; i++)
		grant_table_set(b->table, i, 0, 0);
	r = ledger_each_grant(b->ledger, load, &l);
	if (r < 0)
		return error_set(
			e, r, "the grants can't be read: %s", ledger_problem(b->ledger, r));
	return l.result;
}

/* --- the end --- */

/* Out of force, whatever the disk says: `index` is gone then. */
static void end_now(struct book *b, size_t index)
{
	const struct identifier review = b->details[index].review;

	grant_table_set(b->table, b->grants[index].slot, 0, 0);
	drop(b, index);
	/* Lists of reviews show nothing of it. */
	if (!b->opening)
		b->events->changed(b->context, &review, BOOK_GRANT_ENDED);
}

static int write_end(struct book *b, size_t index, enum host_event event, const char *by,
	const char *detail, uint64_t now, struct error *e)
{
	const struct identifier *id = &b->grants[index].id;
	int r = book_begin(b, event == HOST_REVOKED, e);

	if (r < 0)
		return r;
	r = ledger_end_grant(b->ledger, id, slice_from_string(by), now);
	book_note(b, event, id, detail);
	return book_end(b, r, e);
}

bool book_grants_tick(struct book *b, uint64_t now)
{
	size_t before = b->grant_count;
	struct error e;

	for (size_t i = b->grant_count; i > 0; i--) {
		if (now < b->details[i - 1].end)
			continue;
		/* Where it can't be kept, the next start sees that it is over. */
		write_end(b, i - 1, HOST_GRANT_ENDED, "", "its time is over", now, &e);
		end_now(b, i - 1);
	}
	return b->grant_count < before;
}

void book_move_grants(struct book *b, int64_t by)
{
	for (size_t i = 0; i < b->grant_count; i++) {
		struct grant_details *d = &b->details[i];

		d->created = book_moved(d->created, by);
		d->end = book_moved(d->end, by);
		grant_table_set(b->table, b->grants[i].slot, b->grants[i].serial, d->end);
	}
}

static bool asks_group(struct slice groups, const char *wanted)
{
	struct slice name;

	while (review_take_group(&groups, &name)) {
		if (slice_equal_string(name, wanted))
			return true;
	}
	return false;
}

/* Whether the rules in force would still give it: all of them, to no other groups, for as long. */
static int check_rules(const struct book *b, size_t index, struct error *e)
{
	const struct scope_of_action *scope = &b->grants[index].scope;
	const struct grant_details *d = &b->details[index];
	struct requirement now;
	int r = requirement_find(b->config, scope->rules, scope->rule_count, &now, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < now.group_count; i++) {
		const char *name = now.groups[i]->name.text;

		if (!asks_group(slice_from_string(d->groups), name))
			return error_set(
				e, -EINVAL, "its rules ask %s now, who did not approve", name);
	}
	if (d->end - d->created > now.grant)
		return error_set(e, -EINVAL, "its rules don't give grants of that length any more");
	return 0;
}

bool book_grants_configure(struct book *b, uint64_t now)
{
	size_t before = b->grant_count;
	struct error cause, e;

	for (size_t i = b->grant_count; i > 0; i--) {
		if (check_rules(b, i - 1, &cause) == 0)
			continue;
		/* Also where it can't be kept: the next start comes to the same. */
		write_end(b, i - 1, HOST_REVOKED, "the configuration", cause.text, now, &e);
		end_now(b, i - 1);
	}
	return b->grant_count < before;
}

static int find_grant(const struct book *b, struct slice typed, size_t *ret, struct error *e)
{
	struct identifier id;

	if (!book_read_id(typed, 'g', &id))
		return error_set(e, -ENOENT, "\"%.*s\" is no grant's ID",
			SLICE_PRINT(slice_head(typed, IDENTIFIER_SIZE)));
	for (size_t i = 0; i < b->grant_count; i++) {
		if (strcmp(b->grants[i].id.text, id.text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return error_set(e, -ENOENT, "no grant %s is in force", id.text);
}

int book_revoke(struct book *b, struct slice typed, const struct reviewer *who, uint64_t now,
	struct error *e)
{
	char by[BY_SIZE], detail[BY_SIZE + 64];
	size_t index = 0;
	int r = find_grant(b, typed, &index, e);

	if (r < 0)
		return r;
	reviewer_describe(b->config, who, by, sizeof(by));
	if (!(who->via == REVIEWER_LOCAL && who->uid == 0) &&
		!reviewer_is_member_of_any(
			b->config, slice_from_string(b->details[index].groups), who))
		return error_set(e, -EPERM, "refused: %s is no reviewer of this grant", by);
	snprintf(detail, sizeof(detail), "by %s %s", by, reviewer_via_text(who->via));
	r = write_end(b, index, HOST_REVOKED, by, detail, now, e);
	if (r < 0)
		return r;
	end_now(b, index);
	b->events->granted(b->context);
	return 0;
}

int book_grants_encode(const struct book *b, struct buffer *ret)
{
	return grants_encode(b->grants, b->grant_count, ret);
}
