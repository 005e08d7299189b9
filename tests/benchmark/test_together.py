"""What is drawn, sorted or ranked together for speed is what it is alone; very many models are cut where it is said."""

from dataclasses import fields, replace

import numpy as np
import pytest

from benchmark.leaderboard import agreement, tables
from benchmark.leaderboard.agreement import agreements, taus
from benchmark.leaderboard.board import boards_of, read_published
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.contrasts import contrasts_of
from benchmark.leaderboard.latex import to_latex
from benchmark.leaderboard.page import view
from benchmark.leaderboard.page.render import page
from benchmark.leaderboard.page.view import Shown
from benchmark.leaderboard.pairs import Difference, difference, differences
from benchmark.leaderboard.statistics import KEPT_COUNTS, Ratios, estimate, estimates, resampling
from benchmark.leaderboard.tables import HEADLINES, to_csv, to_markdown
from tests.benchmark.made_results import make_results

IMAGES = 150


def ratios(rng: np.random.Generator, columns: int = 1, *, missing: float = 0.0) -> Ratios:
    counts = (rng.random((IMAGES, columns)) >= missing).astype(float)
    return Ratios(amounts=rng.random((IMAGES, columns)) * counts, counts=counts, undefined=int((counts == 0).sum()))


def drawn_of(groups: int):
    return resampling([f"p{number % groups}" for number in range(IMAGES)])


@pytest.mark.parametrize("groups", [4, 60, IMAGES])
def test_columns_drawn_together_are_what_they_are_alone(groups):
    rng = np.random.default_rng(groups)
    shared = [ratios(rng, 6) for _ in range(3)]
    columns = {
        "plain": [ratios(rng) for _ in range(3)],
        "one seed": [ratios(rng, missing=0.3)],
        "macro": shared,
        "again": shared,
        "rare": [ratios(rng, missing=0.99)],
        "never": [ratios(rng, missing=1.0)],
    }
    draws = drawn_of(groups)
    together = estimates(columns, draws, row="net", bounds=dict.fromkeys(columns, (0.0, 1.0)))
    assert together["macro"].draws is together["again"].draws
    for name, seeds in columns.items():
        alone = estimate(seeds, drawn_of(groups), row="net", bounds=(0.0, 1.0))
        for part in ("value", "low", "high"):
            assert getattr(together[name], part) == pytest.approx(getattr(alone, part), rel=1e-12, nan_ok=True)
        assert (together[name].images, together[name].undefined) == (alone.images, alone.undefined)
        np.testing.assert_allclose(together[name].draws, alone.draws, rtol=1e-6)


def test_kept_counts_are_right_and_do_not_grow():
    rng = np.random.default_rng(0)
    draws = drawn_of(30)
    for _ in range(KEPT_COUNTS + 20):
        known = ratios(rng, missing=0.2)
        found = estimate([known], draws)
        assert found.value == pytest.approx(known.under(np.ones((1, IMAGES)))[0])
        weights = draws.weights[:, draws.codes]
        np.testing.assert_allclose(found.draws, known.under(weights), rtol=1e-5)
    assert len(draws._counts) == len(draws._drawn) == KEPT_COUNTS


@pytest.mark.parametrize("groups", [1, 8, 40, IMAGES])
def test_pairs_tested_together_are_what_they_are_alone(groups):
    rng = np.random.default_rng(1)
    draws = drawn_of(groups)
    known = [estimate([ratios(rng)], draws) for _ in range(4)]
    known += [estimate([ratios(rng, missing=0.4), ratios(rng, missing=0.4)], draws, row="net") for _ in range(2)]
    same = replace(known[0])
    partly = Ratios(amounts=np.r_[np.full(50, 0.5), rng.random(100)][:, None], counts=np.ones((IMAGES, 1)))
    level = Ratios(amounts=np.r_[np.full(50, 0.5), rng.random(100)][:, None], counts=np.ones((IMAGES, 1)))
    known += [estimate([partly], draws), estimate([level], draws)]
    pairs = [(one, other) for one in known for other in [*known, same]]
    for found, (one, other) in zip(differences(pairs), pairs, strict=True):
        alone = difference(one, other)
        for field in fields(Difference):
            assert getattr(found, field.name) == pytest.approx(getattr(alone, field.name), rel=1e-12, nan_ok=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("made") / "made" / "quick", images=24, architectures=3, seeds=1)


@pytest.fixture(scope="module")
def boards(made):
    return boards_of(read_published(made))


def test_correlations_of_all_columns_together_are_what_they_are_alone(boards):
    rows = list(boards[0].models)
    spoiled = rows[0].estimates["sharpness"].draws.copy()
    spoiled[::7] = np.nan
    rows[0] = replace(
        rows[0], estimates=rows[0].estimates | {"sharpness": replace(rows[0].estimates["sharpness"], draws=spoiled)}
    )
    rows[1] = replace(rows[1], estimates={name: e for name, e in rows[1].estimates.items() if name != "sparsity"})
    board = replace(boards[0], rows=tuple(rows))
    columns = [column for column in COLUMNS if column.name in agreement.AGREEING]
    found = agreement._drawn_taus(board.models, columns)
    assert len(agreements(board)) > 50
    for place, one in enumerate(columns):
        for there, other in enumerate(columns[:place]):
            both = [row for row in rows if one.name in row.estimates and other.name in row.estimates]
            draws = [np.stack([row.estimates[c.name].draws for row in both]) for c in (one, other)]
            np.testing.assert_allclose(found[:, place, there], taus(*draws), atol=1e-12)


def test_of_very_many_models_the_best_are_shown_and_it_is_said(made, boards, monkeypatch):
    monkeypatch.setattr(tables, "LISTED_MODELS", 4)
    monkeypatch.setattr("benchmark.leaderboard.latex.LISTED_MODELS", 4)
    monkeypatch.setattr(view, "SHOWN_MODELS", 4)
    board = boards[0]
    assert len(board.models) == 6
    text = to_markdown(boards, contrasts_of(board), [])
    assert text.count("4 of 6 models listed, all in the CSV files") == len(boards)
    assert to_csv(board).count(",model,") == 6
    assert to_latex(board, HEADLINES).count(r"\midrule") == 2
    whole = page([Shown(published=read_published(made), boards=boards)])
    assert whole.count("<dialog ") == 4
    assert whole.count("Of 6 models the 4 best by F1") == len(boards)
    opened = {part.partition('"')[0] for part in whole.split('data-card="')[1:]}
    assert opened == {f"0-{row.name}-{row.regime}" for row in board.models[:4]}
