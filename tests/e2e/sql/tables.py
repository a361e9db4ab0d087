# SPDX-License-Identifier: Apache-2.0
"""What queries.sql makes, for what writes random queries over it: columns with their kinds, "!" behind those that are masked
or made of what is."""
MASKS = [
    {"columns": ["public.person.ssn", "public.person.doc", "public.person.keys", "public.person.home", "public.account.iban",
                 "public.event.token", "public.event.payload", "public.thing.pin", "public.sub_thing.pass", "other.item.secret",
                 "public.Odd Name.Sécret"], "with": "redact"},
    {"columns": ["public.person.salary", "public.person.born", "public.account.balance"], "with": "null"},
    {"columns": ["public.person.code"], "with": "hash"},
]
# Kinds are types of which the expressions know; "pair" is the composite type.
TABLES = {
    "person": "id int, name text, ssn text!, salary int!, mood mood, doc jsonb!, marks ints, keys texts!, home pair!, born date!,"
              " code text!, size numeric, note text, tail text!, spare int",
    "item": "id int, person_id int, title text, price numeric, amount int, tags texts, info jsonb, day date, ok bool, ssn text",
    "account": "number int, owner int, iban text!, balance numeric!, span range, label text, live bool",
    "event": "id int, kind text, payload jsonb!, token text!, day date",
    "event_low": "id int, kind text, payload jsonb!, token text!, day date",
    "event_high": "day date, token text!, kind text, payload jsonb!, id int",
    "event_high_a": "day date, token text!, kind text, payload jsonb!, id int",
    "thing": "id int, pin text!, label text",
    "sub_thing": "id int, pin text!, label text, extra text, pass text!",
    "loose": "id int, a text, b int, c jsonb, d texts, e numeric",
    "empty": "id int, a text",
    "other.item": "id int, title text, secret text!",
    "\"Odd Name\"": "\"The Id\" int, \"select\" text, \"Sécret\" text!",
    "person_view": "number int, name text, tax text!, loud text!, salary int!, mood mood",
    "joined_view": "id int, who text, title text, tax text!",
    "plain_view": "id int, title text, amount int",
    "over_view": "id int, deep text!, title text",
    "both_view": "id int, x text!",
    "whole_view": "id int",
    "guarded_view": "number int, iban text!, label text",
    "down_view": "id int, token text!, n int",
    "stored": "id int, name text, kept text!, note text",
}
# Those that are written to, with what is inserted; one is masked in part.
WRITTEN = {"loose": ["id", "a", "b"], "item": ["id", "title", "amount"], "thing": ["id", "label"], "event": ["id", "kind"],
           "person": ["id", "name", "note"], "plain_view": ["id", "title"], "other.item": ["id", "title"]}
UNIQUE = {"loose": "id", "item": "id", "person": "id"}


class Column:
    def __init__(self, name, kind, masked):
        self.name, self.kind, self.masked = name, kind, masked

    def renamed(self, name):
        return Column(name, self.kind, self.masked)


def read(text):
    columns = []
    for column in text.split(", "):
        name, kind = column.rsplit(" ", 1)
        columns.append(Column(name, kind.rstrip("!"), kind.endswith("!")))
    return columns


COLUMNS = {name: read(text) for name, text in TABLES.items()}
