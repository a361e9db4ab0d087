/* SPDX-License-Identifier: Apache-2.0
 *
 * From a checked configuration to a policy.
 */
#include <errno.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "policy/config.h"
#include "policy/private.h"

struct compile {
	const struct config *config;
	struct arena *arena;
};

static struct policy_texts copy_texts(struct compile *k, const struct config_texts *list)
{
	struct policy_texts texts = {.count = list->count};

	texts.items = node_allocate(k->arena, (list->count + 1) * sizeof(*texts.items));
	for (size_t i = 0; i < list->count; i++)
		texts.items[i] = slice_from_string(list->items[i].text);
	return texts;
}

static void compile_agent(
	struct compile *k, const struct config_agent *from, struct policy_agent *ret)
{
	ret->id = from->id;
	ret->name = slice_from_string(from->name.text);
	ret->cgroup = slice_from_string(from->cgroup.text ? from->cgroup.text : "");
	ret->users = copy_texts(k, &from->users);
	ret->listen = (enum listen_mode)from->listen.value;
	ret->udp = (enum udp_mode)from->udp.value;
	ret->identified = from->identity;
	if (from->limits)
		ret->limits = (struct policy_limits){
			.sessions = from->limits->sessions.value,
			.rate = from->limits->rate.value,
			.bandwidth = from->limits->bandwidth.value,
		};
}

static enum policy_login login_of(const struct config_credentials *from)
{
	if (from->bearer_file.text)
		return LOGIN_BEARER;
	if (from->basic_file.text)
		return LOGIN_BASIC;
	if (from->header)
		return LOGIN_HEADER;
	if (from->query)
		return LOGIN_QUERY;
	return from->password_file.text ? LOGIN_PASSWORD : LOGIN_CERTIFICATE;
}

/* Header lines, as they leave. */
static struct slice impersonated(struct compile *k, const struct config_impersonate *from)
{
	struct slice text = SLICE_EMPTY;
	struct buffer lines;
	uint8_t *copy;

	buffer_init(&lines, LIMIT_HTTP_HEAD);
	buffer_append_format(&lines, "impersonate-user: %s\r\n", from->user.text);
	for (size_t i = 0; i < from->groups.count; i++)
		buffer_append_format(
			&lines, "impersonate-group: %s\r\n", from->groups.items[i].text);
	copy = node_allocate(k->arena, buffer_length(&lines) + 1);
	memcpy(copy, buffer_slice(&lines).data, buffer_length(&lines));
	text = slice_of(copy, buffer_length(&lines));
	buffer_done(&lines);
	return text;
}

static void compile_login(
	struct compile *k, const struct config_credentials *from, struct policy_resource *ret)
{
	const struct config_header *named = from->header ? from->header : from->query;

	if (from->impersonate)
		ret->login_impersonates = impersonated(k, from->impersonate);
	ret->login = login_of(from);
	ret->login_user = slice_from_string(from->user.text);
	ret->login_chain = from->client_text;
	if (named)
		ret->login_name = slice_from_string(named->name.text);
}

static void compile_resource(
	struct compile *k, const struct config_resource *from, struct policy_resource *ret)
{
	ret->name = slice_from_string(from->name.text);
	ret->protocol = (enum protocol_id)from->protocol.value;
	ret->tls_upstream = TLS_UPSTREAM_AS_CLIENT;
	if (from->tls) {
		ret->tls_upstream = (enum tls_upstream)from->tls->upstream.value;
		ret->tls_mode = (enum tls_mode)from->tls->mode.value;
		ret->ca_text = from->tls->ca_text;
		ret->server_name = slice_from_string(from->tls->server_name.text);
	}
	if (from->upstream)
		ret->unix_path = slice_from_string(from->upstream->unix_path.text);
	ret->allow_cleartext = from->allow_cleartext;
	ret->names_identity = from->application_name.value == APPLICATION_IDENTITY ||
		(from->application_name.value == APPLICATION_BY_CREDENTIALS && from->credentials &&
			ret->protocol == PROTOCOL_POSTGRES);
	ret->reuse = from->reuse_time;
	if (from->credentials)
		compile_login(k, from->credentials, ret);
	ret->hosts = from->hosts;
	ret->host_count = from->host_count;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static size_t sort_numbers(uint32_t *numbers, size_t count)
{
	size_t kept = 0;

	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || numbers[kept - 1] != numbers[i])
			numbers[kept++] = numbers[i];
	}
	return kept;
}

static void compile_agents(
	struct compile *k, const struct config_texts *names, struct policy_rule *ret)
{
	ret->agents = node_allocate(k->arena, (names->count + 1) * sizeof(*ret->agents));
	for (size_t i = 0; i < names->count; i++)
		ret->agents[i] = (uint32_t)(config_find_agent(k->config, names->items[i].text) -
			k->config->agents);
	ret->agent_count = sort_numbers(ret->agents, names->count);
}

static void compile_resources(
	struct compile *k, const struct config_texts *names, struct policy_rule *ret)
{
	ret->resources = node_allocate(k->arena, (names->count + 1) * sizeof(*ret->resources));
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i].text;

		ret->resources[i] = strcmp(name, CONFIG_EGRESS) == 0
			? POLICY_EGRESS
			: (uint32_t)(config_find_resource(k->config, name) - k->config->resources);
	}
	ret->resource_count = sort_numbers(ret->resources, names->count);
}

static void compile_bodies(
	struct compile *k, const struct config_rule *from, struct policy_rule *ret)
{
	ret->bodies = node_allocate(k->arena, (from->body_count + 1) * sizeof(*ret->bodies));
	for (; ret->body_count < from->body_count; ret->body_count++) {
		const struct config_named_texts *body = &from->bodies[ret->body_count];

		ret->bodies[ret->body_count] = (struct policy_body){
			slice_from_string(body->name.text), copy_texts(k, &body->texts)};
	}
}

static void compile_operations(const struct config_texts *names, struct policy_rule *ret)
{
	ret->names_operations = names->count != 0;
	for (size_t i = 0; i < names->count; i++)
		operation_set_add_name(
			&ret->operations, slice_from_string(names->items[i].text), PROTOCOL_COUNT);
}

static void add_detectors(const struct config_mask *mask, struct policy_rule *ret)
{
	uint32_t with = (uint32_t)mask->with.value + 1;

	for (size_t i = 0; i < mask->detect.count; i++) {
		uint32_t *strategy = &ret->detectors[detector_from_name(
			slice_from_string(mask->detect.items[i].text))];

		if (with > *strategy)
			*strategy = with;
	}
}

static void add_json(const struct config_mask *mask, struct policy_rule *ret)
{
	for (size_t i = 0; i < mask->json.count; i++)
		ret->json[ret->json_count++] = (struct mask_json){
			.path = slice_from_string(mask->json.items[i].text),
			.strategy = (enum mask_strategy)(mask->with.value + 1),
		};
}

/* A mask that says nothing says "search". */
static void add_binary(const struct config_mask *mask, bool *first, struct policy_rule *ret)
{
	enum mask_binary binary = (enum mask_binary)mask->binary.value;

	if (mask->json.count + mask->detect.count == 0)
		return;
	ret->binary = *first ? binary : mask_binary_stricter(ret->binary, binary);
	*first = false;
}

static void compile_masks(
	struct compile *k, const struct config_mask *masks, size_t count, struct policy_rule *ret)
{
	size_t columns = 0, paths = 0;
	bool first = true;

	for (size_t i = 0; i < count; i++) {
		columns += masks[i].columns.count;
		paths += masks[i].json.count;
	}
	ret->json = node_allocate(k->arena, (paths + 1) * sizeof(*ret->json));
	ret->columns = node_allocate(k->arena, (columns + 1) * sizeof(*ret->columns));
	for (size_t i = 0; i < count; i++) {
		add_detectors(&masks[i], ret);
		add_json(&masks[i], ret);
		add_binary(&masks[i], &first, ret);
		for (size_t j = 0; j < masks[i].columns.count; j++)
			ret->columns[ret->column_count++] = (struct mask_column){
				.pattern = slice_from_string(masks[i].columns.items[j].text),
				.strategy = (enum mask_strategy)(masks[i].with.value + 1),
				.filter_allowed = masks[i].filter.value == MASK_FILTER_ALLOW,
			};
	}
}

static void compile_verdict(
	struct compile *k, const struct config_rule *from, struct policy_rule *ret)
{
	if (from->allow) {
		ret->kind = RULE_ALLOW;
		ret->record = (enum record_mode)from->allow->record.value;
		ret->secrets = (enum secrets_mode)from->allow->secrets.value;
		ret->masked_values = (enum masked_values_mode)from->allow->masked_values.value;
		ret->as = slice_from_string(from->allow->as.text);
		compile_masks(k, from->allow->masks, from->allow->mask_count, ret);
	} else if (from->review) {
		ret->kind = RULE_REVIEW;
		ret->record = (enum record_mode)from->review->record.value;
		ret->secrets = (enum secrets_mode)from->review->secrets.value;
		ret->masked_values = (enum masked_values_mode)from->review->masked_values.value;
		ret->as = slice_from_string(from->review->as.text);
		ret->reviewers = slice_from_string(from->review->by.text);
		ret->within = from->review->within.value;
		ret->grant = from->review->grant.value;
		compile_masks(k, from->review->masks, from->review->mask_count, ret);
	} else {
		ret->kind = RULE_DENY;
		ret->message = slice_from_string(from->deny->message.text);
	}
}

static void compile_rule(struct compile *k, const struct config_rule *from, struct policy_rule *ret)
{
	ret->name = slice_from_string(from->name.text);
	ret->file = slice_from_string(from->place.file);
	ret->line = from->place.line;
	compile_agents(k, &from->agents, ret);
	compile_resources(k, &from->resources, ret);
	ret->groups = copy_texts(k, &from->groups);
	ret->principals = copy_texts(k, &from->principals);
	ret->exe = copy_texts(k, &from->exe);
	ret->objects = copy_texts(k, &from->objects);
	compile_operations(&from->operations, ret);
	compile_bodies(k, from, ret);
	compile_verdict(k, from, ret);
}

static int compare_rules(const void *a, const void *b)
{
	const struct policy_rule *x = a, *y = b;

	return strcmp((const char *)x->name.data, (const char *)y->name.data);
}

void policy_compile(const struct config *config, uint64_t generation,
	const struct policy_address *addresses, size_t address_count, struct arena *arena,
	struct policy *ret)
{
	struct compile k = {config, arena};

	*ret = (struct policy){
		.generation = generation,
		.mode = (enum policy_mode)config->mode.value,
		.egress = (enum egress_mode)config->egress.value,
		.loopback = (enum loopback_mode)config->loopback.value,
		.agent_count = config->agent_count,
		.resource_count = config->resource_count,
		.rule_count = config->rule_count,
		.address_count = address_count,
	};
	ret->agents = node_allocate(arena, (ret->agent_count + 1) * sizeof(*ret->agents));
	ret->resources = node_allocate(arena, (ret->resource_count + 1) * sizeof(*ret->resources));
	ret->rules = node_allocate(arena, (ret->rule_count + 1) * sizeof(*ret->rules));
	ret->addresses = node_allocate(arena, (address_count + 1) * sizeof(*ret->addresses));
	for (size_t i = 0; i < ret->agent_count; i++)
		compile_agent(&k, &config->agents[i], &ret->agents[i]);
	for (size_t i = 0; i < ret->resource_count; i++)
		compile_resource(&k, &config->resources[i], &ret->resources[i]);
	for (size_t i = 0; i < ret->rule_count; i++)
		compile_rule(&k, &config->rules[i], &ret->rules[i]);
	if (address_count)
		memcpy(ret->addresses, addresses, address_count * sizeof(*addresses));
	qsort(ret->rules, ret->rule_count, sizeof(*ret->rules), compare_rules);
}

int policy_image_build(const struct config *config, uint64_t generation,
	const struct policy_address *addresses, size_t address_count, struct buffer *ret)
{
	struct policy policy;
	struct arena arena;
	int r;

	arena_init(&arena, SIZE_MAX);
	policy_compile(config, generation, addresses, address_count, &arena, &policy);
	r = policy_encode(&policy, ret);
	arena_done(&arena);
	return r;
}
