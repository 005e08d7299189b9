"""From files to arrays."""

import errno
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmark.config.presets import QUICK
from benchmark.data.dataset import leaks, prepare_dataset
from benchmark.data.load import Source, load_index
from benchmark.errors import UserError
from datasets import DatasetIndex, Mask, Problem, Sample

SMALL = replace(QUICK, image_size=16, limit=None)


def picture(path, pixels):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def drawn(tmp_path, own_folders):  # noqa: ARG001 - its directories are used through the environment
    """Two classes of three images of 4 x 4; the first one has two raters and two characteristics."""
    squares = np.zeros((3, 4, 4), dtype=np.uint8)
    squares[0, :2], squares[1, :1], squares[2, :, 3] = 255, 255, 255
    names = [("ann", "Scale"), ("bob", "Scale"), ("bob", "Plaque")]
    masks = tuple(
        Mask(path=picture(tmp_path / f"m{number}.png", square), rater=rater, characteristic=what)
        for number, (square, (rater, what)) in enumerate(zip(squares, names, strict=True))
    )
    samples = [
        Sample(
            id=f"c{number}",
            image=picture(tmp_path / f"c{number}.png", np.full((4, 4, 3), 40 * number)),
            diagnosis="ab"[number % 2],
            group=f"c{number}",
            masks=() if number else masks,
            split="train" if number > 1 else "test",
        )
        for number in range(6)
    ]
    return DatasetIndex(name="drawn", layout="folder", root=tmp_path, samples=tuple(samples))


def plane(data, **wanted):
    rows = data.references
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return data.mask_arrays[rows.index[0]][::4, ::4]


def test_references_of_every_level(drawn):
    data = prepare_dataset(drawn, replace(SMALL, image_size=16))
    both = plane(data, level="image")
    assert both[0].tolist() == [170, 170, 170, 255]  # two of three, two of three, two of three, three of three
    assert both[1].tolist() == [85, 85, 85, 170]
    assert both[3].tolist() == [0, 0, 0, 85]
    assert plane(data, level="union")[3].tolist() == [0, 0, 0, 255]
    assert plane(data, level="characteristic", characteristic="Scale")[1].tolist() == [128] * 4
    assert plane(data, level="characteristic", characteristic="Plaque")[1].tolist() == [0, 0, 0, 255]
    assert plane(data, level="rater", rater="ann")[1].tolist() == [255] * 4
    assert plane(data, level="others", rater="bob")[1].tolist() == [255] * 4
    assert plane(data, level="others", rater="ann")[0].tolist() == [128, 128, 128, 255]
    scale = plane(data, level="characteristic-union", characteristic="Scale")
    assert scale.tolist() == [[255] * 4, [255] * 4, [0] * 4, [0] * 4]
    bob = plane(data, level="rater-union", rater="bob")
    assert bob.tolist() == [[255] * 4, *[[0, 0, 0, 255]] * 3]


def test_a_hard_mask_is_all_that_was_drawn_however_much_of_it_overlaps(drawn):
    """Bob marks the corner thrice, so the rest of his marks is a third of full marks: less than half."""
    first, (_, scale, plaque) = drawn.samples[0], drawn.samples[0].masks
    masks = (*first.masks, replace(plaque, characteristic="Crust"), replace(scale, characteristic="Pustule"))
    data = prepare_dataset(replace(drawn, samples=(replace(first, masks=masks), *drawn.samples[1:])), SMALL)
    assert plane(data, level="rater", rater="bob")[1].tolist() == [0, 0, 0, 128]
    masks = (*masks, replace(plaque, characteristic="Papule"))
    data = prepare_dataset(replace(drawn, samples=(replace(first, masks=masks), *drawn.samples[1:])), SMALL)
    assert plane(data, level="rater", rater="bob")[0].tolist() == [102, 102, 102, 255]
    assert plane(data, level="rater-union", rater="bob")[0].tolist() == [255] * 4


def test_data_without_masks_has_references_of_the_same_types(drawn):
    bare = replace(drawn, samples=tuple(replace(sample, masks=()) for sample in drawn.samples))
    with_masks, without = prepare_dataset(drawn, SMALL), prepare_dataset(bare, SMALL)
    assert len(without.references) == len(without.mask_arrays) == 0
    assert without.references["sample"].dtype == with_masks.references["sample"].dtype == np.int64


def test_images_labels_and_split(drawn):
    data = prepare_dataset(drawn, SMALL)
    assert data.images.shape == (6, 16, 16, 3)
    assert data.images[3].tolist() == np.full((16, 16, 3), 120).tolist()
    assert data.samples["label"].tolist() == [0, 1, 0, 1, 0, 1]
    assert data.test.tolist() == [0, 1]
    assert data.train.tolist() == [2, 3, 4, 5]


def test_a_sample_of_the_test_images_depends_on_their_names_alone(drawn):
    data = prepare_dataset(
        replace(
            drawn, samples=tuple(replace(sample, split="test") for sample in drawn.samples[:4]) + drawn.samples[4:]
        ),
        SMALL,
    )
    assert data.subset(None).tolist() == [0, 1, 2, 3]
    assert len(data.subset(2)) == 2
    assert set(data.subset(2)) <= set(data.subset(3))


def test_raters_are_merged_as_asked_for(drawn):
    data = prepare_dataset(drawn, replace(SMALL, aggregation="mean"))
    assert plane(data, level="image")[1].tolist() == [128, 128, 128, 255]
    assert plane(data, level="characteristic", characteristic="Plaque")[1].tolist() == [0, 0, 0, 128]
    data = prepare_dataset(drawn, replace(SMALL, aggregation="majority"))
    assert plane(data, level="image")[1].tolist() == [0, 0, 0, 255]
    assert plane(data, level="rater", rater="bob")[1].tolist() == [0, 0, 0, 255]
    data = prepare_dataset(drawn, replace(SMALL, aggregation="union"))
    assert plane(data, level="image")[3].tolist() == [0, 0, 0, 255]
    with pytest.raises(UserError, match="unknown aggregation 'vote'"):
        prepare_dataset(drawn, replace(SMALL, aggregation="vote"))


def test_outlines_alone_make_the_reference_of_the_image(drawn):
    first = drawn.samples[0]
    outline = replace(first.masks[0], characteristic=None)
    data = prepare_dataset(
        replace(drawn, samples=(replace(first, masks=(outline, first.masks[2])), *drawn.samples[1:])), SMALL
    )
    assert plane(data, level="image")[:, 0].tolist() == [255, 255, 0, 0]
    assert plane(data, level="union")[:, 3].tolist() == [255, 255, 0, 0]
    assert plane(data, level="characteristic", characteristic="Plaque")[0].tolist() == [0, 0, 0, 255]


def test_second_readings_are_no_part_of_the_reference(drawn):
    first = drawn.samples[0]
    again = tuple(replace(mask, reading=2 if mask.rater == "ann" else 1) for mask in first.masks)
    data = prepare_dataset(replace(drawn, samples=(replace(first, masks=again), *drawn.samples[1:])), SMALL)
    assert plane(data, level="image")[1].tolist() == [0, 0, 0, 128]
    assert not (data.references["level"] == "rater").any()


def test_the_manifest_names_every_file_and_makes_the_same_split_elsewhere(drawn, tmp_path):
    first = prepare_dataset(drawn, SMALL)
    lines = first.manifest.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image,split,diagnosis,group,file,sha256"
    assert len(lines) == 1 + 6 + 3
    digest = hashlib.sha256((tmp_path / "c0.png").read_bytes()).hexdigest()
    assert lines[1] == f"c0,test,a,c0,c0.png,{digest}"

    swapped = tmp_path / "other.csv"
    swapped.write_text(
        "image,split,sha256\n"
        + "\n".join(
            f"{row[0]},{'train' if row[1] == 'test' else 'test'},{row[5]}"
            for row in (line.split(",") for line in lines[1:])
            if row[4].startswith("c") and row[0] != "c5"
        ),
        encoding="utf-8",
    )
    again = prepare_dataset(drawn, SMALL, manifest=swapped)
    assert again.samples["id"].tolist() == ["c0", "c1", "c2", "c3", "c4"]
    assert again.test.tolist() == [2, 3, 4]
    assert again.key != first.key


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c0,train,{sha}", "c0 has other bytes than when the split was made"),
        ("c9,train,{sha}", "lists the image c9, which the data set lacks"),
        ("c0,dev,{sha}", "c0 is in the split 'dev'; use one of train, validation, test"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(drawn, tmp_path, row, message):
    (tmp_path / "other.csv").write_text("image,split,sha256\n" + row.format(sha="0" * 64) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        prepare_dataset(drawn, SMALL, manifest=tmp_path / "other.csv")


def test_a_split_is_read_rather_than_drawn_again(drawn, monkeypatch):
    drawn = replace(drawn, samples=tuple(replace(sample, split=None) for sample in drawn.samples))
    first = prepare_dataset(drawn, SMALL)
    monkeypatch.setattr("benchmark.data.dataset.split", None)
    assert prepare_dataset(drawn, SMALL).key == first.key


def test_validation_images_are_neither_trained_on_nor_tested(drawn):
    samples = tuple(
        replace(sample, split=side)
        for sample, side in zip(drawn.samples, ["test", "test", "train", "train", "validation", "train"], strict=True)
    )
    data = prepare_dataset(replace(drawn, samples=samples), SMALL)
    assert data.rows("validation").tolist() == [4]
    assert data.train.tolist() == [2, 3, 5]


def test_images_without_a_place_in_the_official_split_are_left_out_by_name(drawn):
    samples = (*drawn.samples[:5], replace(drawn.samples[5], split=None))
    data = prepare_dataset(replace(drawn, samples=samples), SMALL)
    assert len(data.images) == 5
    assert data.left_out == ("c5: not in the official split",)


def test_problems_and_missing_labels_stop_a_run_or_are_left_out(drawn):
    unlabeled = (*drawn.samples[:5], replace(drawn.samples[5], diagnosis=""))
    assert prepare_dataset(replace(drawn, samples=unlabeled), SMALL).left_out == ("c5: no diagnosis",)
    bad = Problem(file=drawn.root / "x.png", what="is bad", remedy="mend it")
    with pytest.raises(UserError, match=r"x\.png is bad; mend it \(1 more: .*data check.* lists them\), or leave out"):
        prepare_dataset(replace(drawn, problems=(bad, bad)), SMALL)
    with pytest.raises(UserError, match="has masks but no images"):
        prepare_dataset(replace(drawn, samples=tuple(replace(sample, image=None) for sample in drawn.samples)), SMALL)
    with pytest.raises(UserError, match="has images of 1 class and 5 without a diagnosis; a classifier needs two"):
        prepare_dataset(
            replace(drawn, samples=tuple(replace(c, diagnosis="a" if c.id == "c0" else "") for c in drawn.samples)),
            SMALL,
        )


def test_copies_across_the_split_and_in_data_to_pre_train_on_are_found(drawn, tmp_path):
    rng = np.random.default_rng(0)
    for sample in drawn.samples:
        picture(sample.image, np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((8, 8, 1))))
    plain = replace(drawn, samples=tuple(replace(sample, masks=()) for sample in drawn.samples))
    assert leaks(prepare_dataset(plain, SMALL)) == []
    shutil.copy(tmp_path / "c3.png", tmp_path / "c1.png")
    data = prepare_dataset(plain, SMALL)
    assert leaks(data) == [("c3", "c1")]
    first = prepare_dataset(plain, replace(SMALL, test_folds=0))
    assert set(leaks(data, first)) == {("c3", "c1"), ("c0", "c0")}


def test_data_to_pre_train_on_trains_with_all_and_numbers_classes_as_asked(drawn):
    data = prepare_dataset(drawn, replace(SMALL, test_folds=0), classes=("z", "b", "a"))
    assert data.train.tolist() == list(range(6))
    assert data.samples["label"].tolist() == [2, 1] * 3
    assert data.classes == ("z", "b", "a")


def test_two_processes_may_build_the_cache_at_once(drawn):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: prepare_dataset(drawn, SMALL), range(8)))
    assert len({data.key for data in found}) == 1
    assert all(np.array_equal(data.images, found[0].images) for data in found)


@pytest.mark.parametrize(
    ("fault", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "Read-only file system")]
)
def test_a_full_or_read_only_disk_is_one_line_and_leaves_nothing(drawn, own_folders, monkeypatch, fault, words):
    def fail(*_):
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr("benchmark.data.cache._write", fail)
    with pytest.raises(UserError, match=rf"cannot be written \({words}\); free it or choose another directory"):
        prepare_dataset(drawn, SMALL)
    assert not list((own_folders / "runs" / "data").iterdir())


def test_a_disk_that_is_really_full_says_so(drawn, monkeypatch):
    monkeypatch.setattr("benchmark.data.cache.IMAGES", "/dev/full")
    with pytest.raises(UserError, match=r"cannot be written \(the disk is full\); free it"):
        prepare_dataset(drawn, SMALL)


def test_the_cache_is_found_again_and_a_changed_file_is_noticed(drawn, own_folders):
    first = prepare_dataset(drawn, SMALL)
    assert prepare_dataset(drawn, SMALL).key == first.key
    assert len(list((own_folders / "runs" / "data").iterdir())) == 1
    picture(drawn.samples[5].image, np.full((4, 4, 3), 7))
    assert prepare_dataset(drawn, SMALL).key != first.key
    assert prepare_dataset(drawn, replace(SMALL, image_size=8)).key != first.key


def test_a_mask_of_another_size_is_named(drawn, tmp_path):
    picture(tmp_path / "m1.png", np.full((4, 5), 255))
    with pytest.raises(UserError, match=r"m1\.png is 5 x 4, its image 4 x 4; .* fix or remove it"):
        prepare_dataset(drawn, SMALL)


def test_a_damaged_image_is_named_and_nothing_is_kept(drawn, own_folders):
    drawn.samples[2].image.write_bytes(drawn.samples[2].image.read_bytes()[:40])
    with pytest.raises(UserError, match=r"c2\.png cannot be read as an image"):
        prepare_dataset(drawn, SMALL)
    assert not list((own_folders / "runs" / "data").iterdir())


@pytest.mark.usefixtures("own_folders")
def test_a_folder_that_is_none_and_one_that_nobody_knows(tmp_path):
    with pytest.raises(UserError, match="is not a directory"):
        load_index(Source(directory=tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is empty; `python -m benchmark list datasets`"):
        load_index(Source(directory=tmp_path / "empty"))
    with pytest.raises(UserError, match="has none of the layouts busi, dermsynth, dermxdb"):
        load_index(Source(directory=tmp_path))
    with pytest.raises(UserError, match="unknown layout 'isic2019'; nearest: isic201"):
        load_index(Source(directory=tmp_path, layout="isic2019"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [((), "the split lists no images"), (("c0,test", "c1,test"), "class 'a' has no training images")],
)
def test_a_manifest_that_leaves_nothing_to_learn_is_refused(drawn, tmp_path, rows, message):
    lines = [f"{row},{hashlib.sha256((tmp_path / (row[:2] + '.png')).read_bytes()).hexdigest()}" for row in rows]
    (tmp_path / "other.csv").write_text("\n".join(["image,split,sha256", *lines]) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        prepare_dataset(drawn, SMALL, manifest=tmp_path / "other.csv")


def test_who_drew_characteristics_only_has_no_say_on_outlines(drawn):
    first = drawn.samples[0]
    masks = (replace(first.masks[0], characteristic=None), first.masks[2])
    data = prepare_dataset(
        replace(drawn, samples=(replace(first, masks=masks), *drawn.samples[1:])), replace(SMALL, aggregation="mean")
    )
    assert plane(data, level="image")[0].tolist() == [255] * 4
    assert not (data.references["level"] == "rater").any()
