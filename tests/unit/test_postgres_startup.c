/* SPDX-License-Identifier: Apache-2.0
 *
 * Which StartupMessages ask for replication, however they spell it; and what a walsender's commands
 * are where nobody asked.
 */
#include "postgres_played.h"

#include "protocol/postgres/startup.h"

/* Whether the server makes a walsender of it (ProcessStartupPacket(), parse_bool()). */
static bool asks(const char *const *values, size_t count)
{
	struct pg_startup startup;
	struct arena arena;
	struct buffer b;
	int r;

	arena_init(&arena, LIMIT_SESSION_ARENA);
	buffer_init(&b, 4096);
	buffer_append_u32(&b, 3u << 16);
	buffer_append(&b, "user\0app", 9);
	for (size_t i = 0; i < count; i++) {
		buffer_append(&b, "replication", 12);
		pg_put_string(&b, slice_from_string(values[i]));
	}
	buffer_append_byte(&b, 0);
	r = pg_startup_parse(buffer_slice(&b), &arena, &startup);
	buffer_done(&b);
	arena_done(&arena);
	cr_assert_eq(r, 0);
	return startup.replication;
}

Test(startup, each_spelling_of_true_asks_for_replication)
{
	static const char *const yes[] = {"true", "tru", "tr", "t", "TRUE", "True", "tRuE", "T",
		"yes", "ye", "y", "YES", "Y", "yEs", "on", "ON", "On", "1", "database"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		cr_expect(asks(&yes[i], 1), "%s", yes[i]);
}

/* The server refuses them; what another one makes of them nobody knows. */
Test(startup, what_is_no_boolean_asks_for_it)
{
	static const char *const strange[] = {"", " ", "2", "00", "01", "+1", "-1", "1.0", "0x1",
		"o", "O", "onn", "truee", "yess", "DATABASE", "databas", "physical", "logical",
		" true", "true ", "\ttrue", "off ", " off", "nope", "falsee", "'off'", "null"};

	for (size_t i = 0; i < ARRAY_SIZE(strange); i++)
		cr_expect(asks(&strange[i], 1), "\"%s\"", strange[i]);
}

Test(startup, each_spelling_of_false_does_not)
{
	static const char *const no[] = {"false", "fals", "fal", "fa", "f", "FALSE", "False", "F",
		"no", "n", "NO", "N", "off", "of", "OFF", "Off", "0"};

	cr_expect_not(asks(NULL, 0));
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		cr_expect_not(asks(&no[i], 1), "%s", no[i]);
}

/* The server goes by the last; a pooler before it may go by another. */
Test(startup, one_of_several_is_enough)
{
	static const char *const values[][2] = {
		{"true", "false"}, {"false", "true"}, {"database", "off"}, {"off", "database"}};
	static const char *const no[] = {"off", "false"};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		cr_expect(asks(values[i], 2), "%s %s", values[i][0], values[i][1]);
	cr_expect_not(asks(no, 2));
}

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules:\n"
	"  - { name: reads, operations: [read], objects: [public.orders], allow: {} }\n"
	"  - { name: copies, operations: [replication], allow: {} }\n";

static void set_up(void)
{
	played_set_up(policy, NULL);
}

TestSuite(walsender, .init = set_up, .fini = played_tear_down);

static const char *const commands[] = {"IDENTIFY_SYSTEM", "IDENTIFY_SYSTEM;",
	"BASE_BACKUP LABEL 'x'", "START_REPLICATION SLOT s LOGICAL 0/0",
	"CREATE_REPLICATION_SLOT s LOGICAL p", "DROP_REPLICATION_SLOT s", "TIMELINE_HISTORY 1",
	"READ_REPLICATION_SLOT s", "UPLOAD_MANIFEST"};

/* Not even where replication is allowed: in such a session it is a text like others, that the
 * server's parser is shown and that never runs. */
Test(walsender, in_another_session_its_commands_are_none)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct slice first;

		query(commands[i]);
		first = slice_head(buffer_slice(&run.sent[SIDE_SERVER]), 1);
		cr_assert(slice_equal(first, BYTES("P")), "%s", commands[i]);
		cr_expect(happened("probed") && !happened("replication"), "%s", commands[i]);
		engine_run_feed(&run, SIDE_SERVER, BYTES("1\0\0\0\4"));
		cr_expect(sent("wayleave_denied_"), "%s", commands[i]);
		played_tear_down();
		set_up();
	}
}
