/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/guard.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bpf/shared.h"
#include "capture/cgroup.h"
#include "capture/guard_elements.h"
#include "capture/guard_internal.h"

/* Where libnftables 1.0.6 looks a cgroup's path up, whatever is mounted there. */
#define NFT_CGROUP_ROOT "/sys/fs/cgroup"

/* Priority raw: before address translation and connection tracking, so that the rules see the
 * addresses that the socket has. The agent's cgroup is compared once per level, not once per agent,
 * and other hosts' and the daemon's packets meet nothing but that.
 *
 * On loopback: the worker's listener, unless the origin was lost (lifecycle.bpf.c); else a first
 * SYN must carry the mark of steer.bpf.c. Whatever follows a SYN passes there whosoever sends it,
 * so that no cgroup is looked up for it. Elsewhere nothing, or, where the agent may listen, nothing
 * that opens a connection. In the input chain a SYN from outside is answered at once; without that
 * the handshake would be done before the agent's first segment is rejected, because a SYN-ACK
 * belongs to no full socket yet.
 *
 * UDP: on loopback it passes unless the agent has none at all; elsewhere to the host's own
 * resolvers alone. A fragment behind the first has no port and is refused. */
static const char table_head[] = "add table inet wayleave_%s\n"
				 "delete table inet wayleave_%s\n"
				 "table inet wayleave_%s {\n";
static const char tcp_head[] = "\tchain refuse {\n"
			       "\t\tcounter reject with tcp reset\n"
			       "\t}\n"
			       "\tchain loopback {\n"
			       "\t\tmeta mark %#x goto refuse\n";
static const char listener_rules[] = "\t\tip daddr 127.0.0.1 tcp dport %u accept\n"
				     "\t\tip6 daddr ::1 tcp dport %u accept\n";
static const char agent_chains[] =
	"\t\ttcp flags & (syn | ack) == syn meta mark != %#x goto refuse\n"
	"\t\taccept\n"
	"\t}\n"
	"\tchain agent {\n"
	"\t\toif \"lo\" goto loopback\n"
	"\t\tgoto refuse\n"
	"\t}\n"
	"\tchain agent_listening {\n"
	"\t\toif \"lo\" goto loopback\n"
	"\t\ttcp flags & (syn | ack) == syn goto refuse\n"
	"\t}\n";
static const char output_head[] = "\tchain output {\n"
				  "\t\ttype filter hook output priority raw; policy accept;\n"
				  "\t\tmeta l4proto != tcp goto other\n"
				  "\t\toif \"lo\" tcp flags & (syn | ack) != syn accept\n";
static const char udp_head[] = "\tchain refuse_udp {\n"
			       "\t\tmeta l4proto { icmp, ipv6-icmp } counter "
			       "reject with icmpx type admin-prohibited\n"
			       "\t\tcounter reject with icmpx type port-unreachable\n"
			       "\t}\n"
			       "\tchain udp_dns {\n"
			       "\t\toif \"lo\" accept\n";
static const char udp_tail[] = "\t\tgoto refuse_udp\n"
			       "\t}\n";
static const char other_head[] = "\tchain other {\n";
/* What TCP may do there fence.bpf.c says. */
static const char output_elsewhere[] = "\tchain output {\n"
				       "\t\ttype filter hook output priority raw; policy accept;\n"
				       "\t\tmeta l4proto != tcp goto other\n"
				       "\t}\n";
static const char input_head[] = "\tchain input {\n"
				 "\t\ttype filter hook input priority raw; policy accept;\n"
				 "\t\tmeta l4proto != tcp accept\n"
				 "\t\tiif \"lo\" accept\n"
				 "\t\ttcp flags & (syn | ack) != syn accept\n";

/* nft's path of a cgroup: relative to NFT_CGROUP_ROOT, which may have to be left. */
static int append_path(struct buffer *b, const struct guard *g, const char *cgroup)
{
	size_t skip = strlen(NFT_CGROUP_ROOT);
	const char *root = g->cgroup_root;

	if (strncmp(root, NFT_CGROUP_ROOT, skip) == 0 && (root[skip] == '/' || root[skip] == '\0'))
		root += root[skip] == '/' ? skip + 1 : skip;
	else
		return buffer_append_format(b, "\"../../..%s/%s\"", root, cgroup);
	return buffer_append_format(b, "\"%s%s%s\"", root, *root ? "/" : "", cgroup);
}

enum kind { OUTBOUND, INBOUND, OTHER, JUDGED, ANSWERS, ARRIVING, KIND_COUNT };

/* The first that there are. */
static enum kind first_kind(const struct guard *g)
{
	return g->elsewhere ? OTHER : OUTBOUND;
}

static enum kind end_of_kinds(const struct guard *g)
{
	return guard_paces(g) ? KIND_COUNT : ARRIVING;
}

static const char *const kind_names[KIND_COUNT] = {
	"outbound", "inbound", "other", "judged", "answers", "arriving"};

static void number_chain(const struct guard *g, const struct guard_agent *a, const char *name,
	char ret[GUARD_CHAIN_SIZE])
{
	snprintf(ret, GUARD_CHAIN_SIZE, "%s_%zu", name, (size_t)(a - g->agents));
}

void guard_other_chain(
	const struct guard *g, const struct guard_agent *a, char ret[GUARD_CHAIN_SIZE])
{
	const char *name = "";

	if (guard_is_watched(g, a)) {
		number_chain(g, a, "watch", ret);
		return;
	}
	if (a->udp == UDP_DENY)
		name = "refuse_udp";
	else if (a->udp != UDP_ALLOW)
		name = "udp_dns";
	snprintf(ret, GUARD_CHAIN_SIZE, "%s", name);
}

/* The chain for an agent's packets; empty: they pass. */
static void chain_of(const struct guard *g, const struct guard_agent *a, enum kind kind,
	char ret[GUARD_CHAIN_SIZE])
{
	const char *name = "";

	switch (kind) {
	case OUTBOUND:
		name = a->listen ? "agent_listening" : "agent";
		break;
	case INBOUND:
		name = a->listen ? "" : "refuse";
		break;
	case OTHER:
		if (guard_is_paced(g, a))
			number_chain(g, a, "leave", ret);
		else
			guard_other_chain(g, a, ret);
		return;
	case ARRIVING:
		if (guard_is_paced(g, a)) {
			snprintf(ret, GUARD_CHAIN_SIZE, "pace_%x", a->id);
			return;
		}
		break;
	case ANSWERS:
		if (guard_is_watched(g, a)) {
			number_chain(g, a, "names", ret);
			return;
		}
		break;
	default:
		if (guard_is_judged(g, a)) {
			number_chain(g, a, "judge", ret);
			return;
		}
		name = guard_is_unjudged(a) ? "unjudged" : "";
	}
	snprintf(ret, GUARD_CHAIN_SIZE, "%s", name);
}

/* The agents of one level, as a map from cgroup to chain. */
static int append_map(struct buffer *b, const struct guard *g, enum kind kind, unsigned level)
{
	bool first = true;
	int r = buffer_append_format(
		b, "\tmap %s_%u {\n\t\ttype cgroupsv2 : verdict\n", kind_names[kind], level);

	for (size_t i = 0; r == 0 && i < g->count; i++) {
		const struct guard_agent *a = &g->agents[i];
		char chain[GUARD_CHAIN_SIZE];

		chain_of(g, a, kind, chain);
		if (cgroup_path_depth(a->cgroup) != level || !*chain)
			continue;
		r = buffer_append_string(b, first ? "\t\telements = { " : ",\n\t\t\t");
		if (r == 0)
			r = append_path(b, g, a->cgroup);
		if (r == 0)
			r = buffer_append_format(b, " : goto %s", chain);
		first = false;
	}
	if (r == 0)
		r = buffer_append_string(b, first ? "\t}\n" : " }\n\t}\n");
	return r;
}

static bool level_is_used(const struct guard *g, unsigned level)
{
	for (size_t i = 0; i < g->count; i++) {
		if (cgroup_path_depth(g->agents[i].cgroup) == level)
			return true;
	}
	return false;
}

/* One map of each kind per level: an agent's cgroup is below no other agent's, so that a socket is
 * in one of them at most. */
static int append_maps(struct buffer *b, const struct guard *g)
{
	int r = 0;

	for (unsigned level = 1; r == 0 && level <= CGROUP_DEPTH_MOST; level++) {
		if (!level_is_used(g, level))
			continue;
		for (enum kind kind = first_kind(g); r == 0 && kind < end_of_kinds(g); kind++)
			r = append_map(b, g, kind, level);
	}
	return r;
}

static int append_chain(struct buffer *b, const struct guard *g, const char *head, enum kind kind)
{
	int r = buffer_append_string(b, head);

	for (unsigned level = 1; r == 0 && level <= CGROUP_DEPTH_MOST; level++) {
		if (level_is_used(g, level))
			r = buffer_append_format(b, "\t\tsocket cgroupv2 level %u vmap @%s_%u\n",
				level, kind_names[kind], level);
	}
	return r == 0 ? buffer_append_string(b, "\t}\n") : r;
}

int guard_append_resolvers(struct buffer *b, const struct guard *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->resolvers.count; i++) {
		const struct resolver *resolver = &g->resolvers.items[i];

		r = buffer_append_format(b, "\t\t%s daddr %s udp dport 53 accept\n",
			resolver->family == AF_INET ? "ip" : "ip6", resolver->text);
	}
	return r;
}

static int append_udp(struct buffer *b, const struct guard *g)
{
	int r = buffer_append_string(b, udp_head);

	if (r == 0)
		r = guard_append_resolvers(b, g);
	return r == 0 ? buffer_append_string(b, udp_tail) : r;
}

static int append_tcp(struct buffer *b, const struct guard *g)
{
	int r = buffer_append_format(b, tcp_head, STEER_MARK_LOST);

	if (r == 0 && g->port)
		r = buffer_append_format(b, listener_rules, g->port, g->port);
	return r == 0 ? buffer_append_format(b, agent_chains, STEER_MARK_DIRECT) : r;
}

/* The chains of the hooks that look agents up. */
static int append_hooks(struct buffer *b, const struct guard *g)
{
	int r = append_chain(b, g, other_head, OTHER);

	if (g->elsewhere)
		return r == 0 ? buffer_append_string(b, output_elsewhere) : r;
	if (r == 0)
		r = append_chain(b, g, output_head, OUTBOUND);
	return r == 0 ? append_chain(b, g, input_head, INBOUND) : r;
}

int guard_text(const struct guard *g, struct buffer *ret)
{
	int r = buffer_append_format(ret, table_head, g->instance, g->instance, g->instance);

	if (r == 0 && !g->elsewhere)
		r = append_tcp(ret, g);
	if (r == 0)
		r = append_udp(ret, g);
	if (r == 0)
		r = guard_append_watches(ret, g);
	if (r == 0)
		r = guard_append_judges(ret, g);
	if (r == 0)
		r = guard_append_paces(ret, g);
	if (r == 0)
		r = append_maps(ret, g);
	if (r == 0)
		r = append_hooks(ret, g);
	if (r == 0 && guard_tracks(g))
		r = append_chain(ret, g, guard_judged_head, JUDGED);
	if (r == 0 && guard_paces(g))
		r = append_chain(ret, g, guard_arriving_head, ARRIVING);
	if (r == 0 && guard_watches(g))
		r = append_chain(ret, g, guard_whose_head, ANSWERS);
	if (r == 0 && guard_watches(g))
		r = guard_append_answers(ret, g);
	if (r == 0)
		r = buffer_append_string(ret, "}\n");
	if (r == 0)
		r = guard_append_queue(ret, g);
	if (r == 0)
		r = buffer_append_byte(ret, 0);
	return r;
}

int guard_apply(const struct guard *g, struct error *e)
{
	struct buffer text;
	int r;

	buffer_init(&text, GUARD_TEXT_MOST);
	r = guard_text(g, &text);
	if (r < 0)
		error_set_errno(e, r, "the rules for nftables");
	else
		r = guard_run((const char *)buffer_slice(&text).data, NULL, e);
	buffer_done(&text);
	return r;
}

int guard_remove(const char *instance, struct error *e)
{
	struct buffer text;
	int r;

	buffer_init(&text, GUARD_TEXT_MOST);
	/* Adding it first makes deleting what is not there no error. */
	r = buffer_append_format(&text,
		"add table inet wayleave_%s\ndelete table inet wayleave_%s\n"
		"add table inet wayleave_%s_queue\ndelete table inet wayleave_%s_queue\n",
		instance, instance, instance, instance);
	if (r == 0)
		r = buffer_append_byte(&text, 0);
	if (r == 0)
		r = guard_run((const char *)buffer_slice(&text).data, NULL, e);
	buffer_done(&text);
	return r;
}

/* Whether the map sends the agent's packets where it should. One that is gone has none. */
static int look_up(const struct guard *g, const struct guard_agent *a, enum kind kind,
	const struct guard_elements *map)
{
	char chain[GUARD_CHAIN_SIZE], path[PATH_MAX];
	const char *found;
	struct stat s;

	chain_of(g, a, kind, chain);
	if (!*chain)
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", g->cgroup_root, a->cgroup) >=
		sizeof(path))
		return -ENAMETOOLONG;
	if (stat(path, &s) < 0)
		return errno == ENOENT ? 0 : -errno;
	found = guard_elements_find(map, s.st_ino);
	return found && strcmp(found, chain) == 0 ? 0 : -ENOENT;
}

static int check_map(const struct guard *g, enum kind kind, unsigned level, struct error *e)
{
	struct guard_elements map;
	char name[32];
	int r;

	snprintf(name, sizeof(name), "%s_%u", kind_names[kind], level);
	r = guard_elements_read(g->instance, name, &map);
	if (r < 0)
		return error_set_errno(e, r, "nftables: the map %s", name);
	for (size_t i = 0; r == 0 && i < g->count; i++) {
		const struct guard_agent *a = &g->agents[i];

		if (cgroup_path_depth(a->cgroup) != level)
			continue;
		r = look_up(g, a, kind, &map);
		if (r < 0)
			error_set_errno(e, r, "nftables: the rules for cgroup %s", a->cgroup);
	}
	guard_elements_done(&map);
	return r;
}

int guard_check(const struct guard *g, uint64_t shape, struct error *e)
{
	uint64_t now;
	int r = guard_whole_shape(g, &now, e);

	if (r == 0 && now != shape)
		r = error_set(e, -ESTALE, "nftables: somebody has changed the rules");
	for (unsigned level = 1; r == 0 && level <= CGROUP_DEPTH_MOST; level++) {
		if (!level_is_used(g, level))
			continue;
		for (enum kind kind = first_kind(g); r == 0 && kind < end_of_kinds(g); kind++)
			r = check_map(g, kind, level, e);
	}
	return r;
}
