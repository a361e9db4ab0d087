# SPDX-License-Identifier: Apache-2.0
"""psycopg2: prints the rows of each statement as JSON, or the error's SQLSTATE and text."""
import json
import sys

import psycopg2

connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
for statement in sys.argv[2:]:
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        print(json.dumps(cursor.fetchall() if cursor.description else cursor.rowcount))
    except psycopg2.Error as e:
        print(json.dumps({"code": e.pgcode, "message": str(e)}))
