/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "tests/unit/policy_test.h"
#include "worker/connection.h"

/* What a login by `user` at `address`, a host of `name` (NULL: none), is judged by. */
static void describe(
	const char *user, const char *address, const char *name, char *ret, size_t size)
{
	char *text = memory_format("config:\n"
				   "  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
				   "  resources:\n"
				   "    - { name: box, protocol: ssh, hosts: [\"10.0.0.3:22\"],\n"
				   "        credentials: { user: \"%s\", key_file: /unused } }\n"
				   "rules: [{ name: all, operations: [\"*\"], allow: {} }]\n",
		user);
	struct policy *p = policy_test_new(text);
	const struct policy_subject subject = {
		.agent = &p->agents[0], .principal = &principal_none, .protocol = PROTOCOL_SSH};
	struct session *s = memory_new(sizeof(*s));
	struct connection_facts facts;
	size_t n = 0;

	s->scope = policy_scope_get(p, &subject);
	snprintf(s->address, sizeof(s->address), "%s", address);
	snprintf(s->answered, sizeof(s->answered), "%s", name ? name : "");
	connection_describe(s, &facts);
	ret[0] = '\0';
	for (size_t i = 0; i < facts.action.pair_count; i++)
		n += (size_t)snprintf(ret + n, size - n, "%s%s%.*s", n ? "|" : "",
			facts.pairs[i].state == OBJECT_UNKNOWN ? "?" : "",
			SLICE_PRINT(facts.pairs[i].object));
	policy_scope_put(s->scope);
	policy_put(p);
	free(text);
	free(s);
}

#define LONG "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

Test(worker_connection, who_logs_in_where)
{
	static const struct {
		const char *user, *address, *name, *expected;
	} rows[] = {
		{"root", "10.0.0.3:22", NULL, "root@10.0.0.3"},
		{"root", "10.0.0.3:22", "db", "root@db|root@10.0.0.3"},
		{"root", "[fd00::3]:22", "db", "root@db|root@fd00::3"},
		{"root", "10.0.0.3:22", "10.0.0.3", "root@10.0.0.3"},
		/* Once, whatever the user is called. */
		{"ann@corp", "10.0.0.3:22", "10.0.0.3", "ann@corp@10.0.0.3"},
	};
	char room[2048];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		describe(rows[i].user, rows[i].address, rows[i].name, room, sizeof(room));
		cr_expect_str_eq(room, rows[i].expected, "%s", room);
	}
	/* Longer than any name: unknown, for the second name as for the first. */
	describe(LONG LONG LONG LONG LONG, "10.0.0.3:22", "db", room, sizeof(room));
	cr_expect_eq(strncmp(room, "?" LONG, sizeof(LONG)), 0);
	cr_expect_not_null(strstr(room, "|?" LONG));
}
