# SPDX-License-Identifier: Apache-2.0
"""Random statements over queries.sql, and the ways in which a client asks for them: steps as runner.py takes them."""
from queries import Item, Queries
from tables import COLUMNS, UNIQUE, WRITTEN

COPY = ["", " WITH (FORMAT csv, HEADER)", " WITH (FORMAT csv, FORCE_QUOTE *)", " WITH (FORMAT binary)", " WITH (NULL 'none', DELIMITER '|')"]
MERGED = {"loose": ("b", "int"), "item": ("amount", "int"), "thing": ("label", "text"), "person": ("note", "text")}


class Commands(Queries):
    def statement(self):
        """SELECT or what changes rows, without what says how it is asked for. The kind, and the text."""
        choice = self.random.randrange(20)
        if choice < 14:
            return "select", self.query(self.random.randrange(1, 4))[0]
        change = self.choice(self.insert, self.update, self.update, self.delete, self.merge, self.in_with)
        return "change", change()

    # --- changes

    def target_of(self, *among):
        """A table that is written to, its alias, and what of it may be read."""
        table = self.random.choice(among or list(WRITTEN))
        alias = self.name("u")
        return table, alias, Item(alias, COLUMNS[table])

    def written(self, kind, scope):
        """A value for a column that is not masked: what is masked may not be stored there."""
        return self.deciding(self.plain_expression, kind, scope)

    def plain_expression(self, kind, scope):
        before, self.in_condition = self.in_condition, True
        text = self.expression(kind, scope, 2)
        self.in_condition = before
        return text

    def insert(self):
        table = self.random.choice(list(WRITTEN))
        names = WRITTEN[table]
        kinds = [next(c.kind for c in COLUMNS[table] if c.name == name) for name in names]
        if self.chance(0.4):
            rows = [", ".join([str(500 + i), *(self.written(kind, []) for kind in kinds[1:])]) for i in range(self.random.randrange(1, 3))]
            text = f"VALUES {', '.join(f'({row})' for row in rows)}"
        else:
            text = self.deciding(self.select, 1, [], kinds, True)[0]
        override = self.choice("", "", "", " OVERRIDING USER VALUE")
        text = f"INSERT INTO {table} AS u ({', '.join(names)}){override} {text}"
        if table in UNIQUE and self.chance(0.5):
            key, item = UNIQUE[table], Item("u", COLUMNS[table])
            excluded = Item("excluded", COLUMNS[table])
            text += self.choice(" ON CONFLICT DO NOTHING", f" ON CONFLICT ({key}) DO NOTHING", f" ON CONFLICT ({key}) DO UPDATE SET {names[1]} = "
                                f"{self.written(kinds[1], [item, excluded])} WHERE {self.condition([item, excluded], 1)}")
        return text + self.returning([Item("u", COLUMNS[table])])

    def set_clause(self, table, scope):
        column = self.random.choice([c for c in COLUMNS[table] if c.name in WRITTEN[table][1:]])
        value = self.written(column.kind, scope)
        return self.choice(f"{column.name} = {value}", f"({column.name}) = ROW({value})", f"{column.name} = DEFAULT" if table != "person" else f"{column.name} = {value}",
                           f"({column.name}) = (SELECT {value})")

    def update(self):
        table, alias, item = self.target_of()
        scope, source = [item], ""
        if self.chance(0.5):
            source, more = self.source([], 1)
            source, scope = f" FROM {source}", scope + more
        return f"UPDATE {table} AS {alias} SET {self.set_clause(table, scope)}{source} WHERE {self.condition(scope, 2)}{self.returning(scope)}"

    def delete(self):
        table, alias, item = self.target_of("loose", "item", "thing", "event", "plain_view", "other.item")
        scope, source = [item], ""
        if self.chance(0.5):
            source, more = self.source([], 1)
            source, scope = f" USING {source}", scope + more
        return f"DELETE FROM {table} AS {alias}{source} WHERE {self.condition(scope, 2)}{self.returning(scope)}"

    def merge(self):
        table, alias, item = self.target_of(*(name for name in MERGED if name != "person"))
        source, other = self.item([], [], 1)
        while not any(c.kind == "int" for c in other.columns) or source.startswith("LATERAL"):
            source, other = self.item([], [], 1)
        scope, (column, kind) = [item, other], MERGED[table]
        key = f"{other.alias}.{next(c.name for c in other.columns if c.kind == 'int')}"
        arms = [f"WHEN MATCHED AND {self.condition(scope, 1)} THEN " + self.choice("DELETE" if table == "loose" else "DO NOTHING", f"UPDATE SET {column} = {self.written(kind, scope)}",
                                                                                    f"UPDATE SET ({column}) = (SELECT {self.written(kind, scope)})", f"UPDATE SET {column} = DEFAULT"),
                f"WHEN NOT MATCHED AND {self.condition([other], 1)} THEN " +
                self.choice("DO NOTHING", f"INSERT (id) VALUES ({key} + 700)", f"INSERT (id, {column}) OVERRIDING USER VALUE VALUES ({key} + 800, DEFAULT)", f"INSERT (id, {column}) VALUES ({key} + 600, {self.written(kind, [other])})"),
                "WHEN MATCHED THEN DO NOTHING"]
        return f"MERGE INTO {table} AS {alias} USING {source} ON {alias}.id = {key} {' '.join(self.random.sample(arms, 2))}"

    def in_with(self):
        name = self.name("w")
        inner = self.choice(self.insert, self.update, self.delete)()
        if " RETURNING " in inner:
            outer = f"SELECT {name}.* FROM {name}"
            if self.chance(0.4):
                source, scope = self.source([], 1)
                text = self.targets(scope, scope, 1, ["text", "int"])[0]
                outer = f"SELECT {text} FROM {name}, {source}"
        else:
            outer = self.query(1)[0]
            outer = "SELECT 1" if outer.startswith("WITH") else outer
        return f"WITH {name} AS ({inner}) {outer}"

    def returning(self, scope):
        if self.chance(0.4):
            return ""
        if self.chance(0.2) and not (self.harmless and any(i.row_masked for i in scope)):
            self.touched |= any(i.row_masked for i in scope)
            return " RETURNING *"
        before, self.in_condition = self.in_condition, True
        texts = self.targets(scope[:1], scope, 1, ["text", "int", self.choice("text", "jsonb", "texts")])[0]
        self.in_condition = before
        return f" RETURNING {texts}"

    # --- ways

    def steps(self):
        """How it is asked for, the statement itself, and the steps."""
        kind, text = self.statement()
        ways = [self.plainly, self.plainly, self.extended, self.extended, self.prepared, self.copied, self.explained, self.twice]
        if kind == "select":
            ways += [self.cursor, self.cursor, self.kept, self.shown, self.declared]
        way = self.random.choice(ways)
        return way.__name__, text, way(text)

    def plainly(self, text):
        return [["Q", text]]

    def twice(self, text):
        return [["Q", f"SELECT 1; {text}; SELECT 'x'"]]

    def extended(self, text):
        results = self.choice([], [0], [1], [1])
        describe = self.choice([], [], [["D", "P", ""]], [["D", "S", "s"]])
        most = self.choice(0, 0, 2)
        runs = [["E", "", most]] * (3 if most else 1)
        return [[["P", "s", text], ["B", "", "s", [], [], results], *describe, *runs, ["C", "S", "s"], ["S"]]]

    def prepared(self, text):
        return [["Q", f"PREPARE p AS {text}"], ["Q", "EXECUTE p"], ["Q", "EXECUTE p"]]

    def copied(self, text):
        return [["Q", f"COPY ({text}) TO STDOUT{self.random.choice(COPY)}"]]

    def explained(self, text):
        return [["Q", f"EXPLAIN ({self.choice('COSTS OFF', 'VERBOSE, COSTS OFF', 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF')}) {text}"]]

    def cursor(self, text):
        options = self.choice("", "SCROLL ", "NO SCROLL ", "BINARY ", "INSENSITIVE ")
        hold = self.choice("", "", " WITH HOLD")
        fetches = [self.choice("FETCH 2 FROM c", "FETCH NEXT c", "MOVE 1 IN c", "FETCH ALL c") for _ in range(2)]
        return [["Q", f"DECLARE c {options}CURSOR{hold} FOR {text}"], *(["Q", f] for f in fetches), ["Q", "FETCH FORWARD 1 FROM c"]]

    def declared(self, text):
        """By the protocol's messages, as a portal."""
        return [[["P", "", f"DECLARE c CURSOR FOR {text}"], ["B", "", ""], ["E", ""], ["S"]], [["D", "P", "c"], ["E", "c", 2], ["S"]]]

    def kept(self, text):
        """Stored for the session's own use, and read again."""
        make = self.choice("CREATE TEMP TABLE kept AS ", "CREATE TEMP VIEW kept AS ", "CREATE TEMP TABLE kept ON COMMIT DROP AS ", "CREATE TEMP TABLE kept AS WITH q AS NOT MATERIALIZED (")
        made = make + text + (") SELECT * FROM q WITH DATA" if make.endswith("(") else "")
        return [["Q", made], ["Q", "SELECT * FROM kept"], ["Q", "SELECT count(*) FROM kept AS k"]]

    def shown(self, text):
        """In another query around it."""
        return [["Q", self.choice(f"SELECT q.* FROM ({text}) AS q", f"SELECT count(*) FROM ({text}) AS q", f"WITH q AS ({text}) TABLE q", f"SELECT EXISTS ({text})",
                                  f"SELECT * FROM ({text}) AS q OFFSET 1", f"SELECT ARRAY(SELECT 1 FROM ({text}) AS q)", f"SELECT row_to_json(q) FROM ({text}) AS q" if not self.harmless else
                                  f"SELECT FROM ({text}) AS q")]]


