# SPDX-License-Identifier: Apache-2.0
"""held_asyncpg.py PORT ITEM LIMIT: statements that people decide, by asyncpg: with its defaults, with a time limit of its own, and by a pool.
Prints a line for each outcome."""
import asyncio
import sys

import asyncpg

PLACE = {"host": "127.0.0.1", "port": int(sys.argv[1]), "user": "app", "database": "shop"}
ITEM, LIMIT = sys.argv[2], float(sys.argv[3])
DELETE = "delete from orders where item = $1"


def rows(tag):
    return int(tag.split()[1])


async def plain():
    c = await asyncpg.connect(**PLACE)
    print("asyncpg", rows(await c.execute(DELETE, f"{ITEM} asyncpg")), flush=True)
    await c.close()


async def limited():
    """Its limit is a clock; what it gave up is cancelled, and the connection is good for more."""
    c = await asyncpg.connect(**PLACE, command_timeout=LIMIT)
    try:
        print("asyncpg-limit", rows(await c.execute(DELETE, f"{ITEM} asyncpg-limit")), flush=True)
    except asyncio.TimeoutError:
        print("asyncpg-limit gave up", await c.fetchval("select 42"), flush=True)
    await c.close()


async def pooled():
    async with asyncpg.create_pool(**PLACE, min_size=4, max_size=4) as pool:
        tags = await asyncio.gather(*[pool.execute(DELETE, f"{ITEM} asyncpg-pool") for _ in range(4)])
    print("asyncpg-pool", sum(map(rows, tags)), flush=True)


async def main():
    await asyncio.gather(plain(), limited(), pooled())


asyncio.run(main())
