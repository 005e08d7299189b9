"""No row disappears without a word, and each has a place of its own."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch

from benchmark.api import load_predictions, load_scores
from benchmark.cli.export_maps import find_record
from benchmark.config.presets import QUICK
from benchmark.errors import UserError
from benchmark.experiments import comparison_figure
from benchmark.experiments import publish as publishing
from benchmark.experiments.grid import build_grid
from benchmark.experiments.job import Job
from benchmark.experiments.publish import find_record_file, publish_record, publish_split
from benchmark.experiments.status import status
from benchmark.leaderboard.analysis.compare import compare_models, list_models
from benchmark.leaderboard.load.anywhere import describe_differences, find_models, join_pair
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.house import TableFacts, state_facts
from benchmark.storage.protocol import write_protocol
from benchmark.storage.results import find_split_file, record_files, table_dir
from tests.benchmark.experiments.made_cells import make_cell


def a_job(variant: str = "", data: str = "d", **changes) -> Job:
    preset = replace(QUICK, **changes)
    cell = build_grid(preset, ["mobilenet"], ["standard"], [], variant)[0]
    return Job(cell=cell, data=SimpleNamespace(key=data), preset=preset, device=torch.device("cpu"), bfloat16=False)


def test_the_identity_is_that_of_settings_and_data_alone():
    job = a_job()
    others = [a_job(epochs=2), a_job(data="other"), a_job(variant="x"), a_job(image_size=128)]
    others += [replace(job, bfloat16=True), replace(job, init_job=a_job(data="first"))]
    assert len({job.identity, *(other.identity for other in others)}) == 1 + len(others)
    assert a_job(regimes=("standard",), seeds=(7,)).identity == job.identity


def test_a_labeled_variant_joins_the_table_of_its_preset_whatever_its_training():
    plain = a_job()
    variants = [a_job("two", epochs=2), a_job("large", batch_size=32), a_job("same")]
    variants.append(replace(a_job("staged"), init_job=a_job(data="first")))
    assert {job.protocol for job in variants} == {plain.protocol}
    assert len({job.key for job in [plain, *variants]}) == 1 + len(variants)
    assert a_job(epochs=2).protocol != plain.protocol
    assert a_job("two", attack_eps=(0.5,)).protocol != plain.protocol


@pytest.fixture
def directory(own_folders):  # noqa: ARG001 - it sets the environment
    directory = table_dir("made", "quick")
    (directory / "records").mkdir(parents=True)
    return directory


def publish(directory, job) -> list[str]:
    write_protocol(directory, job.protocol)
    return publish_record(job, directory)


def test_other_settings_or_other_data_leave_a_row_where_it_is(directory):
    first = make_cell(a_job(), key="k1", protocol="p1", identity="11111111")
    second = make_cell(a_job(), key="k2", protocol="p2", identity="22222222", epochs=2)
    assert publish(directory, first) == publish(directory, second) == []
    assert [path.name for path in record_files(directory)] == [
        "mobilenet-standard-0-11111111.json",
        "mobilenet-standard-0-22222222.json",
    ]
    published = read_results(directory)
    assert len(published.records) == len(published.others) == 1
    (result,) = status()["results"]
    assert result["rows"] == {"p1": ["mobilenet/standard"], "p2": ["mobilenet/standard"]}


def test_a_row_made_by_other_code_is_replaced_and_named(directory):
    publish(directory, make_cell(a_job(), key="k1", protocol="p1", identity="11111111"))
    lines = publish(directory, make_cell(a_job(), key="k2", protocol="p2", identity="11111111"))
    name = "mobilenet-standard-0-11111111.json"
    assert lines == [f"{name} replaces {name}, made by other code with the same settings and data"]
    assert len(record_files(directory)) == 1


def test_a_record_without_an_identity_in_its_name_retains_its_name_or_is_replaced_with_a_word(directory):
    job = make_cell(a_job(), key="k1", protocol="p1", identity="11111111")
    publish(directory, job)
    for path in (directory / "records").iterdir():
        path.rename(path.with_name(path.name.replace("-11111111", "")))
    assert find_record_file(directory, job).name == "mobilenet-standard-0.json"
    newer = make_cell(a_job(), key="k2", protocol="p1", identity="11111111")
    assert "replaces mobilenet-standard-0.json" in publish(directory, newer)[0]
    assert {path.name.partition(".")[0] for path in (directory / "records").iterdir()} == {
        "mobilenet-standard-0-11111111"
    }
    other = make_cell(a_job(), key="k3", protocol="p3", identity="33333333")
    assert publish(directory, other) == []


def test_the_same_seed_under_other_settings_is_a_row_of_its_own_and_no_second_seed(directory):
    publish(directory, make_cell(a_job(), key="k1", protocol="p", identity="11111111"))
    publish(directory, make_cell(a_job(), key="k2", protocol="p", identity="22222222", compile="default"))
    rows = build_tables(read_results(directory))[0].models
    assert sorted(row.regime for row in rows) == ["standard+compile=default", "standard+compile=none"]
    assert {row.seeds for row in rows} == {(0,)}


def test_sheets_of_another_protocol_are_removed_and_those_of_the_same_stay(directory, monkeypatch):
    monkeypatch.setattr(publishing, "publish_split", lambda *_: "")
    monkeypatch.setattr(publishing, "_compare", lambda *_: "other settings")
    monkeypatch.setattr(publishing, "state_house", lambda *_: None)
    sheets = [directory / name for name in ("maps-standard.webp", "reliance.webp", "reliance-imagenet.webp")]

    def publish_all(job):
        publishing.publish_cells([job], directory, lambda _: None)
        return [sheet for sheet in sheets if sheet.exists()]

    publish_all(make_cell(a_job(), key="k1", protocol="p", identity="11111111"))
    for sheet in sheets:
        sheet.touch()
    assert publish_all(make_cell(a_job("two"), key="k2", protocol="p", identity="22222222")) == sheets
    assert publish_all(make_cell(a_job(), key="k3", protocol="q", identity="33333333")) == []


def test_variants_are_rows_of_one_table(directory):
    for number, name in enumerate(("", "two", "three")):
        publish(directory, make_cell(a_job(name), key=f"k{number}", protocol="p", identity=f"{number:08d}"))
    published = read_results(directory)
    assert list_models(published) == ["mobilenet/standard", "mobilenet/standard+three", "mobilenet/standard+two"]
    rows = build_tables(published)[0].models
    assert sorted(row.title for row in rows)[1:] == ["standard (three)", "standard (two)"]
    assert compare_models(published, ("mobilenet/standard", "mobilenet/standard+two")).columns


def test_a_variant_has_a_name_of_its_own_where_maps_are_exported_and_scores_are_loaded(directory):
    for number, name in enumerate(("", "two")):
        publish(directory, make_cell(a_job(name), key=f"k{number}", protocol="p", identity=f"{number:08d}"))
    empty = table_dir("made", "paper")
    (empty / "records").mkdir(parents=True)
    write_protocol(empty, "p")  # another directory without records is no obstacle
    for name, variant in (("mobilenet/standard", ""), ("mobilenet/standard+two", "two")):
        published, path = find_record(name, None, None)
        assert published.records[path].variant == variant
    for frame in (load_scores(directory), load_predictions(directory)):
        assert set(frame["regime"]) == {"standard", "standard+two"}
    publish(directory, make_cell(a_job(), key="k3", protocol="q", identity="33333333"))
    assert set(load_scores(directory)["protocol"]) == {"q"}
    assert set(load_scores(directory, every_protocol=True)["protocol"]) == {"p", "q"}


def test_a_row_below_the_table_is_exported_by_its_name_and_among_several_by_its_long_one(directory):
    publish(directory, make_cell(a_job("old"), key="k0", protocol="p0", identity="00000000"))
    publish(directory, make_cell(a_job("old"), key="k1", protocol="p1", identity="11111111", epochs=2))
    publish(directory, make_cell(a_job("gone"), key="k2", protocol="p1", identity="22222222"))
    publish(directory, make_cell(a_job("gone"), key="k3", protocol="p3", identity="33333333"))

    def find(name):
        published, path = find_record(name, None, None)
        return published.protocol, published.records[path].key

    assert find("mobilenet/standard+gone") == ("p3", "k3")  # the row of the table comes first
    assert find("made/quick:mobilenet/standard+gone@p1") == ("p1", "k2")
    assert find("made/quick:mobilenet/standard+old@p0") == ("p0", "k0")
    with pytest.raises(UserError, match=r"follows 2 protocols; name one: .*\+old@p0, .*\+old@p1"):
        find("mobilenet/standard+old")
    with pytest.raises(UserError, match="unknown model 'x'; nearest: mobilenet/standard"):
        find("x")


def test_compare_finds_rows_of_other_protocols_and_other_directories(directory):
    publish(directory, make_cell(a_job(), key="k1", protocol="p1", identity="11111111"))
    publish(directory, make_cell(a_job(), key="k2", protocol="p2", identity="22222222", epochs=2))
    elsewhere = table_dir("made", "study")
    (elsewhere / "records").mkdir(parents=True)
    publish(elsewhere, make_cell(a_job("x"), key="k3", protocol="p3", identity="33333333"))
    models = find_models([directory, elsewhere])
    names = [model.long for model in models]
    assert names == [
        "made/quick:mobilenet/standard@p2",
        "made/quick:mobilenet/standard@p1",
        "made/study:mobilenet/standard+x@p3",
    ]
    joined, labels = join_pair(names[:2], models)
    (line,) = describe_differences(joined, labels)
    assert line.startswith("epochs: 2 and ")
    assert compare_models(joined, labels).columns
    joined, labels = join_pair([names[0], "mobilenet/standard+x"], models)
    assert compare_models(joined, labels).names == (names[0], names[2])


def test_the_maps_of_two_models_are_found_by_the_split_of_each(directory, monkeypatch):
    publish(directory, make_cell(a_job("x"), key="k1", protocol="p1", identity="11111111"))
    publish(directory, make_cell(a_job("y"), key="k2", protocol="p2", identity="22222222"))
    (directory / "split-p1.csv").touch()
    joined, labels = join_pair(["mobilenet/standard+x", "mobilenet/standard+y"], find_models([directory]))
    splits = []
    monkeypatch.setattr(comparison_figure, "load_cached_maps", lambda *given: splits.append(given[-1]) or (None, None))
    comparison = SimpleNamespace(names=labels, method="grad-cam")
    assert not comparison_figure.plot_comparison(joined, comparison, None, directory / "figure.png")
    assert [path.name for path in splits] == ["split-p1.csv", "split.csv"]


def test_the_line_on_another_protocol_names_the_settings(directory, monkeypatch):
    named = {"dataset": "made", "synthetic": True, "preset": "quick", "classes": ("a", "b")}
    facts = TableFacts(images=(), labels=(), groups=(), settings=asdict(a_job(epochs=2).preset), **named)
    state_facts(directory, {"p1": facts})
    monkeypatch.setattr(
        publishing, "table_facts", lambda job: facts.model_copy(update={"settings": asdict(job.preset)})
    )
    assert publishing._compare(directory, "p1", a_job()) == "epochs 2 and None"
    assert publishing._compare(directory, "p2", a_job()) == "other settings, data or code"


def test_the_split_of_another_protocol_stays_under_its_own_name(directory):
    job = make_cell(a_job(), key="k1", protocol="p1", identity="11111111")
    (directory / "split.csv").write_text("image,split\n", encoding="utf-8")
    assert "split-p0.csv" in publish_split(job, directory, "p0")
    assert (directory / "split-p0.csv").read_text(encoding="utf-8") == "image,split\n"
    assert publish_split(job, directory, "p1") == ""
    assert find_split_file(directory, "p0").name == "split-p0.csv"
    assert find_split_file(directory, "p1").name == "split.csv"
    assert sorted(path.name for path in directory.glob("split*")) == ["split-p0.csv", "split.csv"]
