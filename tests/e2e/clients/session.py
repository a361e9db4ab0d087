# SPDX-License-Identifier: Apache-2.0
"""One psycopg2 session inside an agent: a JSON line with a statement in, one with what came of it out."""
import json
import sys
import time

import psycopg2

connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
print(json.dumps({"pid": connection.info.backend_pid}), flush=True)
for line in sys.stdin:
    statement, arguments = json.loads(line)
    start = time.monotonic()
    answer = {}
    del connection.notices[:]
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments)
            answer["rows"] = [list(map(str, row)) for row in cursor.fetchall()] if cursor.description else []
            answer["count"] = cursor.rowcount
    except psycopg2.Error as error:
        answer["state"], answer["error"] = error.pgcode, str(error).strip()
    answer["notices"] = list(connection.notices)
    answer["status"] = connection.info.transaction_status
    answer["seconds"] = time.monotonic() - start
    print(json.dumps(answer), flush=True)
