"""Several verbs at once in one results directory, and killed runs: python -m tests.benchmark.storage.rounds 200 60 100

Each verb is a process. The system decides the order in which they write. The tables of a round must therefore equal
those of the same verbs in turn, in one of the orders. `--verbs submit,leaderboard,run-noise` makes the verbs of all
rounds the same. A run that is killed is repeated, and must end with the bytes of a run that nobody killed.

The third number is that of interleaved rounds: one verb runs from start to end between two accesses of another one to
the results, wherever that one does not hold the lock. Chance does not decide these, so that rare orders are tried too.
"""

import argparse
import csv
import gc
import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import torch
from filelock import FileLock

from benchmark.__main__ import main
from benchmark.errors import UserError
from benchmark.leaderboard import build
from benchmark.storage.files import TMP_PREFIX
from benchmark.storage.lock import LOCK_FILE
from benchmark.submission import evaluate
from benchmark.submission import submit as submit_module
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.entries import collect_facts, known_entry
from benchmark.submission.request import SubmissionRequest
from benchmark.submission.sandbox.limits import Limits
from benchmark.training.state import CheckpointFile
from tests.benchmark.storage.fuzzing import CHANGES, PRESET, TINY, Bench, Tiny, bench_in, few_metrics, table

PUBLISHED = (("standard", 0), ("gaussian-noise", 0))
"""Trainings whose rows are there before a round."""
OTHER = replace(PRESET, num_attacked=2)
"""A preset of another protocol."""
LONG = replace(PRESET, epochs=6)
"""A preset whose trainings store states that a killed run resumes from."""
MAX_DELAY_S = 0.5
TABLES = ("*.csv", "*.md", "*.tex")
ENDED, REFUSED, CRASHED = 0, 2, 70
"""Exit codes of a process."""
FORK = multiprocessing.get_context("fork")
"""A forked process has the libraries that take seconds to load."""

Content = dict[str, object]
"""What is published, by name, but for times."""


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


def concurrent_rounds(turns: Turns, rounds: int, seed: int = 0, verbs: Sequence[str] = ()) -> Counter[tuple[str, str]]:
    """Runs two or three verbs at once, again and again. Counts the outcomes by number of verbs.

    Args:
        turns: The bench, and its states after verbs in turn.
        rounds: Number of rounds.
        seed: Seed of verbs and delays.
        verbs: The verbs of all rounds. Empty draws them.
    """
    bench, rng = turns.bench, random.Random(seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    turns.content(())
    for _ in range(rounds):
        names = [rng.choice(list(WRITERS)), *(rng.choice(list(VERBS)) for _ in range(rng.choice((1, 2))))]
        names = list(verbs) or names
        turns.restore((), with_runs=rng.random() < 0.75)
        logs = [bench.directory / f"verb{place}.log" for place in range(len(names))]
        started = [
            start(VERBS[name], bench, log, rng.uniform(0, MAX_DELAY_S)) for name, log in zip(names, logs, strict=True)
        ]
        for process in started:
            process.join()
        outcome = judge_round(turns, names, [process.exitcode for process in started])
        outcomes[f"{len(names)} verbs", outcome] += 1
        if "-v" in sys.argv:
            sys.stderr.write(f"{outcome}: {', '.join(names)}\n")
        if outcome != "as in turn":
            texts = [log.read_text(encoding="utf-8") for log in logs]
            sys.stderr.write(f"{outcome}: {', '.join(names)}\n{''.join(texts)}\n")
    return outcomes


def judge_round(turns: Turns, names: Sequence[str], codes: Sequence[int | None]) -> str:
    """How a round ended."""
    if any(code not in {ENDED, REFUSED} for code in codes):
        return "traceback"
    if any(code == REFUSED and name != "submit" for name, code in zip(names, codes, strict=True)):
        return "refused"  # the same submission a second time says that there is nothing to do
    try:
        found = published(turns.bench)
    except (UserError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{error}\n")
        return "unusable"
    orders = sorted(set(itertools.permutations(name for name in names if name in WRITERS)))
    if any(found == turns.content(order) for order in orders):
        return "as in turn"
    for order in orders:
        sys.stderr.write(f"unlike {', '.join(order)}: {differing(found, turns.content(order))}\n")
    return "other tables"


ACCESSES = frozenset({"open", "os.listdir", "os.scandir", "os.rename", "os.remove"})
"""Events of Python before files are used."""


def run_beside(bench: Bench, verb: str, other: str = "", step: int = 0) -> None:
    """Runs a verb, and another one from start to end before one of its accesses to the results.

    Args:
        bench: The bench.
        verb: The verb.
        other: The other one. None without a name.
        step: Number of the access, counted from 1 where this process does not hold the lock.
    """
    results = str(bench.directory / "results")
    (table,) = (bench.directory / "results").glob("*/quick")
    steps = itertools.count(1)
    is_busy = False

    def before(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal is_busy
        if is_busy or event not in ACCESSES or not str(arguments[0]).startswith(results):
            return
        is_busy = True
        if not FileLock(table / LOCK_FILE, is_singleton=True).is_locked and next(steps) == step:
            with mock.patch.dict(os.environ, {"LOUPE_RESULTS": results}):
                run_alone(VERBS[other], bench, "other.log")
            return
        is_busy = False

    sys.addaudithook(before)
    try:
        VERBS[verb](bench)
    finally:
        is_busy = True
        (bench.directory / "steps").write_text(str(next(steps) - 1), encoding="utf-8")


def count_steps(turns: Turns, verb: str) -> int:
    """The number of accesses of a verb to the results outside the lock."""
    turns.restore(())
    run_alone(partial(run_beside, verb=verb), turns.bench)
    return int((turns.bench.directory / "steps").read_text(encoding="utf-8"))


def interleaved_rounds(turns: Turns, rounds: int, seed: int = 0, verbs: Sequence[str] = ()) -> Counter[tuple[str, str]]:
    """Runs a verb between two accesses of another one to the results. Counts the outcomes by the outer verb.

    Args:
        turns: The bench, and its states after verbs in turn.
        rounds: Number of rounds.
        seed: Seed of what is run where.
        verbs: The outer verbs. Empty takes all.
    """
    bench = turns.bench
    turns.content(())
    tries = [
        (verb, other, step + 1)
        for verb in verbs or VERBS
        for step in range(count_steps(turns, verb))
        for other in WRITERS
    ]
    sys.stderr.write(f"{len(tries)} ways to interleave\n")
    outcomes: Counter[tuple[str, str]] = Counter()
    for verb, other, step in random.Random(seed).sample(tries, min(rounds, len(tries))):
        turns.restore(())
        log = bench.directory / "verb0.log"
        process = start(partial(run_beside, verb=verb, other=other, step=step), bench, log)
        process.join()
        outcome = judge_round(turns, [verb, other], [process.exitcode, ENDED])
        outcomes[f"{verb}, another one inside", outcome] += 1
        if "-v" in sys.argv or outcome != "as in turn":
            text = "" if outcome == "as in turn" else log.read_text(encoding="utf-8")
            sys.stderr.write(f"{outcome}: {verb}, before access {step} {other}\n{text}")
    return outcomes


def run_long(bench: Bench, last: int = 0, *, after: bool = False) -> None:
    """Runs all trainings, each of which stores its state after every epoch.

    Args:
        bench: The bench.
        last: Number of the rename at which the process kills itself; 0 is never.
        after: Whether it does so right after that rename, not right before it.
    """
    renames = itertools.count(1)
    save = CheckpointFile.save

    def counting(rename: Callable[..., None]) -> Callable[..., None]:
        def renaming(*arguments: object) -> None:
            here = next(renames) == last
            if here and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*arguments)
            if here:
                os.kill(os.getpid(), signal.SIGKILL)

        return renaming

    def saving(self: CheckpointFile, state: object) -> None:
        self._seconds = 0
        save(self, state)

    with (
        mock.patch.multiple(os, replace=counting(os.replace), rename=counting(os.rename)),
        mock.patch.object(CheckpointFile, "save", saving),
    ):
        bench.run(PUBLISHED, preset=LONG, tables=True)
    (bench.directory / "renames").write_text(str(next(renames) - 1), encoding="utf-8")


def clear(bench: Bench) -> None:
    """Removes all runs and results."""
    for name in ("runs", "results"):
        shutil.rmtree(bench.directory / name, ignore_errors=True)


def published_and_trained(bench: Bench) -> Content:
    """What is published, and the weights of the networks."""
    models = sorted((bench.directory / "runs" / "models").glob("[!.]*/[!.]*.safetensors"))
    weights: Content = {str(path.relative_to(bench.directory)): path.read_bytes() for path in models}
    return published(bench) | weights


def killed_rounds(bench: Bench, rounds: int, seed: int = 0) -> Counter[tuple[str, str]]:
    """Kills a run up to three times, then lets it end. Counts the outcomes by what decides the moment."""
    rng = random.Random(seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    clear(bench)
    begun = time.monotonic()
    run_alone(run_long, bench)
    seconds, expected = time.monotonic() - begun, published_and_trained(bench)
    renames = int((bench.directory / "renames").read_text(encoding="utf-8"))
    for number in range(rounds):
        kind = ("killed at a random moment", "killed at a rename")[number % 2]
        clear(bench)
        killed = False
        for _ in range(rng.choice((1, 1, 2, 3))):
            if number % 2:
                last, after = rng.randint(1, renames), rng.random() < 0.5
                process = start(partial(run_long, last=last, after=after), bench, bench.directory / "killed.log")
            else:
                process = start(run_long, bench, bench.directory / "killed.log")
                process.join(rng.uniform(0, seconds))
                process.kill()
            process.join()
            killed = killed or process.exitcode == -signal.SIGKILL
        outcome = judge_resumed(bench, expected) if killed else "ended before"
        outcomes[kind, outcome] += 1
        if "-v" in sys.argv:
            sys.stderr.write(f"{outcome}: {kind}\n")
    return outcomes


def judge_resumed(bench: Bench, expected: Content) -> str:
    """How the run ends that follows killed ones."""
    try:
        run_alone(run_long, bench)
        found = published_and_trained(bench)
    except (RuntimeError, UserError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return "failed"
    if found != expected:
        sys.stderr.write(f"other bytes: {differing(found, expected)}\n")
        return "other bytes"
    return "the same bytes"


def differing(found: Content, expected: Content) -> list[str]:
    """Describes what differs: what is missing, what is too much, and where the content is another."""
    missing = [f"{name}: missing" for name in expected.keys() - found.keys()]
    added = [f"{name}: not expected" for name in found.keys() - expected.keys()]
    common = [name for name in found.keys() & expected.keys() if found[name] != expected[name]]
    return sorted([*missing, *added, *(f"{name}: {describe_change(found[name], expected[name])}" for name in common)])


def describe_change(found: object, expected: object) -> str:
    """Says in which keys of JSON, columns of CSV or lines of text two contents differ."""
    texts = [text_of(each) for each in (found, expected)]
    try:
        one, other = (dict(json.loads(text)) for text in texts)
    except (ValueError, TypeError):
        return describe_lines(*(text.splitlines() for text in texts))
    return "other " + ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))


def text_of(content: object) -> str:
    """Content as text. Each item of a list has its line."""
    if isinstance(content, bytes):
        return content.decode("utf-8", "replace")
    return "\n".join(map(str, content)) if isinstance(content, list) else str(content)


def describe_lines(found: Sequence[str], expected: Sequence[str]) -> str:
    """Says in which columns two tables differ, or which lines only one of two texts has."""
    one, other = (list(csv.reader(lines)) for lines in (found, expected))
    if one and other and len(one[0]) > 1 and one[0] == other[0] and len(one) == len(other):
        rows = [row for row in zip(one[1:], other[1:], strict=True) if row[0] != row[1]]
        columns = {name for a, b in rows for name, x, y in zip(one[0], a, b, strict=False) if x != y}
        return f"{len(rows)} rows with other {', '.join(sorted(columns))}"
    lines = [
        f"{sign}{line[:100]}"
        for sign, a, b in (("+", found, expected), ("-", expected, found))
        for line in a
        if line not in b
    ]
    return f"{len(lines)} lines differ: {lines[:4]}"


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", type=int, nargs="*", help="rounds of verbs at once, killed runs, interleaved verbs")
    parser.add_argument("--verbs", type=lambda text: text.split(","), default=(), help="verbs of all rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-v", action="store_true", help="a line for each round")
    options = parser.parse_args()
    with workplace() as place:
        states = Turns(place)
        tried = (
            partial(concurrent_rounds, states, verbs=options.verbs),
            partial(killed_rounds, place),
            partial(interleaved_rounds, states, verbs=options.verbs),
        )
        for rounds_of, number in zip(tried, options.numbers, strict=False):
            if number:
                sys.stdout.write(table(rounds_of(number, options.seed), "round") + "\n\n")
                sys.stdout.flush()
