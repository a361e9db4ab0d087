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
