/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a connection goes: hosts, ties, candidates.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "policy_test.h"

/* Names of the host point into the returned one's text. */
static struct host parse(const char *text)
{
	static char texts[64][64];
	static unsigned used;
	char *copy = texts[used++ % 64];
	struct host h = {0};
	struct error e;

	snprintf(copy, 64, "%s", text);
	cr_assert_eq(host_parse(copy, &h, &e), 0, "%s: %s", text, e.text);
	return h;
}

static struct address address(const char *text)
{
	struct address a;

	cr_assert_eq(address_parse(text, &a), 0, "%s", text);
	return a;
}

Test(policy_host, addresses)
{
	static const struct {
		const char *host;
		const char *address;
		bool matches;
	} cases[] = {
		{"10.0.3.7:1", "10.0.3.7", true},
		{"10.0.3.7:1", "::ffff:10.0.3.7", true},
		{"[::ffff:10.0.3.7]:1", "10.0.3.7", true},
		{"10.0.3.7:1", "10.0.3.8", false},
		{"10.0.3.0/24:1", "10.0.3.255", true},
		{"10.0.3.0/24:1", "10.0.4.0", false},
		{"10.0.3.0/25:1", "10.0.3.128", false},
		{"10.0.3.128/25:1", "10.0.3.128", true},
		{"0.0.0.0/0:1", "255.1.2.3", true},
		{"0.0.0.0/0:1", "fd00::1", false},
		{"[::/0]:1", "fd00::1", true},
		{"[::/0]:1", "10.0.0.1", false},
		{"[fd00::/8]:1", "fdff::1", true},
		{"[fd00::/8]:1", "fc00::1", false},
		{"[fd00::/127]:1", "fd00::1", true},
		{"[fd00::/127]:1", "fd00::2", false},
		{"db.internal:1", "10.0.3.7", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct host h = parse(cases[i].host);
		struct address a = address(cases[i].address);

		cr_expect_eq(host_matches_address(&h, &a), cases[i].matches, "%s %s", cases[i].host,
			cases[i].address);
	}
}

Test(policy_host, names)
{
	static const struct {
		const char *host;
		const char *name;
		bool matches;
	} cases[] = {
		{"db.internal:1", "db.internal", true},
		{"DB.Internal:1", "db.iNTERNAL", true},
		{"db.internal:1", "db.internal.", true},
		{"db.internal:1", "xdb.internal", false},
		{"db.internal:1", "a.db.internal", false},
		{"*.example.com:1", "a.example.com", true},
		{"*.example.com:1", "a.b.example.com", true},
		{"*.example.com:1", "example.com", false},
		{"*.example.com:1", ".example.com", false},
		{"*.example.com:1", "aexample.com", false},
		{"*.example.com:1", "", false},
		{"10.0.3.7:1", "10.0.3.7", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct host h = parse(cases[i].host);

		cr_expect_eq(host_matches_name(&h, slice_from_string(cases[i].name)),
			cases[i].matches, "%s %s", cases[i].host, cases[i].name);
	}
}

Test(policy_host, ports)
{
	struct host any = parse("db:*"), one = parse("db:5432");

	cr_expect(host_matches_port(&any, 1) && host_matches_port(&any, 65535));
	cr_expect(host_matches_port(&one, 5432) && !host_matches_port(&one, 5433));
}

Test(policy_host, ties)
{
	static const struct {
		const char *a, *b;
		bool ties;
	} cases[] = {
		{"db:1", "DB:1", true},
		{"db:1", "db:2", false},
		{"db:1", "db:*", true},
		{"*.x:1", "*.x:1", true},
		{"*.x:1", "a.x:1", false},
		{"*.x:1", "*.a.x:1", false},
		{"10.0.0.0/8:1", "10.0.0.0/9:1", false},
		{"10.0.0.0/8:1", "10.0.0.0/8:*", true},
		{"10.0.0.1:1", "10.0.0.1/32:1", true},
		{"10.0.0.0/8:1", "[::ffff:10.0.0.0/104]:1", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct host a = parse(cases[i].a), b = parse(cases[i].b);

		cr_expect_eq(host_ties(&a, &b), cases[i].ties, "%s %s", cases[i].a, cases[i].b);
		cr_expect_eq(host_ties(&b, &a), cases[i].ties, "%s %s", cases[i].b, cases[i].a);
	}
}

/* Exact address > name > longest prefix; several names of one address are all candidates. */
static const char places[] =
	"config:\n"
	"  agents: [{name: a, cgroup: a}]\n"
	"  resources:\n"
	"    - {name: wide, protocol: tcp, hosts: [\"10.0.0.0/8:*\", \"[::/0]:9\"]}\n"
	"    - {name: narrow, protocol: tcp, hosts: [\"10.1.0.0/16:5432\"]}\n"
	"    - {name: named, protocol: postgres, hosts: [\"db.internal:5432\"]}\n"
	"    - {name: other, protocol: postgres, hosts: [\"other.internal:5432\"]}\n"
	"    - {name: wild, protocol: http, hosts: [\"*.internal:5432\"]}\n"
	"    - {name: exact, protocol: tcp, hosts: [\"10.1.1.1:5432\"]}\n"
	"    - {name: clock, protocol: udp, hosts: [\"10.1.1.1:5432\", \"db.internal:123\"]}\n"
	"rules: []\n";

static struct policy *open_places(void)
{
	struct policy_address addresses[] = {
		{slice_from_string("db.internal"), address("10.1.1.1")},
		{slice_from_string("db.internal"), address("10.1.1.2")},
		{slice_from_string("other.internal"), address("10.1.1.2")},
		{slice_from_string("third.internal"), address("10.1.1.3")},
		{slice_from_string("third.internal"), address("10.1.1.2")},
		{slice_from_string("fourth.internal"), address("10.1.1.2")},
		{slice_from_string("unrelated.example"), address("10.1.1.4")},
	};
	struct policy *p = policy_test_new_with(places, addresses, ARRAY_SIZE(addresses));

	cr_assert_not_null(p);
	return p;
}

static void check_candidates(
	const struct policy *p, const char *where, uint16_t port, size_t most, const char *expected)
{
	struct policy_candidate found[8];
	struct address a = address(where);
	size_t count = policy_match_address(p, &a, port, found, most);
	char names[256] = "";

	for (size_t i = 0; i < count; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.*s%s%.*s",
			i ? " " : "", SLICE_PRINT(p->resources[found[i].resource].name),
			found[i].name.length ? "=" : "", SLICE_PRINT(found[i].name));
	cr_expect_str_eq(names, expected, "%s:%u: %s, expected %s", where, port, names, expected);
}

Test(policy_host, candidates)
{
	struct policy *p = open_places();

	check_candidates(p, "10.1.1.1", 5432, 8, "exact");
	check_candidates(p, "::ffff:10.1.1.1", 5432, 8, "exact");
	check_candidates(p, "10.1.1.1", 80, 8, "wide");
	check_candidates(p, "10.1.1.2", 5432, 8,
		"named=db.internal other=other.internal wild=third.internal");
	check_candidates(p, "10.1.1.2", 5432, 2, "named=db.internal other=other.internal");
	check_candidates(p, "10.1.1.2", 5432, 0, "");
	check_candidates(p, "10.1.1.3", 5432, 8, "wild=third.internal");
	check_candidates(p, "10.1.1.4", 5432, 8, "narrow");
	check_candidates(p, "10.2.1.4", 5432, 8, "wide");
	check_candidates(p, "192.0.2.1", 9, 8, "");
	check_candidates(p, "192.0.2.1", 5432, 8, "wild=.internal");
	check_candidates(p, "192.0.2.1", 5432, 0, "");
	check_candidates(p, "2001:db8::1", 9, 8, "wide");
	check_candidates(p, "2001:db8::1", 10, 8, "");
	policy_put(p);
}

Test(policy_host, datagrams_go_to_other_places)
{
	struct policy *p = open_places();
	struct policy_candidate found[8];
	struct address a = address("10.1.1.1");

	cr_assert_eq(policy_match_datagrams(p, &a, 5432, found, 8), 1);
	cr_assert(slice_equal_string(p->resources[found[0].resource].name, "clock"));
	a = address("10.1.1.2");
	cr_assert_eq(policy_match_datagrams(p, &a, 123, found, 8), 1);
	cr_assert(slice_equal_string(found[0].name, "db.internal"));
	cr_assert_eq(policy_match_datagrams(p, &a, 5432, found, 8), 0);
	check_candidates(p, "10.1.1.2", 123, 8, "wide");
	policy_put(p);
}

static void check_answer(const struct policy *p, const char *where, uint16_t port, const char *name,
	const char *expected)
{
	struct policy_candidate found[8];
	struct slice text = slice_from_string(name);
	struct policy_place place = {
		.address = address(where), .port = port, .names = &text, .name_count = 1};
	size_t count = policy_match_place(p, &place, found, 8);
	char names[256] = "";

	for (size_t i = 0; i < count; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.*s",
			i ? " " : "", SLICE_PRINT(p->resources[found[i].resource].name));
	cr_expect_str_eq(
		names, expected, "%s as %s: %s, expected %s", where, name, names, expected);
}

/* What a resolver told an agent finds resources, except where what we log in with would go there
 * without a certificate for the name. */
Test(policy_host, answers_find_what_they_can_not_harm)
{
	static const char text[] =
		"config:\n"
		"  agents: [{name: a, cgroup: a}]\n"
		"  egress: deny\n"
		"  resources:\n"
		"    - {name: plain, protocol: postgres, hosts: [\"plain.internal:1\"]}\n"
		"    - {name: lent, protocol: postgres, hosts: [\"lent.internal:1\"],"
		" allow_cleartext: true, credentials: {user: u, password_file: /etc/hosts}}\n"
		"    - {name: proven, protocol: postgres, hosts: [\"proven.internal:1\"],"
		" tls: {upstream: verify-full},"
		" credentials: {user: u, password_file: /etc/hosts}}\n"
		"    - {name: exact, protocol: tcp, hosts: [\"10.1.1.1:1\"]}\n"
		"    - {name: wild, protocol: tcp, hosts: [\"*.wild.internal:2\"]}\n"
		"    - {name: sql, protocol: postgres, hosts: [\"*.sql.internal:3\"]}\n"
		"    - {name: one, protocol: postgres, hosts: [\"b.sql.internal:3\"]}\n"
		"    - {name: wide-loan, protocol: postgres, hosts: [\"*.lent.internal:4\"],"
		" allow_cleartext: true, credentials: {user: u, password_file: /etc/hosts}}\n"
		"    - {name: web, protocol: http, hosts: [\"*.web.internal:5\"]}\n"
		"    - {name: flow, protocol: udp, hosts: [\"*.wild.internal:2\"]}\n";
	struct policy *p = policy_test_new(text);

	check_answer(p, "192.0.2.1", 1, "plain.internal", "plain");
	/* A wildcard is found where the server will prove the name, or by an answer for one of its
	 * names; never by the port alone. */
	check_answer(p, "192.0.2.1", 2, "plain.internal", "");
	check_answer(p, "192.0.2.1", 2, "a.wild.internal", "wild");
	check_answer(p, "192.0.2.1", 2, "wild.internal", "");
	check_answer(p, "192.0.2.1", 3, "a.sql.internal", "sql");
	check_answer(p, "192.0.2.1", 3, "b.sql.internal", "one");
	check_answer(p, "192.0.2.1", 3, "a.wild.internal", "");
	check_answer(p, "192.0.2.1", 4, "a.lent.internal", "");
	check_answer(p, "192.0.2.1", 5, "a.web.internal", "web");
	check_answer(p, "192.0.2.1", 5, "plain.internal", "web");
	check_answer(p, "192.0.2.1", 1, "lent.internal", "");
	check_answer(p, "192.0.2.1", 1, "proven.internal", "proven");
	check_answer(p, "192.0.2.1", 1, "a.wild.internal", "");
	check_answer(p, "192.0.2.1", 1, "nobodys.internal", "");
	/* An address that a resource names is that resource, whatever is answered. */
	check_answer(p, "10.1.1.1", 1, "plain.internal", "exact");
	cr_assert(policy_has_name(p, slice_from_string("plain.internal")));
	cr_assert_not(policy_has_name(p, slice_from_string("a.wild.internal")));
	cr_assert(policy_needs_answers(p, slice_from_string("plain.internal")));
	cr_assert(policy_needs_answers(p, slice_from_string("a.wild.internal")));
	cr_assert_not(policy_needs_answers(p, slice_from_string("a.web.internal")));
	cr_assert_not(policy_needs_answers(p, slice_from_string("nobodys.internal")));
	policy_put(p);
}

static void check_beyond(const struct policy *p, const char *name, uint16_t port, int count,
	const char *resource, const char *matched)
{
	struct policy_candidate found[2];

	cr_assert_eq(policy_match_name(p, slice_from_string(name), port, found, 2), count, "%s:%u",
		name, port);
	if (count < 1)
		return;
	cr_expect(slice_equal_string(p->resources[found[0].resource].name, resource), "%s", name);
	cr_expect(slice_equal_string(found[0].name, matched), "%s", name);
}

/* A name that somebody else looks up finds what has it, unless that, or what has an address, could
 * be harmed. */
Test(policy_host, names_that_others_look_up)
{
	static const char text[] =
		"config:\n"
		"  agents: [{name: a, cgroup: a}]\n"
		"  egress: deny\n"
		"  resources:\n"
		"    - {name: plain, protocol: postgres, hosts: [\"plain.internal:1\"]}\n"
		"    - {name: lent, protocol: postgres, hosts: [\"lent.internal:1\"],"
		" credentials: {user: u, password_file: /etc/hosts}}\n"
		"    - {name: proven, protocol: postgres, hosts: [\"proven.internal:1\"],"
		" tls: {upstream: verify-full},"
		" credentials: {user: u, password_file: /etc/hosts}}\n"
		"    - {name: shell, protocol: ssh, hosts: [\"shell.internal:1\"],"
		" credentials: {user: u, key_file: /etc/hosts}}\n"
		"    - {name: exact, protocol: tcp, hosts: [\"10.1.1.1:3\"]}\n"
		"    - {name: range, protocol: tcp, hosts: [\"10.2.0.0/16:4\"]}\n"
		"    - {name: wild, protocol: http, hosts: [\"*.wild.internal:2\"]}\n";
	struct policy *p = policy_test_new(text);

	check_beyond(p, "plain.internal", 1, 1, "plain", "plain.internal");
	check_beyond(p, "plain.internal", 2, 0, "", "");
	check_beyond(p, "proven.internal", 1, 1, "proven", "proven.internal");
	check_beyond(p, "shell.internal", 1, 1, "shell", "shell.internal");
	check_beyond(p, "lent.internal", 1, -EPERM, "", "");
	check_beyond(p, "a.wild.internal", 2, 1, "wild", ".wild.internal");
	check_beyond(p, "nobodys.internal", 1, 0, "", "");
	check_beyond(p, "nobodys.internal", 3, -EPERM, "", "");
	check_beyond(p, "nobodys.internal", 4, -EPERM, "", "");
	policy_put(p);
}

static void check_narrow(const struct policy *p, const char *name, const char *expected)
{
	struct policy_candidate found[8];
	struct address a = address("10.1.1.2");
	size_t count = policy_match_address(p, &a, 5432, found, 8);
	char names[256] = "";

	count = policy_narrow(p, slice_from_string(name), 5432, found, count);
	for (size_t i = 0; i < count; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.*s",
			i ? " " : "", SLICE_PRINT(p->resources[found[i].resource].name));
	cr_expect_str_eq(names, expected, "%s: %s, expected %s", name, names, expected);
}

Test(policy_host, narrowing)
{
	struct policy *p = open_places();
	struct policy_candidate found[8];
	struct address a = address("10.1.1.1");

	check_narrow(p, "db.internal", "named");
	check_narrow(p, "OTHER.internal.", "other");
	check_narrow(p, "any.internal", "wild");
	check_narrow(p, "example.com", "");
	check_narrow(p, "internal", "");
	/* An address that a resource names is its own whatever the client calls it. */
	cr_assert_eq(policy_match_address(p, &a, 5432, found, 8), 1);
	cr_expect_eq(policy_narrow(p, slice_from_string("x.y"), 5432, found, 1), 1);
	policy_put(p);
}

/* Who can make a name below a wildcard's gives it the address of another resource, and the agent
 * looks it up. */
Test(policy_host, an_answer_for_a_wildcard_takes_no_place_from_another)
{
	static const char text[] =
		"config:\n"
		"  agents: [{name: a, cgroup: a}]\n"
		"  resources:\n"
		"    - {name: wild, protocol: tcp, hosts: [\"*.dev.internal:5\"]}\n"
		"    - {name: named, protocol: postgres, hosts: [\"db.internal:5\"]}\n"
		"    - {name: net, protocol: tcp, hosts: [\"10.0.0.0/8:5\"]}\n";
	static const struct {
		const char *where, *names[2], *expected;
	} tries[] = {
		{"192.0.2.1", {"x.dev.internal", "y.dev.internal"}, "wild"},
		{"10.9.9.9", {"x.dev.internal", "y.dev.internal"}, "wild"},
		{"10.9.9.9", {"x.other.internal", "y.other.internal"}, "net"},
		{"192.0.2.9", {"x.dev.internal", "y.dev.internal"}, "named"}, /* resolved by us */
		{"192.0.2.2", {"x.dev.internal", "db.internal"}, "named"},
		{"192.0.2.2", {"db.internal", "x.dev.internal"}, "named"},
	};
	struct policy_address ours = {slice_from_string("db.internal"), address("192.0.2.9")};
	struct policy *p = policy_test_new_with(text, &ours, 1);

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		const struct slice names[] = {
			slice_from_string(tries[i].names[0]), slice_from_string(tries[i].names[1])};
		struct policy_place place = {.address = address(tries[i].where),
			.port = 5,
			.names = names,
			.name_count = 2};
		struct policy_candidate found[8];

		cr_expect_eq(policy_match_place(p, &place, found, 8), 1, "%zu", i);
		cr_expect(
			slice_equal_string(p->resources[found[0].resource].name, tries[i].expected),
			"%zu", i);
	}
	policy_put(p);
}

Test(policy_host, echoes_go_to_other_places)
{
	static const char text[] = "config:\n"
				   "  agents: [{name: a, cgroup: a}]\n"
				   "  resources:\n"
				   "    - {name: flows, protocol: udp, hosts: [\"10.1.1.1:*\"]}\n"
				   "    - {name: echoes, protocol: icmp, hosts: [\"10.1.1.1:*\", "
				   "\"*.ping.internal:*\"]}\n";
	struct slice name = slice_from_string("a.ping.internal");
	struct policy_place place = {.address = address("10.1.1.1"), .transport = TRANSPORT_ICMP};
	struct policy_candidate found[8];
	struct policy *p = policy_test_new(text);

	cr_assert_eq(policy_match_place(p, &place, found, 8), 1);
	cr_assert(slice_equal_string(p->resources[found[0].resource].name, "echoes"));
	cr_assert_eq(policy_match_datagrams(p, &place.address, 7, found, 8), 1);
	cr_assert(slice_equal_string(p->resources[found[0].resource].name, "flows"));
	cr_assert_eq(policy_match_address(p, &place.address, 7, found, 8), 0);
	place.address = address("10.1.1.2");
	cr_assert_eq(policy_match_place(p, &place, found, 8), 0);
	place.names = &name;
	place.name_count = 1;
	cr_assert_eq(policy_match_place(p, &place, found, 8), 1);
	policy_put(p);
}
