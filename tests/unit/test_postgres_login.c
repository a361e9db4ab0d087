/* SPDX-License-Identifier: Apache-2.0
 *
 * First packets that no client sends, and that must end the session rather than go round in it.
 */
#include <criterion/criterion.h>

#include "base/memory.h"
#include "tests/harness/engine_guard.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define TLS_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"
#define STARTUP "\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: read, operations: [read], allow: {} }]\n";

static struct engine_bench bench;
static struct engine_run run;

static void set_up(void)
{
	engine_bench_init(&bench, policy);
	engine_run_init(&run, &bench, NULL);
}

static void tear_down(void)
{
	engine_run_done(&run);
	engine_bench_done(&bench);
}

TestSuite(login, .init = set_up, .fini = tear_down);

static bool said(const char *text)
{
	struct slice events = buffer_slice(&run.events);

	return events.length && memmem(events.data, events.length, text, strlen(text));
}

Test(login, bytes_behind_a_tls_request_end_the_session)
{
	engine_run_connected(&run);
	engine_run_feed(&run, SIDE_AGENT, BYTES(TLS_REQUEST "x"));
	cr_assert(run.closed);
	cr_assert(said("! violation agent"));
}

Test(login, a_broken_first_packet_ends_a_session_whose_server_is_gone)
{
	engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	cr_assert_not(run.closed, "the agent is told after its StartupMessage");
	engine_run_feed(&run, SIDE_AGENT, BYTES("\0\0\0\x03garbage"));
	cr_assert(run.closed);
}

Test(login, an_agent_learns_that_its_server_is_gone)
{
	engine_run_abort(&run, REASON_UPSTREAM_UNREACHABLE);
	engine_run_feed(&run, SIDE_AGENT, BYTES(STARTUP));
	cr_assert(run.closed);
	cr_assert(memmem(
		run.sent[SIDE_AGENT].data, buffer_length(&run.sent[SIDE_AGENT]), "08001", 5));
}

Test(login, negotiation_is_not_endless)
{
	engine_run_connected(&run);
	for (int i = 0; i < 8 && !run.closed; i++)
		engine_run_feed(
			&run, SIDE_AGENT, BYTES("\0\0\0\x08\x04\xd2\x16\x30")); /* GSSENCRequest */
	cr_assert(run.closed);
	cr_assert_leq(buffer_length(&run.sent[SIDE_AGENT]), 4);
}
