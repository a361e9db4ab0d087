# SPDX-License-Identifier: Apache-2.0
"""Random queries over queries.sql, from a random.Random: the same for the same seed. Kinds of values are kept track of, so
that most of them run; `touched` says whether anything masked was asked for."""
import re

import expressions
from tables import COLUMNS, TABLES, Column, read

HOLE = re.compile(r"\{([a-z_]+)\}")
# Needs no parentheses around it.
CALL = re.compile(r"[a-z_]+\([^()]*\)|\{query_[a-z]+\}|[a-z_]+")
JOINS = ["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]


class Item:
    """Of FROM: its alias and its columns."""

    def __init__(self, alias, columns, row_masked=None):
        self.alias, self.columns = alias, columns
        self.row_masked = any(c.masked for c in columns) if row_masked is None else row_masked


class Queries:
    def __init__(self, random):
        self.random = random
        self.start(True)

    def start(self, masked):
        """Before each statement. `masked`: what is masked may be asked for."""
        self.serial, self.touched, self.masked = 0, False, 0.5 if masked else 0.0
        self.harmless = not masked
        self.decide = 0.04  # how often something masked may decide
        self.ctes = []

    def output(self, taken):
        """What a column of a result is called; now and then as others are, or are by the server."""
        name = self.random.choice(expressions.WILD) if self.chance(0.1) and not self.harmless else None
        return self.name("c") if name is None or any(c.name == name for c in taken) else name

    def chance(self, probability):
        return self.random.random() < probability

    def choice(self, *among):
        return self.random.choice(among)

    def name(self, letter):
        self.serial += 1
        return f"{letter}{self.serial}"

    def deciding(self, make, *arguments):
        """What is made decides rows, order or branches: something masked in it is mostly refused, so there is little of it."""
        before = self.masked
        self.masked = 0.3 if before and self.chance(self.decide) else 0.0
        made = make(*arguments)
        self.masked = before
        return made

    # --- expressions

    def column(self, kind, scope):
        found = [(item, c) for item in scope for c in item.columns if c.kind == kind]
        secret = [one for one in found if one[1].masked]
        plain = [one for one in found if not one[1].masked]
        found = secret if secret and (self.chance(self.masked) or self.masked and not plain) else plain
        if not found:
            return None
        item, column = self.random.choice(found)
        self.touched |= column.masked
        alone = sum(c.name == column.name for i in scope for c in i.columns) == 1
        text = column.name if alone and self.chance(0.4) else f"{item.alias}.{column.name}"
        return f"(({item.alias}).{column.name})" if self.chance(0.04) else text

    def leaf(self, kind, scope):
        if kind == "bool" and scope and not self.chance(0.1):
            found = self.column("bool", scope) if self.chance(0.2) else None
            form = self.random.choice(expressions.CONDITIONS)
            return found or f"({HOLE.sub(lambda hole: self.leaf(hole[1], scope), form)})"
        found = None if self.chance(0.07) else self.column(kind, scope)
        if not found and kind in ("text", "int") and not self.chance(0.2):
            number = self.column("int" if kind == "text" else "numeric", scope)
            found = f"{number}::{kind}" if number else None
        return found or self.random.choice(expressions.LITERALS[kind])

    def expression(self, kind, scope, depth):
        if depth <= 0 or self.chance(0.35):
            return self.leaf(kind, scope)
        forms = expressions.EXPRESSIONS[kind]
        form = self.random.choice(forms)
        if "OVER" in form and (self.in_condition or not scope):
            return self.leaf(kind, scope)
        text = self.fill(form, scope, depth - 1)
        return text if CALL.fullmatch(form) else f"({text})"

    in_condition = False

    def condition(self, scope, depth):
        before, self.in_condition = self.in_condition, True
        text = self.deciding(self.expression, "bool", scope, depth)
        self.in_condition = before
        return text

    def fill(self, form, scope, depth):
        return HOLE.sub(lambda hole: self.hole(hole[1], scope, depth), form)

    def hole(self, word, scope, depth):
        if word == "n":
            return str(self.random.randrange(1, 5))
        if word == "row":
            return self.row(scope)
        if word == "any_query":
            return f"({self.query(max(0, depth - 1), scope)[0]})"
        if word.startswith("query_"):
            return f"({self.one_column(word[6:], scope, depth)})"
        if word == "bool":
            return self.condition(scope, depth)
        if word == "wild":
            self.touched |= not self.harmless
            return "'wild'::text" if self.harmless else self.random.choice(expressions.WILD)
        if word not in expressions.EXPRESSIONS:
            return "{" + word + "}"
        return self.expression(word, scope, depth)

    def row(self, scope):
        rows = [item for item in scope if not item.row_masked or self.masked and self.chance(self.masked)]
        if not rows:
            return "ROW(1, 'x')"
        item = self.random.choice(rows)
        self.touched |= item.row_masked
        return item.alias

    def one_column(self, kind, scope, depth):
        """A subquery that gives one value."""
        before, self.in_condition = self.in_condition, False
        text, _ = self.select(max(0, depth - 1), scope, [kind], False)
        self.in_condition = before
        return f"{text} LIMIT 1"

    # --- FROM

    def columns_as(self, alias, columns):
        """With some of the names given anew."""
        if not self.chance(0.2):
            return f" AS {alias}" if self.chance(0.7) else f" {alias}", columns
        count = self.random.randrange(1, len(columns) + 1)
        columns = [c.renamed(self.name("c")) if i < count else c for i, c in enumerate(columns)]
        return f" AS {alias}({', '.join(c.name for c in columns[:count])})", columns

    def table(self):
        names = list(TABLES)
        name = self.random.choice(names)
        text = f"public.{name}" if "." not in name and self.chance(0.1) else name
        return name, f"ONLY {text}" if name in ("event", "thing", "person") and self.chance(0.1) else text

    def item(self, scope, outer, depth):
        alias, choice = self.name("t"), self.random.randrange(14)
        if self.ctes and choice < 4:
            name, columns = self.random.choice(self.ctes)
            text, columns = self.columns_as(alias, columns)
            return f"{name}{text}", Item(alias, columns)
        if choice == 4 and depth > 0:
            text, columns = self.query(depth - 1, outer)
            given, columns = self.columns_as(alias, columns)
            return f"({text}){given}", Item(alias, columns)
        if choice == 5 and depth > 0:
            text, columns = self.query(depth - 1, scope + outer)
            given, columns = self.columns_as(alias, columns)
            return f"LATERAL ({text}){given}", Item(alias, columns)
        if choice == 6:
            return self.function(alias, scope, depth)
        if choice == 7:
            return self.values(alias, scope if self.chance(0.5) else [], depth)
        name, text = self.table()
        given, columns = self.columns_as(alias, COLUMNS[name])
        sample = " TABLESAMPLE BERNOULLI (100)" if name in ("person", "item", "loose", "stored") and self.chance(0.04) else ""
        # The row of whole_view has the masked one in it.
        return f"{text}{given}{sample}", Item(alias, columns, True if name == "whole_view" else None)

    def function(self, alias, scope, depth):
        form, columns = self.random.choice(expressions.FUNCTIONS)
        columns = read(columns)
        text = self.deciding(self.fill, form, scope, min(depth, 1)) if self.chance(0.8) else self.fill(form, scope, 1)
        names = ", ".join(c.name for c in columns)
        if "record(" in form and "populate" not in form or "to_recordset" in form:
            return f"{text} AS {alias}({', '.join(f'{c.name} {c.kind}' for c in columns)})", Item(alias, columns)
        if self.chance(0.2) and not self.harmless:
            # Some functions' columns are called after it.
            alias = self.random.choice(expressions.WILD)
            return f"{text}{self.choice('', '', ' WITH ORDINALITY')} AS {alias}", Item(alias, [])
        if self.chance(0.2):
            return f"{text} WITH ORDINALITY AS {alias}({names}, o)", Item(alias, columns)
        return f"{text} AS {alias}({names})", Item(alias, columns)

    def values(self, alias, scope, depth):
        kinds = [self.choice("text", "int", "text", "date", "jsonb") for _ in range(self.random.randrange(1, 4))]
        before, self.in_condition = self.in_condition, True
        touched, self.touched = self.touched, False
        rows = [", ".join(self.expression(kind, [], min(1, depth)) for kind in kinds) for _ in range(self.random.randrange(1, 4))]
        columns = [Column(self.name("v"), kind, self.touched) for kind in kinds]
        self.in_condition, self.touched = before, touched or self.touched
        return f"(VALUES {', '.join(f'({row})' for row in rows)}) AS {alias}({', '.join(c.name for c in columns)})", Item(alias, columns)

    def source(self, outer, depth):
        text, item = self.item([], outer, depth)
        scope = [item]
        for _ in range(self.choice(0, 0, 1, 1, 1, 2)):
            other, item = self.item(scope, outer, depth)
            text, scope = self.join(text, scope, other, item, outer)
        return text, scope

    def join(self, text, scope, other, item, outer):
        lateral = other.startswith("LATERAL")
        shared = [c.name for c in item.columns if not c.masked and c.kind in ("int", "text") and
                  sum(d.name == c.name and d.kind == c.kind and not d.masked for i in scope for d in i.columns) == 1 and
                  sum(d.name == c.name for i in scope for d in i.columns) == 1]
        way = self.random.randrange(10)
        if shared and way < 3 and len(scope) == 1:
            name = self.random.choice(shared)
            alias = f" AS {self.name('j')}" if self.chance(0.2) else ""
            return f"{text} {self.random.choice(JOINS[:3 if lateral else 5])} {other} USING ({name}){alias}", self.merged(scope, item, name)
        if way == 3 and len(scope) == 1 and not lateral and shared and self.natural_is_plain(scope[0], item):
            return f"{text} NATURAL {self.random.choice(JOINS)} {other}", scope + [item]
        if way < 6:
            return f"{text}, {other}", scope + [item]
        if way == 6:
            return f"{text} CROSS JOIN {other}", scope + [item]
        kind = self.random.choice(JOINS[:3])
        # What stands in front of a comma can't be seen in ON.
        seen = [item] if "," in text else scope + [item]
        if way == 7 and len(scope) == 1 and not self.clash(scope[0], item):
            alias = self.name("x")
            joined = Item(alias, scope[0].columns + item.columns)
            return f"({text} {kind} {other} ON {self.condition(seen, 1)}) AS {alias}", [joined]
        return f"{text} {kind} {other} ON {self.condition(seen, 1)}", scope + [item]

    def natural_is_plain(self, left, right):
        both = {c.name for c in left.columns} & {c.name for c in right.columns}
        kinds = [{c.kind for c in i.columns if c.name == n} for n in both for i in (left, right)]
        masked = any(c.masked for i in (left, right) for c in i.columns if c.name in both)
        self.touched |= masked and not self.harmless
        return not (masked and self.harmless) and all(len(k) == 1 for k in kinds) and all(
            next(c.kind for c in left.columns if c.name == n) == next(c.kind for c in right.columns if c.name == n) for n in both)

    @staticmethod
    def clash(left, right):
        return {c.name for c in left.columns} & {c.name for c in right.columns}

    @staticmethod
    def merged(scope, item, name):
        """The column of USING is asked for by the left one's alias, or by itself."""
        return scope + [Item(item.alias, [c for c in item.columns if c.name != name] or item.columns[:0], item.row_masked)]

    # --- queries

    def query(self, depth, outer=(), kinds=None):
        """A query and its columns."""
        before, self.in_condition = self.in_condition, False
        ctes = self.ctes
        text, columns = self.any_query(depth, list(outer), kinds)
        self.in_condition, self.ctes = before, ctes
        return text, columns

    def any_query(self, depth, outer, kinds):
        prefix = self.with_clause(depth) if depth > 0 and self.chance(0.25) else ""
        choice = self.random.randrange(12)
        if choice == 0 and depth > 0:
            text, columns = self.set_operation(depth, outer, kinds)
        elif choice == 1 and kinds is None and not prefix and not self.harmless and self.chance(0.4):
            name = self.random.choice(list(TABLES))
            self.touched |= any(c.masked for c in COLUMNS[name]) or name == "whole_view"
            text, columns = f"TABLE {name}", COLUMNS[name]
        else:
            text, columns = self.select(depth, outer, kinds, True)
        return prefix + text, columns

    def with_clause(self, depth):
        parts, recursive = [], False
        for _ in range(self.choice(1, 1, 2)):
            name = "item" if self.chance(0.06) and "item" not in [n for n, _ in self.ctes] else self.name("w")
            if self.chance(0.2) and name != "item":
                text, columns, recursive = *self.recursive(name, depth), True
            else:
                text, columns = self.query(depth - 1)
                text = f"({text})"
            given = ""
            if self.chance(0.3) and not text.endswith(("USING p", "BY n SET o")) and "r.n + 1" not in text:
                columns = [c.renamed(self.name("c")) for c in columns]
                given = f"({', '.join(c.name for c in columns)})"
            parts.append(f"{name}{given} AS {self.choice('', '', 'MATERIALIZED ', 'NOT MATERIALIZED ')}{text}")
            if len({c.name for c in columns}) == len(columns):
                self.ctes = self.ctes + [(name, columns)]
        if recursive or self.chance(0.15):
            # Each sees those behind it, too.
            recursive = True
            self.random.shuffle(parts)
        return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(parts)} "

    def recursive(self, name, depth):
        columns = [Column("n", "int", False), Column("a", "text", False), Column("b", "text", False)]
        touched, self.touched = self.touched, False
        source, scope = self.source([], 0)
        first = f"SELECT 1 AS n, {self.expression('text', scope, 1)}::text AS a, {self.expression('text', scope, 1)}::text AS b FROM {source}"
        step = self.choice("b, a", "a || 'x', b", "a, upper(a)", "a, b", "b, 'y'", "coalesce(a, b), b")
        inner = [Item("r", [c for c in columns])]
        extra = f" AND {self.condition(inner, 1)}" if not self.touched and self.chance(0.3) else ""
        text = f"({first} UNION ALL SELECT r.n + 1, {step} FROM {name} AS r WHERE r.n < 3{extra})"
        tail = self.choice("", "", " SEARCH DEPTH FIRST BY n SET o", " CYCLE n SET y USING p")
        columns = [Column(c.name, c.kind, self.touched and c.kind == "text") for c in columns]
        self.touched = touched or self.touched
        return text + tail, columns

    def set_operation(self, depth, outer, kinds):
        kinds = kinds or [self.choice("int", "text", "text", "date") for _ in range(self.random.randrange(1, 4))]
        word = self.choice("UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL")
        if word == "UNION ALL":
            one, columns = self.select(depth - 1, outer, kinds, False)
            two, others = self.select(depth - 1, outer, kinds, False)
        else:
            one, columns = self.deciding(self.select, depth - 1, outer, kinds, False)
            two, others = self.deciding(self.select, depth - 1, outer, kinds, False)
        columns = [Column(c.name, c.kind, c.masked or d.masked) for c, d in zip(columns, others)]
        text = f"({one}) {word} ({two})" if self.chance(0.5) else f"{one} {word} {two}"
        if self.chance(0.3):
            text += f" ORDER BY {self.order_of(columns)}"
        return text, columns

    def order_of(self, columns):
        """Of what comes out, by position or name."""
        plain = [i for i, c in enumerate(columns) if not c.masked]
        if not plain and not self.chance(0.05):
            return "(SELECT 1)"
        at = self.random.randrange(len(columns)) if not plain or not self.harmless and self.chance(0.03) else self.random.choice(plain)
        return self.choice(str(at + 1), columns[at].name) + self.choice("", " DESC", " NULLS FIRST")

    def select(self, depth, outer, kinds, whole):
        source, scope = self.source(outer, depth)
        seen = scope + [item for item in outer if self.chance(0.4)]
        where = f" WHERE {self.condition(seen, depth)}" if self.chance(0.5) else ""
        way = self.random.randrange(8)
        if way == 0 and depth > 0:
            return self.grouped(source, where, scope, seen, depth, kinds)
        if way == 1 and kinds is None:
            return self.windowed(source, where, scope, depth)
        targets, columns = self.targets(scope, seen, depth, kinds)
        distinct, tail = "", ""
        if self.chance(0.08) and not any(c.masked for c in columns):
            distinct = "DISTINCT "
        elif whole and self.chance(0.08):
            return self.distinct_on(targets, f"{source}{where}", scope), columns
        text = f"SELECT {distinct}{targets} FROM {source}{where}"
        if whole and not distinct and self.chance(0.4):
            keys = [self.order_of(columns), self.condition_key(scope), self.condition_key(scope)]
            tail = " ORDER BY " + ", ".join(self.random.sample(keys, self.choice(1, 1, 2)))
            tail += self.choice("", "", f" LIMIT {self.random.randrange(1, 6)}", " FETCH FIRST 2 ROWS WITH TIES", " OFFSET 1", " OFFSET 1 LIMIT 3")
        elif whole and self.chance(0.1):
            tail = f" LIMIT {self.random.randrange(1, 9)}"
        return text + tail, columns

    def distinct_on(self, targets, source, scope):
        keys = [self.condition_key(scope) for _ in range(self.choice(1, 1, 2))]
        order = ", ".join([*keys, self.condition_key(scope)])
        return f"SELECT DISTINCT ON ({', '.join(keys)}) {targets} FROM {source} ORDER BY {order}" if self.chance(0.7) else \
            f"SELECT DISTINCT ON ({', '.join(keys)}) {targets} FROM {source}"

    def condition_key(self, scope):
        before, self.in_condition = self.in_condition, True
        text = self.deciding(self.expression, self.choice("int", "text", "date"), scope, 1)
        self.in_condition = before
        # A plain number would be a position.
        return f"({text})" if text.startswith("(") else f"({text} IS NULL), {text}" if text[0] not in "'0123456789NE$" else f"coalesce({text})"

    def target(self, kind, scope, depth):
        """An expression, and whether something masked is in it."""
        touched, self.touched = self.touched, False
        text = self.expression(kind, scope, depth)
        masked, self.touched = self.touched, touched or self.touched
        return text, masked

    def targets(self, scope, seen, depth, kinds):
        if kinds is None and self.chance(0.15):
            item = self.random.choice(scope)
            if not (item.row_masked and self.harmless) and item.columns:
                self.touched |= item.row_masked
                if len(scope) == 1 and self.chance(0.5) and len(item.columns) > 1:
                    return "*", item.columns
                return f"{item.alias}.*", item.columns
        if kinds is None and self.chance(0.05) and any(not (i.row_masked and self.harmless) for i in scope):
            item = self.random.choice([i for i in scope if not (i.row_masked and self.harmless)])
            self.touched |= item.row_masked
            return f"{item.alias} AS whole", [Column("whole", "whole", item.row_masked)]
        wanted = kinds or [self.choice("text", "text", "text", "int", "int", "numeric", "bool", "date", "jsonb", "texts", "ints", "pair", "mood", "range", "span")
                           for _ in range(self.random.randrange(1, 5))]
        texts, columns = [], []
        for kind in wanted:
            text, masked = self.target(kind, seen, depth)
            name = self.output(columns)
            texts.append(text if self.chance(0.06) and not self.harmless else f"{text} AS {name}")
            columns.append(Column(name, kind, masked))
        if kinds is None and self.chance(0.05):
            name = self.name("c")
            texts.append(f"{self.deciding(self.fill, self.random.choice(expressions.SETS), scope, 1)} AS {name}")
            columns.append(Column(name, "set", False))
        return ", ".join(texts), columns

    def grouped(self, source, where, scope, seen, depth, kinds):
        keys = [self.deciding(self.leaf_column, scope) for _ in range(self.choice(0, 1, 1, 2))]
        keys = [k for k in keys if k]
        wanted = kinds or [self.choice(*expressions.AGGREGATES) for _ in range(self.choice(1, 2))]
        texts, columns = [], []
        for kind in wanted:
            if kind not in expressions.AGGREGATES:
                texts.append(self.random.choice(expressions.LITERALS[kind]) + f" AS {self.name('c')}")
                columns.append(Column(f"c{self.serial}", kind, False))
                continue
            before, self.in_condition = self.in_condition, True
            touched, self.touched = self.touched, False
            text = self.fill(self.random.choice(expressions.AGGREGATES[kind]), scope, 1)
            masked, self.touched, self.in_condition = self.touched, touched or self.touched, before
            name = self.name("c")
            texts.append(f"{text} AS {name}")
            columns.append(Column(name, kind, masked))
        if kinds is None:
            for key, kind in keys:
                name = self.name("c")
                texts.append(f"{key} AS {name}")
                columns.append(Column(name, kind, False))
        text = f"SELECT {', '.join(texts)} FROM {source}{where}"
        if keys:
            listed = ", ".join(key for key, _ in keys)
            text += " GROUP BY " + self.choice(listed, listed, f"ROLLUP ({listed})", f"CUBE ({listed})", f"GROUPING SETS (({listed}), ())", f"DISTINCT {listed}",
                                                f"GROUPING SETS (({listed}), ROLLUP ({listed}), GROUPING SETS (()))", f"ROLLUP ({listed}), CUBE ({listed})",
                                                f"DISTINCT ROLLUP ({listed}), GROUPING SETS (({listed}), ())")
            if self.chance(0.2):
                text = text.replace("SELECT ", f"SELECT GROUPING({listed}) AS {self.name('c')}, ", 1)
                columns.insert(0, Column(f"c{self.serial}", "int", False))
        if self.chance(0.2):
            text += " HAVING count(*) > " + str(self.random.randrange(3))
        return text, columns

    def leaf_column(self, scope):
        kind = self.choice("int", "text", "text", "bool", "date")
        found = self.column(kind, scope)
        return (found, kind) if found else None

    def windowed(self, source, where, scope, depth):
        texts, columns, windows = [], [], []
        for _ in range(self.choice(1, 2)):
            touched, self.touched = self.touched, False
            before, self.in_condition = self.in_condition, True
            call = self.fill(self.random.choice(expressions.WINDOWS), scope, 1)
            part = f"PARTITION BY {self.deciding(self.expression, 'text', scope, 1)} " if self.chance(0.4) else ""
            order = f"ORDER BY {self.deciding(self.expression, 'int', scope, 1)}" if self.chance(0.8) else ""
            frame = self.fill(self.random.choice(expressions.FRAMES), [], 0) if order else ""
            masked, self.touched, self.in_condition = self.touched, touched or self.touched, before
            name = self.name("c")
            named = self.name("o") if self.chance(0.3) else None
            if named:
                # A part of it stands with the others' names.
                windows.append(f"{named} AS ({part}{'' if frame else order})")
                texts.append(f"{call} OVER ({named} {order}{frame}) AS {name}" if frame else f"{call} OVER {named} AS {name}")
            else:
                texts.append(f"{call} OVER ({part}{order}{frame}) AS {name}")
            columns.append(Column(name, "window", masked))
        tail = f" WINDOW {', '.join(windows)}" if windows else ""
        return f"SELECT {', '.join(texts)} FROM {source}{where}{tail}", columns
