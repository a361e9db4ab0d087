# SPDX-License-Identifier: Apache-2.0
"""psycopg 3: extended protocol, statements prepared by the driver, pipelines."""
import sys
import threading

import psycopg
from psycopg import pq
from transcript import Transcript

URL = sys.argv[1]
say = Transcript()
say.error_types(psycopg.Error, lambda e: getattr(e, "sqlstate", None))


def rows(c, text, parameters=None, **more):
    cursor = c.execute(text, parameters, **more)
    return cursor.fetchall() if cursor.description else cursor.rowcount


@say.scenario
def prepared_and_used_again(c):
    c.prepare_threshold, c.prepared_max = 2, 2
    for i in range(6):
        yield rows(c, "select id, ssn from people where id = %s", (i + 1,))
    for text in ("select name from people where id = %s", "select born from people where id = %s", "select ssn from people where id = %s") * 4:
        yield rows(c, text, (2,), prepare=True)


@say.scenario
def binary_results(c):
    for binary in (False, True):
        yield rows(c, "select id, name, ssn, born, 1.5::numeric, array[1, null, 3], now() - now() from people where id = %s", (3,), binary=binary)
        yield rows(c, "select ssn from people where id = any(%b)", ([1, 2],), binary=binary)


@say.scenario
def a_pipeline(c):
    with c.pipeline() as p:
        cursors = [c.execute("select id, ssn from people where id = %s", (i,)) for i in range(1, 40)]
        p.sync()
        cursors += [c.execute("insert into work (id, name) values (%s, %s)", (i, "x")) for i in range(100)]
    yield [cursor.fetchone() for cursor in cursors[:39]][-3:], sum(cursor.rowcount for cursor in cursors[39:])


@say.scenario
def a_failure_in_a_pipeline(c):
    c.autocommit = True
    for bad in ("select 1/0", "select value from hidden.secrets", "insert into hidden.secrets values (1)", "selec"):
        def broken():
            with c.pipeline():
                c.execute("insert into work (id) values (1)")
                c.execute(bad)
                c.execute("insert into work (id) values (2)")
        yield say.attempt(broken)
        yield rows(c, "select id from work order by id"), c.info.transaction_status


@say.scenario
def syncs_in_a_pipeline(c):
    """Only what stands before the next Sync is skipped."""
    c.autocommit = True
    outcomes = []
    with c.pipeline() as p:
        for i, text in enumerate(("select 1", "select value from hidden.secrets", "select ssn from people where id = 1")):
            first = c.execute("insert into work (id) values (%s) returning id", (i,))
            second = c.execute(text)
            outcomes.append(say.attempt(p.sync))
            outcomes.append((say.attempt(first.fetchone), say.attempt(second.fetchone)))
    yield outcomes
    yield rows(c, "select id from work order by id")


@say.scenario
def a_raw_pipeline(c):
    """Every result of libpq's pipeline, in order."""
    pg = c.pgconn
    pg.nonblocking = 0
    pg.enter_pipeline_mode()
    texts = [b"insert into work (id) values (1)", b"select ssn from people where id = 1", b"select value from hidden.secrets",
             b"select ssn from people where id = 2", None, b"select ssn from people where id = 3", b"begin", b"insert into work (id) values (2)",
             b"select value from hidden.secrets", None, b"select 1", None, b"rollback", None, b"select count(*) from work", None]
    for text in texts:
        pg.send_query_params(text, []) if text else pg.pipeline_sync()
    seen, syncs = [], texts.count(None)
    while syncs:
        result = pg.get_result()
        if result is None:
            continue
        status = pq.ExecStatus(result.status)
        syncs -= status == pq.ExecStatus.PIPELINE_SYNC
        seen.append((status.name, result.get_value(0, 0) if result.ntuples else None, result.error_field(pq.DiagnosticField.SQLSTATE)))
    while pg.get_result():
        pass
    pg.exit_pipeline_mode()
    yield seen, pg.transaction_status


@say.scenario
def many_at_once(c):
    with c.cursor() as cursor:
        cursor.executemany("insert into work (id, name) values (%s, %s) returning id", [(i, f"n{i}") for i in range(300)], returning=True)
        sums = 0
        while True:
            sums += cursor.fetchone()[0]
            if not cursor.nextset():
                break
    yield sums
    yield say.attempt(c.cursor().executemany, "insert into work (id) values (%s)", [(1000,), (1001,), (1000,), (1002,)])
    c.rollback()
    yield rows(c, "select count(*) from work")


@say.scenario
def nested_transactions(c):
    with c.transaction():
        rows(c, "insert into work (id) values (1)")
        for text in ("select value from hidden.secrets", "insert into work (id) values (1)"):
            def inner():
                with c.transaction():
                    rows(c, "insert into work (id) values (2)")
                    rows(c, text)
            yield say.attempt(inner)
    yield rows(c, "select id from work")


@say.scenario
def copies(c):
    with c.cursor() as cursor:
        with cursor.copy("copy work (id, name) from stdin (format binary)") as copy:
            copy.set_types(["int4", "text"])
            for i in range(500):
                copy.write_row((i, f"n{i}"))
        with cursor.copy("copy (select id, name from work where id < %s order by id) to stdout", (3,)) as copy:
            yield list(copy.rows())
        for form in ("text", "binary"):
            with cursor.copy(f"copy people (id, ssn) to stdout (format {form})") as copy:
                copy.set_types(["int4", "text"])
                yield list(copy.rows())[:3]
        c.commit()

        def left():
            with cursor.copy("copy work (id) from stdin") as copy:
                copy.write("7000\n")
                raise psycopg.DataError("given up")

        def refused(text):
            with cursor.copy(text) as copy:
                return [bytes(b) for b in copy] if "to stdout" in text else copy.write("1\tx\n")
        yield say.attempt(left)
        c.rollback()
        for text in ("copy hidden.secrets to stdout", "copy (select value from hidden.secrets) to stdout", "copy hidden.secrets from stdin"):
            yield say.attempt(refused, text)
            c.rollback()
    c.rollback()
    yield rows(c, "select count(*) from work")


@say.scenario
def server_cursors(c):
    with c.cursor("named", binary=True) as cursor:
        cursor.execute("select id, ssn from people where id > %s order by id", (2,))
        yield cursor.fetchmany(2), cursor.fetchone(), len(cursor.fetchall())
    with c.cursor("kept", scrollable=True, withhold=True) as cursor:
        cursor.execute("select ssn from people order by id")
        c.commit()
        cursor.scroll(3)
        yield cursor.fetchone()
    yield say.attempt(rows, c.cursor("bad"), "select value from hidden.secrets")
    c.rollback()


@say.scenario
def rows_one_by_one(c):
    yield sum(row[0] for row in c.cursor().stream("select i, 'text' from generate_series(1, 3000) i"))
    yield list(c.cursor().stream("select ssn from people order by id limit 3"))


@say.scenario
def notifications(c):
    c.autocommit = True
    rows(c, "listen here")
    rows(c, "notify here, 'x'")
    with psycopg.connect(URL, autocommit=True) as other:
        rows(other, "notify here, 'y'")
    got = []
    for n in c.notifies():
        got.append(n.payload)
        if n.payload == "y":
            break
    yield got


@say.scenario
def cancelled(c):
    threading.Timer(0.5, c.cancel).start()
    yield say.attempt(rows, c, "select pg_sleep(20)")
    c.rollback()
    yield rows(c, "select 1")


@say.scenario
def several_statements(c):
    cursor = c.execute("select 1; select ssn from people where id = 1; select 3")
    yield cursor.fetchall(), cursor.nextset(), cursor.fetchall(), cursor.nextset(), cursor.fetchall(), cursor.nextset()
    yield say.attempt(rows, c, "insert into work (id) values (1); select value from hidden.secrets")
    c.rollback()


@say.scenario
def errors_in_full(c):
    for text in ("select nothing from work", "select 'x'::int", "insert into work (id) values (null)", "selec 1"):
        try:
            c.execute(text)
        except psycopg.Error as e:
            d = e.diag
            yield d.severity, d.sqlstate, d.message_primary, d.message_detail, d.message_hint, d.statement_position, d.table_name, d.column_name
        c.rollback()


say.play(lambda: psycopg.connect(URL), lambda c: (c.execute("delete from work"), c.commit()), lambda c: c.close())
