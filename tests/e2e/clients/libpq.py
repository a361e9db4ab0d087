# SPDX-License-Identifier: Apache-2.0
"""The libpq that the dynamic linker finds, called as C programs do: what older drivers don't offer. Reads lines of JSON
[function, arguments…], writes what came of each."""
import ctypes
import json
import select
import sys

libpq = ctypes.CDLL("libpq.so.5")
for name in ("PQconnectdb", "PQexec", "PQgetResult", "PQcancelCreate"):
    getattr(libpq, name).restype = ctypes.c_void_p
for name in ("PQerrorMessage", "PQgetvalue", "PQresultErrorMessage", "PQcancelErrorMessage"):
    getattr(libpq, name).restype = ctypes.c_char_p
for name in ("PQfinish", "PQclear", "PQcancelFinish"):
    getattr(libpq, name).restype = None


def pointer(p):
    return ctypes.c_void_p(p)


def result(p):
    rows = [[libpq.PQgetvalue(pointer(p), i, j).decode() for j in range(libpq.PQnfields(pointer(p)))]
            for i in range(libpq.PQntuples(pointer(p)))]
    error = libpq.PQresultErrorMessage(pointer(p)).decode()
    libpq.PQclear(pointer(p))
    return {"rows": rows, "error": error}


def connected(url, use):
    connection = pointer(libpq.PQconnectdb(url.encode()))
    try:
        if libpq.PQstatus(connection) != 0:
            return {"rows": [], "error": libpq.PQerrorMessage(connection).decode()}
        return {**use(connection), "protocol": libpq.PQfullProtocolVersion(connection)}
    finally:
        libpq.PQfinish(connection)


def run(url, statement):
    return connected(url, lambda connection: result(libpq.PQexec(connection, statement.encode())))


def answered(connection, timeout):
    if not select.select([libpq.PQsocket(connection)], [], [], timeout)[0]:
        return False
    libpq.PQconsumeInput(connection)
    return not libpq.PQisBusy(connection)


def cancel(url, statement):
    """Cancels the statement while it runs, within TLS where the connection has it; what comes before it runs is in vain, so again."""
    def use(connection):
        why = ""
        libpq.PQsendQuery(connection, statement.encode())
        while not why:
            canceller = pointer(libpq.PQcancelCreate(connection))
            if not libpq.PQcancelBlocking(canceller):
                why = libpq.PQcancelErrorMessage(canceller).decode()
            libpq.PQcancelFinish(canceller)
            if answered(connection, 1):
                break
        return {**result(libpq.PQgetResult(connection)), "cancel": why}
    return connected(url, use)


for line in sys.stdin:
    function, *arguments = json.loads(line)
    print(json.dumps({"run": run, "cancel": cancel}[function](*arguments)), flush=True)
