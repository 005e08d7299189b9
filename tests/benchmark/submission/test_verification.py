"""Which images are drawn, and what the comparison of a record with its weights finds."""

import random
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import UserError
from benchmark.leaderboard.admission import admit
from benchmark.storage.hashing import file_digest
from benchmark.storage.ledger import read_ledger
from benchmark.storage.record import load_record
from benchmark.storage.upgrade import upgrade_scores
from benchmark.submission.checks import drawing, score
from benchmark.submission.checks.comparison import KEY_COLUMNS, compare, first_by_hash
from benchmark.submission.checks.drawing import count_forged, describe_draw, detection, draw_images, images_needed
from benchmark.submission.checks.parallel import check_all
from benchmark.submission.checks.report import CheckReport, all_problems, check_record
from benchmark.submission.checks.score import RescoreOptions, find_other_owner, verify_scores
from benchmark.submission.sandbox.limits import Limits
from benchmark.submission.sandbox.replies import Scores
from tests.benchmark.leaderboard.admission.forgeries import STEM, fields, make_table, own, read, scores

NAMES = [f"image{number:03d}" for number in range(82)]


@pytest.mark.parametrize("number", [1, 5, 9, 10, 82, 200, 5000])
def test_the_least_number_of_images_finds_a_tenth_of_forged_ones(number):
    drawn = images_needed(number)
    assert drawn == number or detection(number, drawn) >= 0.99
    assert drawn == 0 or detection(number, drawn - 1) < 0.99


def test_forty_four_images_suffice_for_any_number():
    assert images_needed(10**6) == 44
    assert describe_draw(10**6, 44).endswith("found with probability 0.99 by 44 of them.")
    assert describe_draw(5, 5) == "All 5 images were scored again."


def test_a_grinder_gains_nothing(monkeypatch):
    """A record with a tenth of forged images is verified 1,000 times."""
    generator = random.Random(0)
    monkeypatch.setattr(drawing.secrets, "SystemRandom", lambda: generator)
    forged = set(NAMES[: count_forged(len(NAMES))])
    found = sum(bool(forged.intersection(draw_images(NAMES, None))) for _ in range(1000))
    assert found >= 980


def test_no_two_draws_of_a_record_are_the_same():
    draws = {tuple(draw_images(NAMES, None)) for _ in range(20)}
    assert len(draws) == 20
    assert all(len(set(draw)) == images_needed(82) for draw in draws)
    assert draw_images(NAMES, 0) == NAMES


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return make_table(tmp_path_factory.mktemp("table") / "made" / "quick")


@pytest.fixture
def record(table, tmp_path) -> Path:
    return Path(shutil.copytree(table, tmp_path / "made" / "quick")) / "records" / f"{STEM}.json"


def honest(path: Path) -> Scores:
    """What the weights give: what the record reports before it is forged."""
    table = upgrade_scores(pd.read_parquet(path.with_suffix(".scores.parquet")))
    frame = pd.read_parquet(path.with_suffix(".predictions.parquet"))
    probabilities = [f"p{index}" for index in range(6)]
    predictions = frame[["image", *probabilities]].astype(dict.fromkeys(probabilities, float))
    return Scores(
        scores=table.astype(dict.fromkeys(KEY_COLUMNS, str))[[*KEY_COLUMNS, "value"]].to_numpy(dtype=object).tolist(),
        predictions=[list(row) for row in predictions.itertuples(index=False)],
        truth=[list(row) for row in frame[["image", "label", "group"]].itertuples(index=False)],
        attacks={name: frame[name].tolist() for name in frame if name.startswith("withstood:")},
        environment={},
    )


def problems_of(path: Path, found: Scores) -> str:
    names = [str(row[0]) for row in found.predictions]
    return "; ".join(compare(path, load_record(path), found, names)[1])


def test_an_honest_record_agrees(record):
    assert problems_of(record, honest(record)) == ""


def better(table: pd.DataFrame) -> pd.DataFrame:
    chosen = table["metric"].astype(str).isin({"fuzzy-f1", "map-f1"}) & (table["image"].astype(str) == "image00003")
    return table.assign(value=table["value"].where(~chosen, (table["value"] + 0.05).clip(upper=1)))


FORGED_SCORES = {
    "one image a little better": (better, "gives other scores for 1 image, such as image00003"),
    "everything better": (lambda t: t.assign(value=(t["value"] + 0.1).clip(upper=1)), "its checkpoint gives"),
    "another rater": (lambda t: t.assign(rater=t["rater"].astype(str).replace("derm1", "me")), "rows, such as"),
    "fewer rows": (lambda t: t[t["level"].astype(str) != "rater"], "lacks"),
    "undefined": (lambda t: t.assign(value=t["value"].where(t["image"].astype(str) != "image00003")), "undefined on"),
}


@pytest.mark.parametrize("name", FORGED_SCORES)
def test_forged_scores_are_found(record, name):
    change, reason = FORGED_SCORES[name]
    found = honest(record)
    scores(change)(record)
    assert reason in problems_of(record, found)


def test_bounds_in_a_record_widen_no_tolerance(record):
    found = honest(record)
    definition = read(record)["metrics"]["map-f1"] | {"bounds": [-1000.0, 1000.0]}
    fields(metrics={"map-f1": definition})(record)
    scores(lambda t: t.assign(value=(t["value"] + 0.1).clip(upper=1)))(record)
    assert "map-f1 (image): reports" in problems_of(record, found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.assign(label=(t["label"] + 1) % 6), "has other labels or groups than the data"),
        (lambda t: t.assign(group="one"), "has other labels or groups than the data"),
        (lambda t: t.assign(p0=t["p0"] + 0.03, p1=t["p1"] - 0.03), "gives other probabilities"),
        (lambda t: t.assign(**{"withstood:pgd-5-l2-0.25": 1.0}), "gives other outcomes for"),
        (lambda t: t.drop(columns="withstood:pgd-5-l2-0.25"), "lacks the column"),
    ],
)
def test_forged_predictions_are_found(record, change, reason):
    found = honest(record)
    file = record.with_suffix(".predictions.parquet")
    change(pd.read_parquet(file)).to_parquet(file)
    assert reason in problems_of(record, found)


@pytest.mark.parametrize("mark", [True, False])
def test_a_verification_that_crashes_is_a_problem_where_the_ledger_waits_for_it(record, tmp_path, monkeypatch, mark):
    record, weights = own(record), tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    fields(training={"sha256": file_digest(weights)})(record)

    def crash(*_):
        raise UserError("the network failed in its box: RuntimeError: no answer")

    monkeypatch.setattr(score, "_score_again", crash)
    options = RescoreOptions(checkpoint=weights, mark_verified=mark)
    report = verify_scores(CheckReport(kind="record", path=record), None, Limits(), options)
    line = "its scores could not be verified: the network failed in its box: RuntimeError: no answer"
    assert (report.problems, report.warnings) == (([line], []) if mark else ([], [line]))
    assert all_problems([report]) == int(mark)  # what the exit code follows from
    assert not read_ledger(record.parent.parent)


def test_the_files_of_many_records_are_looked_at_once(table, monkeypatch):
    looked_at = []
    find_files = admit._signature
    monkeypatch.setattr(admit, "_signature", lambda directory: looked_at.append(directory) or find_files(directory))
    records = sorted((table / "records").glob("*.json"))
    reports = check_all([], records, Limits(), RescoreOptions(), lambda _: None)
    assert looked_at == [table]
    assert [report.problems for report in reports] == [check_record(path).problems for path in records]


def test_weights_belong_to_one_model(record):
    assert find_other_owner(record, load_record(record)) == ""
    fields(training={"sha256": read(own(record))["training"]["sha256"]})(record)
    assert find_other_owner(record, load_record(record)).endswith("/standard, seed 0")


def test_the_images_that_a_protocol_attacks_follow_from_their_names():
    first = first_by_hash(NAMES, 20)
    assert len(first) == 20
    assert first < first_by_hash(NAMES, 40) < first_by_hash(NAMES, None) == set(NAMES)
