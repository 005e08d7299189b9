"""Claims of the papers, judged on made-up scores: over new trainings, and only of networks that know something."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmark.leaderboard.analysis import claims
from benchmark.leaderboard.analysis.claim_list import MEANINGFUL_SIZES
from benchmark.leaderboard.analysis.claim_plan import plan_claims
from benchmark.leaderboard.analysis.collapse import count_collapsed, is_collapsed
from benchmark.leaderboard.columns import ACCURACY, COLUMNS
from benchmark.leaderboard.export.claims import claims_markdown, explain_no_claims, plan_lines, summarize_claims
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.leaderboard.tables import build_tables
from benchmark.registry import entries
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import resampling
from benchmark.statistics.tests import difference
from benchmark.training.regimes import Regime
from tests.benchmark.leaderboard.made_results import make_results

IMAGES = 60
CLAIM = claims.Claim(text="b has more", source="nobody", regime="b", than="a", column="sharpness", method="gradient")
ATTACK = "withstood:pgd-5-l2-0.25"
RECORD = SimpleNamespace(
    classes=("x", "y"),
    dataset="made",
    preset="study",
    synthetic=False,
    images={"test": IMAGES},
    metrics={},
    settings={"preset": {"attack_eps": [0.25]}},
)


def leaderboard(
    shift: float,
    *,
    seeds: int = 4,
    between: float = 0.001,
    noise: float = 0.1,
    accuracy: tuple[float, float] = (0.9, 0.9),
    draw: int = 0,
    groups: int = IMAGES,
) -> LeaderboardTable:
    """Two regimes of one network whose scores differ by a shift, with noise of images and of trainings."""
    rng = np.random.default_rng(draw)
    draws = resampling([f"g{number % groups}" for number in range(IMAGES)])
    image = rng.normal(0.5, 0.1, (IMAGES, 1))
    rows = []
    for regime, more, share in (("a", 0.0, accuracy[0]), ("b", shift, accuracy[1])):
        columns = {
            "sharpness": [
                _mean(image + more + rng.normal(0, between) + rng.normal(0, noise, (IMAGES, 1))) for _ in range(seeds)
            ],
            ACCURACY: [_mean(rng.random((IMAGES, 1)) < share) for _ in range(seeds)],
        }
        found = estimates(columns, draws, row=regime, bounds=dict.fromkeys(columns, (0.0, 1.0)))
        trainings = tuple(range(seeds))
        rows.append(Row(name="net", regime=regime, title=regime, adversarial=False, seeds=trainings, estimates=found))
    return LeaderboardTable(record=RECORD, method="gradient", positive="", rows=tuple(rows), problems=(), groups=IMAGES)


def _mean(scores: np.ndarray) -> RatioStatistic:
    return RatioStatistic(amounts=scores.astype(float), counts=np.ones((IMAGES, 1)))


@pytest.fixture
def evaluate(monkeypatch):
    """Evaluates some claims on a made-up table, with a number of collapsed trainings of its rows."""

    def run(table: LeaderboardTable, *judged: claims.Claim, collapsed: int = 0) -> list[claims.ClaimResult]:
        monkeypatch.setattr(claims, "CLAIMS", judged or (CLAIM,))
        monkeypatch.setattr(claims, "count_collapsed", lambda _published, labels: dict.fromkeys(labels, collapsed))
        return claims.evaluate_claims(None, [table])

    return run


@pytest.mark.parametrize(
    ("shift", "more", "verdict"),
    [
        (0.2, True, "seen"),
        (-0.2, True, "not seen: the opposite"),
        (-0.2, False, "seen"),
        (0.2, False, "not seen: the opposite"),
    ],
)
def test_the_sign_decides_where_the_difference_is_significant(evaluate, shift, more, verdict):
    (found,) = evaluate(leaderboard(shift), replace(CLAIM, more=more))
    assert found.verdict == verdict
    assert found.difference.value == pytest.approx(found.value - found.reference)


def test_a_difference_is_bounded_where_images_and_trainings_allow_no_meaningful_one(evaluate):
    (precise,) = evaluate(leaderboard(0.0, noise=0.01))
    assert precise.verdict == "bounded"
    (noisy,) = evaluate(leaderboard(0.0, noise=0.3))
    assert noisy.verdict == "undecided"
    # The images are as precise as before, but new trainings may differ.
    (unstable,) = evaluate(leaderboard(0.0, noise=0.01, between=0.05))
    assert unstable.verdict == "undecided"


def test_a_significant_difference_that_is_too_small_to_matter_is_called_so(evaluate):
    (found,) = evaluate(leaderboard(0.01, noise=0.01))
    assert (found.verdict, found.reason) == ("seen", "but smaller than 0.03")
    assert "**seen**: but smaller than 0.03" in claims_markdown([found], [leaderboard(0.01, noise=0.01)])


@pytest.mark.parametrize(
    ("changes", "collapsed", "reason"),
    [
        ({"accuracy": (0.5, 0.9)}, 0, "a does not beat chance"),
        ({"accuracy": (0.9, 0.45)}, 0, "b does not beat chance"),
        ({"seeds": 1}, 0, "b was trained once; a was trained once"),
        ({}, 2, "2 of 4 trainings of b collapsed to one answer; 2 of 4 trainings of a collapsed to one answer"),
    ],
)
def test_there_is_no_verdict_on_guesses_on_collapsed_and_on_single_trainings(evaluate, changes, collapsed, reason):
    table = leaderboard(0.2, **changes)
    (found,) = evaluate(table, collapsed=collapsed)
    assert found.difference.p < 1e-3
    assert (found.verdict, found.reason) == ("no verdict", reason)
    assert f"**no verdict**: {reason}" in claims_markdown([found], [table])


def test_there_is_no_verdict_where_interval_and_test_disagree(evaluate, monkeypatch):
    known = claims.difference
    monkeypatch.setattr(claims, "difference", lambda *rows: replace(known(*rows), low=-0.1))
    (found,) = evaluate(leaderboard(0.2))
    assert found.adjusted < 0.05
    assert (found.verdict, found.reason) == ("no verdict", "its interval and its test disagree")


def test_p_values_are_corrected_over_the_claims_with_a_verdict(evaluate):
    tables = [leaderboard(0.03, draw=draw) for draw in range(20)]
    found = [(evaluate(table)[0], table) for table in tables]
    alone, table = next(pair for pair in found if 0.02 < pair[0].difference.p < 0.04 and pair[0].verdict == "seen")
    several = evaluate(table, CLAIM, replace(CLAIM, more=False), replace(CLAIM, text="again"), replace(CLAIM, text="x"))
    assert {found.adjusted for found in several} == {4 * alone.difference.p}
    assert {found.verdict for found in several} <= {"undecided", "bounded"}


def test_a_variant_is_compared_with_itself(evaluate):
    table = leaderboard(0.0)
    other = [replace(row, regime=f"{row.regime}+imagenet") for row in leaderboard(0.2, draw=1).models]
    found = evaluate(replace(table, rows=(*table.rows, *other)))
    assert [(result.architecture, result.verdict == "seen") for result in found] == [
        ("net", False),
        ("net+imagenet", True),
    ]
    (without,) = evaluate(replace(table, rows=(table.rows[0], other[1], *other[:1])))
    assert without.architecture == "net+imagenet"


def test_without_the_regimes_the_column_or_the_method_nothing_is_said(evaluate):
    for change in ({"regime": "c"}, {"column": "sparsity"}, {"method": "rise"}):
        assert evaluate(leaderboard(0.2), replace(CLAIM, **change)) == []


def test_a_training_that_gives_one_answer_is_collapsed_unless_that_is_right():
    label = np.repeat([0, 1], [160, 40])
    for predicted, collapsed in ((np.zeros(200), True), (label, False), (np.arange(200) % 2, False)):
        assert is_collapsed(pd.DataFrame({"label": label, "predicted": predicted})) is collapsed
    rare = np.repeat([0, 1], [199, 1])
    assert not is_collapsed(pd.DataFrame({"label": rare, "predicted": rare}))


def test_claims_are_about_regimes_and_columns_that_exist_and_have_a_meaningful_size():
    names = {column.name for column in COLUMNS}
    for claim in claims.CLAIMS:
        assert claim.column in names
        assert {claim.regime, claim.than} <= set(entries(Regime))
        assert claim.size == MEANINGFUL_SIZES[claim.column] > 0
    assert set(MEANINGFUL_SIZES) == {claim.column for claim in claims.CLAIMS}


def test_constant_answers_earn_no_verdict_although_no_attack_changes_them(tmp_path):
    regimes = [*dict.fromkeys(["standard", "adversarial", *entries(Regime)])]
    number = regimes.index("pgd-l2") + 1
    directory = make_results(
        tmp_path / "made" / "study", images=60, architectures=1, regimes=number, seeds=3, classes=2
    )
    for path in (directory / "records").glob("*.predictions.parquet"):
        frame = pd.read_parquet(path)
        constant = path.name.startswith("densenet121-pgd-l2-") and "-2." not in path.name
        predicted = 0 * frame["label"] if constant else frame["label"]
        withstood = (predicted == frame["label"]) & ("pgd-l2" in path.name)
        frame.assign(predicted=predicted, p0=1.0 - predicted, p1=1.0 * predicted, **{ATTACK: withstood}).to_parquet(
            path
        )
    published = read_results(directory)
    published = replace(
        published,
        records={path: known for path, known in published.records.items() if known.regime in {"pgd-l2", "standard"}},
    )
    labels = ["densenet121/pgd-l2", "densenet121/standard"]
    assert count_collapsed(published, labels) == dict(zip(labels, (2, 0), strict=True))
    found = claims.evaluate_claims(published, build_tables(published, ["grad-cam"]))
    attacked = next(
        result for result in found if "under attack" in result.claim.text and "Madry" in result.claim.source
    )
    assert attacked.difference.value > 0.5
    assert attacked.verdict == "no verdict"
    assert "2 of 3 trainings of pgd-l2 collapsed" in attacked.reason


def test_the_page_counts_each_verdict(evaluate):
    table = leaderboard(0.2)
    found = evaluate(table, CLAIM, replace(CLAIM, more=False))
    assert summarize_claims(found) == "Of 2 claims: 1 seen, 1 opposite, 0 bounded, 0 undecided, 0 without a verdict."
    assert summarize_claims(found) in claims_markdown(found, [table])


def test_a_plan_of_more_trainings_and_images_decides(evaluate):
    table = leaderboard(0.0, noise=0.3, between=0.02)
    (found,) = evaluate(table)
    (plan,) = plan_claims([found])
    spread = plan.variance.of_trainings(plan.variance.groups) ** 0.5
    assert spread == pytest.approx((0.02**2 + 0.3**2 / IMAGES) ** 0.5, abs=0.02)
    needed = [count for count in plan.groups if count is not None]
    assert needed == sorted(needed, reverse=True)
    assert "## What would decide them" in claims_markdown([found], [table])
    lines = plan_lines(plan, {column.name: column.title for column in COLUMNS})
    assert f"trainings needed with {IMAGES} groups: {plan.seeds or 'no number'}; or" in lines[2]
    assert all(f"{count:,} groups and" in lines[2] for count in needed)


def test_a_plan_says_what_comes_first(evaluate):
    (found,) = evaluate(leaderboard(0.2, seeds=1))
    assert "at least twice" in plan_claims([found])[0].first
    (found,) = evaluate(leaderboard(0.2, accuracy=(0.9, 0.5)))
    (plan,) = plan_claims([found])
    assert plan.first == "train better: b does not beat chance"
    assert plan.variance is not None
    (found,) = evaluate(leaderboard(0.2))
    assert plan_claims([found]) == []


def test_a_plan_from_a_single_group_says_that_it_is_too_few():
    table = leaderboard(0.0, groups=1)
    one, base = (row.estimates["sharpness"] for row in table.models)
    result = claims.ClaimResult(
        claim=CLAIM, architecture="net", one=one, base=base, difference=difference(one, base), obstacle=""
    )
    (plan,) = plan_claims([result])
    assert plan.first.startswith("test on more groups")
    assert plan.variance is None


def test_a_single_group_has_no_interval_and_no_claims_are_explained(evaluate):
    table = leaderboard(0.2, groups=1)
    text = claims_markdown(evaluate(table), [table])
    assert "[no interval: one group]" in text
    assert "nan" not in text
    assert "this table has a, b" in explain_no_claims(table)
