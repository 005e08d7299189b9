"""Groups, splits of one's own, attributes, damaged caches and copies without number."""

import csv
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from benchmark.config.presets import QUICK
from benchmark.data.checks import check_dataset
from benchmark.data.classes import match_classes
from benchmark.data.dataset import prepare_dataset
from benchmark.data.duplicates import MAX_PAIRS, DuplicateFinder, find_leaks, near_duplicates
from benchmark.data.exclusion import exclude
from benchmark.data.load import Source, load_index, require_usable
from benchmark.errors import UserError
from benchmark.leaderboard.figures.sheets import contact_sheet
from benchmark.storage.paths import ROOT
from benchmark.storage.runs import runs_dir
from datasets import Problem
from tests.benchmark.data.corpus import CLASSES, draw, folder, ham, mark, rows, table

SMALL = replace(QUICK, image_size=96)


@pytest.fixture
def tree(tmp_path, own_folders):  # noqa: ARG001 - its directories are used through the environment
    return folder(tmp_path / "mine")


def index(root, **source):
    return load_index(Source(directory=root, **source))


def torn(number):
    return f"a{number:02d},p{number // 3},{'train' if number < 8 else 'test'}"


def test_a_divided_group_stops_a_run_unless_it_is_allowed(tree):
    table(tree, rows("image,group,split", torn))
    with pytest.raises(UserError, match="has 1 group on several sides of its official split, such as p2"):
        prepare_dataset(index(tree), SMALL)
    data = prepare_dataset(index(tree, split_groups=True), SMALL)
    assert "1 group is on several sides of the official split, as allowed" in data.notes[-1]
    assert check_dataset(index(tree, split_groups=True), lambda *_: None).problems == ()


def test_a_split_that_divides_a_group_is_refused_unless_it_is_allowed(tree, tmp_path):
    table(tree, rows("image,group", lambda number: f"a{number:02d},p{number // 3}"))
    own = tmp_path / "own.csv"
    own.write_text(rows("image,split", lambda number: f"a{number:02d}.png,{('Training', 'test')[number > 7]}"), "utf-8")
    with pytest.raises(UserError, match=r"own\.csv has 1 group on several sides, such as p2; .*--allow-split-groups"):
        prepare_dataset(index(tree), SMALL, manifest=own)
    data = prepare_dataset(index(tree), SMALL, manifest=own, split_groups=True)
    assert data.samples["split"].tolist() == ["train"] * 8 + ["test"] * 4


def test_a_split_of_two_sides_of_an_image_is_refused(tree, tmp_path):
    own = tmp_path / "own.csv"
    own.write_text("image,split\na00,train\na00.png,test\n", encoding="utf-8")
    with pytest.raises(UserError, match="a00 is in the splits 'train' and 'test'; remove one of the rows"):
        prepare_dataset(index(tree), SMALL, manifest=own)


@pytest.mark.parametrize("path", ["/dev/zero", "fifo"])
def test_a_split_that_is_no_file_is_refused_at_once(tree, tmp_path, path):
    if path == "fifo":
        path = tmp_path / "fifo"
        os.mkfifo(path)
    with pytest.raises(UserError, match="is not a regular file"):
        prepare_dataset(index(tree), SMALL, manifest=type(tmp_path)(path))


def test_quarantine_of_a_fifo_does_not_hang(tree):
    os.mkfifo(tree / "fifo")
    data = index(tree)
    exclude(data, [Problem(file=tree / "fifo", what="is bad", remedy="fix it")])
    assert index(tree).samples == data.samples


def test_attributes_come_from_tables_and_are_in_the_manifest(tree, tmp_path):
    table(tree, rows("image,patient_id,age", lambda number: f"a{number:02d},p{number},{number}"))
    (tmp_path / "tones.csv").write_text(
        rows("image,tone,split", lambda number: f"A{number:02d}.jpg,t{number % 2},x"), "utf-8"
    )
    data = index(tree, attributes=tmp_path / "tones.csv")
    assert data.problems == ()
    assert data.samples[3].attributes == {"age": "3", "tone": "t1", "split": "x"}
    assert data.samples[3].group == "p3"
    assert any("'patient_id' is read as the group" in note for note in data.notes)
    manifest = prepare_dataset(data, SMALL).manifest
    with manifest.open(encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["image"] == "a03")
    assert (row["age"], row["tone"], row["attribute split"]) == ("3", "t1", "x")


def test_attributes_do_not_change_keys_and_enter_an_older_manifest(tree, tmp_path):
    before = prepare_dataset(index(tree), SMALL)
    for tone in ("t", "corrected"):
        (tmp_path / "tones.csv").write_text(
            rows("image,tone", lambda number, tone=tone: f"a{number:02d},{tone}"), "utf-8"
        )
        after = prepare_dataset(index(tree, attributes=tmp_path / "tones.csv"), SMALL)
        assert (after.key, after.manifest) == (before.key, before.manifest)
        assert after.manifest.read_text(encoding="utf-8").splitlines()[1].endswith(f",{tone}")


def test_attributes_that_match_nothing_are_a_problem(tree, tmp_path):
    (tmp_path / "tones.csv").write_text("image,tone\nb1,x\nb2,x\n", encoding="utf-8")
    assert "names 2 images, of which 0" in str(index(tree, attributes=tmp_path / "tones.csv").problems[0])
    (tmp_path / "tones.csv").write_text("image\na00\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"--attributes: .* has no column besides image"):
        index(tree, attributes=tmp_path / "tones.csv")


def test_published_attributes_are_read(tmp_path):
    assert index(ham(tmp_path / "ham")).samples[4].attributes == {
        "dx_type": "histo",
        "age": "54",
        "sex": "male",
        "localization": "back",
    }


@pytest.mark.parametrize("name", ["images.u8", "planes.u8", "references.parquet"])
@pytest.mark.parametrize("size", [0, 100, None])
def test_a_cut_cache_is_decoded_again(tree, name, size):
    whole = prepare_dataset(index(tree), SMALL)
    expected = np.array(whole.images), np.array(whole.mask_arrays)
    (path,) = runs_dir().glob(f"data/*/{name}")
    path.write_bytes(path.read_bytes()[:size]) if size is not None else path.unlink()
    again = prepare_dataset(index(tree), SMALL)
    assert np.array_equal(again.images, expected[0])
    assert np.array_equal(again.mask_arrays, expected[1])


def test_a_cut_split_is_drawn_again(tree):
    before = prepare_dataset(index(tree), SMALL)
    before.manifest.write_text("image,split\na00,tr", encoding="utf-8")
    after = prepare_dataset(index(tree), SMALL)
    assert after.samples.equals(before.samples)
    assert after.manifest.read_text(encoding="utf-8").count("\n") == 25


def test_pairs_of_copies_are_counted_without_listing_them():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 60, dtype=np.uint64)[rng.integers(0, 60, 300)]
    hashes[:40] ^= np.uint64(1)
    keys = rng.integers(0, 3, 300).tolist()
    pairs = [(one, other) for one, other in near_duplicates(hashes, hashes).tolist() if one < other]
    finder = DuplicateFinder(hashes)
    assert finder.count(keys) == (len(pairs), sum(keys[one] != keys[other] for one, other in pairs))
    assert set(finder.examples) <= set(pairs)
    assert len(finder.examples) == min(len(pairs), MAX_PAIRS)


def test_ten_thousand_equal_images_take_no_time_and_no_memory():
    started = time.perf_counter()
    finder = DuplicateFinder(np.zeros(10_000, dtype=np.uint64))
    assert finder.count([number % 2 for number in range(10_000)]) == (49_995_000, 25_000_000)
    assert len(finder.examples) == MAX_PAIRS
    assert len(find_leaks(np.zeros(10_000, np.uint64), np.zeros(5_000, np.uint64))) == 5_000
    assert time.perf_counter() - started < 2


def test_a_class_map_of_unknown_names_is_refused_and_merged_classes_are_noted(tree, tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("from,to\nmole,A\nwort,B\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"map\.csv maps the class 'wort', which .* lacks; it has mole, wart"):
        match_classes(index(tree), ("A",), path)
    path.write_text("from,to\nmole,A\nwart,A\n", encoding="utf-8")
    merged = match_classes(index(tree), ("A",), path)
    assert merged.notes == (f"{tree}: the classes mole, wart are read as A",)


def test_masks_alone_have_a_next_step(tmp_path, own_folders):  # noqa: ARG001 - used through the environment
    root = tmp_path / "masks-only"
    mark(root / "masks" / "masks" / "derm1_x_0.png")
    table(root, "current_filename;diagnosis\nx.jpeg;Acne\n", "metadata.csv")
    table(root / "masks", "image_id,mask_id,class_name\nderm1_x,derm1_x_0,Scale\n", "instance_mask_annotations.csv")
    with pytest.raises(UserError, match=r"has masks but no images; .* With masks alone, .* baselines"):
        require_usable(index(root))


def test_names_are_printed_in_any_locale(tree):
    for stem, name in (("a00", b"\xff.png"), ("a02", b"e\xcc\x81.png")):
        os.rename(tree / f"images/mole/{stem}.png", os.fsencode(tree / "images/mole") + b"/" + name)  # noqa: PTH104
    draw(tree / "images" / "mole" / "\N{LATIN SMALL LETTER E WITH ACUTE}.png", 77)
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "benchmark", "data", "check", str(tree)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert not done.stderr.strip()
    assert "has a name that is not UTF-8; rename the file" in done.stdout
    assert "have names that look the same; rename one of them" in done.stdout


def test_notes_say_what_marks_most_of_the_image(tree):
    for number in range(12):
        mark(tree / "masks" / f"a{number:02d}.png", np.full((20, 24), 255, np.uint8))
    report = check_dataset(index(tree), lambda *_: None)
    assert report.facts["notes"][-1].startswith("12 of 12 masks mark more than half of their image, 12 mark all four")
    assert report.facts["marked_area"] == dict.fromkeys(CLASSES, "median 1.000, 1.000 to 1.000")


def test_names_that_look_like_mathematics_are_drawn(tmp_path):
    images = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    contact_sheet(images, ["$\\input{x}$"], 1, "of $\\frac$", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 0
