"""The layout of DermXDB v1, traps included."""

import shutil

import numpy as np
import pytest
from PIL import Image

from datasets import dermxdb, synthetic

METADATA = (
    "original_filename;dataset;diagnosis;current_filename;skin_tone;age\r\n"
    "a;DermNetNZ;Acne;1-a(2).jpeg;light;adult\r\n"
    "b;SD-260;Viral warts;2 b.jpeg;dark;young\r\n"
    "c;SD-260;Psoriasis;3.jpeg;dark;young\r\n"
)
ANNOTATIONS = (
    "image_id,mask_id,class_name\n"
    "derm1_1-a(2),derm1_1-a(2)_00001,Papule\n"
    "derm1_1-a(2),derm1_1-a(2)_00002,Papule\n"
    "derm7_1-a(2),derm7_1-a(2)_00003,Open comedo\n"
    "derm2_2 b,derm2_2 b_00004,Papule\n"
)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "dermxdb"
    (root / "masks" / "masks").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + METADATA.encode())
    (root / "masks" / "instance_mask_annotations.csv").write_text(ANNOTATIONS, encoding="utf-8")
    for line in ANNOTATIONS.splitlines()[1:]:
        mask = Image.fromarray(np.full((6, 8), 255, dtype=np.uint8))
        mask.save(root / "masks" / "masks" / f"{line.split(',')[1]}.png")
    for stem in ("1-a(2)", "2 b", "3"):
        Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8)).save(root / "images" / f"{stem}.jpeg")
    return root


def test_raters_characteristics_and_instances(tree):
    data = dermxdb.load(tree)
    assert [sample.id for sample in data.samples] == ["1-a(2)", "2 b", "3"]
    drawn = [(mask.rater, mask.characteristic) for mask in data.samples[0].masks]
    assert drawn == [("derm1", "Papule"), ("derm1", "Papule"), ("derm7", "Open comedo")]
    assert data.samples[2].masks == ()
    assert data.classes == ("Acne", "Psoriasis", "Viral warts")
    assert data.samples[1].group == "2 b"
    assert data.samples[1].split is None


def test_the_first_fold_is_the_split_and_names_the_patients(tree):
    (tree / "folds").mkdir()
    header = ",original_filename,dataset,diagnosis,current_filename,patient_id\n"
    for split, rows in {
        "train": "0,a,x,Acne,1-a(2).jpeg,p1\n1,b,x,Viral warts,2 b.jpeg,p1\n",
        "test": "2,c,x,P,3.jpeg,p2\n",
    }.items():
        (tree / "folds" / f"metadata_fold_0_{split}.csv").write_text(header + rows, encoding="utf-8")
    assert [(sample.split, sample.group) for sample in dermxdb.load(tree).samples] == [
        ("train", "p1"),
        ("train", "p1"),
        ("test", "p2"),
    ]


def test_what_has_no_metadata_is_left_out_by_name(tree):
    (tree / "metadata.csv").write_text("".join(METADATA.splitlines(keepends=True)[:3]), encoding="utf-8")
    data = dermxdb.load(tree)
    assert len(data.samples) == 2
    assert data.left_out == (f"{tree}/images/3.jpeg: no row in metadata.csv",)


def test_masks_without_metadata_are_left_out_by_name(tree):
    (tree / "metadata.csv").write_text("".join(METADATA.splitlines(keepends=True)[:2]), encoding="utf-8")
    data = dermxdb.load(tree)
    assert "2 b: masks without a row in metadata.csv" in data.left_out
    assert not data.problems


def test_a_mask_without_an_image_is_a_problem(tree):
    (tree / "images" / "2 b.jpeg").unlink()
    (problem,) = dermxdb.load(tree).problems
    assert problem.file.name == "derm2_2 b_00004.png"
    assert "is a mask without an image; add the image 2 b or remove the mask" in str(problem)


def test_a_listed_mask_without_a_file_is_left_out_and_a_path_in_a_name_leads_nowhere(tree):
    (tree.parent / "secret.png").write_bytes((tree / "masks" / "masks" / "derm2_2 b_00004.png").read_bytes())
    table = tree / "masks" / "instance_mask_annotations.csv"
    table.write_text(ANNOTATIONS + "derm1_3,../../../secret,Papule\n", encoding="utf-8")
    data = dermxdb.load(tree)
    assert data.samples[2].masks == ()
    assert data.left_out == (
        "../../../secret: listed in instance_mask_annotations.csv, but masks/masks has no such file",
    )


def test_masks_come_without_images_too(tree):
    shutil.rmtree(tree / "images")
    data = dermxdb.load(tree)
    assert not data.problems
    assert [sample.image for sample in data.samples] == [None] * 3
    assert [len(sample.masks) for sample in data.samples] == [3, 1, 0]


def test_two_labels_for_one_image_are_a_problem(tree):
    (tree / "metadata.csv").write_text(METADATA + "d;SD-260;Acne;3.jpeg;dark;young\n", encoding="utf-8")
    data = dermxdb.load(tree)
    assert "gives 3 two labels, 'Psoriasis' and 'Acne'; keep one of them" in str(data.problems[0])
    assert data.samples[2].diagnosis == ""


def test_v2_names_masks_by_characteristic_and_marks_second_readings(tree):
    directory = tree / "masks" / "masks"
    for path in directory.iterdir():
        path.unlink()
    rows = "image_id,mask_id,class_name\n"
    for rater in ("labeler1", "labeler12", "labeler8"):
        # Two instances in the table, one file with both.
        rows += f"{rater}_3,{rater}_3_00001,Open comedo\n{rater}_3,{rater}_3_00002,Open comedo\n"
        Image.fromarray(np.full((6, 8), 255, dtype=np.uint8)).save(directory / f"{rater}_3_Open comedo.png")
    rows += "labeler8_3,labeler8_3_00009,Cyst\nlabeler8_3,labeler8_3_00010,Scar\n"
    Image.fromarray(np.full((6, 8), 255, dtype=np.uint8)).save(directory / "labeler8_3_00009.png")
    (tree / "masks" / "instance_mask_annotations.csv").write_text(rows, encoding="utf-8")
    data = dermxdb.load(tree)
    drawn = [(mask.rater, mask.characteristic, mask.reading) for mask in data.samples[2].masks]
    assert drawn == [
        ("labeler1", "Open comedo", 1),
        ("labeler1", "Open comedo", 2),
        ("labeler8", "Open comedo", 1),
        ("labeler8", "Cyst", 1),
    ]
    assert len(data.left_out) == 1
    assert data.left_out[0].startswith("labeler8_3_00010: listed")


def test_the_published_masks_are_all_found(real_data):
    data = dermxdb.load(real_data / "dermxdb-v1")
    assert not data.problems
    assert not data.left_out
    assert len(data.samples) == 566
    assert sum(bool(sample.masks) for sample in data.samples) == 553
    assert sum(len(sample.masks) for sample in data.samples) == 3562
    assert len({mask.characteristic for sample in data.samples for mask in sample.masks}) == 16


def test_rendered_data_is_marked_as_synthetic(tree):
    assert dermxdb.detect(tree)
    assert not synthetic.detect(tree)
    (tree / "SYNTHETIC.txt").write_text("rendered", encoding="utf-8")
    (tree / "shortcut").mkdir()
    Image.fromarray(np.full((6, 8), 255, dtype=np.uint8)).save(tree / "shortcut" / "3.png")
    assert synthetic.detect(tree)
    assert not dermxdb.detect(tree)
    data = synthetic.load(tree)
    assert data.synthetic
    assert [sample.marked is not None for sample in data.samples] == [False, False, True]
