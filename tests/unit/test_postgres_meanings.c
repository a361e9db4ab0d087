/* SPDX-License-Identifier: Apache-2.0
 *
 * What values in a text mean, as the server says it in whatever way: it is what people are shown,
 * and what their decision is bound to.
 */
#include "postgres_played.h"
#include "protocol/postgres/meanings.h"
#include "protocol/sql/setting.h"
#include "protocol/sql/statement.h"

#define DELETE "delete from orders where id = 1"

static const char policy[] =
	"config:\n"
	"  agents: [{ name: demo, cgroup: test.slice/demo }]\n"
	"  resources: [{ name: shop, protocol: postgres, hosts: [\"127.0.0.1:5432\"] }]\n"
	"  reviewers: { dba: { local_users: [root] } }\n"
	"rules:\n"
	"  - { name: people, operations: [delete, select], objects: [public.orders], review: { by: "
	"dba } "
	"}\n";

static const char *const names[] = {
#define MEANING(name, usual) name,
#include "protocol/postgres/meanings.inc"
#undef MEANING
};

Test(meanings, each_is_looked_up_again_where_it_was_set)
{
	for (size_t i = 0; i < PG_MEANING_COUNT; i++)
		cr_expect(sql_setting_effects(slice_from_string(names[i])) & SQL_EFFECT_VALUES,
			"%s", names[i]);
}

/* --- what was said --- */

static struct pg_meanings meanings;
static struct buffer text;

static void set_up_values(void)
{
	buffer_init(&text, 65536);
}

static void tear_down_values(void)
{
	pg_meanings_done(&meanings);
	buffer_done(&text);
}

TestSuite(meaning_values, .init = set_up_values, .fini = tear_down_values);

#define USUAL "Default\non\nhex\nenglish\n1\n0\nC\nC\nC\non\norigin\noff\nbase64\ncontent\n"

static int take(const char *values)
{
	return pg_meanings_take(&meanings, slice_from_string(values));
}

static void status(const char *name, const char *value)
{
	pg_meanings_on_status(&meanings, slice_from_string(name), slice_from_string(value));
}

static void check_put(const char *expected)
{
	buffer_clear(&text);
	cr_assert_eq(pg_meanings_put(&meanings, &text), 0);
	cr_assert(slice_equal_string(buffer_slice(&text), expected), "%.*s",
		SLICE_PRINT(buffer_slice(&text)));
}

#define FIRST_LINES "DateStyle: ISO, MDY\nIntervalStyle: postgres\nTimeZone: UTC"
#define SEARCH "\ndefault_text_search_config: english"
#define LOCALE "\nlc_monetary: C\nlc_numeric: C\nlc_time: C"
#define NO_DEFAULT SEARCH LOCALE

Test(meaning_values, what_is_usual_is_not_said)
{
	check_put("");
	cr_assert_eq(take("ISO, MDY\npostgres\nUTC\n" USUAL), 0);
	check_put(FIRST_LINES NO_DEFAULT);
	status("DateStyle", "ISO, DMY");
	status("application_name", "none of them");
	check_put("DateStyle: ISO, DMY\nIntervalStyle: postgres\nTimeZone: UTC" NO_DEFAULT);
	cr_assert_eq(
		take("ISO, "
		     "MDY\npostgres\nUTC\nDefault\noff\nescape\nenglish\n-15\n0\nC\nC\nC\noff\n"
		     "replica\non\nhex\ndocument\n"),
		0);
	check_put(FIRST_LINES
		"\narray_nulls: off\nbytea_output: escape" SEARCH "\nextra_float_digits: -15" LOCALE
		"\nrow_security: off\n"
		"session_replication_role: replica\ntransform_null_equals: on\nxmlbinary: hex\n"
		"xmloption: document");
}

/* One value must not look like two lines, nor like the next setting's. */
Test(meaning_values, what_can_not_be_shown_as_it_is_is_not_taken)
{
	char longest[PG_MEANING_MOST + 2];

	cr_assert_eq(take("ISO, MDY\npostgres\nUTC\n" USUAL), 0);
	cr_expect_lt(take("ISO, DMY\npostgres\n" USUAL), 0);
	cr_expect_lt(take("ISO, DMY\npostgres\n<A\nlc_time: B>3\n" USUAL), 0);
	cr_expect_lt(take("ISO, DMY\npostgres\n<A\rB>3\n" USUAL), 0);
	cr_expect_lt(take("ISO, DMY\npostgres\nUTC\n" USUAL "more"), 0);
	cr_expect_lt(take(""), 0);
	check_put(FIRST_LINES NO_DEFAULT);

	memset(longest, 'x', sizeof(longest));
	longest[PG_MEANING_MOST + 1] = 0;
	status("TimeZone", longest);
	buffer_clear(&text);
	cr_assert_lt(pg_meanings_put(&meanings, &text), 0);
	cr_assert_eq(take("ISO, MDY\npostgres\nUTC\n" USUAL), 0);
	longest[PG_MEANING_MOST] = 0;
	status("TimeZone", longest);
	cr_assert_eq(pg_meanings_put(&meanings, &text), 0);
	status("TimeZone", "<A\nlc_time: B>3");
	cr_assert_lt(pg_meanings_put(&meanings, &text), 0);
}

/* --- in a session --- */

static void set_up(void)
{
	played_set_up(policy, NULL);
}

TestSuite(meaning_sessions, .init = set_up, .fini = played_tear_down);

static void server(struct slice bytes)
{
	engine_run_feed(&run, SIDE_SERVER, bytes);
}

Test(meaning_sessions, what_the_server_reports_is_part_of_a_review)
{
	server(BYTES("S\0\0\0\x17"
		     "DateStyle\0ISO, DMY\0"));
	run.held = HELD_PREVIEWED;
	query(DELETE);
	cr_assert(happened("! held") && happened("DateStyle: ISO, DMY"));
}

/* In a batch the server reports it at the Sync. */
Test(meaning_sessions, what_was_set_is_looked_up_before_the_next_text)
{
	query("set datestyle to dmy");
	server(BYTES("C\0\0\0\x08"
		     "SET\0Z\0\0\0\5I"));
	buffer_clear(&run.sent[SIDE_SERVER]);
	query(DELETE);
	cr_assert(sent("current_setting('DateStyle', true)") && !sent(DELETE));
}
