/* SPDX-License-Identifier: Apache-2.0
 *
 * Which message of either side is legal in which phase, and how large it may be: every other type
 * ends the session.
 */
#include <malloc.h>

#include "postgres_played.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: writes, operations: [copy_in, select], objects: [public.orders], allow: "
	"{} }]\n";

#define MIB (1u << 20)
#define GIB (1u << 30)

enum { PHASES = 3 };

/* Literal, so that the tables and this must be changed together: what the protocol has (55.2), by
 * authentication, startup and query. */
static const char *const legal[2][PHASES] = {
	[SIDE_AGENT] = {"pX", "X", "QPBDECHSFXdcf"},
	[SIDE_SERVER] = {"RvEN", "KSZEN", "SZENATtnDCI123sGHWdcV"},
};

static bool is_legal(enum side side, int phase, unsigned type)
{
	return type && strchr(legal[side][phase], (int)type);
}

static const struct pg_message *table_of(enum side side)
{
	return side == SIDE_AGENT ? pg_agent_messages : pg_server_messages;
}

Test(messages, the_tables_have_what_the_protocol_has)
{
	for (int phase = 0; phase < PHASES; phase++) {
		for (unsigned i = 0; i < 2 * 256; i++) {
			enum side side = i / 256 ? SIDE_SERVER : SIDE_AGENT;
			uint8_t header[] = {(uint8_t)i, 0, 0, 0, 4};
			struct pg_frame m;
			int r = pg_frame_next(
				table_of(side), 1u << phase, slice_of(header, sizeof(header)), &m);

			cr_expect_eq(r == 1, is_legal(side, phase, i % 256), "%u in phase %d of %d",
				i % 256, phase, side);
		}
	}
}

/* The session in the phase of that number; the bench must have its names. */
static void enter(int phase)
{
	if (phase == 2) {
		played_log_in(NULL);
		return;
	}
	bench.names = played_orders();
	engine_guard_init(&guard);
	engine_run_init(&run, &bench, &guard.watch);
	engine_run_connected(&run);
	agent(BYTES("\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0"));
	/* The agent is read again once it is asked for something. */
	engine_run_feed(&run, SIDE_SERVER,
		phase == 1 ? BYTES("R\0\0\0\x08\0\0\0\0") : BYTES("R\0\0\0\x08\0\0\0\3"));
}

static void leave(void)
{
	engine_run_done(&run);
	engine_guard_done(&guard);
	sql_catalog_put(bench.names);
	bench.names = NULL;
}

static void expect_violations(enum side side, int phase)
{
	for (unsigned type = 0; type < 256; type++) {
		uint8_t header[] = {(uint8_t)type, 0, 0, 0, 4};

		if (is_legal(side, phase, type))
			continue;
		enter(phase);
		buffer_clear(&run.sent[!side]);
		engine_run_feed(&run, side, slice_of(header, sizeof(header)));
		cr_expect(happened(side == SIDE_AGENT ? "! violation agent" : "! violation server"),
			"%u in phase %d of %d", type, phase, side);
		cr_expect(run.closed);
		leave();
	}
}

Test(messages, any_other_ends_the_session)
{
	engine_bench_init(&bench, policy);
	for (int phase = 0; phase < PHASES; phase++)
		expect_violations(SIDE_SERVER, phase);
	expect_violations(SIDE_AGENT, 0);
	expect_violations(SIDE_AGENT, 2);
	engine_bench_done(&bench);
}

/* Between the login and ReadyForQuery the agent is not even read. */
Test(messages, what_comes_too_early_waits)
{
	engine_bench_init(&bench, policy);
	for (unsigned type = 0; type < 256; type++) {
		uint8_t header[] = {(uint8_t)type, 0, 0, 0, 4};

		enter(1);
		buffer_clear(&run.sent[SIDE_SERVER]);
		agent(slice_of(header, sizeof(header)));
		cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0, "%u", type);
		cr_expect_eq(buffer_length(&run.partial[SIDE_AGENT]), sizeof(header), "%u", type);
		leave();
	}
	engine_bench_done(&bench);
}

/* A length that does not even count itself. */
Test(messages, a_length_below_four_ends_the_session)
{
	uint8_t header[] = {0, 0, 0, 0, 3};

	engine_bench_init(&bench, policy);
	for (size_t i = 0; i < strlen(legal[SIDE_AGENT][2]); i++) {
		header[0] = (uint8_t)legal[SIDE_AGENT][2][i];
		enter(2);
		engine_run_feed(&run, SIDE_AGENT, slice_of(header, sizeof(header)));
		cr_expect(happened("! violation agent"), "%c", header[0]);
		leave();
	}
	engine_bench_done(&bench);
}

/* --- sizes --- */

static size_t held(void)
{
	struct mallinfo2 m = mallinfo2(); /* zeros under ASan */

	return m.uordblks + m.hblkhd;
}

static void start_copying(void)
{
	played_set_up(policy, NULL);
	query("copy orders from stdin");
	cr_assert(sent("copy orders from stdin"), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
	engine_run_feed(&run, SIDE_SERVER, BYTES("G\0\0\0\x09\0\0\1\0\0"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	run.watch = NULL; /* which would keep the message until it is whole */
}

/* The largest that the server takes; whatever it is, it is passed on as it comes. */
Test(messages, the_largest_data_passes_in_little_memory, .fini = played_tear_down)
{
	size_t left = GIB - 1, passed = 0, before;
	struct slice piece;

	start_copying();
	piece = slice_of(memory_new(MIB), MIB);
	before = held();
	engine_run_feed(&run, SIDE_AGENT, BYTES("d\x40\0\0\3"));
	while (left) {
		engine_run_feed(&run, SIDE_AGENT, slice_head(piece, left));
		left -= left < MIB ? left : MIB;
		passed += buffer_length(&run.sent[SIDE_SERVER]);
		buffer_clear(&run.sent[SIDE_SERVER]);
		cr_assert_lt(held(), before + 8 * MIB);
	}
	cr_expect_eq(passed, PG_HEADER_SIZE + (size_t)GIB - 1);
	cr_expect_not(run.closed);
	free((void *)piece.data);
}

Test(messages, larger_data_ends_the_session, .fini = played_tear_down)
{
	start_copying();
	engine_run_feed(&run, SIDE_AGENT, BYTES("d\x40\0\0\4"));
	cr_expect(happened("! violation agent"));
	cr_expect(run.closed);
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
}

/* Behind another row, too, with which it comes in one piece. */
Test(messages, a_larger_row_ends_the_session, .fini = played_tear_down)
{
	played_set_up(policy, NULL);
	query("select id from orders");
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("T\0\0\0\6\0\0"
		      "D\0\0\0\6\0\0"
		      "D\x40\0\0\4\0\0"));
	cr_expect(happened("! violation server"));
	cr_expect(run.closed);
}
