/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of rules: above all, that each of them can match something. A rule that never matches is a
 * deny that does not deny.
 */
#include "policy/config_check.h"

#include "base/limits.h"
#include "base/memory.h"
#include "policy/body.h"
#include "policy/object.h"
#include "policy/rule.h"
#include "policy/suggest.h"

#define ALL_PROTOCOLS ((1u << PROTOCOL_COUNT) - 1)
#define RULE_NAME_MOST 200
#define ROLE_NAME_MOST 63 /* NAMEDATALEN - 1: the server cuts what is longer */

/* One rule under examination. */
struct rule_check {
	const struct config *config;
	struct loader *loader;
	const struct config_rule *rule;
	unsigned
		named; /* protocols of the resources that the rule names; all where it names none */
	unsigned present; /* the same, where it names none those of all resources that there are */
	struct operation_set operations; /* all that the rule means */
	bool means_something; /* there is one of them */
};

static bool is_given(const struct config_texts *list)
{
	return list->place.file;
}

static void check_lists(struct rule_check *k)
{
	const struct config_rule *r = k->rule;
	const struct {
		const char *key;
		const struct config_texts *list;
	} lists[] = {
		{"agents", &r->agents},
		{"groups", &r->groups},
		{"principals", &r->principals},
		{"exe", &r->exe},
		{"resources", &r->resources},
		{"operations", &r->operations},
		{"objects", &r->objects},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		if (is_given(lists[i].list) && lists[i].list->count == 0)
			loader_error(k->loader, lists[i].list->place,
				"\"%s\": an empty list matches nothing; leave the key out to match "
				"anything",
				lists[i].key);
	}
}

static void check_kind(struct rule_check *k)
{
	const struct config_rule *r = k->rule;
	int kinds = (r->allow != NULL) + (r->review != NULL) + (r->deny != NULL);

	if (kinds != 1)
		loader_error(k->loader, r->place,
			"a rule needs one of \"allow\", \"review\" and "
			"\"deny\"%s",
			kinds ? ", not several" : "");
	if (r->name.text && strlen(r->name.text) > RULE_NAME_MOST)
		loader_error(
			k->loader, r->name.place, "\"name\": longer than %d bytes", RULE_NAME_MOST);
}

/* Without an identity an agent has neither principal nor groups. */
static void check_identity(struct rule_check *k, const char *key, const struct config_texts *list)
{
	const struct config *c = k->config;

	if (!c->file || !is_given(list))
		return;
	for (size_t i = 0; i < c->agent_count; i++) {
		const struct config_agent *agent = &c->agents[i];
		bool meant = !is_given(&k->rule->agents);

		for (size_t j = 0; j < k->rule->agents.count && !meant; j++)
			meant = agent->name.text &&
				strcmp(agent->name.text, k->rule->agents.items[j].text) == 0;
		if (meant && agent->identity)
			return;
	}
	loader_error(k->loader, list->place,
		"\"%s\": this rule can never match; expected an agent with \"identity\"", key);
}

static bool is_hash(const char *text)
{
	const size_t prefix = strlen(RULE_HASH_PREFIX);

	return strncmp(text, RULE_HASH_PREFIX, prefix) == 0 &&
		strspn(text + prefix, "0123456789abcdef") == 64 && strlen(text) == prefix + 64;
}

/* The kernel has absolute paths alone, in which links are followed. */
static void check_programs(struct rule_check *k)
{
	const struct config_texts *list = &k->rule->exe;

	for (size_t i = 0; i < list->count; i++) {
		const char *path = list->items[i].text;

		if (is_hash(path))
			continue;
		if (path[0] != '/' && path[0] != '*')
			loader_error(k->loader, list->items[i].place,
				"\"exe\": expected the absolute path of a program, perhaps with "
				"\"*\", or \"sha256:\" and 64 digits (0-9, a-f), not \"%s\"",
				path);
	}
}

static void check_agents(struct rule_check *k)
{
	const struct config *c = k->config;
	struct config_array agents = CONFIG_ARRAY(c->agents, c->agent_count, "agent");

	for (size_t i = 0; c->file && i < k->rule->agents.count; i++)
		config_check_reference(
			k->loader, "agents", &k->rule->agents.items[i], &agents, NULL);
	check_programs(k);
	check_identity(k, "groups", &k->rule->groups);
	check_identity(k, "principals", &k->rule->principals);
}

static unsigned protocol_bit(const struct config_resource *resource)
{
	return resource->protocol.value < PROTOCOL_COUNT ? 1u << resource->protocol.value
							 : ALL_PROTOCOLS;
}

static void find_named_protocols(struct rule_check *k, const struct config_array *resources)
{
	const struct config *c = k->config;

	k->named = 0;
	for (size_t i = 0; i < k->rule->resources.count; i++) {
		const struct config_text *name = &k->rule->resources.items[i];
		const struct config_resource *resource = config_find_resource(c, name->text);

		config_check_reference(k->loader, "resources", name, resources, CONFIG_EGRESS);
		k->named |= resource ? protocol_bit(resource) : ALL_PROTOCOLS;
		if (strcmp(name->text, CONFIG_EGRESS) == 0 && c->egress.value == EGRESS_DENY)
			loader_error(k->loader, name->place,
				"\"resources\": \"" CONFIG_EGRESS
				"\" can never match with \"egress: deny\"");
	}
	k->present = k->named;
}

static void check_resources(struct rule_check *k)
{
	const struct config *c = k->config;
	struct config_array resources = CONFIG_ARRAY(c->resources, c->resource_count, "resource");

	k->named = k->present = ALL_PROTOCOLS;
	if (!c->file)
		return;
	if (k->rule->resources.count) {
		find_named_protocols(k, &resources);
		return;
	}
	if (c->egress.value != EGRESS_DENY || c->resource_count == 0)
		return;
	k->present = 0;
	for (size_t i = 0; i < c->resource_count; i++)
		k->present |= protocol_bit(&c->resources[i]);
}

static unsigned add_operations(struct operation_set *set, const char *name, unsigned protocols)
{
	unsigned added = 0;

	for (unsigned i = 0; i < PROTOCOL_COUNT; i++) {
		if (protocols >> i & 1)
			added += operation_set_add_name(
				set, slice_from_string(name), (enum protocol_id)i);
	}
	return added;
}

static void report_operation(struct rule_check *k, const struct config_text *name)
{
	static const char *const others[] = {"*", "read", "write", "ddl", "admin"};
	struct operation_set any = {0};
	struct suggestion near;

	if (add_operations(&any, name->text, ALL_PROTOCOLS)) {
		loader_error(k->loader, name->place,
			"\"operations\": the resources of this rule have no \"%s\"; expected "
			"operations of their protocols",
			name->text);
		return;
	}
	suggestion_init(&near, name->text);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		suggestion_offer(&near, others[i]);
	for (unsigned i = 0; i < OPERATION_COUNT; i++)
		suggestion_offer(&near, operation_name((enum operation)i));
	loader_error(k->loader, name->place,
		"\"operations\": there is no operation \"%s\"" SUGGESTION_FORMAT, name->text,
		SUGGESTION_PRINT(&near));
}

static void check_operations(struct rule_check *k)
{
	const struct config_texts *list = &k->rule->operations;

	for (size_t i = 0; i < list->count; i++) {
		if (add_operations(&k->operations, list->items[i].text, k->named))
			k->means_something = true;
		else
			report_operation(k, &list->items[i]);
	}
	if (!is_given(list))
		k->means_something = add_operations(&k->operations, "*", ALL_PROTOCOLS);
}

static bool has_operation_of(const struct operation_set *set, enum protocol_id protocol)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operation_set_has(set, (enum operation)i) &&
			operation_is_of((enum operation)i, protocol))
			return true;
	}
	return false;
}

/* Name servers are asked whether or not a resource names them. */
static bool is_about_names(const struct rule_check *k)
{
	return operation_set_has(&k->operations, OPERATION_RESOLVE) &&
		!operation_set_has(&k->operations, OPERATION_CONNECT);
}

/* The rule's protocols that have some of its operations. */
static unsigned meant_protocols(const struct rule_check *k)
{
	unsigned meant = 0;

	for (unsigned i = 0; i < PROTOCOL_COUNT; i++) {
		if (k->present >> i & 1 && has_operation_of(&k->operations, (enum protocol_id)i))
			meant |= 1u << i;
	}
	if (is_about_names(k))
		meant |= 1u << PROTOCOL_UDP;
	return meant;
}

/* Of several protocols the first that has objects speaks for all. */
static const char *objects_expected(unsigned protocols)
{
	for (unsigned i = PROTOCOL_TCP + 1; i < PROTOCOL_COUNT; i++) {
		if (protocols >> i & 1)
			return object_expected((enum protocol_id)i);
	}
	return object_expected(PROTOCOL_TCP);
}

/* The best fit in any of the protocols. */
static enum object_fit best_fit(
	const struct rule_check *k, const struct config_text *object, unsigned protocols)
{
	enum object_fit best = OBJECT_NEVER_FITS;

	for (unsigned i = 0; i < PROTOCOL_COUNT; i++) {
		enum object_fit fit = object_fit(
			(enum protocol_id)i, slice_from_string(object->text), &k->operations);

		if (protocols >> i & 1 && fit < best)
			best = fit;
	}
	return best;
}

static void check_object(struct rule_check *k, const struct config_text *object, unsigned protocols)
{
	const unsigned ssh = 1u << PROTOCOL_SSH;
	enum object_fit best = best_fit(k, object, protocols);

	if (best == OBJECT_NEVER_FITS)
		loader_error(k->loader, object->place,
			"\"objects\": \"%s\" can never match here; expected %s", object->text,
			objects_expected(protocols));
	else if (protocols != ssh && best_fit(k, object, protocols & ~ssh) == OBJECT_NEVER_FITS)
		loader_warning(k->loader, object->place,
			"\"objects\": \"%s\" means only a command line or path of ssh; for others "
			"expected %s",
			object->text, objects_expected(protocols & ~ssh));
	else if (best == OBJECT_FITS_SELDOM)
		loader_warning(k->loader, object->place,
			"\"objects\": \"%s\" means only what has no schema (a setting, a role); a "
			"table is SCHEMA.TABLE",
			object->text);
}

static void check_objects(struct rule_check *k)
{
	unsigned protocols = meant_protocols(k);

	if (!k->means_something)
		return; /* reported with the operations */
	if (!protocols) {
		loader_error(k->loader, k->rule->operations.place,
			"\"operations\": no resource has any of these; this rule can never match");
		return;
	}
	if (k->rule->allow && k->rule->objects.count && !is_given(&k->rule->operations))
		loader_warning(k->loader, k->rule->objects.place,
			"without \"operations\" this also allows what has no object (do, cursor, "
			"…)");
	for (size_t i = 0; i < k->rule->objects.count; i++)
		check_object(k, &k->rule->objects.items[i], protocols);
}

static void check_secrets(struct rule_check *k, const struct config_choice *secrets)
{
	if (secrets->place.file && !(k->present & 1u << PROTOCOL_KUBERNETES))
		loader_error(k->loader, secrets->place,
			"\"secrets\" means those of Kubernetes, of which this rule has no "
			"resources");
}

static void check_masked_values(struct rule_check *k, const struct config_choice *values)
{
	if (values->place.file && !(k->present & (1u << PROTOCOL_HTTP | 1u << PROTOCOL_KUBERNETES)))
		loader_error(k->loader, values->place,
			"\"masked_values\" is about requests of HTTP and Kubernetes, of which this "
			"rule has no resources");
}

/* Whether the rule means something that can run as another role. */
static bool reads_or_writes(const struct rule_check *k)
{
	struct operation_set some = {0};

	add_operations(&some, "read", 1u << PROTOCOL_POSTGRES);
	add_operations(&some, "write", 1u << PROTOCOL_POSTGRES);
	operation_set_add(&some, OPERATION_FUNCTION);
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operation_set_has(&some, (enum operation)i) &&
			operation_set_has(&k->operations, (enum operation)i))
			return true;
	}
	return !k->means_something; /* reported with the operations */
}

/* "none" is no role, however it is quoted. */
static bool is_role(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++) {
		if (name[i] < ' ' || name[i] > '~')
			return false;
	}
	return length && length <= ROLE_NAME_MOST && strcmp(name, "none") != 0;
}

static bool is_about(const struct rule_check *k, const struct config_resource *resource)
{
	const struct config_texts *names = &k->rule->resources;

	if (resource->protocol.value != PROTOCOL_POSTGRES)
		return false;
	for (size_t i = 0; i < names->count; i++) {
		if (resource->name.text && strcmp(names->items[i].text, resource->name.text) == 0)
			return true;
	}
	return !is_given(names);
}

/* The one who logs in must be a member of the role, which the agent's own user is not to be. */
static void check_role(struct rule_check *k, const struct config_text *as)
{
	const struct config *c = k->config;

	if (!as->place.file || !as->text)
		return;
	if (!(k->present & 1u << PROTOCOL_POSTGRES))
		loader_error(k->loader, as->place,
			"\"as\" means a role of PostgreSQL, of which this rule has no resources");
	else if (!reads_or_writes(k))
		loader_error(k->loader, as->place,
			"\"as\": none of the rule's operations can run as another role; expected "
			"some that read or write");
	if (!is_role(as->text))
		loader_error(k->loader, as->place,
			"\"as\": expected the name of a role, at most %d printable characters of "
			"ASCII, not \"%s\"",
			ROLE_NAME_MOST, as->text);
	for (size_t i = 0; c->file && i < c->resource_count; i++) {
		const struct config_resource *resource = &c->resources[i];

		if (is_about(k, resource) && !resource->credentials)
			loader_error(k->loader, as->place,
				"\"as\": resource \"%s\" has no \"credentials\"; expected some, "
				"whose user is a member of that role",
				resource->name.text ? resource->name.text : "?");
	}
}

/* Of what is looked for in bodies. */
static void check_body(struct rule_check *k)
{
	const unsigned bodies = 1u << PROTOCOL_HTTP | 1u << PROTOCOL_KUBERNETES;
	const struct config_rule *r = k->rule;

	if (!r->bodies)
		return;
	if (r->body_count == 0)
		loader_error(k->loader, r->place,
			"\"body\": an empty mapping asks for nothing; leave the key out to match "
			"anything");
	else if (!(meant_protocols(k) & bodies))
		loader_error(k->loader, r->bodies[0].place,
			"\"body\": the resources and operations of this rule have none");
	for (size_t i = 0; i < r->body_count; i++) {
		const struct config_named_texts *body = &r->bodies[i];

		if (!body_path_is_valid(slice_from_string(body->name.text)))
			loader_error(k->loader, body->name.place,
				"\"body\": expected a path as $.params.name, not \"%s\"",
				body->name.text);
		if (body->texts.count == 0)
			loader_error(k->loader, body->place,
				"\"body\": an empty list of values matches nothing");
	}
}

static void check_verdict(struct rule_check *k)
{
	const struct config *c = k->config;
	const struct config_rule *r = k->rule;
	struct config_array reviewers =
		CONFIG_ARRAY(c->reviewers, c->reviewer_count, "group of reviewers");

	if (r->allow)
		check_secrets(k, &r->allow->secrets);
	if (r->allow)
		check_masked_values(k, &r->allow->masked_values);
	if (r->review)
		check_masked_values(k, &r->review->masked_values);
	if (r->review)
		check_secrets(k, &r->review->secrets);
	if (r->allow)
		check_role(k, &r->allow->as);
	if (r->review)
		check_role(k, &r->review->as);
	if (r->allow)
		config_check_masks(k->loader, r->allow->masks, r->allow->mask_count, k->present);
	if (r->review)
		config_check_masks(k->loader, r->review->masks, r->review->mask_count, k->present);
	if (r->review && c->file)
		config_check_reference(k->loader, "by", &r->review->by, &reviewers, NULL);
}

static bool list_has(const struct config_texts *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i].text, text) == 0)
			return true;
	}
	return false;
}

/* Whether the rule makes people decide about connections to what no resource names. */
static bool asks_about_egress(const struct config_rule *r)
{
	return r->review && (!is_given(&r->resources) || list_has(&r->resources, CONFIG_EGRESS)) &&
		(list_has(&r->operations, operation_name(OPERATION_CONNECT)) ||
			list_has(&r->operations, "*"));
}

/* Who decides, only a rule says. */
static void check_egress(const struct config *c, struct loader *l)
{
	bool any = c->egress.value != EGRESS_REVIEW;

	for (size_t i = 0; i < c->rule_count; i++)
		any |= asks_about_egress(&c->rules[i]);
	if (!any)
		loader_error(l, c->egress.place,
			"\"egress: review\": no rule says who decides; expected one with "
			"\"resources: [" CONFIG_EGRESS
			"]\", \"operations: [connect]\" and \"review\"");
}

void config_check_rules(struct config *c, struct loader *l)
{
	struct config_array rules = CONFIG_ARRAY(c->rules, c->rule_count, "rule");

	if (c->rule_count > LIMIT_POLICY_RULES) {
		loader_error(l, c->rules[LIMIT_POLICY_RULES].place, "more than %u rules",
			LIMIT_POLICY_RULES);
		return;
	}
	config_check_unique(l, &rules);
	for (size_t i = 0; i < c->rule_count; i++) {
		struct rule_check k = {.config = c, .loader = l, .rule = &c->rules[i]};

		check_lists(&k);
		check_kind(&k);
		check_agents(&k);
		check_resources(&k);
		check_operations(&k);
		check_objects(&k);
		check_body(&k);
		check_verdict(&k);
	}
	check_egress(c, l);
}
