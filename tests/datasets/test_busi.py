"""The layout of BUSI, traps included."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, busi
from datasets.image_io import read_mask

SIZE = (8, 6)


def save(path, mode, fill=0, spot=None):
    image = Image.new(mode, SIZE, fill)
    if spot is not None:
        image.putpixel(spot, 255 if mode in "1L" else (255, 255, 255))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "busi" / busi.ROOT
    for name in ("benign (4)", "benign (10)", "malignant (53)", "normal (1)"):
        save(root / name.split()[0] / f"{name}.png", "RGB", (90, 90, 90))
    save(root / "benign" / "benign (4)_mask.png", "1", spot=(1, 1))
    save(root / "benign" / "benign (4)_mask_1.png", "RGB", spot=(6, 4))
    save(root / "benign" / "benign (4)_mask_2.png", "L", spot=(3, 3))
    save(root / "benign" / "benign (10)_mask.png", "1", spot=(2, 2))
    save(root / "malignant" / "malignant (53)_mask.png", "1", spot=(2, 3))
    save(root / "malignant" / "malignant (53)_Mask_1.PNG", "1", spot=(4, 3))
    save(root / "normal" / "normal (1)_mask.png", "RGB")
    (root / "benign" / "._benign (4).png").write_bytes(b"not opened")
    (root / "benign" / "Thumbs.db").write_bytes(b"not opened")
    return root


def layouts(directory):
    return [layout.name for layout in entries(DatasetReader).values() if layout.detect(directory)]


def test_the_folder_and_its_parent_are_the_same_data(tree):
    assert layouts(tree) == layouts(tree.parent) == ["busi"]
    assert busi.load(tree) == busi.load(tree.parent)


def test_folders_are_classes_and_masks_are_no_images(tree):
    data = busi.load(tree)
    assert [(sample.id, sample.diagnosis, len(sample.masks)) for sample in data.samples] == [
        ("benign (10)", "benign", 1),
        ("benign (4)", "benign", 3),
        ("malignant (53)", "malignant", 2),
        ("normal (1)", "normal", 1),
    ]
    assert data.classes == ("benign", "malignant", "normal")
    assert all(sample.group == sample.id and sample.split is None for sample in data.samples)
    assert data.problems == data.left_out == ()


def test_several_lesions_of_an_image_are_instances_of_one_rater(tree):
    masks = busi.load(tree).samples[1].masks
    assert {(mask.rater, mask.characteristic) for mask in masks} == {("expert", None)}
    drawn = np.sum([read_mask(mask, SIZE) for mask in masks], axis=0)
    assert np.argwhere(drawn).tolist() == [[1, 1], [3, 3], [4, 6]]


def test_a_normal_image_has_an_empty_mask(tree):
    assert not read_mask(busi.load(tree).samples[3].masks[0], SIZE).any()


def test_a_mask_without_an_image_is_a_problem(tree):
    (tree / "benign" / "benign (10).png").unlink()
    (problem,) = busi.load(tree).problems
    assert str(problem) == (
        f"{tree}/benign/benign (10)_mask.png is a mask without an image; add the image benign (10) or remove the mask"
    )


def test_masks_alone_are_refused(tree):
    for path in tree.rglob("*).png"):
        path.unlink()
    with pytest.raises(ValueError, match="holds no images where busi has them"):
        busi.load(tree)


def test_real_images(real_data):
    data = busi.load(real_data / "busi-sample")
    images = Counter(sample.diagnosis for sample in data.samples)
    masks = Counter(sample.diagnosis for sample in data.samples for _ in sample.masks)
    assert images == {"benign": 15, "malignant": 14, "normal": 14}
    assert masks == {"benign": 17, "malignant": 14, "normal": 14}
    assert data.problems == data.left_out == ()
    assert layouts(real_data / "busi-sample") == ["busi"]
    empty = [not any(read_mask(mask).any() for mask in sample.masks) for sample in data.samples]
    assert [sample.diagnosis == "normal" for sample in data.samples] == empty
