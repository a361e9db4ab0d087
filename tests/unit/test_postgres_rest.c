/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages whose beginning is enough to judge them, and of which people are to see all: they are
 * waited for, up to the length of a text.
 */
#include "postgres_played.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: people, operations: [delete, select, function_call], review: { by: dba } }\n";

#define TEXT "delete from orders where id = $1"
#define LONG (1u << 20)
#define PIECE 65536
#define END "its end"

static void set_up(void)
{
	played_set_up(policy, NULL);
}

TestSuite(rest, .init = set_up, .fini = played_tear_down);

/* With one value of so many bytes, END the last of them. */
static struct buffer call_of(size_t length)
{
	static const uint8_t head[] = {'F', 0, 0, 0, 0, 0, 0, 6, 0x3e, 0, 0, 0, 1};
	struct buffer b;

	buffer_init(&b, length + 64);
	buffer_append(&b, head, sizeof(head));
	buffer_append_u32(&b, (uint32_t)length);
	for (size_t i = 0; i < length; i++)
		buffer_append_byte(&b, 'x');
	memcpy(b.data + buffer_length(&b) - strlen(END), END, strlen(END));
	buffer_append_u16(&b, 0);
	pg_end(&b, 1);
	return b;
}

static struct buffer bind_of(size_t length)
{
	static const uint8_t head[] = {'B', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	struct buffer call = call_of(length), b;

	buffer_init(&b, length + 64);
	buffer_append(&b, head, sizeof(head));
	buffer_append_slice(&b, slice_from(buffer_slice(&call), 13));
	pg_end(&b, 1);
	buffer_done(&call);
	return b;
}

static size_t kept(void)
{
	return buffer_length(&run.partial[SIDE_AGENT]);
}

/* All but its last byte; the engine says how much of it is missing. */
static void feed_but_the_last(struct slice message)
{
	struct slice rest = slice_head(message, message.length - 1);

	for (; rest.length; rest = slice_from(rest, PIECE)) {
		agent(slice_head(rest, PIECE));
		if (kept() > PG_HEADER_SIZE)
			cr_assert_leq(run.engine->protocol->needs(run.engine, SIDE_AGENT,
					      buffer_slice(&run.partial[SIDE_AGENT])),
				message.length - kept());
	}
}

static void check_waits(struct slice message)
{
	feed_but_the_last(message);
	cr_assert_eq(kept(), message.length - 1);
	cr_assert(run.engine->protocol->wants(run.engine, SIDE_AGENT));
	cr_assert_eq(run.engine->protocol->needs(
			     run.engine, SIDE_AGENT, buffer_slice(&run.partial[SIDE_AGENT])),
		1);
	cr_assert_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
	cr_assert_not(happened("! held"));
}

static void check_sent(struct slice message)
{
	struct slice all = buffer_slice(&run.sent[SIDE_SERVER]);

	cr_assert_geq(all.length, message.length, "%zu bytes", all.length);
	cr_assert(slice_equal(slice_from(all, all.length - message.length), message));
	cr_assert_eq(kept(), 0);
}

Test(rest, a_call_is_held_when_all_of_it_is_here)
{
	struct buffer call = call_of(LONG);
	struct slice all = buffer_slice(&call);

	check_waits(all);
	agent(slice_from(all, all.length - 1));
	cr_assert(happened("! held") && happened(END "\\x00\\x00\"") && happened(" released"));
	check_sent(all);
	buffer_done(&call);
}

/* What is read again before it goes on: the version of names, and the session's settings. */
static void answer_lookup(void)
{
	static const char *const version[] = {""};
	static const char *const rows[][2] = {
		{"p", "pg_catalog"}, {"p", "public"}, {"s", "on"}, {"e", "UTF8"}};
	struct buffer b;

	buffer_init(&b, 65536);
	add(&b, '1', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	add_row(&b, version, 1);
	add(&b, 'C', BYTES("SELECT 1\0"));
	add(&b, '1', SLICE_EMPTY);
	add(&b, '2', SLICE_EMPTY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		add_row(&b, rows[i], 2);
	add(&b, 'C', BYTES("SELECT 4\0"));
	for (size_t i = 0; i < 4; i++)
		add(&b, '3', SLICE_EMPTY);
	add(&b, 'Z', BYTES("I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&b);
}

static void parse_text(void)
{
	struct buffer b;
	size_t mark;

	buffer_init(&b, 4096);
	pg_begin(&b, 'P', &mark);
	pg_put_string(&b, SLICE_EMPTY);
	pg_put_string(&b, slice_from_string(TEXT));
	buffer_append_u16(&b, 0);
	pg_end(&b, mark);
	agent(buffer_slice(&b));
	buffer_done(&b);
}

Test(rest, a_bind_is_held_when_all_of_it_is_here)
{
	struct buffer bind = bind_of(LONG);
	struct slice all = buffer_slice(&bind);

	parse_text();
	check_waits(all);
	agent(slice_from(all, all.length - 1));
	cr_assert(happened("! held") && happened(END "\\x00\\x00\""));
	answer_lookup();
	cr_assert(sent(TEXT));
	check_sent(all);
	cr_assert_not(run.closed);
	buffer_done(&bind);
}

/* Nobody sees it, so nothing is waited for. */
Test(rest, a_grant_lets_it_through_as_it_comes)
{
	struct buffer call = call_of(LONG);
	struct slice all = buffer_slice(&call);

	run.grant.serial = 1;
	feed_but_the_last(all);
	cr_assert_eq(kept(), 0);
	cr_assert_eq(buffer_length(&run.sent[SIDE_SERVER]), all.length - 1);
	agent(slice_from(all, all.length - 1));
	check_sent(all);
	buffer_done(&call);
}

/* As a policy that was changed meanwhile, or a limit, may have it. */
Test(rest, a_verdict_may_come_before_the_rest)
{
	static const bool releases[] = {true, false};
	const struct action action = {.text = slice_from_string("(function 1598)")};
	const struct protocol_action_event event = {.phase = ACTION_RUN, .action = &action};
	const struct protocol_refusal refusal = {
		.reason = REASON_DENIED_BY_RULE, .text = slice_from_string("no")};

	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		struct buffer call = call_of(LONG);
		struct slice all = buffer_slice(&call);

		feed_but_the_last(all);
		guard.watch.decided(&guard.watch, &event, releases[i]);
		if (releases[i])
			run.engine->protocol->release(run.engine, 0, 1);
		else
			run.engine->protocol->refuse(run.engine, 0, 1, &refusal);
		agent(slice_from(all, all.length - 1));
		cr_assert_eq(kept(), 0);
		cr_assert_eq(sent("wayleave_denied_"), !releases[i]);
		cr_assert_eq(sent(END), releases[i]);
		cr_assert_not(run.closed || happened("! held"));
		buffer_done(&call);
		played_tear_down();
		set_up();
	}
}

/* As long as a text may be; what is longer is not waited for. */
Test(rest, the_longest)
{
	struct buffer call = call_of(LIMIT_STATEMENT_BYTES - 14);
	struct slice all = buffer_slice(&call);

	cr_assert_eq(all.length, PG_HEADER_SIZE + LIMIT_STATEMENT_BYTES);
	check_waits(all);
	agent(slice_from(all, all.length - 1));
	cr_assert(happened("! held"));
	buffer_done(&call);
}

Test(rest, what_is_longer_is_not_waited_for)
{
	struct buffer call = call_of(LIMIT_STATEMENT_BYTES - 13);
	struct slice all = buffer_slice(&call);

	feed_but_the_last(all);
	cr_assert_eq(kept(), 0);
	cr_assert_not(happened("! held"));
	buffer_done(&call);
}
