# SPDX-License-Identifier: Apache-2.0
"""asyncpg: its own wire code, binary everywhere, types looked up by queries of its own."""
import asyncio
import io
import ssl
import sys

import asyncpg
from transcript import Transcript

HOST, PORT, DATABASE, MODE, CA = sys.argv[1:6]
say = Transcript()
say.error_types((asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError), lambda e: getattr(e, "sqlstate", type(e).__name__))


async def connect(**more):
    context = False
    if MODE == "verify-full":
        context = ssl.create_default_context(cafile=CA)
    return await asyncpg.connect(host=HOST, port=int(PORT), user="app", database=DATABASE, ssl=context, **more)


@say.scenario
async def prepared(c):
    statement = await c.prepare("select id, name, ssn, born, doc from people where id = $1")
    yield [tuple(await statement.fetchrow(i)) for i in range(1, 5)]
    yield [(a.name, a.type.name) for a in statement.get_attributes()], [p.name for p in statement.get_parameters()]
    for _ in range(3):
        yield await c.fetchval("select ssn from people where name = $1", "name2")


@say.scenario
async def values_of_all_kinds(c):
    yield await c.fetchrow("select 1::smallint, 2::bigint, 1.25::numeric, 'x'::text, '\\x0102'::bytea, true, date '2020-01-02', "
                           "timestamptz '2020-01-02 03:04:05Z', interval '1 day 2 seconds', array['a', null], '{\"a\": 1}'::jsonb, "
                           "int4range(1, 5), inet '10.0.0.1', row(1, 'x')")
    # Kinds that asyncpg has to look up in the catalog.
    yield await c.fetchrow("select feeling, place, places from kinds where id = 1")
    await c.execute("update kinds set feeling = $1, place = $2 where id = 1", "sad", ("Oslo", 2))
    yield await c.fetchrow("select feeling, place from kinds where id = 1")
    await c.execute("update kinds set feeling = 'happy', place = '(Rome,1)' where id = 1")
    await c.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=len)
    yield await c.fetchval("select doc from people where id = 1")


@say.scenario
async def many(c):
    await c.executemany("insert into work (id, name) values ($1, $2)", [(i, f"n{i}") for i in range(500)])
    yield await c.fetchval("select count(*) from work")
    yield await say.attempt_async(c.executemany("insert into work (id) values ($1)", [(i,) for i in (900, 901, 900, 902)]))
    yield await c.fetchval("select count(*) from work")
    yield await say.attempt_async(c.executemany("insert into hidden.secrets values ($1, 'x')", [(i,) for i in range(10)]))
    yield c.is_in_transaction(), await c.fetchval("select count(*) from work")


@say.scenario
async def cursors(c):
    async with c.transaction():
        seen = [r["ssn"] async for r in c.cursor("select ssn from people order by id", prefetch=3)]
        yield len(seen), seen[:4]
        cursor = await c.cursor("select id, ssn from people order by id")
        await cursor.forward(2)
        yield await cursor.fetch(2), await cursor.fetchrow()


@say.scenario
async def nested_transactions(c):
    async with c.transaction():
        await c.execute("insert into work (id) values (1)")
        for text in ("select value from hidden.secrets", "insert into work (id) values (1)", "select 1/0"):
            async def inner():
                async with c.transaction():
                    await c.execute("insert into work (id) values (2)")
                    await c.fetch(text)
            yield await say.attempt_async(inner())
    yield await c.fetch("select id from work")
    yield await say.attempt_async(c.execute("begin; insert into work (id) values (5); select value from hidden.secrets; commit"))
    yield await say.attempt_async(c.execute("rollback")), await c.fetchval("select count(*) from work")


@say.scenario
async def copies(c):
    yield await c.copy_records_to_table("work", records=[(i, f"n{i}") for i in range(2000)], columns=["id", "name"])
    for form in ("text", "csv", "binary"):
        out = io.BytesIO()
        yield await c.copy_from_table("people", columns=["id", "ssn"], output=out, format=form), out.getvalue()[:200]
    out = io.BytesIO()
    yield await c.copy_from_query("select id, ssn from people where id < $1 order by id", 3, output=out), out.getvalue()
    yield await c.copy_to_table("work", source=io.BytesIO(b"5000,five\n"), columns=["id", "name"], format="csv")
    yield await say.attempt_async(c.copy_to_table("work", source=io.BytesIO(b"x,five\n"), columns=["id", "name"], format="csv"))
    yield await say.attempt_async(c.copy_from_table("secrets", schema_name="hidden", output=out))
    yield await say.attempt_async(c.copy_to_table("secrets", schema_name="hidden", source=io.BytesIO(b"1\tx\n" * 30000)))

    async def broken():
        yield b"6000\tsix\n"
        raise asyncpg.InterfaceError("the source is gone")
    yield await say.attempt_async(c.copy_to_table("work", source=broken(), columns=["id", "name"]))
    yield await c.fetchval("select count(*) from work")


@say.scenario
async def notifications(c):
    got = asyncio.Queue()
    await c.add_listener("here", lambda *a: got.put_nowait(a[3]))
    other = await connect()
    await other.execute("notify here, 'x'")
    await other.close()
    yield await asyncio.wait_for(got.get(), 10)


@say.scenario
async def timeouts(c):
    yield (await say.attempt_async(c.execute("select pg_sleep(20)", timeout=0.5)))[:18]
    yield await c.fetchval("select ssn from people where id = 1")
    task = asyncio.ensure_future(c.fetch("select pg_sleep(20)"))
    await asyncio.sleep(0.3)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        yield "cancelled"
    yield await c.fetchval("select 1")


@say.scenario
async def refused(c):
    for _ in range(2):
        yield await say.attempt_async(c.fetch("select value from hidden.secrets"))
        yield await say.attempt_async(c.fetch("select value from hidden.secrets where id = $1", 1))
        yield await c.fetchval("select ssn from people where id = $1", 1)


@say.scenario
async def tables_that_change(c):
    """The plan of a prepared statement goes stale under the driver."""
    await c.execute("drop table if exists scratch_changing")
    await c.execute("create table scratch_changing (a int)")
    await c.execute("insert into scratch_changing values (1)")
    yield await c.fetch("select * from scratch_changing")
    await c.execute("alter table scratch_changing add b text")
    yield await c.fetch("select * from scratch_changing")
    await c.execute("drop table scratch_changing")


@say.scenario
async def pooled(c):
    pool = await asyncpg.create_pool(host=HOST, port=int(PORT), user="app", database=DATABASE, min_size=2, max_size=4,
                                     ssl=ssl.create_default_context(cafile=CA) if MODE == "verify-full" else False)

    async def one(i):
        async with pool.acquire() as mine:
            return await mine.fetchval("select $1::int + 1", i)
    yield sum(await asyncio.gather(*(one(i) for i in range(60))))
    await pool.close()


asyncio.run(say.play_async(connect, lambda c: c.execute("delete from work"), lambda c: c.close()))
