/* SPDX-License-Identifier: Apache-2.0
 *
 * How long addresses of a name are kept: a day behind what the monitor's own resolver said, and a
 * day behind the lifetime of what an agent's name server answered.
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "capture/resolvers.h"
#include "monitor/monitor.h"
#include "monitor/names.h"

#define DAY 86400
#define ADDRESS "192.0.2.7"
#define RESOLVER "192.0.2.53"
#define AGENT 7

static _Atomic int64_t clock_is_off; /* seconds */

/* Instead of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, id, ret);

	if (id == CLOCK_MONOTONIC)
		ret->tv_sec += clock_is_off;
	return r;
}

/* Instead of the host's: capture/resolvers.h. */
void resolvers_parse(const char *text, struct resolvers *ret)
{
	(void)text;
	ret->count = 0;
}

void resolvers_read(struct resolvers *ret)
{
	*ret = (struct resolvers){.items = {{AF_INET, RESOLVER}}, .count = 1};
}

uint64_t resolvers_version(void)
{
	return 1;
}

/* --- what the monitor resolved --- */

/* Looks these up, and returns how many addresses are known then. */
static size_t known_after(struct names *n, const char *const *names, size_t count)
{
	struct pollfd p = {.fd = names_event(n), .events = POLLIN};
	struct policy_address *addresses;
	size_t known;

	names_set(n, names, count);
	cr_assert_eq(poll(&p, 1, 10000), 1);
	known = names_take(n, &addresses);
	names_free_addresses(addresses, known);
	return known;
}

Test(kept, what_was_resolved_a_day_ago)
{
	/* Addresses resolve to themselves, whatever the host's resolver does. */
	static const char *const names[] = {ADDRESS};
	struct names *n;

	cr_assert_eq(names_new(&n), 0);
	cr_assert_eq(known_after(n, names, 1), 1);
	clock_is_off = DAY - 60;
	cr_expect_eq(known_after(n, NULL, 0), 1, "no day is over");
	clock_is_off = DAY + 60;
	cr_expect_eq(known_after(n, NULL, 0), 0, "a day is over");
	/* A day from when it was last seen, not first. */
	cr_assert_eq(known_after(n, names, 1), 1);
	clock_is_off += DAY / 2;
	cr_assert_eq(known_after(n, names, 1), 1);
	clock_is_off += DAY - 60;
	cr_expect_eq(known_after(n, NULL, 0), 1, "it was seen again");
	clock_is_off += 120;
	cr_expect_eq(known_after(n, NULL, 0), 0);
	names_free(n);
}

/* --- what an agent was answered --- */

static bool is_first(const void *context, const char *name)
{
	(void)context;
	(void)name;
	return true;
}

static void take(struct monitor *m, const char *name, uint32_t lifetime)
{
	struct message_pin pin = {.agent = AGENT, .address_count = 1};
	struct message_pin_address one = {.lifetime = lifetime};
	struct address a;

	cr_assert_eq(address_parse(RESOLVER, &a), 0);
	memcpy(pin.server, a.bytes, sizeof(pin.server));
	cr_assert_eq(address_parse(ADDRESS, &a), 0);
	memcpy(one.bytes, a.bytes, sizeof(one.bytes));
	pinning_take(m, &pin, slice_of(&one, sizeof(one)), slice_from_string(name));
}

/* Whether the address is still the name's so many seconds after now. */
static bool is_found(const struct monitor *m, uint64_t seconds)
{
	struct pinned_first first = {is_first, NULL};
	struct pinned_names names;
	struct address a;

	cr_assert_eq(address_parse(ADDRESS, &a), 0);
	pinned_find(m->pinned, AGENT, &a, clock_monotonic() + seconds * NANOSECONDS_PER_SECOND,
		&first, &names);
	return names.count == 1;
}

static struct monitor *new_monitor(struct config *c)
{
	static struct host host = {.kind = HOST_NAME};
	static struct config_resource resource = {.hosts = &host, .host_count = 1};
	static struct config_agent agent = {.id = AGENT};
	struct monitor *m = calloc(1, sizeof(*m));

	host.name = slice_from_string("db.example");
	*c = (struct config){
		.agents = &agent, .agent_count = 1, .resources = &resource, .resource_count = 1};
	m->config = c;
	m->pin_file.fd = -1;
	m->pinned = calloc(1, sizeof(*m->pinned));
	return m;
}

Test(kept, an_answer_a_day_behind_its_lifetime)
{
	static const struct {
		uint32_t lifetime, until; /* seconds */
	} answers[] = {
		{0, DAY},
		{300, 300 + DAY},
		{DAY, 2 * DAY},
		/* What says more is not believed. */
		{DAY + 3600, 2 * DAY},
		{UINT32_MAX, 2 * DAY},
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct config c;
		struct monitor *m = new_monitor(&c);

		take(m, "else.example", answers[i].lifetime);
		cr_expect(!is_found(m, 0), "no resource has that name");
		take(m, "db.example", answers[i].lifetime);
		cr_expect(is_found(m, 0));
		cr_expect(is_found(m, answers[i].until - 60), "%u", answers[i].lifetime);
		cr_expect(!is_found(m, answers[i].until + 60), "%u", answers[i].lifetime);
		free(m->pinned);
		free(m);
	}
}
