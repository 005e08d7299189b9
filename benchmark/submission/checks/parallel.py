"""Checks many entries and records in parallel. Each thread has a worker process for the code of entries."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from benchmark.submission.checks.report import CheckReport, check_entry, check_record
from benchmark.submission.checks.score import RescoreOptions, is_only_unverified, verify_scores
from benchmark.submission.sandbox.client import Worker, worker
from benchmark.submission.sandbox.limits import Limits

Task = tuple[int, Path]


def check_all(
    files: Sequence[Path],
    records: Sequence[Path],
    limits: Limits,
    options: RescoreOptions,
    notify: Callable[[str], None],
) -> list[CheckReport]:
    """Checks entries and records, two at a time where there are two cores.

    Args:
        files: Entry files.
        records: Records.
        limits: Limits of each check.
        options: How the scores of records are verified.
        notify: Receives the name of each file before its check. Called from several threads.

    Returns:
        One report per file, entries first, in the order of the arguments.

    Raises:
        UserError: A worker process was ended from outside.
    """
    paths = [*files, *records]
    tasks: deque[Task] = deque(enumerate(paths))
    reports: dict[int, CheckReport] = {}

    def check_path(path: Path, index: int, running: Worker) -> None:
        notify(path.name)
        if index < len(files):
            reports[index] = check_entry(path, running, limits)
            return
        report = check_record(path)
        is_open = is_only_unverified(report.problems)
        reports[index] = verify_scores(report, running, limits, options) if is_open else report

    def check_until_empty(take: Callable[[], Task], threads: int | None) -> None:
        with worker(threads=threads) as running:
            while tasks:
                try:
                    index, path = take()
                except IndexError:  # the other thread took the last one
                    return
                check_path(path, index, running)

    if len(paths) < 2 or (os.cpu_count() or 1) < 2:
        check_until_empty(tasks.popleft, None)
    else:
        # From both ends: entries load a worker process, records this one, so both cores have work.
        with ThreadPoolExecutor(2) as pool:
            threads = [pool.submit(check_until_empty, take, 1) for take in (tasks.popleft, tasks.pop)]
            try:
                for thread in as_completed(threads):
                    thread.result()
            except BaseException:
                tasks.clear()
                raise
    return [reports[index] for index in range(len(paths))]
