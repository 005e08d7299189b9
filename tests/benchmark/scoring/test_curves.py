"""The kept perturbation curves have the areas that the scores have, and the page draws their means."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.experiments.publish import FILES, publish_record
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.perturbation_curves import build_perturbation_panels, read_mean_curves
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.scoring.curves import KINDS, curves_frame
from metrics.faithfulness import Curves, deletion, insertion
from tests.benchmark.leaderboard.made_results import make_results

IMAGES, STEPS = 5, 6
METHODS = ("grad-cam", "gradient")


def curves(seed: int = 0, *, images: int = IMAGES) -> Curves:
    """Of which the first has no map that is an order."""
    drawn = torch.rand(2, images, STEPS + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    drawn[:, 0] = torch.nan
    return Curves(deletion=drawn[0], insertion=drawn[1], fractions=torch.linspace(0, 1, STEPS + 1).double())


def names(number: int = IMAGES) -> list[str]:
    return [f"image{place}" for place in range(number)]


def test_the_areas_of_the_table_are_the_scores():
    expected = curves()
    frame = curves_frame(names(), "grad-cam", expected)
    assert list(frame.columns) == ["image", "method", "kind", "step", "share", "probability"]
    assert len(frame) == IMAGES * 2 * (STEPS + 1)
    assert frame["probability"].dtype == np.float32
    for kind, score in zip(KINDS, (deletion, insertion), strict=True):
        own = frame[frame["kind"] == kind]
        areas = [
            np.trapezoid(own.loc[own["image"] == name, "probability"], own.loc[own["image"] == name, "share"])
            for name in names()
        ]
        assert areas == pytest.approx(score(expected).tolist(), nan_ok=True, abs=1e-6)


@pytest.fixture
def made(tmp_path):
    """Four models of which the last has no curves."""
    directory = make_results(tmp_path / "made" / "quick", images=12, architectures=2, regimes=2)
    for seed, path in enumerate(sorted((directory / "records").glob("*.json"))[:3]):
        parts = [curves_frame(names(), method, curves(seed + 10 * place)) for place, method in enumerate(METHODS)]
        pd.concat(parts, ignore_index=True).to_parquet(path.with_name(f"{path.stem}.curves.parquet"))
    return directory


def test_courses_are_means_over_the_images(made):
    path = min((made / "records").glob("*.json"))
    actual = read_mean_curves(path)
    assert set(actual) == {(method, kind) for method in METHODS for kind in KINDS}
    frame = pd.read_parquet(path.with_name(f"{path.stem}.curves.parquet"))
    for (method, kind), course in actual.items():
        own = frame[(frame["method"] == method) & (frame["kind"] == kind)].dropna()
        assert course[1] == pytest.approx(own.groupby("step")["probability"].mean().to_numpy(), abs=1e-6)
        assert course[0] == pytest.approx(np.linspace(0, 1, STEPS + 1), abs=1e-6)


@pytest.mark.parametrize(
    "harm",
    [
        lambda frame: frame.drop(columns="share"),
        lambda frame: frame.assign(step="first"),
        lambda frame: frame.assign(step=10**9),
        lambda frame: frame.assign(step=-1),
        lambda frame: frame.assign(probability=7.0),
        lambda frame: frame.assign(probability=np.nan),
        lambda frame: frame[frame["step"] != 2],
        lambda frame: frame.assign(kind=None),
        lambda frame: frame.iloc[:0],
    ],
    ids=["column", "type", "steps", "negative", "probability", "nothing", "gap", "null", "empty"],
)
def test_what_is_no_curve_is_not_drawn(made, harm):
    path = min((made / "records").glob("*.json"))
    file = path.with_name(f"{path.stem}.curves.parquet")
    harm(pd.read_parquet(file)).to_parquet(file)
    assert read_mean_curves(path) == {}
    file.write_bytes(b"PAR1")
    assert read_mean_curves(path) == {}
    file.unlink()
    assert read_mean_curves(path) == {}


def test_the_card_draws_a_model_beside_the_mean_of_all(made):
    published = read_results(made)
    boards = build_tables(published)
    panels = build_perturbation_panels(boards[0].models, published)
    assert len(panels) == 3
    assert all([panel.method for panel in group] == list(METHODS) for group in panels.values())
    heights = np.array(
        [[float(point.split(",")[1]) for point in group[0].insertion.split()] for group in panels.values()]
    )
    mean = [float(point.split(",")[1]) for point in next(iter(panels.values()))[0].others[0].split()]
    assert mean == pytest.approx(heights.mean(axis=0), abs=0.11)
    assert len({group[0].others for group in panels.values()}) == 1
    text = page([PageInput(published=published, leaderboards=boards)])
    drawn = re.findall(r'<svg class="curve"[^>]*aria-label="Mean probability.*?</svg>', text, flags=re.DOTALL)
    assert len(drawn) == 3 * len(METHODS)
    assert max(map(len, drawn)) < 2000
    assert text.count("This record has no perturbation curves") == 1
    assert text == page([PageInput(published=read_results(made), leaderboards=build_tables(published))])


def test_a_cell_without_curves_takes_the_old_ones_away(tmp_path):
    cell = SimpleNamespace(
        architecture=SimpleNamespace(name="net"), regime=SimpleNamespace(name="standard"), seed=0, name="net"
    )
    job = SimpleNamespace(directory=tmp_path / "cell", cell=cell, identity="0a1b2c3d", key="k", protocol="p")
    job.directory.mkdir()
    for name in FILES:
        (job.directory / name).write_text(name, encoding="utf-8")
    kept = tmp_path / "results" / "records" / "net-standard-0-0a1b2c3d.curves.parquet"
    publish_record(job, tmp_path / "results")
    assert kept.read_text(encoding="utf-8") == "curves.parquet"
    (job.directory / "curves.parquet").unlink()
    publish_record(job, tmp_path / "results")
    assert not kept.exists()
    assert len(list(kept.parent.iterdir())) == len(FILES) - 1
