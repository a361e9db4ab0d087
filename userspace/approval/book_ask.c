/* SPDX-License-Identifier: Apache-2.0
 *
 * Who asks for a review, and joins one.
 */
#include <errno.h>
#include <stdio.h>

#include "approval/book_internal.h"
#include "approval/fields.h"
#include "approval/question_json.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/text.h"

#define REVIEW_DIGITS 4 /* r-7Q2K */
#define KEPT_BETWEEN (32u << 20) /* bytes of new questions, then what is old is forgotten */

/* --- what is alike --- */

/* What a reviewer would read as one action: two questions of one digest that differ here come from
 * a worker that lies. */
static int content_of(const struct question *q, uint8_t ret[QUESTION_DIGEST_SIZE])
{
	const struct slice parts[] = {
		q->protocol, q->scope.database, q->scope.user, q->settings, q->text, q->runs};
	struct buffer b;
	int r;

	buffer_init(&b, 2 * QUESTION_BYTES_MOST);
	r = fields_put_scope(&b, &q->scope);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = fields_put_text(&b, parts[i]);
	if (r == 0)
		r = fields_put_number(&b, q->unknown);
	if (r == 0)
		r = fields_put_values(&b, q);
	if (r == 0)
		r = fields_put_parts(&b, q);
	if (r == 0)
		sha256_of(buffer_slice(&b), ret);
	buffer_done(&b);
	return r;
}

/* Same agent, resource, rules and operations, whatever the text: what reviewers would call another
 * one of these. */
static int kind_of(const struct question *q, uint8_t ret[KIND_SIZE])
{
	struct operation_set operations = {{0}};
	struct buffer b;
	int r;

	for (size_t i = 0; i < q->scope.pair_count; i++)
		operation_set_add(&operations, q->scope.pairs[i].operation);
	buffer_init(&b, QUESTION_BYTES_MOST);
	r = fields_put_text(&b, q->scope.agent);
	if (r == 0)
		r = fields_put_text(&b, q->scope.resource);
	for (size_t i = 0; r == 0 && i < q->scope.rule_count; i++)
		r = fields_put_text(&b, q->scope.rules[i]);
	for (unsigned i = 0; r == 0 && i < OPERATION_COUNT; i++) {
		if (operation_set_has(&operations, (enum operation)i))
			r = fields_put_text(
				&b, slice_from_string(operation_name((enum operation)i)));
	}
	if (r == 0)
		sha256_of(buffer_slice(&b), ret);
	buffer_done(&b);
	return r;
}

static struct pending *find_same(const struct book *b, const struct question *q)
{
	struct table_node *node =
		table_find(&b->by_digest, table_hash(q->digest, sizeof(q->digest)));

	for (; node; node = table_find_next(&b->by_digest, node)) {
		struct pending *p = container_of(node, struct pending, by_digest);

		if (memcmp(p->digest, q->digest, sizeof(p->digest)) == 0 &&
			slice_equal_string(q->scope.agent, p->agent))
			return p;
	}
	return NULL;
}

/* --- a new one --- */

static void copy_rules(struct pending *p, const struct question *q)
{
	size_t length = 0, used = 0;

	for (size_t i = 0; i < q->scope.rule_count; i++)
		length += q->scope.rules[i].length;
	p->rule_text = memory_new(length + 1);
	p->rules = memory_new_array(q->scope.rule_count, sizeof(*p->rules));
	for (; p->rule_count < q->scope.rule_count; p->rule_count++) {
		struct slice rule = q->scope.rules[p->rule_count];

		memcpy(p->rule_text + used, rule.data, rule.length);
		p->rules[p->rule_count] = slice_of(p->rule_text + used, rule.length);
		used += rule.length;
	}
}

/* kubectl and its like ask for a stream over WebSocket, and where that is refused over SPDY. */
static bool is_retried(const struct question *q)
{
	for (size_t i = 0; i < q->scope.pair_count; i++) {
		enum operation operation = q->scope.pairs[i].operation;

		if (operation == OPERATION_KUBE_EXEC || operation == OPERATION_KUBE_ATTACH ||
			operation == OPERATION_KUBE_PORTFORWARD)
			return true;
	}
	return false;
}

static struct pending *new_pending(struct book *b, const struct question *q,
	const struct requirement *requirement, uint64_t now)
{
	struct pending *p = memory_new(sizeof(*p));

	memcpy(p->digest, q->digest, sizeof(p->digest));
	p->agent = memory_copy_text(q->scope.agent.data, q->scope.agent.length);
	p->principal = memory_copy_text(q->scope.principal.data, q->scope.principal.length);
	p->on_behalf_of =
		memory_copy_text(q->scope.on_behalf_of.data, q->scope.on_behalf_of.length);
	p->groups = requirement_groups(requirement, "\n");
	p->requirement = *requirement;
	/* What is not known can't be recognised again: no grant would ever cover it. */
	p->unknown = q->unknown != 0;
	if (p->unknown)
		p->requirement.grant = 0;
	copy_rules(p, q);
	p->retried = is_retried(q);
	p->created = now;
	p->deadline = now + requirement->within;
	book_due(b, p->deadline);
	list_init(&p->waiters);
	list_append(&b->pending, &p->link);
	table_insert(&b->by_digest, &p->by_digest, table_hash(p->digest, sizeof(p->digest)));
	b->pending_count++;
	return p;
}

/* The row, under an id that nothing else has. */
static int add_row(struct book *b, struct pending *p, const struct question *q,
	struct slice encoded, const uint8_t kind[KIND_SIZE])
{
	char *shown = question_json_short(q);
	struct ledger_review row = {
		.agent = slice_from_string(p->agent),
		.groups = slice_from_string(p->groups),
		.kind = slice_of(kind, KIND_SIZE),
		.shown = slice_from_string(shown),
		.created = p->created,
		.deadline = p->deadline,
		.grant_limit = p->requirement.grant,
	};
	int r = shown ? -EEXIST : -ENOMEM;

	for (unsigned i = 0; r == -EEXIST && i < GUESSES; i++) {
		row.id = identifier_new('r', REVIEW_DIGITS + i / 8);
		r = ledger_add_review(b->ledger, &row, encoded);
	}
	if (r == 0)
		pending_name(b, p, &row.id);
	free(shown);
	return r;
}

static int check_room(struct book *b, struct slice agent, uint64_t now, struct error *e)
{
	char *name = memory_copy_text(agent.data, agent.length);
	const struct config_agent *a = config_find_agent(b->config, name);

	free(name);
	if (!a)
		return error_set(e, -EINVAL, "there is no agent of that name any more");
	return book_pace_check(b, a, now, e);
}

/* --- waiters --- */

/* An unknown one, whose uid is no user's, is remembered too: the request is its principal's as
 * well.
 */
static void remember_requester(struct pending *p, uid_t uid, const char *name)
{
	struct requester *r;

	for (size_t i = 0; i < p->requester_count; i++) {
		r = &p->requesters[i];
		if (r->user.uid != uid)
			continue;
		if (!r->name && name)
			r->user.name = r->name = memory_copy_string(name);
		return;
	}
	p->requesters =
		memory_resize_array(p->requesters, p->requester_count + 1, sizeof(*p->requesters));
	r = &p->requesters[p->requester_count++];
	r->name = name ? memory_copy_string(name) : NULL;
	r->user = (struct reviewer){REVIEWER_LOCAL, uid, r->name};
}

static int add_waiter_row(
	struct book *b, const struct pending *p, const struct question *q, uint64_t *ret_number)
{
	const struct ledger_waiter row = {.session = q->session, .pid = q->pid, .uid = q->uid};

	return ledger_add_waiter(b->ledger, &p->id, &row, ret_number);
}

static void add_waiter(struct book *b, struct pending *p, const struct book_wait *wait,
	const struct question *q, const char *user, uint64_t number)
{
	struct waiter *w = memory_new(sizeof(*w));

	w->review = p;
	w->wait = *wait;
	w->number = number;
	list_append(&p->waiters, &w->link);
	table_insert(&b->by_wait, &w->by_wait, book_hash_wait(wait));
	p->waiter_count++;
	p->joined++;
	remember_requester(p, (uid_t)q->uid, user);
}

/* Who asks and leaves in a loop must not fill the disk between two looks. */
static void note_size(struct book *b, size_t bytes, uint64_t now)
{
	b->kept_since += bytes;
	if (b->kept_since > KEPT_BETWEEN)
		b->next_prune = b->next = now;
}

static int join(struct book *b, struct pending *p, const struct book_wait *wait,
	const struct question *q, const char *user, uint64_t now, struct error *e)
{
	uint8_t content[QUESTION_DIGEST_SIZE];
	uint64_t number = 0;
	int r = content_of(q, content);

	if (r < 0 || memcmp(content, p->content, sizeof(content)) != 0)
		return error_set(e, -EINVAL, "another action has this digest");
	if (p->waiter_count >= LIMIT_REVIEW_WAITERS)
		return error_set(e, -EDQUOT, "too many wait for review %s (at most %u)", p->id.text,
			LIMIT_REVIEW_WAITERS);
	if (p->joined >= LIMIT_REVIEW_JOINED)
		return error_set(e, -EDQUOT, "too many have waited for review %s (at most %u)",
			p->id.text, LIMIT_REVIEW_JOINED);
	r = book_begin(b, false, e);
	if (r < 0)
		return r;
	r = book_end(b, add_waiter_row(b, p, q, &number), e);
	if (r < 0)
		return r;
	add_waiter(b, p, wait, q, user, number);
	note_size(b, LEDGER_WAITER_BYTES, now);
	book_changed(b, &p->id, BOOK_WAITERS);
	return 0;
}

static int open_new(struct book *b, const struct book_wait *wait, const struct question *q,
	struct slice encoded, const char *user, uint64_t now, struct pending **ret, struct error *e)
{
	struct requirement requirement;
	uint8_t kind[KIND_SIZE];
	char detail[512], hex[2 * QUESTION_DIGEST_SIZE + 1];
	struct pending *p;
	uint64_t number = 0;
	int r = requirement_find(b->config, q->scope.rules, q->scope.rule_count, &requirement, e);

	if (r == 0)
		r = check_room(b, q->scope.agent, now, e);
	if (r == 0)
		r = book_begin(b, false, e);
	if (r < 0)
		return r;
	p = new_pending(b, q, &requirement, now);
	r = content_of(q, p->content);
	if (r == 0)
		r = kind_of(q, kind);
	if (r == 0)
		r = add_row(b, p, q, encoded, kind);
	if (r == 0)
		r = add_waiter_row(b, p, q, &number);
	text_to_hex(slice_of(p->digest, sizeof(p->digest)), hex);
	snprintf(detail, sizeof(detail), "asked by agent %.64s, rule \"%.*s\", digest %s", p->agent,
		SLICE_PRINT(slice_head(p->rules[0], 200)), hex);
	book_note(b, HOST_REVIEW, &p->id, detail);
	r = book_end(b, r, e);
	if (r < 0) {
		pending_free(b, p);
		return r;
	}
	book_pace_take(b, p->agent);
	add_waiter(b, p, wait, q, user, number);
	note_size(b, encoded.length + LEDGER_WAITER_BYTES, now);
	book_changed(b, &p->id, BOOK_ASKED);
	*ret = p;
	return 0;
}

int book_ask(struct book *b, const struct book_wait *wait, const struct question *q,
	struct slice encoded, const char *user, uint64_t now, struct book_held *ret,
	struct error *e)
{
	struct pending *p = find_same(b, q);
	uint8_t content[QUESTION_DIGEST_SIZE];
	char *groups;
	int r;

	if (book_find_waiter(b, wait))
		return error_set(e, -EINVAL, "this wait has a review already");
	if (!p && content_of(q, content) == 0) {
		r = book_take_answer(b, wait, q, content, user, now, ret, e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	/* What is over is not joined, should its end not have been noticed yet. */
	if (p && now >= p->deadline) {
		pending_give_up(b, p, REVIEW_EXPIRED, "nobody decided in time", now);
		p = NULL;
	}
	r = p ? join(b, p, wait, q, user, now, e) : open_new(b, wait, q, encoded, user, now, &p, e);
	if (r < 0)
		return r;
	groups = requirement_groups(&p->requirement, " and ");
	ret->review = p->id;
	ret->deadline = p->deadline;
	snprintf(ret->reviewers, sizeof(ret->reviewers), "%s", groups);
	free(groups);
	return 0;
}
