"""The layout of ISIC 2017, traps included."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, isic2017
from datasets.image_io import read_mask

OUTLINE = np.array([[0, 255, 200], [0, 255, 100]], dtype=np.uint8)
"""Gray where it was made smaller: 200 is inside, 100 outside."""
TILES = np.zeros((2, 3, 3), dtype=np.uint8)
TILES[0, 1:] = (1, 0, 0)
TILES[1, 2] = (2, 0, 0)
LISTS = {
    "pigment_network": [0, 1, 0],
    "negative_network": [0, 0, 0],
    "milia_like_cyst": [0, 1, 1],
    "streaks": [1, 0, 0],
}


def write(directory, name, pixels):
    directory.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(directory / name)


def table(root, split, text):
    path = root / f"ISIC-2017_{split}_Part3_GroundTruth.csv"
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "isic2017"
    for stem, split in {"01": "Training", "02": "Training", "03": "Validation", "04": "Test_v2"}.items():
        data = root / f"ISIC-2017_{split}_Data"
        write(data, f"ISIC_00000{stem}.jpg", np.full((2, 3, 3), 200, dtype=np.uint8))
        write(data, f"ISIC_00000{stem}_superpixels.png", TILES)
        (data / f"ISIC-2017_{split}_Data_metadata.csv").write_text("image_id,age_approximate,sex\n", encoding="utf-8")
        write(root / f"ISIC-2017_{split}_Part1_GroundTruth", f"ISIC_00000{stem}_segmentation.png", OUTLINE)
        lists = root / f"ISIC-2017_{split}_Part2_GroundTruth" / f"ISIC_00000{stem}_features.json"
        lists.parent.mkdir(exist_ok=True)
        lists.write_text(json.dumps(LISTS), encoding="utf-8")
    header = "image_id, melanoma, seborrheic_keratosis\r\n"
    table(root, "Training", "\ufeff" + header + "ISIC_0000001,1.0,0.0\r\nISIC_0000002,0.0,1.0\r\n")
    table(root, "Validation", header + "ISIC_0000003,0.0,0.0\r\n")
    table(root, "Test_v2", header + "ISIC_0000004,0,1\r\n")
    return root


def test_no_other_layout_recognizes_it(tree, tmp_path):
    assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)] == ["isic2017"]
    assert not isic2017.detect(tmp_path)


def test_what_is_neither_diagnosis_is_a_nevus_and_superpixels_are_no_images(tree):
    data = isic2017.load(tree)
    assert [(sample.id, sample.diagnosis, sample.split) for sample in data.samples] == [
        ("ISIC_0000001", "melanoma", "train"),
        ("ISIC_0000002", "seborrheic_keratosis", "train"),
        ("ISIC_0000003", "nevus", "validation"),
        ("ISIC_0000004", "seborrheic_keratosis", "test"),
    ]
    assert data.classes == ("melanoma", "nevus", "seborrheic_keratosis")
    assert data.problems == data.left_out == ()


def test_an_outline_and_four_features_are_read(tree):
    outline, *features = isic2017.load(tree).samples[3].masks
    assert outline.characteristic is None
    assert read_mask(outline, (3, 2)).tolist() == [[False, True, True], [False, True, False]]
    assert {mask.characteristic: read_mask(mask, (3, 2)).astype(int).tolist() for mask in features} == {
        "milia_like_cyst": [[0, 1, 1], [0, 0, 1]],
        "negative_network": [[0, 0, 0], [0, 0, 0]],
        "pigment_network": [[0, 1, 1], [0, 0, 0]],
        "streaks": [[1, 0, 0], [1, 1, 0]],
    }


def test_a_feature_that_is_missing_is_a_problem(tree):
    lists = tree / "ISIC-2017_Validation_Part2_GroundTruth" / "ISIC_0000003_features.json"
    lists.write_text(json.dumps(LISTS | {"streaks": None}), encoding="utf-8")
    (problem,) = isic2017.load(tree).problems
    assert str(problem) == (f"{lists} has no list 'streaks' of 0 or 1 for each superpixel; fetch it again or remove it")


def test_two_diagnoses_and_a_mask_without_an_image_are_problems(tree):
    path = table(tree, "Validation", "image_id,melanoma,seborrheic_keratosis\nISIC_0000003,1.0,1.0\n")
    (tree / "ISIC-2017_Test_v2_Data" / "ISIC_0000004.jpg").unlink()
    data = isic2017.load(tree)
    outline = tree / "ISIC-2017_Test_v2_Part1_GroundTruth" / "ISIC_0000004_segmentation.png"
    tiles = tree / "ISIC-2017_Test_v2_Data" / "ISIC_0000004_superpixels.png"
    assert [str(problem) for problem in data.problems] == [
        f"{path} gives ISIC_0000003 two labels, 'melanoma' and 'seborrheic_keratosis'; keep one of them",
        f"{outline} is a mask without an image; add the image ISIC_0000004 or remove the mask",
        f"{tiles} is a mask without an image; add the image ISIC_0000004 or remove the mask",
    ]
    assert data.left_out == ("ISIC_0000004: listed in ISIC-2017_Test_v2_Part3_GroundTruth.csv, but there is no image",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,melanoma\nISIC_0000003,1.0\n", r"GroundTruth\.csv has no column 'seborrheic_keratosis'; it has"),
        (
            "image_id,melanoma,seborrheic_keratosis\nISIC_0000003,nan,0.0\n",
            r"GroundTruth\.csv: ISIC_0000003: 'nan' is no label; it must be 0 or 1",
        ),
        (
            "image_id,melanoma,seborrheic_keratosis\nISIC_0000003,yes,0.0\n",
            r"GroundTruth\.csv: ISIC_0000003: 'yes' is no label; it must be 0 or 1",
        ),
    ],
)
def test_a_table_that_does_not_say_is_refused(tree, text, message):
    table(tree, "Validation", text)
    with pytest.raises(ValueError, match=message):
        isic2017.load(tree)


def test_no_images_are_refused(tree):
    for path in tree.glob("*_Data/*.jpg"):
        path.unlink()
    with pytest.raises(ValueError, match="holds no images where isic2017 has them"):
        isic2017.load(tree)
