/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that a server of another encoding cuts elsewhere or folds.
 */
#include "base/memory.h"
#include "protocol/sql/encoding.h"
#include "sql_test.h"

#define A59 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define D60 "000000000000000000000000000000000000000000000000000000000001"

Test(sql_encoding, names_that_another_encoding_makes_others_are_told)
{
	static const char *const kept[] = {"a", "Aa_1",
		"gr\xc3\xb6\xc3\x9f"
		"e",
		"\xd0\xb8\xd0\xbc\xd1\x8f", "\xe5\x90\x8d\xe5\x89\x8d",
		"\xc5\x82\xc3\xb3"
		"d\xc5\xba",
		A59, A59 "aaaa",
		"0123456789012345678901234567890123456789012345678901234567890123"};
	/* Those of 60 to 62 bytes are what is left of one with another character behind it. */
	static const char *const changed[] = {"\xc3\x84rger", "\xd0\x98\xd0\xbc\xd1\x8f",
		"\xc5\x81", "\xc4\xb9", "\xc3", "a\xff", A59 "a", A59 "aa", A59 "aaa",
		"0123456789012345678901234567890123456789012345678901234567\xc3\xa9",
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		cr_expect(
			sql_encoding_keeps_name(sql_test_slice(kept[i]), "latin1"), "%s", kept[i]);
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		cr_expect_not(sql_encoding_keeps_name(sql_test_slice(changed[i]), "latin1"), "%s",
			changed[i]);
		cr_expect(sql_encoding_keeps_name(sql_test_slice(changed[i]), "utf8"), "%s",
			changed[i]);
	}
}

/* Byte by byte, some are folded there that are a part of a character here. */
Test(sql_encoding, where_a_server_knows_no_characters_names_are_ascii)
{
	static const char *const servers[] = {"sqlascii", ""};

	for (size_t i = 0; i < ARRAY_SIZE(servers); i++) {
		cr_expect(sql_encoding_keeps_name(sql_test_slice("a"), servers[i]));
		cr_expect_not(sql_encoding_keeps_name(sql_test_slice("\xc3\xb6"), servers[i]));
		cr_expect_not(sql_encoding_keeps_name(sql_test_slice(A59 "a"), servers[i]));
	}
}

static bool is_kept(const char *text)
{
	struct sql_text *t = sql_text_parse(sql_test_slice(text));
	bool kept = sql_text_keeps_names(t, "latin1");

	cr_assert_eq(sql_text_status(t), SQL_PARSED, "%s: %s", text, sql_text_problem(t));
	cr_expect(sql_text_keeps_names(t, "utf8"), "%s", text);
	sql_text_put(t);
	return kept;
}

Test(sql_encoding, names_of_a_text_are_told_from_all_else)
{
	static const char *const kept[] = {
		"select id, '\xc3\x84' from customers",
		"select U&'\\00c4', b'" D60 "', x'" D60 "', 0." D60,
		"select '" A59 "\xc3\xa9'",
		"comment on table customers is '\xc3\x84'",
		"create function f() returns int language sql as $$ select 1 /* " A59
		" \xc3\x84 */ $$",
		"set application_name = 'x'",
	};
	static const char *const changed[] = {
		"select ssn as \xc3\x84 from customers",
		"select ssn as U&\"\\00c4\" from customers",
		"select 1; select 'x' as \xc3\x84",
		"with \xc3\x84 as (select 1) select 1 from \"\xc3\x84\"",
		"select 1 as " A59 "aaa\xc3\xa9",
		"comment on table \xc3\x84 is 'x'",
		"set role \xc3\x84",
		"alter role app set role to \xc3\x84",
		"prepare \xc3\x84 as select 1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		cr_expect(is_kept(kept[i]), "%s", kept[i]);
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		cr_expect_not(is_kept(changed[i]), "%s", changed[i]);
}
