/* SPDX-License-Identifier: Apache-2.0
 *
 * Outcomes: what a set of matching rules means together. Each set that occurs is worked out once
 * per scope. An agent chooses which sets occur, so the memory for them has a limit.
 */
#include "base/memory.h"
#include "policy/scope.h"

struct interned {
	struct table_node node;
	const uint64_t *key;
};

struct interned_outcome {
	struct interned interned;
	struct policy_outcome outcome;
};

struct interned_masks {
	struct interned interned;
	struct mask_rules masks;
};

static const struct mask_rules no_masks;
const struct policy_outcome scope_no_outcome = {.masks = &no_masks};

static struct interned *find(
	const struct table *t, const uint64_t *key, size_t words, uint64_t hash)
{
	for (struct table_node *node = table_find(t, hash); node; node = table_find_next(t, node)) {
		struct interned *i = container_of(node, struct interned, node);

		if (memcmp(i->key, key, words * sizeof(*key)) == 0)
			return i;
	}
	return NULL;
}

/* `size` bytes that begin with a struct interned; NULL beyond the limit. */
static void *intern(struct policy_scope *s, const uint64_t *key, size_t words, size_t size)
{
	struct interned *i = arena_new(&s->interned, size);
	struct slice copy = arena_copy(&s->interned, slice_of(key, words * sizeof(*key)));

	if (!i || !copy.data)
		return NULL;
	i->key = (const void *)copy.data;
	return i;
}

static size_t count_columns(const struct policy_scope *s, const uint64_t *set)
{
	size_t count = 0;

	for (size_t i = 0; i < s->rule_count; i++) {
		if (SCOPE_SET_HAS(set, i))
			count += s->rules[i]->column_count;
	}
	return count;
}

static int compare_columns(const void *a, const void *b)
{
	const struct mask_column *x = a, *y = b;
	size_t least =
		x->pattern.length < y->pattern.length ? x->pattern.length : y->pattern.length;
	int order = memcmp(x->pattern.data, y->pattern.data, least);

	return order
		? order
		: (x->pattern.length > y->pattern.length) - (x->pattern.length < y->pattern.length);
}

/* One entry per pattern: the strictest strategy, usable in filters where all say so. */
static size_t merge_columns(struct mask_column *columns, size_t count)
{
	size_t kept = 0;

	qsort(columns, count, sizeof(*columns), compare_columns);
	for (size_t i = 0; i < count; i++) {
		struct mask_column *last = kept ? &columns[kept - 1] : NULL;

		if (!last || compare_columns(last, &columns[i]) != 0) {
			columns[kept++] = columns[i];
			continue;
		}
		if (columns[i].strategy > last->strategy)
			last->strategy = columns[i].strategy;
		last->filter_allowed &= columns[i].filter_allowed;
	}
	return kept;
}

/* All of them: where several end at one value, the strictest holds. */
static bool add_up_json(struct policy_scope *s, const uint64_t *set, struct mask_rules *ret)
{
	struct mask_json *all;
	size_t count = 0, filled = 0;

	for (size_t i = 0; i < s->rule_count; i++)
		count += SCOPE_SET_HAS(set, i) ? s->rules[i]->json_count : 0;
	all = arena_new_array(&s->interned, count, sizeof(*all));
	for (size_t i = 0; all && i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (!SCOPE_SET_HAS(set, i) || r->json_count == 0)
			continue;
		memcpy(all + filled, r->json, r->json_count * sizeof(*all));
		filled += r->json_count;
	}
	ret->json = all;
	ret->json_count = filled;
	return all;
}

/* Of those that look into contents, the strictest. */
static enum mask_binary strictest_binary(const struct policy_scope *s, const uint64_t *set)
{
	enum mask_binary binary = MASK_BINARY_SEARCH;
	bool first = true;

	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (!SCOPE_SET_HAS(set, i) || !rule_masks_content(r))
			continue;
		binary = first ? r->binary : mask_binary_stricter(binary, r->binary);
		first = false;
	}
	return binary;
}

static bool add_up_masks(struct policy_scope *s, const uint64_t *set, struct mask_rules *ret)
{
	size_t count = count_columns(s, set), filled = 0;
	struct mask_column *columns = arena_new_array(&s->interned, count, sizeof(*columns));

	if (!columns)
		return false;
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (!SCOPE_SET_HAS(set, i))
			continue;
		if (r->column_count)
			memcpy(columns + filled, r->columns, r->column_count * sizeof(*columns));
		filled += r->column_count;
		for (size_t d = 0; d < DETECTOR_COUNT; d++) {
			if (r->detectors[d] > ret->detectors[d])
				ret->detectors[d] = (enum mask_strategy)r->detectors[d];
			ret->detects |= r->detectors[d] != MASK_NONE;
		}
	}
	ret->binary = strictest_binary(s, set);
	ret->columns = columns;
	ret->column_count = merge_columns(columns, filled);
	return true;
}

const struct mask_rules *scope_find_masks(struct policy_scope *s, const uint64_t *set)
{
	uint64_t hash = table_hash(set, s->words * sizeof(*set)), any = 0;
	struct interned_masks *made;
	struct interned *found;

	for (size_t i = 0; i < s->words; i++)
		any |= set[i];
	if (!any)
		return &no_masks;
	found = find(&s->masks, set, s->words, hash);
	if (found)
		return &container_of(found, struct interned_masks, interned)->masks;
	made = intern(s, set, s->words, sizeof(*made));
	if (!made || !add_up_masks(s, set, &made->masks) || !add_up_json(s, set, &made->masks))
		return NULL;
	table_insert(&s->masks, &made->interned.node, hash);
	return &made->masks;
}

/* The rules that decide: denies, else reviews, else allows. */
static const uint64_t *deciding_kind(const struct policy_scope *s, const uint64_t *matched)
{
	for (size_t i = 0; i < s->words; i++) {
		if (matched[i] & s->denies[i])
			return s->denies;
	}
	for (size_t i = 0; i < s->words; i++) {
		if (matched[i] & s->reviews[i])
			return s->reviews;
	}
	return s->allows;
}

/* Several reviews: the shortest times count. */
static void add_times(struct policy_outcome *o, const struct policy_rule *r)
{
	if (o->rule_count == 0 || r->within < o->within)
		o->within = r->within;
	if (o->rule_count == 0 || r->grant < o->grant)
		o->grant = r->grant;
}

static bool fill_outcome(struct policy_scope *s, const uint64_t *matched, const uint64_t *perhaps,
	struct policy_outcome *ret)
{
	const uint64_t *kind = deciding_kind(s, matched);
	bool denied = kind == s->denies;
	uint64_t masking[SCOPE_WORDS_MOST];
	const struct policy_rule **rules;
	size_t count = 0;

	for (size_t i = 0; i < s->words; i++) {
		count += (size_t)__builtin_popcountll(matched[i] & kind[i]);
		masking[i] = denied ? 0 : (matched[i] | perhaps[i]) & s->masking[i];
	}
	rules = arena_new_array(&s->interned, count, sizeof(*rules));
	ret->rules = rules;
	ret->masks = scope_find_masks(s, masking);
	if (!rules || !ret->masks)
		return false;
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct policy_rule *r = s->rules[i];

		if (!SCOPE_SET_HAS(matched, i))
			continue;
		ret->record_rows |= !denied && r->record == RECORD_MODE_ROWS;
		if (!SCOPE_SET_HAS(kind, i))
			continue;
		if (r->kind == RULE_REVIEW)
			add_times(ret, r);
		rules[ret->rule_count++] = r;
	}
	return true;
}

const struct policy_outcome *scope_find_outcome(
	struct policy_scope *s, const uint64_t *matched, const uint64_t *perhaps)
{
	uint64_t key[2 * SCOPE_WORDS_MOST], hash, any = 0;
	struct interned_outcome *made;
	struct interned *found;

	for (size_t i = 0; i < s->words; i++) {
		key[i] = matched[i];
		key[s->words + i] = perhaps[i] & s->masking[i];
		any |= key[i] | key[s->words + i];
	}
	if (!any)
		return &scope_no_outcome;
	hash = table_hash(key, 2 * s->words * sizeof(*key));
	found = find(&s->outcomes, key, 2 * s->words, hash);
	if (found)
		return &container_of(found, struct interned_outcome, interned)->outcome;
	made = intern(s, key, 2 * s->words, sizeof(*made));
	if (!made || !fill_outcome(s, matched, perhaps, &made->outcome))
		return NULL;
	table_insert(&s->outcomes, &made->interned.node, hash);
	return &made->outcome;
}
