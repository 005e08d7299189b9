"""Verbs of the command line as processes on one results directory, and what each leaves published there."""

import gc
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import torch

from benchmark.__main__ import main
from benchmark.errors import UserError
from benchmark.leaderboard import build
from benchmark.storage.files import TMP_PREFIX
from benchmark.submission import evaluate
from benchmark.submission import submit as submit_module
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.entries import collect_facts, known_entry
from benchmark.submission.request import SubmissionRequest
from benchmark.submission.sandbox.limits import Limits
from tests.benchmark.storage.differences import Content
from tests.benchmark.storage.fuzzing import CHANGES, PRESET, TINY, Bench, Tiny, bench_in, few_metrics

PUBLISHED = (("standard", 0), ("gaussian-noise", 0))
"""Trainings whose rows are there before a round."""
OTHER = replace(PRESET, num_attacked=2)
"""A preset of another protocol."""
TABLES = ("*.csv", "*.md", "*.tex")
ENDED, REFUSED, CRASHED = 0, 2, 70
"""Exit codes of a process."""
FORK = multiprocessing.get_context("fork")
"""A forked process has the libraries that take seconds to load."""


def submit_entry(bench: Bench) -> None:
    """Submits an entry whose code is that of the bench: it needs no box, and its checks are not what is tried here."""
    entry = bench.directory / "submitted.py"
    facts = {"metadata": collect_facts(replace(TINY, name=entry.stem)), "pretrained": False, "unconfined": ""}
    report = CheckReport(kind="entry", path=entry, facts=facts)
    request = SubmissionRequest(data=bench.data, device="cpu", regimes=("standard",), seeds=(0,), changes=CHANGES)

    def known(path, metadata, _build, *, pretrained):
        return known_entry(path, metadata, partial(Tiny, width=5), pretrained=pretrained)

    with (
        mock.patch.multiple(submit_module, check_entry=lambda *_, **__: report, _build_host=lambda *_: None),
        mock.patch.object(evaluate, "known_entry", known),
        few_metrics(),
    ):
        submit_module.submit(entry, request, None, lambda _: None, limits=Limits())


def call(*words: str) -> Callable[[Bench], None]:
    """Returns what calls the command line."""

    def verb(_: Bench) -> None:
        with mock.patch.object(sys, "argv", ["benchmark", *words]):
            main()

    return verb


WRITERS: dict[str, Callable[[Bench], None]] = {
    "run": lambda bench: bench.run([("standard", 1)], tables=True),
    "run-noise": lambda bench: bench.run([("gaussian-noise", 1), ("standard", 0)], tables=True),
    "run-other": lambda bench: bench.run(PUBLISHED, preset=OTHER, tables=True),
    "submit": submit_entry,
}
READERS = {
    "leaderboard": call("leaderboard"),
    "status": call("status"),
    "compare": call("compare", "fuzzed/standard", "fuzzed/gaussian-noise"),
}
VERBS = WRITERS | READERS


@contextmanager
def no_figures() -> Iterator[None]:
    """Tables without figures, which take most of the time."""
    names = "regimes_figure", "critical_difference_figure", "agreement_figure"
    with mock.patch.multiple(build, **dict.fromkeys(names, lambda *_: None)):
        yield


def start(verb: Callable[[Bench], None], bench: Bench, log: Path, delay: float = 0.0) -> BaseProcess:
    """Starts a process that runs a verb and writes what it prints to a file."""
    process = FORK.Process(target=_run_verb, args=(verb, bench, log, delay))
    with warnings.catch_warnings():
        # Threads of Arrow wait in this process. It starts its own in a forked one.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    return process


def _run_verb(verb: Callable[[Bench], None], bench: Bench, log: Path, delay: float) -> None:
    code: object = CRASHED
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        time.sleep(delay)
        try:
            verb(bench)
            code = ENDED
        except SystemExit as end:
            code = end.code or ENDED
        except UserError as error:
            file.write(f"error: {error}\n")
            code = REFUSED
        except BaseException:  # noqa: BLE001 - that is what is counted
            traceback.print_exc(file=file)
    os._exit(code if isinstance(code, int) else CRASHED)


def published(bench: Bench) -> Content:
    """What the results directory has."""
    (directory,) = (bench.directory / "results").glob("*/quick")
    marker = json.loads((directory / "protocol.json").read_text(encoding="utf-8"))
    files = {path.name: path.read_bytes() for pattern in TABLES for path in directory.glob(pattern)}
    # A killed process leaves temporary files, which stay for a day.
    files = {name: content for name, content in files.items() if not name.startswith(TMP_PREFIX)}
    return bench.numbers() | files | {"protocol": marker["protocol"], "in_tables": sorted(marker["in_tables"])}


def run_alone(verb: Callable[[Bench], None], bench: Bench, name: str = "alone.log") -> None:
    """Runs a verb in a process.

    Raises:
        RuntimeError: It failed.
    """
    log = bench.directory / name
    process = start(verb, bench, log)
    process.join()
    if process.exitcode not in {ENDED, REFUSED}:
        raise RuntimeError(log.read_text(encoding="utf-8"))


def clear(bench: Bench) -> None:
    """Removes all runs and results."""
    for name in ("runs", "results"):
        shutil.rmtree(bench.directory / name, ignore_errors=True)


class Turns:
    """Runs verbs one after the other, from the same state, and stores the state after each order of them."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.directory = Path(tempfile.mkdtemp(dir=bench.directory))
        self.contents: dict[tuple[str, ...], Content] = {}

    def content(self, order: tuple[str, ...]) -> Content:
        """What is published after verbs in an order."""
        if order not in self.contents:
            if order:
                self.content(order[:-1])
                self.restore(order[:-1])
                run_alone(WRITERS[order[-1]], self.bench)
            else:
                clear(self.bench)
                run_alone(lambda bench: bench.run(PUBLISHED, tables=True), self.bench)
            for name in ("runs", "results"):
                shutil.copytree(self.bench.directory / name, self._stored(order) / name)
            self.contents[order] = published(self.bench)
        return self.contents[order]

    def restore(self, order: tuple[str, ...], *, with_runs: bool = True) -> None:
        """Brings back the state after verbs in an order."""
        for name in ("runs", "results"):
            shutil.rmtree(self.bench.directory / name, ignore_errors=True)
            if name == "results" or with_runs:
                shutil.copytree(self._stored(order) / name, self.bench.directory / name)

    def _stored(self, order: tuple[str, ...]) -> Path:
        return self.directory / "+".join(["state", *order])


@contextmanager
def workplace() -> Iterator[Bench]:
    """Yields a bench of its own, without figures. One run before loads what each process would load for itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked process waits forever for the threads of OpenMP of this one
    with tempfile.TemporaryDirectory() as scratch, bench_in(Path(scratch)) as bench, no_figures():
        (bench.directory / "submitted.py").write_text('"""The code of the bench."""\n', encoding="utf-8")
        bench.run(PUBLISHED, tables=True)
        clear(bench)
        gc.freeze()  # a collection in a forked process would copy the memory of this one
        yield bench
    gc.unfreeze()
    torch.set_num_threads(threads)
