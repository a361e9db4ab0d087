# SPDX-License-Identifier: Apache-2.0
"""Random sessions: what clients do with statements, portals, cursors, transactions and COPY, and what they do wrong."""

SCHEMA = """
create table a (id int primary key, t text, n numeric(8,2), at timestamp default '2020-01-01', doc jsonb, list int[]);
create table b (id serial primary key, a_id int references a, flag bool not null default true);
create table log (id serial, what text);
create view v as select a.id, upper(t) as shout, flag from a join b on b.a_id = a.id;
create domain small as int check (value < 100);
create type pair as (x int, y text);
create function twice(int) returns int language sql immutable as 'select $1 * 2';
create function fails(int) returns int language plpgsql as $$ begin raise exception 'failed on %', $1 using errcode = 'P0077',
    detail = 'a detail', hint = 'a hint'; end $$;
create function speaks(text) returns text language plpgsql as $$ begin raise notice 'said %', $1; raise warning 'and'; return $1; end $$;
create function many(int) returns setof pair language sql as 'select i, i::text from generate_series(1, $1) i';
create procedure adds(inout x int) language plpgsql as $$ begin x := x + 1; end $$;
create function logs() returns trigger language plpgsql as $$ begin insert into log (what) values (tg_op); return new; end $$;
create trigger logs before insert or update on b for each row execute function logs();
insert into a select i, 'text ' || i, i * 1.5, '2020-01-01', jsonb_build_object('k', i), array[i, i + 1] from generate_series(1, 30) i;
insert into b (a_id, flag) select i, i % 3 = 0 from generate_series(1, 20) i;
"""
READS = [
    "select * from a order by id limit {n}", "select id, t from a where id = {n}", "select count(*), sum(n) from a",
    "select a.id, b.flag from a left join b on b.a_id = a.id where a.id < {n} order by 1", "select * from v where id = {n} order by 1",
    "select twice({n}), 1 / {n}", "select doc->>'k', list[1], (list)[1:2] from a where id <= {n} order by id", "values (1, 'x'), ({n}, null)",
    "select a from a where id = {n}", "select (m).x, m from many({n}) m", "select t, row_number() over (order by id desc) from a where id < {n}",
    "with x as (select id from a where id < {n}) select max(id) from x", "select fails({n})", "select speaks('{n}')",
    "select '{n}'::int + 1, '{n}'::text, date '2020-01-0{n}'", "select 101::small", "select {n}::small, row(1, 'x')::pair",
    "select array_agg(id order by id) from a where id < {n}", "select no_column from a", "select * from no_table", "selec {n}",
    "select 1 where false", "select", "select null", "table b", "select id from a where t = {n}", "select 'x' || 1 / (1 - {n} % 2)",
    "select grouping(flag), flag, count(*) from b group by rollup (flag) order by 1, 2", "select e'\\\\x' || chr(8364), U&'\\00e4'",
    "show search_path", "explain (costs off) select * from a where id = {n}", "select current_setting('application_name')",
    "select id from a order by id offset {n} fetch first 2 rows only for update", "select xmlelement(name x, {n})",
    "select jsonb_agg(a) from a where id < 3", "select pg_typeof({n})", "select generate_series(1, {n}), generate_series(1, 2)",
]
WRITES = [
    "insert into a (id, t) values ({m}, 'new') returning id, t", "insert into a (id) values (1)", "update a set t = 'x{n}' where id = {n}",
    "update a set n = n + 1 where id < {n} returning n, id", "delete from b where id = {n}", "delete from a where id = {n}",
    "insert into b (a_id) select id from a where id < {n}", "insert into b (a_id) values (9999)", "truncate log", "insert into b (flag) values (null)",
    "insert into a (id, t) values ({n}, 'again') on conflict (id) do update set t = excluded.t returning xmax = 0",
    "with x as (delete from log returning id) select count(*) from x", "merge into b using a on b.a_id = a.id and a.id = {n} "
    "when matched then update set flag = not flag", "create temp table t{n} (x int)", "drop table t{n}", "insert into t{n} values ({n}) returning *",
    "alter table t{n} add y text", "create table made{m} (x small default 5)", "do $$ begin raise notice 'done'; end $$", "call adds({n})",
    "create table t{n} as select id from a where id < {n}", "select id into temp t{n} from a", "comment on table a is 'c{n}'", "lock a",
    "refresh materialized view v", "select nextval('b_id_seq') > 0", "analyze a", "create index on a (n)", "vacuum a",
]
SESSION = [
    "begin", "begin", "commit", "rollback", "rollback", "savepoint s{n}", "rollback to s{n}", "release s{n}", "begin isolation level serializable",
    "begin read only", "commit and chain", "set search_path to public, pg_temp", "set local work_mem = '1MB'", "set application_name = 'n{n}'",
    "set datestyle = 'German'", "reset datestyle", "set no_setting = 1", "prepare p{n} as select id from a where id = {n}",
    "prepare p{n}(int) as select $1 + {n}", "execute p{n}", "execute p{n}({n})", "deallocate p{n}", "deallocate all", "discard all",
    "declare c{n} cursor for select id, t from a order by id", "declare c{n} scroll cursor with hold for select id from a order by id",
    "fetch {n} from c{n}", "fetch backward 2 from c{n}", "move 2 in c{n}", "close c{n}", "close all", "listen ch", "notify ch, 'x{n}'", "unlisten *",
    "copy a (id, t) to stdout", "copy (select id, n from a where id < {n}) to stdout (format csv, header)", "copy b to stdout (format binary)",
    "", ";", "-- nothing", "set constraints all deferred", "set transaction isolation level repeatable read", "show transaction_isolation",
    "explain execute p{n}", "explain (analyze, costs off, timing off, summary off) execute p{n}", "prepare transaction 'x'",
]
COPIES = [("copy a (id, t) from stdin", ["7{m}\tcopied\n"]), ("copy a (id, t) from stdin", ["x\tbad\n"]),
          ("copy log (what) from stdin (format csv)", ["one\ntw", "o\n", "\"three\nfour\"\n"]), ("copy no_table from stdin", [""]),
          ("copy b (a_id) from stdin; select count(*) from b", ["1\n2\n\\.\n"])]
# It fails behind CopyInResponse and before any data, so whether the server has ignored a Sync by then is up to chance.
COPIES_ALONE = [*COPIES, ("copy v from stdin", ["1\n"])]
VALUES = ["select $1::int + 1", "select id, t from a where id = $1 order by 1", "insert into a (id, t) values ($1 + {m}, $2) returning t",
          "select $1::text || $2", "update a set t = $2 where id = $1", "select $1::jsonb", "select * from many($1::int)"]
GIVEN = ["1", "7", "x", None, "30", '{"k": 1}']


class Sessions:
    """From a random.Random: the same for the same seed."""

    def __init__(self, random):
        self.random = random

    def fill(self, text):
        return text.replace("{n}", str(self.random.randint(0, 5))).replace("{m}", str(self.random.randint(1000, 9999)))

    def statement(self):
        kinds = self.random.choices([READS, WRITES, SESSION], [5, 3, 5])[0]
        return self.fill(self.random.choice(kinds))

    def simple(self):
        if self.random.random() < 0.1:
            text, data = self.random.choice(COPIES_ALONE)
            return [["data", *map(self.fill, data)], ["Q", self.fill(text)]]
        count = self.random.choice([1, 1, 1, 2, 3])
        texts = [self.statement() for _ in range(count)]
        # A name that nobody gave is refused before the text runs, where the server would run what stands before it.
        if count > 1:
            texts = [text for text in texts if not any(word in text for word in ("execute", "fetch", "move"))]
        return [["Q", "; ".join(texts)]]

    def name(self, letter):
        return self.random.choice(["", "", f"{letter}1", f"{letter}2"])

    def values(self, text):
        """As many as the text has parameters, or sometimes not."""
        count = 2 if "$2" in text else 1 if "$1" in text else 0
        if self.random.random() < 0.05:
            count += 1
        return [self.random.choice(GIVEN) for _ in range(count)]

    def run(self):
        """Some of what runs one statement."""
        text = self.fill(self.random.choice(VALUES)) if self.random.random() < 0.4 else self.statement()
        statement, portal = self.name("s"), self.name("q")
        messages = [["P", statement, text]] if self.random.random() < 0.9 else []
        if self.random.random() < 0.2:
            messages.append(["D", "S", statement])
        messages.append(["B", portal, statement, self.values(text), [], self.random.choice([[], [], [0], [1]])])
        if self.random.random() < 0.5:
            messages.append(["D", "P", portal])
        for _ in range(self.random.choice([1, 1, 1, 2])):
            messages.append(["E", portal, self.random.choice([0, 0, 0, 1, 3])])
        if self.random.random() < 0.15:
            messages.append(["C", *self.random.choice([["S", statement], ["P", portal]])])
        if self.random.random() < 0.1:
            messages.append(["H"])
        return messages

    def extended(self):
        messages = []
        if self.random.random() < 0.06:
            text, data = self.random.choice([c for c in COPIES if ";" not in c[0]])
            return [["data", *map(self.fill, data)], ["P", "", self.fill(text)], ["B", "", ""], ["E", ""], ["S"]]
        for _ in range(self.random.choice([1, 1, 2, 3])):
            messages += self.run()
        return messages + [["S"]]

    def session(self):
        """A seed for the sizes in which it is sent, and steps."""
        return [self.random.randrange(1 << 30), *(self.random.choice([self.simple, self.extended])() for _ in range(self.random.randint(3, 14)))]
