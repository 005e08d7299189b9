"""Work on many files at once, in threads: decoding and hashing let go of the interpreter."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

TOGETHER = 16
"""So many items make one task: handing over a single small picture costs as much as decoding it."""


def parallel_map(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items, worked out by as many threads as there are cores.

    A few tasks are under way at a time: memory stays the same however many items there are.
    """
    waiting = iter(items)
    threads = os.cpu_count() or 1

    def several(some: list[Item]) -> list[Result]:
        return [work(item) for item in some]

    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[list[Result]]] = deque()
        while some := list(itertools.islice(waiting, TOGETHER)):
            under_way.append(pool.submit(several, some))
            if len(under_way) > 2 * threads:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
