/* SPDX-License-Identifier: Apache-2.0
 *
 * A failed transaction that ends inside a batch, where no ReadyForQuery says so: what stands behind
 * is judged as what it means by then.
 */
#include "postgres_played.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: reads, operations: [select], objects: [public.orders], allow: {} }\n"
	"  - { name: people, operations: [delete], objects: [public.orders],\n"
	"      review: { by: dba } }\n"
	"  - { name: calls, operations: [function_call], review: { by: dba } }\n";

#define PARSE_ROLLBACK "P\0\0\0\x10\0rollback\0\0\0"
#define DELETE "delete from orders where id = 1"
#define PARSE_DELETE "P\0\0\0\x27\0" DELETE "\0\0\0"
#define PARSE_SELECT "P\0\0\0\x1d\0select id from orders\0\0\0"
#define BIND "B\0\0\0\x0c\0\0\0\0\0\0\0\0"
#define EXECUTE "E\0\0\0\x09\0\0\0\0\0"
#define FLUSH "H\0\0\0\4"
#define ERROR "E\0\0\0\x1eSERROR\0VERROR\0C22012\0Mno\0\0"

static void server(struct slice bytes)
{
	engine_run_feed(&run, SIDE_SERVER, bytes);
}

/* In a transaction that moved the search path and then failed. */
static void set_up(void)
{
	played_set_up(policy, "app (app)");
	query("begin");
	server(BYTES("C\0\0\0\x0a"
		     "BEGIN\0Z\0\0\0\5T"));
	query("set local search_path to public");
	server(BYTES("C\0\0\0\x08"
		     "SET\0Z\0\0\0\5T"));
	query("select id from orders");
	answer_session("app (app)", 'T');
	server(BYTES(ERROR "Z\0\0\0\5E"));
	buffer_clear(&run.sent[SIDE_SERVER]);
}

TestSuite(aborted, .init = set_up, .fini = played_tear_down);

static void roll_back(void)
{
	agent(BYTES(PARSE_ROLLBACK BIND EXECUTE FLUSH));
	cr_assert(sent("rollback"));
	server(BYTES("1\0\0\0\4"
		     "2\0\0\0\4"
		     "C\0\0\0\x0d"
		     "ROLLBACK\0"));
	buffer_clear(&run.sent[SIDE_SERVER]);
}

Test(aborted, what_it_runs_is_not_looked_up)
{
	agent(BYTES(PARSE_SELECT BIND EXECUTE));
	cr_expect(sent("select id from orders") && !sent("current_schemas"));
}

Test(aborted, behind_its_end_names_are_looked_up_anew)
{
	roll_back();
	agent(BYTES(PARSE_SELECT));
	cr_expect(sent("current_schemas") && !sent("select id from orders"));
	answer_session("app (app)", 0);
	cr_expect(sent("select id from orders"));
}

/* What the server fails is nothing to ask people about, be it the first of several commands. */
Test(aborted, nobody_is_asked_about_what_it_does_not_run)
{
	static const char *const texts[] = {DELETE, DELETE "; select 1",
		DELETE "; rollback; " DELETE, "savepoint a; " DELETE,
		"select 1; rollback; " DELETE};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		query(texts[i]);
		cr_expect(sent(texts[i]), "%s", texts[i]);
		server(BYTES(ERROR "Z\0\0\0\5E"));
		buffer_clear(&run.sent[SIDE_SERVER]);
	}
	agent(BYTES("F\0\0\0\x0e\0\0\7\xea\0\0\0\0\0\0"));
	cr_expect(sent("F"));
	server(BYTES(ERROR "Z\0\0\0\5E"));
	agent(BYTES(PARSE_DELETE BIND EXECUTE));
	cr_expect(sent(DELETE));
	cr_expect_not(happened("! held") || happened("! preview"), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
}

static void check_asks(const char *text)
{
	query(text);
	cr_expect(happened("! held"), "%s", text);
}

Test(aborted, behind_a_rollback_people_are_asked)
{
	check_asks("rollback; " DELETE);
}

Test(aborted, behind_a_commit_people_are_asked)
{
	check_asks("commit; " DELETE);
}

Test(aborted, behind_a_prepared_transaction_people_are_asked)
{
	check_asks("prepare transaction 'a'; " DELETE);
}

Test(aborted, behind_a_way_back_people_are_asked)
{
	check_asks("rollback to a; " DELETE);
}

Test(aborted, behind_its_end_in_a_batch_people_are_asked)
{
	agent(BYTES(PARSE_ROLLBACK BIND EXECUTE PARSE_DELETE BIND EXECUTE));
	cr_expect_not(sent(DELETE));
}

static bool leaves(struct slice untaken)
{
	return run.engine->protocol->leaves(run.engine, untaken);
}

Test(aborted, an_agent_that_leaves_says_so_behind_what_waits)
{
	cr_expect(leaves(BYTES(PARSE_DELETE BIND EXECUTE "S\0\0\0\4"
							 "X\0\0\0\4")));
	cr_expect(leaves(BYTES(PARSE_DELETE "d\0\0\0\5X"
					    "c\0\0\0\4"
					    "X\0\0\0\4")));
	cr_expect_not(leaves(BYTES(PARSE_DELETE "d\0\0\0\x09X\0\0\0\4")), "data");
	cr_expect_not(leaves(BYTES(PARSE_DELETE BIND "X\0\0\0")), "not all here");
	cr_expect_not(leaves(BYTES(PARSE_DELETE "y\0\0\0\4"
						"X\0\0\0\4")),
		"behind what is no message");
	cr_expect_not(leaves(BYTES("d\0\0\0\xffX\0\0\0\4")), "within a message");
	cr_expect_not(leaves(SLICE_EMPTY));
}
