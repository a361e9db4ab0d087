# SPDX-License-Identifier: Apache-2.0
"""Random statements over schema.sql, from a seed. They mostly run; what they do to masked columns is
left to chance."""

TABLES = {
    "customers": {"id": "int", "name": "text", "ssn": "secret", "salary": "number", "note": "text"},
    "orders": {"id": "int", "customer_id": "int", "state": "text", "ssn": "text"},
    "sink": {"id": "int", "a": "text", "b": "text", "c": "int"},
    "customer_view": {"number": "int", "name": "text", "secret": "secret", "loud": "secret",
        "big": "text", "top": "number"},
    "nested_view": {"number": "int", "deeper": "secret", "big": "text"},
    "union_view": {"id": "int", "x": "secret"},
    "stored_view": {"id": "int", "kept": "secret", "name": "text"},
    "made": {"id": "int", "ssn": "secret", "tail": "secret"},
    "part": {"id": "int", "ssn": "secret", "place": "text"},
    "part_north": {"id": "int", "ssn": "secret", "place": "text"},
    "parent": {"id": "int", "kept": "secret"},
    "child": {"id": "int", "kept": "secret", "ssn": "text"},
    "code_view": {"id": "int", "fetched": "secret", "name": "text"},
    "typed": {"id": "int", "word": "secret", "number": "number", "code": "secret", "plain": "text"},
    "typed_view": {"id": "int", "street": "secret", "first_word": "secret", "plain": "text"},
    "aggregate_view": {"n": "int", "top": "secret"},
    "window_view": {"id": "int", "before": "secret"},
    "recursive_view": {"n": "int", "ssn": "secret"},
    "values_view": {"a": "int", "b": "secret"},
    "lateral_view": {"id": "int", "x": "secret"},
    "star_view": {"id": "int", "name": "text", "ssn": "secret", "salary": "number", "state": "text"},
}
# {t}: an alias of the table.
ODD = {
    "customers": ["{t}.doc->>'k'", "({t}.doc->'k')::text", "{t}.doc::text", "({t}).ssn", "({t}).name", "{t}.tags[1]",
        "to_jsonb({t})->>'ssn'", "to_jsonb({t})->>'name'", "row({t}.*)::text", "({t}.ssn, {t}.name)::text",
        "(select x.ssn from (select ({t}).*) as x)", "json_build_object('a', {t}.ssn)::text", "{t}.shown", "shown({t})",
        "xmlforest({t}.ssn as a)::text", "xmlelement(name a, {t}.ssn)::text", "{t}.ssn::varchar::text",
        "(jsonb_build_object('x', {t}.doc)->'x'->>'k')", "array_to_string(array[{t}.ssn, {t}.name], ',')",
        "(array_append({t}.tags, {t}.ssn))[1]", "({t}.tags || {t}.ssn)::text", "nullif({t}.ssn, {t}.name)",
        "greatest({t}.ssn, {t}.name)", "split_part({t}.ssn, '-', 1)", "translate({t}.ssn, 'abc', 'xyz')",
        "regexp_replace({t}.ssn, '[0-9]', '#')", "concat_ws(',', {t}.*)", "format('%s', {t}.name)", "num_nulls({t}.ssn)::text",
        "{t}.ssn::json::text", "{t}.salary::text", "{t}.xmin::text", "{t}.tableoid::regclass::text", "pg_typeof({t}.ssn)::text"],
    "typed": ["({t}.home).street", "({t}.home).town", "{t}.words[1]", "{t}.words[1:1]::text", "{t}.words::text",
        "array_to_string({t}.words, '-')", "{t}.born::text", "{t}.raw::text", "encode({t}.raw, 'hex')", "{t}.home::text",
        "({t}).word", "({t}).home::text", "(({t}).home).street", "array_length({t}.words, 1)::text", "cardinality({t}.words)::text",
        "to_char({t}.born, 'YYYY')", "extract(year from {t}.born)::text", "({t}.born - date '2000-01-01')::text", "{t}.code || 'x'",
        "quote_literal({t}.code)", "{t}.word <> {t}.plain and true || ''", "to_json({t}.words)->>0", "to_json({t}.home)->>'street'"],
    "typed_view": ["({t}.whole).word", "({t}.whole)::text", "(({t}.whole).home).town", "to_json({t}.whole)::text"],
}
TEXT, NUMBER = ("text", "secret"), ("int", "number")


class Generator:
    """Statements from a random.Random."""

    def __init__(self, random):
        self.random = random
        self.serial = 0

    def chance(self, probability):
        return self.random.random() < probability

    def name(self, letter):
        self.serial += 1
        return f"{letter}{self.serial}"

    def pick(self, scope, kinds, secrets):
        """A column of one of the kinds, or None; without `secrets` mostly one that is not masked."""
        found = [(alias, column, kind) for alias, columns in scope for column, kind in columns.items()
            if kind in kinds]
        plain = [one for one in found if one[2] in ("text", "int")]
        if not secrets and plain and not self.chance(0.04):
            found = plain
        if not found:
            return None
        alias, column, kind = self.random.choice(found)
        unique = sum(column in columns for _, columns in scope) == 1
        return (column if unique and self.chance(0.4) else f"{alias}.{column}"), kind

    # Each returns (text, kind): "secret" and "number" where something masked may be in it.

    def text(self, scope, depth, secrets=True):
        choice = self.random.randrange(17)
        column = self.pick(scope, TEXT, secrets)
        if choice == 15 and secrets and depth > 0:
            odd = [(alias, form) for alias, columns in scope for table, forms in ODD.items()
                if columns == TABLES[table] for form in forms]
            if odd:
                alias, form = self.random.choice(odd)
                return form.format(t=alias), "secret"
        if choice == 16 and depth > 0 and column:
            return self.random.choice(["({})::date::text", "({})::int::text", "({})::name", "left({}, 1)",
                "string_to_array({}, '-')::text", "to_json({})::text", "quote_nullable({})", "rpad({}, 30)"]).format(
                    column[0]), column[1]
        if column and (choice < 5 or depth <= 0):
            return column
        if depth <= 0 or choice == 5:
            return self.random.choice(["'x'", "'open'", "'Ann'", "''"]), "text"
        one, kind = self.text(scope, depth - 1, secrets)
        if choice == 6:
            return self.random.choice(["upper({})", "lower({})", "left({}, 2)", "substr({}, 2, 3)",
                "reverse({})", "trim({})", "md5({})", "quote_literal({})", "initcap({})",
                "replace({}, 'a', 'b')", "lpad({}, 12, '.')"]).format(one), kind
        if choice == 7:
            two, other = self.text(scope, depth - 1, secrets)
            return f"{one} || {two}", max(kind, other, key=TEXT.index)
        if choice == 8:
            two, other = self.text(scope, depth - 1, secrets)
            return f"coalesce({one}, {two})", max(kind, other, key=TEXT.index)
        if choice == 9:
            condition = self.condition(scope, depth - 1)
            two, other = self.text(scope, depth - 1, secrets)
            return f"CASE WHEN {condition} THEN {one} ELSE {two} END", max(
                kind, other, key=TEXT.index)
        if choice == 10:
            number, inner = self.number(scope, depth - 1, secrets)
            return f"({number})::text", "secret" if inner == "number" else "text"
        if choice == 11 and depth > 1:
            query, columns = self.query(depth - 2, scope, only="text")
            return f"({query} LIMIT 1)", next(iter(columns.values()))
        if choice == 12 and scope and scope[0][0]:
            return self.random.choice(["to_jsonb({})->>'name'", "row_to_json({})::text", "{}::text",
                "concat({}, 'x')"]).format(scope[0][0]), "secret"
        if choice == 13:
            return self.random.choice(["({})::varchar(5)", "({})::text", "({}) COLLATE \"C\"",
                "(ARRAY[{}])[1]", "concat_ws('-', {}, 'y')"]).format(one), kind
        return f"get_ssn({self.random.randrange(1, 5)})" if choice == 14 and self.chance(0.2) \
            else one, "secret" if choice == 14 else kind

    def number(self, scope, depth, secrets=True):
        choice = self.random.randrange(10)
        column = self.pick(scope, NUMBER, secrets)
        if column and (choice < 4 or depth <= 0):
            return column
        if depth <= 0 or choice == 4:
            return str(self.random.randrange(5)), "int"
        if choice == 5:
            one, kind = self.text(scope, depth - 1, secrets)
            return f"length({one})", "number" if kind == "secret" else "int"
        if choice == 6:
            one, kind = self.number(scope, depth - 1, secrets=False)
            return f"{one} + 1", kind
        if choice == 7 and depth > 1:
            query, columns = self.query(depth - 2, scope, only="int")
            return f"({query} LIMIT 1)", next(iter(columns.values()))
        if choice == 8:
            condition = self.condition(scope, depth - 1)
            one, kind = self.number(scope, depth - 1, secrets)
            return f"CASE WHEN {condition} THEN {one} END", kind
        one, kind = self.number(scope, depth - 1, secrets)
        return f"coalesce({one}, 0)", kind

    def condition(self, scope, depth):
        choice = self.random.randrange(11)
        # Now and then what is masked decides: that must be refused.
        secrets = self.chance(0.03)
        if choice == 9:
            one = self.text(scope, 1, secrets)[0]
            return self.random.choice(["{} = ANY (ARRAY['x', 'Ann'])", "{} IN ('open', 'one')", "{} BETWEEN 'a' AND 'n'",
                "{} ~ '^[a-m]'", "{} IS DISTINCT FROM 'Bob'", "({}, 1) < ('m', 2)", "starts_with({}, 'A')", "{} SIMILAR TO 'A%'",
                "length({}) > 3", "({} COLLATE \"C\") > 'M'", "{} IS NULL", "coalesce({}, '') <> ''"]).format(one)
        if choice == 10 and depth > 0:
            query, _ = self.query(depth - 1, scope, only="text")
            return f"{self.text(scope, 0, secrets)[0]} {self.random.choice(['= ANY', '<> ALL', 'NOT IN', '>= ALL'])} ({query})"
        if choice < 3 or depth <= 0:
            one, two = self.number(scope, depth - 1, False)[0], self.number(scope, 0, False)[0]
            return f"{one} {self.random.choice(['=', '<', '>', '<>', '>='])} {two}"
        if choice == 3:
            one, two = self.text(scope, depth - 1, False)[0], self.text(scope, 0, False)[0]
            return f"{one} {self.random.choice(['=', '<', 'LIKE', '<>'])} {two}"
        if choice == 4:
            return f"({self.condition(scope, depth - 1)} {self.random.choice(['AND', 'OR'])} " \
                f"{self.condition(scope, depth - 1)})"
        if choice == 5:
            return f"{self.text(scope, depth - 1, False)[0]} IS NOT NULL"
        if choice == 6:
            return f"EXISTS ({self.query(depth - 1, scope)[0]})"
        if choice == 7:
            query, _ = self.query(depth - 1, scope, only="int")
            return f"{self.number(scope, 0, False)[0]} IN ({query})"
        return f"NOT ({self.condition(scope, depth - 1)})"

    def item(self, scope, depth, outer, ctes):
        """One FROM item; adds to the scope."""
        alias = self.name("t")
        choice = self.random.randrange(10)
        if ctes and choice < 3:
            cte, columns = self.random.choice(ctes)
            scope.append((alias, columns))
            return f"{cte} AS {alias}"
        if choice == 3 and depth > 0:
            query, columns = self.query(depth - 1, outer)
            scope.append((alias, columns))
            return f"({query}) AS {alias}"
        if choice == 4 and depth > 0 and scope:
            query, columns = self.query(depth - 1, scope + outer)
            scope.append((alias, columns))
            return f"LATERAL ({query}) AS {alias}"
        if choice == 5:
            scope.append((alias, {"g": "int"}))
            return f"generate_series(1, 3) AS {alias}(g)"
        table = self.random.choice(list(TABLES))
        columns = dict(TABLES[table])
        if self.chance(0.15):
            renamed = {self.name("c"): kind for kind in columns.values()}
            if table not in ("customers", "orders", "child", "part"):
                scope.append((alias, renamed))
                return f"{table} AS {alias}({', '.join(renamed)})"
        scope.append((alias, columns))
        return f"{table} AS {alias}"

    def source(self, scope, depth, outer, ctes):
        text = self.item(scope, depth, outer, ctes)
        for _ in range(self.random.choice([0, 0, 1, 1, 2])):
            before = list(scope)
            item = self.item(scope, depth, outer, ctes)
            if self.chance(0.4):
                text += f", {item}"
                continue
            shared = set(before[-1][1]) & set(scope[-1][1]) & {"id"}
            if shared and len(before) == 1 and self.chance(0.3):
                text += f" JOIN {item} USING (id)"
            elif self.chance(0.15):
                text += f" CROSS JOIN {item}"
            else:
                # What stands in front of a comma can't be seen in ON.
                text += f" {self.random.choice(['JOIN', 'LEFT JOIN'])} {item} ON " + \
                    self.condition(scope[-1:], 1)
        return text

    def targets(self, scope, depth, only):
        if only:
            kind = NUMBER if only == "int" else TEXT
            text, found = (self.number if kind == NUMBER else self.text)(scope, depth)
            return text, {self.name("c"): found}
        if self.chance(0.12):
            return "*", None
        if self.chance(0.1) and scope:
            return f"{scope[0][0]}.*", dict(scope[0][1])
        texts, columns = [], {}
        for _ in range(self.random.randrange(1, 4)):
            text, kind = (self.text if self.chance(0.65) else self.number)(scope, depth)
            name = self.name("c")
            columns[name] = kind
            texts.append(f"{text} AS {name}")
        return ", ".join(texts), columns

    def aggregates(self, scope):
        texts, columns = [], {}
        for _ in range(self.random.randrange(1, 3)):
            text, kind = self.text(scope, 1)
            number, other = self.number(scope, 1)
            name = self.name("c")
            form, result = self.random.choice([("count(*)", "int"), ("max({0})", kind),
                ("min({1})", other), ("string_agg({0}, ',')", kind), ("json_agg({0})::text", kind),
                ("count(*) FILTER (WHERE " + self.condition(scope, 1) + ")", "int"),
                ("sum({1})", other), ("array_agg({0})::text", kind)])
            columns[name] = result
            texts.append(f"{form.format(text, number)} AS {name}")
        return ", ".join(texts), columns

    def windows(self, scope):
        text, kind = self.text(scope, 1)
        order, part = self.number(scope, 0, False)[0], self.text(scope, 0, False)[0]
        name = self.name("c")
        form, result = self.random.choice([("row_number()", "int"), (f"lag({text})", kind),
            (f"first_value({text})", kind), ("count(*)", "int")])
        over = self.random.choice([f"ORDER BY {order}", f"PARTITION BY {part}",
            f"PARTITION BY {part} ORDER BY {order}"])
        return f"{form} OVER ({over}) AS {name}", {name: result}

    def query(self, depth, outer=(), only=None, ctes=()):
        """(text, columns): a SELECT with whatever it may have."""
        outer, scope, prefix = list(outer), [], ""
        ctes = list(ctes)
        if not only and depth > 1 and self.chance(0.2):
            inner, columns = self.query(depth - 1, outer, ctes=ctes)
            name = self.name("w")
            prefix = f"WITH {name} AS ({inner}) "
            ctes.append((name, columns))
        source = self.source(scope, depth, outer, ctes)
        seen = scope + (outer if self.chance(0.3) else [])
        grouped = False
        if only or not self.chance(0.25):
            text, columns = self.targets(seen, depth, only)
            if columns is None:
                columns = {}
                for _, some in scope:
                    columns.update(some)
        else:
            grouped = self.chance(0.5)
            text, columns = self.aggregates(scope) if grouped else self.windows(scope)
        distinct = "DISTINCT " if self.chance(0.06) else ""
        if not only and not grouped and self.chance(0.03):
            distinct = f"DISTINCT ON ({self.text(scope, 0, False)[0]}) "
        result = f"{prefix}SELECT {distinct}{text} FROM {source}"
        if self.chance(0.5):
            result += f" WHERE {self.condition(seen, depth)}"
        if not only and self.chance(0.1) and depth > 0:
            other, _ = self.query(depth - 1, outer, only="text")
            if self.chance(0.3):
                other = self.recursive()
            if len(columns) == 1 and next(iter(columns.values())) in TEXT:
                kind = self.random.choice(["UNION ALL", "UNION ALL", "UNION", "EXCEPT"])
                name = next(iter(columns))
                return f"{result} {kind} {other}", {name: "secret"}
        if not only and not grouped and self.chance(0.3):
            result += " ORDER BY " + self.random.choice(
                [self.number(scope, 0, False)[0], self.text(scope, 0, False)[0], "1",
                    self.random.choice(list(columns))])
        if not only and self.chance(0.15):
            result += f" LIMIT {self.random.randrange(1, 9)}"
        return result, columns

    def recursive(self):
        """A recursive query of one column of text."""
        name, scope = self.name("r"), []
        source = self.source(scope, 0, [], ())
        first, second = self.text(scope, 1)[0], self.text(scope, 1, False)[0]
        step = self.random.choice(["a || 'x', b", "b, a", "a, upper(a)", "a, b", "b, 'y'"])
        stop = self.random.choice(["n < 3", "n < 3", "n < 3 AND b <> 'q'", "n < 2 AND length(a) < 40"])
        return f"(WITH RECURSIVE {name}(n, a, b) AS (SELECT 1, {first}::text, {second}::text FROM {source} UNION ALL SELECT n + 1," \
            f" {step} FROM {name} WHERE {stop}) SELECT {self.random.choice(['a', 'b'])} FROM {name})"

    def upsert(self):
        scope = [("o", TABLES["orders"])]
        value = self.text(scope + [("customers", TABLES["customers"])], 1, self.chance(0.5))[0].replace("o.", "customers.")
        if self.chance(0.5):
            action = self.random.choice(["DO NOTHING", f"(id) DO UPDATE SET note = {value}",
                "(id) DO UPDATE SET note = excluded.ssn WHERE customers.id < 3", "(id) DO UPDATE SET ssn = 'x'"])
            return f"INSERT INTO customers (id, name, ssn) SELECT id, state, 'mine' FROM orders ON CONFLICT {action}" + \
                self.returning("customers")
        alias = self.name("m")
        condition = self.condition([(alias, TABLES["customers"])], 1)
        text = self.text([(alias, TABLES["customers"])], 1, self.chance(0.4))[0]
        return f"MERGE INTO sink AS s USING customers AS {alias} ON s.id = {alias}.id WHEN NOT MATCHED AND {condition} THEN " \
            f"INSERT (id, a) VALUES ({alias}.id, {text}) WHEN MATCHED THEN UPDATE SET a = {text}"

    def change(self):
        scope = []
        choice = self.random.randrange(6)
        if choice == 5:
            return self.upsert()
        if choice == 0:
            query, columns = self.query(2, only="text")
            return f"INSERT INTO sink (a) {query}" + self.returning("sink")
        if choice == 1:
            self.source(scope, 0, [], ())
            alias = self.name("u")
            scope = [(alias, TABLES["orders"])]
            text, _ = self.text(scope, 2, self.chance(0.5))
            return f"UPDATE orders AS {alias} SET state = {text} WHERE " \
                f"{self.condition(scope, 2)}" + self.returning("orders", alias)
        if choice == 2:
            alias, other = self.name("u"), self.name("u")
            scope = [(alias, TABLES["customers"]), (other, TABLES["orders"])]
            return f"UPDATE customers AS {alias} SET note = {self.text(scope[1:], 1)[0]} FROM orders AS" \
                f" {other} WHERE {self.condition(scope, 1)}" + self.returning("customers", alias)
        if choice == 3:
            alias = self.name("d")
            return f"DELETE FROM customers AS {alias} WHERE " \
                f"{self.condition([(alias, TABLES['customers'])], 2)}" + \
                self.returning("customers", alias)
        inner, name = self.change() if self.chance(0.3) else "UPDATE sink SET a = 'x'", self.name("w")
        query, _ = self.query(2)
        if "RETURNING" not in inner or query.startswith("WITH") or inner.startswith("WITH"):
            return query
        return f"WITH {name} AS ({inner}) SELECT * FROM {name}"

    def returning(self, table, alias=None):
        if self.chance(0.4):
            return ""
        scope = [(alias or table, TABLES[table])]
        texts = [self.text(scope, 1)[0] if self.chance(0.8) else "*" for _ in range(2)]
        return " RETURNING " + ", ".join(texts)

    def steps(self):
        """One statement, asked for in one of the ways there are; as runner.py takes it."""
        text = self.statement()
        way = self.random.randrange(12)
        query = text.startswith(("SELECT", "WITH"))
        if way < 5:
            return [["Q", text]]
        if way < 9:
            binary = [1] if way == 8 else []
            describe = [["D", "P", ""]] if way == 6 else []
            return [[["P", "", text], ["B", "", "", [], [], binary], *describe, ["E", ""], ["S"]]]
        if way == 9 and query:
            return [["Q", f"DECLARE c NO SCROLL CURSOR FOR {text}"], ["Q", "FETCH 2 FROM c"], ["Q", "FETCH ALL FROM c"]]
        if way == 10:
            form = self.random.choice(["", " WITH (FORMAT csv, HEADER)", " WITH (FORMAT binary)"])
            return [["Q", f"COPY ({text}) TO STDOUT{form}"]]
        if query:
            return [["Q", f"PREPARE p AS {text}"], ["Q", "EXECUTE p"]]
        return [["Q", text]]

    def statement(self):
        """One statement."""
        if self.chance(0.15):
            return self.change()
        text, _ = self.query(self.random.randrange(1, 4))
        if self.chance(0.04):
            return f"EXPLAIN (VERBOSE, COSTS OFF) {text}"
        return text
