"""The layout of PH2, traps included."""

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, ph2
from datasets.image_io import read_mask

OUTLINE = np.array([[False, True, True], [False, False, True]])
ROWS = (
    "|| Name   || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Streaks || Colors ||\r\n"
    "|| IMD002 ||                        ||                  0 ||         0 |       A ||   3  4 ||\r\n"
    "||IMD003||  Dysplastic, mild  ||1||         0 |       A ||   4 ||\r\n"
    "|| IMD058 ||               Melanoma ||                  2 ||         2 |       P ||   3  4 ||  \r\n"
)
LEGEND = (
    "\r\nLegends:\r\nClinical Diagnosis:\r\n  0 - Common Nevus; 1 - Atypical Nevus; 2 - Melanoma.\r\n"
    "|| Asymmetry: 0 - Fully Symmetric, 1 - in one axis, 2 - Fully Asymmetric ||\r\n"
)


def save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "ph2" / "PH2Dataset"
    for stem in ("IMD002", "IMD003", "IMD058"):
        directory = root / "PH2 Dataset images" / stem
        mask = Image.fromarray(OUTLINE)
        save(Image.new("RGB", (3, 2), "tan"), directory / f"{stem}_Dermoscopic_Image" / f"{stem}.bmp")
        save(mask.convert("RGB") if stem == "IMD002" else mask, directory / f"{stem}_lesion" / f"{stem}_lesion.bmp")
        save(mask, directory / f"{stem}_roi" / f"{stem}_R1_Label4.bmp")
    (root / "PH2_dataset.txt").write_bytes((ROWS + LEGEND).encode())
    return root


def test_the_folder_and_its_parent_are_the_same_data(tree):
    for directory in (tree, tree.parent):
        assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(directory)] == ["ph2"]
    assert ph2.load(tree) == ph2.load(tree.parent)
    assert not ph2.detect(tree.parent.parent)


def test_codes_become_classes_and_header_and_legend_are_no_rows(tree):
    data = ph2.load(tree)
    assert [(sample.id, sample.diagnosis, sample.group, sample.split) for sample in data.samples] == [
        ("IMD002", "common nevus", "IMD002", None),
        ("IMD003", "atypical nevus", "IMD003", None),
        ("IMD058", "melanoma", "IMD058", None),
    ]
    assert data.problems == data.left_out == ()


def test_outlines_of_one_bit_and_of_color_are_read_and_color_regions_are_not(tree):
    masks = [mask for sample in ph2.load(tree).samples for mask in sample.masks]
    assert [mask.path.name for mask in masks] == ["IMD002_lesion.bmp", "IMD003_lesion.bmp", "IMD058_lesion.bmp"]
    for mask in masks:
        assert np.array_equal(read_mask(mask, (3, 2)), OUTLINE)


def test_unknown_codes_two_labels_and_masks_without_an_image_are_problems(tree):
    table = tree / "PH2_dataset.txt"
    table.write_text("|| IMD002 || || 3 ||\n|| IMD003 || || 1 ||\n|| IMD003 || || 2 ||\n|| IMD058 ||\n", "utf-8")
    images = tree / "PH2 Dataset images"
    (images / "IMD003" / "IMD003_Dermoscopic_Image" / "IMD003.bmp").unlink()
    data = ph2.load(tree)
    lonely = images / "IMD003" / "IMD003_lesion" / "IMD003_lesion.bmp"
    assert [str(problem) for problem in data.problems] == [
        f"{table} gives IMD002 the unknown diagnosis '3'; use one of 0, 1, 2",
        f"{table} gives IMD003 two labels, '1' and '2'; keep one of them",
        f"{table} gives IMD058 the unknown diagnosis ''; use one of 0, 1, 2",
        f"{lonely} is a mask without an image; add the image IMD003 or remove the mask",
    ]
    assert [sample.diagnosis for sample in data.samples] == ["", ""]


def test_no_rows_and_no_images_are_refused(tree):
    (tree / "PH2_dataset.txt").write_text(LEGEND, encoding="utf-8")
    with pytest.raises(ValueError, match=r"PH2_dataset\.txt has no rows '\|\| IMD003 \|\| histology.*; fetch it"):
        ph2.load(tree)
    (tree / "PH2_dataset.txt").write_text(ROWS, encoding="utf-8")
    (tree / "PH2 Dataset images").rename(tree / "elsewhere")
    with pytest.raises(ValueError, match="holds no images where ph2 has them"):
        ph2.load(tree)
