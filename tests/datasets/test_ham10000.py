"""The layout of HAM10000, traps included."""

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, ham10000
from datasets.image_io import read_mask

METADATA = (
    "lesion_id,image_id,dx,dx_type,age,sex,localization\n"
    "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp\n"
    "HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp\n"
    "HAM_0002730,ISIC_0026769,nv,follow_up,,unknown,face\n"
)
OUTLINE = np.array([[0, 255], [0, 0]], dtype=np.uint8)


def write(directory, name, pixels):
    directory.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(directory / name)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "ham10000"
    image = np.full((2, 2, 3), 200, dtype=np.uint8)
    for part, stem in {1: "ISIC_0025030", 2: "ISIC_0026769"}.items():
        write(root / f"HAM10000_images_part_{part}", f"{stem}.jpg", image)
        write(root / f"ham10000_images_part_{part}", f"{stem}.jpg", image)
    write(root / "HAM10000_images_part_2", "ISIC_0027419.jpg", image)
    write(root / "HAM10000_segmentations_lesion_tschandl", "ISIC_0025030_segmentation.png", OUTLINE)
    (root / "HAM10000_segmentations_lesion_tschandl" / "ATTRIBUTION.txt").write_text("who", encoding="utf-8")
    (root / "HAM10000_metadata.csv").write_text(METADATA, encoding="utf-8")
    (root / "hmnist_28_28_RGB.csv").write_text("pixel0000\n", encoding="utf-8")
    return root


def test_no_other_layout_recognizes_it(tree, tmp_path):
    assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)] == ["ham10000"]
    assert not ham10000.detect(tmp_path)


def test_images_of_one_lesion_are_a_group_and_outlines_are_optional(tree):
    data = ham10000.load(tree)
    assert [(sample.id, sample.diagnosis, sample.group, sample.split) for sample in data.samples] == [
        ("ISIC_0025030", "bkl", "HAM_0000118", None),
        ("ISIC_0026769", "nv", "HAM_0002730", None),
        ("ISIC_0027419", "bkl", "HAM_0000118", None),
    ]
    assert [len(sample.masks) for sample in data.samples] == [1, 0, 0]
    assert np.array_equal(read_mask(data.samples[0].masks[0], (2, 2)), OUTLINE > 0)
    assert data.problems == data.left_out == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HAM10000_metadata", METADATA),
        ("HAM10000_metadata", "\ufeff" + METADATA.replace("\n", "\r\n").replace(",image_id", ", image_id")),
        ("HAM10000_metadata.tab", METADATA.replace(",", "\t").replace("ISIC_0025030", '"ISIC_0025030"')),
    ],
)
def test_the_metadata_may_have_another_name_and_form(tree, name, text):
    expected = ham10000.load(tree)
    (tree / "HAM10000_metadata.csv").unlink()
    (tree / name).write_bytes(text.encode())
    assert ham10000.load(tree) == expected


def test_unknown_classes_two_labels_and_masks_without_an_image_are_problems(tree):
    table = tree / "HAM10000_metadata.csv"
    more = "HAM_0000118,ISIC_0025030,mel,histo,80.0,male,scalp\nHAM_1,ISIC_0024306,scc,histo,80.0,male,scalp\n"
    table.write_text(METADATA + more, encoding="utf-8")
    lonely = tree / "HAM10000_segmentations_lesion_tschandl" / "ISIC_0024306_segmentation.png"
    write(lonely.parent, lonely.name, OUTLINE)
    (tree / "HAM10000_images_part_2" / "ISIC_0027419.jpg").unlink()
    data = ham10000.load(tree)
    assert [str(problem) for problem in data.problems] == [
        f"{table} gives ISIC_0025030 two labels, 'bkl' and 'mel'; keep one of them",
        f"{table} gives ISIC_0024306 the unknown class 'scc'; use one of akiec, bcc, bkl, df, mel, nv, vasc",
        f"{lonely} is a mask without an image; add the image ISIC_0024306 or remove the mask",
    ]
    assert data.left_out == tuple(
        f"{name}: listed in HAM10000_metadata.csv, but there is no image" for name in ("ISIC_0024306", "ISIC_0027419")
    )


def test_no_metadata_no_column_and_no_images_are_refused(tree):
    table = tree / "HAM10000_metadata.csv"
    table.write_text(METADATA.replace("dx,", "diagnosis,"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"HAM10000_metadata\.csv has no column 'dx'; it has lesion_id"):
        ham10000.load(tree)
    table.unlink()
    with pytest.raises(ValueError, match=r"HAM10000_metadata\.csv is missing; it must have the columns image_id"):
        ham10000.load(tree)
    table.write_text(METADATA, encoding="utf-8")
    for path in tree.glob("*_images_part_*/*.jpg"):
        path.unlink()
    assert ham10000.detect(tree)
    with pytest.raises(ValueError, match="holds no images where ham10000 has them"):
        ham10000.load(tree)


def test_real_images(real_data):
    data = ham10000.load(real_data / "ham10000-128")
    assert len(data.samples) == 10015
    assert len({sample.group for sample in data.samples}) == 7470
    assert data.classes == ham10000.DIAGNOSES
    assert data.problems == data.left_out == ()
