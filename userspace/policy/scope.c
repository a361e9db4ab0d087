/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and keeping scopes.
 */
#include "policy/scope.h"

#include "base/memory.h"
#include "policy/private.h"

static void set_add(uint64_t *set, size_t index)
{
	set[index / 64] |= 1ULL << index % 64;
}

static void select_rules(struct policy_scope *s, uint8_t *ret_selections)
{
	const struct policy *p = s->policy;

	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];
		enum rule_selection selection = rule_select(p, r, &s->subject);

		if (selection != RULE_SELECTED && selection != RULE_SELECTED_UNKNOWN)
			continue;
		ret_selections[s->rule_count] = (uint8_t)selection;
		s->rules[s->rule_count++] = r;
	}
}

static void index_rule(struct policy_scope *s, size_t index, enum rule_selection selection)
{
	const struct policy_rule *r = s->rules[index];
	enum protocol_id protocol = s->subject.protocol;
	bool asks = rule_needs(r, protocol) & POLICY_NEEDS_TO_MATCH;

	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operation_is_of((enum operation)i, protocol) &&
			rule_means(r, (enum operation)i))
			set_add(s->by_operation + i * s->words, index);
	}
	if (selection == RULE_SELECTED)
		set_add(s->certain, index);
	if (r->objects.count || r->body_count)
		set_add(s->narrowed, index);
	s->asks_body |= r->body_count != 0;
	if (r->kind != RULE_DENY && rule_masks(r))
		set_add(s->masking, index);
	if (r->kind != RULE_DENY && r->secrets == SECRETS_SHOWN && selection == RULE_SELECTED)
		set_add(s->showing, index);
	if (r->kind != RULE_DENY && r->masked_values == MASKED_VALUES_PASS &&
		selection == RULE_SELECTED)
		set_add(s->passing, index);
	if (protocol == PROTOCOL_POSTGRES && r->as.length) {
		set_add(s->acting, index);
		s->acts = true;
	}
	if (r->kind == RULE_DENY)
		set_add(s->denies, index);
	else if (r->kind == RULE_REVIEW)
		set_add(s->reviews, index);
	else if (selection == RULE_SELECTED)
		set_add(s->allows, index);
	if (r->kind != RULE_ALLOW && asks)
		set_add(s->asking, index);
	if (!asks && rule_means_text(r, protocol))
		set_add(s->blanket, index);
}

/* People decide about what they see, so a script is theirs to see, whatever the rule asks for. */
static bool shows_script(const struct policy_rule *r, enum protocol_id protocol)
{
	return r->kind == RULE_REVIEW && protocol == PROTOCOL_SSH &&
		(rule_means(r, OPERATION_SSH_EXEC) || rule_means(r, OPERATION_SSH_SHELL));
}

/* Which facts can make a difference. Where everything is allowed anyway, an allow that only allows
 * asks in vain: what it covers is covered. (Were it otherwise, taking such a rule away could let
 * through a text that nobody can read.) */
static unsigned find_needs(const struct policy_scope *s)
{
	unsigned needs = 0;
	bool covered = false;

	for (size_t i = 0; i < s->words; i++)
		covered |= (s->blanket[i] & (s->allows[i] | s->reviews[i])) != 0;
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (!covered || r->kind != RULE_ALLOW || rule_masks(r) ||
			r->record == RECORD_MODE_ROWS || r->as.length)
			needs |= rule_needs(r, s->subject.protocol);
		if (shows_script(r, s->subject.protocol))
			needs |= POLICY_NEEDS_OBJECTS;
	}
	return needs;
}

static bool is_denied_whole(const struct policy_scope *s, enum operation operation)
{
	const uint64_t *meant = s->by_operation + operation * s->words;

	for (size_t i = 0; i < s->words; i++) {
		if (meant[i] & s->denies[i] & ~s->narrowed[i])
			return true;
	}
	return false;
}

/* Contract: connect is allowed where any rule for the resource could allow something. An operation
 * that is denied on every object can't be allowed by any. Names are judged one by one, without a
 * connection: who may look them up has no flow by that, whose datagrams nobody reads. */
static void find_openers(struct policy_scope *s)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		enum operation operation = (enum operation)i;
		bool denied;

		if (!operation_is_of(operation, s->subject.protocol) ||
			operation_get_group(operation) == OPERATION_GROUP_FREE ||
			operation == OPERATION_RESOLVE)
			continue;
		denied = is_denied_whole(s, operation);
		for (size_t j = 0; j < s->rule_count; j++) {
			const struct policy_rule *r = s->rules[j];

			if (!rule_means(r, operation))
				continue;
			if (r->kind == RULE_DENY && !SCOPE_SET_HAS(s->narrowed, j))
				set_add(s->closers, j);
			else if (!denied && (SCOPE_SET_HAS(s->allows, j) || r->kind == RULE_REVIEW))
				set_add(s->openers, j);
		}
	}
}

static void place_sets(struct policy_scope *s)
{
	uint64_t **const sets[] = {&s->allows, &s->reviews, &s->denies, &s->certain, &s->narrowed,
		&s->masking, &s->showing, &s->passing, &s->acting, &s->asking, &s->blanket,
		&s->openers, &s->closers};

	s->words = (s->rule_count + 63) / 64;
	s->bits =
		memory_new_array((OPERATION_COUNT + ARRAY_SIZE(sets)) * s->words, sizeof(*s->bits));
	s->by_operation = s->bits;
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		*sets[i] = s->bits + (OPERATION_COUNT + i) * s->words;
}

/* The masks of all rules are the policy's doing, so they don't count against the agent's limit. */
static size_t size_of_all_masks(const struct policy_scope *s)
{
	size_t size = 0;

	for (size_t i = 0; i < s->rule_count; i++)
		size += s->rules[i]->column_count * sizeof(struct mask_column) +
			s->rules[i]->json_count * sizeof(struct mask_json);
	return size;
}

static void build_scope(struct policy_scope *s)
{
	uint8_t *selections = memory_new_array(s->policy->rule_count, sizeof(*selections));

	s->rules = memory_new_array(s->policy->rule_count, sizeof(const struct policy_rule *));
	select_rules(s, selections);
	place_sets(s);
	for (size_t i = 0; i < s->rule_count; i++)
		index_rule(s, i, (enum rule_selection)selections[i]);
	s->needs = find_needs(s);
	find_openers(s);
	free(selections);
	arena_init(&s->interned, LIMIT_SCOPE_BYTES + size_of_all_masks(s));
	s->all_masks = scope_find_masks(s, s->masking);
	if (!s->all_masks)
		memory_exhausted(0); /* the limit has room for them */
}

/* Principals come from identity providers, so their texts are copied: the scope outlives the
 * session. */
static void copy_subject(struct policy_scope *s, const struct policy_subject *from)
{
	const struct principal *given = from->principal;
	struct principal *own = &s->principal;
	struct slice *groups;

	arena_init(&s->texts, SIZE_MAX);
	own->known = given->known;
	own->name = arena_copy(&s->texts, given->name);
	own->on_behalf_of = arena_copy(&s->texts, given->on_behalf_of);
	own->groups = groups = arena_new_array(&s->texts, given->group_count + 1, sizeof(*groups));
	if (!own->name.data || !own->on_behalf_of.data || !groups)
		memory_exhausted(0);
	for (; own->group_count < given->group_count; own->group_count++) {
		struct slice copy = arena_copy(&s->texts, given->groups[own->group_count]);

		if (!copy.data)
			memory_exhausted(0);
		groups[own->group_count] = copy;
	}
	s->subject = *from;
	s->subject.principal = own;
	s->subject.exe = arena_copy(&s->texts, from->exe);
	s->subject.exe_hash = arena_copy(&s->texts, from->exe_hash);
	if (!s->subject.exe.data || !s->subject.exe_hash.data)
		memory_exhausted(0);
}

static uint64_t hash_subject(const struct policy_subject *s)
{
	uint64_t state[5] = {s->agent->id, (uint64_t)s->resource << 32 | (uint64_t)s->protocol,
		s->principal->known, table_hash_slice(s->exe), table_hash_slice(s->exe_hash)};
	uint64_t hash = table_hash(state, sizeof(state));

	state[0] = table_hash_slice(s->principal->name);
	state[3] = table_hash_slice(s->principal->on_behalf_of);
	for (size_t i = 0; i < s->principal->group_count; i++) {
		state[1] = hash;
		state[2] = table_hash_slice(s->principal->groups[i]);
		hash = table_hash(state, sizeof(state));
	}
	state[1] = hash;
	return table_hash(state, sizeof(state));
}

static bool is_same_principal(const struct principal *a, const struct principal *b)
{
	if (a->known != b->known || !slice_equal(a->name, b->name) ||
		!slice_equal(a->on_behalf_of, b->on_behalf_of) || a->group_count != b->group_count)
		return false;
	for (size_t i = 0; i < a->group_count; i++) {
		if (!slice_equal(a->groups[i], b->groups[i]))
			return false;
	}
	return true;
}

static struct policy_scope *find_scope(
	const struct policy *p, const struct policy_subject *subject, uint64_t hash)
{
	const struct table *t = &p->private->scopes;

	for (struct table_node *node = table_find(t, hash); node; node = table_find_next(t, node)) {
		struct policy_scope *s = container_of(node, struct policy_scope, node);

		if (s->subject.agent == subject->agent &&
			s->subject.resource == subject->resource &&
			s->subject.protocol == subject->protocol &&
			slice_equal(s->subject.exe, subject->exe) &&
			slice_equal(s->subject.exe_hash, subject->exe_hash) &&
			is_same_principal(&s->principal, subject->principal))
			return s;
	}
	return NULL;
}

static void free_scope(struct policy_scope *s)
{
	table_done(&s->outcomes);
	table_done(&s->masks);
	arena_done(&s->interned);
	arena_done(&s->texts);
	free(s->bits);
	free(s->rules);
	free(s);
}

/* Policies of several threads count together. */
static uint64_t last_serial;

static struct policy_scope *new_scope(
	struct policy *p, const struct policy_subject *subject, uint64_t hash)
{
	struct policy_scope *s = memory_new(sizeof(*s));

	s->policy = p;
	s->serial = __atomic_add_fetch(&last_serial, 1, __ATOMIC_RELAXED);
	list_init(&s->idle);
	table_init(&s->outcomes);
	table_init(&s->masks);
	copy_subject(s, subject);
	build_scope(s);
	table_insert(&p->private->scopes, &s->node, hash);
	return s;
}

struct policy_scope *policy_scope_get(struct policy *p, const struct policy_subject *given)
{
	struct policy_subject whole = *given, *subject = &whole;
	struct policy_scope *s;
	uint64_t hash;

	/* Programs share a scope where no rule tells them apart. */
	if (!p->asks_exe)
		whole.exe = SLICE_EMPTY;
	if (!p->asks_exe_hash)
		whole.exe_hash = SLICE_EMPTY;
	hash = hash_subject(subject);
	s = find_scope(p, subject, hash);

	if (!s) {
		s = new_scope(p, subject, hash);
	} else if (s->references == 0) {
		list_remove(&s->idle);
		p->private->idle_count--;
	}
	if (s->references++ == 0)
		policy_get(p);
	return s;
}

struct policy_scope *policy_scope_hold(struct policy_scope *s)
{
	s->references++;
	return s;
}

uint64_t policy_scope_serial(const struct policy_scope *s)
{
	return s->serial;
}

static void drop_idle(struct policy *p, struct policy_scope *s)
{
	list_remove(&s->idle);
	p->private->idle_count--;
	table_remove(&p->private->scopes, &s->node);
	free_scope(s);
}

void policy_scope_put(struct policy_scope *s)
{
	struct policy_private *private;

	if (!s || --s->references > 0)
		return;
	private = s->policy->private;
	list_append(&private->idle, &s->idle);
	if (++private->idle_count > LIMIT_SCOPES_IDLE)
		drop_idle(s->policy, list_entry(private->idle.next, struct policy_scope, idle));
	policy_put(s->policy);
}

void policy_drop_scopes(struct policy *p)
{
	list_for_each_safe (position, &p->private->idle)
		drop_idle(p, list_entry(position, struct policy_scope, idle));
	table_done(&p->private->scopes);
}

const struct policy *policy_scope_policy(const struct policy_scope *s)
{
	return s->policy;
}

const struct policy_subject *policy_scope_subject(const struct policy_scope *s)
{
	return &s->subject;
}

unsigned policy_scope_needs(const struct policy_scope *s)
{
	return s->needs;
}

static bool means_all(const struct policy_rule *r, enum protocol_id protocol)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operation_is_of((enum operation)i, protocol) &&
			!rule_means(r, (enum operation)i))
			return false;
	}
	return true;
}

bool policy_scope_names(const struct policy_scope *s, enum operation operation)
{
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (r->names_operations && rule_means(r, operation) &&
			!means_all(r, s->subject.protocol))
			return true;
	}
	return false;
}

const struct mask_rules *policy_scope_masks(const struct policy_scope *s)
{
	return s->all_masks;
}
