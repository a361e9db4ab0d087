/* SPDX-License-Identifier: Apache-2.0
 *
 * A server whose own encoding is not UTF-8: what it may take for other names than the text says
 * here is not understood, before anything else is asked of the text.
 */
#include "postgres_played.h"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"rules:\n"
	"  - { name: reads, operations: [select, set_role, session], allow: {} }\n";

/* A session with a server of that encoding; NULL: it does not say. */
static void serve_in(const char *encoding)
{
	struct buffer b, body;

	played_set_up(policy, NULL);
	if (!encoding)
		return;
	buffer_init(&b, 256);
	buffer_init(&body, 128);
	pg_put_string(&body, slice_from_string("server_encoding"));
	pg_put_string(&body, slice_from_string(encoding));
	add(&b, 'S', buffer_slice(&body));
	engine_run_feed(&run, SIDE_SERVER, buffer_slice(&b));
	buffer_done(&body);
	buffer_done(&b);
}

/* Whether the text runs; else the server is asked first whether it can read it. */
static bool runs(const char *text)
{
	query(text);
	cr_expect_neq(happened(" run released"), happened(" probed released unknown"), "%.*s",
		SLICE_PRINT(buffer_slice(&run.events)));
	return happened(" run released");
}

static bool runs_in(const char *encoding, const char *text)
{
	bool ret;

	serve_in(encoding);
	ret = runs(text);
	played_tear_down();
	return ret;
}

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

#define D60 "000000000000000000000000000000000000000000000000000000000001"

/* No name is left in the first ones that would have to be looked up. */
static const char *const other_names[] = {
	"with \"\xc3\x96\" as (select 1) select 1 from \xc3\x96",
	"with U&\"\\00d6\" as (select 1) select 1 from U&\"\\00d6\"",
	"with " A60 "aa\xc3\xa9 as (select 1) select 1 from " A60 "aa\xc3\xa8",
	"select id as \xc3\x96 from orders",
	"set role \xc3\x96",
};

Test(server_encoding, names_that_may_be_others_are_not_understood)
{
	static const char *const encodings[] = {"LATIN1", "EUC_JP", "SQL_ASCII", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(other_names); i++) {
		cr_expect(runs_in("UTF8", other_names[i]), "%s", other_names[i]);
		for (size_t j = 0; j < ARRAY_SIZE(encodings); j++)
			cr_expect_not(runs_in(encodings[j], other_names[i]), "%s: %s", encodings[j],
				other_names[i]);
	}
}

/* What is no name may be anything. */
Test(server_encoding, all_else_is_understood)
{
	static const char *const texts[] = {
		"select id as \xc3\xb6 from orders",
		"select id, '\xc3\x96' from orders",
		"select id, '" A60 "\xc3\xa9' from orders",
		"select id, 0." D60 " from orders",
		"select id, $$" A60 A60 "\xc3\x96$$ from orders",
		"select id as " A60 "aaa from orders",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cr_expect(runs_in("LATIN1", texts[i]), "%s", texts[i]);
}

/* Byte by byte, some are folded there that are a part of a character here. */
Test(server_encoding, in_sql_ascii_names_are_ascii)
{
	cr_expect_not(runs_in("SQL_ASCII", "select id as \xc3\xb6 from orders"));
	cr_expect(runs_in("SQL_ASCII", "select id, '\xc3\xb6' from orders"));
}

static void prepare(const char *name, const char *text)
{
	struct buffer b, body;

	buffer_init(&b, 1024);
	buffer_init(&body, 1024);
	pg_put_string(&body, slice_from_string(name));
	pg_put_string(&body, slice_from_string(text));
	buffer_append_u16(&body, 0);
	add(&b, 'P', buffer_slice(&body));
	add(&b, 'S', SLICE_EMPTY);
	agent(buffer_slice(&b));
	engine_run_feed(&run, SIDE_SERVER,
		BYTES("1\0\0\0\4"
		      "Z\0\0\0\5I"));
	buffer_done(&body);
	buffer_done(&b);
}

/* What is only prepared may pass, since it is judged when it runs: also where SQL says so. */
Test(server_encoding, what_was_prepared_is_not_known_by_its_name)
{
	serve_in("LATIN1");
	prepare("p", "select id from orders");
	cr_expect(runs("execute p"));
	played_tear_down();
	serve_in("LATIN1");
	prepare("p", "select id from orders as \xc3\x96");
	cr_expect(happened("prepared released unknown") && sent("from orders as"));
	cr_expect_not(happened(" run released"));
	query("execute p");
	cr_expect_not(happened(" run released"));
	played_tear_down();
}
