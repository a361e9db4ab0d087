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

/* Rows of one value each, of as many queries; `status` 0: inside a batch of the agent's. */
static void answer_in(const char *const *values, size_t count, char status)
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
	if (status)
		add(&b, 'Z', slice_of(&status, 1));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void answer(const char *const *values, size_t count)
{
	answer_in(values, count, 'T');
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
	cr_expect_not(happened("! preview") || happened("! held"));
}

/* --- batches of the extended protocol --- */

/* Parse, Bind and Execute of each text, and a Sync. */
static void batch(const char *first, const char *second, bool synced)
{
	const char *const texts[] = {first, second};
	struct buffer b;
	size_t mark;

	buffer_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(texts) && texts[i]; i++) {
		pg_begin(&b, 'P', &mark);
		pg_put_string(&b, SLICE_EMPTY);
		pg_put_string(&b, slice_from_string(texts[i]));
		buffer_append_u16(&b, 0);
		pg_end(&b, mark);
		add(&b, 'B', BYTES("\0\0\0\0\0\0\0\0"));
		add(&b, 'E', BYTES("\0\0\0\0\0"));
	}
	if (synced)
		add(&b, 'S', SLICE_EMPTY);
	agent(buffer_slice(&b));
	buffer_done(&b);
}

/* What a statement that ran in a batch is answered by. */
static void ran(const char *tag)
{
	struct buffer b;

	buffer_init(&b, 4096);
	add(&b, '1', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	add(&b, 'C', slice_of(tag, strlen(tag) + 1));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void server_fails(const char *severity)
{
	struct buffer b, body;

	buffer_init(&b, 4096);
	buffer_init(&body, 4096);
	buffer_append_format(&body, "S%s%cV%s%cC57P01%cMno%c", severity, 0, severity, 0, 0, 0);
	buffer_append_byte(&body, 0);
	add(&b, 'E', buffer_slice(&body));
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
	buffer_done(&body);
}

static void parsed(void)
{
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, BYTES("1\0\0\0\x04"));
}

static const char *const repeatable[] = {"repeatable read"},
			 *const committed[] = {"read committed"}, *const known[] = {"7:-123"};

/* What is asked when it was approved, in this order. */
static void answer_approved(void)
{
	answer_in(known, 1, 0);
	answer_session(NULL, 0);
	answer_in(repeatable, 1, 0);
}

#define BEGIN "begin isolation level repeatable read"

Test(snapshot, behind_the_beginning_of_its_transaction_a_parse_is_kept_back)
{
	batch(BEGIN, DELETE, true);
	cr_assert(sent(BEGIN) && !sent(DELETE));
	ran("BEGIN");
	cr_assert(happened("! held"));
	cr_assert(sent(VERSION) && sent(ISOLATION) && !sent(DELETE), "when it is approved");
	answer_approved();
	cr_expect(sent(DELETE));
	ran("DELETE 0");
	engine_run_feed(&run, SIDE_SERVER, BYTES("Z\0\0\0\x05T"));
	cr_assert_not(happened("violation"));
}

Test(snapshot, nor_does_a_comparison_that_is_due_fix_it_there)
{
	batch(BEGIN, NULL, false);
	run.catalog.check = true;
	batch(DELETE, NULL, true);
	ran("BEGIN");
	cr_assert(sent(ISOLATION) && !sent(VERSION));
	answer_in(repeatable, 1, 0);
	cr_assert(happened("! held"));
	cr_expect(sent(VERSION) && !sent(DELETE), "when it is approved");
}

Test(snapshot, what_fails_when_it_was_approved_takes_what_was_kept_back_with_it)
{
	batch(BEGIN, DELETE, true);
	ran("BEGIN");
	cr_assert(sent(VERSION));
	buffer_clear(&run.sent[SIDE_SERVER]);
	server_fails("ERROR");
	cr_assert_not(sent(DELETE) || happened("violation"));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("Z\0\0\0\x05"
		      "E"));
	cr_assert_not(happened("violation"));
	query("rollback");
	cr_expect(sent("rollback") && !sent(DELETE));
}

Test(snapshot, behind_a_read_of_the_same_batch_nobody_is_asked)
{
	batch(SELECT, DELETE, true);
	cr_assert_not(sent(ISOLATION) || happened("! held"));
	ran("SELECT 0");
	parsed();
	cr_assert(sent(ISOLATION) && !sent(VERSION));
	answer_in(repeatable, 1, 0);
	cr_expect_not(happened("! held"));
}

Test(snapshot, at_read_committed_people_are_asked_there)
{
	batch(SELECT, DELETE, true);
	ran("SELECT 0");
	parsed();
	cr_assert(sent(ISOLATION));
	answer_in(committed, 1, 0);
	cr_expect(happened("! held"));
}

Test(snapshot, what_is_not_kept_back_is_compared_before_the_server_reads_it)
{
	begin();
	run.catalog.check = true;
	batch(SELECT, NULL, true);
	answer(repeatable, 1);
	cr_assert(sent(VERSION) && !sent(SELECT));
	answer(known, 1);
	cr_expect(sent(SELECT));
	cr_expect_not(run.catalog.check, "the snapshot was a new one");
}

/* --- what the server says before it has what is kept back --- */

static void parse_alone(void)
{
	agent(BYTES("P\0\0\0\x27\0" DELETE "\0\0\0"));
	cr_assert_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
}

/* It ends the session, say, while people are asked. */
Test(snapshot, an_error_ends_what_is_kept_back, .timeout = 20)
{
	parse_alone();
	server_fails("FATAL");
	cr_expect_not(run.engine->protocol->is_busy(run.engine));
	agent(BYTES("S\0\0\0\x04"));
	cr_expect_not(sent(DELETE));
}

Test(snapshot, nobody_answers_what_is_kept_back)
{
	parse_alone();
	parsed();
	cr_expect(happened("! violation server"));
}
