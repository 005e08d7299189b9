"""The layout of ISIC 2016, traps included."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, isic2016
from datasets.image_io import read_mask

OUTLINE = np.array([[0, 255, 255, 0], [0, 255, 0, 0], [0, 0, 0, 0]], dtype=np.uint8)
TILES = np.zeros((3, 4, 3), dtype=np.uint8)
"""Superpixels 0, 2 and 256 + 65536: the colors of the third fill the last row."""
TILES[0, 2:] = (2, 0, 0)
TILES[2] = (0, 1, 1)
LATE = 256 + 65536


def write(directory, name, pixels):
    directory.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(directory / name)


def features(marked):
    return [int(number in marked) for number in range(LATE + 1)]


@pytest.fixture
def tree(tmp_path):
    """Image 0 and 1 are for training, 0 with features; 3 is for testing and is in part 3 only."""
    root = tmp_path / "isic2016"
    image = np.full((3, 4, 3), 200, dtype=np.uint8)
    for part in (1, 2, 3):
        directory = root / f"ISBI2016_ISIC_Part{part}_Training_Data"
        write(directory, "ISIC_0000000.jpg", image)
        (directory / "LICENSE.txt").write_text("terms", encoding="utf-8")
    write(root / "ISBI2016_ISIC_Part1_Training_Data", "ISIC_0000001.jpg", image)
    write(root / "ISBI2016_ISIC_Part3_Test_Data", "ISIC_0000003.jpg", image)
    write(root / "ISBI2016_ISIC_Part3B_Test_Data", "ISIC_0000003_Segmentation.png", OUTLINE)
    write(root / "ISBI2016_ISIC_Part2_Training_Data", "ISIC_0000000_superpixels.png", TILES)
    write(root / "ISBI2016_ISIC_Part1_Training_GroundTruth", "ISIC_0000000_Segmentation.png", OUTLINE)
    write(root / "ISBI2016_ISIC_Part1_Training_GroundTruth", "ISIC_0000001_segmentation.PNG", OUTLINE)
    (root / "ISBI2016_ISIC_Part2_Training_GroundTruth").mkdir()
    lists = root / "ISBI2016_ISIC_Part2_Training_GroundTruth" / "ISIC_0000000.json"
    lists.write_text(json.dumps({"globules": features({2, LATE}), "streaks": features(())}), encoding="utf-8")
    (lists.parent / "._ISIC_0000000.json").write_bytes(b"\x00not opened")
    table = root / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table.write_bytes(b"\xef\xbb\xbfISIC_0000000,benign\r\nISIC_0000001, malignant\r\n")
    (root / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv").write_text("ISIC_0000003,1.0\n", encoding="utf-8")
    return root


def test_no_other_layout_recognizes_it(tree, tmp_path):
    assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)] == ["isic2016"]
    assert not isic2016.detect(tmp_path)


def test_images_of_all_parts_have_classes_of_words_and_numbers_and_the_split_of_their_folder(tree):
    data = isic2016.load(tree)
    assert [(sample.id, sample.diagnosis, sample.split, sample.group) for sample in data.samples] == [
        ("ISIC_0000000", "benign", "train", "ISIC_0000000"),
        ("ISIC_0000001", "malignant", "train", "ISIC_0000001"),
        ("ISIC_0000003", "malignant", "test", "ISIC_0000003"),
    ]
    assert [sample.image.name for sample in data.samples] == [
        "ISIC_0000000.jpg",
        "ISIC_0000001.jpg",
        "ISIC_0000003.jpg",
    ]
    assert data.problems == data.left_out == ()


def test_outlines_have_either_case_and_features_are_those_of_their_superpixels(tree):
    first, second, third = isic2016.load(tree).samples
    assert [(mask.rater, mask.characteristic) for mask in first.masks] == [
        ("expert", None),
        ("expert", "globules"),
        ("expert", "streaks"),
    ]
    outline, globules, streaks = (read_mask(mask, (4, 3)) for mask in first.masks)
    assert np.array_equal(outline, OUTLINE > 0)
    assert globules.tolist() == [[False, False, True, True], [False] * 4, [True] * 4]
    assert not streaks.any()
    assert [mask.path.name for mask in second.masks] == ["ISIC_0000001_segmentation.PNG"]
    assert third.masks == ()


def test_features_without_superpixels_are_left_out(tree):
    (tree / "ISBI2016_ISIC_Part2_Training_Data" / "ISIC_0000000_superpixels.png").unlink()
    data = isic2016.load(tree)
    lists = tree / "ISBI2016_ISIC_Part2_Training_GroundTruth" / "ISIC_0000000.json"
    assert data.left_out == (f"{lists}: there is no ISIC_0000000_superpixels.png that shows where its features are",)
    assert data.problems == ()
    assert len(data.samples[0].masks) == 1


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"globules": [0', "cannot be read as JSON (Expecting ',' delimiter: line 1 column 16 (char 15))"),
        ("[0, 1]", "has no list 'globules' of 0 or 1 for each superpixel"),
        ('{"globules": [0, 1]}', "has no list 'streaks' of 0 or 1 for each superpixel"),
        ('{"globules": [0, 2], "streaks": [0, 0]}', "has no list 'globules' of 0 or 1 for each superpixel"),
    ],
)
def test_damaged_features_are_a_problem(tree, text, what):
    lists = tree / "ISBI2016_ISIC_Part2_Training_GroundTruth" / "ISIC_0000000.json"
    lists.write_text(text, encoding="utf-8")
    data = isic2016.load(tree)
    assert [str(problem) for problem in data.problems] == [f"{lists} {what}; fetch it again or remove it"]
    assert len(data.samples[0].masks) == 1


def test_unknown_classes_two_labels_and_masks_without_an_image_are_problems(tree):
    table = tree / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table.write_text("ISIC_0000000,benign\nISIC_0000000,malignant\nISIC_0000001,2.0\n", encoding="utf-8")
    (tree / "ISBI2016_ISIC_Part1_Training_Data" / "ISIC_0000000.jpg").unlink()
    for part in (2, 3):
        (tree / f"ISBI2016_ISIC_Part{part}_Training_Data" / "ISIC_0000000.jpg").unlink()
    data = isic2016.load(tree)
    outline = tree / "ISBI2016_ISIC_Part1_Training_GroundTruth" / "ISIC_0000000_Segmentation.png"
    tiles = tree / "ISBI2016_ISIC_Part2_Training_Data" / "ISIC_0000000_superpixels.png"
    assert [str(problem) for problem in data.problems] == [
        f"{table} gives ISIC_0000000 two labels, 'benign' and 'malignant'; keep one of them",
        f"{table} gives ISIC_0000001 the unknown class '2.0'; use one of benign, malignant",
        f"{outline} is a mask without an image; add the image ISIC_0000000 or remove the mask",
        f"{tiles} is a mask without an image; add the image ISIC_0000000 or remove the mask",
    ]
    assert [sample.diagnosis for sample in data.samples] == ["", "malignant"]


def test_no_images_and_a_table_of_one_column_are_refused(tree, tmp_path):
    (tree / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv").write_text("ISIC_0000003\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"Part3_Test_GroundTruth\.csv: row 1 has no class; fill it in"):
        isic2016.load(tree)
    hollow = tmp_path / "hollow"
    (hollow / "ISBI2016_ISIC_Part1_Training_Data").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no images where isic2016 has them"):
        isic2016.load(hollow)
