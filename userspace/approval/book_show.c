/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews and grants as JSON.
 */
#include <errno.h>
#include <stdio.h>

#include "approval/book_internal.h"
#include "approval/question_json.h"
#include "base/clock.h"
#include "base/memory.h"

#define LATELY (24 * 3600 * NANOSECONDS_PER_SECOND)

static bool may_see(const struct book *b, struct slice groups, const struct reviewer *viewer)
{
	return !viewer || (viewer->via == REVIEWER_LOCAL && viewer->uid == 0) ||
		reviewer_is_member_of_any(b->config, groups, viewer);
}

/* Whether there may be any that they see. */
static bool may_see_some(const struct book *b, const struct reviewer *viewer)
{
	for (size_t i = 0; i < b->config->reviewer_count; i++) {
		if (may_see(b, slice_from_string(b->config->reviewers[i].name.text), viewer))
			return true;
	}
	return may_see(b, SLICE_EMPTY, viewer);
}

static void add_seconds(cJSON *object, const char *name, uint64_t nanoseconds)
{
	uint64_t seconds = nanoseconds / NANOSECONDS_PER_SECOND;

	if (nanoseconds)
		cJSON_AddNumberToObject(object, name, (double)seconds);
	else
		cJSON_AddNullToObject(object, name);
}

static int append_json(cJSON *json, struct buffer *ret)
{
	char *text = cJSON_PrintUnformatted(json);
	int r = text ? buffer_append_string(ret, text) : -ENOMEM;

	free(text);
	return r;
}

/* --- a review's state --- */

/* Each group with how many it needs, and, while it is pending, has. */
static void add_groups(
	const struct book *b, cJSON *object, const struct pending *p, struct slice names)
{
	cJSON *groups = cJSON_AddArrayToObject(object, "groups");
	struct slice name;

	for (size_t i = 0; p && i < p->requirement.group_count; i++) {
		const struct config_reviewer *group = p->requirement.groups[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "name", group->name.text);
		cJSON_AddNumberToObject(item, "needed", (double)group->approvals.value);
		cJSON_AddNumberToObject(item, "given", (double)pending_count_votes(b, p, group));
		cJSON_AddItemToArray(groups, item);
	}
	while (!p && review_take_group(&names, &name)) {
		cJSON *item = cJSON_CreateObject();

		json_add_text(item, "name", name);
		cJSON_AddItemToArray(groups, item);
	}
}

static void add_state(struct book *b, cJSON *object, const struct ledger_review *row)
{
	const struct pending *p = book_find(b, slice_from_string(row->id.text));
	enum review_state state = row->state;
	uint64_t lately = 0;

	/* Its end could not be kept. */
	if (state == REVIEW_PENDING && !p)
		state = REVIEW_CANCELLED;
	cJSON_AddStringToObject(object, "id", row->id.text);
	cJSON_AddStringToObject(object, "state", review_state_name(state));
	cJSON_AddNumberToObject(object, "waiters", (double)row->waiters);
	json_add_time(object, "created", row->created);
	json_add_time(object, "deadline", row->deadline);
	json_add_time(object, "decided", row->ended);
	json_add_text(object, "decided_by", row->decided_by);
	json_add_text(object, "reason", row->reason);
	json_add_text(object, "grant", slice_from_string(row->grant.text));
	add_seconds(object, "grant_limit", row->grant_limit);
	add_groups(b, object, p, row->groups);
	if (p &&
		ledger_count_approved(b->ledger, row->kind,
			row->created > LATELY ? row->created - LATELY : 0, &lately) == 0)
		cJSON_AddNumberToObject(object, "approved_lately", (double)lately);
}

/* Moves the members of `from` to the end of `to`; frees `from`. */
static void merge(cJSON *to, cJSON *from)
{
	while (from && from->child) {
		cJSON *item = cJSON_DetachItemViaPointer(from, from->child);

		/* The name is the item's own. */
		cJSON_AddItemToObject(to, item->string, item);
	}
	cJSON_Delete(from);
}

int book_requirement(const struct book *b, const struct identifier *review, struct requirement *ret)
{
	const struct pending *p = book_find(b, slice_from_string(review->text));

	if (!p)
		return -ENOENT;
	*ret = p->requirement;
	return 0;
}

const char *book_agent(const struct book *b, const struct identifier *review)
{
	const struct pending *p = book_find(b, slice_from_string(review->text));

	return p ? p->agent : NULL;
}

/* --- one --- */

struct whole {
	struct book *book;
	const struct reviewer *viewer;
	cJSON *object; /* NULL: not to be seen */
};

struct sessions {
	const struct book *book;
	cJSON *array;
};

static void add_session(void *context, const struct ledger_waiter *waiter)
{
	const struct sessions *s = context;
	cJSON *item = cJSON_CreateObject();

	json_add_text(item, "session", waiter->session);
	cJSON_AddItemToObject(item, "pid", json_known_number(waiter->pid));
	cJSON_AddItemToObject(item, "uid", json_known_number(waiter->uid));
	cJSON_AddBoolToObject(item, "left", waiter->state == WAITER_LEFT);
	if (waiter->state == WAITER_UNUSED)
		cJSON_AddFalseToObject(item, "ran");
	else if (waiter->state == WAITER_LOST ||
		(waiter->state == WAITER_RELEASED && !book_is_released(s->book, waiter->number)))
		cJSON_AddNullToObject(item, "ran");
	cJSON_AddItemToArray(s->array, item);
}

static void add_vote(void *context, const struct ledger_vote *vote)
{
	cJSON *item = cJSON_CreateObject();

	json_add_text(item, "by", vote->by);
	cJSON_AddStringToObject(
		item, "via", vote->via == REVIEWER_SLACK ? "slack" : "command line");
	cJSON_AddStringToObject(item, "verdict", vote->approve ? "approve" : "deny");
	add_seconds(item, "grant", vote->grant);
	json_add_time(item, "time", vote->time);
	json_add_text(item, "reason", vote->reason);
	cJSON_AddItemToArray(context, item);
}

static void add_grant(void *context, const struct ledger_grant *grant)
{
	json_add_time(context, "grant_end", grant->revoked_by.length ? grant->ended : grant->end);
	json_add_text(context, "grant_revoked_by", grant->revoked_by);
}

static void read_end(void *context, const struct ledger_grant *grant)
{
	*(enum book_grant *)context =
		grant->revoked_by.length ? BOOK_GRANT_REVOKED : BOOK_GRANT_OVER;
}

enum book_grant book_grant_of(struct book *b, const struct identifier *review)
{
	enum book_grant r = BOOK_GRANT_NONE;

	for (size_t i = 0; i < b->grant_count; i++) {
		if (strcmp(b->details[i].review.text, review->text) == 0)
			return BOOK_GRANT_IN_FORCE;
	}
	ledger_find_grant(b->ledger, review, read_end, &r);
	return r;
}

static void add_whole(void *context, const struct ledger_review *row, struct slice bytes)
{
	struct whole *w = context;
	struct question *q;

	if (!may_see(w->book, row->groups, w->viewer))
		return;
	w->object = cJSON_CreateObject();
	add_state(w->book, w->object, row);
	q = memory_new(sizeof(*q));
	if (question_decode(bytes, q) == 0)
		merge(w->object, question_json_whole(q));
	else /* of a version that this one does not know */
		merge(w->object,
			cJSON_ParseWithLength((const char *)row->shown.data, row->shown.length));
	free(q);
}

int book_review_json(struct book *b, struct slice typed, const struct reviewer *viewer,
	struct buffer *ret, struct error *e)
{
	struct whole w = {.book = b, .viewer = viewer};
	struct identifier id;
	int r;

	if (!book_read_id(typed, 'r', &id))
		return error_set(e, -ENOENT, "\"%.*s\" is no review's ID",
			SLICE_PRINT(slice_head(typed, IDENTIFIER_SIZE)));
	r = ledger_find_review(b->ledger, &id, add_whole, &w);
	if (r == -ENOENT)
		return error_set(e, r, "there is no review %s", id.text);
	if (r == 0 && !w.object)
		return error_set(e, -EPERM, "refused: %s is for other reviewers", id.text);
	if (r == 0)
		r = ledger_each_waiter(b->ledger, &id, add_session,
			&(struct sessions){b, cJSON_AddArrayToObject(w.object, "sessions")});
	if (r == 0)
		r = ledger_each_vote(
			b->ledger, &id, add_vote, cJSON_AddArrayToObject(w.object, "votes"));
	if (r == 0)
		r = ledger_find_grant(b->ledger, &id, add_grant, w.object);
	if (r == 0)
		r = append_json(w.object, ret);
	cJSON_Delete(w.object);
	return r < 0 ? error_set_errno(e, r, "%s can't be read", id.text) : 0;
}

/* --- lists --- */

struct list_reader {
	struct book *book;
	const struct reviewer *viewer;
	struct buffer *text;
	uint64_t ended; /* read so far, the viewer's or not */
	int result;
};

/* What makes lists large is what agents wrote. */
static cJSON *shown_of(const struct list_reader *l, const struct ledger_review *row)
{
	cJSON *brief;

	if (buffer_length(l->text) < LIMIT_REVIEWS_LIST)
		return cJSON_ParseWithLength((const char *)row->shown.data, row->shown.length);
	brief = cJSON_CreateObject();
	json_add_text(brief, "agent", row->agent);
	cJSON_AddBoolToObject(brief, "brief", true);
	return brief;
}

static void add_listed(void *context, const struct ledger_review *row)
{
	struct list_reader *l = context;
	cJSON *object;

	l->ended += row->state != REVIEW_PENDING;
	if (l->result < 0 || !may_see(l->book, row->groups, l->viewer))
		return;
	object = cJSON_CreateObject();
	add_state(l->book, object, row);
	merge(object, shown_of(l, row));
	if (buffer_slice(l->text).data[buffer_length(l->text) - 1] != '[')
		l->result = buffer_append_byte(l->text, ',');
	if (l->result == 0)
		l->result = append_json(object, l->text);
	cJSON_Delete(object);
}

static int compare_changes(const void *a, const void *b)
{
	const struct ended *x = a, *y = b;

	return (x->changed < y->changed) - (x->changed > y->changed);
}

/* What changed since then, the last one first; for free(). */
static struct ended *find_changes(const struct book *b, uint64_t since, size_t *ret_count)
{
	struct ended *changes = memory_new_array(b->pending_count + ENDED_MOST, sizeof(*changes));
	size_t count = 0;

	list_for_each (position, &b->pending) {
		const struct pending *p = list_entry(position, struct pending, link);

		if (p->changed > since)
			changes[count++] = (struct ended){p->id, p->changed};
	}
	for (size_t i = 0; i < ENDED_MOST; i++) {
		if (b->ended[i].changed > since)
			changes[count++] = b->ended[i];
	}
	qsort(changes, count, sizeof(*changes), compare_changes);
	*ret_count = count;
	return changes;
}

static int add_changed(struct list_reader *l, uint64_t since)
{
	size_t count;
	struct ended *changes = find_changes(l->book, since, &count);
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = ledger_read_review(l->book->ledger, &changes[i].id, add_listed, l);
	free(changes);
	return r;
}

int book_list_json(struct book *b, const struct reviewer *viewer, uint64_t since, uint64_t most,
	struct buffer *ret, bool *ret_whole, bool *ret_cut)
{
	struct list_reader l = {.book = b, .viewer = viewer, .text = ret};
	bool whole = since < b->known_since || since > b->generation;
	int r = 0;

	l.result = buffer_append_byte(ret, '[');
	if (l.result < 0)
		return l.result;
	/* Anybody on the host may ask. */
	if (may_see_some(b, viewer))
		r = whole ? ledger_each_review(b->ledger, most, add_listed, &l)
			  : add_changed(&l, since);
	if (r < 0 || l.result < 0)
		return r < 0 ? r : l.result;
	*ret_whole = whole;
	*ret_cut = whole && l.ended >= most;
	return buffer_append_byte(ret, ']');
}

int book_grants_json(struct book *b, const struct reviewer *viewer, struct buffer *ret)
{
	cJSON *array = cJSON_CreateArray();
	int r;

	for (size_t i = 0; i < b->grant_count; i++) {
		const struct grant_details *d = &b->details[i];
		cJSON *item;

		if (!may_see(b, slice_from_string(d->groups), viewer))
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "id", b->grants[i].id.text);
		cJSON_AddStringToObject(item, "review", d->review.text);
		question_json_add_scope(item, &b->grants[i].scope, 0);
		json_add_text(item, "by", slice_from_string(d->by));
		json_add_time(item, "created", d->created);
		json_add_time(item, "end", d->end);
		cJSON_AddItemToArray(array, item);
	}
	r = append_json(array, ret);
	cJSON_Delete(array);
	return r;
}
