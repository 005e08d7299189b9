"""The layout of ISIC 2018, traps included."""

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, isic2018
from datasets.image_io import read_mask

OUTLINE = np.array([[0, 255, 200], [0, 255, 100]], dtype=np.uint8)
"""Gray where it was made smaller: 200 is inside, 100 outside."""
HEADER = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
DIAGNOSES = "image,diagnosis,group\nISIC_0000001,benign,p1\nISIC_0000002,melanoma,\n"


def write(directory, name, pixels):
    directory.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(directory / name)


def truth(root, split, text):
    path = root / f"ISIC2018_Task3_{split}_GroundTruth" / f"ISIC2018_Task3_{split}_GroundTruth.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def tree(tmp_path):
    """Images 1 and 2 are of tasks 1 and 2, 3 to 5 of task 3."""
    root = tmp_path / "isic2018"
    for directory, number in {
        "ISIC2018_Task1-2_Training_Input": 1,
        "ISIC2018_Task1-2_Validation_Input": 2,
        "ISIC2018_Task3_Training_Input": 3,
        "ISIC2018_Task3_Validation_Input": 4,
        "ISIC2018_Task3_Test_Input": 5,
    }.items():
        write(root / directory, f"ISIC_{number:07d}.jpg", np.full((2, 3, 3), 200, dtype=np.uint8))
        for name in ("ATTRIBUTION.txt", "LICENSE.txt"):
            (root / directory / name).write_text("terms", encoding="utf-8")
    write(root / "ISIC2018_Task1-2_Training_Input", "ISIC_0000001_superpixels.png", OUTLINE)
    write(root / "ISIC2018_Task1_Training_GroundTruth", "ISIC_0000001_segmentation.png", OUTLINE)
    write(root / "ISIC2018_Task1_Validation_GroundTruth", "ISIC_0000002_Segmentation.png", OUTLINE)
    for name in isic2018.ATTRIBUTES:
        drawn = OUTLINE if name == "streaks" else np.zeros_like(OUTLINE)
        write(root / "ISIC2018_Task2_Training_GroundTruth_v3", f"ISIC_0000001_attribute_{name}.png", drawn)
    truth(root, "Training", "\ufeff" + HEADER + "ISIC_0000003,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n")
    more = HEADER.replace("\n", ", score_weight, validation_weight\r\n")
    truth(root, "Validation", more + "ISIC_0000004,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.9,1.4\r\n")
    truth(root, "Test", HEADER + "ISIC_0000005,0,0,0,0,0,0,1\n")
    groups = root / "ISIC2018_Task3_Training_LesionGroupings.csv"
    groups.write_text("image,lesion_id,diagnosis_confirm_type\nISIC_0000003,HAM_1,histopathology\n", encoding="utf-8")
    (root / "diagnosis.csv").write_text(DIAGNOSES, encoding="utf-8")
    return root


def test_no_other_layout_recognizes_it(tree, tmp_path):
    assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)] == ["isic2018"]
    assert not isic2018.detect(tmp_path)


def test_all_tasks_are_read_with_classes_groups_and_splits(tree):
    data = isic2018.load(tree)
    assert [(sample.id, sample.diagnosis, sample.group, sample.split) for sample in data.samples] == [
        ("ISIC_0000001", "benign", "p1", "train"),
        ("ISIC_0000002", "melanoma", "ISIC_0000002", "validation"),
        ("ISIC_0000003", "NV", "HAM_1", "train"),
        ("ISIC_0000004", "MEL", "ISIC_0000004", "validation"),
        ("ISIC_0000005", "VASC", "ISIC_0000005", "test"),
    ]
    assert data.problems == data.left_out == ()
    assert not data.synthetic


def test_outlines_and_attributes_are_read(tree):
    first, second, *others = isic2018.load(tree).samples
    outline, *attributes = first.masks
    assert outline.characteristic is None
    assert read_mask(outline, (3, 2)).tolist() == [[False, True, True], [False, True, False]]
    assert [mask.characteristic for mask in attributes] == list(isic2018.ATTRIBUTES)
    assert [bool(read_mask(mask, (3, 2)).any()) for mask in attributes] == [False, False, False, False, True]
    assert [mask.path.name for mask in second.masks] == ["ISIC_0000002_Segmentation.png"]
    assert not any(sample.masks for sample in others)


def test_tables_beside_the_folders_are_found_too(tree):
    expected = isic2018.load(tree)
    for split in ("Training", "Validation", "Test"):
        path = tree / f"ISIC2018_Task3_{split}_GroundTruth" / f"ISIC2018_Task3_{split}_GroundTruth.csv"
        path.rename(tree / path.name)
        path.parent.rmdir()
    assert isic2018.load(tree) == expected


def test_the_users_own_diagnoses_overrule_task_3_and_may_be_missing(tree):
    own = tree / "diagnosis.csv"
    own.write_text(DIAGNOSES + "ISIC_0000004,melanoma,\n", encoding="utf-8")
    data = isic2018.load(tree)
    assert [sample.diagnosis for sample in data.samples] == ["benign", "melanoma", "NV", "melanoma", "VASC"]
    assert data.problems == ()
    own.unlink()
    assert [sample.diagnosis for sample in isic2018.load(tree).samples] == ["", "", "NV", "MEL", "VASC"]


def test_rows_without_a_diagnosis_or_with_two_are_problems(tree):
    none = truth(tree, "Validation", HEADER + "ISIC_0000004,0,0,0,0,0,0,0\n")
    two = truth(tree, "Test", HEADER + "ISIC_0000005,1,0,0,0,0,0,1\n")
    own = tree / "diagnosis.csv"
    own.write_text(DIAGNOSES + "ISIC_0000001,melanoma,p1\n", encoding="utf-8")
    assert [str(problem) for problem in isic2018.load(tree).problems] == [
        f"{two} gives ISIC_0000005 two labels, 'MEL' and 'VASC'; keep one of them",
        f"{none} gives ISIC_0000004 the unknown class ''; use one of AKIEC, BCC, BKL, DF, MEL, NV, VASC",
        f"{own} gives ISIC_0000001 two labels, 'benign' and 'melanoma'; keep one of them",
    ]


def test_a_mask_without_an_image_is_a_problem_and_a_label_without_one_is_left_out(tree):
    (tree / "ISIC2018_Task1-2_Validation_Input" / "ISIC_0000002.jpg").unlink()
    data = isic2018.load(tree)
    lonely = tree / "ISIC2018_Task1_Validation_GroundTruth" / "ISIC_0000002_Segmentation.png"
    (problem,) = data.problems
    assert str(problem) == f"{lonely} is a mask without an image; add the image ISIC_0000002 or remove the mask"
    assert data.left_out == ("ISIC_0000002: listed in diagnosis.csv, but there is no image",)


def test_a_link_that_leads_nowhere_is_one_problem(tree):
    link = tree / "ISIC2018_Task2_Training_GroundTruth_v3" / "ISIC_0000009_attribute_streaks.png"
    link.symlink_to(tree / "gone.png")
    (problem,) = isic2018.load(tree).problems
    assert str(problem) == f"{link} is a link that leads nowhere; restore what it points to or remove it"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER.replace(",VASC", ""), r"Test_GroundTruth\.csv has no column 'VASC'; it has image, MEL"),
        (
            HEADER + "ISIC_0000005,0,0,0,0,0,0,x\n",
            r"Test_GroundTruth\.csv: ISIC_0000005: 'x' is no label; it must be 0 or 1",
        ),
    ],
)
def test_a_table_that_does_not_say_is_refused(tree, text, message):
    truth(tree, "Test", text)
    with pytest.raises(ValueError, match=message):
        isic2018.load(tree)


def test_no_images_are_refused(tree):
    for path in tree.glob("*_Input/*.jpg"):
        path.unlink()
    with pytest.raises(ValueError, match="holds no images where isic2018 has them"):
        isic2018.load(tree)


def test_real_images(real_data):
    data = isic2018.load(real_data / "isic2018-128")
    assert len(data.samples) == 2594
    assert sum(sample.diagnosis == "melanoma" for sample in data.samples) == 519
    assert all(len(sample.masks) == 1 for sample in data.samples)
    assert data.problems == data.left_out == ()
