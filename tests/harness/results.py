# SPDX-License-Identifier: Apache-2.0
"""Results as they are on the wire. Run as a program inside an agent:

    results.py HOST PORT USER DATABASE < JOBS > ANSWERS

JOBS is a JSON list of {"sql", "format", "how", "most"}: format 0 is text and 1 binary; how is one of
  simple      a Query (the format is the server's)
  undescribed Parse, Bind, Execute and never a Describe
  twice       the same, prepared once by name and executed twice; the second answer counts
  portal      Execute with at most `most` rows again and again, in one transaction
ANSWERS is a JSON list of {"columns", "rows", "error"}: columns as wire.py gives them (none where not described), rows of
hexadecimal values or null."""
import json
import sys

if __name__ == "__main__":
    import wire
else:
    from . import wire


class Raw(wire.Connection):
    """Values of rows in hexadecimal."""

    @staticmethod
    def decode(kind, body):
        if kind != "D":
            return wire.decode(kind, body)
        at, values = 2, []
        for _ in range(int.from_bytes(body[:2], "big")):
            length = int.from_bytes(body[at:at + 4], "big", signed=True)
            at += 4
            values.append(None if length < 0 else body[at:at + length].hex())
            at += max(length, 0)
        return [kind, values]

    def answer(self):
        """What has come since the last one, up to ReadyForQuery."""
        self.wait("Z")
        seen, self.seen = self.seen, []
        return {"columns": next((m[1] for m in seen if m[0] == "T"), None), "rows": [m[1] for m in seen if m[0] == "D"],
                "error": next((m[1] for m in seen if m[0] == "E"), None), "kinds": "".join(m[0] for m in seen)}


def simple(c, sql, **_):
    c.send(("Q", sql))
    return c.answer()


def undescribed(c, sql, format, **_):
    c.send(("P", "", sql), ("B", "", "", (), (), (format,)), ("E", ""), ("S",))
    return c.answer()


def twice(c, sql, format, **_):
    c.send(("P", "twice", sql), ("S",))
    c.answer()
    run = ("B", "", "twice", (), (), (format,)), ("E", ""), ("S",)
    c.send(*run)
    c.answer()
    c.send(*run, ("C", "S", "twice"), ("S",))
    answer = c.answer()
    c.answer()
    return answer


def portal(c, sql, format, most, **_):
    simple(c, "begin")
    c.send(("P", "", sql), ("B", "p", "", (), (), (format,)), ("S",))
    answer = c.answer()
    while answer["error"] is None:
        c.send(("E", "p", most), ("S",))
        part = c.answer()
        answer["rows"] += part["rows"]
        answer["error"] = part["error"]
        if "s" not in part["kinds"]:
            break
    simple(c, "rollback")
    return answer


HOW = {"simple": simple, "undescribed": undescribed, "twice": twice, "portal": portal}


def run(host, port, user, database, jobs):
    c = Raw(host, port, user, database)
    c.seen.clear()
    return [HOW[job.get("how", "undescribed")](c, **{"format": 0, "most": 2, **job}) for job in jobs]


if __name__ == "__main__":
    host, port, user, database = sys.argv[1:5]
    print(json.dumps(run(host, int(port), user, database, json.load(sys.stdin))))
