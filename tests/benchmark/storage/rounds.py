"""Several verbs at once in one results directory, and killed runs: python -m tests.benchmark.storage.rounds 200 60 100

Each verb is a process. The system decides the order in which they write. The tables of a round must therefore equal
those of the same verbs in turn, in one of the orders. `--verbs submit,leaderboard,run-noise` makes the verbs of all
rounds the same. A run that is killed is repeated, and must end with the bytes of a run that nobody killed.

The third number is that of interleaved rounds: one verb runs from start to end between two accesses of another one to
the results, wherever that one does not hold the lock. Chance does not decide these, so that rare orders are tried too.
"""

import argparse
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from unittest import mock

from filelock import FileLock

from benchmark.errors import UserError
from benchmark.storage.lock import LOCK_FILE
from tests.benchmark.storage.differences import differing
from tests.benchmark.storage.fuzzing import Bench, table
from tests.benchmark.storage.kills import killed_rounds
from tests.benchmark.storage.verbs import (
    ENDED,
    REFUSED,
    VERBS,
    WRITERS,
    Turns,
    published,
    run_alone,
    start,
    workplace,
)

MAX_DELAY_S = 0.5


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
