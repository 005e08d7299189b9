"""Many entries and records, checked side by side: each lane has a process of its own for what others wrote."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmark.submission.checks.report import CheckReport, check_entry, check_record
from benchmark.submission.checks.score import RescoreOptions, check_claim
from benchmark.submission.sandbox.client import Worker, worker
from benchmark.submission.sandbox.limits import Limits

Task = tuple[int, Path]


def check_all(
    files: Sequence[Path],
    records: Sequence[Path],
    limits: Limits,
    evidence: RescoreOptions,
    tell: Callable[[str], None],
) -> list[CheckReport]:
    """Checks entries and records, two at a time where there are two cores.

    Args:
        files: Entry files.
        records: Records.
        limits: What each may take.
        evidence: What the claims of records are held against.
        tell: Told what is being looked at, in a few words; called from several threads.

    Returns:
        What was found, entries first, in the order given.

    Raises:
        UserError: A process that runs entries was ended from outside.
    """
    paths = [*files, *records]
    tasks: deque[Task] = deque(enumerate(paths))
    found: dict[int, CheckReport] = {}

    def look(path: Path, number: int, running: Worker) -> None:
        tell(path.name)
        if number < len(files):
            found[number] = check_entry(path, running, limits)
            return
        told = check_record(path)
        found[number] = told if told.problems else check_claim(told, running, limits, evidence)

    def lane(take: Callable[[], Task], threads: int | None) -> None:
        with worker(threads=threads) as running:
            while tasks:
                try:
                    number, path = take()
                except IndexError:  # the other lane took the last one
                    return
                look(path, number, running)

    if len(paths) < 2 or (os.cpu_count() or 1) < 2:
        lane(tasks.popleft, None)
    else:
        # From both ends: entries keep a process of their own busy, and records this one.
        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(lane, take, 1) for take in (tasks.popleft, tasks.pop)]
            try:
                for end in as_completed(ends):
                    end.result()
            except BaseException:
                tasks.clear()
                raise
    return [found[number] for number in range(len(paths))]
