/* SPDX-License-Identifier: Apache-2.0
 *
 * Which resource a session is of, and the rules between its ends: by where it goes, by the name
 * that the agent says, and by whom it acts for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "policy/pinned.h"
#include "policy/unix_server.h"
#include "worker/session_internal.h"

/* How long what a name was found to mean is taken for granted: answers may end meanwhile. */
#define FOUND_FOR NANOSECONDS_PER_SECOND

/* Keeps the candidates that the name means; an address that was dialled means all of them. */
static size_t narrow(const struct session *s, const struct policy *p, struct slice name,
	struct policy_candidate *candidates, size_t count)
{
	struct address address;
	char text[sizeof(s->place)];

	if (name.length == 0)
		return count;
	if (name.length >= sizeof(text))
		return 0;
	memcpy(text, name.data, name.length);
	text[name.length] = '\0';
	if (address_parse(text, &address) == 0)
		return !s->beyond.length &&
				memcmp(address.bytes, s->origin.address, sizeof(address.bytes)) == 0
			? count
			: 0;
	return policy_narrow(p, name, s->origin.port, candidates, count);
}

static bool is_wildcard(const struct policy_candidate *candidate)
{
	return candidate->name.length && candidate->name.data[0] == '.';
}

/* The agent could send whatever name it likes to whatever address: without a certificate a
 * wildcard means no server at all. */
static size_t keep_proven(struct policy_candidate *candidates, size_t count, bool certified)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (certified || !is_wildcard(&candidates[i]))
			candidates[kept++] = candidates[i];
	}
	return kept;
}

/* The first resource of the configuration that is reached by that socket. */
static size_t find_server(
	const struct policy *p, const struct origin *origin, struct policy_candidate *ret)
{
	for (uint32_t i = 0; i < p->resource_count; i++) {
		struct slice path = p->resources[i].unix_path;
		struct unix_server server;

		if (path.length == 0)
			continue;
		server = unix_server_of(path);
		if (memcmp(server.digest, origin->address, sizeof(server.digest)) != 0)
			continue;
		*ret = (struct policy_candidate){.resource = i};
		return 1;
	}
	return 0;
}

/* Those that a name may mean which a proxy looks up. */
static size_t match_beyond(
	const struct session *s, const struct policy *p, struct policy_candidate *ret)
{
	int count = policy_match_name(p, s->beyond, s->origin.port, ret, SESSION_CANDIDATES_MOST);

	return count > 0 ? (size_t)count : 0;
}

static bool is_whole_name(const void *context, const char *name)
{
	return policy_has_name(context, slice_from_string(name));
}

static size_t match_address(const struct session *s, const struct policy *p,
	struct pinned_names *room, struct policy_candidate *ret)
{
	struct policy_place place = {.port = s->origin.port,
		.transport = s->flow ? flow_transport(s->flow) : TRANSPORT_TCP};
	const struct pinned_first first = {is_whole_name, p};
	struct slice names[PINNED_FOUND_MOST];

	if (s->origin.family == AF_UNIX)
		return find_server(p, &s->origin, ret);
	memcpy(place.address.bytes, s->origin.address, sizeof(place.address.bytes));
	pinned_find(s->worker->pinned, s->origin.agent, &place.address, clock_monotonic(), &first,
		room);
	for (size_t i = 0; i < room->count; i++)
		names[i] = slice_from_string(room->texts[i]);
	place.names = names;
	place.name_count = room->count;
	return policy_match_place(p, &place, ret, SESSION_CANDIDATES_MOST);
}

/* The resources that the destination may mean, and the name that settled it, if one did. What they
 * were `answered` lies in `room`. */
static size_t find_candidates(const struct session *s, const struct policy *p,
	struct pinned_names *room, struct policy_candidate *ret)
{
	size_t count = s->beyond.length ? match_beyond(s, p, ret) : match_address(s, p, room, ret);

	if (!s->placed || s->flow)
		return count;
	return keep_proven(
		ret, narrow(s, p, slice_from_string(s->place), ret, count), s->certified);
}

static void take_name(struct session *s, const struct policy_candidate *candidate)
{
	s->matched_name = candidate->name;
	snprintf(s->answered, sizeof(s->answered), "%.*s", SLICE_PRINT(candidate->answered));
}

/* Which of them has that name; the first where none has. */
static size_t find_named(const struct policy *p, const struct policy_candidate *candidates,
	size_t count, struct slice resource)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal(p->resources[candidates[i].resource].name, resource))
			return i;
	}
	return 0;
}

/* The resource that the destination means, `kept` if it may be that; POLICY_EGRESS: none. */
static uint32_t find_resource(struct session *s, const struct policy *p, struct slice kept)
{
	struct policy_candidate candidates[SESSION_CANDIDATES_MOST];
	struct pinned_names room;
	size_t count = find_candidates(s, p, &room, candidates), found;

	if (count == 0)
		return POLICY_EGRESS;
	/* Several names of one address: where the protocol names its place, it will be settled
	 * then (session_place). Nothing in PostgreSQL's first bytes tells them apart, so the first
	 * of the configuration it is. */
	found = find_named(p, candidates, count, kept);
	take_name(s, &candidates[found]);
	return candidates[found].resource;
}

static struct policy_scope *scope_for(struct session *s, enum protocol_id protocol)
{
	struct policy_subject subject = {
		.agent = s->agent,
		.principal = who_principal(&s->worker->who, s->agent, s->origin.cgroup),
		.exe = s->exe_certain ? slice_from_string(s->exe) : SLICE_EMPTY,
		.exe_hash = slice_from_string(s->process.hash),
		.resource = s->resource,
		.protocol = protocol,
	};

	return policy_scope_get(s->worker->policy, &subject);
}

void session_renew_scope(struct session *s)
{
	struct policy_scope *old = s->scope;

	s->scope = scope_for(s, policy_scope_subject(old)->protocol);
	policy_scope_put(old);
}

static void take_candidate(struct session *s, const struct policy_candidate *candidate)
{
	take_name(s, candidate);
	if (candidate->resource == s->resource)
		return;
	s->resource = candidate->resource;
	session_renew_scope(s);
	if (s->engine)
		pipe_set_scope(s);
}

/* Keeps those of the protocol that is spoken. */
static size_t keep_protocol(const struct session *s, const struct policy *p,
	struct policy_candidate *candidates, size_t count)
{
	enum protocol_id protocol = policy_scope_subject(s->scope)->protocol;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (p->resources[candidates[i].resource].protocol == protocol)
			candidates[kept++] = candidates[i];
	}
	return kept;
}

static bool is_among(uint32_t resource, const struct policy_candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (candidates[i].resource == resource)
			return true;
	}
	return false;
}

/* The name that the agent went by says which resource it is, from here on. */
static void settle(struct session *s, struct slice name, bool certified,
	const struct policy_candidate *candidate)
{
	uint32_t before = s->resource;

	s->placed = true;
	s->certified = certified;
	snprintf(s->place, sizeof(s->place), "%.*s", SLICE_PRINT(name));
	take_candidate(s, candidate);
	if (s->resource != before)
		session_record_facts(s, false);
}

/* Nothing but wildcards spoke for the place, and none of them means the name: no resource names
 * it. */
static int leave_for_egress(struct session *s, struct slice name, bool certified,
	const struct policy_candidate *candidates, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!is_wildcard(&candidates[i]))
			return -EPERM;
	}
	if (s->placed || s->origin.way == ORIGIN_FORWARDED_NAMED ||
		policy_scope_policy(s->scope)->egress != EGRESS_ALLOW)
		return -EPERM;
	settle(s, name, certified, &(struct policy_candidate){.resource = POLICY_EGRESS});
	return 0;
}

static bool was_found(const struct session *s, struct slice name, bool certified)
{
	const struct session_place_found *f = &s->place_found;

	return f->scope == policy_scope_serial(s->scope) &&
		f->answers == pinned_version(s->worker->pinned) && f->certified == certified &&
		slice_equal_string(name, f->name) && clock_monotonic() - f->time < FOUND_FOR;
}

static void remember_found(struct session *s, struct slice name, bool certified, uint64_t answers)
{
	struct session_place_found *f = &s->place_found;

	if (name.length >= sizeof(f->name))
		return;
	f->scope = policy_scope_serial(s->scope);
	f->answers = answers;
	f->time = clock_monotonic();
	f->certified = certified;
	snprintf(f->name, sizeof(f->name), "%.*s", SLICE_PRINT(name));
}

int session_place(struct session *s, struct slice name, uint16_t port, bool certified)
{
	struct policy_candidate all[SESSION_CANDIDATES_MOST];
	struct policy_candidate candidates[SESSION_CANDIDATES_MOST];
	const struct policy *p = policy_scope_policy(s->scope);
	uint64_t answers = pinned_version(s->worker->pinned);
	struct pinned_names room;
	size_t all_count, count;

	if (port && port != s->origin.port)
		return -EPERM;
	if (s->resource == POLICY_EGRESS || was_found(s, name, certified))
		return 0;
	all_count = find_candidates(s, p, &room, all);
	memcpy(candidates, all, sizeof(candidates));
	count = narrow(s, p, name, candidates, all_count);
	count = keep_proven(candidates, keep_protocol(s, p, candidates, count), certified);
	if (count == 0 && name.length)
		return leave_for_egress(s, name, certified, all, all_count);
	if (count == 0 || (s->placed && !is_among(s->resource, candidates, count)))
		return -EPERM;
	if (s->placed)
		remember_found(s, name, certified, answers);
	if (s->placed || (name.length == 0 && count > 1))
		return 0;
	/* An address that several names have means none of them. */
	if (count > 1)
		return -EPERM;
	settle(s, name, certified, &candidates[0]);
	return 0;
}

bool session_try_next_candidate(struct session *s)
{
	struct policy_candidate candidates[SESSION_CANDIDATES_MOST];
	const struct policy *p = policy_scope_policy(s->scope);
	struct pinned_names room;
	size_t count;

	if (s->resource == POLICY_EGRESS)
		return false;
	count = keep_protocol(s, p, candidates, find_candidates(s, p, &room, candidates));
	for (size_t i = 0; i < count; i++) {
		if (candidates[i].resource <= s->resource)
			continue;
		take_candidate(s, &candidates[i]);
		return true;
	}
	return false;
}

void session_take_protocol(struct session *s, enum protocol_id protocol)
{
	struct policy_scope *old = s->scope;

	s->scope = scope_for(s, protocol);
	policy_scope_put(old);
}

int session_take_scope(struct session *s, struct slice kept)
{
	struct policy *p = s->worker->policy;
	enum protocol_id protocol;

	s->agent = policy_find_agent(p, s->origin.agent);
	if (!s->agent)
		return -ENOENT;
	s->looks_up = lookups_is_stream(s);
	s->resource = s->looks_up ? lookups_resource(s) : find_resource(s, p, kept);
	/* A socket of this host is no place to go on to. */
	if (s->origin.family == AF_UNIX) {
		if (s->resource == POLICY_EGRESS)
			return -ENOENT;
		snprintf(s->address, sizeof(s->address), "unix:%.*s",
			SLICE_PRINT(p->resources[s->resource].unix_path));
	}
	protocol = s->looks_up                 ? PROTOCOL_UDP
		: s->resource != POLICY_EGRESS ? p->resources[s->resource].protocol
		: s->flow                      ? flow_protocol(s->flow)->id
		: s->engine                    ? s->engine->protocol->id
					       : PROTOCOL_TCP;
	s->scope = scope_for(s, protocol);
	return 0;
}
