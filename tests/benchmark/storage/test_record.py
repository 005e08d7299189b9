"""Records stay readable: what is committed, and what the first schema left behind."""

import copy
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from benchmark.config.presets import PRESETS, QUICK, load_preset
from benchmark.errors import UserError
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.paths import ROOT
from benchmark.storage.record import load_record
from benchmark.storage.upgrade import PRESET_FIELDS, SCHEMA, TRAINING_FIELDS, upgrade_record

RESULTS = ROOT / "results"
MARKERS = sorted(RESULTS.glob("*/*/protocol.json"))
RECORDS = sorted(RESULTS.glob("*/*/records/*.json"))


@pytest.mark.parametrize(
    "directory", sorted({path.parent.parent for path in RECORDS}), ids=lambda path: path.parent.name
)
def test_every_committed_record_is_read_and_makes_a_board(directory):
    published = read_results(directory)
    assert not published.problems
    assert len(published.records) == len(list((directory / "records").glob("*.json")))
    board = build_tables(published, ["grad-cam"])[0]
    assert all("accuracy_under_attack" in row.estimates for row in board.models)


def second_schema(path: Path) -> dict:
    """A record as the second schema wrote it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for part, names in (("preset", PRESET_FIELDS), ("training", TRAINING_FIELDS)):
        old = {new: old for old, new in names.items()}
        content["settings"][part] = {old.get(name, name): value for name, value in content["settings"][part].items()}
    return content | {"schema_version": 2}


def first_schema(path: Path) -> dict:
    """A record as the first schema wrote it."""
    content = second_schema(path)
    training = content.pop("training")
    content.pop("classification")
    content.pop("regime_title")
    content.pop("seal", None)
    content["settings"]["preset"]["attack_eps"] = 0.25
    return content | {"schema_version": 1, "checkpoint_sha256": training["sha256"], "losses": training["losses"]}


def test_a_record_of_the_first_schema_is_read_in_todays_words(tmp_path):
    old = first_schema(RECORDS[0])
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    record = load_record(tmp_path / "old.json")
    assert record.schema_version == SCHEMA
    assert record.training.sha256 == old["checkpoint_sha256"]
    assert record.training.losses == old["losses"]
    assert record.settings["preset"]["attack_eps"] == [0.25]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_every_committed_record_is_of_the_newest_schema_and_upgrades_to_itself(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["schema_version"] == SCHEMA
    before = copy.deepcopy(content)
    assert upgrade_record(content) == content == before
    old = second_schema(path)
    again = copy.deepcopy(old)
    assert upgrade_record(old) == content
    assert old == again, "an upgrade must not change what it is given"
    assert asdict(load_preset(content["settings"]["preset"])).keys() >= content["settings"]["preset"].keys()


@pytest.mark.parametrize("path", MARKERS, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
def test_all_rows_of_a_committed_table_are_of_the_protocol_of_its_folder(path):
    marker = json.loads(path.read_text(encoding="utf-8"))
    records = [load_record(file) for file in sorted(path.parent.glob("records/*.json"))]
    assert {record.protocol for record in records} == {marker["protocol"]}
    assert {record.key for record in records} == set(marker["in_tables"])
    assert set(pd.read_parquet(path.with_name("baselines.parquet"))["protocol"]) == {marker["protocol"]}
    assert {json.loads(file.read_text())["protocol"] for file in path.parent.glob("gallery/*.json")} <= {
        marker["protocol"]
    }


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_preset_comes_back_from_its_record(preset):
    assert load_preset(json.loads(json.dumps(asdict(preset)))) == preset


def test_a_preset_with_an_unknown_or_a_missing_field_is_refused_by_name():
    content = asdict(QUICK)
    with pytest.raises(UserError, match=r"unknown settings \(color, side\)"):
        load_preset(content | {"side": 96, "color": "red"})
    with pytest.raises(UserError, match="lacks image_size"):
        load_preset({name: value for name, value in content.items() if name != "image_size"})
    with pytest.raises(UserError, match="is invalid: limit"):
        load_preset(content | {"limit": 0})
    assert load_preset({name: value for name, value in content.items() if name != "compile"}) == QUICK


@pytest.mark.parametrize(
    "harm",
    [
        lambda old: old.pop("losses"),
        lambda old: old.update(settings=3),
        lambda old: old.clear(),
        lambda old: old["settings"].update(training=3),
    ],
)
def test_a_damaged_record_is_a_value_error(tmp_path, harm):
    old = first_schema(RECORDS[0])
    harm(old)
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(ValueError, match=r"record|Record"):
        load_record(tmp_path / "old.json")
