/* SPDX-License-Identifier: Apache-2.0
 *
 * What a grant lets be bound or declared is executed later: each Execute is covered by a grant of
 * that moment, or is judged again.
 */
#include "postgres_role_played.h"

#define SELECT "select id from orders"

static const char reviewed[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources:\n"
	"    - name: shop\n"
	"      protocol: postgres\n"
	"      hosts: [\"127.0.0.1:5432\"]\n"
	"      credentials: { user: app_ro, password_file: /secret }\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: reads, operations: [select], objects: [public.orders],\n"
	"      review: { by: dba, grant: 10m } }\n"
	"  - { name: writes, operations: [delete], objects: [public.orders],\n"
	"      review: { by: dba, grant: 10m, as: app_rw } }\n"
	"  - { name: cursors, operations: [cursor], allow: {} }\n";

static void set_up(void)
{
	engine_bench_init(&bench, reviewed);
	bench.user = "app_ro";
	bench.password = "the secret";
	bench.upstream_tls = UPSTREAM_TLS_OFF;
	played_log_in("app_ro (app_ro)");
	run.grant.serial = 1;
	query("begin");
	server_says("CT", "");
	buffer_clear(&run.sent[SIDE_SERVER]);
}

TestSuite(granted, .init = set_up, .fini = played_tear_down);

/* Whether it was, for the Execute that comes now; the engine asks for nothing but a verdict. */
static bool is_judged(const char *portal)
{
	buffer_clear(&run.events);
	run.held = HELD_PREVIEWED;
	execute(portal);
	return happened("! action");
}

static void end_the_grant(void)
{
	run.grant.serial = 0;
}

static void check_ends(const char *portal)
{
	cr_expect(!is_judged(portal), "another batch, the same grant");
	sync_now();
	server_says("CT", "");
	end_the_grant();
	cr_expect(is_judged(portal));
}

Test(granted, a_portal)
{
	parse(SELECT);
	bind("p");
	sync_now();
	server_says("12T", "");
	check_ends("p");
}

/* Of a portal that was executed in part, too, and of what stands in the same batch. */
Test(granted, the_rest_of_a_portal)
{
	parse(SELECT);
	bind("p");
	cr_expect(!is_judged("p"));
	end_the_grant();
	cr_expect(is_judged("p"));
}

Test(granted, a_cursor_that_a_query_declares)
{
	query("declare c cursor for " SELECT);
	server_says("CT", "");
	check_ends("c");
}

Test(granted, a_cursor_that_a_portal_declares)
{
	parse("declare c cursor for " SELECT);
	bind("");
	server_says("1", "");
	cr_expect(!is_judged(""));
	sync_now();
	server_says("2CT", "");
	check_ends("c");
}

/* What goes on under another grant needs that one. */
Test(granted, another_grant_takes_its_place)
{
	parse(SELECT);
	bind("p");
	sync_now();
	server_says("12T", "");
	run.grant.serial = 2;
	cr_expect(is_judged("p"));
	cr_expect(!is_judged("p"));
	end_the_grant();
	cr_expect(is_judged("p"));
}

/* What it would be judged by is not looked up as the role that it runs as. */
Test(granted, what_runs_as_another_role)
{
	parse("delete from orders where id = 1");
	bind("p");
	EXPECT_LEFT(SIDE_SERVER, "P" TAKES "B");
	cr_expect(!is_judged("p"));
	EXPECT_LEFT(SIDE_SERVER, "E" SETS);
	bind("q");
	EXPECT_LEFT(SIDE_SERVER, TAKES "B");
	end_the_grant();
	cr_expect(is_judged("q"));
	EXPECT_LEFT(SIDE_SERVER, SETS TAKES "E" SETS);
}
