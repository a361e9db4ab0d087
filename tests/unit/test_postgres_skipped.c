/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that the server ignores after an error: what was found out about one of them must not be
 * taken for what the next one means. Nor is anything read behind a Terminate.
 */
#include "postgres_played.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules: [{ name: reads, operations: [select], objects: [public.orders], allow: {} }]\n";

#define PARSE_SET "P\0\0\0\x1f\0set search_path to none\0\0\0"
#define BIND_EXECUTE "B\0\0\0\x0c\0\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0"
#define PARSE_SELECT "P\0\0\0\x1d\0select id from orders\0\0\0"
#define SYNC "S\0\0\0\x04"

static void set_up(void)
{
	played_set_up(policy, NULL);
}

TestSuite(skipped, .init = set_up, .fini = played_tear_down);

/* The SELECT waits for what stands before it, and is skipped with it. */
Test(skipped, a_text_that_waited_is_not_the_next_ones)
{
	agent(BYTES(PARSE_SET BIND_EXECUTE PARSE_SELECT));
	cr_assert_not(sent("select id from orders"));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("1\0\0\0\4"
		      "2\0\0\0\4"
		      "E\0\0\0\x1e"
		      "SERROR\0VERROR\0C22023\0Mno\0\0"));
	agent(BYTES(SYNC));
	engine_run_feed(&run, SIDE_SERVER, BYTES("Z\0\0\0\5I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	query("delete from orders");
	answer_session(NULL, 'I');
	cr_expect_not(sent("delete from orders"), "%.*s", SLICE_PRINT(buffer_slice(&run.events)));
	cr_expect(sent("wayleave_denied_"));
}

/* In one piece or in several: the server has to answer what came before, and then closes. */
Test(skipped, what_stands_behind_a_terminate_is_not_read)
{
	agent(BYTES("Q\0\0\0\x1a"
		    "select id from orders\0"
		    "X\0\0\0\4"
		    "\xb8\xb8\xb8\xb8\xb8\xb8"));
	cr_expect_not(happened("! violation") || run.closed);
	cr_expect(sent("select id from orders"));
}
