/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of agents that are known by interfaces of this host in place of a cgroup.
 */
#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "policy/config_check.h"

/* Characters that nft takes in quotes as they are. */
static bool is_interface(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= IFNAMSIZ || (length == 1 && name[0] == '*'))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isascii(name[i]) ||
			(!isalnum(name[i]) && !strchr("._-", name[i]) &&
				!(name[i] == '*' && i == length - 1)))
			return false;
	}
	return true;
}

/* Whether some interface may be meant by both. */
static bool may_meet(const char *a, const char *b)
{
	size_t length_a = strcspn(a, "*"), length_b = strcspn(b, "*");
	size_t shorter = length_a < length_b ? length_a : length_b;

	if (strncmp(a, b, shorter) != 0)
		return false;
	return (length_a <= length_b && a[length_a] == '*') ||
		(length_b <= length_a && b[length_b] == '*') || strcmp(a, b) == 0;
}

static bool check_interface(struct loader *l, const struct config_text *item)
{
	if (!is_interface(item->text)) {
		loader_error(l, item->place,
			"\"interfaces\": expected the name of an interface of this host, at most "
			"%d "
			"of letters, digits and ._-, with \"*\" at its end or without, not \"%s\"",
			IFNAMSIZ - 1, item->text);
		return false;
	}
	if (may_meet(item->text, "lo")) {
		loader_error(l, item->place,
			"\"interfaces\": \"%s\" is this host's own loopback; expected one behind "
			"which the agent is",
			item->text);
		return false;
	}
	return true;
}

/* Keeps those that can be, for what is checked of them together. */
static void check_interfaces(struct loader *l, struct config_agent *agent)
{
	size_t kept = 0;

	if (agent->interfaces.count == 0)
		loader_error(
			l, agent->interfaces.place, "\"interfaces\": an empty list is no place");
	if (agent->interfaces.count > LIMIT_AGENT_INTERFACES)
		loader_error(l, agent->interfaces.place, "\"interfaces\": expected at most %u",
			LIMIT_AGENT_INTERFACES);
	for (size_t i = 0; i < agent->interfaces.count; i++) {
		if (check_interface(l, &agent->interfaces.items[i]))
			agent->interfaces.items[kept++] = agent->interfaces.items[i];
	}
	agent->interfaces.count = kept;
}

/* As in `hosts`, without a port. */
static bool parse_address(struct loader *l, const char *text, struct host *ret)
{
	bool six = strchr(text, ':');
	char *place = memory_format(six ? "[%s]:*" : "%s:*", text);
	int r = host_parse((char *)node_copy_text(l->arena, place), ret, NULL);

	free(place);
	return r == 0 && (ret->kind == HOST_ADDRESS || ret->kind == HOST_PREFIX);
}

static void check_addresses(struct loader *l, struct config_agent *agent)
{
	if (agent->addresses.place.file && agent->addresses.count == 0)
		loader_error(
			l, agent->addresses.place, "\"addresses\": an empty list is no address");
	if (agent->addresses.count > LIMIT_AGENT_ADDRESSES) {
		loader_error(l, agent->addresses.place, "\"addresses\": expected at most %u",
			LIMIT_AGENT_ADDRESSES);
		agent->addresses.count = 0;
	}
	agent->networks =
		node_allocate(l->arena, (agent->addresses.count + 1) * sizeof(*agent->networks));
	for (size_t i = 0; i < agent->addresses.count; i++) {
		const struct config_text *item = &agent->addresses.items[i];

		if (!parse_address(l, item->text, &agent->networks[agent->network_count]))
			loader_error(l, item->place,
				"\"addresses\": expected an address or a network, as 10.9.0.2 or "
				"fd00::/64, with no bits behind its length, not \"%s\"",
				item->text);
		else
			agent->network_count++;
	}
}

static bool share_address(const struct config_agent *a, const struct config_agent *b)
{
	for (size_t i = 0; i < a->network_count; i++) {
		for (size_t j = 0; j < b->network_count; j++) {
			if (host_matches_address(&a->networks[i], &b->networks[j].address) ||
				host_matches_address(&b->networks[j], &a->networks[i].address))
				return true;
		}
	}
	return a->network_count == 0 || b->network_count == 0;
}

static const struct config_text *shared_interface(
	const struct config_agent *a, const struct config_agent *b)
{
	for (size_t i = 0; i < a->interfaces.count; i++) {
		for (size_t j = 0; j < b->interfaces.count; j++) {
			if (may_meet(a->interfaces.items[i].text, b->interfaces.items[j].text))
				return &a->interfaces.items[i];
		}
	}
	return NULL;
}

/* Whose a packet is must be clear. */
static void check_others(const struct config *c, struct loader *l, const struct config_agent *agent)
{
	for (const struct config_agent *other = c->agents; other < agent; other++) {
		const struct config_text *shared = shared_interface(agent, other);

		if (shared && share_address(agent, other))
			loader_error(l, shared->place,
				"\"interfaces\": agent \"%s\" (line %u) may be behind \"%s\" too; "
				"expected \"addresses\" in both that tell them apart",
				other->name.text ? other->name.text : "?", other->place.line,
				shared->text);
	}
}

static void refuse_key(struct loader *l, const struct place *place, const char *key)
{
	if (place->file)
		loader_error(l, *place,
			"\"%s\" is for an agent with \"cgroup\": others start the processes of "
			"this one",
			key);
}

void config_check_interfaces(struct config *c, struct loader *l, struct config_agent *agent)
{
	if (!agent->interfaces.place.file) {
		if (agent->addresses.place.file)
			loader_error(l, agent->addresses.place,
				"\"addresses\" needs \"interfaces\": behind others anybody could "
				"have them");
		return;
	}
	if (agent->cgroup.place.file)
		loader_error(l, agent->interfaces.place,
			"expected \"cgroup\" or \"interfaces\", not both");
	refuse_key(l, &agent->users.place, "users");
	refuse_key(l, &agent->io_uring.place, "io_uring");
	refuse_key(l, &agent->trust_files.place, "trust_files");
	refuse_key(l, &agent->known_hosts.place, "known_hosts");
	refuse_key(l, &agent->sockets.place, "sockets");
	check_interfaces(l, agent);
	check_addresses(l, agent);
	check_others(c, l, agent);
}
