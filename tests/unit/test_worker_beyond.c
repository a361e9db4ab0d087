/* SPDX-License-Identifier: Apache-2.0
 *
 * What can't be had behind a proxy.
 */
#include <criterion/criterion.h>

#include "policy_test.h"
#include "worker/beyond.h"

static const char with_own[] =
	"config:\n"
	"  agents: [{name: a, cgroup: a}]\n"
	"  egress: allow\n"
	"  loopback: own\n"
	"  resources:\n"
	"    - {name: here, protocol: postgres, hosts: [\"127.0.0.1:5432\", \"localhost:5432\"]}\n"
	"    - {name: shop, protocol: postgres, hosts: [\"db.test:5432\", \"192.0.2.1:1\"]}\n"
	"    - {name: shell, protocol: ssh, hosts: [\"192.0.2.1:22\"]}\n"
	"    - {name: socket, protocol: postgres, hosts: [\"192.0.2.1:3\"], "
	"upstream: {unix: /run/pg/.s.PGSQL.5432}}\n";
static const char with_direct[] = "config:\n"
				  "  agents: [{name: a, cgroup: a}]\n"
				  "  egress: allow\n"
				  "  loopback: direct\n"
				  "  resources: []\n";

/* `where`: a name, or an address. */
static enum reason check(
	const struct policy *p, int resource, const char *where, uint16_t port, bool here)
{
	struct address address = {{0}};
	struct beyond_place place = {
		.resource = resource < 0 ? NULL : &p->resources[resource],
		.address = address.bytes,
		.port = port,
		.here = here,
	};
	enum reason reason;
	const char *why = NULL;

	if (address_parse(where, &address) < 0)
		place.name = slice_from_string(where);
	reason = beyond_check(p, &place, &why);
	cr_expect_eq(reason == REASON_NONE, why == NULL);
	return reason;
}

enum { HERE, SHOP, SHELL, SOCKET };

/* What a resource's loopback address means is this host, and behind another host's proxy that host.
 */
Test(worker_beyond, a_resource_of_this_hosts_loopback)
{
	struct policy *p = policy_test_new(with_own);

	cr_expect_eq(check(p, HERE, "127.0.0.1", 5432, true), REASON_NONE);
	cr_expect_eq(check(p, HERE, "localhost", 5432, true), REASON_NONE);
	cr_expect_eq(check(p, HERE, "127.0.0.1", 5432, false), REASON_LOOPBACK);
	cr_expect_eq(check(p, HERE, "localhost", 5432, false), REASON_LOOPBACK);
	cr_expect_eq(check(p, HERE, "::1", 5432, false), REASON_LOOPBACK);
	policy_put(p);
}

Test(worker_beyond, what_no_resource_names)
{
	struct policy *p = policy_test_new(with_own);

	cr_expect_eq(check(p, -1, "127.0.0.1", 80, true), REASON_LOOPBACK);
	cr_expect_eq(check(p, -1, "localhost", 80, false), REASON_LOOPBACK);
	cr_expect_eq(check(p, -1, "192.0.2.9", 80, false), REASON_NONE);
	cr_expect_eq(check(p, -1, "other.test", 80, false), REASON_NONE);
	/* It may be what is named by its address. */
	cr_expect_eq(check(p, -1, "other.test", 1, false), REASON_MISDIRECTED);
	policy_put(p);
	p = policy_test_new(with_direct);
	cr_expect_eq(check(p, -1, "127.0.0.1", 80, false), REASON_NONE);
	policy_put(p);
}

Test(worker_beyond, resources)
{
	struct policy *p = policy_test_new(with_own);

	cr_expect_eq(check(p, SHOP, "db.test", 5432, false), REASON_NONE);
	cr_expect_eq(check(p, SHOP, "192.0.2.1", 1, false), REASON_NONE);
	cr_expect_eq(check(p, SHELL, "192.0.2.1", 22, false), REASON_NOT_BUILT);
	cr_expect_eq(check(p, SOCKET, "192.0.2.1", 3, false), REASON_MISDIRECTED);
	policy_put(p);
}
