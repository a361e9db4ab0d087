# SPDX-License-Identifier: Apache-2.0
"""Forms of expressions by the kind of their value. {KIND} is another one of that kind, {n} a small number, {row} the row of
something in FROM, {query_KIND} a query of one column, {any_query} one of any, {wild} a name that something further in or out may have."""
EXPRESSIONS = {
    "text": [
        "upper({text})", "lower({text})", "initcap({text})", "reverse({text})", "md5({text})", "trim({text})", "btrim({text}, 'z')",
        "left({text}, {n})", "right({text}, {n})", "substr({text}, {n})", "substring({text} from {n} for 3)", "substring({text} from '[a-z]+')",
        "overlay({text} placing 'yy' from 2)", "replace({text}, 'a', 'b')", "translate({text}, 'abc', 'xyz')", "repeat({text}, 2)",
        "lpad({text}, 14, '.')", "rpad({text}, 3)", "split_part({text}, ' ', 1)", "regexp_replace({text}, '[0-9]', '#', 'g')",
        "concat({text}, {int}, {bool})", "concat_ws('-', {text}, {text})", "format('%s', {text})", "format('%I.%L', {text}, {text})",
        "quote_literal({text})", "quote_ident({text})", "quote_nullable({text})", "{text} || {text}", "{text} || {int}", "{int} || {text}",
        "coalesce({text}, {text})", "coalesce({text}, 'none')", "nullif({text}, {text})", "greatest({text}, {text})", "least({text}, 'm')",
        "CASE WHEN {bool} THEN {text} ELSE {text} END", "CASE {int} WHEN {n} THEN {text} WHEN {int} THEN {text} END",
        "CASE WHEN {bool} THEN {text} END", "{int}::text", "{numeric}::text", "{bool}::text", "{date}::text", "{jsonb}::text", "{texts}::text",
        "{pair}::text", "{mood}::text", "{range}::text", "{text}::varchar(4)", "{text}::char(6)", "CAST({text} AS varchar)", "{text}::name::text",
        "({text})::tag", "{text} COLLATE \"C\"", "({texts})[{n}]", "({texts})[array_lower({texts}, 1)]", "array_to_string({texts}, '+')",
        "({pair}).street", "({pair}).town", "{jsonb}->>'k'", "{jsonb}->>{n}", "{jsonb}#>>'{k,p}'", "({jsonb}->'k')::text", "to_json({text})::text",
        "to_jsonb({row})->>'name'", "to_jsonb({row})::text", "row_to_json({row})::text", "({row})::text", "json_build_array({text}, {int})::text",
        "json_build_object('a', {text})::text", "jsonb_pretty({jsonb})", "jsonb_typeof({jsonb})", "encode(convert_to({text}, 'UTF8'), 'hex')",
        "encode({text}::bytea, 'base64')", "to_hex({int})", "to_char({date}, 'YYYY')", "to_char({int}, '9999')", "to_char({numeric}, 'FM999.0')",
        "{query_text}", "(ARRAY{query_text})[1]", "(SELECT max(q) FROM unnest({texts}) AS q)", "(row({text}, {int})).f1", "ROW({text}, {row})::text",
        "xmlelement(name a, {text})::text", "xmlforest({text} AS b)::text", "chr(65 + abs({int}) % 26)", "string_to_array({text}, 'a')::text",
        "(jsonb_populate_record(NULL::place, {jsonb})).town", "(SELECT v FROM (VALUES ({text}), ({text})) AS vs(v) LIMIT 1)", "pg_typeof({text})::text",
        "(SELECT string_agg(e, ',') FROM jsonb_each_text({jsonb}) AS j(k, e))", "(SELECT s.x FROM (SELECT {text} AS x) AS s)", "starts_with({text}, 'a')::text",
        "current_schema", "(regexp_match({text}, '(.)(.)'))[2]", "normalize({text})", "unistr('x')", "({text} || {text}) || {text}", "sha256({text}::bytea)::text",
        "(array_agg({text}) OVER ())[1]", "min({text}) OVER ()", "chr({int})", "(ARRAY[{text}, {text}])[{n}]",
        "concat({wild})", "({wild})::text", "upper({wild}::text)", "to_json({wild})::text", "(SELECT concat({wild}) FROM {any_query} AS s)", "(SELECT s FROM {any_query} AS s LIMIT 1)::text",
    ],
    "int": [
        "{int} + {int}", "{int} - {n}", "{int} * {n}", "{int} / {n}", "{int} % 7", "-{int}", "abs({int})", "sign({numeric})::int", "length({text})",
        "octet_length({text})", "ascii({text})", "strpos({text}, 'a')", "position('a' in {text})", "coalesce({int}, {int})", "coalesce({int}, 0)",
        "nullif({int}, {n})", "greatest({int}, {int})", "CASE WHEN {bool} THEN {int} ELSE {int} END", "{query_int}", "{bool}::int", "{numeric}::int",
        "round({numeric})::int", "floor({numeric})::int", "cardinality({texts})", "array_length({texts}, 1)", "({pair}).zip", "({jsonb}->>'n')::int",
        "({ints})[{n}]", "extract(year from {date})::int", "date_part('day', {date})::int", "({date} - date '2020-01-01')", "lower({range})", "upper({range})",
        "num_nulls({text}, {int})", "width_bucket({numeric}, 0, 100, 5)", "array_position({texts}, {text})", "{text}::int", "hashtext({text})",
        "(SELECT count(*) FROM unnest({texts}))::int", "(SELECT count(*)::int FROM {any_query} AS c)", "row_number() OVER (ORDER BY {int})::int",
        "{n}", "{int} & {int}", "{int} # {n}", "{int} << 1", "~{int}", "gcd({int}, 12)", "bit_length({text})", "jsonb_array_length('[1]')",
        "(row({int}, {text})).f1", "count(*) OVER ()::int", "(SELECT sum(g) FROM generate_series(1, {n}) AS g)::int",
    ],
    "numeric": ["{numeric} + {int}", "{numeric} * 1.5", "round({numeric}, 1)", "trunc({numeric})", "{int}::numeric", "{numeric} / {n}", "abs({numeric})",
                "coalesce({numeric}, 0)", "CASE WHEN {bool} THEN {numeric} END", "avg({numeric}) OVER ()", "1.5", "{query_numeric}", "mod({numeric}, 7)",
                "power({n}, 2)::numeric", "sqrt(abs({numeric}))", "div({numeric}, {n})", "({numeric})::numeric(10, 1)", "{text}::numeric", "ceil({numeric})"],
    "bool": [
        "{int} = {int}", "{int} < {int}", "{int} >= {n}", "{int} <> {n}", "{text} = {text}", "{text} <> 'x'", "{text} LIKE 'n%'", "{text} ILIKE '%A%'",
        "{text} NOT LIKE '%z%'", "{text} ~ '^[a-m]'", "{text} SIMILAR TO 'a%'", "{text} < {text}", "{text} IS NULL", "{int} IS NOT NULL", "{jsonb} IS NOT NULL",
        "{text} IN ('x', 'name1', {text})", "{int} IN (1, 2, {int})", "{int} NOT IN (3)", "{int} BETWEEN {n} AND {int}", "{int} = ANY ({ints})",
        "{text} = ANY ({texts})", "{text} <> ALL ({texts})", "{int} IN {query_int}", "{text} IN {query_text}", "{int} > ALL {query_int}", "{text} = SOME {query_text}",
        "EXISTS {any_query}", "NOT EXISTS {any_query}", "({bool} AND {bool})", "({bool} OR {bool})", "NOT {bool}", "({bool}) IS TRUE", "({bool}) IS NOT UNKNOWN",
        "({int}, {text}) = ({int}, {text})", "ROW({int}, {text}) < ROW({n}, 'm')", "({int}, {text}) IN (SELECT 1, 'x')", "{texts} @> ARRAY['b']", "{texts} && {texts}",
        "{jsonb} @> '{\"n\": 1}'", "{jsonb} ? 'k'", "{range} @> {int}", "{range} && {range}", "{date} > date '2020-01-05'", "{date} <= {date}", "{numeric} > 5",
        "{text} IS DISTINCT FROM {text}", "{int} IS NOT DISTINCT FROM {int}", "({row}) IS NOT NULL", "{row} IS NULL", "{mood} = 'ok'", "{mood} > 'sad'::mood",
        "starts_with({text}, 'n')", "coalesce({bool}, false)", "{pair} IS NULL", "({pair}).zip > {n}", "true", "{query_bool}", "CASE WHEN {bool} THEN {bool} END",
        "{jsonb}->>'k' = {text}", "({row}) = ({row})", "{text} ~* 'A'", "({date}, {date}) OVERLAPS ({date}, date '2020-01-09')", "{text} IS NOT NULL",
    ],
    "date": ["{date} + {n}", "({date} - interval '1 day')::date", "date '2020-01-03'", "coalesce({date}, date '2020-02-02')", "greatest({date}, {date})",
             "date_trunc('month', {date})::date", "{query_date}", "make_date(2020, 1, {n})", "to_date('2020-01-02', 'YYYY-MM-DD')", "{text}::date"],
    "jsonb": ["to_jsonb({text})", "to_jsonb({int})", "to_jsonb({row})", "jsonb_build_object('k', {text}, 'n', {int})", "jsonb_build_array({text}, {texts})", "{jsonb} || {jsonb}",
              "{jsonb} - 'n'", "{jsonb}->'k'", "{jsonb}->{n}", "{jsonb}#>'{k}'", "jsonb_set({jsonb}, '{k}', to_jsonb({text}))", "jsonb_strip_nulls({jsonb})",
              "jsonb_path_query_first({jsonb}, '$.k')", "'{\"k\": [1, 2]}'::jsonb", "coalesce({jsonb}, '{}')", "{query_jsonb}", "row_to_json({row})::jsonb",
              "to_jsonb({texts})", "to_jsonb({pair})", "jsonb_object({texts}, {texts})", "({jsonb})['k']", "(SELECT jsonb_agg(x) FROM unnest({texts}) AS x)"],
    "texts": ["ARRAY[{text}, {text}]", "{texts} || {text}", "array_append({texts}, {text})", "array_cat({texts}, {texts})", "array_remove({texts}, {text})",
              "({texts})[1:{n}]", "string_to_array({text}, ' ')", "ARRAY{query_text}", "coalesce({texts}, ARRAY['n'])", "ARRAY['a', 'b']", "array_replace({texts}, 'b', {text})",
              "regexp_split_to_array({text}, 'a')", "array_fill({text}, ARRAY[2])", "{texts}::varchar[]::text[]", "array_prepend({text}, {texts})"],
    "ints": ["ARRAY[{int}, {int}]", "{ints} || {int}", "ARRAY{query_int}", "'{1,2}'::int[]", "({ints})[1:2]", "array_append({ints}, {int})"],
    "pair": ["ROW({text}, {text}, {int})::place", "jsonb_populate_record(NULL::place, {jsonb})", "coalesce({pair}, ROW('a', 'b', 1)::place)", "CASE WHEN {bool} THEN {pair} END"],
    "mood": ["'ok'::mood", "coalesce({mood}, 'sad')", "enum_first({mood})"],
    "range": ["int4range({n}, 7)", "{range} * {range}", "'[1,3)'::int4range", "int4range({int}, NULL)"],
}
# Where no more depth is left.
CONDITIONS = ["{int} > 0", "{int} >= {int}", "{text} <> ''", "{text} IS NOT NULL", "{int} < 9", "{int} = {int}", "{text} <> {text}", "{int} IS NOT NULL"]
# Names that tables have, and that the server gives to columns without one.
WILD = ["text", "\"case\"", "coalesce", "\"array\"", "\"row\"", "upper", "max", "concat", "column1", "column2", "\"exists\"", "name", "id", "ssn", "title", "label", "q", "s",
        "\"?column?\"", "lower", "count", "street", "\"current_date\"", "int4", "to_json", "u", "secret", "token", "\"nullif\""]
LITERALS = {"text": ["'x'", "'name3'", "''", "E'a\\'b'", "$$d$$", "NULL::text"], "int": ["0", "1", "3", "7", "NULL::int"], "numeric": ["2.5"], "bool": ["true", "true", "true", "false", "NULL::bool"],
            "date": ["date '2020-01-04'"], "jsonb": ["'{\"k\": \"v\"}'::jsonb"], "texts": ["ARRAY['x', 'y']"], "ints": ["ARRAY[1, 2]"],
            "pair": ["ROW('s', 't', 1)::place"], "mood": ["'fine'::mood"], "range": ["int4range(1, 4)"]}
AGGREGATES = {
    "int": ["count(*)", "count({text})", "count(DISTINCT {int})", "sum({int})", "max({int})", "min({int}) FILTER (WHERE {bool})", "max(length({text}))", "bit_or({int})",
            "count(*) FILTER (WHERE {bool})", "(array_agg({int} ORDER BY {int}))[1]", "count(DISTINCT {text})", "mode() WITHIN GROUP (ORDER BY {int})", "regr_count({int}, {int})"],
    "text": ["max({text})", "min({text})", "string_agg({text}, ',')", "string_agg({text}, ',' ORDER BY {int})", "array_agg({text})::text", "json_agg({text})::text",
             "string_agg(DISTINCT {text}, ',')", "jsonb_object_agg({text}, {int})::text", "json_agg({row})::text", "(array_agg({row}))[1]::text", "array_to_string(array_agg({text}), '')",
             "percentile_disc(0.5) WITHIN GROUP (ORDER BY {text})", "mode() WITHIN GROUP (ORDER BY {text})", "max({text}) FILTER (WHERE {bool})", "xmlagg(xmlelement(name a, {text}))::text"],
    "numeric": ["avg({int})", "sum({numeric})", "max({numeric})", "stddev({int})", "percentile_cont(0.5) WITHIN GROUP (ORDER BY {int})"],
    "bool": ["bool_and({bool})", "every({bool})", "bool_or({bool})"], "jsonb": ["jsonb_agg({text})", "jsonb_agg({row})", "jsonb_object_agg({int}, {text})"],
    "date": ["max({date})"], "texts": ["array_agg({text})", "array_agg(DISTINCT {text})", "array_agg({text} ORDER BY {int} DESC)"],
}
WINDOWS = ["row_number()", "rank()", "dense_rank()", "ntile(2)", "lag({text})", "lead({text}, 1, {text})", "first_value({text})", "last_value({text})", "nth_value({text}, 2)", "sum({int})",
           "count(*)", "max({text})", "array_agg({text})", "string_agg({text}, '')", "percent_rank()", "count(*) FILTER (WHERE {bool})", "jsonb_agg({text})", "lag({int}, {n})", "avg({numeric})"]
FRAMES = ["", "", "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " ROWS UNBOUNDED PRECEDING", " GROUPS 1 PRECEDING", " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE TIES"]
# In FROM: (text, columns behind the alias).
FUNCTIONS = [
    ("generate_series(1, {n})", "g int"), ("unnest({texts})", "u text"), ("jsonb_each_text({jsonb})", "k text, v text"), ("jsonb_array_elements_text('[\"a\"]')", "v text"),
    ("jsonb_to_record({jsonb})", "k text, n int"), ("json_to_recordset('[{\"k\": 1}]')", "k text"),
    ("jsonb_populate_record(NULL::place, {jsonb})", "street text, town text, zip int"), ("string_to_table({text}, ' ')", "w text"), ("regexp_split_to_table({text}, '[aeo]')", "w text"),
    ("regexp_matches({text}, '(.)', 'g')", "m texts"), ("jsonb_populate_recordset(NULL::place, '[{\"zip\": 1, \"town\": \"mine\"}]')", "street text, town text, zip int"), ("coalesce({pair}, ROW('a', 'b', 1)::place)", "street text, town text, zip int"),
    ("upper({text})", "w text"), ("jsonb_object_keys({jsonb})", "k text"), ("ROWS FROM (unnest({texts}), generate_series(1, {n}))", "u text, g int"),
    ("unnest({texts}, {ints})", "u text, i int"), ("jsonb_path_query({jsonb}, '$.*')", "j jsonb"), ("string_to_array({text}, ' ')", "w texts"), ("generate_subscripts({texts}, 1)", "g int"),
    ("XMLTABLE('/a/b' PASSING '<a><b>1</b></a>'::xml COLUMNS x int PATH '.')", "x int"), ("coalesce({text}, 'x')", "w text"),
]
SETS = ["generate_series(1, {n})", "unnest({texts})", "jsonb_object_keys({jsonb})", "unnest(ARRAY[{int}, 2])", "regexp_split_to_table({text}, ' ')", "jsonb_array_elements_text('[\"b\", \"c\"]')"]
