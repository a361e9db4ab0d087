# SPDX-License-Identifier: Apache-2.0
"""Values of every built-in type of PostgreSQL 15, with and without what detectors find."""

# What detectors find, and what they must leave.
TEXTS = ["user@example.com", "nothing", "", "a 123-45-6789 b", "4111111111111111", "it's \"x\" \\ y,\tz\n{}()",
         "größe password=geheim1", "password=x", "+1 212 555 0123 10.0.0.1", " lead and trail "]
NUMBERS = ["0", "-1", "4111111111111111", "-4111111111111111", "378282246310005", "4111111111111112"]
DOCUMENTS = ['{"a": "user@example.com", "b": [1, 4111111111111111]}', '"x\\nuser@example.com"', "[]", "null",
             '{"password": "x \\"y\\" \\\\", "ok": true}', "4111111111111111", '"\\u00e9 user\\u0040example.com"']
SAMPLES = {
    "bool": ["t", "f"], "bytea": ["\\x00ff", "\\x75736572406578616d706c652e636f6d", "plain a@b.de", ""],
    "char": ["x"], "name": TEXTS, "int8": NUMBERS, "int2": ["-1", "32767"], "int4": ["2147483647"],
    "int2vector": ["1 2"], "oidvector": ["1 2"], "text": TEXTS, "oid": ["1"], "tid": ["(1,2)"], "xid": ["1"],
    "cid": ["1"], "json": DOCUMENTS, "jsonb": DOCUMENTS,
    "xml": ["<a>user@example.com</a>", "<a b='user@example.com'/>", "<a>x &amp; a@b.de</a>", "text a@b.de",
            "<a>password=a&amp;b</a>", "<password>secret</password>", "<a>a@b.de]</a>", "<![CDATA[a@b.de]]>"],
    "point": ["(1,2)"], "lseg": ["[(1,2),(3,4)]"], "path": ["((1,2),(3,4))"], "box": ["(3,4),(1,2)"],
    "polygon": ["((1,2),(3,4))"], "line": ["{1,2,3}"], "circle": ["<(1,2),3>"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32", "::/0"], "inet": ["10.0.0.1", "::1", "dead:beef::/32"],
    "macaddr": ["08:00:2b:01:02:03"], "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "float4": ["1.5", "NaN"], "float8": NUMBERS + ["1.5", "NaN", "-Infinity", "1e300"],
    "money": ["12.50", "4111111111111111.00", "41111111111111.11"],
    "bpchar": TEXTS, "varchar": TEXTS,
    "date": ["2024-01-02", "infinity"], "time": ["12:34:56.789"], "timestamp": ["2024-01-02 12:34:56"],
    "timestamptz": ["2024-01-02 12:34:56+02"], "interval": ["1 day 02:03:04"], "timetz": ["12:34:56+02"],
    "bit": ["1"], "varbit": ["1010101010101"],
    "numeric": NUMBERS + ["1.5", "NaN", "Infinity", "4111111111111111.00", "0.4222222222222222",
                          "123456789012345678901234567890"],
    "refcursor": TEXTS, "regproc": ["now"], "regprocedure": ["now()"], "regoper": ["||/"],
    "regoperator": ["||/(NONE,float8)"], "regclass": ["pg_class"], "regtype": ["text"],
    "regconfig": ["english"], "regdictionary": ["simple"], "regnamespace": ["public"],
    "regrole": ["postgres"], "regcollation": ["\"C\""],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "txid_snapshot": ["10:20:10,14"],
    "pg_snapshot": ["10:20:10,14"], "pg_lsn": ["16/B374D848"], "xid8": ["7"],
    "tsvector": ["'user@example.com':1 'b':2", "'a':1A"], "tsquery": ["'user@example.com' & 'b'"],
    "jsonpath": ["$.a ? (@ == \"user@example.com\")", "$.b"],
    "int4range": ["[1,2)"], "numrange": ["[4111111111111111,)", "[1,2)", "empty"],
    "tsrange": ["[2024-01-01,)"], "tstzrange": ["[2024-01-01,)"], "daterange": ["[2024-01-01,)"],
    "int8range": ["[4111111111111111,4111111111111113)", "(,5]", "empty"],
    "int4multirange": ["{[1,2)}"], "nummultirange": ["{[1,2),[4111111111111111,)}", "{}"],
    "tsmultirange": ["{}"], "tstzmultirange": ["{}"], "datemultirange": ["{}"],
    "int8multirange": ["{[4111111111111111,)}", "{[1,2)}"],
    "aclitem": ["postgres=r/postgres"], "unknown": [], "cstring": [],
}
# Kept by the server itself, or of its own inner workings: there is no input to try.
NO_INPUT = {"pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "gtsvector", "pg_brin_bloom_summary",
            "pg_brin_minmax_multi_summary"}
NO_BINARY = {"aclitem"}
# What must not be seen where the samples are masked, in text of whatever type.
SECRETS = ["user@example.com", "123-45-6789", "4111111111111111", "geheim1", "757365724065",
           "4.111111111111111e+15", "4,111,111,111,111,111"]


def built_in_types(server):
    cursor = server.cursor()
    cursor.execute("""select t.oid, t.typname, t.typarray from pg_type t where t.oid < 10000 and t.typtype in ('b', 'r', 'm')
                      and (t.typcategory <> 'A' or t.typname in ('int2vector', 'oidvector')) order by t.oid""")
    return cursor.fetchall()
