/* SPDX-License-Identifier: Apache-2.0
 *
 * The guard that watches engines in golden tests and fuzzers sees what it is there for.
 */
#include <criterion/criterion.h>

#include "base/memory.h"
#include "tests/harness/engine_guard.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define STARTUP BYTES("\0\0\0\x08\0\x03\0\0")
#define QUERY BYTES("Q\0\0\0\x0dselect 1\0")

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: read, operations: [read], allow: {} }]\n";

static struct engine_bench bench;
static struct engine_run run;
static struct engine_guard guard;

static void wrote(enum side to, struct slice bytes)
{
	guard.watch.wrote(&guard.watch, &run, to, bytes);
}

static void decide(enum protocol_action_phase phase, const char *text, bool released)
{
	struct action action = {.text = slice_from_string(text)};
	struct protocol_action_event event = {.phase = phase, .action = &action};

	guard.watch.decided(&guard.watch, &event, released);
}

static void set_up(void)
{
	engine_bench_init(&bench, policy);
	engine_run_init(&run, &bench, NULL);
	engine_guard_init(&guard);
	wrote(SIDE_SERVER, STARTUP);
}

static void tear_down(void)
{
	engine_guard_done(&guard);
	engine_run_done(&run);
	engine_bench_done(&bench);
}

TestSuite(guard, .init = set_up, .fini = tear_down);

Test(guard, a_released_query_may_go_once)
{
	decide(ACTION_RUN, "select 1", true);
	wrote(SIDE_SERVER, QUERY);
	cr_assert_null(guard.broken, "%s", guard.broken);
	wrote(SIDE_SERVER, QUERY);
	cr_assert_not_null(guard.broken);
}

Test(guard, a_refused_query_may_not_go)
{
	decide(ACTION_RUN, "select 1", false);
	wrote(SIDE_SERVER, QUERY);
	cr_assert_not_null(guard.broken);
}

Test(guard, a_query_must_be_the_one_that_was_released)
{
	decide(ACTION_RUN, "select 2", true);
	wrote(SIDE_SERVER, QUERY);
	cr_assert_not_null(guard.broken);
}

Test(guard, what_is_only_prepared_may_not_run)
{
	decide(ACTION_PREPARED, "select 1", true);
	wrote(SIDE_SERVER, QUERY);
	cr_assert_not_null(guard.broken);
}

Test(guard, a_message_in_pieces_is_one_message)
{
	decide(ACTION_RUN, "select 1", true);
	for (size_t i = 0; i < QUERY.length; i++)
		wrote(SIDE_SERVER, slice_head(slice_from(QUERY, i), 1));
	cr_assert_null(guard.broken, "%s", guard.broken);
	cr_assert_not(guard.runs.released, "it went");
}

Test(guard, malformed_messages_are_seen)
{
	wrote(SIDE_SERVER, BYTES("E\0\0\0\x06\0\0"));
	cr_assert_not_null(guard.broken);
}

Test(guard, messages_that_nobody_knows_are_seen)
{
	wrote(SIDE_AGENT, BYTES("?\0\0\0\x04"));
	cr_assert_not_null(guard.broken);
}

#define NAME "wayleave_role_0_0123456789ab\0"
#define SET_ROLE BYTES("P\0\0\0\x31" NAME "SET ROLE \"rw\"\0\0\0")
#define SET_NONE BYTES("P\0\0\0\x31" NAME "SET ROLE NONE\0\0\0")
#define BIND BYTES("B\0\0\0\x0c\0\0\0\0\0\0\0\0")
#define EXECUTE BYTES("E\0\0\0\x09\0\0\0\0\0")

static void decide_as(const char *as)
{
	run.host.as = slice_from_string(as);
	decide(ACTION_RUN, "select 1", true);
}

Test(guard, a_query_goes_as_its_role_alone)
{
	decide_as("rw");
	wrote(SIDE_SERVER, SET_ROLE);
	wrote(SIDE_SERVER, QUERY);
	wrote(SIDE_SERVER, SET_NONE);
	decide_as("");
	wrote(SIDE_SERVER, QUERY);
	cr_assert_null(guard.broken, "%s", guard.broken);
	decide_as("rw");
	wrote(SIDE_SERVER, QUERY);
	cr_assert_not_null(guard.broken);
}

Test(guard, what_has_no_role_may_not_go_as_one)
{
	decide_as("rw");
	wrote(SIDE_SERVER, SET_ROLE);
	wrote(SIDE_SERVER, QUERY);
	decide_as("");
	wrote(SIDE_SERVER, QUERY);
	cr_assert_not_null(guard.broken);
}

Test(guard, an_error_takes_the_role_back)
{
	decide_as("rw");
	wrote(SIDE_SERVER, SET_ROLE);
	wrote(SIDE_SERVER, QUERY);
	wrote(SIDE_AGENT, BYTES("E\0\0\0\x05\0"));
	decide_as("");
	wrote(SIDE_SERVER, QUERY);
	cr_assert_null(guard.broken, "%s", guard.broken);
}

Test(guard, a_portal_is_executed_as_it_was_bound)
{
	decide_as("rw");
	wrote(SIDE_SERVER, SET_ROLE);
	wrote(SIDE_SERVER, BIND);
	wrote(SIDE_SERVER, EXECUTE);
	wrote(SIDE_SERVER, SET_NONE);
	cr_assert_null(guard.broken, "%s", guard.broken);
	wrote(SIDE_SERVER, EXECUTE);
	cr_assert_not_null(guard.broken);
}

Test(guard, a_batch_does_not_end_as_a_role)
{
	decide_as("rw");
	wrote(SIDE_SERVER, SET_ROLE);
	wrote(SIDE_SERVER, BIND);
	wrote(SIDE_SERVER, BYTES("S\0\0\0\x04"));
	cr_assert_not_null(guard.broken);
}
