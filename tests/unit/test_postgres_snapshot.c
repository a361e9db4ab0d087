/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions all of which see what their first query saw: what is asked of the server there, and
 * what its answers are good for. With a server that is played here.
 */
#include "postgres_played.h"
#include "protocol/sql/statement.h"

#define DELETE "delete from orders where id = 1"
#define SELECT "select id from orders"
#define ISOLATION "SHOW transaction_isolation"
#define VERSION "pg_rewrite"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: reads, operations: [select, show], allow: {} }\n"
	"  - { name: people, operations: [delete], objects: [public.orders],\n"
	"      review: { by: dba } }\n";

static void set_up(void)
{
	played_set_up(policy, NULL);
	strcpy(run.catalog.version, "7:-123");
}

TestSuite(snapshot, .init = set_up, .fini = played_tear_down);

static void server(const char *tag, char status)
{
	struct buffer b;

	buffer_init(&b, 4096);
	add(&b, 'C', slice_of(tag, strlen(tag) + 1));
	add(&b, 'Z', slice_of(&status, 1));
	buffer_clear(&run.sent[SIDE_SERVER]);
	buffer_clear(&run.events);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void begin(void)
{
	query("begin isolation level repeatable read");
	server("BEGIN", 'T');
}

/* Rows of one value each, of as many queries. */
static void answer(const char *const *values, size_t count)
{
	struct buffer b;

	buffer_init(&b, 65536);
	for (size_t i = 0; i < count; i++) {
		add(&b, '1', SLICE_EMPTY);
		add(&b, '2', SLICE_EMPTY);
		add_row(&b, &values[i], 1);
		add(&b, 'C', BYTES("SHOW\0"));
		add(&b, '3', SLICE_EMPTY);
		add(&b, '3', SLICE_EMPTY);
	}
	add(&b, 'Z', BYTES("T"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void read_first(void)
{
	begin();
	query(SELECT);
	server("SELECT 0", 'T');
}

Test(snapshot, which_texts_take_one)
{
	static const char *const none[] = {"begin", "begin; set transaction read only",
		"set search_path = a", "show all", "savepoint a", "rollback to a", "", "reset all",
		"set role app", "begin isolation level serializable; show transaction_isolation"};
	static const char *const one[] = {"select 1", "select", "begin; select 1", "discard plans",
		"deallocate all", "fetch c", "execute p", "explain select 1",
		"set transaction snapshot '1'", "SET TRANSACTION SNAPSHOT '1'",
		"create table t (i int)", "lock table t", "prepare p as select 1", "do 'x'",
		"select set_config('role', 'a', false)", "update pg_settings set setting = 1",
		"this is not understood", "analyze", "values (1)"};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		struct sql_text *t = sql_text_parse(slice_from_string(none[i]));

		cr_expect_not(sql_text_takes_snapshot(t), "%s", none[i]);
		sql_text_put(t);
	}
	for (size_t i = 0; i < ARRAY_SIZE(one); i++) {
		struct sql_text *t = sql_text_parse(slice_from_string(one[i]));

		cr_expect(sql_text_takes_snapshot(t), "%s", one[i]);
		sql_text_put(t);
	}
}

Test(snapshot, a_comparison_that_is_due_does_not_fix_it)
{
	static const char *const level[] = {"repeatable read"};

	begin();
	run.catalog.check = true;
	query(DELETE);
	cr_assert(sent(ISOLATION) && !sent(VERSION));
	answer(level, 1);
	cr_assert(sent(ISOLATION) && !sent(VERSION), "the preview");
	cr_expect(run.catalog.check, "others still have to compare");
	answer(level, 1);
	cr_expect(happened("! held"));
	cr_expect(sent(VERSION), "when it is approved");
}

Test(snapshot, what_nobody_is_asked_about_is_compared_before_it_runs)
{
	static const char *const level[] = {"repeatable read"}, *const same[] = {"7:-123"};

	begin();
	run.catalog.check = true;
	query(SELECT);
	answer(level, 1);
	cr_assert(sent(VERSION) && !sent(SELECT));
	answer(same, 1);
	cr_expect(sent(SELECT));
	cr_expect_not(run.catalog.check, "the snapshot was a new one");
}

Test(snapshot, what_others_changed_by_then_is_judged_anew)
{
	static const char *const level[] = {"repeatable read"}, *const other[] = {"8:-124"};

	begin();
	run.catalog.check = true;
	query(SELECT);
	answer(level, 1);
	answer(other, 1);
	cr_expect(sent("pg_attribute") && !sent(SELECT), "they are read");
}

Test(snapshot, at_read_committed_names_are_compared_at_once)
{
	static const char *const level[] = {"read committed"}, *const same[] = {"7:-123"};

	query("begin");
	server("BEGIN", 'T');
	run.catalog.check = true;
	query(SELECT);
	answer(level, 1);
	cr_assert(sent(VERSION) && !sent(SELECT));
	answer(same, 1);
	cr_expect(sent(SELECT));
	cr_expect_not(run.catalog.check);
}

Test(snapshot, an_old_one_answers_nobody_elses_question)
{
	static const char *const answers[] = {"7:-123", "serializable"};

	read_first();
	run.catalog.check = true;
	query(SELECT);
	cr_assert(sent(VERSION) && sent(ISOLATION));
	answer(answers, 2);
	cr_expect(run.catalog.check);
	cr_expect(sent(SELECT));
	server("SELECT 0", 'T');
	query(SELECT);
	cr_expect_not(sent(VERSION), "it would say the same again");
	server("SELECT 0", 'T');
	query("commit");
	server("COMMIT", 'I');
	query(SELECT);
	cr_expect(sent(VERSION));
}

Test(snapshot, behind_one_nobody_is_asked)
{
	static const char *const level[] = {"repeatable read"};

	read_first();
	query(DELETE);
	cr_assert(sent(ISOLATION));
	answer(level, 1);
	cr_expect(happened("! preview"));
	cr_expect_not(happened("! held"));
}
