/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <errno.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/memory.h"
#include "policy/private.h"
#include "policy/rule.h"

/* Unpacked, an image takes a few times its size. */
#define POLICY_ARENA_MOST (4ULL * LIMIT_POLICY_IMAGE)

static void policy_free(struct policy *p)
{
	policy_drop_scopes(p);
	arena_done(&p->private->arena);
	free(p->private->image);
	free(p->private);
	free(p);
}

static bool asks_hash(const struct policy_rule *r)
{
	for (size_t i = 0; i < r->exe.count; i++) {
		if (rule_exe_hash(r->exe.items[i]).length)
			return true;
	}
	return false;
}

static void note_programs(struct policy *p, const struct policy_rule *r)
{
	for (size_t i = 0; i < r->exe.count; i++)
		p->asks_exe |= rule_exe_hash(r->exe.items[i]).length == 0;
	p->asks_exe_hash |= asks_hash(r);
}

bool policy_asks_hash(const struct policy *p, const struct policy_agent *agent)
{
	const uint32_t index = (uint32_t)(agent - p->agents);

	for (size_t i = 0; p->asks_exe_hash && i < p->rule_count; i++) {
		const struct policy_rule *r = &p->rules[i];

		if (asks_hash(r) && rule_is_of_agent(r, index))
			return true;
	}
	return false;
}

int policy_open(const void *image, size_t length, struct policy **ret, struct error *e)
{
	struct policy *p;
	struct policy_private *private;
	int r;

	if (length > LIMIT_POLICY_IMAGE)
		return error_set(
			e, -E2BIG, "the policy image is larger than %u bytes", LIMIT_POLICY_IMAGE);
	p = memory_new(sizeof(*p));
	private = memory_new(sizeof(*private));
	/* A copy: nobody can change it under us after it has been checked. */
	private->image = (uint8_t *)memory_copy_text(image, length);
	private->references = 1;
	arena_init(&private->arena, POLICY_ARENA_MOST);
	table_init(&private->scopes);
	list_init(&private->idle);
	r = policy_decode(slice_of(private->image, length), &private->arena, p, e);
	p->private = private;
	for (size_t i = 0; r == 0 && i < p->rule_count; i++)
		note_programs(p, &p->rules[i]);
	if (r < 0) {
		policy_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

int policy_open_descriptor(int fd, struct policy **ret, struct error *e)
{
	struct buffer image;
	int r;

	buffer_init(&image, LIMIT_POLICY_IMAGE);
	r = file_read_shared(fd, &image);
	if (r < 0)
		error_set_errno(e, r, "the policy image can't be read");
	else
		r = policy_open(buffer_slice(&image).data, buffer_length(&image), ret, e);
	buffer_done(&image);
	return r;
}

struct policy *policy_get(struct policy *p)
{
	p->private->references++;
	return p;
}

void policy_put(struct policy *p)
{
	if (p && --p->private->references == 0)
		policy_free(p);
}

const struct policy_agent *policy_find_agent(const struct policy *p, uint32_t id)
{
	for (size_t i = 0; i < p->agent_count; i++) {
		if (p->agents[i].id == id)
			return &p->agents[i];
	}
	return NULL;
}

const struct policy_agent *policy_find_agent_name(const struct policy *p, struct slice name)
{
	for (size_t i = 0; i < p->agent_count; i++) {
		if (slice_equal(p->agents[i].name, name))
			return &p->agents[i];
	}
	return NULL;
}

const struct policy_resource *policy_find_resource(const struct policy *p, struct slice name)
{
	for (size_t i = 0; i < p->resource_count; i++) {
		if (slice_equal(p->resources[i].name, name))
			return &p->resources[i];
	}
	return NULL;
}

uint32_t policy_resource_index(const struct policy *p, const struct policy_resource *r)
{
	return (uint32_t)(r - p->resources);
}

/* How well a host fits, for comparing hosts of one kind: 0 not at all. */
static size_t address_rank(const struct host *h, const struct address *a, uint16_t port)
{
	return host_matches_port(h, port) && host_matches_address(h, a) ? h->prefix + 1u : 0;
}

static size_t name_rank(const struct host *h, struct slice name, uint16_t port)
{
	if (!host_matches_port(h, port) || !host_matches_name(h, name))
		return 0;
	/* What a wildcard has in common with the name is always less than the name. */
	return h->name.length;
}

static bool is_by(const struct policy *p, size_t resource, enum transport transport)
{
	return protocol_transport(p->resources[resource].protocol) == transport;
}

/* The resource whose address (or, with `kind` HOST_PREFIX, longest prefix) it is; else
 * POLICY_EGRESS. */
static uint32_t find_by_address(const struct policy *p, enum transport transport,
	enum host_kind kind, const struct address *a, uint16_t port)
{
	uint32_t found = POLICY_EGRESS;
	size_t best = 0;

	for (size_t i = 0; i < p->resource_count; i++) {
		for (size_t j = 0; j < p->resources[i].host_count; j++) {
			const struct host *h = &p->resources[i].hosts[j];
			size_t rank = h->kind == kind ? address_rank(h, a, port) : 0;

			if (rank > best && is_by(p, i, transport)) {
				best = rank;
				found = (uint32_t)i;
			}
		}
	}
	return found;
}

/* `ret` is written only where there is one. */
static uint32_t find_by_name(const struct policy *p, enum transport transport, struct slice name,
	uint16_t port, const struct host **ret)
{
	uint32_t found = POLICY_EGRESS;
	size_t best = 0;

	for (size_t i = 0; i < p->resource_count; i++) {
		for (size_t j = 0; j < p->resources[i].host_count; j++) {
			size_t rank = name_rank(&p->resources[i].hosts[j], name, port);

			if (rank > best && is_by(p, i, transport)) {
				best = rank;
				found = (uint32_t)i;
				*ret = &p->resources[i].hosts[j];
			}
		}
	}
	return found;
}

/* Keeps the candidates ascending by index, each resource once. */
static size_t add_candidate(
	struct policy_candidate *candidates, size_t count, size_t most, struct policy_candidate one)
{
	size_t at = 0;

	while (at < count && candidates[at].resource < one.resource)
		at++;
	if (at < count && candidates[at].resource == one.resource)
		return count;
	if (count == most)
		return count;
	memmove(candidates + at + 1, candidates + at, (count - at) * sizeof(*candidates));
	candidates[at] = one;
	return count + 1;
}

/* Whether a server shows which names it has before anything is said to it: by a certificate for
 * what the agent asks for. */
static bool proves_name(const struct policy_resource *r)
{
	return r->protocol == PROTOCOL_HTTP || r->protocol == PROTOCOL_KUBERNETES;
}

bool policy_has_name(const struct policy *p, struct slice name)
{
	for (size_t i = 0; i < p->resource_count; i++) {
		for (size_t j = 0; j < p->resources[i].host_count; j++) {
			const struct host *h = &p->resources[i].hosts[j];

			if (h->kind == HOST_NAME && slice_equal(h->name, name))
				return true;
		}
	}
	return false;
}

bool policy_needs_answers(const struct policy *p, struct slice name)
{
	for (size_t i = 0; i < p->resource_count; i++) {
		const struct policy_resource *r = &p->resources[i];

		for (size_t j = 0; j < r->host_count; j++) {
			if (host_matches_name(&r->hosts[j], name) &&
				(r->hosts[j].kind == HOST_NAME || !proves_name(r)))
				return true;
		}
	}
	return false;
}

/* An answer may have been forged on its way. What we log in with must not depend on it. */
static bool trusts_answers(const struct policy_resource *r)
{
	return r->protocol != PROTOCOL_SSH &&
		(r->login == LOGIN_AS_AGENT || r->tls_upstream == TLS_UPSTREAM_VERIFY_FULL);
}

static bool trusts_answer(const struct policy *p, uint32_t resource, const struct host *host)
{
	if (resource == POLICY_EGRESS || !trusts_answers(&p->resources[resource]))
		return false;
	return host->kind == HOST_NAME || !proves_name(&p->resources[resource]);
}

/* What the host's resolvers told the agent of hosts of that kind. */
static size_t match_answers(const struct policy *p, const struct policy_place *place,
	enum host_kind kind, struct policy_candidate *ret, size_t count, size_t most)
{
	for (size_t i = 0; i < place->name_count; i++) {
		const struct host *host;
		uint32_t found =
			find_by_name(p, place->transport, place->names[i], place->port, &host);

		if (trusts_answer(p, found, host) && host->kind == kind)
			count = add_candidate(ret, count, most,
				(struct policy_candidate){found, host->name, place->names[i]});
	}
	return count;
}

static size_t match_names(const struct policy *p, const struct policy_place *place,
	struct policy_candidate *ret, size_t most)
{
	const struct host *host;
	size_t count = 0;

	for (size_t i = 0; i < p->address_count; i++) {
		struct policy_candidate one = {.name = p->addresses[i].name};

		if (memcmp(p->addresses[i].address.bytes, place->address.bytes,
			    sizeof(place->address.bytes)) != 0)
			continue;
		one.resource = find_by_name(p, place->transport, one.name, place->port, &host);
		if (one.resource != POLICY_EGRESS)
			count = add_candidate(ret, count, most, one);
	}
	count = match_answers(p, place, HOST_NAME, ret, count, most);
	/* Whoever can make a name below a wildcard's can give it any address: what is a resource's
	 * by its whole name stays that. */
	return count ? count : match_answers(p, place, HOST_WILDCARD, ret, count, most);
}

/* Of the hosts of one resource the one that means the name best. */
static struct slice best_name(const struct policy_resource *r, struct slice name, uint16_t port)
{
	struct slice found = SLICE_EMPTY;
	size_t best = 0;

	for (size_t i = 0; i < r->host_count; i++) {
		size_t rank = name_rank(&r->hosts[i], name, port);

		if (rank > best) {
			best = rank;
			found = r->hosts[i].name;
		}
	}
	return found;
}

/* Whether some resource has an address, or a range of them, with that port. */
static bool any_has_address(const struct policy *p, uint16_t port)
{
	for (size_t i = 0; i < p->resource_count; i++) {
		for (size_t j = 0; j < p->resources[i].host_count; j++) {
			const struct host *h = &p->resources[i].hosts[j];

			if ((h->kind == HOST_ADDRESS || h->kind == HOST_PREFIX) &&
				host_matches_port(h, port) && is_by(p, i, TRANSPORT_TCP))
				return true;
		}
	}
	return false;
}

int policy_match_name(const struct policy *p, struct slice name, uint16_t port,
	struct policy_candidate *ret, size_t most)
{
	const struct host *host;
	uint32_t found = find_by_name(p, TRANSPORT_TCP, name, port, &host);

	if (found == POLICY_EGRESS)
		return any_has_address(p, port) ? -EPERM : 0;
	/* A host of SSH shows a key that is known by that very name. */
	if ((p->resources[found].protocol != PROTOCOL_SSH &&
		    !trusts_answers(&p->resources[found])) ||
		most == 0)
		return -EPERM;
	*ret = (struct policy_candidate){found, best_name(&p->resources[found], name, port)};
	return 1;
}

/* An address says nothing of a name with "*": what may be meant is whatever has the port, where the
 * server will have to prove it. */
static size_t add_wildcards(const struct policy *p, uint16_t port, struct policy_candidate *ret,
	size_t count, size_t most)
{
	for (size_t i = 0; i < p->resource_count; i++) {
		for (size_t j = 0; j < p->resources[i].host_count; j++) {
			const struct host *h = &p->resources[i].hosts[j];

			if (h->kind == HOST_WILDCARD && host_matches_port(h, port) &&
				proves_name(&p->resources[i]))
				count = add_candidate(ret, count, most,
					(struct policy_candidate){(uint32_t)i, h->name});
		}
	}
	return count;
}

/* What addresses alone say. */
static size_t match(const struct policy *p, const struct policy_place *place,
	struct policy_candidate *ret, size_t most)
{
	static const enum host_kind kinds[] = {HOST_ADDRESS, HOST_NAME, HOST_PREFIX};
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && count == 0 && most; i++) {
		uint32_t found;

		if (kinds[i] == HOST_NAME) {
			count = match_names(p, place, ret, most);
			continue;
		}
		found = find_by_address(
			p, place->transport, kinds[i], &place->address, place->port);
		if (found == POLICY_EGRESS)
			continue;
		*ret = (struct policy_candidate){.resource = found};
		count = 1;
	}
	return count;
}

size_t policy_match_place(const struct policy *p, const struct policy_place *place,
	struct policy_candidate *ret, size_t most)
{
	size_t count = match(p, place, ret, most);

	if (place->transport != TRANSPORT_TCP || (count && ret->name.length == 0))
		return count;
	return add_wildcards(p, place->port, ret, count, most);
}

size_t policy_match_address(const struct policy *p, const struct address *a, uint16_t port,
	struct policy_candidate *ret, size_t most)
{
	const struct policy_place place = {.address = *a, .port = port};

	return policy_match_place(p, &place, ret, most);
}

size_t policy_match_datagrams(const struct policy *p, const struct address *a, uint16_t port,
	struct policy_candidate *ret, size_t most)
{
	const struct policy_place place = {.address = *a, .port = port, .transport = TRANSPORT_UDP};

	return policy_match_place(p, &place, ret, most);
}

size_t policy_narrow(const struct policy *p, struct slice name, uint16_t port,
	struct policy_candidate *candidates, size_t count)
{
	const struct host *host;
	uint32_t owner = find_by_name(p, TRANSPORT_TCP, name, port, &host);
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (candidates[i].name.length == 0 || candidates[i].resource == owner)
			candidates[kept++] = candidates[i];
	}
	return kept;
}
