# SPDX-License-Identifier: Apache-2.0
"""Nothing that an agent gets tells it anything of masked columns: two servers that differ in them alone answer alike.

WAYLEAVE_SQL_SEED and WAYLEAVE_SQL_SECONDS run the random statements longer, and others of them."""
import os
import pathlib
import random
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "sql"))

import corpus  # noqa: E402
import generator  # noqa: E402
import twins as twins_module  # noqa: E402

SEED = int(os.environ.get("WAYLEAVE_SQL_SEED", "1"))
SECONDS = float(os.environ.get("WAYLEAVE_SQL_SECONDS", "20"))


@pytest.fixture(scope="module")
def twins():
    pair = twins_module.Twins()
    yield pair
    pair.stop()


@pytest.mark.parametrize("text", corpus.REFUSED)
def test_what_would_tell_of_a_masked_column_is_refused(twins, text):
    assert twins.check([["Q", text]]) == "refused"


@pytest.mark.parametrize("text", corpus.SHOWN)
def test_what_can_be_masked_is_shown_masked(twins, text):
    assert twins.check([["Q", text]]) == "rows"


@pytest.mark.parametrize("steps", corpus.STEPS, ids=lambda steps: str(steps)[:60])
def test_several_steps(twins, steps):
    assert twins.check(steps) in ("refused", "failed", "rows")


# What is seen of rows and of COPY, not only what isn't: each masked column by its own strategy and type.
SEEN = {
    "select c from customers c where id = 1": b'(1,Ann,"[masked]",,first,"{x,y}","""[masked]""")',
    "select x from (select c as x from customers c where id = 1) s": b'(1,Ann,"[masked]",,first,"{x,y}","""[masked]""")',
    "select p from parent p where id = 1": b'(1,"[masked]")',
    "select v from customer_view v where number = 1": b'(1,Ann,"[masked]","[masked]",ANN,)',
    "select home from typed where id = 1": b"",
    "select e.value from customers c, jsonb_array_elements('[\"seen\"]') as e where c.id = 1 and value is not null": b'"seen"',
    "explain (analyze, costs off, timing off, summary off) select ssn, upper(name) from customers": b"Seq Scan on customers (actual rows=4 loops=1)",
    "explain (analyze off, costs off) select upper(ssn) from customers": b"Seq Scan on customers",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 2) search depth first by n set s select * from r order by s limit 1":
        b"\0\2\0\0\0\x011\0\0\0\5{(1)}",
    "copy (select id, ssn, salary, name from customers where id = 1) to stdout": b"1\t[masked]\t\\N\tAnn\n",
    "copy (select id, code, plain from typed where id = 1) to stdout": b"1\t[hash]\tone\n",
    "copy (select id, number, born, word from typed where id = 1) to stdout (format csv)": b"1,,,[masked]\n",
    "copy (select s.x, s.y from (select ssn as x, id as y from customers where id = 1) s) to stdout": b"[masked]\t1\n",
}


@pytest.mark.parametrize("text", SEEN)
def test_what_is_left_to_see(twins, text):
    answer = twins.ask([["Q", text]])[0]
    assert answer[0][0] in "THD", answer
    body = next(body for kind, body in answer if kind in "Dd")
    shown = body[6:] if text.startswith(("select", "explain")) else body
    assert twins_module.HASHED.sub(b"[hash]", shown) == SEEN[text]


# Two names that are one here, since what is longer than 63 bytes is cut, and two where a character is a byte.
LONG, LONGER = "\u00e9" * 33 + "a", "\u00e9" * 33 + "b"
# And two that are cut to ASCII.
ACUTE, GRAVE = "a" * 62 + "\u00e9", "a" * 62 + "\u00e8"


def test_names_that_another_encoding_of_the_server_makes_others(twins):
    server = twins.servers[0]
    server.sql("create database narrow encoding 'latin1' locale 'C' template template0")
    server.sql("create table customers (id int, ssn text); insert into customers values (1, 'quokka-7731')", "narrow")
    twins.runners.append(twins.start_runner(server, "narrow"))
    for text, result in ((f"select (select {LONGER}::text from (select 1 as {LONG}) z) from (select ssn as {LONGER} from customers) q", "refused"),
                         (f"select (select {LONGER}::text from (select 1 as {LONG}) z) from (select id as {LONGER} from customers) q", "refused"),
                         ("select (select \u00e9::text from (select 1 as \u00e9) z) as x, ssn from customers", "rows"),
                         (f"select (select {GRAVE}::text from (select 1 as {ACUTE}) z) from (select ssn as {GRAVE} from customers) q", "refused"),
                         (f"select 1 as {LONG}", "refused"),
                         (f"select ssn, '{LONG}' as x from customers", "rows")):
        answer = twins.ask_all(twins.runners[-1:], [["Q", "set client_encoding = 'utf8'"], ["Q", text]])[0]
        twins_module.assert_hidden(text, answer, twins.forms[0])
        assert [kind for kind, _ in answer if kind in "DE"] == [{"refused": "E", "rows": "D"}[result]], (text, answer)


def test_random_statements(twins):
    made = generator.Generator(random.Random(SEED))
    counts, end = {}, time.monotonic() + SECONDS
    while time.monotonic() < end:
        result = twins.check(made.steps())
        counts[result] = counts.get(result, 0) + 1
    print(counts)
    # A generator whose statements all fail or are all refused would prove nothing.
    assert counts["rows"] > 50 and counts["refused"] > 50, counts
    assert counts.get("failed", 0) + counts.get("timeout", 0) < counts["rows"], counts


def test_nothing_was_stored_by_any_of_it(twins):
    assert twins.contents() == twins.tables
