"""The layout of PCam, traps included."""

import gzip
import shutil

import h5py
import numpy as np
import pytest

from benchmark.registry import entries
from datasets import DatasetReader, pcam
from datasets.image_io import image_size, read_image, read_mask

LABELS = {"train": [0, 1, 1, 0], "valid": [1, 0], "test": [0, 1, 0]}


def write(path, key, values):
    with h5py.File(path, "w") as file:
        file[key] = values


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "pcam"
    root.mkdir()
    for part, labels in LABELS.items():
        shades = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
        write(root / f"{pcam.NAME}{part}_x.h5", "x", np.tile(10 * shades, (1, 96, 96, 3)))
        write(root / f"{pcam.NAME}{part}_y.h5", "y", np.array(labels, dtype=np.uint8).reshape(-1, 1, 1, 1))
    rows = ["coord_y,coord_x,tumor_patch,center_tumor_patch,wsi", *(f"1,2,True,True, slide_{n // 2}" for n in range(4))]
    (root / f"{pcam.NAME}train_meta.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    return root


def test_exactly_one_layout_recognizes_it(tree):
    assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)] == ["pcam"]


def test_frames_have_labels_and_official_splits(tree):
    data = pcam.load(tree)
    assert [sample.id for sample in data.samples][:4] == [
        "test-0000000",
        "test-0000001",
        "test-0000002",
        "train-0000000",
    ]
    told = {sample.id: (sample.frame, sample.diagnosis, sample.split) for sample in data.samples}
    assert told["train-0000002"] == (2, "tumor", "train")
    assert told["train-0000003"] == (3, "normal", "train")
    assert told["valid-0000000"] == (0, "tumor", "validation")
    assert told["test-0000001"] == (1, "tumor", "test")
    assert data.classes == ("normal", "tumor")
    assert data.problems == data.left_out == ()


def test_slides_are_groups_where_they_are_known(tree):
    groups = {sample.id: sample.group for sample in pcam.load(tree).samples}
    assert [groups[f"train-000000{number}"] for number in range(4)] == ["slide_0", "slide_0", "slide_1", "slide_1"]
    assert groups["test-0000001"] == "test-0000001"


def test_an_image_is_its_frame(tree):
    sample = next(sample for sample in pcam.load(tree).samples if sample.id == "train-0000002")
    assert image_size(sample) == (96, 96)
    assert np.unique(read_image(sample, 96)).tolist() == [20]


def test_a_tumour_patch_is_marked_in_its_centre_and_others_nowhere(tree):
    for sample in pcam.load(tree).samples:
        assert len(sample.masks) == (sample.diagnosis == "tumor")
        for mask in sample.masks:
            assert mask.rater == "rule"
            drawn = read_mask(mask, (96, 96))
            assert drawn.sum() == 32 * 32
            assert drawn[32:64, 32:64].all()


def test_a_split_that_is_not_there_is_told(tree):
    for path in tree.glob("*_valid_*"):
        path.unlink()
    data = pcam.load(tree)
    assert {sample.split for sample in data.samples} == {"train", "test"}
    assert data.left_out == (f"{pcam.NAME}valid_x.h5: the directory has no such file",)


@pytest.mark.parametrize("end", ["x", "y"])
def test_packed_files_are_to_be_unpacked(tree, end):
    path = tree / f"{pcam.NAME}test_{end}.h5"
    with path.open("rb") as file, gzip.open(f"{path}.gz", "wb") as packed:
        shutil.copyfileobj(file, packed)
    assert len(pcam.load(tree).samples) == 9
    path.unlink()
    assert pcam.detect(tree)
    with pytest.raises(ValueError, match=rf"test_{end}\.h5\.gz is packed; unpack it with `gunzip camelyon.*\.h5\.gz`"):
        pcam.load(tree)


def test_labels_without_images_are_refused(tree):
    (tree / f"{pcam.NAME}test_x.h5").unlink()
    with pytest.raises(ValueError, match=r"test_x\.h5 is missing"):
        pcam.load(tree)


@pytest.mark.parametrize("shape", [(5, 1, 1, 1), (2, 2, 1, 1), (4, 2), (1, 4), ()])
def test_labels_that_do_not_fit_the_images_are_refused(tree, shape):
    write(tree / f"{pcam.NAME}train_y.h5", "y", np.zeros(shape, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"train_y\.h5 holds 'y' of shape \(.*\) for 4 rows"):
        pcam.load(tree)


def test_damaged_files_are_named(tree):
    write(tree / f"{pcam.NAME}train_y.h5", "other", np.zeros(4))
    with pytest.raises(ValueError, match=r"train_y\.h5 cannot be read as HDF5 with 'y'"):
        pcam.load(tree)
    (tree / f"{pcam.NAME}train_y.h5").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"train_y\.h5 cannot be read as HDF5 with 'y'"):
        pcam.load(tree)


def test_a_table_of_other_length_is_refused(tree):
    (tree / f"{pcam.NAME}train_meta.csv").write_text("wsi\na\nb\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"train_meta\.csv has 2 rows, not 4"):
        pcam.load(tree)
