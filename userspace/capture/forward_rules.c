/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/forward_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/forward_internal.h"
#include "capture/guard_internal.h"

#define TEXT_MOST (8u << 20) /* LIMIT_INTERFACE_ADDRESSES fit */
#define MAPPED_BITS 96

static const char removal[] = "add table %s wayleave_%s_forward\n"
			      "delete table %s wayleave_%s_forward\n";

/* IPv6 finds its neighbours by these, and nobody forwards them (RFC 4861, 7.1). */
static const char common_chains[] =
	"table inet wayleave_%s_forward {\n"
	"\tchain refuse {\n"
	"\t\tmeta l4proto tcp counter reject with tcp reset\n"
	"\t\tmeta l4proto { icmp, ipv6-icmp } counter reject with icmpx type admin-prohibited\n"
	"\t\tcounter reject with icmpx type port-unreachable\n"
	"\t}\n"
	"\tchain neighbours {\n"
	"\t\tip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-neighbor-solicit, "
	"nd-neighbor-advert } accept\n"
	"\t}\n"
	"\tchain strangers {\n"
	"\t\tjump neighbours\n"
	"\t\tcounter drop\n"
	"\t}\n";
/* Each agent has a counter of what it was refused. Without the second line of `source` whoever is
 * behind the interface could speak as anybody, and ask for answers that go elsewhere. */
static const char refuse_chain[] = "\tchain refuse_%zu {\n"
				   "\t\tcounter goto refuse\n"
				   "\t}\n";
/* Nor do routers carry what is for these (RFC 1122, 3.2.1.3, RFC 4291, 2.5): a socket that is
 * connected to them reaches this host, though no route says that they are its. */
static const char source_head[] = "\tchain source_%zu {\n"
				  "\t\tip daddr { 0.0.0.0/8, 127.0.0.0/8 } counter drop\n"
				  "\t\tip6 daddr { ::/96, ::ffff:0.0.0.0/96 } counter drop\n"
				  "\t\tjump neighbours\n"
				  "\t\tfib saddr . iif oif missing counter drop\n";
static const char answers[] = "\t\tct direction reply accept\n";
/* But answers, about which the line above says what there is to say. */
static const char datagrams[] = "\t\tmeta l4proto udp ct direction original accept\n";
/* Only what was redirected: that who dials the port itself is. */
static const char redirected[] =
	"\t\ttcp dport { %u, %u } ct direction original ct status dnat accept\n";
static const char redirects[] = "\t\tmeta l4proto tcp fib daddr type local redirect to :%u\n"
				"\t\tmeta l4proto tcp redirect to :%u\n";
static const char refuse_rest[] = "\t\tgoto refuse_%zu\n"
				  "\t}\n";
static const char sources_head[] = "\tchain sources {\n"
				   "\t\ttype filter hook prerouting priority raw; policy accept;\n";
/* Before others' redirections, of which the first one counts. What they do all the same, input and
 * forward refuse. */
static const char turn_head[] =
	"\tchain turn {\n"
	"\t\ttype nat hook prerouting priority dstnat - 1; policy accept;\n";
static const char input_head[] = "\tchain input {\n"
				 "\t\ttype filter hook input priority filter; policy accept;\n";
static const char guarded_ports[] = "\t\ttcp dport { %u, %u } tcp flags & (syn | ack) == syn "
				    "counter reject with tcp reset\n";
static const char forward_head[] = "\tchain forward {\n"
				   "\t\ttype filter hook forward priority filter; policy accept;\n";
static const char chain_tail[] = "\t}\n";

static const char *const devices[] = {[FORWARD_IN] = "iifname", [FORWARD_OUT] = "oifname"};
static const char *const ends[] = {[FORWARD_IN] = "saddr", [FORWARD_OUT] = "daddr"};

static bool is_v4(const struct forward_source *s)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return s->bits >= MAPPED_BITS && memcmp(s->address, mapped, sizeof(mapped)) == 0;
}

static int append_source(struct buffer *b, const char *interface, const struct forward_source *s,
	enum forward_way way, const char *chain)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = is_v4(s);

	if (!inet_ntop(
		    v4 ? AF_INET : AF_INET6, v4 ? s->address + 12 : s->address, text, sizeof(text)))
		return -EINVAL;
	return buffer_append_format(b, "\t\t%s \"%s\" %s %s %s/%u goto %s\n", devices[way],
		interface, v4 ? "ip" : "ip6", ends[way], text, v4 ? s->bits - MAPPED_BITS : s->bits,
		chain);
}

int forward_append_dispatch(
	struct buffer *b, const struct forward_rules *f, enum forward_way way, const char *name)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->count; i++) {
		const struct forward_agent *a = &f->agents[i];
		char chain[32];

		snprintf(chain, sizeof(chain), "%s_%zu", name, i);
		for (size_t j = 0; r == 0 && j < a->interface_count; j++) {
			for (size_t k = 0; r == 0 && k < a->source_count; k++)
				r = append_source(b, a->interfaces[j], &a->sources[k], way, chain);
			if (r == 0 && a->source_count == 0)
				r = buffer_append_format(b, "\t\t%s \"%s\" goto %s\n", devices[way],
					a->interfaces[j], chain);
		}
	}
	return r;
}

/* What comes in there and is nobody's; `format` has the interface's name in it. */
static int append_rest(struct buffer *b, const struct forward_rules *f, const char *format)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->count; i++) {
		for (size_t j = 0; r == 0 && j < f->agents[i].interface_count; j++)
			r = buffer_append_format(b, format, f->agents[i].interfaces[j]);
	}
	return r;
}

static int append_source_chain(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r = buffer_append_format(b, source_head, i);

	if (r == 0 && a->bandwidth)
		r = buffer_append_format(b, "\t\tmeta l4proto != tcp jump pace_%x\n", a->id);
	if (r == 0 && forward_is_watched(f, a))
		r = forward_append_queries(b, f, i);
	return r == 0 ? buffer_append_string(b, chain_tail) : r;
}

static int append_forward_chain(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r = buffer_append_format(b, "\tchain forward_%zu {\n", i);

	if (r == 0 && a->listen)
		r = buffer_append_string(b, answers);
	if (r == 0 && a->udp == UDP_ALLOW)
		r = buffer_append_string(b, datagrams);
	if (r == 0 && forward_is_watched(f, a))
		r = forward_append_passes(b, f, a, i);
	return r == 0 ? buffer_append_format(b, refuse_rest, i) : r;
}

static int append_input_chain(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r = buffer_append_format(b, "\tchain input_%zu {\n", i);

	if (r == 0 && a->port && a->port_here)
		r = buffer_append_format(b, redirected, a->port, a->port_here);
	if (r == 0 && a->listen)
		r = buffer_append_string(b, answers);
	/* What is left of queries was judged. */
	if (r == 0 && forward_is_watched(f, a))
		r = forward_append_refused(b, f, i);
	if (r == 0 && forward_is_watched(f, a))
		r = buffer_append_string(b, "\t\tudp dport 53 accept\n");
	if (r == 0)
		r = buffer_append_string(b, "\t\tjump neighbours\n");
	return r == 0 ? buffer_append_format(b, refuse_rest, i) : r;
}

static int append_turn_chain(struct buffer *b, const struct forward_agent *a, size_t i)
{
	int r = buffer_append_format(b, "\tchain turn_%zu {\n", i);

	if (r == 0 && a->port && a->port_here)
		r = buffer_append_format(b, redirects, a->port_here, a->port);
	return r == 0 ? buffer_append_string(b, chain_tail) : r;
}

static int append_agent(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r = buffer_append_format(b, refuse_chain, i);

	if (r == 0)
		r = forward_append_pace(b, f, a, i);
	if (r == 0)
		r = forward_append_queueing(b, f, a, i);
	if (r == 0)
		r = append_source_chain(b, f, a, i);
	if (r == 0)
		r = append_forward_chain(b, f, a, i);
	if (r == 0)
		r = append_input_chain(b, f, a, i);
	return r == 0 ? append_turn_chain(b, a, i) : r;
}

static int append_agents(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_format(b, common_chains, f->instance);

	for (size_t i = 0; r == 0 && i < f->count; i++)
		r = append_agent(b, f, &f->agents[i], i);
	return r;
}

static int append_sources(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_string(b, sources_head);

	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_IN, "source");
	if (r == 0)
		r = append_rest(b, f, "\t\tiifname \"%s\" goto strangers\n");
	return r == 0 ? buffer_append_string(b, chain_tail) : r;
}

static int append_turn(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_string(b, turn_head);

	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_IN, "turn");
	return r == 0 ? buffer_append_string(b, chain_tail) : r;
}

static int append_input(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_string(b, input_head);

	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_IN, "input");
	if (r == 0)
		r = append_rest(b, f, "\t\tiifname \"%s\" goto strangers\n");
	for (size_t i = 0; r == 0 && i < f->count; i++) {
		const struct forward_agent *a = &f->agents[i];

		if (a->port && a->port_here)
			r = buffer_append_format(b, guarded_ports, a->port, a->port_here);
	}
	return r == 0 ? buffer_append_string(b, chain_tail) : r;
}

static int append_forward(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_string(b, forward_head);

	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_IN, "forward");
	if (r == 0)
		r = append_rest(b, f, "\t\tiifname \"%s\" counter drop\n");
	return r == 0 ? buffer_append_string(b, chain_tail) : r;
}

static int append_bridges(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_format(b,
		"table bridge wayleave_%s_forward {\n"
		"\tchain ports {\n"
		"\t\ttype filter hook prerouting priority -300; policy accept;\n",
		f->instance);

	if (r == 0)
		r = append_rest(b, f, "\t\tiifname \"%s\" counter drop\n");
	return r == 0 ? buffer_append_string(b, "\t}\n}\n") : r;
}

int forward_rules_text(const struct forward_rules *f, struct buffer *ret)
{
	int r = buffer_append_format(ret, removal, "inet", f->instance, "inet", f->instance);

	if (r == 0)
		r = buffer_append_format(
			ret, removal, "bridge", f->instance, "bridge", f->instance);
	if (r == 0)
		r = append_agents(ret, f);
	if (r == 0)
		r = append_sources(ret, f);
	if (r == 0)
		r = append_turn(ret, f);
	if (r == 0)
		r = append_input(ret, f);
	if (r == 0)
		r = append_forward(ret, f);
	if (r == 0)
		r = forward_append_arriving(ret, f);
	if (r == 0)
		r = forward_append_settling(ret, f);
	if (r == 0)
		r = buffer_append_string(ret, "}\n");
	if (r == 0)
		r = append_bridges(ret, f);
	return r == 0 ? buffer_append_byte(ret, 0) : r;
}

int forward_rules_apply(const struct forward_rules *f, struct error *e)
{
	struct buffer text;
	int r;

	if (f->count == 0)
		return forward_rules_remove(f->instance, e);
	buffer_init(&text, TEXT_MOST);
	r = forward_rules_text(f, &text);
	if (r < 0)
		error_set_errno(e, r, "the rules for nftables");
	else
		r = guard_run((const char *)buffer_slice(&text).data, NULL, e);
	buffer_done(&text);
	return r;
}

/* Hosts without such agents are spared what adding a table loads. */
static int remove_table(const char *family, const char *instance, struct error *e)
{
	char text[128];

	snprintf(text, sizeof(text), "list table %s wayleave_%s_forward\n", family, instance);
	if (guard_run(text, NULL, NULL) < 0)
		return 0;
	snprintf(text, sizeof(text), "delete table %s wayleave_%s_forward\n", family, instance);
	return guard_run(text, NULL, e);
}

int forward_rules_remove(const char *instance, struct error *e)
{
	int r = remove_table("inet", instance, e), bridge = remove_table("bridge", instance, e);

	return r < 0 ? r : bridge;
}

void forward_rules_name(const char *instance, char ret[FORWARD_RULES_NAME_SIZE])
{
	snprintf(ret, FORWARD_RULES_NAME_SIZE, "%.20s_forward", instance);
}

int forward_rules_shape(const char *instance, uint64_t *ret, struct error *e)
{
	char name[FORWARD_RULES_NAME_SIZE];
	uint64_t inet, bridge;
	int r;

	forward_rules_name(instance, name);
	r = guard_shape(name, &inet, e);
	if (r == 0)
		r = guard_shape_of("bridge", name, &bridge, e);
	if (r == 0)
		*ret = inet * 31 + bridge;
	return r;
}
