"""The layout of the Oxford-IIIT Pet data, traps included."""

import numpy as np
import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, oxford_pet
from datasets.image_io import read_mask

TRIMAP = np.array([[2, 2, 3, 3], [2, 3, 1, 1], [2, 3, 1, 1]], dtype=np.uint8)
NAMES = ("Abyssinian_1", "Abyssinian_34", "american_pit_bull_terrier_7", "yorkshire_terrier_2")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "pets"
    trimaps = root / "annotations" / "trimaps"
    trimaps.mkdir(parents=True)
    (root / "images").mkdir()
    for name in NAMES:
        Image.fromarray(np.full((3, 4, 3), 120, dtype=np.uint8)).save(root / "images" / f"{name}.jpg")
        Image.fromarray(TRIMAP).save(trimaps / f"{name}.png")
        (trimaps / f"._{name}.png").write_bytes(b"not opened")
    (root / "images" / "Abyssinian_1.mat").write_bytes(b"not opened")
    lists = root / "annotations"
    (lists / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n", encoding="utf-8")
    (lists / "trainval.txt").write_bytes(
        b"\xef\xbb\xbf#Image, comma\r\nAbyssinian_1 1 1 1\r\nyorkshire_terrier_2 37 2 25\r\n"
    )
    (lists / "test.txt").write_text("american_pit_bull_terrier_7 3 2 2\n", encoding="utf-8")
    return root


def test_exactly_one_layout_recognizes_it(tree):
    assert [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)] == ["oxford-pet"]


def test_breeds_and_official_split_are_read(tree):
    data = oxford_pet.load(tree)
    assert [(sample.id, sample.diagnosis, sample.split) for sample in data.samples] == [
        ("Abyssinian_1", "Abyssinian", "train"),
        ("Abyssinian_34", "Abyssinian", None),
        ("american_pit_bull_terrier_7", "american_pit_bull_terrier", "test"),
        ("yorkshire_terrier_2", "yorkshire_terrier", "train"),
    ]
    assert all(sample.group == sample.id for sample in data.samples)
    assert data.problems == data.left_out == ()


def test_the_border_is_not_counted_as_pet(tree):
    for sample in oxford_pet.load(tree).samples:
        (mask,) = sample.masks
        assert np.array_equal(read_mask(mask, (4, 3)), TRIMAP == 1)


def test_an_image_in_both_lists_is_a_problem(tree):
    with (tree / "annotations" / "test.txt").open("a", encoding="utf-8") as file:
        file.write("Abyssinian_1 1 1 1\n")
    (problem,) = oxford_pet.load(tree).problems
    assert str(problem) == (
        f"{tree}/annotations gives Abyssinian_1 two labels, 'trainval' and 'test'; keep one of them"
    )


def test_a_listed_image_that_is_not_there_is_told_and_its_mask_is_a_problem(tree):
    (tree / "images" / "Abyssinian_1.jpg").unlink()
    data = oxford_pet.load(tree)
    assert data.left_out == ("Abyssinian_1: listed in annotations, but there is no image",)
    assert [problem.file.name for problem in data.problems] == ["Abyssinian_1.png"]


def test_a_missing_list_and_missing_images_are_refused(tree):
    (tree / "annotations" / "test.txt").rename(tree / "test.txt")
    with pytest.raises(ValueError, match=r"annotations/test\.txt is missing"):
        oxford_pet.load(tree)
    (tree / "test.txt").rename(tree / "annotations" / "test.txt")
    for path in (tree / "images").glob("*.jpg"):
        path.unlink()
    with pytest.raises(ValueError, match="holds no images where oxford-pet has them"):
        oxford_pet.load(tree)
