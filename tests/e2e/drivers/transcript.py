# SPDX-License-Identifier: Apache-2.0
"""Scenarios of a Python driver and what they print: each on a connection of its own, over an emptied table."""
import inspect


class Transcript:
    def __init__(self):
        self.scenarios = []
        self.types, self.code = (), None

    def error_types(self, types, code):
        self.types, self.code = types, code

    def scenario(self, function):
        self.scenarios.append(function)
        return function

    def error(self, e):
        return f"error {self.code(e)} {str(e).strip()}"

    def attempt(self, function, *arguments):
        try:
            return function(*arguments)
        except self.types as e:
            return self.error(e)

    async def attempt_async(self, awaitable):
        try:
            return await awaitable
        except self.types as e:
            return self.error(e)

    @staticmethod
    def print(name, outcome):
        print(f"{name}: {outcome!r}", flush=True)

    def play(self, connect, prepare, close):
        for function in self.scenarios:
            connection = connect()
            prepare(connection)
            outcome = function(connection)
            for part in outcome if inspect.isgenerator(outcome) else [outcome]:
                self.print(function.__name__, part)
            close(connection)

    async def play_async(self, connect, prepare, close):
        for function in self.scenarios:
            connection = await connect()
            await prepare(connection)
            async for part in function(connection):
                self.print(function.__name__, part)
            await close(connection)
