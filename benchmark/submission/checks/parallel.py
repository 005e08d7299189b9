"""Checks many entries and records in parallel. Each thread has a worker process for the code of entries."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from benchmark.leaderboard.admission.admit import Admission, admit
from benchmark.storage.results import RECORDS
from benchmark.submission.checks.report import CheckReport, check_entry, check_record
from benchmark.submission.checks.score import RescoreOptions, is_only_unverified, needs_box, verify_scores
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
    checks = _Checks(num_files=len(files), limits=limits, options=options, notify=notify)
    paths = [*files, *records]
    tasks: deque[Task] = deque(enumerate(paths))

    def check_until_empty(take: Callable[[], Task], threads: int | None) -> None:
        with worker(threads=threads) as running:
            while tasks:
                try:
                    index, path = take()
                except IndexError:  # the other thread took the last one
                    return
                checks.check_path(index, path, running)

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
    if checks.waiting:
        checks.verify_waiting()
    return [checks.reports[index] for index in range(len(paths))]


@dataclass(kw_only=True)
class _Checks:
    """Checks entries and records.

    Attributes:
        num_files: The paths before this index are entries.
        limits: Limits of each check.
        options: How the scores of records are verified.
        notify: Receives the name of each file.
        reports: Reports so far, by index.
        waiting: Indices of records of code. The judge registers their entries in this process, one after the other.
        admissions: Admissions of results directories so far.
        lock: Held while one of them is found, since two threads check.
    """

    num_files: int
    limits: Limits
    options: RescoreOptions
    notify: Callable[[str], None]
    reports: dict[int, CheckReport] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    admissions: dict[Path, Admission] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def check_path(self, index: int, path: Path, running: Worker) -> None:
        """Checks an entry or a record, and verifies the scores of a record unless it has to wait."""
        self.notify(path.name)
        if index < self.num_files:
            self.reports[index] = check_entry(path, running, self.limits)
            return
        report = self.reports[index] = check_record(path, self._admission(path))
        if not is_only_unverified(report.problems):
            return
        if needs_box(path, self.options):
            self.waiting.append(index)
        else:
            self.reports[index] = verify_scores(report, running, self.limits, self.options)

    def _admission(self, path: Path) -> Admission | None:
        """Returns the admission of the results directory of a record, which is found once. None without a directory."""
        if path.parent.name != RECORDS:
            return None
        with self.lock:
            directory = path.parent.parent
            if directory not in self.admissions:
                self.admissions[directory] = admit(directory)
            return self.admissions[directory]

    def verify_waiting(self) -> None:
        """Verifies the scores of the records that wait."""
        with worker() as running:
            for index in sorted(self.waiting):
                report = self.reports[index]
                self.notify(report.path.name)
                self.reports[index] = verify_scores(report, running, self.limits, self.options)
