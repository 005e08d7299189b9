"""From an entry file to a row: a hand-written network, and a checkpoint that plain PyTorch trained elsewhere."""

import csv
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import safetensors.torch
import torch
from captum.attr import LayerGradCam
from filelock import FileLock
from torch import nn

from benchmark import registry
from benchmark.cli.export_maps import export_maps
from benchmark.config.presets import QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from benchmark.experiments.cell import run_cell
from benchmark.experiments.grid import build_grid
from benchmark.experiments.jobs import RunRequest, build_jobs
from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.export.csv import OTHER_PROTOCOL
from benchmark.runtime.terminal import Terminal
from benchmark.storage.files import TMP_PREFIX, write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.ledger import enter_verification, read_ledger
from benchmark.storage.lock import LOCK_FILE
from benchmark.storage.paths import ROOT
from benchmark.storage.record import Verification, load_record
from benchmark.storage.results import sidecar_file
from benchmark.submission import submit as submitting
from benchmark.submission.checks import parallel as lanes
from benchmark.submission.checks.report import CheckReport, check_record, targets
from benchmark.submission.checks.score import RescoreOptions, verify_scores
from benchmark.submission.entries import EntryFacts, collect_facts, known_entry
from benchmark.submission.request import SubmissionRequest
from benchmark.submission.sandbox.client import worker
from benchmark.submission.submit import SubmissionRejected, describe_other_protocols, submit
from benchmark.submission.template import TEMPLATE, write_template
from tests.benchmark.submission.forged import LIAR, LIES, LOOKING, better, edited, write_unsealed
from tests.benchmark.submission.place import (
    LIMITS,
    THEIRS,
    Place,
    body,
    entry_text,
    train_elsewhere,
    watch_tables,
    write_data,
)
from tests.metrics.quantus_oracle import RANK_ACCURACY, SPARSENESS, score_each


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Both networks, submitted."""
    root = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOUPE_RUNS", str(root / "runs"))
        patch.setenv("LOUPE_RESULTS", str(root / "results"))
        with worker() as running:
            there = Place(root, running)
            write_data(there.data)
            there.entries.mkdir()
            train_elsewhere(there.data, there.entries / "theirs.safetensors")
            entry = there.entries / "elsewhere.py"
            entry.write_text(entry_text("elsewhere", there.entries / "theirs.safetensors"), encoding="utf-8")
            watch_tables(there, patch)
            there.submit(write_template("by_hand", there.entries))
            there.submitted = there.submit(entry)
            yield there


def test_both_appear_in_the_leaderboard_and_the_external_one_is_marked(place):
    with (place.submitted.directory / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row["regime_title"] for row in csv.DictReader(file) if row["kind"] == "model"}
    assert rows == {"by_hand": "standard", "elsewhere": "standard (external)"}
    assert "standard (external)" in (place.submitted.directory / "leaderboard.md").read_text(encoding="utf-8")
    record = load_record(place.submitted.records[0])
    assert record.submission.checkpoint["trained_on"] == "sixteen of the images"
    assert record.training.losses == []
    assert record.training.sha256 == file_digest(place.entries / "theirs.safetensors")
    assert set(record.files) == {"classification.csv", "curves.parquet", "predictions.parquet", "scores.parquet"}


def test_the_tables_are_made_once_per_submission_and_the_marker_says_of_what(place):
    directory = place.submitted.directory
    assert place.made[0] == {}  # nothing was there, and the child made none
    assert place.rebuilt[:2] == [directory, directory]
    keys = {load_record(path).key for path in (directory / "records").glob("*.json")}
    marker = json.loads((directory / "protocol.json").read_text(encoding="utf-8"))
    assert (set(marker["in_tables"]), len(keys)) == (keys, 2)


@pytest.fixture
def no_entries(monkeypatch):
    """Forgets the entries of this process, which a command of its own has not loaded. They are back afterwards."""

    def forget():
        monkeypatch.setattr(registry, "_external", {})
        registry.entries.cache_clear()

    forget()
    yield forget
    monkeypatch.undo()
    registry.entries.cache_clear()


def test_the_maps_of_a_submission_are_exported_with_its_entry(place, tmp_path, monkeypatch, no_entries):
    monkeypatch.setenv("LOUPE_RUNS", str(place.root / "runs"))
    monkeypatch.setenv("LOUPE_RESULTS", str(place.results))

    def export(**options):
        export_maps("elsewhere/standard", output=tmp_path / "maps", data=place.data, **options)

    with pytest.raises(UserError, match=r"is a submission; name the directory of its entry, elsewhere.py, with --ent"):
        export()
    with pytest.raises(UserError, match="is missing or was changed since"):
        export(entries=tmp_path)
    export(entries=place.entries)
    names = pd.read_csv(tmp_path / "maps" / "predictions.csv")["image"]
    assert {path.stem for path in (tmp_path / "maps").glob("*.npy")} == set(names)
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path))
    no_entries()
    with pytest.raises(UserError, match=f"^{tmp_path}/maps has no maps of elsewhere/standard by grad-cam"):
        export(entries=place.entries)


def test_a_network_in_a_box_scores_as_in_this_process(place, tmp_path, monkeypatch):
    # With the weights of the box: a training differs by rounding between processes.
    shutil.copytree(place.root / "runs" / "models", tmp_path / "runs" / "models")
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
    path = place.entries / "by_hand.py"
    space: dict[str, object] = {}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), space)  # our own text
    facts = EntryFacts.model_validate(collect_facts(space["BY_HAND"]))
    preset = replace(QUICK, epochs=1, num_perturbed=4)
    with known_entry(path, facts, space["build"], pretrained=False) as architecture:
        request = RunRequest(
            preset=preset,
            source=Source(directory=place.data),
            cells=build_grid(preset, [architecture.name], ["standard"], [0]),
            device=torch.device("cpu"),
            bfloat16=False,
        )
        here = run_cell(build_jobs(request, Terminal())[0], lambda *_: None)
    (record,) = (place.submitted.directory / "records").glob("by_hand-*.json")
    assert load_record(record).parameters == load_record(here / "record.json").parameters
    assert not load_record(record).submission.unconfined or place.running.start()
    for name in ("scores", "predictions", "curves"):
        ours, theirs = (
            pd.read_parquet(file) for file in (here / f"{name}.parquet", sidecar_file(record, f"{name}.parquet"))
        )
        pd.testing.assert_frame_equal(theirs, ours, rtol=0, atol=1e-6)


def test_the_scores_of_a_checkpoint_are_those_of_captum_and_quantus(place):
    network = body().eval()
    network.load_state_dict(safetensors.torch.load_file(place.entries / "theirs.safetensors"))
    data = prepare_dataset(load_index(Source(directory=place.data)), QUICK)
    images = torch.tensor(data.images[data.test]).permute(0, 3, 1, 2).float() / 255
    inputs = (images - 0.5) / 0.5
    predicted = network(inputs).argmax(dim=1)
    maps = LayerGradCam(network, network[8]).attribute(inputs, target=predicted, relu_attributions=True)
    # The centers of the 12 x 12 cells are pixels 0, 8, ..., 88; beyond the last one a map keeps its value.
    maps = nn.functional.interpolate(maps.detach(), size=89, mode="bilinear", align_corners=True)
    maps = nn.functional.pad(maps, (0, 7, 0, 7), mode="replicate")[:, 0]

    record = place.submitted.records[0]
    predictions = pd.read_parquet(record.with_name(f"{record.stem}.predictions.parquet"))
    names = list(data.samples["id"].to_numpy()[data.test])
    assert list(predictions["image"]) == names
    assert [data.classes[each] for each in predictions["predicted"]] == [THEIRS[each] for each in predicted]

    scores = pd.read_parquet(record.with_name(f"{record.stem}.scores.parquet"))
    scores = scores[scores["method"] == "grad-cam"].set_index(["metric", "level", "image"])["value"]
    union = data.references[data.references["level"] == "union"]
    plane = dict(zip(union["sample"], union.index, strict=True))
    compared = 0
    for name, row, one in zip(names, data.test, maps, strict=True):
        mask = torch.tensor(data.mask_arrays[plane[row]]) > 127
        if one.any():
            assert scores["sparsity", "map", name] == pytest.approx(score_each(SPARSENESS, one[None])[0], abs=1e-3)
        if (one > 0).sum() > mask.sum():  # among equal zeros Quantus takes any
            expected = score_each(RANK_ACCURACY, one[None], mask[None])[0]
            assert scores["top-mask-f1", "image", name] == pytest.approx(expected, abs=5e-3)
            compared += 1
    assert compared >= 4


def test_a_record_that_holds_is_marked_as_recomputed(place, tmp_path):
    shutil.copytree(place.results, tmp_path / "results")
    record = tmp_path / "results" / place.submitted.records[0].relative_to(place.results)
    evidence = RescoreOptions(data=place.data, entries=place.entries, sample_size=4, mark_verified=True)
    found = verify_scores(check_record(record), place.running, LIMITS, evidence)
    assert not found.problems
    assert not [line for line in found.warnings if "verified" in line]
    assert found.facts["badge"] == "verified"
    claimed, again, may = found.facts["scores"]["grad-cam: sparsity (map)"]
    assert abs(claimed - again) < 1e-6 < may
    assert found.facts["finds"].endswith("by 4 of them.")
    assert load_record(record).badge == "self-reported"  # a record has no word in it
    (entered,) = read_ledger(record.parent.parent).values()
    assert (len(entered.images), entered.record, entered.finds) == (4, record.name, found.facts["finds"])
    again = check_record(record)
    assert (again.problems, again.facts["badge"]) == ([], "verified")
    assert not rebuild(record.parent.parent)[0].problems


def test_a_seed_that_waits_for_its_verification_is_accepted(place, tmp_path, monkeypatch):
    for name in ("results", "evaluated"):
        shutil.copytree(place.results, tmp_path / name)
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    (first,) = (tmp_path / "results").rglob("records/by_hand-*.json")
    enter_verification(first, Verification(images=(), scores={}, environment={}))
    rebuild(first.parent.parent)
    (tmp_path / "evaluated" / first.relative_to(tmp_path / "results")).unlink()
    directory = tmp_path / "evaluated" / first.parent.relative_to(tmp_path / "results")
    for path in directory.glob(f"{first.stem}.*"):
        path.rename(path.with_name(path.name.replace("-standard-0-", "-standard-1-")))
    second = directory / first.name.replace("-standard-0-", "-standard-1-")
    shutil.copyfile(first, second)
    edited(seed=1, key="0123456789abcdef", training={"sha256": "1" * 64})(second)
    report = CheckReport(kind="entry", path=place.entries / "by_hand.py", facts={"metadata": {"name": "by_hand"}})
    lines: list[str] = []
    accepted = submitting._publish(tmp_path / "evaluated", report, lines.append)
    assert [path.name for path in accepted.records] == [second.name]
    assert any("left out of the tables" in line and "verify it" in line for line in lines)


@pytest.mark.parametrize("what", LIES)
def test_a_record_that_lies_is_refused(place, tmp_path, what):
    lie, line = LIES[what]
    shutil.copytree(place.results, tmp_path / "results")
    record = tmp_path / "results" / place.submitted.records[0].relative_to(place.results)
    lie(record)
    found = check_record(record)
    if what == "better scores":
        assert not found.problems
        evidence = RescoreOptions(data=place.data, entries=place.entries, sample_size=4, mark_verified=True)
        found = verify_scores(found, place.running, LIMITS, evidence)
        assert found.facts["badge"] == "refused"
        assert not read_ledger(record.parent.parent)
    assert any(line in problem for problem in found.problems), found.problems


def verify_with(place, directory: Path, text: str, forge=lambda _: None) -> CheckReport:
    """Verifies the record of `by_hand`, whose entry has more code than it had when the record was made."""
    shutil.copytree(place.results, directory / "results")
    (record,) = (directory / "results").rglob("records/by_hand-*.json")
    forge(record)
    (directory / "entries").mkdir()
    code = (place.entries / "by_hand.py").read_text(encoding="utf-8")
    (directory / "entries" / "by_hand.py").write_text(
        code.replace("import Network\n", f"import Network\n{text}\n"), encoding="utf-8"
    )
    options = RescoreOptions(data=place.data, entries=directory / "entries", sample_size=4, mark_verified=True)
    return verify_scores(check_record(record), place.running, LIMITS, options)


def test_an_entry_cannot_change_the_scores_of_its_verification(place, tmp_path):
    found = verify_with(place, tmp_path, LIAR, better)
    assert any("map-f1 (image): reports" in problem for problem in found.problems), found
    assert "its key is not that of its settings, data and code" in found.problems


def test_no_data_and_no_scores_are_where_an_entry_is_verified(place, tmp_path):
    if place.running.start():
        pytest.skip("this system has no boxes")
    assert (place.root / "runs" / "maps").is_dir()
    paths = [place.data, tmp_path / "results", place.results, place.root / "runs" / "maps"]
    found = verify_with(place, tmp_path, LOOKING.replace("PATHS", repr(list(map(str, paths)))))
    reason = "the network failed in its box: RuntimeError: []"
    assert f"its scores could not be verified: {reason}" in found.problems


def test_a_withdrawn_entry_keeps_its_row_with_a_note(place, tmp_path, monkeypatch):
    shutil.copytree(place.results, tmp_path / "results")
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    entry = place.entries / "by_hand.py"
    whole = entry.read_text(encoding="utf-8")
    old = 'license="Apache-2.0",'
    try:
        for field, title in (
            ('withdrawn="its data was wrong"', "standard (withdrawn: its data was wrong)"),
            ('superseded_by="elsewhere"', "standard (superseded by elsewhere)"),
        ):
            entry.write_text(whole.replace(old, f"{old} {field},"), encoding="utf-8")
            directory = place.submit(entry).directory
            with (directory / "leaderboard.csv").open(encoding="utf-8") as file:
                rows = {row["name"]: row["regime_title"] for row in csv.DictReader(file)}
            assert rows["by_hand"] == title
            assert rows["elsewhere"] == "standard (external)"
        entry.write_text(whole.replace(old, f'{old} superseded_by="nobody",'), encoding="utf-8")
        with pytest.raises(SubmissionRejected, match="superseded_by: there is no entry nobody"):
            place.submit(entry)
    finally:
        entry.write_text(whole, encoding="utf-8")


def test_a_copy_of_the_results_waits_for_their_writer_and_has_no_temporary_files(own_folders, monkeypatch):
    directory = own_folders / "results" / "data" / "quick"
    write_text(directory / "protocol.json", "{}")
    (directory / f"{TMP_PREFIX}protocol.json").touch()
    held = []

    def copytree(*arguments, **options):
        held.append(FileLock(directory / LOCK_FILE, is_singleton=True).is_locked)
        return copy(*arguments, **options)

    copy = shutil.copytree
    monkeypatch.setattr(submitting.shutil, "copytree", copytree)
    submitting._copy_results(own_folders / "copy", "quick", lambda _: None)
    assert held == [True]
    assert [path.name for path in (own_folders / "copy" / "data" / "quick").iterdir()] == ["protocol.json"]


def test_rows_of_another_protocol_stay_below_the_new_one_and_the_command_says_so(place, tmp_path, monkeypatch):
    shutil.copytree(place.results, tmp_path / "results")
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    directory = tmp_path / "results" / place.submitted.directory.relative_to(place.results)
    for path in (*directory.glob("records/*.json"), directory / "protocol.json"):
        write_unsealed(path, json.loads(path.read_text(encoding="utf-8")) | {"protocol": "01" * 8})
    (directory / "maps-adversarial.webp").write_bytes(b"maps of the older protocol")
    submitted = place.submit(write_template("newcomer", tmp_path))
    with (directory / "leaderboard.csv").open(encoding="utf-8") as file:
        rows = {row["name"]: row["kind"] for row in csv.DictReader(file) if row["regime"]}
    assert rows == {"newcomer": "model", "by_hand": OTHER_PROTOCOL, "elsewhere": OTHER_PROTOCOL}
    assert "## Made under another protocol" in (directory / "leaderboard.md").read_text(encoding="utf-8")
    assert not (directory / "maps-adversarial.webp").exists()
    assert describe_other_protocols(submitted, "quick").startswith(
        "2 models of this table were made under another protocol (equal settings, other data or code). They are listed"
    )
    assert describe_other_protocols(place.submitted, "quick") == ""


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        (
            ["begnin", "melanoma"],
            "has the class 'begnin', the data has benign, melanoma, is it 'benign'?",
        ),
        (["a", "b"], "has the class 'a' and 1 more, the data has benign, melanoma; use the names of the data"),
        (["benign", "benign"], "has the classes benign, benign; give each class once"),
        (["benign"], "lacks the class 'melanoma' of the data; use data of its classes alone"),
    ],
)
def test_wrong_classes_of_a_checkpoint_end_the_checks_before_anything_is_evaluated(
    classes, problem, tmp_path, monkeypatch
):
    checkpoint = {"file": "w.safetensors", "sha256": "0" * 64, "classes": classes, "regime": "standard"}
    checkpoint |= {"trained_on": "some images", "source": "this test"}
    facts = {"metadata": {"checkpoint": checkpoint, "withdrawn": "", "superseded_by": "", "input_size": 96}}
    found = CheckReport(kind="entry", path=tmp_path / "mine.py", facts=facts, warnings=["has no license"])
    monkeypatch.setattr(submitting, "check_entry", lambda *_, **__: found)
    steps, request = [], SubmissionRequest(data=write_data(tmp_path / "data"))
    with pytest.raises(SubmissionRejected) as rejected:
        submit(found.path, request, None, steps.append, limits=LIMITS)
    assert steps == ["checking mine.py", "warning: has no license"]
    (line,) = rejected.value.report.problems
    assert problem in line
    assert rejected.value.report.path == found.path


def test_what_is_refused_changes_nothing(place):
    def tree():
        paths = [path for path in place.root.rglob("*") if path.is_file()]
        return {path: file_digest(path) for path in paths if "runs" not in path.relative_to(place.root).parts}

    bad = place.entries / "bad.py"
    whole = TEMPLATE.replace("NAME", "bad").replace("CONSTANT", "BAD")
    bad.write_text(whole.replace("body.8", "body.80"), encoding="utf-8")
    before = tree()
    with pytest.raises(SubmissionRejected, match=r"has no module 'body\.80'"):
        place.submit(bad)
    # Fit for the check, and broken on real work.
    broken = "import Network\n\n\nclass Network(Network):\n    def forward(self, images):\n"
    broken += "        assert len(images) < 5, 'five'\n        return super().forward(images)\n"
    bad.write_text(whole.replace("import Network\n", broken), encoding="utf-8")
    before = tree()
    with pytest.raises(UserError, match="bad/standard/0: AssertionError: five"):
        place.submit(bad)
    assert tree() == before
    bad.unlink()


@pytest.mark.parametrize("cores", [1, 2])
def test_many_are_checked_in_the_order_given_side_by_side_where_there_are_cores(place, tmp_path, monkeypatch, cores):
    monkeypatch.setattr(lanes.os, "cpu_count", lambda: cores)
    opened, reported = [], []

    def counted(threads=None):
        opened.append(threads)
        return nullcontext(place.running) if len(opened) == 1 else worker(threads=threads)

    monkeypatch.setattr(lanes, "worker", counted)
    entries = [place.entries / "by_hand.py", write_template("second", tmp_path), tmp_path / "broken.py"]
    entries[2].write_text("raise RuntimeError", encoding="utf-8")
    records = sorted(place.results.glob("*/*/records/*.json"))
    found = lanes.check_all(
        entries, records, LIMITS, RescoreOptions(data=place.data, entries=place.entries), reported.append
    )
    assert [each.path for each in found] == [*entries, *records]
    assert [each.kind for each in found] == ["entry"] * 3 + ["record"] * 2
    assert [bool(each.problems) for each in found] == [False, False, True, False, False]
    assert all(each.facts["badge"] == "verified" for each in found[3:])
    # Records of code wait for the end, when the judge has this process for itself.
    assert sorted(reported) == sorted(path.name for path in (*entries, *records, *records))
    assert opened == [*([None] if cores == 1 else [1, 1]), None]


def test_a_worker_that_is_lost_ends_all_lanes(monkeypatch):
    looked = []

    def lost(path, *_):
        looked.append(path)
        raise UserError("the process that runs entries was ended; is there enough memory?")

    monkeypatch.setattr(lanes, "check_entry", lost)
    monkeypatch.setattr(lanes.os, "cpu_count", lambda: 2)
    paths = [Path(f"entry{number}.py") for number in range(100)]
    with pytest.raises(UserError, match="is there enough memory"):
        lanes.check_all(paths, [], LIMITS, RescoreOptions(), lambda _: None)
    assert 1 <= len(looked) <= 2


def test_words_on_the_command_line_mean_entries_records_or_all(place, tmp_path):
    assert targets(["resnet50"], None) == ([ROOT / "architectures" / "resnet50.py"], [])
    assert targets(["by_hand"], place.entries)[0] == [place.entries / "by_hand.py"]
    assert targets([str(place.submitted.directory)], None)[1] == sorted(
        (place.submitted.directory / "records").glob("*.json")
    )
    entries, records = targets([], None)
    assert len(entries) >= 12
    assert records == sorted(place.results.glob("*/*/records/*.json"))
    with pytest.raises(UserError, match="does not exist; give an entry file"):
        targets([str(tmp_path / "absent.py")], None)
