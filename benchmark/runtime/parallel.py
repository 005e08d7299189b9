"""Work on many files in threads: decoding and hashing release the interpreter lock."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK_SIZE = 16
"""Number of items per task: passing a single small image to a thread costs as much as decoding it."""


def parallel_map(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yields the results in the order of the items, computed by one thread per core.

    Only a few tasks are pending at a time, so memory does not depend on the number of items.
    """
    remaining = iter(items)
    threads = os.cpu_count() or 1

    def work_on_chunk(chunk: list[Item]) -> list[Result]:
        return [work(item) for item in chunk]

    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[list[Result]]] = deque()
        while chunk := list(itertools.islice(remaining, CHUNK_SIZE)):
            pending.append(pool.submit(work_on_chunk, chunk))
            if len(pending) > 2 * threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
