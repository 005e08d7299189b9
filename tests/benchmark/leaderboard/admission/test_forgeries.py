"""Every forged record is left out by every command, with a reason, and the other rows stay as they are."""

import shutil
from pathlib import Path

import pytest

from benchmark.experiments.status import _describe
from benchmark.leaderboard.admission.admit import admit, admit_record
from benchmark.leaderboard.export.csv import to_csv
from benchmark.leaderboard.load.anywhere import find_models
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.ledger import enter_verification
from benchmark.storage.record import Verification, load_record
from benchmark.submission.checks.report import check_record
from benchmark.submission.checks.score import is_only_unverified
from tests.benchmark.leaderboard.admission.forgeries import FORGERIES, NAME, STEM, fields, make_table, rename

HOUSE = {"densenet121", "efficientnet_b0"}
UNVERIFIED = {"a house row without a submission", "the place of a house record"}
"""Forgeries that a verification may answer: it scores them again."""


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return make_table(tmp_path_factory.mktemp("table") / "made" / "quick")


@pytest.fixture
def copied(table, tmp_path) -> Path:
    return Path(shutil.copytree(table, tmp_path / "made" / "quick"))


def record_of(directory: Path) -> Path:
    return directory / "records" / f"{STEM}.json"


def test_honest_records_are_admitted(table):
    admission = admit(table)
    assert admission.refused == {}
    assert {record.architecture for record in admission.records.values()} == {*HOUSE, NAME}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_left_out_by_every_command_with_its_reason(copied, name):
    forge, reason = FORGERIES[name]
    forge(record_of(copied))
    refused = {path: "; ".join(reasons) for path, reasons in admit(copied).refused.items()}
    assert reason in " ".join(refused.values())
    published = read_results(copied)
    assert len(published.problems) == len(refused)
    assert {record.architecture for record in published.records.values()} <= {*HOUSE, NAME}
    assert {found.model[0] for found in find_models([copied])} <= {*HOUSE, NAME}
    described = _describe(copied)
    assert described["refused"] == list(published.problems)
    for path in refused:
        report = check_record(path)
        assert report.problems
        assert is_only_unverified(report.problems) == (name in UNVERIFIED)


def test_all_forgeries_together_change_no_byte_of_the_table(table, tmp_path):
    directory = Path(shutil.copytree(table, tmp_path / "made" / "quick"))
    for number, (forge, _) in enumerate(FORGERIES.values()):
        other = Path(shutil.copytree(table, tmp_path / str(number) / "quick"))
        forge(record_of(other))
        own = {path.name for path in (table / "records").glob("*.json")} - {f"{STEM}.json"}
        for path in (other / "records").iterdir():
            if path.name.split(".")[0] + ".json" not in own and path.is_file() and not path.is_symlink():
                target = directory / "records" / f"n{number}{path.name}"
                shutil.copy(path, target)
    assert len(admit(directory).refused) >= len(FORGERIES) - 8
    honest, forged = (to_csv(build_tables(read_results(each))[0]) for each in (table, directory))
    assert honest == forged


def test_a_badge_of_its_own_is_lost(copied):
    boast = {"images": ["a"], "scores": {}, "environment": {}}
    fields(badge="verified", verification=boast)(record_of(copied))
    record, reasons = admit_record(record_of(copied))
    assert (reasons, record.badge, record.verification) == ((), "self-reported", None)
    assert load_record(record_of(copied)).badge == "verified"


def test_the_ledger_is_of_the_bytes_of_a_record(copied):
    enter_verification(record_of(copied), Verification(images=("a",), scores={}, environment={}))
    assert admit_record(record_of(copied))[0].badge == "verified"
    fields(parameters=1)(record_of(copied))
    assert admit_record(record_of(copied))[0].badge == "self-reported"


def test_a_verified_record_of_a_registered_network_is_admitted(copied):
    rename("densenet121", seed=1, submission=None)(record_of(copied))
    path = copied / "records" / "densenet121-standard-1.json"
    assert is_only_unverified(check_record(path).problems)
    # The row is of a run, so a second seed joins it only once somebody verified it.
    enter_verification(path, Verification(images=("a",), scores={}, environment={}))
    assert admit_record(path)[0].badge == "verified"


def test_damage_of_what_the_house_wrote_is_named(copied):
    (copied / "admission.json").write_text("{", encoding="utf-8")
    assert "admission.json is damaged" in _describe(copied)["problem"]
