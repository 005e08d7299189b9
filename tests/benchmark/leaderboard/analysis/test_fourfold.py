"""The fourfold table: right for networks of known truth, and undecided where intervals allow both."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.leaderboard.analysis.class_reliance import build_class_reliance
from benchmark.leaderboard.analysis.fourfold import CELLS, NO, UNDECIDED, YES, build_fourfold, headline, judge_use
from benchmark.leaderboard.export.csv import to_csv
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.export.reliance import class_reliance_csv, reliance_csv, reliance_section
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.reliance import mass_over_area_of_class
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.reliance.fills import FILLS
from benchmark.reliance.masses import measure_densities
from benchmark.reliance.measure import measure_reliance
from tests.benchmark.leaderboard.made_results import make_results
from tests.benchmark.reliance.networks import BLUE, LAYER, RED, SIDE, Reader, pictures
from tests.benchmark.statistics.alone import under

NUMBER = 28
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
    assert "o undefined scores of models, reliance aside" in text
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


def test_reliance_is_in_the_class_that_has_it(published, tables):
    """A reader of red lesions uses them in images of class 1, which alone have any."""
    lines = build_class_reliance(tables[0])
    assert len(lines) == 2 * len(MODELS)
    first = min(line.row.name for line in lines)
    without, having = [line for line in lines if line.row.name == first]
    assert (*without.part, *having.part) == published.records[next(iter(published.records))].classes
    assert (having.uses, having.reason) == (YES, "")
    assert having.estimates["reliance"].low > 0.5
    assert (without.uses, without.reason) == (UNDECIDED, "too few groups")
    assert without.estimates["reliance"].high < 0.01
    whole = without.row.estimates["reliance"]
    counts = [line.estimates["reliance"].images for line in (without, having)]
    assert sum(counts) == whole.images == NUMBER
    parts = [line.estimates["reliance"].value for line in (without, having)]
    assert np.average(parts, weights=counts) == pytest.approx(whole.value)


def test_the_mass_of_a_class_is_that_of_its_images():
    frame = pd.DataFrame({"label": [0, 1, 1, 1], "reliance: area": [0.1, 0.1, 0.3, 0.2]})
    statistic = mass_over_area_of_class(frame, np.array([9.0, 1.0, 2.0, np.nan]), "grad-cam", label=1)
    # The sum of the masses over that of the areas.
    assert under(statistic, np.ones((1, 4))) == pytest.approx((0.1 + 0.6) / (0.1 + 0.3))
    assert statistic.undefined == 1
    assert mass_over_area_of_class(frame, np.full(4, np.nan), "grad-cam", label=1) is None


def test_every_output_has_the_classes(published, tables):
    html = page([PageInput(published=published, leaderboards=tables)])
    assert "Uses the lesion, by class" in html
    assert html.count("too few groups") > len(MODELS)
    assert "By class" in to_markdown(tables, [], [])
    rows = list(csv.DictReader(io.StringIO(class_reliance_csv(tables))))
    assert len(rows) == len(METHODS) * len(MODELS) * 2
    assert all(float(row["reliance_ring_low"]) <= float(row["reliance_ring_high"]) for row in rows)
    assert {row["uses"] for row in rows} == {YES, NO, UNDECIDED}


def test_few_groups_decide_nothing(tables):
    (estimates,) = [[row.estimates[f"reliance_{fill}"] for fill in FILLS] for row in tables[0].models[:1]]
    for groups, expected in ((4.9, UNDECIDED), (5.0, YES)):
        used = [_with_groups(estimate, groups, low=0.1, high=0.2) for estimate in estimates]
        assert judge_use(used)[0] == expected
    for groups, expected in ((9.9, UNDECIDED), (10.0, NO)):
        unused = [_with_groups(estimate, groups, low=-0.01, high=0.01) for estimate in estimates]
        assert judge_use(unused) == (expected, "too few groups" if expected == UNDECIDED else "")


def test_one_class_that_uses_the_lesion_forbids_a_no(tables):
    """The mean of all classes hides it: such a network was called a shortcut, with a *yes* in one class."""
    row = tables[0].models[0]
    columns = [f"reliance_{fill}" for fill in FILLS]
    whole = {name: _with_groups(row.estimates[name], 20, low=0.01, high=0.04) for name in columns}
    of_one = f"yes in {tables[0].record.classes[1]}, no over all classes"
    for low, uses, reason in ((0.06, UNDECIDED, of_one), (-0.06, NO, "the intervals allow both: map")):
        of_class = {f"{name}_class_1": _with_groups(whole[name], 9, low=low, high=0.2) for name in columns}
        changed = replace(row, estimates={**row.estimates, **whole, **of_class})
        (line,) = build_fourfold(replace(tables[0], rows=(changed,))).rows
        assert (line.uses, line.reason) == (uses, reason)


def _with_groups(estimate, groups, *, low, high):
    return replace(estimate, low=low, high=high, error=replace(estimate.error, groups=groups))


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
    assert class_reliance_csv(tables) == ""
    assert build_class_reliance(tables[0]) == ()
