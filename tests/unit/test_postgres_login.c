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

/* --- where we only observe, the server answers what we don't understand --- */

#define OBSERVED                                                                                   \
	"config:\n"                                                                                \
	"  mode: observe\n"                                                                        \
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"                                    \
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"         \
	"rules: [{ name: read, operations: [read], allow: {} }]\n"

static void set_up_observed(void)
{
	engine_bench_init(&bench, OBSERVED);
	engine_run_init(&run, &bench, NULL);
}

TestSuite(login_observed, .init = set_up_observed, .fini = tear_down);

/* All of it, as the relay takes what the engine has not. */
Test(login_observed, what_is_no_startup_packet_is_left_to_the_relay)
{
	static const char *const names[] = {"version 2", "no user", "no end", "data behind"};
	const struct slice packets[] = {
		BYTES("\0\0\0\x10\0\2\0\0user\0ap\0"),
		BYTES("\0\0\0\x17\0\3\0\0database\0shop\0\0"),
		BYTES("\0\0\0\x11\0\3\0\0user\0app\0"),
		BYTES(TLS_REQUEST "x"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
		engine_run_connected(&run);
		engine_run_feed(&run, SIDE_AGENT, packets[i]);
		cr_expect(said("! violation agent"), "%s", names[i]);
		cr_expect_eq(
			buffer_length(&run.partial[SIDE_AGENT]), packets[i].length, "%s", names[i]);
		tear_down();
		set_up_observed();
	}
}

Test(login_observed, nothing_is_relayed_before_the_servers_leg_is_what_it_is_to_be)
{
	bench.upstream_tls = UPSTREAM_TLS_ON;
	engine_run_done(&run);
	engine_run_init(&run, &bench, NULL);
	engine_run_feed(&run, SIDE_AGENT, BYTES("\0\0\0\x11\0\3\0\0user\0app\0"));
	cr_assert_not(said("! violation agent") || run.closed);
	engine_run_connected(&run);
	cr_assert(slice_equal(buffer_slice(&run.sent[SIDE_SERVER]), BYTES(TLS_REQUEST)));
	cr_assert_not(said("! violation agent") || run.closed);
	engine_run_feed(&run, SIDE_SERVER, BYTES("S"));
	cr_assert(said("! tls server") && said("! violation agent"));
	cr_assert_eq(buffer_length(&run.partial[SIDE_AGENT]), 0x11);
}

/* --- telling the server that nobody wants its answer any more --- */

static void set_up_unread(void)
{
	engine_bench_init(&bench,
		"config:\n"
		"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
		"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
		"rules: [{ name: all, operations: [\"*\"], allow: {} }]\n");
	engine_run_init(&run, &bench, NULL);
}

TestSuite(give_up, .init = set_up_unread, .fini = tear_down);

#define KEY "\0\0\0\x01\0\0\0\x02"

static struct slice give_up(void)
{
	return run.engine->protocol->give_up(run.engine);
}

static void log_in(struct slice key)
{
	engine_run_connected(&run);
	engine_run_feed(&run, SIDE_AGENT, BYTES(STARTUP));
	engine_run_feed(&run, SIDE_SERVER, BYTES("R\0\0\0\x08\0\0\0\0"));
	cr_assert_eq(give_up().length, 0);
	engine_run_feed(&run, SIDE_SERVER, key);
	engine_run_feed(&run, SIDE_SERVER, BYTES("Z\0\0\0\x05I"));
}

Test(give_up, a_server_is_told_to_give_up_only_what_it_does)
{
	log_in(BYTES("K\0\0\0\x0c" KEY));
	cr_assert_eq(give_up().length, 0, "there is nothing");
	engine_run_feed(&run, SIDE_AGENT,
		BYTES("Q\0\0\0\x0a"
		      "begin\0"));
	cr_assert(slice_equal(give_up(), BYTES("\0\0\0\x10\x04\xd2\x16\x2e" KEY)));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("C\0\0\0\x0a"
		      "BEGIN\0Z\0\0\0\x05T"));
	cr_assert_eq(give_up().length, 0, "it waits for the next statement");
	engine_run_feed(&run, SIDE_AGENT,
		BYTES("Q\0\0\0\x0b"
		      "commit\0"));
	engine_run_abort(&run, REASON_KILLED);
	cr_assert(run.closed);
	cr_assert(slice_equal(give_up(), BYTES("\0\0\0\x10\x04\xd2\x16\x2e" KEY)));
}

Test(give_up, a_server_without_keys_is_told_nothing)
{
	log_in(BYTES(""));
	engine_run_feed(&run, SIDE_AGENT,
		BYTES("Q\0\0\0\x0a"
		      "begin\0"));
	cr_assert_eq(give_up().length, 0);
}
