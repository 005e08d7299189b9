"""The fourfold table: right for networks of known truth, and undecided where intervals allow both."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.leaderboard.analysis.fourfold import CELLS, NO, UNDECIDED, YES, build_fourfold, headline
from benchmark.leaderboard.export.csv import to_csv
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.export.reliance import reliance_csv, reliance_section
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.reliance.masses import measure_densities
from benchmark.reliance.measure import measure_reliance
from tests.benchmark.leaderboard.made_results import make_results
from tests.benchmark.reliance.networks import BLUE, LAYER, RED, SIDE, Reader, pictures

NUMBER = 24
LESION_READER, MARK_READER = Reader(RED), Reader(BLUE)
MODELS = {
    "used and shown": (LESION_READER, 0.9),
    "used, not shown: the map fails": (LESION_READER, 0.01),
    "not used, but shown: the map flatters": (MARK_READER, 0.9),
    "neither: a shortcut": (MARK_READER, 0.01),
    "undecided": (Reader(gain=0.0), 0.9),
}
"""Networks and the mass of their maps on the lesion, by verdict. The baselines have a mass of .4."""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Marks of dose 1: each image of label 1 has a red lesion and a blue mark, so both networks are always right."""
    directory = make_results(
        tmp_path_factory.mktemp("results") / "made" / "quick",
        images=NUMBER,
        architectures=len(MODELS),
        regimes=1,
        classes=2,
    )
    images, _ = pictures(NUMBER, dose=1)
    networks = dict.fromkeys(model for model, _ in MODELS.values())
    reliance = {model: measure_reliance(model, LAYER, images, torch.device("cpu")) for model in networks}
    for path, (model, mass) in zip(sorted((directory / "records").glob("*.json")), MODELS.values(), strict=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(record | {"regime_title": f"mass {mass}"}), encoding="utf-8")
        frame = pd.read_parquet(path.with_suffix(".predictions.parquet"))
        inputs = torch.tensor(images.pixels).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            p = model(inputs).softmax(1).numpy()
        frame = frame.assign(label=images.labels, predicted=p.argmax(1), p0=p[:, 0], p1=p[:, 1])
        maps = np.random.default_rng(0).random((NUMBER, SIDE, SIDE)).astype(np.float16)
        parts = [measure_densities(maps, [[mask, ~mask] for mask in images.expert_masks], name) for name in METHODS]
        frame = pd.concat([frame, reliance[model], *parts], axis=1)
        frame.to_parquet(path.with_suffix(".predictions.parquet"))
        scores = pd.read_parquet(path.with_suffix(".scores.parquet"))
        on_lesion = (scores["metric"] == "relevance-mass") & (scores["level"] == "image")
        noise = np.random.default_rng(1).uniform(-0.005, 0.005, len(scores))
        scores["value"] = scores["value"].where(~on_lesion, mass + noise)
        scores.to_parquet(path.with_suffix(".scores.parquet"))
    return read_results(directory)


METHODS = ("grad-cam", "gradient")


@pytest.fixture(scope="module")
def tables(published):
    return build_tables(published)


def test_the_verdict_is_what_was_built(tables):
    fourfold = build_fourfold(tables[0])
    verdicts = {row.row.name: row.verdict for row in fourfold.rows}
    names = sorted(verdicts)
    assert [verdicts[name] for name in names] == list(MODELS)
    assert fourfold.counts == dict.fromkeys([*CELLS.values(), UNDECIDED], 1)
    assert fourfold.baseline_mass == pytest.approx(0.4)


def test_guesses_are_undecided(tables):
    (last,) = [row for row in build_fourfold(tables[0]).rows if row.verdict == UNDECIDED]
    assert last.uses == UNDECIDED
    assert last.reason == "its answers are guesses"


def test_every_output_says_so(published, tables):
    line = headline(build_fourfold(tables[0]))
    assert line.startswith("Lesion by grad-cam, of 5 models: 1 used and shown")
    text = to_markdown(tables, [], [])
    assert line in text
    html = page([PageInput(published=published, leaderboards=tables)])
    for verdict in CELLS.values():
        assert f" {verdict} |" in "\n".join(reliance_section(tables))
        assert verdict in text
        assert html.count(verdict) >= 2  # in the table and on a card
    rows = list(csv.DictReader(io.StringIO(reliance_csv(tables))))
    assert len(rows) == len(METHODS) * len(MODELS)
    assert {row["verdict"] for row in rows} == {*CELLS.values(), UNDECIDED}
    assert {(row["uses"], row["shows"]) for row in rows} >= set(CELLS)
    assert all(float(row["reliance_low"]) <= float(row["reliance"]) <= float(row["reliance_high"]) for row in rows)
    assert "reliance_biharmonic_low" in to_csv(tables[0]).splitlines()[0]


def test_what_random_maps_show_is_not_associated_with_reliance(tables):
    first = min(tables[0].models, key=lambda row: row.name)
    estimate = first.estimates["honesty_random"]
    assert estimate.low < 0 < estimate.high
    assert (YES, NO) in CELLS


def test_records_without_reliance_have_no_table(tmp_path):
    directory = make_results(tmp_path / "made" / "quick", images=12, architectures=1, regimes=1)
    tables = build_tables(read_results(directory))
    assert build_fourfold(tables[0]) is None
    assert reliance_section(tables) == []
    assert reliance_csv(tables) == ""
