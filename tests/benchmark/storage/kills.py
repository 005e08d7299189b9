"""Runs that are killed and repeated. They must end with the bytes of a run that nobody killed."""

import itertools
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from unittest import mock

from benchmark.errors import UserError
from benchmark.training.state import CheckpointFile
from tests.benchmark.storage.differences import Content, differing
from tests.benchmark.storage.fuzzing import PRESET, Bench
from tests.benchmark.storage.verbs import (
    PUBLISHED,
    clear,
    published,
    run_alone,
    start,
)

LONG = replace(PRESET, epochs=6)
"""A preset whose trainings store states that a killed run resumes from."""


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
