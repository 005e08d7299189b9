"""Data brought in directories of classes, traps included."""

import pytest
from PIL import Image

from benchmark.registry import entries
from datasets import DatasetReader, folder
from datasets.image_io import read_mask

SIZE = (4, 3)


def save(path, mode="RGB", fill=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, SIZE, {"RGB": (90, 80, 70)}.get(mode, 255) if fill is None else fill).save(path)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "own"
    save(root / "images" / "mole" / "a 1.png")
    save(root / "images" / "mole" / "ward" / "b.x.JPG")
    save(root / "images" / "wart" / "c.bmp", "L")
    save(root / "images" / "wart" / "d.png")
    save(root / "masks" / "a 1.png", "1")
    save(root / "masks" / "ann" / "a 1.png", "RGB", (255, 255, 255))
    save(root / "masks" / "ann" / "scale" / "a 1.png", "L")
    save(root / "masks" / "ann" / "scale" / "a 1.bmp", "L")
    save(root / "masks" / "mole" / "ward" / "b.x.png", "L", 0)
    save(root / "masks" / "wart" / "bob" / "c.png", "L")
    save(root / "masks" / "bob" / "wart" / "pore" / "c.png", "L")
    (root / "images" / "wart" / "._d.png").write_bytes(b"not opened")
    (root / "images" / "notes.txt").write_bytes(b"not opened")
    return root


def layouts(tree):
    return [layout.name for layout in entries(DatasetReader).values() if layout.detect(tree)]


def test_exactly_one_layout_recognizes_it(tree):
    assert layouts(tree) == ["folder"]


def test_images_without_classes_and_other_layouts_are_not_recognized(tree):
    (tree / "annotations").mkdir()
    assert not folder.detect(tree)
    (tree / "annotations").rmdir()
    (tree / "metadata.csv").touch()
    (tree / "masks" / "masks").mkdir()
    assert not folder.detect(tree)
    assert not folder.detect(tree / "images")


def test_folders_are_classes(tree):
    data = folder.load(tree)
    assert [(sample.id, sample.diagnosis) for sample in data.samples] == [
        ("a 1", "mole"),
        ("b.x", "mole"),
        ("c", "wart"),
        ("d", "wart"),
    ]
    assert all(sample.group == sample.id and sample.split is None for sample in data.samples)
    assert data.problems == data.left_out == ()


def test_the_folders_of_a_mask_say_who_drew_what(tree):
    told = {
        sample.id: [(mask.rater, mask.characteristic) for mask in sample.masks] for sample in folder.load(tree).samples
    }
    assert told == {
        "a 1": [("expert", None), ("ann", None), ("ann", "scale"), ("ann", "scale")],
        "b.x": [("expert", None)],
        "c": [("bob", "pore"), ("bob", None)],
        "d": [],
    }


def test_masks_of_every_mode_are_read_and_may_be_empty(tree):
    samples = folder.load(tree).samples
    assert all(read_mask(mask, SIZE).all() for mask in samples[0].masks)
    assert not read_mask(samples[1].masks[0], SIZE).any()


def test_a_table_gives_groups_and_splits(tree):
    rows = " image; group ;split\r\na 1;p1;train\r\nb.x; p1 ;validation\r\nc;;test\r\nd;p2;\r\ne;p3;train\r\n"
    (tree / "images.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    data = folder.load(tree)
    assert [(sample.group, sample.split) for sample in data.samples] == [
        ("p1", "train"),
        ("p1", "validation"),
        ("c", "test"),
        ("p2", None),
    ]
    assert data.left_out == ("e: listed in images.csv, but there is no image",)
    assert not data.problems


def test_another_split_and_two_groups_of_an_image_are_problems(tree):
    (tree / "images.csv").write_text("image,group,split\na 1,p1,dev\na 1,p2,\n", encoding="utf-8")
    assert [str(problem) for problem in folder.load(tree).problems] == [
        f"{tree}/images.csv gives a 1 two labels, 'p1' and 'p2'; keep one of them",
        f"{tree}/images.csv gives a 1 the unknown split 'dev'; use one of train, validation, test",
    ]


def test_a_table_without_names_is_refused(tree):
    (tree / "images.csv").write_text("file,group\na 1,p1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"images\.csv has no column 'image'; it has file, group"):
        folder.load(tree)


def test_one_name_in_two_classes_is_a_problem_that_names_both(tree):
    save(tree / "images" / "wart" / "a 1.jpg")
    (problem,) = folder.load(tree).problems
    assert str(problem) == (
        f"{tree}/images/wart/a 1.jpg and {tree}/images/mole/a 1.png have the same name; remove one of them"
    )


def test_masks_without_an_image_and_in_other_folders_are_problems(tree):
    save(tree / "masks" / "ann" / "nobody.png", "L")
    save(tree / "masks" / "wart" / "a 1.png", "L")
    save(tree / "masks" / "ann" / "scale" / "again" / "d.png", "L")
    problems = {str(problem.file.relative_to(tree)): problem.what for problem in folder.load(tree).problems}
    assert problems == {
        "masks/ann/nobody.png": "is a mask without an image",
        "masks/ann/scale/again/d.png": "is in directories of no rater or of another class",
        "masks/wart/a 1.png": "is in directories of no rater or of another class",
    }


def test_links_to_folders_are_told_and_not_followed(tree):
    (tree / "images" / "mole" / "loop").symlink_to(tree / "images")
    (tree / "masks" / "loop").symlink_to(tree / "masks")
    (tree / "images" / "wart" / "e.png").symlink_to(tree / "images" / "wart" / "d.png")
    (tree / "images" / "wart" / "f.png").symlink_to(tree / "nowhere.png")
    assert folder.detect(tree)
    data = folder.load(tree)
    assert [sample.id for sample in data.samples] == ["a 1", "b.x", "c", "d", "e"]
    assert data.left_out == (
        f"{tree}/images/mole/loop: a link to a directory, which is not followed",
        f"{tree}/masks/loop: a link to a directory, which is not followed",
    )
    assert [str(problem.file.name) for problem in data.problems] == ["f.png"]


def test_an_image_beside_the_classes_has_none(tree):
    save(tree / "images" / "loose.png")
    assert [sample.diagnosis for sample in folder.load(tree).samples if sample.id == "loose"] == [""]


def test_no_images_are_refused(tree):
    for path in (tree / "images").rglob("*.*"):
        path.unlink()
    assert not folder.detect(tree)
    with pytest.raises(ValueError, match="holds no images where folder has them"):
        folder.load(tree)


def test_a_numbering_per_class_never_mixes_masks_of_two_images(tmp_path):
    for name in "ab":
        for number in range(2):
            for kind in ("images", "masks"):
                path = tmp_path / kind / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (4, 4), 255).save(path)
    data = folder.load(tmp_path)
    assert [(sample.id, sample.diagnosis, len(sample.masks)) for sample in data.samples] == [("0", "", 1), ("1", "", 1)]
    assert any("have the same name" in str(problem) for problem in data.problems)
