"""The layout of DermXDB v1, traps included."""

import numpy as np
import pytest
from PIL import Image

from datasets import dermxdb, embedded

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
    data = dermxdb.read(tree)
    assert [case.id for case in data.cases] == ["1-a(2)", "2 b", "3"]
    drawn = [(mask.rater, mask.characteristic) for mask in data.cases[0].masks]
    assert drawn == [("derm1", "Papule"), ("derm1", "Papule"), ("derm7", "Open comedo")]
    assert data.cases[2].masks == ()
    assert data.classes == ("Acne", "Psoriasis", "Viral warts")
    assert data.cases[1].group == "2 b"
    assert data.cases[1].split is None


def test_the_first_fold_is_the_split_and_names_the_patients(tree):
    (tree / "folds").mkdir()
    header = ",original_filename,dataset,diagnosis,current_filename,patient_id\n"
    for split, rows in {
        "train": "0,a,x,Acne,1-a(2).jpeg,p1\n1,b,x,Viral warts,2 b.jpeg,p1\n",
        "test": "2,c,x,P,3.jpeg,p2\n",
    }.items():
        (tree / "folds" / f"metadata_fold_0_{split}.csv").write_text(header + rows, encoding="utf-8")
    assert [(case.split, case.group) for case in dermxdb.read(tree).cases] == [
        ("train", "p1"),
        ("train", "p1"),
        ("test", "p2"),
    ]


def test_what_has_no_metadata_is_left_out_by_name(tree):
    (tree / "metadata.csv").write_text("".join(METADATA.splitlines(keepends=True)[:3]), encoding="utf-8")
    data = dermxdb.read(tree)
    assert len(data.cases) == 2
    assert data.left_out == (f"{tree}/images/3.jpeg: no row in metadata.csv",)


def test_a_mask_without_an_image_is_refused(tree):
    (tree / "images" / "2 b.jpeg").unlink()
    with pytest.raises(ValueError, match=r"derm2_2 b_00004\.png is a mask without an image; add 2 b to"):
        dermxdb.read(tree)


def test_a_listed_mask_without_a_file_and_a_name_with_a_path_are_refused(tree):
    table = tree / "masks" / "instance_mask_annotations.csv"
    table.write_text(ANNOTATIONS + "derm1_3,../../secret,Papule\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lists '\.\./\.\./secret', which is no file in masks/masks"):
        dermxdb.read(tree)


def test_no_images_says_where_to_ask(tree):
    for path in (tree / "images").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"holds no images; put the images.*on request from SD-260 and DermNetNZ"):
        dermxdb.read(tree)


def test_rendered_data_is_marked_as_synthetic(tree):
    assert dermxdb.recognise(tree)
    assert not embedded.recognise(tree)
    (tree / "SYNTHETIC.txt").write_text("rendered", encoding="utf-8")
    (tree / "shortcut").mkdir()
    Image.fromarray(np.full((6, 8), 255, dtype=np.uint8)).save(tree / "shortcut" / "3.png")
    assert embedded.recognise(tree)
    assert not dermxdb.recognise(tree)
    data = embedded.read(tree)
    assert data.synthetic
    assert [case.marked is not None for case in data.cases] == [False, False, True]
