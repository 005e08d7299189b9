"""`repeat`: equal to the byte, as near as repeats are, or not. The training itself is made up."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark import __main__ as program
from benchmark.cli import repeat as verb
from benchmark.errors import UserError
from benchmark.leaderboard.analysis.repeat import MEASURED_SPREADS, TABLES, are_equal, judge_repeat
from benchmark.leaderboard.columns import ACCURACY, HEADLINES
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.hashing import file_digest
from benchmark.storage.results import sidecar_file
from tests.benchmark.leaderboard.made_results import make_results

ROW = "densenet121/standard"
STEM = "densenet121-standard-0"


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("published"))


def made(folder: Path, shift: float = 0.0, seeds: int = 1) -> Path:
    """Results of two networks whose records have the digests of their files; all scores of the first one differ."""
    directory = make_results(folder / "made" / "quick", images=24, architectures=3, regimes=1, seeds=seeds)
    for path in (directory / "records").glob("*.json"):
        files = {name: path.with_name(f"{path.stem}.{name}") for name in ("scores.parquet", "predictions.parquet")}
        if shift and path.stem == STEM:
            scores = pd.read_parquet(files["scores.parquet"])
            scores.assign(value=scores["value"] * (1 - shift)).to_parquet(files["scores.parquet"])
        record = json.loads(path.read_text(encoding="utf-8"))
        record.pop("seal", None)
        record["files"] = {name: file_digest(file) for name, file in files.items()}
        path.write_text(json.dumps(record), encoding="utf-8")
    return directory


@pytest.fixture
def repeated(published, tmp_path, monkeypatch):
    """Runs the verb on the first row. In place of a training, the row is published again with scores that differ.

    `planned` is the protocol of the command before it trains.
    """

    def run(shift: float = 0.0, protocol: str = "", *words: str, planned: str = "", row: str = ROW):
        directory = made(tmp_path / "again" / "results", shift)
        for path in (directory / "records").glob("*.json"):
            if path.stem != STEM:
                path.unlink()
            elif protocol:
                record = json.loads(path.read_text(encoding="utf-8"))
                path.write_text(json.dumps(record | {"protocol": protocol}), encoding="utf-8")
        if protocol:
            (directory / "protocol.json").write_text(json.dumps({"protocol": protocol}), encoding="utf-8")
        commands: list[list[str]] = []
        plan = SimpleNamespace(stdout=f"protocol {planned or read_results(published).protocol}\n", returncode=0)
        monkeypatch.setattr(verb, "_train", lambda words, _directory: commands.append(words) or directory)
        monkeypatch.setattr(verb, "_run_command", lambda *_, **__: plan)
        outcome = CliRunner().invoke(program.app, ["repeat", row, "--results", str(published), *words])
        shutil.rmtree(tmp_path / "again")
        return outcome, commands

    return run


@pytest.mark.parametrize(
    ("shift", "code", "verdict"),
    [
        (0.0, 0, "The repeat is equal to the byte."),
        (0.01, 0, "The repeat is within what repeats spread."),
        (0.2, 1, "The repeat is not within what repeats spread."),
    ],
)
def test_the_verdict_on_a_repeat(repeated, shift, code, verdict):
    outcome, (words,) = repeated(shift)
    assert words[0] == "run"
    assert words[words.index("--architecture") + 1] == "densenet121"
    assert outcome.exit_code == code, outcome.output
    assert verdict in outcome.output
    assert ("more than that" in outcome.output) is bool(code)


def test_paths_on_this_machine_replace_those_of_the_row(repeated):
    _, (words,) = repeated(0.0, "", "--data", "/mine/images", "--weights", "/mine/net.safetensors")
    assert words[words.index("--data") + 1] == "/mine/images"
    assert words[words.index("--weights") + 1] == "/mine/net.safetensors"
    assert (words.count("--data"), words.count("--weights")) == (1, 1)


def test_equal_numbers_are_equal_however_the_file_is_written(published, tmp_path):
    again = tmp_path / "again.json"
    one = next((published / "records").glob("*.json"))
    for name in TABLES:
        frame = pd.read_parquet(sidecar_file(one, name))
        frame.to_parquet(sidecar_file(again, name), compression="gzip")
    assert are_equal(one, again)
    scores = pd.read_parquet(sidecar_file(again, "scores.parquet"))
    last = np.float32(scores.loc[3, "value"])
    for value, equal in ((np.nextafter(np.float64(last), 2), True), (np.float64(np.nextafter(last, 2)), False)):
        scores.loc[3, "value"] = value
        scores.to_parquet(sidecar_file(again, "scores.parquet"))
        assert are_equal(one, again) == equal
    scores.drop(columns="level").to_parquet(sidecar_file(again, "scores.parquet"))
    assert not are_equal(one, again)


def test_other_code_is_no_repeat_and_trains_nothing(repeated):
    outcome, commands = repeated(planned="abc1234")
    assert "this is no repeat: the protocol is abc1234" in str(outcome.exception)
    assert "git worktree add ../repeat " in str(outcome.exception)
    assert commands == []


def test_a_repeat_that_is_there_is_judged_without_a_training(repeated, tmp_path):
    outcome, commands = repeated(0.01, "", "--output", str(tmp_path / "again"))
    assert "The repeat is within what repeats spread." in outcome.output
    assert commands == []
    outcome, _ = repeated(0.0, "another", "--output", str(tmp_path / "again"))
    assert "this is no repeat: the protocol is another" in str(outcome.exception)
    outcome, _ = repeated(0.0, "", "--output", str(tmp_path / "again"), row="inception_resnet_v2/standard")
    assert "is of another row: densenet121-standard-0" in str(outcome.exception)


def test_the_images_of_an_older_record_must_be_named(published):
    known = next(iter(read_results(published).records.values()))
    record = known.model_copy(update={"synthetic": False, "provenance": None})
    with pytest.raises(UserError, match="name that of made with --data"):
        verb._require_data(record, None)
    verb._require_data(record, Path("elsewhere"))
    verb._require_data(known, None)


def test_a_dry_run_trains_nothing(repeated):
    outcome, commands = repeated(0.0, "", "--dry-run", "--data", "elsewhere")
    assert outcome.exit_code == 0
    assert "--data elsewhere" in outcome.output
    assert commands == []


@pytest.mark.parametrize("options", [["--entries", "theirs"], ["--engine", "ray"], ["--data", "--entries"]])
def test_options_of_a_record_that_may_run_code_are_shown_and_not_run(repeated, published, options):
    path = published / "records" / f"{STEM}.json"
    text = path.read_text(encoding="utf-8")
    record = json.loads(text)
    record["provenance"] = {"weights": "random", "options": options}
    path.write_text(json.dumps(record), encoding="utf-8")
    outcome, commands = repeated()
    path.write_text(text, encoding="utf-8")
    assert "may run code of somebody else" in str(outcome.exception)
    assert " ".join(options) in outcome.output
    assert commands == []


def test_the_spread_is_that_of_the_table_where_it_has_several_seeds(published, tmp_path):
    directory = made(tmp_path, seeds=3)
    (table, *_), (single, *_) = (build_tables(read_results(each)) for each in (directory, published))
    assert {column.name for column in HEADLINES} | {ACCURACY} == set(MEASURED_SPREADS)
    row = next(row for row in single.models if row.label == ROW)
    moved = replace(row, estimates={k: replace(e, value=e.value + 0.05) for k, e in row.estimates.items()})
    pooled, measured = (judge_repeat(each, ROW, row, moved, equal=False) for each in (table, single))
    assert all(score.measured for score in measured.scores)
    first = pooled.scores[0]
    known = next(each for each in table.models if each.label == ROW).estimates["map_f1"].error
    assert not first.measured
    assert first.spread == pytest.approx((3 * known.training_variance) ** 0.5)
    assert first.is_within == (first.limit >= 0.05)
