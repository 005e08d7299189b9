"""Which images a run takes, and which of them train and which test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from benchmark.errors import UserError
from datasets import Case

SEED = 0
"""One split for all training seeds: their spread shall not contain that of the split."""


def take(cases: Sequence[Case], most: int | None, *, least: int = 2) -> tuple[Case, ...]:
    """At most so many cases, the same share of every class and official split, those with masks first.

    Args:
        cases: The cases of a data set.
        most: How many to take, but for rounding and rare classes; None takes all.
        least: As many of every class and split are taken, where there are so many.

    Returns:
        The cases taken, in their order.
    """
    if most is None or len(cases) <= most:
        return tuple(cases)
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(cases))
    strata: dict[tuple[str, str], list[int]] = {}
    for index in sorted(order, key=lambda index: not cases[index].masks):
        strata.setdefault((cases[index].diagnosis, cases[index].split or ""), []).append(int(index))
    shares = {name: most * len(members) / len(cases) for name, members in strata.items()}
    taken = sorted(index for name, members in strata.items() for index in members[: max(least, round(shares[name]))])
    return tuple(cases[index] for index in taken)


def held_out(cases: Sequence[Case], folds: int) -> NDArray[np.bool_]:
    """Which cases are for testing.

    The official split is kept where every case has one. Else one part in `folds` is drawn, stratified by
    diagnosis, and no group is on both sides.

    Args:
        cases: The cases of a run.
        folds: One part in so many is held out.

    Returns:
        True for test cases, (N,).

    Raises:
        UserError: A class lacks images on one of the sides.
    """
    labels = np.array([case.diagnosis for case in cases])
    if all(case.split for case in cases):
        test = np.array([case.split == "test" for case in cases])
    else:
        test = np.zeros(len(cases), dtype=bool)
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=SEED)
        rarest, count = min(zip(*np.unique(labels, return_counts=True), strict=True), key=lambda pair: pair[1])
        if count < folds:
            raise UserError(f"class {str(rarest)!r} has {count} images; it needs {folds}: add some or leave it out")
        _, indices = next(splitter.split(labels, labels, [case.group for case in cases]))
        test[indices] = True
    for name in np.unique(labels):
        for side, chosen in (("test", test), ("training", ~test)):
            if not (chosen & (labels == name)).any():
                raise UserError(f"class {str(name)!r} has no {side} images; add some or leave the class out")
    return test
