"""What is drawn, sorted or ranked together for speed is what it is alone; very many models are cut where it is said."""

from dataclasses import fields, replace

import numpy as np
import pytest

from benchmark.leaderboard.analysis import agreement
from benchmark.leaderboard.analysis.agreement import compute_agreements
from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.analysis.rank_correlation import kendall_taus
from benchmark.leaderboard.columns import HEADLINES
from benchmark.leaderboard.export.csv import to_csv
from benchmark.leaderboard.export.latex import to_latex
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.html import page_input as view
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.statistics import rank_tests
from benchmark.statistics import resampling as drawing
from benchmark.statistics import tests as pairs
from benchmark.statistics.bootstrap import estimates
from benchmark.statistics.ratios import RatioStatistic
from benchmark.statistics.resampling import MAX_CACHED_COUNTS, resampling
from benchmark.statistics.tests import Difference, difference, differences
from tests.benchmark.leaderboard.made_results import make_results
from tests.benchmark.statistics.alone import estimate, under

IMAGES = 150


def ratios(rng: np.random.Generator, columns: int = 1, *, missing: float = 0.0) -> RatioStatistic:
    counts = (rng.random((IMAGES, columns)) >= missing).astype(float)
    return RatioStatistic(
        amounts=rng.random((IMAGES, columns)) * counts, counts=counts, undefined=int((counts == 0).sum())
    )


def drawn_of(groups: int):
    return resampling([f"p{number % groups}" for number in range(IMAGES)])


def test_products_in_pieces_are_what_they_are_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    draws = drawn_of(40)
    parts = [rng.random((columns, 40)) for columns in (1, 5, 2, 9, 1)]
    for product in (1, 3 * 40, 7 * 40, 2**25):
        monkeypatch.setattr(drawing, "MAX_PRODUCT_SIZE", product)
        found = draws.drawn(parts)
        assert len(found) == len(parts)
        for mine, part in zip(found, parts, strict=True):
            np.testing.assert_allclose(mine, part @ draws.weights.T, rtol=1e-12)
    assert draws.drawn([]) == []


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
    for _ in range(MAX_CACHED_COUNTS + 20):
        known = ratios(rng, missing=0.2)
        found = estimate([known], draws)
        assert found.value == pytest.approx(under(known, np.ones((1, IMAGES)))[0])
        weights = draws.weights[:, draws.codes]
        np.testing.assert_allclose(found.draws, under(known, weights), rtol=1e-5)
    assert len(draws._counts) == len(draws._drawn) == MAX_CACHED_COUNTS


def test_rows_of_the_same_images_share_their_counts_and_what_is_expected_of_them_is_right():
    rng = np.random.default_rng(0)
    draws = drawn_of(60)
    whole = [estimate([ratios(rng, 3) for _ in range(2)], draws, row=name) for name in "ab"]
    partly = estimate([ratios(rng, 3, missing=0.5) for _ in range(2)], draws, row="c")
    assert whole[0].error.counts is whole[1].error.counts
    assert partly.error.counts.shape == (1, 60)  # nobody shares them: their sum is kept alone
    for each in (*whole, partly):
        assert each.error.expected.sum() == pytest.approx(each.value, rel=1e-6)
        assert each.error.contributions.sum() == pytest.approx(each.value, rel=1e-6)
        assert each.error.influence.sum() == pytest.approx(0, abs=1e-6)
        assert each.error.has_images.all()
    sizes = np.bincount(draws.codes) / IMAGES
    np.testing.assert_allclose(whole[0].error.expected, whole[0].value * sizes, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 8, 40, IMAGES])
def test_pairs_tested_together_are_what_they_are_alone(groups, monkeypatch):
    rng = np.random.default_rng(1)
    draws = drawn_of(groups)
    known = [estimate([ratios(rng)], draws) for _ in range(4)]
    known += [estimate([ratios(rng, missing=0.4), ratios(rng, missing=0.4)], draws, row="net") for _ in range(2)]
    same = replace(known[0])
    partly = RatioStatistic(amounts=np.r_[np.full(50, 0.5), rng.random(100)][:, None], counts=np.ones((IMAGES, 1)))
    level = RatioStatistic(amounts=np.r_[np.full(50, 0.5), rng.random(100)][:, None], counts=np.ones((IMAGES, 1)))
    known += [estimate([partly], draws), estimate([level], draws)]
    every = [(one, other) for one in known for other in [*known, same]]
    monkeypatch.setattr(pairs, "CHUNK_SIZE", 7 * groups)
    for found, (one, other) in zip(differences(every), every, strict=True):
        alone = difference(one, other)
        by_group = pairs.group_differences(one, other)
        assert found.effect == rank_tests.rank_biserials([by_group])[0]
        assert found.scope == alone.scope
        for field in fields(Difference):
            if field.name == "scope":
                continue
            assert getattr(found, field.name) == pytest.approx(getattr(alone, field.name), rel=1e-12, nan_ok=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("made") / "made" / "quick", images=24, architectures=3, seeds=1)


@pytest.fixture(scope="module")
def leaderboards(made):
    return build_tables(read_results(made))


def test_correlations_of_all_columns_together_are_what_they_are_alone(leaderboards):
    rows = list(leaderboards[0].models)
    spoiled = rows[0].estimates["sharpness"].draws.copy()
    spoiled[::7] = np.nan
    rows[0] = replace(
        rows[0], estimates=rows[0].estimates | {"sharpness": replace(rows[0].estimates["sharpness"], draws=spoiled)}
    )
    rows[1] = replace(rows[1], estimates={name: e for name, e in rows[1].estimates.items() if name != "sparsity"})
    leaderboard = replace(leaderboards[0], rows=tuple(rows))
    columns = [column for column in leaderboard.columns if column.agreement]
    found = agreement._drawn_taus(leaderboard.models, columns)
    assert len(compute_agreements(leaderboard)) > 50
    for place, one in enumerate(columns):
        for there, other in enumerate(columns[:place]):
            both = [row for row in rows if one.name in row.estimates and other.name in row.estimates]
            draws = [np.stack([row.estimates[c.name].draws for row in both]) for c in (one, other)]
            np.testing.assert_allclose(found[:, place, there], kendall_taus(*draws), atol=1e-12)


def test_of_very_many_models_the_best_are_shown_and_it_is_said(made, leaderboards, monkeypatch):
    for module in ("grid", "latex", "markdown"):
        monkeypatch.setattr(f"benchmark.leaderboard.export.{module}.MAX_LISTED_MODELS", 4)
    monkeypatch.setattr(view, "MAX_SHOWN_MODELS", 4)
    leaderboard = leaderboards[0]
    assert len(leaderboard.models) == 6
    text = to_markdown(leaderboards, compute_contrasts(leaderboard), [])
    assert text.count("4 of 6 models listed, all in the CSV files") == len(leaderboards)
    assert to_csv(leaderboard).count(",model,") == 6
    assert to_latex(leaderboard, HEADLINES).count(r"\midrule") == 2
    whole = page([PageInput(published=read_results(made), leaderboards=leaderboards)])
    assert whole.count("<dialog ") == 4
    assert whole.count("the best 4 of 6 models by map F1") == len(leaderboards)
    opened = {part.partition('"')[0] for part in whole.split('data-card="')[1:]}
    assert opened == {f"0-{row.name}-{row.regime}" for row in leaderboard.models[:4]}
