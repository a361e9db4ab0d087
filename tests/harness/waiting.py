# SPDX-License-Identifier: Apache-2.0
import time


def wait_for(condition, timeout=15, what="it"):
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not happen")
