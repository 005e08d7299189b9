"""Splits keep groups together, classes in proportion and official splits as they are."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.splits import describe_split, has_official_split, limit_samples, split
from benchmark.errors import UserError
from datasets import Mask, Sample

SIDES = ("train", "validation", "test")
GOLDEN = [1, 2, 3, 9, 13, 17]


def samples(number: int, classes: int = 3, per_group: int = 2) -> list[Sample]:
    mask = Mask(path=Path("m.png"), rater="r", characteristic="lesion")
    return [
        Sample(
            id=f"{index:04d}",
            image=Path(f"{index}.png"),
            diagnosis="abcdef"[(index // per_group) % classes],
            group=f"g{index // per_group}",
            masks=(mask,) if index % 3 else (),
        )
        for index in range(number)
    ]


def test_groups_never_part_and_classes_keep_their_shares():
    found = samples(180)
    splits = split(found, 3, 4)
    groups = {side: {sample.group for sample, own in zip(found, splits, strict=True) if own == side} for side in SIDES}
    assert not (groups["train"] & groups["test"]) | (groups["train"] & groups["validation"])
    assert not groups["validation"] & groups["test"]
    for side, expected in (("test", 20), ("validation", 10), ("train", 30)):
        counts = Counter(sample.diagnosis for sample, own in zip(found, splits, strict=True) if own == side)
        assert all(abs(count - expected) <= 2 for count in counts.values())


def test_a_split_is_always_the_same():
    assert np.array_equal(split(samples(60), 3, 4), split(samples(60), 3, 4))
    # Were the library to draw otherwise one day, this line would say so.
    assert [int(place) for place in np.flatnonzero(split(samples(18, 3, 1), 3, 0) == "test")] == GOLDEN


def test_the_official_split_is_kept_and_validation_taken_from_its_training_images():
    found = [
        replace(sample, split="test" if int(sample.id) % 5 < 2 else "train") for sample in samples(60, per_group=1)
    ]
    assert (split(found, 3, 0) == "test").tolist() == [sample.split == "test" for sample in found]
    splits = split(found, 3, 4)
    assert (splits == "test").tolist() == [sample.split == "test" for sample in found]
    assert (splits == "validation").sum() == 9


def test_a_split_says_where_it_comes_from():
    plain = samples(60, per_group=1)
    official = [replace(sample, split="test" if int(sample.id) % 5 < 2 else "train") for sample in plain]
    drawn = split(plain, 3, 0)
    assert describe_split(plain, drawn, given=False) == "drawn"
    assert describe_split(plain, drawn, given=True) == "given"
    assert describe_split(official, split(official, 3, 4), given=False) == "official"
    assert describe_split(official, split(official, 3, 0), given=True) == "official"
    assert describe_split(official, drawn, given=True) == "not the official one"


def test_an_official_validation_set_is_kept():
    sides = ("train", "validation", "test")
    found = [replace(sample, split=sides[(int(sample.id) // 3) % 3]) for sample in samples(60)]
    assert split(found, 3, 4).tolist() == [sample.split for sample in found]


def test_a_split_that_tests_nothing_is_not_one():
    found = [replace(sample, split="train") for sample in samples(60)]
    assert not has_official_split(found)
    assert (split(found, 3, 0) == "test").sum() == 20


def test_data_to_pre_train_on_is_not_tested():
    found = [replace(sample, split="test" if int(sample.id) % 2 else "train") for sample in samples(60)]
    assert set(split(found, 0, 4)) == {"train", "validation"}
    assert set(split(found, 0, 0)) == {"train"}


def test_a_class_on_one_side_only_is_refused():
    found = [replace(sample, split="test" if sample.diagnosis == "a" else "train") for sample in samples(30)]
    with pytest.raises(UserError, match="class 'a' has no training images"):
        split(found, 3, 0)


def test_a_class_with_too_few_images_is_refused():
    with pytest.raises(UserError, match="class 'b' has 2 images; it needs 3"):
        split([*samples(12, 1), *[replace(sample, diagnosis="b", id="x") for sample in samples(2, 1)]], 3, 0)


def test_taking_fewer_keeps_the_shares_and_prefers_images_with_masks():
    taken = limit_samples(samples(300), 60)
    assert len(taken) == 60
    assert Counter(sample.diagnosis for sample in taken) == {"a": 20, "b": 20, "c": 20}
    assert all(sample.masks for sample in taken)
    assert [sample.id for sample in taken] == sorted(sample.id for sample in taken)


def test_a_rare_class_keeps_enough_to_be_split():
    rare = [replace(sample, id=f"r{sample.id}", diagnosis="rare", group=f"r{sample.group}") for sample in samples(12)]
    taken = limit_samples([*samples(2400), *rare], 240, min_per_class=3)
    assert Counter(sample.diagnosis for sample in taken)["rare"] == 3
    assert (split(taken, 3, 0) == "test").any()


def test_taking_all_takes_all():
    found = samples(12)
    assert limit_samples(found, None) == limit_samples(found, 12) == tuple(found)
