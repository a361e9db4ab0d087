/* SPDX-License-Identifier: Apache-2.0
 *
 * A small database, as its server would describe it. For the unit tests and the fuzzers.
 */
#ifndef WAYLEAVE_TESTS_UNIT_SQL_DATABASE_H
#define WAYLEAVE_TESTS_UNIT_SQL_DATABASE_H

#include <stdlib.h>

#include "base/memory.h"
#include "protocol/sql/catalog.h"
#include "protocol/sql/resolve.h"

#define SQL_TEST_ARENA (64u << 20)

static inline struct slice sql_test_slice(const char *text)
{
	return slice_from_string(text);
}

/* {query, values…}: rows as the server would send them. */
struct sql_test_row {
	int query;
	const char *values[5];
};

static const struct sql_test_row sql_test_rows[] = {
	{0, {"100", "pg_catalog", "pg_class", "r", "33"}},
	{0, {"101", "pg_catalog", "pg_stats", "v", "14"}},
	{0, {"102", "pg_catalog", "pg_settings", "v", "17"}},
	{0, {"103", "pg_catalog", "pg_authid", "r", "12"}},
	{0, {"104", "pg_catalog", "pg_newcomer", "r", "2"}},
	{0, {"110", "information_schema", "columns", "v", "44"}},
	{0, {"16384", "public", "customers", "r", "5"}},
	{0, {"16385", "public", "orders", "r", "5"}},
	{0, {"16386", "public", "t", "r", "3"}},
	{0, {"16387", "public", "u", "r", "3"}},
	{0, {"16388", "public", "t_idx", "i", "1"}},
	{0, {"16389", "public", "seq", "S", "3"}},
	{0, {"16390", "public", "v", "v", "2"}},
	{0, {"16391", "public", "dotted.name", "r", "1"}},
	{0, {"16400", "app", "orders", "r", "2"}},
	{0, {"16401", "app", "only_app", "r", "2"}},
	{0, {"16402", "secret", "salaries", "r", "2"}},
	{1, {"16384", "1", "id", "23", "-1"}},
	{1, {"16384", "2", "name", "25", "-1"}},
	{1, {"16384", "3", "ssn", "25", "-1"}},
	{1, {"16384", "4", "salary", "23", "-1"}},
	{1, {"16384", "5", "note", "25", "-1"}},
	{1, {"16385", "1", "id", "23", "-1"}},
	{1, {"16385", "2", "customer_id", "23", "-1"}},
	{1, {"16385", "3", "total", "23", "-1"}},
	{1, {"16385", "4", "state", "25", "-1"}},
	{1, {"16385", "5", "ssn", "25", "-1"}},
	{1, {"16386", "1", "id", "23", "-1"}},
	{1, {"16386", "2", "a", "25", "-1"}},
	{1, {"16386", "3", "b", "25", "-1"}},
	{1, {"16387", "1", "id", "23", "-1"}},
	{1, {"16387", "2", "a", "25", "-1"}},
	{1, {"16387", "3", "b", "25", "-1"}},
	{1, {"16390", "1", "shown", "25", "-1"}},
	{1, {"16390", "2", "made", "25", "-1"}},
	{1, {"16391", "1", "id", "23", "-1"}},
	{1, {"16400", "1", "id", "23", "-1"}},
	{1, {"16400", "2", "x", "25", "-1"}},
	{1, {"16401", "1", "id", "23", "-1"}},
	{1, {"16401", "2", "x", "25", "-1"}},
	{1, {"16402", "1", "id", "23", "-1"}},
	{1, {"16402", "2", "amount", "23", "-1"}},
	{3, {"16390", "1", "16384"}},
	{5,
		{"16390",
			"({QUERY :commandType 1 :rtable ({RTE :rtekind 0 :relid 16384 :eref "
			"{ALIAS}}) "
			":targetList ({TARGETENTRY :expr {VAR :varno 1 :varattno 3 :varlevelsup 0} "
			":resno 1 :resname shown :resorigtbl 16384 :resorigcol 3 :resjunk false} "
			"{TARGETENTRY :expr {FUNCEXPR :funcid 870 :args ({VAR :varno 1 :varattno 3 "
			":varlevelsup 0})} :resno 2 :resname made :resorigtbl 0 :resorigcol 0 "
			":resjunk false})})"}},
	{7, {"public", "f", "f", "f"}},
	{7, {"public", "net", "t", "f"}},
	{7, {"public", "state", "t", "f"}},
	{7, {"public", "similarity", "f", "t"}},
	{7, {"public", "max", "f", "t"}},
	{7, {"app", "f", "f", "f"}},
	{7, {"app", "lower", "f", "f"}},
	{8, {"public", "~~~", "public", "equal_ssn"}},
	{8, {"app", "=", "app", "equals"}},
	{9, {"public", "mood", "public", "to_mood"}},
	{9, {"pg_catalog", "float8", "public", "to_float"}},
};

static inline struct sql_catalog *sql_test_fill(const struct sql_test_row *rows, size_t count)
{
	struct sql_catalog *c = sql_catalog_new(SQL_TEST_ARENA);

	for (size_t i = 0; i < count; i++) {
		size_t query = (size_t)rows[i].query;
		struct slice values[5];

		for (size_t j = 0; j < 5; j++)
			values[j] = sql_test_slice(rows[i].values[j]);
		if (sql_catalog_add_row(c, query, values, sql_catalog_queries[query].columns) < 0)
			abort();
	}
	if (sql_catalog_finish(c) < 0)
		abort();
	return c;
}

static inline struct sql_catalog *sql_test_catalog(void)
{
	return sql_test_fill(sql_test_rows, ARRAY_SIZE(sql_test_rows));
}

static const struct slice sql_test_path[] = {
	{(const uint8_t *)"pg_catalog", 10}, {(const uint8_t *)"public", 6}};

static inline struct sql_view sql_test_view(const struct sql_catalog *c)
{
	return (struct sql_view){.catalog = c, .path = sql_test_path, .path_count = 2};
}

#endif
