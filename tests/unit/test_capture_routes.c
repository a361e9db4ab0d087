/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "capture/prefix.h"
#include "capture/route_table.h"

static int family_of(const char *text)
{
	return strchr(text, ':') ? AF_INET6 : AF_INET;
}

static struct prefix_key key(const char *text, unsigned bits)
{
	struct prefix_key k;
	uint8_t address[16];

	cr_assert_eq(inet_pton(family_of(text), text, address), 1, "%s", text);
	cr_assert_eq(prefix_from_address(family_of(text), address, bits, 0, &k), 0);
	return k;
}

static void set_address(const char *text, uint8_t ret[16])
{
	uint8_t address[16];

	cr_assert_eq(inet_pton(family_of(text), text, address), 1);
	prefix_map_address(family_of(text), address, ret);
}

/* A route in one line; NULL = none. */
static void add(struct route_table *t, const char *destination, unsigned bits, uint8_t type,
	uint32_t metric, const char *gateway, const char *source)
{
	struct route_entry e = {.destination = key(destination, bits),
		.table = RT_TABLE_MAIN,
		.metric = metric,
		.interface = 2,
		.type = type};

	if (gateway)
		set_address(gateway, e.gateway);
	if (source)
		set_address(source, e.source);
	route_table_add(t, &e);
}

static void add_address(struct route_table *t, uint32_t interface, const char *text, unsigned bits,
	uint8_t scope, bool secondary)
{
	struct route_address a = {.interface = interface,
		.family = (uint16_t)family_of(text),
		.scope = scope,
		.secondary = secondary,
		.bits = bits + (family_of(text) == AF_INET ? 96 : 0)};

	set_address(text, a.address);
	route_table_add_address(t, &a);
}

struct reduced {
	struct trie_item *routes, *local;
	size_t route_count, local_count;
};

static struct reduced reduce(struct route_table *t)
{
	struct reduced r;

	route_table_reduce(t, &r.routes, &r.route_count, &r.local, &r.local_count);
	route_table_done(t);
	return r;
}

static void done(struct reduced *r)
{
	free(r->routes);
	free(r->local);
}

/* The entry for exactly this prefix. */
static const struct steer_route *find(const struct reduced *r, const char *text, unsigned bits)
{
	struct prefix_key k = key(text, bits);

	for (size_t i = 0; i < r->route_count; i++) {
		if (prefix_compare(&r->routes[i].key, &k) == 0)
			return &r->routes[i].value;
	}
	cr_assert_fail("no route to %s/%u", text, bits);
	abort();
}

static void expect_source(
	const struct reduced *r, const char *text, unsigned bits, const char *source)
{
	uint8_t wanted[16] = {0};
	char shown[INET6_ADDRSTRLEN];
	const uint8_t *got = find(r, text, bits)->source;

	if (source)
		set_address(source, wanted);
	cr_assert_arr_eq(got, wanted, 16, "%s", inet_ntop(AF_INET6, got, shown, sizeof(shown)));
}

Test(prefix, clears_what_does_not_count)
{
	struct prefix_key a = key("10.1.2.255", 23), b = key("10.1.3.0", 23);

	cr_assert_eq(a.length, PREFIX_KEY_HEAD_BITS + 23);
	cr_assert_eq(prefix_compare(&a, &b), 0);
	a = key("2001:db8:ffff::", 33);
	b = key("2001:db8:8000::", 33);
	cr_assert_eq(prefix_compare(&a, &b), 0);
	a = key("1.2.3.4", 0);
	b = key("0.0.0.0", 0);
	cr_assert_eq(prefix_compare(&a, &b), 0);
}

Test(prefix, keeps_the_families_apart)
{
	struct prefix_key a = key("::ffff:10.0.0.0", 104), b = key("10.0.0.0", 8);

	cr_assert_eq(prefix_compare(&a, &b), 0);
	cr_assert_eq(key("::", 0).family, AF_INET6);
	cr_assert_eq(key("::ffff:0.0.0.0", 95).family, AF_INET6);
	cr_assert_eq(key("::ffff:0.0.0.0", 96).family, AF_INET);
}

Test(prefix, refuses_what_is_none)
{
	uint8_t address[16] = {0};
	struct prefix_key k = {.length = 7};

	cr_assert_eq(prefix_from_address(AF_INET, address, 33, 0, &k), -EINVAL);
	cr_assert_eq(prefix_from_address(AF_INET6, address, 129, 0, &k), -EINVAL);
	cr_assert_eq(prefix_from_address(AF_UNIX, address, 0, 0, &k), -EINVAL);
	cr_assert_eq(k.length, 7);
}

Test(routes, give_the_kernels_errors)
{
	struct route_table t;
	struct reduced r;

	route_table_init(&t);
	add(&t, "0.0.0.0", 0, RTN_UNICAST, 0, NULL, NULL);
	add(&t, "10.0.0.0", 8, RTN_UNREACHABLE, 0, NULL, NULL);
	add(&t, "10.1.0.0", 16, RTN_PROHIBIT, 0, NULL, NULL);
	add(&t, "10.2.0.0", 16, RTN_BLACKHOLE, 0, NULL, NULL);
	add(&t, "10.3.0.255", 32, RTN_BROADCAST, 0, NULL, NULL);
	add(&t, "10.4.0.0", 16, RTN_THROW, 0, NULL, NULL);
	add(&t, "ff00::", 8, RTN_MULTICAST, 0, NULL, NULL);
	r = reduce(&t);
	cr_assert_eq(r.route_count, 5);
	cr_assert_eq(find(&r, "0.0.0.0", 0)->error, 0);
	cr_assert_eq(find(&r, "10.0.0.0", 8)->error, -EHOSTUNREACH);
	cr_assert_eq(find(&r, "10.1.0.0", 16)->error, -EACCES);
	cr_assert_eq(find(&r, "10.2.0.0", 16)->error, -EINVAL);
	cr_assert_eq(find(&r, "10.3.0.255", 32)->error, -ENETUNREACH);
	done(&r);
}

Test(routes, lowest_metric_counts_within_a_table)
{
	struct route_table t;
	struct reduced r;

	route_table_init(&t);
	/* A kill switch below the ordinary route, and one above it. */
	add(&t, "0.0.0.0", 0, RTN_UNICAST, 100, NULL, NULL);
	add(&t, "0.0.0.0", 0, RTN_UNREACHABLE, 1, NULL, NULL);
	add(&t, "::", 0, RTN_UNREACHABLE, 4294967295u, NULL, NULL);
	add(&t, "::", 0, RTN_UNICAST, 1024, NULL, NULL);
	r = reduce(&t);
	cr_assert_eq(find(&r, "0.0.0.0", 0)->error, -EHOSTUNREACH);
	cr_assert_eq(find(&r, "::", 0)->error, 0);
	done(&r);
}

Test(routes, any_table_with_a_way_counts)
{
	struct route_entry other = {
		.destination = key("0.0.0.0", 0), .table = 51820, .type = RTN_UNICAST};
	struct route_table t;
	struct reduced r;

	route_table_init(&t);
	add(&t, "0.0.0.0", 0, RTN_UNREACHABLE, 0, NULL, NULL);
	route_table_add(&t, &other);
	r = reduce(&t);
	cr_assert_eq(r.route_count, 1);
	cr_assert_eq(find(&r, "0.0.0.0", 0)->error, 0);
	done(&r);
}

Test(routes, local_addresses_are_apart)
{
	struct route_table t;
	struct reduced r;
	struct prefix_key loopback = key("127.0.0.0", 8);

	route_table_init(&t);
	add(&t, "127.0.0.0", 8, RTN_LOCAL, 0, NULL, NULL);
	add(&t, "fe80::", 128, RTN_ANYCAST, 0, NULL, NULL);
	add(&t, "10.0.0.0", 24, RTN_UNICAST, 0, NULL, NULL);
	r = reduce(&t);
	cr_assert_eq(r.local_count, 2);
	cr_assert_eq(prefix_compare(&r.local[0].key, &loopback), 0);
	cr_assert_eq(r.route_count, 1);
	done(&r);
}

Test(routes, source_is_what_the_kernel_would_take)
{
	struct route_table t;
	struct reduced r;

	route_table_init(&t);
	add_address(&t, 2, "10.0.0.5", 24, RT_SCOPE_UNIVERSE, false);
	add_address(&t, 2, "10.0.0.6", 24, RT_SCOPE_UNIVERSE, true);
	add_address(&t, 2, "192.168.7.5", 24, RT_SCOPE_UNIVERSE, false);
	add_address(&t, 3, "172.16.0.1", 12, RT_SCOPE_UNIVERSE, false);
	add_address(&t, 2, "169.254.1.1", 16, RT_SCOPE_LINK, false);
	add_address(&t, 2, "2001:db8::5", 64, RT_SCOPE_UNIVERSE, false);
	add_address(&t, 2, "2001:db8::6", 64, RT_SCOPE_UNIVERSE, true);
	add_address(&t, 2, "fe80::5", 64, RT_SCOPE_LINK, false);
	add(&t, "0.0.0.0", 0, RTN_UNICAST, 0, "10.0.0.1", NULL);
	add(&t, "192.168.7.0", 24, RTN_UNICAST, 0, NULL, NULL);
	add(&t, "198.51.100.0", 24, RTN_UNICAST, 0, "192.168.7.1", NULL);
	add(&t, "203.0.113.0", 24, RTN_UNICAST, 0, "10.0.0.1", "10.0.0.6");
	add(&t, "::", 0, RTN_UNICAST, 0, "fe80::1", NULL);
	add(&t, "fe80::", 64, RTN_UNICAST, 0, NULL, NULL);
	add(&t, "10.9.0.0", 16, RTN_UNREACHABLE, 0, NULL, NULL);
	r = reduce(&t);
	expect_source(&r, "0.0.0.0", 0, "10.0.0.5");
	expect_source(&r, "192.168.7.0", 24, "192.168.7.5");
	expect_source(&r, "198.51.100.0", 24, "192.168.7.5");
	expect_source(&r, "203.0.113.0", 24, "10.0.0.6");
	expect_source(&r, "::", 0, "2001:db8::5");
	expect_source(&r, "fe80::", 64, "fe80::5");
	expect_source(&r, "10.9.0.0", 16, NULL);
	done(&r);
}

Test(routes, no_address_no_source)
{
	struct route_table t;
	struct reduced r;

	route_table_init(&t);
	add_address(&t, 3, "10.0.0.5", 24, RT_SCOPE_UNIVERSE, false);
	add(&t, "0.0.0.0", 0, RTN_UNICAST, 0, "10.0.0.1", NULL);
	r = reduce(&t);
	expect_source(&r, "0.0.0.0", 0, NULL);
	done(&r);
}
