"""One rule for "beats chance" and one for "best baseline": they are the same wherever they are shown."""

from dataclasses import replace

import pytest

from benchmark.baselines import RATER
from benchmark.leaderboard.analysis.baselines import against_baseline, best_baseline, human_ceiling
from benchmark.leaderboard.analysis.chance import beats_chance, chance_level, describe_unranked
from benchmark.leaderboard.analysis.summary import headline
from benchmark.leaderboard.columns import ACCURACY, RANKED_BY
from benchmark.leaderboard.export.grid import grid
from benchmark.leaderboard.html.page_input import build_page_table, select_shown_models
from benchmark.leaderboard.html.summary_cards import build_summary_cards
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.ranking import ranked
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.paths import ROOT
from tests.benchmark.leaderboard.made_results import make_results


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory) -> LeaderboardTable:
    return build_tables(read_results(make_results(tmp_path_factory.mktemp("made") / "made" / "quick", images=24)))[0]


def with_accuracy(leaderboard: LeaderboardTable, low: float | None) -> LeaderboardTable:
    """The board whose best model has such a low end of its accuracy; None has none."""
    first, *others = leaderboard.models
    estimates = dict(first.estimates)
    known = estimates.pop(ACCURACY)
    if low is not None:
        estimates[ACCURACY] = replace(known, low=low)
    models = ranked([replace(first, estimates=estimates), *others], chance_level(leaderboard))
    return replace(leaderboard, rows=(*models, *(row for row in leaderboard.rows if not row.is_model)))


@pytest.mark.parametrize(
    ("low", "beats"), [(0.5, True), (1 / 6, False), (0.1, False), (float("nan"), False), (None, False)]
)
def test_chance_is_beaten_alike_everywhere(leaderboard, low, beats):
    changed, label = with_accuracy(leaderboard, low), leaderboard.models[0].label
    index = next(index for index, row in enumerate(changed.models) if row.label == label)
    first = changed.models[index]
    assert chance_level(changed) == 1 / 6
    assert beats_chance(first, changed) is beats
    assert first.rank == (1 if beats else None)
    assert index == (0 if beats else len(changed.models) - 1)
    head, _, *lines = grid(changed, leaderboard.columns[:1])
    assert ("†" in lines[index][head.index("model")]) is not beats
    line = build_page_table(changed, select_shown_models(changed)).lines[index]
    assert (not line.obstacle, line.rank) == (beats, int(beats))
    assert (label in " ".join(headline(changed, []))) is beats
    assert any(label in card.text or label in card.number for card in build_summary_cards(changed)) is beats


def test_models_without_a_rank_are_counted_by_reason(leaderboard):
    changes = [{ACCURACY: {"low": 0.1}}, {ACCURACY: {"low": 0.1}}, {RANKED_BY: {"value": float("nan")}}]
    models = list(leaderboard.models)
    for index, change in enumerate(changes):
        known = dict(models[index].estimates)
        known |= {name: replace(known[name], **values) for name, values in change.items()}
        models[index] = replace(models[index], estimates=known)
    last = dict(models[3].estimates)
    del last[ACCURACY]
    models[3] = replace(models[3], estimates=last)
    changed = replace(leaderboard, rows=tuple(ranked(models, chance_level(leaderboard))))
    text = "of 22 models (2 do not beat chance, 1 came without predictions, 1 has no defined map F1)"
    assert describe_unranked(changed) == f"4 {text}"
    assert f"Without a rank: 4 {text}." in " ".join(headline(changed, []))
    assert describe_unranked(with_accuracy(leaderboard, 0.1)) == "1 of 22 models, which does not beat chance"
    assert describe_unranked(leaderboard) == ""


def test_equal_models_share_a_rank(leaderboard):
    first, second, *others = leaderboard.models
    twin = replace(second, estimates=first.estimates)
    models = ranked([first, twin, *others], chance_level(leaderboard))
    assert [row.rank for row in models[:3]] == [1, 1, 3]
    changed = replace(leaderboard, rows=(*models, *(row for row in leaderboard.rows if not row.is_model)))
    assert f"{models[0].label} and {models[1].label}" in " ".join(headline(changed, []))


def test_the_best_baseline_is_the_same_everywhere(leaderboard):
    column = leaderboard.column(RANKED_BY)
    baselines = [row for row in leaderboard.rows if not row.is_model]
    better = replace(baselines[-1], name="better", estimates=_raised(baselines[-1], 0.05))
    human = replace(baselines[0], name=RATER, estimates=_raised(baselines[0], 0.4))
    drawn = replace(leaderboard, rows=(*leaderboard.rows, better, human))
    assert best_baseline(drawn, column) == better
    assert human_ceiling(drawn, column) == human
    found = against_baseline(drawn)
    assert found.best == better
    assert found.models == len(leaderboard.models)
    assert "(better, " in headline(drawn, [])[0]
    assert "(better, " in build_summary_cards(drawn)[0].text


def test_a_column_of_which_neither_end_is_better_has_no_best_baseline(leaderboard):
    column = replace(leaderboard.column(RANKED_BY), higher_is_better=None)
    assert best_baseline(leaderboard, column) is None


def test_no_other_module_knows_the_rules():
    texts = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "benchmark").rglob("*.py")}
    assert [name for name, text in texts.items() if "1 / len(record.classes)" in text] == ["chance.py"]
    leaderboard = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "benchmark/leaderboard").rglob("*.py")
    }
    assert [name for name, text in leaderboard.items() if "uses_masks" in text] == ["baselines.py"]


def _raised(row, by: float):
    known = row.estimates[RANKED_BY]
    return row.estimates | {RANKED_BY: replace(known, value=known.value + by, low=known.low + by, high=known.high + by)}
