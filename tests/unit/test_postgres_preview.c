/* SPDX-License-Identifier: Apache-2.0
 *
 * What a preview sends to the server, in which order, and what it waits for: with a server that is
 * played here, so that it can also say what none would.
 */

#include "postgres_played.h"

#define DELETE "delete from orders where id = 1"
#define PARSE "P\0\0\0\x27\0delete from orders where id = 1\0\0\0"
#define BIND "B\0\0\0\x0c\0\0\0\0\0\0\0\0"
#define EXECUTE_SYNC "E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: people, operations: [delete, select], objects: [public.orders],\n"
	"      review: { by: dba } }\n";

/* What the server says to `queries` of ours, the last of which returns the row (NULL: none). */
static void answer(size_t queries, const char *const *row, size_t columns, char status)
{
	struct buffer b;

	buffer_init(&b, 65536);
	for (size_t i = 0; i < queries; i++) {
		add(&b, '3', SLICE_EMPTY);
		add(&b, '3', SLICE_EMPTY);
		add(&b, '1', SLICE_EMPTY);
		add(&b, '2', SLICE_EMPTY);
		if (row && i + 1 == queries)
			add_row(&b, row, columns);
		add(&b, 'C', BYTES("DONE\0"));
	}
	add(&b, '3', SLICE_EMPTY);
	add(&b, '3', SLICE_EMPTY);
	add(&b, 'Z', slice_of(&status, 1));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void fail(char status)
{
	struct buffer b;

	buffer_init(&b, 65536);
	add(&b, 'E', BYTES("SERROR\0VERROR\0C42703\0Mno\0\0"));
	add(&b, 'Z', slice_of(&status, 1));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

/* That two queries are prepared, and were planned. */
static void answer_keep(void)
{
	struct buffer b;

	cr_assert(sent("wayleave_kept_0_") && sent("wayleave_kept_2_"));
	buffer_init(&b, 65536);
	for (size_t i = 0; i < 2; i++) {
		add(&b, '1', SLICE_EMPTY);
		add(&b, '2', SLICE_EMPTY);
		add(&b, '3', SLICE_EMPTY);
	}
	add(&b, 'Z', BYTES("I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

/* Run from what is kept, which is dropped behind it. */
static void answer_kept_lookup(void)
{
	static const char *const version[] = {""};
	static const char *const rows[][2] = {
		{"p", "pg_catalog"}, {"p", "public"}, {"s", "on"}, {"e", "UTF8"}};
	struct buffer b;

	cr_assert(sent("Pwayleave_kept_0_") && sent("Swayleave_kept_2_"));
	buffer_init(&b, 65536);
	add(&b, '2', SLICE_EMPTY);
	add_row(&b, version, 1);
	add(&b, 'C', BYTES("SELECT 1\0"));
	add(&b, '3', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		add_row(&b, rows[i], 2);
	add(&b, 'C', BYTES("SELECT 4\0"));
	for (size_t i = 0; i < 3; i++)
		add(&b, '3', SLICE_EMPTY);
	add(&b, 'Z', BYTES("I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void answer_isolation(const char *level)
{
	answer(1, &level, 1, 'T');
}

static void answer_objects(char status)
{
	static const char *const row[] = {"public.orders", "r", "t", "1,000", "8192 bytes"};

	answer(2, row, ARRAY_SIZE(row), status);
}

static void begin(void)
{
	query("begin");
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("C\0\0\0\x0a"
		      "BEGIN\0Z\0\0\0\x05T"));
}

static void set_up(void)
{
	played_set_up(policy, NULL);
}

TestSuite(preview, .init = set_up, .fini = played_tear_down);

/* --- tests --- */

Test(preview, without_a_transaction_objects_then_plan)
{
	static const char *const plan[] = {"Delete on orders"};

	query(DELETE);
	cr_assert(sent("set_config('lock_timeout'") && sent("pg_total_relation_size"));
	cr_assert_not(sent("EXPLAIN") || sent("SAVEPOINT"));
	answer_objects('I');
	cr_assert(sent("EXPLAIN (COSTS) " DELETE) && sent("set_config('lock_timeout'"));
	answer(2, plan, 1, 'I');
	answer_keep();
	cr_assert(happened("! preview \"Delete on orders\\x0apublic.orders: table, 8192 bytes, "
			   "about 1,000 rows\\x0a\""));
}

Test(preview, what_is_no_plain_table_is_not_planned)
{
	static const char *const view[] = {"public.orders", "v", "f", "0", "0 bytes"};

	query(DELETE);
	answer(2, view, ARRAY_SIZE(view), 'I');
	cr_assert_not(sent("EXPLAIN"));
	answer_keep();
	cr_assert(happened("no plan: it reads more than plain tables"));
}

Test(preview, what_may_run_code_is_not_planned)
{
	static const char *const table[] = {"public.orders", "r", "c", "1,000", "8192 bytes"};

	query(DELETE);
	answer(2, table, ARRAY_SIZE(table), 'I');
	cr_assert_not(sent("EXPLAIN"));
	answer_keep();
	cr_assert(happened("no plan: planning it might run code of users, by its tables"));
}

/* --- names that others changed since the statement was judged --- */

/* Of the limits, the version of names and the objects. */
static void answer_version(const char *version)
{
	static const char *const row[] = {"public.orders", "r", "t", "1,000", "8192 bytes"};
	struct buffer b;

	cr_assert(sent("pg_rewrite") && sent("pg_total_relation_size"));
	buffer_init(&b, 65536);
	for (size_t i = 0; i < 3; i++) {
		add(&b, '1', SLICE_EMPTY);
		add(&b, '2', SLICE_EMPTY);
		if (i == 1)
			add_row(&b, &version, 1);
		if (i == 2)
			add_row(&b, row, ARRAY_SIZE(row));
		add(&b, 'C', BYTES("SELECT 1\0"));
	}
	add(&b, 'Z', BYTES("I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

Test(preview, where_names_are_the_same_it_goes_on)
{
	strcpy(run.catalog.version, "7:-123");
	query(DELETE);
	answer_version("7:-123");
	cr_assert(sent("EXPLAIN (COSTS) " DELETE));
	cr_assert_not(happened("! preview"));
}

Test(preview, names_that_changed_are_looked_up_before_people_are_asked)
{
	strcpy(run.catalog.version, "7:-123");
	query(DELETE);
	answer_version("8:-124");
	cr_assert(happened("! preview \"\""));
	cr_assert_not(happened("! held") || sent("EXPLAIN") || sent("wayleave_kept_"));
	cr_assert(sent("pg_rewrite"), "they are looked up");
	cr_assert_not(sent("pg_total_relation_size"));
}

Test(preview, another_encoding_while_it_is_under_way_means_other_names)
{
	strcpy(run.catalog.version, "7:-123");
	query(DELETE);
	cr_assert(sent("pg_rewrite"));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("S\0\0\0\x1b"
		      "client_encoding\0LATIN1\0"));
	answer_version("7:-123");
	cr_assert_not(happened("! held") || sent("EXPLAIN"));
}

/* Else nobody would be asked while somebody changes them all the time. */
Test(preview, names_that_change_again_hold_nothing_up)
{
	static const char *const version[] = {"8:-124"};

	strcpy(run.catalog.version, "7:-123");
	query(DELETE);
	answer_version("8:-124");
	/* Another session has read them meanwhile. */
	strcpy(run.catalog.version, "8:-124");
	run.held = HELD_NOT;
	answer(1, version, 1, 'I');
	cr_assert(sent("pg_total_relation_size") && !sent("pg_rewrite"));
	answer_objects('I');
	cr_assert(sent("EXPLAIN (COSTS) " DELETE));
}

/* "a.b.c" may be of the schema a.b, or of a. */
Test(preview, what_has_two_meanings_is_not_planned)
{
	static const char *const table[] = {"public.orders", "r", "t", "1", "1"};
	struct buffer b;

	query(DELETE);
	buffer_init(&b, 65536);
	for (size_t i = 0; i < 2; i++) {
		add(&b, '1', SLICE_EMPTY);
		add(&b, '2', SLICE_EMPTY);
		for (size_t j = 0; i == 1 && j < 2; j++)
			add_row(&b, table, ARRAY_SIZE(table));
		add(&b, 'C', BYTES("SELECT 2\0"));
	}
	add(&b, 'Z', BYTES("I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
	cr_assert_not(sent("EXPLAIN"));
}

Test(preview, in_a_transaction_its_isolation_is_asked_before_anything_takes_a_snapshot)
{
	begin();
	buffer_clear(&run.sent[SIDE_SERVER]);
	query(DELETE);
	cr_assert(sent("SHOW transaction_isolation"));
	cr_assert_not(sent("SELECT") || sent("SAVEPOINT") || sent("EXPLAIN"));
	answer_isolation("repeatable read");
	cr_assert_not(sent("SAVEPOINT") || sent("EXPLAIN") || sent("pg_total_relation_size"));
	cr_assert(happened("! preview \"\""));
}

Test(preview, at_read_committed_everything_happens_behind_a_savepoint)
{
	static const char *const plan[] = {"Delete on orders"};

	begin();
	query(DELETE);
	answer_isolation("read committed");
	cr_assert(sent("SAVEPOINT wayleave_preview_") && !sent("SELECT"));
	answer(1, NULL, 0, 'T');
	cr_assert(sent("pg_total_relation_size") && !sent("EXPLAIN"));
	answer_objects('T');
	cr_assert(sent("EXPLAIN") && !sent("ROLLBACK"));
	answer(2, plan, 1, 'T');
	cr_assert(sent("ROLLBACK TO SAVEPOINT wayleave_preview_") &&
		sent("RELEASE SAVEPOINT wayleave_preview_"));
	cr_assert_not(happened("! preview"));
	answer(2, NULL, 0, 'T');
	cr_assert(happened("! preview \"Delete on orders"));
}

/* Even where it was decided meanwhile. */
Test(preview, nothing_of_the_agents_runs_inside_the_savepoint)
{
	begin();
	query(DELETE);
	answer_isolation("read committed");
	answer(1, NULL, 0, 'T');
	run.engine->protocol->refuse(run.engine, 0, 1,
		&(struct protocol_refusal){
			.reason = REASON_REVIEW_CANCELLED, .text = slice_from_string("cancelled")});
	agent(BYTES("Q\0\0\0\x0dselect 1\0"));
	cr_assert_not(sent("wayleave_denied_") || sent("select 1"));
	fail('E');
	cr_assert(sent("ROLLBACK TO SAVEPOINT") && !sent("wayleave_denied_"));
	answer(2, NULL, 0, 'T');
	cr_assert(sent("wayleave_denied_"), "it is refused when the savepoint is gone");
}

Test(preview, a_savepoint_that_stays_ends_the_session)
{
	begin();
	query(DELETE);
	answer_isolation("read committed");
	answer(1, NULL, 0, 'T');
	fail('E');
	fail('E');
	cr_assert(run.closed);
	cr_assert_not(sent(DELETE));
}

Test(preview, a_failed_plan_leaves_no_statement_behind)
{
	query(DELETE);
	answer_objects('I');
	fail('I');
	cr_assert(sent("Swayleave_preview_"), "it is closed");
	cr_assert_not(happened("! preview"));
	answer(0, NULL, 0, 'I');
	answer_keep();
	cr_assert(happened("no plan: the server does not plan it"));
}

Test(preview, the_parse_of_a_batch_comes_behind_it)
{
	agent(BYTES(PARSE));
	cr_assert_not(sent("delete"), "it waits for what follows");
	agent(BYTES(BIND EXECUTE_SYNC));
	cr_assert(sent("pg_total_relation_size") && !sent("delete"));
	answer_objects('I');
	cr_assert(sent("EXPLAIN (COSTS) " DELETE));
	fail('I');
	answer(0, NULL, 0, 'I');
	answer_keep();
	cr_assert_not(sent("delete from orders"), "names are looked up past it, too");
	answer_kept_lookup();
	cr_assert(sent("delete from orders") && !sent("EXPLAIN"));
}

Test(preview, a_parse_alone_goes_with_whatever_follows)
{
	agent(BYTES(PARSE));
	cr_assert_not(sent("delete"));
	agent(BYTES("H\0\0\0\x04"));
	cr_assert(sent("delete from orders where id = 1"));
	agent(BYTES(BIND));
	cr_assert_not(sent("EXPLAIN") || sent("pg_total_relation_size"), "it is part of a batch");
}

/* --- a server that does not answer --- */

/* The worker waits no longer; what comes of it, comes at once. */
static void give_up(void)
{
	buffer_clear(&run.sent[SIDE_SERVER]);
	cr_assert(run.engine->protocol->judge_again(run.engine, 0, false));
	engine_run_feed(&run, SIDE_AGENT, SLICE_EMPTY);
	played_check();
}

static bool nothing_sent(void)
{
	return buffer_length(&run.sent[SIDE_SERVER]) == 0;
}

Test(preview, that_takes_too_long_keeps_nobody_from_being_asked)
{
	static const char *const plan[] = {"Delete on orders"};

	query(DELETE);
	give_up();
	cr_assert(happened("! held"));
	/* It was approved then: all is read again, behind the preview. */
	cr_assert(nothing_sent());
	answer_objects('I');
	cr_assert(sent("EXPLAIN") && !sent("current_schemas"));
	answer(2, plan, 1, 'I');
	answer_keep();
	cr_assert_not(happened("! preview") || sent(DELETE));
	answer_kept_lookup();
	cr_assert(sent(DELETE));
}

Test(preview, that_takes_too_long_still_ends_before_anything_of_the_agents_is_sent)
{
	begin();
	query(DELETE);
	answer_isolation("read committed");
	answer(1, NULL, 0, 'T');
	give_up();
	cr_assert(happened("! held") && nothing_sent());
	answer_objects('T');
	fail('E');
	cr_assert(sent("ROLLBACK TO SAVEPOINT") && !sent("current_schemas") && !sent(DELETE));
	answer(2, NULL, 0, 'T');
	cr_assert(sent("current_schemas") && !sent(DELETE));
	cr_assert_not(happened("! preview"));
}

/* A grant that came meanwhile: its names may mean something else by now. */
Test(preview, what_passes_while_it_is_under_way_is_judged_again_behind_it)
{
	query(DELETE);
	run.grant.serial = 1;
	give_up();
	cr_assert(happened("! action 1 run released") && nothing_sent());
	answer_objects('I');
	fail('I');
	answer(0, NULL, 0, 'I');
	answer_keep();
	cr_assert_not(happened("! action 2") || sent(DELETE));
	answer_kept_lookup();
	cr_assert(happened("! action 2 run released") && sent(DELETE));
}

Test(preview, its_library_hears_something_whatever_is_asked)
{
	const struct protocol *protocol = run.engine->protocol;

	query(DELETE);
	cr_expect(protocol->reassure(run.engine, 0, SLICE_EMPTY));
	give_up();
	cr_expect(protocol->reassure(run.engine, 0, SLICE_EMPTY), "approved, and behind it");
	answer_objects('I');
	fail('I');
	answer(0, NULL, 0, 'I');
	answer_keep();
	cr_assert(sent("Pwayleave_kept_0_"));
	cr_expect(protocol->reassure(run.engine, 0, SLICE_EMPTY), "its names are looked up");
}

/* --- what is kept for when it goes on --- */

static void preview_delete(void)
{
	static const char *const plan[] = {"Delete on orders"};

	query(DELETE);
	answer_objects('I');
	answer(2, plan, 1, 'I');
}

static bool drops_kept(void)
{
	return sent("Swayleave_kept_0_") && sent("Swayleave_kept_2_");
}

Test(preview, what_will_be_looked_up_is_planned_before)
{
	preview_delete();
	cr_assert(sent("pg_rewrite") && sent("current_schemas"));
	cr_assert_not(drops_kept());
	answer_keep();
	/* It goes on: run, without its text, and dropped. */
	cr_assert(sent("Pwayleave_kept_0_") && drops_kept());
	cr_assert_not(sent("pg_rewrite") || sent("current_schemas") || sent(DELETE));
}

Test(preview, what_can_not_be_kept_is_looked_up_as_ever)
{
	preview_delete();
	fail('I');
	cr_assert(sent("current_schemas") && drops_kept());
	cr_assert(happened("! preview \"Delete on orders"), "nobody is told");
}

Test(preview, what_was_kept_for_nothing_is_dropped_before_the_next_text)
{
	preview_delete();
	run.engine->protocol->refuse(run.engine, 0, 1,
		&(struct protocol_refusal){
			.reason = REASON_REVIEW_CANCELLED, .text = slice_from_string("cancelled")});
	answer_keep();
	cr_assert(sent("wayleave_denied_"));
	fail('I');
	query("select id from orders");
	cr_assert(drops_kept());
	cr_assert_not(sent("select id") || sent("pg_rewrite"));
}

/* Else every later one would find its names taken. */
Test(preview, a_lookup_that_failed_drops_what_it_left_behind)
{
	static const uint8_t dropped_first[] = "Swayleave_2_0\0P";
	struct slice s;

	preview_delete();
	answer_keep();
	fail('I');
	cr_assert(sent("delete from orders") && sent("H"),
		"the server is asked what it thinks of it");
	fail('I');
	query("select id from orders");
	s = buffer_slice(&run.sent[SIDE_SERVER]);
	cr_assert(drops_kept());
	cr_assert_not_null(memmem(s.data, s.length, dropped_first, sizeof(dropped_first) - 1));
}
