# SPDX-License-Identifier: Apache-2.0
"""Messages of copies of one database, without what two servers would not have in common."""
import re
import struct


def first(server):
    """Of what is made from now on, in copies too, the numbers differ."""
    return int(server.sql("create table public.last (); select 'public.last'::regclass::oid; drop table public.last"))


def number(first, oid):
    return oid if oid < first else first


def message(first, kind, body):
    if kind == "A":
        return body[4:]
    if kind in "EN":
        # Where in the server's own source it comes from is left out: an error of ours has no such thing.
        fields = [field for field in body.split(b"\0") if field[:1] not in (b"F", b"L", b"R")]
        return b"\0".join(field if field[:1] == b"C" else re.sub(rb"\d{5,}", lambda m: str(number(first, int(m.group()))).encode(), field)
                          for field in fields)
    return described(first, body) if kind == "T" else body


def described(first, body):
    at, parts = 2, [body[:2]]
    for _ in range(struct.unpack("!H", body[:2])[0]):
        end = body.index(b"\0", at) + 1
        table, attribute, of_type, *rest = struct.unpack("!IhIhih", body[end:end + 18])
        parts += [body[at:end], repr((number(first, table), attribute, number(first, of_type), *rest)).encode()]
        at = end + 18
    return b"".join(parts)
