# SPDX-License-Identifier: Apache-2.0
"""What lies in the memory of a process."""
import array
import itertools
import mmap
import pathlib
import re

PRESENT = 3 << 62  # in memory, or swapped out (Documentation/admin-guide/mm/pagemap.rst)


def runs(pid):
    """(address, length) of what is really there, of what the process may read: most of its stacks never were."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for line in maps:
            words = line.split()
            if "r" not in words[1] or words[-1].startswith(("[vvar", "[vsyscall")):
                continue
            first, last = (int(n, 16) // mmap.PAGESIZE for n in words[0].split("-"))
            pagemap.seek(8 * first)
            pages = array.array("Q", pagemap.read(8 * (last - first)))
            for there, run in itertools.groupby(pages, lambda page: page & PRESENT != 0):
                count = sum(1 for _ in run)
                if there:
                    yield first * mmap.PAGESIZE, count * mmap.PAGESIZE
                first += count


def own(pids):
    """KiB of the processes; what they share with others counts in part."""
    texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(re.search(r"^Pss: +([0-9]+)", text, re.M)[1]) for text in texts)


def holds(pid, *wanted):
    """Which of the byte strings stand anywhere in it, as a set."""
    found = set()
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for address, length in runs(pid):
            memory.seek(address)
            content = memory.read(length)
            found |= {w for w in wanted if w in content}
    return found
