# SPDX-License-Identifier: Apache-2.0
"""psycopg2 and libpq: what they can do, one line of outcome each."""
import io
import sys
import threading
import time

import psycopg2
import psycopg2.extras
import psycopg2.pool
from psycopg2 import sql
from transcript import Transcript

URL = sys.argv[1]
say = Transcript()
say.error_types(psycopg2.Error, lambda e: e.pgcode)


def connect(**more):
    return psycopg2.connect(URL, **more)


def rows(connection, text, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall() if cursor.description else cursor.rowcount


@say.scenario
def masked_rows(c):
    return rows(c, "select id, name, ssn, born from people where id < %s order by id", (4,))


@say.scenario
def refused_in_a_transaction(c):
    yield rows(c, "insert into work (id, name) values (1, 'a')")
    yield say.attempt(rows, c, "select value from hidden.secrets")
    yield say.attempt(rows, c, "select 1"), c.info.transaction_status
    c.rollback()
    yield rows(c, "select count(*) from work"), c.info.transaction_status


@say.scenario
def savepoints(c):
    rows(c, "insert into work (id, name) values (1, 'a')")
    for text in ("insert into work (id) values (1)", "select value from hidden.secrets", "select 1/0"):
        rows(c, "savepoint s")
        yield say.attempt(rows, c, text)
        rows(c, "rollback to s")
    c.commit()
    yield rows(c, "select id, name from work")


@say.scenario
def refused_among_several_statements(c):
    c.autocommit = True
    yield say.attempt(rows, c, "insert into work (id) values (1); select value from hidden.secrets; insert into work (id) values (2)")
    yield rows(c, "select count(*) from work")
    yield rows(c, "select 1; select 2; select ssn from people where id = 1")


@say.scenario
def cursor_by_name(c):
    with c.cursor("named") as cursor:
        cursor.itersize = 3
        cursor.execute("select id, ssn from people order by id")
        yield list(cursor)[-4:]
    with c.cursor("moving", scrollable=True, withhold=True) as cursor:
        cursor.execute("select id, ssn from people order by id")
        cursor.scroll(5)
        yield cursor.fetchone()
        c.commit()
        cursor.scroll(-2)
        yield cursor.fetchmany(2)


@say.scenario
def many_values(c):
    with c.cursor() as cursor:
        psycopg2.extras.execute_values(cursor, "insert into work (id, name) values %s returning id", [(i, f"n{i}") for i in range(250)], page_size=100)
        psycopg2.extras.execute_batch(cursor, "update work set name = %s where id = %s", [(f"m{i}", i) for i in range(50)], page_size=20)
    c.commit()
    yield rows(c, "select count(*), min(name), max(name) from work")


@say.scenario
def copies(c):
    with c.cursor() as cursor:
        cursor.copy_from(io.StringIO("".join(f"{i}\tname {i}\n" for i in range(1000))), "work", columns=("id", "name"))
        out = io.StringIO()
        cursor.copy_expert("copy (select id, name from work order by id limit 3) to stdout csv header", out)
        yield out.getvalue()
        for form in ("text", "csv, header"):
            out = io.StringIO()
            cursor.copy_expert(f"copy people (id, ssn) to stdout (format {form})", out)
            yield out.getvalue()
        c.commit()
        yield say.attempt(cursor.copy_expert, "copy hidden.secrets to stdout", io.StringIO())
        c.rollback()
        yield say.attempt(cursor.copy_expert, "copy hidden.secrets from stdin", io.StringIO("1\tx\n" * 50000))
        c.rollback()
        yield say.attempt(cursor.copy_expert, "copy work (id, name) from stdin", io.StringIO("5000\ta\nx\tb\n"))
        c.rollback()

        class Broken(io.StringIO):
            def read(self, *_):
                raise ValueError("the source is gone")
        yield say.attempt(cursor.copy_expert, "copy work (id, name) from stdin", Broken())
        c.rollback()
    yield rows(c, "select count(*) from work")


@say.scenario
def large_objects(c):
    whole = bytes(range(256)) * 4000

    def exercise():
        lobject = c.lobject(0, "wb")
        lobject.write(whole)
        lobject.close()
        again = c.lobject(lobject.oid, "rb")
        again.seek(100)
        part = again.read(300000)
        again.unlink()
        return part == whole[100:300100]
    yield say.attempt(exercise)
    c.rollback()
    yield rows(c, "select 1")


@say.scenario
def notifications(c):
    c.autocommit = True
    rows(c, "listen here")
    with connect() as other:
        rows(other, "notify here, 'from another'")
    rows(c, "notify here, 'own'")
    while len(c.notifies) < 2:
        c.poll()
        time.sleep(0.01)
    yield sorted(n.payload for n in c.notifies)
    rows(c, "unlisten *")


@say.scenario
def cancelled(c):
    threading.Timer(0.5, c.cancel).start()
    yield say.attempt(rows, c, "select pg_sleep(20)")
    c.rollback()
    rows(c, "set statement_timeout = 200")
    yield say.attempt(rows, c, "select pg_sleep(20)")
    c.rollback()
    yield rows(c, "select 1")


@say.scenario
def pooled(c):
    pool = psycopg2.pool.ThreadedConnectionPool(1, 4, URL)
    gate, sums = threading.BoundedSemaphore(4), []

    def worker(number):
        for i in range(20):
            with gate:
                mine = pool.getconn()
                sums.append(rows(mine, "select %s", (number * i,))[0][0])
                mine.rollback()
                pool.putconn(mine)
    threads = [threading.Thread(target=worker, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.closeall()
    yield sum(sums), len(sums)


@say.scenario
def asynchronous(c):
    mine = psycopg2.connect(URL, async_=True)
    psycopg2.extras.wait_select(mine)
    with mine.cursor() as cursor:
        cursor.execute("select ssn from people order by id limit 2")
        psycopg2.extras.wait_select(mine)
        yield cursor.fetchall()
        cursor.execute("select value from hidden.secrets")
        yield say.attempt(psycopg2.extras.wait_select, mine)
        cursor.execute("select 5")
        psycopg2.extras.wait_select(mine)
        yield cursor.fetchall()
    mine.close()


@say.scenario
def types_of_columns(c):
    with c.cursor() as cursor:
        cursor.execute("select id, name, ssn, born, doc, array[1, 2], 1.50::numeric(5,2), interval '1 day', true, null from people order by id limit 2")
        yield [(d.name, d.type_code, d.internal_size, d.precision, d.scale) for d in cursor.description], cursor.fetchall()
        cursor.execute(sql.SQL("select {} from {}").format(sql.Identifier("name"), sql.Identifier("public", "people")))
        yield cursor.rowcount, cursor.statusmessage


@say.scenario
def notices_and_settings(c):
    rows(c, "drop table if exists scratch_none")
    yield c.notices
    c.rollback()
    c.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    yield rows(c, "show transaction_isolation"), say.attempt(rows, c, "insert into work (id) values (9)")
    c.rollback()
    yield c.encoding, c.server_version, c.get_parameter_status("TimeZone"), c.info.options
    c.reset()
    c.set_client_encoding("LATIN1")
    yield rows(c, "select ssn from people where id = 2")


@say.scenario
def idle_and_then_used(c):
    c.autocommit = True
    rows(c, "select 1")
    time.sleep(2)
    yield rows(c, "select ssn from people where id = 1")


say.play(connect, lambda c: (rows(c, "delete from work"), c.commit()), lambda c: c.close())
