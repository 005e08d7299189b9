"""Records stay readable: what is committed, and what the first schema left behind."""

import json
from pathlib import Path

import pytest

from benchmark.leaderboard.table import build_table, read_results
from benchmark.storage.paths import ROOT
from benchmark.storage.record import SCHEMA, load_record

RESULTS = ROOT / "results"
RECORDS = sorted(RESULTS.glob("*/*/records/*.json"))


@pytest.mark.parametrize("folder", sorted({path.parent.parent for path in RECORDS}), ids=lambda path: path.parent.name)
def test_every_committed_record_is_read_and_makes_a_board(folder):
    published = read_results(folder)
    assert not published.problems
    assert len(published.records) == len(list((folder / "records").glob("*.json")))
    board = build_table(published, "grad-cam")
    assert all("accuracy_under_attack" in row.estimates for row in board.models)


def first_schema(path: Path) -> dict:
    """A record as the first schema wrote it."""
    told = json.loads(path.read_text(encoding="utf-8"))
    if told["schema_version"] == 1:
        return told
    training = told.pop("training")
    told.pop("diagnosis")
    told.pop("regime_title")
    told["settings"]["preset"]["attack_eps"] = 0.25
    return told | {"schema_version": 1, "checkpoint_sha256": training["sha256"], "losses": training["losses"]}


def test_a_record_of_the_first_schema_is_read_in_todays_words(tmp_path):
    old = first_schema(RECORDS[0])
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    record = load_record(tmp_path / "old.json")
    assert record.schema_version == SCHEMA
    assert record.training.sha256 == old["checkpoint_sha256"]
    assert record.training.losses == old["losses"]
    assert record.settings["preset"]["attack_eps"] == [0.25]


@pytest.mark.parametrize(
    "harm", [lambda old: old.pop("losses"), lambda old: old.update(settings=3), lambda old: old.clear()]
)
def test_a_damaged_record_is_a_value_error(tmp_path, harm):
    old = first_schema(RECORDS[0])
    harm(old)
    (tmp_path / "old.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(ValueError, match=r"record|Record"):
        load_record(tmp_path / "old.json")
