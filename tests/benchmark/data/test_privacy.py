"""Names that may identify patients: they are found, and pseudonyms replace them wherever a run publishes them."""

import stat
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmark.config.presets import QUICK
from benchmark.data.dataset import prepare_dataset
from benchmark.data.identifying import find_identifying, find_published, manifest_columns, sample_columns
from benchmark.data.load import Source, load_index
from benchmark.data.manifest import has_attributes, read_manifest, write_manifest
from benchmark.data.pseudonyms import load_key, pseudonymize
from benchmark.errors import UserError
from datasets import Mask, Sample
from datasets.files import find_name_fault

PERSONS = ["MUELLER ANNA", "Schmidt_Peter", "DOE^JOHN", "Novak, Eva (2)", "José García"]
DATES = ["a 1950-01-02", "02.01.1950", "19500102", "scan_2023/7/3"]
NUMBERS = ["MRN12345", "pat_00451233", "12345678", "accession 99887"]
HARMLESS = ["ISIC_0024306", "IMD002", "benign (1)", "a3f5b2c91d", "IMG_1234", "left arm 3", "Left Arm 3", "00000012"]


@pytest.mark.parametrize(
    ("names", "words"),
    [(PERSONS, "looks like the name of a person"), (DATES, "has a date"), (NUMBERS, "a record number"), (HARMLESS, "")],
)
def test_each_kind_of_name_is_found_and_no_other(names, words):
    for name in names:
        lines = find_identifying({"image": [name]})
        assert len(lines) == bool(words), (name, lines)
        assert all(words in line and repr(name) in line for line in lines)


def test_names_of_classes_and_of_many_images_are_no_persons():
    breed = [f"British_Shorthair_{number}" for number in range(30)]
    assert find_identifying({"image": breed}) == []
    assert find_identifying({"image": breed[:3]}) != []
    assert find_identifying({"image": breed[:3]}, classes=["British shorthair"]) == []


def test_a_column_that_is_named_like_an_identifier_is_found():
    (line,) = find_identifying({"age": ["30"], "Date of birth": ["x"], "name": [""]})
    assert "'Date of birth'" in line


NAMES = st.text(st.sampled_from("=+-@'\"ab,;|0 é"), min_size=1, max_size=6).filter(
    lambda name: not find_name_fault(name)
)


@settings(max_examples=30)
@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), NAMES)
def test_names_survive_our_own_split_file(names, value):
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        samples = [
            Sample(id=n, image=root / str(i), diagnosis="=a", group=n, attributes={"-x": value})
            for i, n in enumerate(names)
        ]
        digests = {sample.image: "00" for sample in samples}
        splits = np.array(["test" if index % 2 else "train" for index in range(len(samples))])
        write_manifest(root / "split.csv", root, samples, splits, digests)
        read, sides = read_manifest(root / "split.csv", samples, digests)
        assert [sample.id for sample in read] == names
        assert sides.tolist() == splits.tolist()
        assert has_attributes(root / "split.csv", samples)


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 255, dtype=np.uint8)).save(path)


@pytest.fixture
def clinic(tmp_path):
    """Images of two classes, named after persons."""
    rows = ["image,group,age,birthdate"]
    for label in ("nevus", "melanoma"):
        for number in range(14):
            name = f"MUELLER ANNA {label} 1950-01-{number + 1:02d}"
            write_image(tmp_path / "clinic" / "images" / label / f"{name}.png")
            write_image(tmp_path / "clinic" / "masks" / "Dr Weber" / f"{name}.png")
            rows.append(f"{name},Mueller {label}{number // 2},{number},1950-01-02")
    (tmp_path / "clinic" / "images.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "clinic"


def test_a_key_is_made_once_for_its_owner_alone_and_never_in_the_results(tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    key = load_key(tmp_path / "key")
    assert key == load_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert key != load_key(tmp_path / "other")
    with pytest.raises(UserError, match="is in the results"):
        load_key(tmp_path / "results" / "key")
    (tmp_path / "table").write_text("image,split\n")
    with pytest.raises(UserError, match="is no key"):
        load_key(tmp_path / "table")
    with pytest.raises(UserError, match="cannot be used"):
        load_key(tmp_path / "missing" / "key")


def test_pseudonyms_repeat_with_the_key_and_keep_the_groups(clinic):
    data = load_index(Source(directory=clinic))
    first, again, other = (pseudonymize(data, key) for key in (b"1", b"1", b"2"))
    assert first == again
    names = {sample.id for sample in first.samples}
    assert len(names) == len(data.samples)
    assert not names & {sample.id for sample in other.samples}

    def patients(index):
        return sorted(
            sum(sample.group == group for sample in index.samples) for group in {s.group for s in index.samples}
        )

    assert patients(first) == patients(data)
    assert {sample.image for sample in first.samples} == {sample.image for sample in data.samples}
    alone = replace(data, samples=tuple(replace(sample, group=sample.id) for sample in data.samples))
    assert all(sample.group == sample.id for sample in pseudonymize(alone, b"1").samples)


def test_nothing_that_a_run_publishes_has_a_name(clinic, tmp_path, monkeypatch):
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
    source = Source(directory=clinic, pseudonyms=tmp_path / "key")
    plain, hidden = (
        prepare_dataset(load_index(item), replace(QUICK, image_size=8))
        for item in (replace(source, pseudonyms=None), source)
    )
    assert find_identifying(manifest_columns(plain.manifest))
    published = [hidden.manifest.read_text(encoding="utf-8"), hidden.samples.to_csv(), hidden.references.to_csv()]
    for text in published:
        assert not [word for word in ("ueller", "UELLER", "Weber", "1950-01", str(clinic)) if word in text]
    assert find_identifying(manifest_columns(hidden.manifest)) == []
    assert ",age" in published[0]
    assert any("birthdate" in note for note in hidden.notes)


def test_raters_without_a_name_stay(clinic):
    data = load_index(Source(directory=clinic))
    mask = Mask(path=clinic / "m.png", rater="expert")
    data = replace(data, samples=tuple(replace(sample, masks=(mask,)) for sample in data.samples))
    assert {mask.rater for sample in pseudonymize(data, b"1").samples for mask in sample.masks} == {"expert"}
    assert sample_columns(data.samples)["rater"] == ["expert"]


def test_a_published_split_of_another_program_has_names_alone(tmp_path):
    (tmp_path / "split.csv").write_text("image,split\nMRN 1234567,train\nMRN 7654321,test\n", encoding="utf-8")
    assert find_published(tmp_path, ["benign"])
    (tmp_path / "split.csv").write_text("image,split\ni00001,train\ni00002,test\n", encoding="utf-8")
    assert find_published(tmp_path, ["benign"]) == []
