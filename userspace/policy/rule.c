/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rule.h"

#include "base/text.h"
#include "policy/object.h"

const struct principal principal_none = {.known = true};

static bool has_number(const uint32_t *numbers, size_t count, uint32_t wanted)
{
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] == wanted)
			return true;
	}
	return false;
}

static bool has_text(const struct policy_texts *texts, struct slice wanted)
{
	for (size_t i = 0; i < texts->count; i++) {
		if (slice_equal(texts->items[i], wanted))
			return true;
	}
	return false;
}

static bool selects_principal(const struct policy_rule *r, const struct principal *p)
{
	bool group = r->groups.count == 0;

	for (size_t i = 0; i < p->group_count && !group; i++)
		group = has_text(&r->groups, p->groups[i]);
	return group && (r->principals.count == 0 || has_text(&r->principals, p->name));
}

bool rule_is_of_agent(const struct policy_rule *r, uint32_t agent)
{
	return r->agent_count == 0 || has_number(r->agents, r->agent_count, agent);
}

struct slice rule_exe_hash(struct slice item)
{
	const struct slice prefix = slice_from_string(RULE_HASH_PREFIX);

	return slice_starts_with(item, prefix) ? slice_from(item, prefix.length) : SLICE_EMPTY;
}

/* One item that is known to be met is enough, whatever is not known beside it. */
static enum rule_selection select_program(
	const struct policy_rule *r, const struct policy_subject *s)
{
	enum rule_selection found = r->exe.count ? RULE_OTHER_PROGRAM : RULE_SELECTED;

	for (size_t i = 0; i < r->exe.count && found != RULE_SELECTED; i++) {
		struct slice item = r->exe.items[i], hash = rule_exe_hash(item),
			     fact = hash.length ? s->exe_hash : s->exe;

		if (fact.length == 0)
			found = RULE_SELECTED_UNKNOWN;
		else if (hash.length ? slice_equal(hash, fact) : text_glob(item, fact))
			found = RULE_SELECTED;
	}
	return found;
}

enum rule_selection rule_select(
	const struct policy *p, const struct policy_rule *r, const struct policy_subject *s)
{
	uint32_t agent = (uint32_t)(s->agent - p->agents);
	enum rule_selection program;

	if (!rule_is_of_agent(r, agent))
		return RULE_OTHER_AGENT;
	if (r->resource_count && !has_number(r->resources, r->resource_count, s->resource))
		return RULE_OTHER_RESOURCE;
	if (s->principal->known && !selects_principal(r, s->principal))
		return RULE_OTHER_PRINCIPAL;
	program = select_program(r, s);
	if (program == RULE_SELECTED && !s->principal->known &&
		(r->groups.count || r->principals.count))
		return RULE_SELECTED_UNKNOWN;
	return program;
}

/* What a rule without `operations` means: everything, but
 * - replication and function calls show no text, and the connection is judged by what it could be
 *   used for, and what is relayed unread says nothing of what it does: an allow or review has to
 *   name them ("*" names everything), a deny does not;
 * - what needs no rule is not denied or held by a rule that does not name it. */
static bool means_unnamed(enum rule_kind kind, enum operation operation)
{
	if (operation_get_group(operation) == OPERATION_GROUP_FREE)
		return kind == RULE_ALLOW;
	switch (operation) {
	case OPERATION_REPLICATION:
	case OPERATION_FUNCTION_CALL:
	case OPERATION_KUBE_PROXY_SPDY:
		return kind == RULE_DENY;
	case OPERATION_CONNECT:
		return kind != RULE_REVIEW;
	default:
		return true;
	}
}

bool rule_means(const struct policy_rule *r, enum operation operation)
{
	if (r->names_operations)
		return operation_set_has(&r->operations, operation);
	return means_unnamed(r->kind, operation);
}

enum rule_fit rule_fit_object(
	const struct policy_rule *r, enum protocol_id protocol, const struct action_pair *pair)
{
	bool below = pair->everything &&
		operation_get_group(pair->operation) == OPERATION_GROUP_RESTATED;
	bool possible = false;

	if (r->objects.count == 0)
		return RULE_FITS;
	if (pair->state == OBJECT_NONE)
		return r->kind == RULE_ALLOW ? RULE_FITS : RULE_FITS_NOT;
	/* Patterns mean what is connected to where the rule says that it is about connecting. */
	if (pair->operation == OPERATION_CONNECT && !r->names_operations && r->kind != RULE_ALLOW)
		return RULE_FITS_NOT;
	if (pair->state == OBJECT_UNKNOWN)
		return RULE_FITS_PERHAPS;
	for (size_t i = 0; i < r->objects.count; i++) {
		enum object_match match = object_match(protocol, r->objects.items[i], pair->object);

		if (match == OBJECT_MATCHES)
			return RULE_FITS;
		possible |= match == OBJECT_MATCHES_PERHAPS ||
			(below && object_may_be_below(r->objects.items[i], pair->object));
	}
	return possible ? RULE_FITS_PERHAPS : RULE_FITS_NOT;
}

/* Operations that are known without reading a text: the others of the protocol are those that a
 * text may turn out to be. */
static bool is_text_operation(enum operation operation, enum protocol_id protocol)
{
	return operation_is_of(operation, protocol) && operation != OPERATION_CONNECT &&
		operation != OPERATION_REPLICATION && operation != OPERATION_FUNCTION_CALL;
}

static void count_text_operations(
	const struct policy_rule *r, enum protocol_id protocol, size_t *ret_meant, size_t *ret_all)
{
	*ret_meant = *ret_all = 0;
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (!is_text_operation((enum operation)i, protocol))
			continue;
		++*ret_all;
		*ret_meant += rule_means(r, (enum operation)i);
	}
}

bool rule_means_text(const struct policy_rule *r, enum protocol_id protocol)
{
	size_t meant, all;

	count_text_operations(r, protocol, &meant, &all);
	return meant != 0;
}

bool rule_masks_content(const struct policy_rule *r)
{
	bool detects = false;

	for (size_t i = 0; i < DETECTOR_COUNT; i++)
		detects |= r->detectors[i] != MASK_NONE;
	return detects || r->json_count;
}

bool rule_masks(const struct policy_rule *r)
{
	return r->column_count || rule_masks_content(r);
}

unsigned rule_needs(const struct policy_rule *r, enum protocol_id protocol)
{
	unsigned needs = 0;
	size_t meant, all;

	count_text_operations(r, protocol, &meant, &all);
	if (meant == 0)
		return 0;
	if (r->names_operations && meant != all)
		needs |= POLICY_NEEDS_OPERATIONS;
	if (r->objects.count)
		needs |= POLICY_NEEDS_OBJECTS;
	if (r->body_count)
		needs |= POLICY_NEEDS_BODY;
	if (r->column_count)
		needs |= POLICY_NEEDS_COLUMNS;
	/* Not everything can run as another role, and there names may be looked up elsewhere. */
	if (protocol == PROTOCOL_POSTGRES && r->as.length)
		needs |= POLICY_NEEDS_OPERATIONS | POLICY_NEEDS_OBJECTS;
	return needs;
}
