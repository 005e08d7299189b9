"""Reliance by subgroup: in the images that have it, with the rules of the fourfold table, in every output."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from benchmark.leaderboard.analysis.fourfold import NO, UNDECIDED, YES
from benchmark.leaderboard.analysis.subgroup_reliance import build_subgroup_reliance
from benchmark.leaderboard.export import reliance
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.export.reliance import reliance_section, subgroup_reliance_csv
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.load.subgroups import MAX_VALUES, read_subgroups
from benchmark.leaderboard.tables import build_tables
from benchmark.reliance import PREFIX
from benchmark.reliance.fills import FILLS
from tests.benchmark.leaderboard.made_results import make_results

NUMBER = 60
TONES = np.array(["light", "dark", "=dark"])[np.arange(NUMBER) % 3]
"""Three tones. The last one could be a formula in a spreadsheet."""
DROPS = {"light": 0.4, "dark": 0.0}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One model that uses the lesion on light skin, and not on dark skin. On the third tone it is undefined."""
    directory = make_results(
        tmp_path_factory.mktemp("results") / "made" / "quick", images=NUMBER, architectures=1, regimes=1, classes=2
    )
    (path,) = (directory / "records").glob("*.predictions.parquet")
    frame = pd.read_parquet(path)
    noise = np.random.default_rng(0).normal(0, 0.01, NUMBER)
    drops = np.array([DROPS.get(tone, np.nan) for tone in TONES]) + noise
    right = (frame["label"] == 1).astype(float)
    frame = frame.assign(predicted=frame["label"], p0=0.9 - 0.8 * right, p1=0.1 + 0.8 * right)
    for fill in FILLS:
        for role, values in (("region", drops + 0.1), ("control", np.full(NUMBER, 0.1))):
            frame[f"{PREFIX}{role} {fill} drop"] = values
            for measure in ("changed", "correct", "shift"):
                frame[f"{PREFIX}{role} {fill} {measure}"] = 0.5
    frame = frame.assign(**{f"{PREFIX}area": 0.1, f"{PREFIX}only correct": 1.0})
    for measure in ("drop", "changed"):
        frame = frame.assign(**{f"{PREFIX}superpixel {index} {measure}": 0.0 for index in (0, 1)})
    frame.to_parquet(path)
    table = frame[["image"]].assign(split="test", diagnosis=[f"class{label}" for label in frame["label"]])
    table = table.assign(group=frame["group"], file="f", sha256="0", skin_tone=TONES, device=range(NUMBER))
    table["skin_tone"] = table["skin_tone"].replace("=dark", "'=dark")
    elsewhere = table[:1].assign(image="elsewhere", split="train", skin_tone="unseen")
    pd.concat([table, elsewhere]).to_csv(directory / "split.csv", index=False)
    return read_results(directory)


@pytest.fixture(scope="module")
def lines(published):
    return build_subgroup_reliance(published, build_tables(published)[0])


def test_attributes_of_few_values_are_subgroups(published):
    subgroups = read_subgroups(published)
    tones = {value: images for (kind, value), images in subgroups.items() if kind == "skin_tone"}
    assert list(tones) == ["=dark", "dark", "light"]
    assert sum(map(len, tones.values())) == NUMBER > MAX_VALUES
    assert "device" not in {kind for kind, _ in subgroups}
    characteristics = {value for kind, value in subgroups if kind == "characteristic"}
    scores = pd.read_parquet(next(iter(published.records)).with_suffix(".scores.parquet"))
    expected = scores[(scores["level"] == "characteristic") & (scores["characteristic"] == "Papule")]
    assert set(subgroups["characteristic", "Papule"]) == set(expected["image"])
    assert len(characteristics) > 2


def test_reliance_is_in_the_subgroup_that_has_it(published, lines):
    by_value = {line.part[1]: line for line in lines if line.part[0] == "skin_tone"}
    assert {value: line.uses for value, line in by_value.items()} == {"light": YES, "dark": NO}
    (path,) = published.records
    frame = pd.read_parquet(path.with_suffix(".predictions.parquet"))
    drop = (frame[f"{PREFIX}region blur drop"] - frame[f"{PREFIX}control blur drop"])[TONES == "light"]
    assert by_value["light"].estimates["reliance_blur"].value == pytest.approx(drop.mean())
    assert by_value["light"].estimates["reliance"].images == NUMBER // 3


def test_each_answer_of_the_network_is_a_subgroup(published, lines):
    by_answer = {line.part[1]: line.estimates["reliance_blur"] for line in lines if line.part[0] == "answer"}
    (path,) = published.records
    frame = pd.read_parquet(path.with_suffix(".predictions.parquet"))
    drops = frame[f"{PREFIX}region blur drop"] - frame[f"{PREFIX}control blur drop"]
    expected = drops.groupby(frame["predicted"]).mean()
    assert [estimate.value for estimate in by_answer.values()] == pytest.approx(expected.to_list())
    assert tuple(by_answer) == published.records[path].classes
    assert [line.part[0] for line in lines[:2]] == ["answer", "answer"]


def test_few_groups_decide_nothing(published):
    path = published.directory / "split.csv"
    text = path.read_text(encoding="utf-8")
    table = pd.read_csv(path, dtype=str)
    light = table.index[table["skin_tone"] == "light"]
    table.loc[light[3:], "skin_tone"] = ""
    table.to_csv(path, index=False)
    try:
        found = build_subgroup_reliance(published, build_tables(published)[0])
    finally:
        path.write_text(text, encoding="utf-8")
    (line,) = [line for line in found if line.part == ("skin_tone", "light")]
    assert (line.uses, line.reason) == (UNDECIDED, "too few groups")


def test_every_output_has_the_subgroups(published, lines):
    tables = build_tables(published)
    rows = list(csv.DictReader(io.StringIO(subgroup_reliance_csv(lines, tables[0]))))
    assert len(rows) == len(lines)
    assert [row["value"] for row in rows if row["attribute"] == "skin_tone"] == ["dark", "light"]
    ends = [[float(row[f"reliance{end}"]) for end in ("_low", "", "_high")] for row in rows if row["reliance_low"]]
    assert len(ends) > 2
    assert all(each == sorted(each) for each in ends)
    assert "### By subgroup" in to_markdown(tables, [], [], lines)
    html = page([PageInput(published=published, leaderboards=tables)])
    assert "Uses the lesion, by subgroup: answer class0 " in html
    assert "; skin_tone dark no, reliance" in html
    assert html.count("Reliance on the lesion by subgroup") == 1
    assert subgroup_reliance_csv([], tables[0]) == ""


def test_a_changed_split_gives_no_attributes(published):
    directory = published.directory
    protocol = directory / "protocol.json"
    before = protocol.read_text(encoding="utf-8")
    protocol.write_text(json.dumps({**json.loads(before), "files": {"split.csv": "0" * 64}}), encoding="utf-8")
    try:
        assert {kind for kind, _ in read_subgroups(published)} == {"characteristic"}
    finally:
        protocol.write_text(before, encoding="utf-8")


def test_a_long_table_is_a_reference_to_its_file(published, lines, monkeypatch):
    tables = build_tables(published)
    whole = reliance_section(tables, lines)
    assert sum("| skin_tone |" in line for line in whole) == len(DROPS)
    monkeypatch.setattr(reliance, "MAX_PART_LINES", len(lines) - 1)
    short = reliance_section(tables, lines)
    assert not any("skin_tone" in line for line in short)
    assert any(f"has {len(lines)} lines" in line and "(reliance-subgroups.csv)" in line for line in short)
