/* SPDX-License-Identifier: Apache-2.0
 *
 * Which message of either side is legal in which phase, and how large it may be: every other type
 * ends the session.
 */
#include <malloc.h>

#include "base/bytes.h"
#include "postgres_played.h"
#include "protocol/postgres/error.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: all, operations: [select, copy_in, copy_out], objects: [public.orders], "
	"allow: {} }]\n";
static const char masking[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: all, operations: [copy_out], objects: [public.orders], "
	"allow: { mask: [{ detect: [email], with: redact }] } }]\n";

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

/* What leaves for the other side of one message of `length` bytes, made of `piece` again and again.
 */
static size_t stream(enum side from, uint8_t type, size_t length, struct slice piece)
{
	size_t left = length, passed = 0, before = held();
	uint8_t header[PG_HEADER_SIZE] = {type};

	bytes_put_u32(header + 1, (uint32_t)length + 4);
	engine_run_feed(&run, from, slice_of(header, sizeof(header)));
	while (left) {
		engine_run_feed(&run, from, slice_head(piece, left));
		left -= left < piece.length ? left : piece.length;
		passed += buffer_length(&run.sent[side_other(from)]);
		buffer_clear(&run.sent[side_other(from)]);
		cr_assert_lt(held(), before + 8 * MIB);
	}
	cr_expect_not(run.closed, "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
	return passed;
}

/* The largest that the server takes; whatever it is, it is passed on as it comes. */
static void expect_largest_passes(enum side from, uint8_t type)
{
	struct slice piece = slice_of(memory_new(MIB), MIB);

	cr_expect_eq(stream(from, type, GIB - 1, piece), PG_HEADER_SIZE + (size_t)GIB - 1);
	free((void *)piece.data);
}

Test(messages, the_largest_data_passes_in_little_memory, .fini = played_tear_down)
{
	start_copying();
	expect_largest_passes(SIDE_AGENT, 'd');
}

static void start_reading(const char *rules, const char *text, struct slice answer)
{
	played_set_up(rules, NULL);
	query(text);
	cr_assert(sent(text), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
	engine_run_feed(&run, SIDE_SERVER, answer);
	buffer_clear(&run.sent[SIDE_AGENT]);
	run.watch = NULL;
}

#define ONE_COLUMN BYTES("T\0\0\0\x1b\0\1id\0\0\0\x40\x09\0\1\0\0\0\x17\0\4\xff\xff\xff\xff\0\0")
#define COPY_OF_ONE BYTES("H\0\0\0\x09\0\0\1\0\0")

Test(messages, the_largest_row_passes_in_little_memory, .fini = played_tear_down)
{
	start_reading(policy, "select id from orders", ONE_COLUMN);
	expect_largest_passes(SIDE_SERVER, 'D');
}

Test(messages, the_largest_copied_data_passes_in_little_memory, .fini = played_tear_down)
{
	start_reading(policy, "copy orders to stdout", COPY_OF_ONE);
	expect_largest_passes(SIDE_SERVER, 'd');
}

/* Rows of COPY are searched one by one, in however large a message they come. */
Test(messages, the_largest_searched_data_passes_in_little_memory, .fini = played_tear_down)
{
#ifdef __SANITIZE_ADDRESS__
	const size_t rows = 1000; /* as it is slow there */
#else
	const size_t rows = (GIB - 1) / (64u << 10);
#endif
	static char row[64u << 10];

	memset(row, '7', sizeof(row));
	row[sizeof(row) - 1] = '\n';
	start_reading(masking, "copy orders to stdout", COPY_OF_ONE);
	cr_expect_eq(stream(SIDE_SERVER, 'd', rows * sizeof(row), slice_of(row, sizeof(row))),
		rows * (PG_HEADER_SIZE + sizeof(row)));
}

static void expect_larger_ends(uint8_t type)
{
	const uint8_t header[] = {type, 0x40, 0, 0, 4};

	engine_run_feed(&run, SIDE_SERVER, slice_of(header, sizeof(header)));
	cr_expect(happened("! violation server"));
	cr_expect(run.closed);
}

Test(messages, a_larger_row_by_itself_ends_the_session, .fini = played_tear_down)
{
	start_reading(policy, "select id from orders", ONE_COLUMN);
	expect_larger_ends('D');
}

Test(messages, larger_copied_data_ends_the_session, .fini = played_tear_down)
{
	start_reading(policy, "copy orders to stdout", COPY_OF_ONE);
	expect_larger_ends('d');
}

Test(messages, larger_data_ends_the_session, .fini = played_tear_down)
{
	start_copying();
	engine_run_feed(&run, SIDE_AGENT, BYTES("d\x40\0\0\4"));
	cr_expect(happened("! violation agent"));
	cr_expect(run.closed);
	cr_expect_eq(buffer_length(&run.sent[SIDE_SERVER]), 0);
}

/* What is said then would be read as the rest of it. */
static void expect_nothing_within(struct slice message)
{
	engine_run_feed(&run, SIDE_SERVER, slice_head(message, message.length - 1));
	cr_expect_geq(buffer_length(&run.sent[SIDE_AGENT]), message.length - 1);
	buffer_clear(&run.sent[SIDE_AGENT]);
	engine_run_abort(&run, REASON_KILLED);
	cr_expect_eq(buffer_length(&run.sent[SIDE_AGENT]), 0);
	cr_expect(happened("! close"));
}

Test(messages, nobody_is_told_within_a_row, .fini = played_tear_down)
{
	start_reading(policy, "select id from orders", ONE_COLUMN);
	expect_nothing_within(BYTES("D\0\0\0\x0c\0\1\0\0\0\2"
				    "12"));
}

Test(messages, nobody_is_told_within_copied_data, .fini = played_tear_down)
{
	start_reading(policy, "copy orders to stdout", COPY_OF_ONE);
	expect_nothing_within(BYTES("d\0\0\0\x07"
				    "12\n"));
}

Test(messages, who_reads_a_whole_row_is_told, .fini = played_tear_down)
{
	start_reading(policy, "select id from orders", ONE_COLUMN);
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("D\0\0\0\x0c\0\1\0\0\0\2"
		      "12"));
	buffer_clear(&run.sent[SIDE_AGENT]);
	engine_run_abort(&run, REASON_KILLED);
	cr_expect_eq(buffer_slice(&run.sent[SIDE_AGENT]).data[0], 'E');
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

/* --- what we say ourselves, in the client's encoding --- */

static void expect_said(const char *encoding, const char *text, const char *expected)
{
	struct buffer b;
	struct slice said;

	buffer_init(&b, 256);
	cr_assert_eq(pg_error_put(&b, encoding, false, "42501", slice_from_string(text)), 0);
	said = pg_error_field(slice_from(buffer_slice(&b), PG_HEADER_SIZE), 'M');
	cr_expect(slice_equal_string(said, expected), "%s: %.*s", encoding, SLICE_PRINT(said));
	buffer_clear(&b);
	cr_assert_eq(pg_notice_put(&b, encoding, slice_from_string(text)), 0);
	said = pg_error_field(slice_from(buffer_slice(&b), PG_HEADER_SIZE), 'M');
	cr_expect(slice_equal_string(said, expected), "%s: %.*s", encoding, SLICE_PRINT(said));
	buffer_done(&b);
}

Test(messages, ours_are_in_the_clients_encoding)
{
	static const char text[] = "n\xc3\xb6 \xc2\xbd \xe2\x82\xac \xf0\x9f\x98\x80";
	static const char own[] = "its n\xf6, cut \xc3";

	expect_said("utf8", text, text);
	expect_said("", text, text);
	expect_said("latin1", text, "n\xf6 \xbd ? ?");
	expect_said("iso88591", text, "n\xf6 \xbd ? ?");
	expect_said("win1252", text, "n? ? ? ?");
	expect_said("sqlascii", text, "n? ? ? ?");
	expect_said("latin1", own, own);
}
