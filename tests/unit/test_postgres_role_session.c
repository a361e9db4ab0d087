/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements that run as another role, in sessions that move meanwhile: transactions that set a
 * role or fail, and rules that change between a portal's Bind and its Execute.
 */
#include <stdio.h>

#include "postgres_role_played.h"

TestSuite(role_session, .init = role_set_up, .fini = played_tear_down);

static void flush_now(void)
{
	put_string_message('H', NULL, NULL, 0);
}

/* --- transactions --- */

Test(role_session, behind_the_end_of_a_failed_transaction_it_is_taken)
{
	query("begin");
	server_says("CT", "");
	query(INSERT);
	server_says(TAKEN, "");
	server_says("EX", "23505");
	parse("rollback");
	bind("");
	execute("");
	flush_now();
	server_says("12C", "");
	left(SIDE_SERVER);
	parse(INSERT);
	bind("");
	execute("");
	EXPECT_LEFT(SIDE_SERVER, "P" TAKES "BE" SETS);
}

/* What the session's own was, that COMMIT would bring back, is not known by then. */
Test(role_session, none_that_was_set_in_the_transaction_is_not_put_back)
{
	log_in_again("other (app_ro)");
	query("begin");
	server_says("CT", "");
	query("set local role none");
	server_says("CT", "");
	query(INSERT);
	answer_session("app_ro (app_ro)", 'T');
	cr_expect_not(sent(SET_WRITER));
	server_says("EX", "42601");
	cr_expect(told("could not be put back as it was"));
	query("rollback");
	server_says("CI", "");
	query(INSERT);
	answer_session("other (app_ro)", 'I');
	cr_expect(sent(SET_WRITER));
}

Test(role_session, what_is_refused_so_late_is_recorded)
{
	log_in_again(NULL);
	parse(INSERT);
	server_says("1", "");
	bind("");
	server_says("E", "26000");
	cr_expect(happened("result 2") && happened("could not be looked up"));
}

/* --- other rules between Bind and Execute --- */

static struct engine_bench later;

static void rules_change(const char *as)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"config:\n"
		"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
		"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"],\n"
		"    credentials: { user: app_ro, password_file: /secret } }]\n"
		"rules:\n"
		"  - { name: all, operations: [read, write], allow: { %s } }\n"
		"  - { name: some, operations: [select], allow: { as: reader } }\n",
		as);
	engine_bench_init(&later, text);
	run.bench = &later;
	run.host.audience++;
}

static void rules_go(void)
{
	run.bench = &bench;
	engine_bench_done(&later);
}

Test(role_session, what_was_bound_as_one_role_is_not_run_as_another)
{
	static const char *const others[] = {"as: other", ""};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		parse(INSERT);
		bind("");
		server_says("1" TAKEN "2", "");
		left(SIDE_SERVER);
		rules_change(others[i]);
		execute("");
		EXPECT_LEFT(SIDE_SERVER, SETS "E");
		cr_expect(happened("released of"));
		server_says(SET_REPLIES, "");
		server_says("E", "34000");
		cr_expect(told("it has to be bound again") && told("42501"));
		cr_expect(happened("it has to be bound again"));
		sync_now();
		server_says("I", "");
		left(SIDE_SERVER);
		left(SIDE_AGENT);
		rules_go();
	}
}

Test(role_session, what_was_bound_as_the_same_is_run)
{
	parse(INSERT);
	bind("");
	server_says("1" TAKEN "2", "");
	left(SIDE_SERVER);
	rules_change("as: app_rw");
	execute("");
	EXPECT_LEFT(SIDE_SERVER, SETS TAKES "E" SETS);
	rules_go();
}
