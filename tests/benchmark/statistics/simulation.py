"""Simulated tables of known truth: how often statements about models are false, and how often intervals cover.

`python -m tests.benchmark.statistics.simulation` writes results/performance/inference.md. It takes about a quarter of
an hour on one core. The tests run a small part of it.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.bootstrap import Estimate, estimates
from benchmark.statistics.ratios import RatioStatistic, mean_of_finite
from benchmark.statistics.resampling import Resampling, resampling
from benchmark.statistics.tests import ALPHA, Pairs, all_pairs, differences
from benchmark.statistics.trainings import pool_trainings
from benchmark.storage.files import write_text
from benchmark.storage.paths import ROOT

PAGE = ROOT / "results" / "performance" / "inference.md"
IMAGE_SD = 0.15
"""Standard deviation of the difficulty of groups, which all rows share."""
OWN_SD = 0.05
"""Standard deviations of what is a row's own in a group, of what is a training's own, and of single images."""
NUM_GROUPS = 60
SDS = (0.0, 0.0125, 0.03)
SEEDS = (1, 2, 3, 5)

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A kind of table.

    Attributes:
        rows: Number of rows.
        seeds: Seeds of each row.
        sd: Standard deviation between trainings.
        uneven: Whether groups have one to about eight images, not one each.
        missing: "none", "random" (a tenth of the images of each row), or "worst" (the hardest images, of every other
            row).
        means: True means of the rows; equal ones by default.
    """

    rows: int
    seeds: int
    sd: float
    uneven: bool = False
    missing: str = "none"
    means: Sequence[float] = ()

    @property
    def truth(self) -> Array:
        """True means of the rows."""
        return np.array(self.means or [0.5] * self.rows)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A simulated table: its rows, and the true means of the models and of the trainings."""

    rows: list[Estimate]
    models: Array
    trainings: Array


def groups_of(*, uneven: bool, rng: np.random.Generator, number: int = NUM_GROUPS) -> NDArray[np.int64]:
    """The group of each image."""
    return np.repeat(np.arange(number), 1 + rng.poisson(1.5, number) if uneven else 1)


def draws_of(codes: NDArray[np.int64], num_draws: int | None = None) -> Resampling:
    """The draws of the bootstrap. Tests need none of them, so a few are enough there."""
    if num_draws is None:
        return _whole_draws(tuple(codes.tolist()))
    return Resampling(codes=codes, weights=np.ones((num_draws, int(codes.max()) + 1)))


@lru_cache(maxsize=1)
def _whole_draws(codes: tuple[int, ...]) -> Resampling:
    return resampling([f"{code:04d}" for code in codes])


def simulate(setting: Setting, rng: np.random.Generator, num_draws: int | None = 4) -> Table:
    """Draws a table and estimates it as the leaderboard does."""
    codes = groups_of(uneven=setting.uneven, rng=rng)
    draws = draws_of(codes, num_draws)
    difficulty = rng.normal(0, IMAGE_SD, NUM_GROUPS)[codes] + rng.normal(0, OWN_SD, len(codes))
    trainings = setting.truth[:, None] + rng.normal(0, setting.sd, (setting.rows, setting.seeds)) * (setting.sd > 0)
    rows = []
    for index, means in enumerate(trainings):
        own = rng.normal(0, OWN_SD, NUM_GROUPS)[codes]
        defined = _defined(setting.missing, index, difficulty, rng)
        seeds = [
            np.where(defined, mean + difficulty + own + rng.normal(0, OWN_SD, len(codes)), np.nan) for mean in means
        ]
        statistics = [replace(mean_of_finite(values), partial=setting.missing != "none") for values in seeds]
        rows.append(estimate(statistics, draws, str(index)))
    return Table(rows=pool_trainings(rows), models=setting.truth, trainings=trainings.mean(axis=1))


def _defined(missing: str, index: int, difficulty: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    if missing == "random":
        return np.asarray(rng.random(len(difficulty)) < 0.9)
    if missing == "worst" and index % 2:
        return np.asarray(difficulty > np.quantile(difficulty, 0.3))
    return np.ones(len(difficulty), dtype=np.bool_)


def estimate(statistics: Sequence[RatioStatistic], draws: Resampling, row: str = "") -> Estimate:
    """One column of one row, within [0, 1] for proportions."""
    bounds = (0.0, 1.0) if statistics[0].proportion else (-np.inf, np.inf)
    return estimates({"": statistics}, draws, row=row, bounds={"": bounds})[""]


def families(setting: Setting, times: int, seed: int = 0) -> tuple[float, float, float]:
    """Returns three fractions over simulated tables.

    The first is the fraction of tables with a false statement about models: a significant pair of equal models, or one
    of the wrong sign. The second is the coverage of the intervals of pairs of equal rows, which exclude 0 where the
    p-value is below 5 %. The third is the fraction of unequal pairs that are found. Of single trainings, intervals are
    of these trainings, and there are no statements about models.
    """
    rng = np.random.default_rng(seed)
    false, covered, found = [], [], []
    upper = np.triu_indices(setting.rows, 1)
    unequal = (setting.truth[:, None] != setting.truth)[upper]
    for _ in range(times):
        table = simulate(setting, rng)
        pairs = all_pairs(table.rows)
        false.append(is_false(pairs, setting.truth))
        if setting.seeds == 1 and setting.rows == 2:
            (test,) = differences([(table.rows[0], table.rows[1])])
            covered.append(test.low <= table.trainings[0] - table.trainings[1] <= test.high)
        elif setting.seeds > 1:
            covered.append(np.mean(pairs.p[upper][~unequal] >= ALPHA) if not unequal.all() else np.nan)
        found.append(pairs.significant[upper][unequal].mean() if unequal.any() else np.nan)
    return float(np.mean(false)), float(np.mean(covered or [np.nan])), float(np.mean(found))


def is_false(pairs: Pairs, truth: Array) -> bool:
    """Whether a table says of two models that one is better, and it is not."""
    return bool((pairs.higher & (truth[:, None] <= truth)).any())


def row_coverage(setting: Setting, times: int, seed: int = 0) -> float:
    """Returns the coverage of the intervals of rows: of models, or of single trainings where these are unknown."""
    rng = np.random.default_rng(seed)
    covered = []
    for _ in range(times):
        table = simulate(setting, rng, None)
        about = table.models if table.rows[0].error.knows_trainings else table.trainings
        covered += [row.low <= true <= row.high for row, true in zip(table.rows, about, strict=True)]
    return float(np.mean(covered))


def proportion_coverage(
    rates: Sequence[float], *, groups: int, uneven: bool, times: int, alike: float = 0.0, seed: int = 0
) -> float:
    """Returns the coverage of a fraction of one class, or of the balanced accuracy of several.

    Args:
        rates: True fraction of each class.
        groups: Number of groups of each class.
        uneven: Whether groups have several images.
        times: Number of tables.
        alike: Correlation of the images of a group.
        seed: Seed.
    """
    rng = np.random.default_rng(seed)
    sizes = groups_of(uneven=uneven, rng=rng, number=groups * len(rates))
    draws = draws_of(sizes, 4)
    classes = sizes % len(rates)
    counts = (classes[:, None] == np.arange(len(rates))).astype(np.float64)
    covered = 0
    for _ in range(times):
        chance = np.array(rates)[np.arange(groups * len(rates)) % len(rates)]
        if alike:
            chance = rng.beta(chance * (1 / alike - 1), (1 - chance) * (1 / alike - 1))
        right = rng.random(len(sizes)) < chance[sizes]
        statistic = RatioStatistic(amounts=right[:, None] * counts, counts=counts, proportion=True)
        known = estimate([statistic], draws)
        covered += known.low <= np.mean(rates) <= known.high
    return covered / times


def _times(rows: int) -> int:
    return {2: 600, 6: 200}.get(rows, 60)


def _family_settings() -> Iterator[Setting]:
    shapes = [(False, "none"), (True, "worst"), (True, "none"), (True, "random")]
    for rows in (2, 6, 22):
        for seeds in SEEDS if rows == 2 else SEEDS[1:]:
            for sd in SDS:
                for uneven, missing in shapes[: 4 if rows == 2 else 2]:
                    yield Setting(rows=rows, seeds=seeds, sd=sd, uneven=uneven, missing=missing)


def _family_lines(settings: Iterable[Setting]) -> Iterator[str]:
    for it in settings:
        false, covered, _ = families(it, _times(it.rows))
        groups = "uneven" if it.uneven else "even"
        yield f"| {it.rows} | {it.seeds} | {it.sd} | {groups} | {it.missing} | {false:.3f} | {covered:.3f} |"


def _power_lines() -> Iterator[str]:
    for rows in (2, 22):
        for seeds in SEEDS[1:]:
            for sd in SDS[1:]:
                powers = []
                for gap in (0.03, 0.05):
                    means = [0.5 + gap * (index % 2) for index in range(rows)]
                    setting = Setting(rows=rows, seeds=seeds, sd=sd, means=means)
                    powers.append(families(setting, 200 if rows == 2 else 15)[2])
                yield f"| {rows} | {seeds} | {sd} | {powers[0]:.2f} | {powers[1]:.2f} |"


def _row_lines() -> Iterator[str]:
    for rows, seeds in ((1, 1), (1, 2), (6, 2), (6, 3), (6, 5)):
        for sd, uneven in ((0.0, False), (0.03, False), (0.0125, True)):
            setting = Setting(rows=rows, seeds=seeds, sd=sd, uneven=uneven)
            kind = "images only, one training" if seeds == 1 else "images and trainings"
            groups = "uneven" if uneven else "even"
            covered = row_coverage(setting, 600 // rows)
            yield f"| {kind} | {rows} | {seeds} | {sd} | {groups} | {covered:.3f} |"


def _proportion_lines() -> Iterator[str]:
    cases: list[tuple[str, list[float]]] = [
        *((f"{rate}", [rate]) for rate in (0.01, 0.02, 0.05, 0.2, 0.5, 0.95, 0.99)),
        ("balanced accuracy .5, two classes", [0.1, 0.9]),
        ("balanced accuracy .98, two classes", [0.97, 0.99]),
        ("balanced accuracy .5, six classes", [0.02, 0.2, 0.4, 0.6, 0.8, 0.98]),
    ]
    for name, rates in cases:
        values = [
            proportion_coverage(rates, groups=groups, uneven=uneven, alike=alike, times=1000)
            for groups in (40, 200)
            for uneven, alike in ((False, 0.0), (True, 0.3))
        ]
        yield f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |"


INTRODUCTION = (
    "Made by `python -m tests.benchmark.statistics.simulation`. Tables of known truth go through the code of the "
    "leaderboard. Groups of images: 60, of one image (even) or of one to about eight (uneven). Standard deviations: "
    ".15 of groups, .05 of a row in a group, .05 of a training in an image. That between trainings is in the table. "
    "Missing scores: none, a tenth of the images of each row at random, or the hardest 30 % of every other row."
)
FALSE_STATEMENTS = (
    "False: fraction of tables in which any pair of models is significant, after Holm over all pairs. Coverage: that "
    "of the intervals of differences. With one seed the leaderboard says nothing about models, and intervals are of "
    "these trainings. Tables: 600 of two rows, 200 of six, 60 of 22. The standard error of a false rate of .05 is "
    ".009, .015 and .028."
)


ROWS = (
    "Of 600 tables of one row (standard error .009), or 100 of six. The six share their images and miss together, so "
    "the standard error is about .02 there."
)


def _print(lines: Iterable[str]) -> Iterator[str]:
    """Shows lines as they are made."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        yield line


def _page() -> Iterator[str]:
    yield from ["# What the statements of a table are worth: simulations", "", INTRODUCTION, ""]
    yield from ["## Equal models: false statements, and coverage of differences", "", FALSE_STATEMENTS, ""]
    yield "| rows | seeds | SD between trainings | groups | missing | false | coverage |"
    yield from ["|---|---|---|---|---|---|---|", *_family_lines(_family_settings()), ""]
    yield from ["## Power: fraction of truly different pairs that are found", ""]
    yield from ["Half of the rows are better by .03 or .05. Holm over all pairs.", ""]
    yield from ["| rows | seeds | SD between trainings | .03 | .05 |", "|---|---|---|---|---|"]
    yield from [*_power_lines(), "", "## Coverage of the intervals of rows", "", ROWS, ""]
    yield from ["| interval | rows | seeds | SD between trainings | groups | coverage |", "|---|---|---|---|---|---|"]
    yield from [*_row_lines(), "", "## Coverage of the intervals of proportions", ""]
    yield from ["Uneven groups: images of a group correlate by .3.", ""]
    yield from [
        "| true value | 40 images | 40 uneven groups | 200 images | 200 uneven groups |",
        "|---|---|---|---|---|",
    ]
    yield from [*_proportion_lines(), ""]


def main() -> None:
    """Runs everything and writes the page."""
    write_text(PAGE, "\n".join(_print(_page())))


if __name__ == "__main__":
    main()
