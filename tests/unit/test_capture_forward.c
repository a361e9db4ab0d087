/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for agents that are known by an interface. What they do to packets
 * tests/capture/test_forwarded.py tries.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/forward_rules.h"
#include "capture/queue.h"

static const char *const veth[] = {"veth-a*"};
static const char *const shared[] = {"br0", "tap1"};
static const struct forward_source sources[] = {
	{{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [15] = 2}, 128},
	{{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 8}, 112},
	{{0xfd, [15] = 2}, 64},
};

static struct buffer text_of(const struct forward_agent *agents, size_t count)
{
	const struct forward_rules f = {.instance = "x", .agents = agents, .count = count};
	struct buffer b;

	buffer_init(&b, 1 << 20);
	cr_assert_eq(forward_rules_text(&f, &b), 0);
	return b;
}

static unsigned times(const struct buffer *b, const char *what)
{
	const char *at = (const char *)buffer_slice(b).data;
	unsigned n = 0;

	while ((at = strstr(at, what))) {
		at++;
		n++;
	}
	return n;
}

Test(forward_rules, replace_their_tables_in_one_transaction)
{
	const struct forward_agent agent = {.interfaces = veth, .interface_count = 1};
	static const char head[] = "add table inet wayleave_x_forward\n"
				   "delete table inet wayleave_x_forward\n"
				   "add table bridge wayleave_x_forward\n"
				   "delete table bridge wayleave_x_forward\n"
				   "table inet wayleave_x_forward {\n";
	struct buffer b = text_of(&agent, 1);

	cr_expect_eq(strncmp((const char *)buffer_slice(&b).data, head, strlen(head)), 0);
	cr_expect_eq(times(&b, "table bridge wayleave_x_forward {\n"), 1);
	buffer_done(&b);
}

Test(forward_rules, lead_an_interface_to_its_agents_ports_alone)
{
	const struct forward_agent agents[] = {
		{.interfaces = veth, .interface_count = 1, .port = 1022, .port_here = 1021},
		{.interfaces = shared,
			.interface_count = 2,
			.sources = sources,
			.source_count = 3,
			.port = 900,
			.port_here = 901},
	};
	struct buffer b = text_of(agents, 2);

	cr_expect_eq(times(&b, "iifname \"veth-a*\" goto turn_0\n"), 1);
	cr_expect_eq(times(&b,
			     "fib daddr type local redirect to :1021\n"
			     "\t\tmeta l4proto tcp redirect to :1022\n"),
		1);
	cr_expect_eq(times(&b, "tcp dport { 1022, 1021 } ct direction original ct status dnat"), 1);
	/* By source where there are some, in each of the four hooks. */
	cr_expect_eq(times(&b, "iifname \"br0\" ip saddr 10.9.0.2/32 goto turn_1\n"), 1);
	cr_expect_eq(times(&b, "iifname \"tap1\" ip saddr 10.8.0.0/16 goto forward_1\n"), 1);
	cr_expect_eq(times(&b, "iifname \"tap1\" ip6 saddr fd00::2/64 goto input_1\n"), 1);
	cr_expect_eq(times(&b, "saddr 10.9.0.2/32"), 2 * 4);
	/* Nobody else's packets come that way, and nobody else gets to the ports. */
	cr_expect_eq(times(&b, "iifname \"br0\" goto strangers\n"), 2);
	cr_expect_eq(times(&b,
			     "tcp dport { 900, 901 } tcp flags & (syn | ack) == syn counter "
			     "reject with tcp reset\n"),
		1);
	buffer_done(&b);
}

Test(forward_rules, let_pass_what_they_are_told_to)
{
	const struct forward_agent agents[] = {
		{.interfaces = veth, .interface_count = 1, .udp = UDP_POLICY},
		{.interfaces = shared, .interface_count = 1, .listen = true, .udp = UDP_ALLOW},
	};
	struct buffer b = text_of(agents, 2);

	/* No listeners, and no queue: everything is refused. */
	cr_expect_eq(times(&b, "meta mark set"), 0);
	cr_expect_eq(times(&b, "redirect to"), 0);
	cr_expect_eq(times(&b, "chain forward_0 {\n\t\tgoto refuse_0\n"), 1);
	cr_expect_eq(times(&b, "chain input_0 {\n\t\tjump neighbours\n\t\tgoto refuse_0\n"), 1);
	cr_expect_eq(times(&b,
			     "chain forward_1 {\n"
			     "\t\tct direction reply accept\n"
			     "\t\tmeta l4proto udp ct direction original accept\n"
			     "\t\tgoto refuse_1\n"),
		1);
	cr_expect_eq(times(&b, "chain input_1 {\n\t\tct direction reply accept\n"), 1);
	buffer_done(&b);
}

Test(forward_rules, ask_for_datagrams_where_policy_says)
{
	static const struct forward_agent agents[] = {
		{.id = 0x110022, .interfaces = veth, .interface_count = 1, .udp = UDP_POLICY},
		{.id = 0x33, .interfaces = shared, .interface_count = 1, .udp = UDP_DNS},
		{.id = 0x44, .interfaces = &shared[1], .interface_count = 1, .udp = UDP_DENY},
	};
	const struct forward_rules f = {.instance = "x",
		.queue = 7,
		.generation = 5,
		.resolvers = {.count = 1, .items = {{AF_INET, "192.0.2.53"}}},
		.agents = agents,
		.count = 3};
	struct buffer b;
	char text[64];

	buffer_init(&b, 1 << 20);
	cr_assert_eq(forward_rules_text(&f, &b), 0);
	/* Names of the first two, on their way there and back. */
	cr_expect_eq(times(&b, "ip daddr 192.0.2.53 udp dport 53 goto names_"), 2);
	cr_expect_eq(times(&b, "fib daddr type local udp dport 53 goto names_"), 2);
	cr_expect_eq(times(&b, "ip saddr 192.0.2.53 goto heard_"), 2);
	cr_expect_eq(times(&b, "meta mark set 0x5e000007 accept"), 2);
	cr_expect_eq(times(&b, "meta mark set 0x5f000007 accept"), 2);
	cr_expect_eq(times(&b, "meta priority set 11:22"), 3);
	/* What was refused does not pass as a query, wherever it comes through. */
	cr_expect_eq(times(&b,
			     "meta mark { 0x5c000007, 0x5e000007 } goto refuse_0\n"
			     "\t\tip daddr 192.0.2.53 udp dport 53 accept\n"),
		1);
	cr_expect_eq(times(&b,
			     "meta mark { 0x5c000007, 0x5e000007 } goto refuse_1\n"
			     "\t\tudp dport 53 accept\n"),
		1);
	/* Flows of the first alone. */
	cr_expect_eq(times(&b, "meta l4proto udp goto asked"), 1);
	snprintf(text, sizeof(text), "\t\tct mark %#x ct state != related accept",
		queue_pass_mark(0x110022, 5));
	cr_expect_eq(times(&b, text), 1);
	/* Where it goes on from here, what was let pass. */
	snprintf(text, sizeof(text), "ct mark %#x accept", queue_pass_mark(0x110022, 5));
	cr_expect_eq(times(&b, text), 1);
	snprintf(text, sizeof(text), "ct mark %#x accept", queue_pass_mark(0x33, 5));
	cr_expect_eq(times(&b, text), 0);
	/* Nothing of the last. */
	cr_expect_eq(times(&b, "chain judge_2 {\n\t}\n"), 1);
	cr_expect_eq(times(&b, "chain forward_2 {\n\t\tgoto refuse_2\n"), 1);
	buffer_done(&b);
}

/* What comes in there, and what other hosts send there. */
Test(forward_rules, limit_what_datagrams_carry)
{
	const struct forward_agent agents[] = {
		{.interfaces = veth, .interface_count = 1, .id = 0x11, .bandwidth = 5000},
		{.interfaces = shared, .interface_count = 2, .id = 0x22},
	};
	struct buffer b = text_of(agents, 2);

	cr_expect_eq(
		times(&b, "chain pace_11 {\n\t\tlimit rate over 5000 bytes/second burst 65536 "),
		1);
	cr_expect_eq(times(&b, "chain pace_22"), 0);
	cr_expect_eq(times(&b, "meta l4proto != tcp jump pace_11\n"), 1);
	cr_expect_eq(times(&b, "chain arrive_0 {\n\t\tgoto pace_11\n\t}\n"), 1);
	cr_expect_eq(times(&b, "oifname \"veth-a*\" goto arrive_0\n"), 1);
	cr_expect_eq(times(&b, "chain arrive_1 {\n\t}\n"), 1);
	buffer_done(&b);
	b = text_of(agents + 1, 1);
	cr_expect_eq(times(&b, "arriv"), 0);
	buffer_done(&b);
}
