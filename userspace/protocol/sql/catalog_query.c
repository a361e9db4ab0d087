/* SPDX-License-Identifier: Apache-2.0
 *
 * The queries, for PostgreSQL 11 and later. No name in them is looked up on the search_path, no
 * function called that an agent could have made, and no lock taken but those of reading catalogs:
 * views are read as stored trees, since pg_get_viewdef() would lock what they show. An agent that
 * turned sequential scans off (enable_seqscan) gets indexes for each table: a plan that had to scan
 * one would count as so expensive that the server compiled it, for seconds (jit_above_cost).
 */
#include "protocol/sql/catalog_internal.h"

#include "base/memory.h"

#define P "pg_catalog."
#define EQ " OPERATOR(pg_catalog.=) "
#define NE " OPERATOR(pg_catalog.<>) "
#define GT " OPERATOR(pg_catalog.>) "
#define GE " OPERATOR(pg_catalog.>=) "
#define LT " OPERATOR(pg_catalog.<) "
#define ANY_OF(list) " OPERATOR(pg_catalog.=) ANY (ARRAY[" list "]::" P "\"char\"[])"
#define CLASS(name) "'" P name "'::" P "regclass"
#define FLAG(condition) "CASE WHEN " condition " THEN 't' ELSE 'f' END"

/* Objects made by initdb have lower OIDs (access/transam.h, FirstNormalObjectId). */
#define OWN " 16384::" P "oid"

#define OF_EXTENSION(class, object)                                                                \
	"EXISTS (SELECT 1 FROM " P "pg_depend AS x WHERE x.classid" EQ CLASS(                      \
		class) " AND x.objid" EQ object " AND x.deptype" EQ "'e'::" P "\"char\")"

/* What an operator or cast runs, in words: compiled code that can't change anything, or an
 * extension's that says so, is trusted as the server's own. */
#define TRUSTED(function)                                                                          \
	"(" function ".provolatile" NE "'v'::" P "\"char\" AND (" OF_EXTENSION(                    \
		"pg_proc", function ".oid") " OR EXISTS (SELECT 1 FROM " P "pg_language AS l "     \
					    "WHERE l.oid" EQ function ".prolang AND l.lanname" EQ  \
					    "ANY (ARRAY['c', 'internal']::" P "name[]))))"

/* What else a text calls by name: an extension's that says so. */
#define HARMLESS(function)                                                                         \
	"(" function ".provolatile" NE "'v'::" P                                                   \
	"\"char\" AND " OF_EXTENSION("pg_proc", function ".oid") ")"

/* An extension's view or table with the extension's functions is as that was made. */
#define OF_ONE_EXTENSION(class, function)                                                          \
	"EXISTS (SELECT 1 FROM " P "pg_depend AS x JOIN " P "pg_depend AS y ON y.refclassid" EQ    \
	"x.refclassid AND y.refobjid" EQ "x.refobjid WHERE x.classid" EQ CLASS(                    \
		"pg_class") " AND x.objid" EQ class " AND x.deptype" EQ "'e'::" P                  \
						    "\"char\" AND y.classid" EQ CLASS(             \
							    "pg_proc") " AND y.objid" EQ function  \
								       " AND y.deptype" EQ         \
								       "'e'::" P "\"char\")"

#define COLUMN_KINDS "'r', 'v', 'm', 'f', 'p'"
#define NOT_SYSTEM(namespace)                                                                      \
	namespace ".nspname" NE "'pg_catalog'::" P                                                 \
		  "name AND " namespace ".nspname" NE "'information_schema'::" P "name"
#define NOT_TOAST(namespace)                                                                       \
	"pg_catalog.left(" namespace ".nspname::" P "text, 8)" NE "'pg_toast'::" P "text"
#define ENABLED(rule) rule ".ev_enabled" NE "'D'::" P "\"char\""
#define PERMANENT(class) class ".relpersistence" NE "'t'::" P "\"char\""

/* clang-format off */
/* Rules and functions or, of operators, what these run. On the server's own functions, which are
 * never dropped, it keeps no dependencies: they are found in the rule as stored. What of them is
 * left out is harmless by the rule that functions.inc was made by (scripts/make-sql-names). */
#define RULE_CODE                                                                                  \
	"SELECT d.objid, d.refobjid, false FROM " P "pg_depend AS d"                               \
	" WHERE d.classid" EQ CLASS("pg_rewrite") " AND d.refclassid" EQ CLASS("pg_proc")          \
	" UNION ALL SELECT d.objid, o.oprcode::" P "oid, true FROM " P "pg_depend AS d"            \
	" JOIN " P "pg_operator AS o ON o.oid" EQ "d.refobjid"                                     \
	" WHERE d.classid" EQ CLASS("pg_rewrite") " AND d.refclassid" EQ CLASS("pg_operator")      \
	" UNION ALL SELECT w.oid, b.oid, false FROM " P "pg_rewrite AS w CROSS JOIN LATERAL "      \
	P "unnest(" P "string_to_array(" P "concat(w.ev_action, w.ev_qual), ' :funcid ')) AS s(t)" \
	" JOIN " P "pg_proc AS b"                                                                  \
	" ON b.oid::" P "text" EQ P "split_part(" P "left(s.t, 11), ' ', 1)"                       \
	" WHERE w.ev_class" GE OWN " AND b.oid" LT OWN " AND (b.provolatile" EQ "'v'::" P "\"char\"" \
	" OR " P "left(b.proname::" P "text, 3)" EQ "'pg_'"                                        \
	" OR " P "strpos(b.proname::" P "text, '_to_xml')" GT "0)"
#define RULE_CALLS                                                                                 \
	"SELECT DISTINCT r.ev_class, r.ev_type, n.nspname, p.proname, " FLAG("p.oid" GE OWN)       \
	" FROM (" RULE_CODE ") AS f(rule, code, by_operator)"                                      \
	" JOIN " P "pg_rewrite AS r ON r.oid" EQ "f.rule"                                          \
	" JOIN " P "pg_class AS c ON c.oid" EQ "r.ev_class"                                        \
	" JOIN " P "pg_proc AS p ON p.oid" EQ "f.code"                                             \
	" JOIN " P "pg_namespace AS n ON n.oid" EQ "p.pronamespace"                                \
	" WHERE r.ev_class" GE OWN " AND " ENABLED("r") " AND " PERMANENT("c")                     \
	" AND (p.oid" LT OWN " OR NOT (" HARMLESS("p")                                            \
	" OR (f.by_operator AND " TRUSTED("p") ") OR " OF_ONE_EXTENSION("r.ev_class", "p.oid") "))" \
	" ORDER BY 1, 2, 3, 4, 5"
/* clang-format on */

const struct sql_catalog_query sql_catalog_queries[] = {
	[CATALOG_RELATIONS] =
		{"SELECT c.oid, n.nspname, c.relname, c.relkind, c.relnatts FROM " P
		 "pg_class AS c JOIN " P "pg_namespace AS n ON n.oid" EQ
		 "c.relnamespace WHERE " PERMANENT("c") " AND " NOT_TOAST(
			 "n") " AND (c.relkind" ANY_OF(COLUMN_KINDS) " OR " NOT_SYSTEM("n") ")",
			5},
	[CATALOG_COLUMNS] =
		{"SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod FROM " P
		 "pg_attribute AS a JOIN " P "pg_class AS c ON c.oid" EQ "a.attrelid JOIN " P
		 "pg_namespace AS n ON n.oid" EQ "c.relnamespace WHERE a.attnum" GT "0::" P "int2"
		 " AND NOT a.attisdropped AND c.relkind" ANY_OF(COLUMN_KINDS) " AND " PERMANENT(
			 "c") " AND " NOT_TOAST("n") " AND " NOT_SYSTEM("n") " ORDER BY "
									     "a.attrelid, a.attnum",
			5},
	[CATALOG_INHERITS] = {"SELECT i.inhrelid, i.inhparent FROM " P "pg_inherits AS i JOIN " P
			      "pg_class AS c ON c.oid" EQ
			      "i.inhrelid WHERE c.relkind" ANY_OF(COLUMN_KINDS),
		2},
	[CATALOG_RULE_RELATIONS] =
		{"SELECT DISTINCT r.ev_class, r.ev_type, d.refobjid FROM " P
		 "pg_rewrite AS r JOIN " P "pg_depend AS d ON d.classid" EQ CLASS(
			 "pg_rewrite") " AND d.objid" EQ "r.oid JOIN " P "pg_class AS c ON c.oid" EQ
				       "r.ev_class WHERE d.refclassid" EQ CLASS(
					       "pg_class") " AND d.refobjid" NE
							   "r.ev_class AND r.ev_class" GE OWN
							   " AND " ENABLED("r") " AND " PERMANENT(
								   "c") " ORDER BY 1, 2, 3",
			3},
	/* The fifth: it is of users. */
	[CATALOG_RULE_CALLS] = {RULE_CALLS, 5},
	[CATALOG_VIEWS] = {"SELECT r.ev_class, CASE WHEN " P "octet_length(r.ev_action::" P "text)"
			   " OPERATOR(pg_catalog.<) 1048576 THEN r.ev_action::" P "text END FROM " P
			   "pg_rewrite AS r JOIN " P "pg_class AS c ON c.oid" EQ "r.ev_class WHERE "
			   "r.rulename" EQ "'_RETURN'::" P "name AND r.ev_class" GE OWN
			   " AND " PERMANENT("c") " AND c.relkind" ANY_OF("'v', 'm'"),
		2},
	[CATALOG_GENERATED] =
		{"SELECT DISTINCT a.adrelid, a.adnum, d.refobjsubid FROM " P
		 "pg_attrdef AS a JOIN " P "pg_depend AS d ON d.refobjid" EQ "a.adrelid"
		 " AND ((d.classid" EQ CLASS(
			 "pg_attrdef") " AND d.objid" EQ "a.oid) OR "
				       "(d.classid" EQ CLASS(
					       "pg_class") " AND d.objid" EQ "a.adrelid"
							   " AND d.objsubid" EQ
							   "a.adnum)) WHERE d.refclassid" EQ CLASS(
								   "pg_class") " AND "
									       "d.refobjsubid" GT
									       "0 AND "
									       "d.refobjsubid" NE
									       "a.adnum AND "
									       "a.adrelid" GE OWN,
			3},
	/* The third: name(x) may be written x.name. The fourth: all of them are an extension's, and
	 * change nothing. */
	[CATALOG_FUNCTIONS] =
		{"SELECT n.nspname, p.proname, " FLAG(
			 P "bool_or(p.pronargs" GE "1::" P
			   "int2 AND (p.pronargs OPERATOR(pg_catalog.-) p.pronargdefaults)"
			   " OPERATOR(pg_catalog.<=) 1 AND t.typtype" ANY_OF(
				   "'c', 'p', 'd'") ")") ", " FLAG(P
			 "bool_and" HARMLESS(
				 "p")) " FROM " P "pg_proc AS p JOIN " P
				       "pg_namespace AS n ON n.oid" EQ "p.pronamespace LEFT JOIN " P
				       "pg_type AS t ON t.oid" EQ
				       "p.proargtypes[0] WHERE p.oid" GE OWN
				       " OR (" NOT_SYSTEM("n") ") GROUP BY n.nspname, p.proname",
			4},
	[CATALOG_OPERATORS] = {"SELECT DISTINCT n.nspname, o.oprname, m.nspname, p.proname FROM " P
			       "pg_operator AS o JOIN " P "pg_namespace AS n ON n.oid" EQ
			       "o.oprnamespace JOIN " P "pg_proc AS p ON p.oid" EQ "o.oprcode::" P
			       "oid JOIN " P "pg_namespace AS m ON "
			       "m.oid" EQ "p.pronamespace WHERE (o.oid" GE OWN " OR p.oid" GE OWN
			       ") AND NOT " TRUSTED("p"),
		4},
	[CATALOG_CASTS] = {"SELECT DISTINCT n.nspname, t.typname, m.nspname, p.proname FROM " P
			   "pg_cast AS k JOIN " P "pg_type AS t ON t.oid" EQ "k.casttarget JOIN " P
			   "pg_namespace AS n ON n.oid" EQ "t.typnamespace JOIN " P
			   "pg_proc AS p ON p.oid" EQ "k.castfunc JOIN " P
			   "pg_namespace AS m ON m.oid" EQ "p.pronamespace WHERE p.oid" GE OWN
			   " AND NOT " TRUSTED("p"),
		4},
	[CATALOG_TYPES] = {"SELECT t.oid, t.typbasetype, t.typtypmod, " FLAG(
				   "t.typcategory" EQ "'S'::" P
				   "\"char\"") " FROM " P "pg_type AS t WHERE t.oid" GE "0::" P
					       "oid AND (t.typtype" EQ "'d'::" P
					       "\"char\" OR (t.oid" GE OWN " AND t.typcategory" EQ
					       "'S'::" P "\"char\"))",
		4},
	/* Those of temporary schemas too. */
	[CATALOG_TEXT_NAMES] = {"SELECT n.nspname, t.typname FROM " P "pg_type AS t JOIN " P
				"pg_namespace AS n ON n.oid" EQ "t.typnamespace WHERE t.typname" EQ
				"ANY (ARRAY['text', 'varchar', 'bpchar', 'char', 'name']::" P
				"name[]) AND t.oid" GE OWN,
		2},
};
const size_t sql_catalog_query_count = ARRAY_SIZE(sql_catalog_queries);

const struct sql_catalog_query sql_temporary_queries[] = {
	[CATALOG_RELATIONS] = {"SELECT c.oid, 'pg_temp', c.relname, c.relkind, c.relnatts FROM " P
			       "pg_class AS c WHERE c.relnamespace" EQ P "pg_my_temp_schema()",
		5},
	[CATALOG_COLUMNS] =
		{"SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod FROM " P
		 "pg_attribute AS a JOIN " P "pg_class AS c ON c.oid" EQ
		 "a.attrelid WHERE a.attnum" GT "0::" P
		 "int2 AND NOT a.attisdropped AND c.relkind" ANY_OF(
			 COLUMN_KINDS) " AND c.relnamespace" EQ P
				       "pg_my_temp_schema() ORDER BY a.attrelid, a.attnum",
			5},
};
const size_t sql_temporary_query_count = ARRAY_SIZE(sql_temporary_queries);
