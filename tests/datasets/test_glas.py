"""The layout of GlaS, traps included."""

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, glas
from datasets.image_io import read_mask

GRADES = (
    "name,patient ID, grade (GlaS), grade (Sirinukunwattana et al. 2015)\r\n"
    "testA_1,4, benign, adenomatous\r\n"
    "testB_1,5, malignant, poorly differentiated\r\n"
    "train_1,4, benign, healthy\r\n"
    "train_10,6, malignant , moderately differentiated\r\n"
)
NUMBERED = np.array([[0, 0, 1, 1], [0, 2, 0, 3], [255, 0, 0, 0]], dtype=np.uint8)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "glas" / glas.ROOT
    root.mkdir(parents=True)
    for name in ("train_1", "train_10", "testA_1", "testB_1"):
        Image.fromarray(np.full((3, 4, 3), 200, dtype=np.uint8)).save(root / f"{name}.bmp")
        Image.fromarray(NUMBERED).save(root / f"{name}_anno.bmp")
    (root / "Grade.csv").write_bytes(b"\xef\xbb\xbf" + GRADES.encode())
    (root / "._train_1.bmp").write_bytes(b"not opened")
    return root


def layouts(directory):
    return [layout.name for layout in entries(DatasetReader).values() if layout.detect(directory)]


def test_the_folder_and_its_parent_are_the_same_data(tree):
    assert layouts(tree) == layouts(tree.parent) == ["glas"]
    assert glas.load(tree) == glas.load(tree.parent)


def test_grades_patients_and_splits_are_read_despite_blanks(tree):
    data = glas.load(tree)
    assert [(sample.id, sample.diagnosis, sample.group, sample.split) for sample in data.samples] == [
        ("testA_1", "benign", "4", "test"),
        ("testB_1", "malignant", "5", "test"),
        ("train_1", "benign", "4", "train"),
        ("train_10", "malignant", "6", "train"),
    ]
    assert data.problems == data.left_out == ()


@pytest.mark.parametrize("mode", ["L", "P"])
def test_every_numbered_gland_is_marked(tree, mode):
    picture = Image.fromarray(NUMBERED)
    if mode == "P":
        picture.putpalette([0, 0, 0] * 256)
    picture.save(tree / "testA_1_anno.bmp")
    (mask,) = glas.load(tree).samples[0].masks
    assert (mask.rater, mask.characteristic) == ("expert", None)
    assert np.array_equal(read_mask(mask, (4, 3)), NUMBERED > 0)


def test_an_unknown_grade_and_a_mask_without_an_image_are_problems(tree):
    (tree / "Grade.csv").write_text(GRADES.replace(" malignant ", "severe"), encoding="utf-8", newline="")
    (tree / "testB_1.bmp").unlink()
    data = glas.load(tree)
    assert [str(problem) for problem in data.problems] == [
        f"{tree}/Grade.csv gives train_10 the unknown class 'severe'; use one of benign, malignant",
        f"{tree}/testB_1_anno.bmp is a mask without an image; add the image testB_1 or remove the mask",
    ]
    assert data.left_out == ("testB_1: listed in Grade.csv, but there is no image",)


def test_no_images_and_no_grades_are_refused(tree):
    (tree / "Grade.csv").rename(tree / "Grade.txt")
    with pytest.raises(ValueError, match=r"Grade\.csv is missing; it must have the columns name, patient ID"):
        glas.load(tree)
    (tree / "Grade.txt").rename(tree / "Grade.csv")
    for path in tree.glob("*[0-9].bmp"):
        path.unlink()
    with pytest.raises(ValueError, match="holds no images where glas has them"):
        glas.load(tree)
