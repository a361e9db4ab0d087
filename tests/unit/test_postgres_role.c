/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements that run as another role: what reaches the server before and behind them, and what the
 * agent sees of that.
 */
#include "postgres_role_played.h"

TestSuite(role, .init = role_set_up, .fini = played_tear_down);

/* --- the simple protocol --- */

Test(role, a_query_runs_between_two_that_set_the_role)
{
	query(INSERT);
	cr_expect(sent(SET_WRITER) && sent(CHECK_PATH) && !sent(SET_NONE));
	EXPECT_LEFT(SIDE_SERVER, TAKES "Q");
	server_says(TAKEN "C", "");
	EXPECT_LEFT(SIDE_AGENT, "C");
	server_says("I", "");
	EXPECT_LEFT(SIDE_AGENT, "");
	cr_expect(sent(SET_NONE) && !sent(SET_WRITER));
	EXPECT_LEFT(SIDE_SERVER, SETS "S");
	server_says(SET_REPLIES, "");
	EXPECT_LEFT(SIDE_AGENT, "");
	server_says("I", "");
	EXPECT_LEFT(SIDE_AGENT, "Z");
}

Test(role, nothing_else_is_sent_before_the_role_is_put_back)
{
	query(INSERT);
	left(SIDE_SERVER);
	query("select 1");
	server_says(TAKEN "C", "");
	EXPECT_LEFT(SIDE_SERVER, "");
	server_says("I", "");
	EXPECT_LEFT(SIDE_SERVER, SETS "S");
	server_says(SET_REPLIES, "");
	EXPECT_LEFT(SIDE_SERVER, "");
	server_says("I", "");
	cr_expect(sent("select 1"));
}

Test(role, names_are_quoted)
{
	query("select id from orders");
	cr_expect(sent("SET ROLE \"the \"\"reader\"\"\""));
}

Test(role, what_needs_no_names_has_none_looked_at)
{
	query("show server_version");
	cr_expect(sent("SET ROLE \"the ") && !sent("current_schemas"));
	server_says(SET_REPLIES "TDCI" SET_REPLIES "I", "");
	EXPECT_LEFT(SIDE_AGENT, "TDCZ");
}

Test(role, the_servers_refusal_is_the_agents)
{
	query(INSERT);
	server_says("3312", "");
	server_says("E", "42501");
	cr_expect(told("the server says no") && told("42501"));
	EXPECT_LEFT(SIDE_SERVER, TAKES "QS");
	EXPECT_LEFT(SIDE_AGENT, "E");
	server_says("I", "");
	EXPECT_LEFT(SIDE_AGENT, "Z");
	cr_expect(happened("error 42501 \"the server says no\""));
	query("begin");
	EXPECT_LEFT(SIDE_SERVER, "Q");
}

Test(role, names_that_would_mean_something_else_fail_it)
{
	query(INSERT);
	server_says(SET_REPLIES "3312", "");
	server_says("E", "22012");
	cr_expect(told("it has another search path") && told("42501") && !told("22012"));
	EXPECT_LEFT(SIDE_SERVER, TAKES "QS");
	cr_expect(happened("it has another search path"));
}

Test(role, a_division_by_zero_of_the_agents_is_its_own)
{
	query(INSERT);
	server_says(TAKEN, "");
	server_says("E", "22012");
	cr_expect(told("the server says no") && told("22012"));
}

Test(role, what_failed_outside_of_a_transaction_has_the_role_put_back)
{
	query(INSERT);
	server_says(TAKEN, "");
	server_says("EI", "23505");
	EXPECT_LEFT(SIDE_AGENT, "E");
	EXPECT_LEFT(SIDE_SERVER, TAKES "Q" SETS "S");
	server_says(SET_REPLIES "I", "");
	EXPECT_LEFT(SIDE_AGENT, "Z");
}

Test(role, a_failed_transaction_has_it_back_when_it_ends)
{
	query("begin");
	server_says("CT", "");
	query(INSERT);
	left(SIDE_SERVER);
	left(SIDE_AGENT);
	server_says(TAKEN, "");
	server_says("EX", "23505");
	EXPECT_LEFT(SIDE_AGENT, "EZ");
	EXPECT_LEFT(SIDE_SERVER, "");
	query(INSERT);
	EXPECT_LEFT(SIDE_SERVER, "Q");
	server_says("EX", "25P02");
	EXPECT_LEFT(SIDE_AGENT, "EZ");
}

Test(role, a_role_that_is_not_put_back_ends_the_session)
{
	query(INSERT);
	server_says(TAKEN "CI", "");
	for (int i = 0; i < 3; i++) {
		cr_expect_not(run.closed);
		server_says("3312", "");
		server_says("EI", "57014");
	}
	cr_expect(run.closed);
	cr_expect(told("did not put the session's role back") && !told("57014"));
}

Test(role, putting_it_back_is_tried_again)
{
	query(INSERT);
	server_says(TAKEN "CI", "");
	server_says("3312", "");
	server_says("EI", "57014");
	server_says(SET_REPLIES "I", "");
	EXPECT_LEFT(SIDE_AGENT, "CZ");
	EXPECT_LEFT(SIDE_SERVER, TAKES "Q" SETS "S" SETS "S");
}

Test(role, a_transaction_that_ends_so_says_why)
{
	query("begin");
	server_says("CT", "");
	query(INSERT);
	left(SIDE_AGENT);
	server_says(TAKEN "CT", "");
	server_says("3312", "");
	server_says("EX", "57014");
	EXPECT_LEFT(SIDE_AGENT, "CEZ");
}

Test(role, copy_data_follows_its_query)
{
	query("copy orders from stdin");
	server_says(TAKEN "G", "");
	left(SIDE_SERVER);
	agent(BYTES("d\0\0\0\6\61\nH\0\0\0\4S\0\0\0\4c\0\0\0\4"));
	EXPECT_LEFT(SIDE_SERVER, "dHSc");
	server_says("CI", "");
	EXPECT_LEFT(SIDE_AGENT, "GC");
	EXPECT_LEFT(SIDE_SERVER, SETS "S");
	server_says(SET_REPLIES "I", "");
	EXPECT_LEFT(SIDE_AGENT, "Z");
}

Test(role, who_goes_away_is_not_waited_for)
{
	query(INSERT);
	left(SIDE_SERVER);
	agent(BYTES("X\0\0\0\4"));
	EXPECT_LEFT(SIDE_SERVER, "X");
	server_says(TAKEN "CI", "");
	EXPECT_LEFT(SIDE_AGENT, "CZ");
	EXPECT_LEFT(SIDE_SERVER, "");
}

Test(role, what_the_server_logs_of_ours_is_not_the_agents)
{
	query(INSERT);
	server_says("33N12C", "");
	EXPECT_LEFT(SIDE_AGENT, "");
}

Test(role, replies_that_do_not_fit_end_the_session)
{
	query(INSERT);
	server_says("33C", "");
	cr_expect(run.closed);
}

/* --- the extended protocol --- */

Test(role, a_portal_has_it_from_its_bind_to_its_execute)
{
	parse(INSERT);
	bind("");
	describe("");
	execute("");
	sync_now();
	cr_expect(sent(SET_WRITER) && sent(CHECK_PATH) && sent(SET_NONE));
	EXPECT_LEFT(SIDE_SERVER, "P" TAKES "BDE" SETS "S");
	server_says("1" TAKEN "2nC" SET_REPLIES "I", "");
	EXPECT_LEFT(SIDE_AGENT, "12nCZ");
}

Test(role, each_part_of_a_result_is_fetched_as_it)
{
	parse("select id from orders");
	bind("c");
	EXPECT_LEFT(SIDE_SERVER, "P" TAKES "B");
	execute("c");
	EXPECT_LEFT(SIDE_SERVER, "E" SETS);
	execute("c");
	EXPECT_LEFT(SIDE_SERVER, TAKES "E" SETS);
	sync_now();
	server_says("1" TAKEN "2Ds" SET_REPLIES TAKEN "DC" SET_REPLIES "I", "");
	EXPECT_LEFT(SIDE_AGENT, "12DsDCZ");
}

Test(role, anything_else_has_it_put_back)
{
	parse(INSERT);
	bind("a");
	left(SIDE_SERVER);
	describe("b");
	EXPECT_LEFT(SIDE_SERVER, SETS "D");
	execute("a");
	EXPECT_LEFT(SIDE_SERVER, TAKES "E" SETS);
	bind("c");
	EXPECT_LEFT(SIDE_SERVER, TAKES "B");
	sync_now();
	EXPECT_LEFT(SIDE_SERVER, SETS "S");
}

Test(role, an_error_takes_it_back)
{
	parse(INSERT);
	bind("");
	server_says("1" TAKEN, "");
	server_says("E", "22P02");
	left(SIDE_SERVER);
	execute("");
	sync_now();
	EXPECT_LEFT(SIDE_SERVER, "S");
	server_says("I", "");
	EXPECT_LEFT(SIDE_AGENT, "1EZ");
}

Test(role, an_error_that_comes_late_takes_it_back_too)
{
	parse(INSERT);
	bind("");
	execute("");
	sync_now();
	server_says("1" TAKEN "2", "");
	server_says("EI", "23505");
	EXPECT_LEFT(SIDE_AGENT, "12EZ");
	query("begin");
	left(SIDE_SERVER);
	server_says("CT", "");
	EXPECT_LEFT(SIDE_AGENT, "CZ");
}

Test(role, copy_from_stdin_has_no_room_for_it)
{
	parse("copy orders from stdin");
	bind("");
	execute("");
	sync_now();
	cr_expect_not(sent("SET ROLE"));
	EXPECT_LEFT(SIDE_SERVER, "PBS");
	server_says("1", "");
	server_says("EI", "26000");
	cr_expect(told("by the simple protocol only"));
}

/* --- which role is put back --- */

Test(role, the_one_that_the_agent_set_is_put_back)
{
	log_in_again("\"an (odd) one\" (app_ro)");
	query(INSERT);
	left(SIDE_SERVER);
	server_says(TAKEN "CI", "");
	cr_expect(sent("SET ROLE \"an (odd) one\""));
	server_says(SET_REPLIES "I", "");
}

Test(role, one_that_is_not_known_is_not_changed)
{
	log_in_again(NULL);
	query(INSERT);
	cr_expect_not(sent("SET ROLE"));
	cr_expect(sent("wayleave_denied_"));
	server_says("EI", "42601");
	cr_expect(told("which role the session has could not be looked up"));
}

Test(role, one_that_is_set_in_the_transaction_itself_is_not_changed)
{
	query("begin");
	server_says("CT", "");
	query("set local role other");
	server_says("CT", "");
	query(INSERT);
	answer_session("other (app_ro)", 'T');
	cr_expect_not(sent(SET_WRITER));
	cr_expect(sent("wayleave_denied_"));
	server_says("EX", "42601");
	cr_expect(told("could not be put back as it was"));
}

/* --- what can't run so --- */

static void expect_refused(const char *text, const char *why)
{
	query(text);
	cr_expect_not(sent("SET ROLE"), "%s", text);
	server_says("EI", "42601");
	cr_expect(told(why), "%s: %.*s", text, SLICE_PRINT(buffer_slice(&run.sent[SIDE_AGENT])));
	buffer_clear(&run.sent[SIDE_AGENT]);
}

Test(role, only_one_statement_that_reads_or_writes)
{
	expect_refused(INSERT "; " INSERT, "have it run as app_rw");
	expect_refused("truncate orders", "only one statement by itself can run");
	expect_refused(
		"declare c cursor for select id from orders", "only one statement by itself");
}

Test(role, of_one_role)
{
	expect_refused("delete from orders where id = 1",
		"rules \"reads\" and \"writes\" would have it run as different roles");
}

Test(role, what_the_agent_logs_in_for_itself_has_none)
{
	bench.user = NULL;
	log_in_again("app (app)");
	expect_refused(INSERT, "only where the resource's credentials log in");
}
