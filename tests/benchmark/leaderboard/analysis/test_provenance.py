"""Tables, page and cards say what was done, not what the preset says."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.escaping import escape_markdown
from benchmark.leaderboard.analysis.provenance import describe_duplicates, describe_origin, describe_split
from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.html.card import build_card
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.record import Record, load_record
from tests.benchmark.leaderboard.made_results import make_results, make_submission
from tests.committed import unnamed_content

CHECKPOINT = {"trained_on": "nine hospitals", "source": "https://example.org/weights"}
PRETRAINED = {
    "weights": "random",
    "stages": [{"dataset": "ham10000-128", "regime": "standard", "train": 9000}],
    "split": "not the official one",
    "near_duplicates": 3,
    "options": ["--data", "my data", "--pretrain", "ham"],
}


def changed(record: Path, **changes: object) -> Record:
    """A record with other fields, through its file."""
    content = json.loads(record.read_text(encoding="utf-8"))
    training = content["training"] | changes.pop("training", {})
    record.write_text(json.dumps(content | changes | {"training": training}), encoding="utf-8")
    return load_record(record)


@pytest.fixture
def copy(tmp_path) -> Path:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(unnamed_content("xception/standard")), encoding="utf-8")
    return path


def test_records_without_a_provenance_say_what_their_settings_know(copy):
    assert describe_origin(load_record(copy)) == "random weights"
    assert describe_split(load_record(copy)) == ""
    content = json.loads(copy.read_text(encoding="utf-8"))
    content["settings"]["training"] |= {"weights": "0123", "start": {"data": "ham", "regime": "standard", "train": 9}}
    assert (
        describe_origin(changed(copy, settings=content["settings"]))
        == "random weights, then standard training on 9 images of ham"
    )
    content["settings"]["training"] = {"weights": "/home/me/derma.safetensors"}
    assert describe_origin(changed(copy, settings=content["settings"])) == "weights of derma.safetensors"


@pytest.mark.parametrize(
    ("provenance", "training", "origin"),
    [
        ({"weights": "random"}, {}, "random weights"),
        ({"weights": "pretrained"}, {}, "published weights with a new classifier"),
        (PRETRAINED, {}, "random weights, then standard training on 9000 images of ham10000-128"),
        (
            {"weights": "derma/xception.safetensors", "weights_sha256": "ab"},
            {"loaded": 90, "random": ["body.fc.bias", "body.fc.weight"]},
            "weights of derma/xception.safetensors (90 tensors), random body.fc.bias, body.fc.weight",
        ),
    ],
)
def test_the_origin_is_what_was_loaded_and_what_came_before(copy, provenance, training, origin):
    assert describe_origin(changed(copy, provenance=provenance, training=training)) == origin


def test_a_checkpoint_from_elsewhere_has_its_own_training_data_and_source(copy):
    submission = {"entry": "theirs.py", "sha256": "0" * 64, "checkpoint": CHECKPOINT}
    record = changed(copy, submission=submission, provenance={"weights": "theirs.safetensors"})
    assert describe_origin(record) == "trained elsewhere on nine hospitals, from https://example.org/weights"


def test_look_alike_images_are_counted_or_said_to_be_uncounted(copy):
    assert "Nobody looked" in describe_duplicates(load_record(copy))
    for count, text in ((0, "No test image looks"), (3, "3 of 82 test images look like training images")):
        record = changed(copy, provenance=PRETRAINED | {"near_duplicates": count})
        assert text in describe_duplicates(record)


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Three networks: from random weights, pre-trained on another set, and trained elsewhere; under preset words."""
    directory = make_results(
        tmp_path_factory.mktemp("made") / "made" / "standard", images=24, architectures=3, regimes=1
    )
    random, pretrained, external = sorted((directory / "records").glob("*.json"))
    changed(random, provenance={"weights": "random", "split": "official", "near_duplicates": 0})
    changed(pretrained, provenance=PRETRAINED)
    external = make_submission(directory, external.stem, "theirs", submission={"checkpoint": CHECKPOINT})
    changed(external, training={"losses": [], "validation": []})
    rebuild(directory)
    return directory


def test_every_table_says_it_row_by_row_where_rows_differ(published):
    names = sorted(path.name.partition("-")[0] for path in (published / "records").glob("*.json"))
    page, text = ((published / f"leaderboard.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    with (published / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        origins = {row["name"]: row["origin"] for row in csv.DictReader(file) if row["kind"] == "model"}
    for name, origin in zip(names, ("random weights", "ham10000-128", "nine hospitals"), strict=True):
        assert origin in origins[name]
        assert f"- {name}/standard: {escape_markdown(origins[name])}." in text
        assert next(line for line in text.splitlines() if line.startswith("| 1") or f"| {name}" in line)
        row = next(line for line in text.splitlines() if f"| {name}" in line)
        assert origins[name] in row.replace("\\", "")  # Markdown escapes addresses
        assert page.count(origins[name]) >= 3  # its row, the notes and its card
    for shown in (page, text.replace("\\", "")):
        assert "NOT the official one" in shown
        assert "3 of 24 test images look like training images" in shown
        assert "https://example.org/weights" in shown


def test_the_label_of_a_variant_replaces_its_origin(published):
    leaderboard = build_tables(read_results(published))[0]
    row = leaderboard.models[0]
    assert leaderboard.distinguishing_origin(row) == row.origin != ""
    labeled = replace(row, regime="standard+imagenet", title="standard (imagenet)")
    assert leaderboard.distinguishing_origin(labeled) == ""


def test_a_table_of_one_origin_says_it_once(tmp_path):
    directory = make_results(tmp_path / "made" / "quick", images=24, architectures=2, regimes=1)
    rebuild(directory)
    text = (directory / "leaderboard.md").read_text(encoding="utf-8")
    assert text.count("random weights") == 1
    assert not build_tables(read_results(directory))[0].has_several_origins


def test_the_card_has_origin_split_look_alikes_and_the_command(published):
    results = read_results(published)
    rows = build_tables(results)[0].models
    row = next(row for row in rows if "ham10000" in row.origin)
    card = build_card(row, results)
    shown = dict(card.provenance)
    assert shown["started from"] == row.origin
    assert "NOT the official one" in shown["split"]
    assert "3 of 24" in shown["look-alike images"]
    assert card.command.endswith("--data 'my data' --pretrain ham")
