# SPDX-License-Identifier: Apache-2.0
"""What Wayleave would let an agent see of a statement's result, and two databases to compare it in.

The databases differ in nothing but the values of masked columns. Whatever an agent can see of a
statement that is not refused must then be the same in both: rows, their order and number, errors,
and what the statement leaves in columns that are not masked."""
import re

import psycopg2

from server import ROOT

SECRETS = ({"SECRET": "alpha-7731", "NUMBER": "4100"}, {"SECRET": "zulu-52", "NUMBER": "977"})
MASKS = [
    {"columns": "public.customers.ssn", "with": "redact"},
    {"columns": "public.customers.salary", "with": "null"},
    {"columns": "public.customers.doc", "with": "redact"},
    {"columns": "public.made.ssn", "with": "hash"},
    {"columns": "public.part.ssn", "with": "redact"},
    {"columns": "public.child.kept", "with": "redact"},
]
# What is not masked in the tables that statements may change.
OPEN_COLUMNS = {
    "customers": "id, name, note, tags", "orders": "*", "sink": "*", "part": "id, place",
    "part_north": "id, place", "parent": "id", "child": "id, ssn", "made": "id"}
SCHEMA = (ROOT / "tests/e2e/sql/schema.sql").read_text()
# Names of objects are equal, their numbers are not.
NUMBERS = re.compile(r"\b\d{5,}\b")


def make_twins(server):
    """Two databases that differ in masked values alone; connections to both."""
    twins = []
    for index, secrets in enumerate(SECRETS):
        connection = server.connect()
        connection.cursor().execute(f"CREATE DATABASE twin_{index}")
        connection.close()
        twin = server.connect(f"twin_{index}")
        text = SCHEMA
        for name, value in secrets.items():
            text = text.replace("{" + name + "}", value)
        twin.cursor().execute(text)
        twins.append(twin)
    return twins


def is_masked(facts, lineage, index, column):
    """The strategy for one column of a result."""
    outputs = lineage.get("outputs")
    strategies = ["none", "partial", "hash", "redact", "null"]
    strategy = "none"
    table, number = column.table_oid or 0, column.table_column or 0
    if outputs is not None:
        strategy = outputs[index][1]
    elif lineage["rest"][0] == "derived" or (lineage["rest"][0] == "origin" and not table):
        strategy = lineage["rest"][1]
    if table:
        origin = facts.ask(origin=[table, number])["strategy"]
        strategy = max(strategy, origin, key=strategies.index)
    return strategy != "none"


def masked_rows(facts, lineage, cursor):
    """The rows as the agent gets them."""
    if cursor.description is None:
        return cursor.rowcount
    if "outputs" in lineage:
        assert len(lineage["outputs"]) == len(cursor.description), "not as many columns as traced"
    hidden = [is_masked(facts, lineage, i, c) for i, c in enumerate(cursor.description)]
    return [[("[masked]" if value is not None else None) if hide else NUMBERS.sub("N", repr(value))
        for value, hide in zip(row, hidden)] for row in cursor.fetchall()]


def seen(facts, lineage, twin, text):
    """All that an agent can see of the statement in this twin. Nothing of it stays."""
    cursor = twin.cursor()
    cursor.execute("BEGIN; SET LOCAL statement_timeout = '3s'; SET LOCAL work_mem = '64MB'")
    notices = len(twin.notices)
    try:
        cursor.execute(text)
        shown = masked_rows(facts, lineage, cursor)
        state = []
        for table, columns in OPEN_COLUMNS.items():
            cursor.execute(f"SELECT {columns} FROM {table}")
            state.append([NUMBERS.sub("N", repr(row)) for row in cursor.fetchall()])
        shown = ("rows", shown, state)
    except psycopg2.Error as error:
        # The session's own errors are scanned by detectors alone: nothing masked may get there.
        if error.pgcode in ("57014", None):
            shown = ("timeout",)
        else:
            shown = ("error", error.pgcode, NUMBERS.sub("N", str(error)))
    del twin.notices[notices:]
    cursor.execute("ROLLBACK")
    return shown


class Twins:
    """Both databases, each with its own catalog in a sql_facts."""

    def __init__(self, server, facts_class, masks):
        self.connections = make_twins(server)
        self.facts = []
        for connection in self.connections:
            facts = facts_class()
            facts.load(connection)
            facts.ask(masks=masks)
            self.facts.append(facts)

    def check(self, text):
        """'refused', 'failed', 'rows'; an assertion fails where something masked shows."""
        answers = [facts.ask(text=text) for facts in self.facts]
        assert answers[0] == answers[1], text
        if "commands" not in answers[0] or "refusal" in answers[0]:
            return "refused"
        if answers[0]["unknown"]:
            return "unknown"
        views = [seen(facts, answer["commands"][-1], connection, text)
            for facts, answer, connection in zip(self.facts, answers, self.connections)]
        if ("timeout",) in views:
            return "timeout"
        assert views[0] == views[1], f"shows masked values: {text}\n{views[0]}\n{views[1]}"
        return "failed" if views[0][0] == "error" else "rows"

    def stop(self):
        for facts in self.facts:
            facts.stop()
        for connection in self.connections:
            connection.close()
