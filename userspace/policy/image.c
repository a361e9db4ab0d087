/* SPDX-License-Identifier: Apache-2.0
 *
 * The image of a policy: a header, then every field in the order of the functions below,
 * big-endian, texts and lists with their length in front. Nothing in it points anywhere, so it
 * means the same at every address. One description serves both directions: what is written is what
 * is read.
 *
 * Reading trusts nothing: lengths and counts are bounded by what is left, values by their range,
 * and what other code takes for granted (policy_check_*) is looked at before a policy exists.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "masking/json_path.h"
#include "policy/body.h"
#include "policy/private.h"

#define IMAGE_MAGIC 0x57594c56504f4c38ULL /* "WYLVPOL8": the digit is the format's version */
#define IMAGE_ITEM_LEAST 4 /* bytes that one item of any list takes */

struct codec {
	struct buffer *out; /* NULL: reading */
	struct slice in; /* what is left to read */
	struct arena *arena;
	int error;
	struct error *reason;
};

static void codec_fail(struct codec *c, int error, const char *what)
{
	if (c->error)
		return;
	c->error = error_set(c->reason, error, "the policy image is not usable: %s", what);
}

/* Copies `length` bytes to the image, or from it to `bytes`. */
static void codec_raw(struct codec *c, void *bytes, size_t length)
{
	if (c->error || length == 0)
		return;
	if (c->out) {
		int r = buffer_append(c->out, bytes, length);

		if (r < 0)
			codec_fail(c, r, "too large");
		return;
	}
	if (c->in.length < length) {
		codec_fail(c, -EINVAL, "cut short");
		return;
	}
	memcpy(bytes, c->in.data, length);
	c->in = slice_from(c->in, length);
}

static void codec_u64(struct codec *c, uint64_t *value)
{
	uint64_t wire = htobe64(*value);

	codec_raw(c, &wire, sizeof(wire));
	if (!c->out && !c->error)
		*value = be64toh(wire);
}

static void codec_u32(struct codec *c, uint32_t *value)
{
	uint32_t wire = htobe32(*value);

	codec_raw(c, &wire, sizeof(wire));
	if (!c->out && !c->error)
		*value = be32toh(wire);
}

/* A value below `count`. */
static uint32_t codec_choice(struct codec *c, uint32_t value, uint32_t count)
{
	codec_u32(c, &value);
	if (value >= count) {
		codec_fail(c, -EINVAL, "a value out of range");
		return 0;
	}
	return value;
}

#define CODEC_CHOICE(c, field, count)                                                              \
	((field) = (__typeof__(field))codec_choice(c, (uint32_t)(field), count))

static void codec_bytes(struct codec *c, struct slice *bytes)
{
	uint32_t length = (uint32_t)bytes->length;
	uint8_t end = 0;

	codec_u32(c, &length);
	if (c->error)
		return;
	if (c->out) {
		codec_raw(c, (void *)bytes->data, bytes->length);
	} else if (c->in.length < length) {
		codec_fail(c, -EINVAL, "cut short");
		return;
	} else {
		*bytes = slice_head(c->in, length);
		c->in = slice_from(c->in, length);
	}
	codec_raw(c, &end, 1);
	if (end != 0)
		codec_fail(c, -EINVAL, "a text without its end");
}

/* Bytes that are a C string too. */
static void codec_text(struct codec *c, struct slice *text)
{
	codec_bytes(c, text);
	if (!c->error && text->length && memchr(text->data, 0, text->length))
		codec_fail(c, -EINVAL, "a text with a NUL byte in it");
}

static void *codec_list(struct codec *c, void *items, size_t *count, size_t size, size_t most)
{
	uint32_t wire = (uint32_t)*count;

	codec_u32(c, &wire);
	if (c->error || c->out)
		return items;
	*count = 0;
	if (wire > most || wire > c->in.length / IMAGE_ITEM_LEAST) {
		codec_fail(c, -EINVAL, "a list that is too long");
		return NULL;
	}
	items = arena_new_array(c->arena, (size_t)wire + 1, size);
	if (!items) {
		codec_fail(c, -E2BIG, "too large");
		return NULL;
	}
	*count = wire;
	return items;
}

#define CODEC_LIST(c, items, count, most, each)                                                    \
	do {                                                                                       \
		(items) = codec_list(c, items, &(count), sizeof(*(items)), most);                  \
		for (size_t i_ = 0; !(c)->error && i_ < (count); i_++)                             \
			each(c, &(items)[i_]);                                                     \
	} while (0)

static void codec_texts(struct codec *c, struct policy_texts *texts)
{
	CODEC_LIST(c, texts->items, texts->count, SIZE_MAX, codec_text);
}

static void codec_agent(struct codec *c, struct policy_agent *a)
{
	codec_u32(c, &a->id);
	codec_text(c, &a->name);
	codec_text(c, &a->cgroup);
	codec_texts(c, &a->users);
	CODEC_CHOICE(c, a->listen, LISTEN_MODE_COUNT);
	CODEC_CHOICE(c, a->udp, UDP_MODE_COUNT);
	CODEC_CHOICE(c, a->identified, 2);
	codec_u64(c, &a->limits.sessions);
	codec_u64(c, &a->limits.rate);
	codec_u64(c, &a->limits.bandwidth);
}

static void codec_host(struct codec *c, struct host *h)
{
	CODEC_CHOICE(c, h->kind, HOST_KIND_COUNT);
	CODEC_CHOICE(c, h->port, 65536);
	CODEC_CHOICE(c, h->prefix, 129);
	codec_raw(c, h->address.bytes, sizeof(h->address.bytes));
	codec_text(c, &h->name);
}

static void codec_resource(struct codec *c, struct policy_resource *r)
{
	codec_text(c, &r->name);
	CODEC_CHOICE(c, r->protocol, PROTOCOL_COUNT);
	CODEC_CHOICE(c, r->tls_upstream, TLS_UPSTREAM_COUNT);
	CODEC_CHOICE(c, r->tls_mode, TLS_MODE_COUNT);
	codec_bytes(c, &r->ca_text);
	codec_text(c, &r->server_name);
	codec_text(c, &r->unix_path);
	CODEC_CHOICE(c, r->allow_cleartext, 2);
	CODEC_CHOICE(c, r->names_identity, 2);
	codec_u64(c, &r->reuse);
	CODEC_CHOICE(c, r->login, LOGIN_COUNT);
	codec_text(c, &r->login_user);
	codec_text(c, &r->login_name);
	codec_text(c, &r->login_impersonates);
	codec_bytes(c, &r->login_chain);
	CODEC_LIST(c, r->hosts, r->host_count, LIMIT_CONFIG_HOSTS, codec_host);
}

static void codec_column(struct codec *c, struct mask_column *m)
{
	codec_text(c, &m->pattern);
	CODEC_CHOICE(c, m->strategy, MASK_STRATEGY_COUNT);
	CODEC_CHOICE(c, m->filter_allowed, 2);
}

static void codec_json(struct codec *c, struct mask_json *m)
{
	codec_text(c, &m->path);
	CODEC_CHOICE(c, m->strategy, MASK_STRATEGY_COUNT);
}

static void codec_body(struct codec *c, struct policy_body *b)
{
	codec_text(c, &b->path);
	codec_texts(c, &b->values);
}

static void codec_rule(struct codec *c, struct policy_rule *r)
{
	CODEC_CHOICE(c, r->kind, RULE_KIND_COUNT);
	codec_text(c, &r->name);
	codec_text(c, &r->file);
	codec_u32(c, &r->line);
	CODEC_LIST(c, r->agents, r->agent_count, LIMIT_CONFIG_AGENTS, codec_u32);
	CODEC_LIST(c, r->resources, r->resource_count, LIMIT_CONFIG_RESOURCES + 1, codec_u32);
	codec_texts(c, &r->groups);
	codec_texts(c, &r->principals);
	codec_texts(c, &r->exe);
	codec_texts(c, &r->objects);
	CODEC_CHOICE(c, r->names_operations, 2);
	for (size_t i = 0; i < sizeof(r->operations.bits) / sizeof(uint64_t); i++)
		codec_u64(c, &r->operations.bits[i]);
	CODEC_LIST(c, r->bodies, r->body_count, SIZE_MAX, codec_body);
	CODEC_LIST(c, r->columns, r->column_count, SIZE_MAX, codec_column);
	CODEC_LIST(c, r->json, r->json_count, SIZE_MAX, codec_json);
	for (size_t i = 0; i < DETECTOR_COUNT; i++)
		CODEC_CHOICE(c, r->detectors[i], MASK_STRATEGY_COUNT);
	CODEC_CHOICE(c, r->record, RECORD_MODE_COUNT);
	CODEC_CHOICE(c, r->binary, MASK_BINARY_COUNT);
	CODEC_CHOICE(c, r->secrets, SECRETS_MODE_COUNT);
	CODEC_CHOICE(c, r->masked_values, MASKED_VALUES_MODE_COUNT);
	codec_text(c, &r->as);
	codec_text(c, &r->reviewers);
	codec_u64(c, &r->within);
	codec_u64(c, &r->grant);
	codec_text(c, &r->message);
}

static void codec_address(struct codec *c, struct policy_address *a)
{
	codec_text(c, &a->name);
	codec_raw(c, a->address.bytes, sizeof(a->address.bytes));
}

static void codec_policy(struct codec *c, struct policy *p)
{
	uint64_t magic = IMAGE_MAGIC;

	codec_u64(c, &magic);
	if (magic != IMAGE_MAGIC)
		codec_fail(c, -EINVAL, "it is of another version");
	codec_u64(c, &p->generation);
	CODEC_CHOICE(c, p->mode, POLICY_MODE_COUNT);
	CODEC_CHOICE(c, p->egress, EGRESS_MODE_COUNT);
	CODEC_CHOICE(c, p->loopback, LOOPBACK_MODE_COUNT);
	CODEC_LIST(c, p->agents, p->agent_count, LIMIT_CONFIG_AGENTS, codec_agent);
	CODEC_LIST(c, p->resources, p->resource_count, LIMIT_CONFIG_RESOURCES, codec_resource);
	CODEC_LIST(c, p->rules, p->rule_count, LIMIT_POLICY_RULES, codec_rule);
	CODEC_LIST(c, p->addresses, p->address_count, SIZE_MAX, codec_address);
}

int policy_encode(struct policy *p, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	struct codec c = {.out = ret};

	codec_policy(&c, p);
	if (c.error)
		buffer_truncate(ret, before);
	return c.error;
}

static bool host_is_sound(const struct host *h)
{
	switch (h->kind) {
	case HOST_ADDRESS:
		return h->prefix == 128;
	case HOST_NAME:
		return h->name.length != 0;
	case HOST_WILDCARD:
		return h->name.length != 0 && h->name.data[0] == '.';
	default:
		return true;
	}
}

static bool login_is_sound(const struct policy_resource *r)
{
	bool named = r->login == LOGIN_HEADER || r->login == LOGIN_QUERY;

	if (r->login_impersonates.length &&
		(r->login == LOGIN_AS_AGENT || r->protocol != PROTOCOL_KUBERNETES))
		return false;
	if (r->login == LOGIN_PASSWORD && r->login_user.length == 0)
		return false;
	if (r->login != LOGIN_PASSWORD && r->login != LOGIN_CERTIFICATE && r->login_user.length)
		return false;
	return named == (r->login_name.length != 0) &&
		(r->login == LOGIN_CERTIFICATE || r->login_chain.length == 0);
}

static bool resources_are_sound(const struct policy *p)
{
	for (size_t i = 0; i < p->resource_count; i++) {
		const struct policy_resource *r = &p->resources[i];

		if (!login_is_sound(r))
			return false;
		for (size_t j = 0; j < r->host_count; j++) {
			if (!host_is_sound(&r->hosts[j]))
				return false;
		}
	}
	return true;
}

static bool agents_are_sound(const struct policy *p)
{
	for (size_t i = 0; i < p->agent_count; i++) {
		if (p->agents[i].id == 0)
			return false;
	}
	return true;
}

static bool numbers_are_below(const uint32_t *numbers, size_t count, size_t most, bool egress)
{
	for (size_t i = 0; i < count; i++) {
		if (numbers[i] >= most && !(egress && numbers[i] == POLICY_EGRESS))
			return false;
	}
	return true;
}

static bool operations_are_sound(const struct policy_rule *r)
{
	struct operation_set known = {0};
	uint64_t any = 0;

	for (unsigned i = 0; i < OPERATION_COUNT; i++)
		operation_set_add(&known, (enum operation)i);
	for (size_t i = 0; i < sizeof(known.bits) / sizeof(known.bits[0]); i++) {
		if (r->operations.bits[i] & ~known.bits[i])
			return false;
		any |= r->operations.bits[i];
	}
	return r->names_operations == (any != 0);
}

/* masking/mask.h splits patterns at two dots. */
static bool columns_are_sound(const struct policy_rule *r)
{
	for (size_t i = 0; i < r->column_count; i++) {
		struct slice pattern = r->columns[i].pattern;
		unsigned dots = 0;

		for (size_t j = 0; j < pattern.length; j++)
			dots += pattern.data[j] == '.';
		if (dots != 2 || r->columns[i].strategy == MASK_NONE)
			return false;
	}
	return true;
}

static bool json_is_sound(const struct policy_rule *r)
{
	for (size_t i = 0; i < r->json_count; i++) {
		if (!json_path_is_valid(r->json[i].path) || r->json[i].strategy == MASK_NONE)
			return false;
	}
	return true;
}

static bool bodies_are_sound(const struct policy_rule *r)
{
	for (size_t i = 0; i < r->body_count; i++) {
		if (!body_path_is_valid(r->bodies[i].path) || r->bodies[i].values.count == 0)
			return false;
	}
	return true;
}

static bool rules_are_sound(const struct policy *p)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];

		if (!numbers_are_below(r->agents, r->agent_count, p->agent_count, false) ||
			!numbers_are_below(
				r->resources, r->resource_count, p->resource_count, true) ||
			!operations_are_sound(r) || !columns_are_sound(r) || !json_is_sound(r) ||
			!bodies_are_sound(r))
			return false;
	}
	return true;
}

int policy_decode(struct slice image, struct arena *arena, struct policy *ret, struct error *e)
{
	struct codec c = {.in = image, .arena = arena, .reason = e};
	struct policy policy = {0};

	codec_policy(&c, &policy);
	if (c.error)
		return c.error;
	if (c.in.length)
		codec_fail(&c, -EINVAL, "something stands behind its end");
	else if (!agents_are_sound(&policy) || !resources_are_sound(&policy) ||
		!rules_are_sound(&policy))
		codec_fail(&c, -EINVAL, "it contradicts itself");
	if (c.error)
		return c.error;
	*ret = policy;
	return 0;
}
