/* SPDX-License-Identifier: Apache-2.0
 *
 * Lookups of what names mean that fail, inside the agent's batch: a Sync of ours would end its
 * implicit transaction there.
 */
#include "postgres_played.h"

#define POLICY(mode)                                                                               \
	"config:\n"                                                                                \
	"  mode: " mode "\n"                                                                       \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"         \
	"rules:\n"                                                                                 \
	"  - { name: reads, operations: [select], objects: [public.orders], allow: {} }\n"
#define SELECT "select id from orders"
#define QUESTION "current_setting('DateStyle', true)"

static void set_up(void)
{
	played_set_up(POLICY("enforce"), NULL);
}

static void set_up_observed(void)
{
	played_set_up(POLICY("observe"), NULL);
}

TestSuite(lookup, .init = set_up, .fini = played_tear_down);
TestSuite(lookup_observed, .init = set_up_observed, .fini = played_tear_down);

static void add_parse(struct buffer *b, const char *text)
{
	size_t mark;

	pg_begin(b, 'P', &mark);
	pg_put_string(b, SLICE_EMPTY);
	pg_put_string(b, slice_from_string(text));
	buffer_append_u16(b, 0);
	pg_end(b, mark);
}

/* What sets DateStyle, and behind it in the same batch a statement whose names are then looked up.
 */
static void begin_batch(void)
{
	struct buffer b;

	buffer_init(&b, 4096);
	add_parse(&b, "set datestyle to dmy");
	add(&b, 'B', BYTES("\0\0\0\0\0\0\0\0"));
	add(&b, 'E', BYTES("\0\0\0\0\0"));
	add_parse(&b, SELECT);
	agent(buffer_slice(&b));
	buffer_clear(&b);
	buffer_clear(&run.sent[SIDE_SERVER]);
	add(&b, '1', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	add(&b, 'C', BYTES("SET\0"));
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_clear(&run.sent[SIDE_AGENT]);
	buffer_done(&b);
}

static void end_batch(void)
{
	agent(BYTES("S\0\0\0\4"));
	engine_run_feed(&run, SIDE_SERVER, BYTES("Z\0\0\0\5I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	buffer_clear(&run.sent[SIDE_AGENT]);
	buffer_clear(&run.events);
}

/* A value that nobody can be shown. `again`: what an earlier question left was closed first. */
static void server_says_what_can_not_be_kept(bool again)
{
	static const char *const values[] = {"m", "<A\tB>3"};
	struct buffer b;

	buffer_init(&b, 4096);
	if (again)
		add(&b, '3', SLICE_EMPTY);
	add(&b, '1', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	add_row(&b, values, 2);
	add(&b, 'C', BYTES("SELECT 1\0"));
	add(&b, '3', SLICE_EMPTY);
	add(&b, '3', SLICE_EMPTY);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void server_fails(void)
{
	engine_run_feed(
		&run, SIDE_SERVER, BYTES("E\0\0\0\x28SERROR\0VERROR\0CXX000\0Mout of order\0\0"));
}

static bool told(const char *text)
{
	struct slice s = buffer_slice(&run.sent[SIDE_AGENT]);

	return s.length && memmem(s.data, s.length, text, strlen(text));
}

Test(lookup, what_could_not_be_kept_leaves_the_text_unknown)
{
	begin_batch();
	cr_assert(sent(QUESTION));
	buffer_clear(&run.sent[SIDE_SERVER]);
	server_says_what_can_not_be_kept(false);
	cr_expect_not(sent(QUESTION), "it is not asked again and again");
	cr_expect(sent(SELECT), "a Parse runs nothing");
	engine_run_feed(&run, SIDE_SERVER, BYTES("1\0\0\0\4"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	buffer_clear(&run.sent[SIDE_AGENT]);
	agent(BYTES("B\0\0\0\x0c\0\0\0\0\0\0\0\0"));
	cr_expect(sent(QUESTION), "the next one tries again");
	buffer_clear(&run.sent[SIDE_SERVER]);
	server_says_what_can_not_be_kept(true);
	cr_expect(sent("wayleave_denied_") && !sent(QUESTION));
	cr_expect_eq(buffer_length(&run.sent[SIDE_AGENT]), 0, "the server's error is the answer");
	engine_run_feed(
		&run, SIDE_SERVER, BYTES("E\0\0\0\x28SERROR\0VERROR\0C26000\0Mout of order\0\0"));
	cr_expect(told("42501") && told("names could not be looked up"));
	end_batch();
	query("commit");
	cr_expect(sent("commit"));
}

Test(lookup, what_the_server_fails_is_refused)
{
	begin_batch();
	server_fails();
	cr_expect(told("42501") && told("names could not be looked up"));
	cr_expect(happened("! note") && happened("failed the lookup"));
	cr_expect_not(sent(SELECT));
}

/* An error of the server's would end it. */
Test(lookup_observed, inside_a_batch_nothing_is_asked)
{
	begin_batch();
	cr_expect(sent(SELECT) && !sent(QUESTION));
	cr_expect(happened("unknown"));
	engine_run_feed(&run, SIDE_SERVER, BYTES("1\0\0\0\4"));
	end_batch();
}

static void server_is_ready(char transaction)
{
	const uint8_t ready[] = {'Z', 0, 0, 0, 5, (uint8_t)transaction};

	engine_run_feed(&run, SIDE_SERVER, slice_of(ready, sizeof(ready)));
}

Test(lookup_observed, what_could_not_be_kept_passes)
{
	begin_batch();
	engine_run_feed(&run, SIDE_SERVER, BYTES("1\0\0\0\4"));
	end_batch();
	query(SELECT);
	cr_assert(sent(QUESTION) && !sent(SELECT) && !sent("SAVEPOINT"));
	server_says_what_can_not_be_kept(false);
	server_is_ready('I');
	cr_expect(sent(SELECT));
	cr_expect_eq(buffer_length(&run.sent[SIDE_AGENT]), 0);
}

Test(lookup_observed, what_the_server_fails_passes)
{
	begin_batch();
	engine_run_feed(&run, SIDE_SERVER, BYTES("1\0\0\0\4"));
	end_batch();
	query(SELECT);
	cr_assert(sent(QUESTION) && !sent(SELECT));
	server_fails();
	server_is_ready('I');
	cr_expect(sent(SELECT) && buffer_length(&run.sent[SIDE_AGENT]) == 0);
}

static void server_answers(const char *tags, char transaction)
{
	struct buffer b;

	buffer_init(&b, 4096);
	for (const char *tag = tags; *tag; tag += strlen(tag) + 1) {
		add(&b, '1', SLICE_EMPTY);
		add(&b, '2', SLICE_EMPTY);
		add(&b, 'C', slice_of(tag, strlen(tag) + 1));
		add(&b, '3', SLICE_EMPTY);
		add(&b, '3', SLICE_EMPTY);
	}
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
	if (transaction)
		server_is_ready(transaction);
}

/* The agent's transaction goes on as if nothing had been asked. */
Test(lookup_observed, what_the_server_fails_in_a_transaction_is_undone)
{
	query("begin");
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("C\0\0\0\x0a"
		      "BEGIN\0Z\0\0\0\5T"));
	query("set datestyle to dmy");
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("C\0\0\0\x08"
		      "SET\0Z\0\0\0\5T"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	buffer_clear(&run.sent[SIDE_AGENT]);
	query(SELECT);
	cr_assert(sent("SAVEPOINT wayleave_lookup") && sent(QUESTION) && !sent(SELECT));
	buffer_clear(&run.sent[SIDE_SERVER]);
	server_answers("SAVEPOINT\0", 0);
	server_fails();
	server_is_ready('E');
	cr_assert(sent("ROLLBACK TO SAVEPOINT wayleave_lookup") && !sent(SELECT));
	server_answers("ROLLBACK\0RELEASE\0", 'T');
	cr_expect(sent(SELECT));
	cr_expect_eq(buffer_length(&run.sent[SIDE_AGENT]), 0);
}
