/* SPDX-License-Identifier: Apache-2.0
 *
 * Each request says again where it goes. What was found of that a moment ago holds no longer than
 * what it was found by.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "policy/pinned.h"
#include "tests/unit/policy_test.h"
#include "worker/session_internal.h"

#define PORT 443
#define NAME "api.test"

static struct worker *worker;
static struct session *s;

static struct policy *policy_with_host(const char *host)
{
	char *text = memory_format("config:\n"
				   "  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
				   "  resources:\n"
				   "    - { name: api, protocol: http, hosts: [\"%s:443\"] }\n"
				   "rules: [{ name: all, operations: [\"*\"], allow: {} }]\n",
		host);
	struct policy *p = policy_test_new(text);

	free(text);
	return p;
}

static void use(struct policy *p)
{
	const struct policy_subject subject = {
		.agent = &p->agents[0], .principal = &principal_none, .protocol = PROTOCOL_HTTP};

	policy_scope_put(s->scope);
	s->scope = policy_scope_get(p, &subject);
	s->agent = &p->agents[0];
	s->origin.agent = s->agent->id;
	policy_put(worker->policy);
	worker->policy = p;
}

static void answer(const char *name, uint64_t until)
{
	struct address address;
	uint32_t at;

	memcpy(address.bytes, s->origin.address, sizeof(address.bytes));
	cr_assert_eq(pinned_put((struct pinned_table *)worker->pinned, s->origin.agent, name,
			     &address, clock_monotonic(), until, &at),
		0);
}

static void set_up(void)
{
	static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 3};

	worker = memory_new(sizeof(*worker));
	worker->pinned = memory_new(sizeof(*worker->pinned));
	s = memory_new(sizeof(*s));
	s->worker = worker;
	s->origin.family = AF_INET;
	s->origin.port = PORT;
	memcpy(s->origin.address, address, sizeof(address));
	use(policy_with_host(NAME));
	answer(NAME, clock_monotonic() + 3600 * NANOSECONDS_PER_SECOND);
}

static void tear_down(void)
{
	policy_scope_put(s->scope);
	policy_put(worker->policy);
	free((void *)worker->pinned);
	free(worker);
	free(s);
}

TestSuite(worker_place, .init = set_up, .fini = tear_down);

static int place(const char *name)
{
	return session_place(s, slice_from_string(name), PORT, true);
}

/* More often than it takes to find it anew. */
static void settle(void)
{
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(place(NAME), 0);
	cr_assert(s->placed);
	cr_assert_neq(s->place_found.scope, 0);
}

Test(worker_place, another_name_is_another_place)
{
	settle();
	cr_assert_eq(place("other.test"), -EPERM);
	cr_assert_eq(session_place(s, slice_from_string(NAME), PORT + 1, true), -EPERM);
	cr_assert_eq(place(NAME), 0);
}

Test(worker_place, answers_that_changed_are_looked_at)
{
	struct pinned_table *table = (struct pinned_table *)worker->pinned;

	settle();
	/* In the only entry another name takes the place of this one. */
	snprintf(table->names[0], sizeof(table->names[0]), "other.test");
	atomic_fetch_add(&table->version, 2);
	cr_assert_eq(place(NAME), -EPERM);
}

/* Who says no name in TLS says the address in each request. */
Test(worker_place, an_address_is_remembered_as_names_are)
{
	static const char address[] = "10.0.0.3";
	struct pinned_table *table = (struct pinned_table *)worker->pinned;

	cr_assert_eq(session_place(s, SLICE_EMPTY, 0, false), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(session_place(s, slice_from_string(address), PORT, false), 0);
	cr_assert_str_eq(s->place_found.name, address);
	cr_assert_eq(session_place(s, slice_from_string("10.0.0.4"), PORT, false), -EPERM);
	table->agents[0] = 0;
	atomic_fetch_add(&table->version, 2);
	cr_assert_eq(session_place(s, slice_from_string(address), PORT, false), -EPERM);
}

Test(worker_place, an_answer_that_ended_is_none)
{
	struct pinned_table *table = (struct pinned_table *)worker->pinned;

	settle();
	table->until[0] = clock_monotonic();
	cr_assert_eq(place(NAME), 0);
	s->place_found.time -= NANOSECONDS_PER_SECOND;
	cr_assert_eq(place(NAME), -EPERM);
}

Test(worker_place, other_hosts_are_looked_at)
{
	settle();
	use(policy_with_host("other.test"));
	cr_assert_eq(place(NAME), -EPERM);
}
