"""Trials of known truth: how often reliance finds what a network was made to use, and how often it finds nothing.

    python -m tests.benchmark.reliance.trials [--power 20] [--null 200]

prints three tables. They take about ten minutes of one core. The tests run a small part of them.

Each background is rendered four times: with a red or a yellow lesion of one shape, with the sticker and without it. All
else is the same. Networks train on all four. So neither the skin nor the background carries a class.
"""

import argparse
import sys
from collections import Counter

import numpy as np
import torch

from benchmark.leaderboard.analysis.fourfold import CELLS, NO, UNDECIDED, YES
from benchmark.leaderboard.reliance_columns import MARK_EFFECT, RELIANCE
from benchmark.statistics.proportions import wilson
from tests.benchmark.reliance.known_truth import NULL_COLUMNS, SHOWN, TRUTH, null_trial, power_trial


def share(count: int, trials: int) -> str:
    """Formats a number of trials with the 95 % interval of its fraction, by Wilson."""
    low, high = wilson(count / trials, trials)
    return f"{count} of {trials} [{low:.3f}, {high:.3f}]"


def power_table(trials: int) -> list[str]:
    """Runs trials of power. Returns the lines of two tables in Markdown: networks of known truth, and all others."""
    results = [power_trial(seed) for seed in progress(trials)]
    heads = ["network", "uses the lesion", "uses the mark", "verdicts right", "verdicts wrong"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [known_line(name, [result[name] for result in results]) for name in TRUTH]
    heads = ["network", "accuracy", *MEASURED, "uses the lesion: yes", "no", "uses the mark: yes", "no"]
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return lines + [effect_line(name, [result[name] for result in results]) for name in results[0]]


MEASURED = ("planted lesion", RELIANCE, "planted mark", MARK_EFFECT)


def known_line(name: str, results) -> str:
    """Formats how many networks of a task get the right answers, and how many of their maps the right verdict."""
    truth = dict(zip(("uses lesion", "uses mark"), TRUTH[name], strict=True))
    cells = [
        f"{answer}: {share(sum(result[what] == answer for result in results), len(results))}"
        for what, answer in truth.items()
    ]
    expected = {where: CELLS[TRUTH[name][0], shows] for where, shows in SHOWN.items()}
    verdicts = [(result["verdicts"][where], cell) for result in results for where, cell in expected.items()]
    right = sum(got == cell for got, cell in verdicts)
    wrong = sum(got not in {cell, UNDECIDED} for got, cell in verdicts)
    return f"| {name} | {' | '.join([*cells, share(right, len(verdicts)), share(wrong, len(verdicts))])} |"


def effect_line(name: str, results) -> str:
    """Formats what was planted in the networks of a task, what was measured, and the answers."""
    means = [f"{np.mean([result[what] for result in results]):.3f}" for what in ("accuracy", *MEASURED)]
    counts = [
        share(sum(result[what] == answer for result in results), len(results))
        for what in ("uses lesion", "uses mark")
        for answer in (YES, NO)
    ]
    return f"| {name} | {' | '.join([*means, *counts])} |"


def null_table(trials: int) -> list[str]:
    """Runs trials without reliance. Returns the lines of a table in Markdown."""
    counts = Counter(name for seed in progress(trials) for name, found in null_trial(seed).items() if found)
    lines = ["| found without any | trials |", "|---|---|"]
    return [
        *lines,
        *(f"| {name} | {share(counts[name], trials)} |" for name in (*NULL_COLUMNS, "above 0 by every fill")),
    ]


def progress(trials: int):
    for seed in range(trials):
        sys.stderr.write(f"\r{seed + 1} of {trials}")
        yield seed
    sys.stderr.write("\n")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--power", type=int, default=20, help="number of trials with four trained networks each")
    parser.add_argument("--null", type=int, default=200, help="number of networks of random weights")
    chosen = parser.parse_args(words)
    torch.set_num_threads(1)
    lines = (power_table(chosen.power) if chosen.power else []) + (null_table(chosen.null) if chosen.null else [])
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
