"""Splits keep groups together, classes in proportion and official splits as they are."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.splits import held_out, take
from datasets import Case, Mask


def cases(number: int, classes: int = 3, per_group: int = 2) -> list[Case]:
    mask = Mask(path=Path("m.png"), rater="r", characteristic="lesion")
    return [
        Case(
            id=f"{index:04d}",
            image=Path(f"{index}.png"),
            diagnosis="abcdef"[(index // per_group) % classes],
            group=f"g{index // per_group}",
            masks=(mask,) if index % 3 else (),
        )
        for index in range(number)
    ]


def test_groups_never_part_and_classes_keep_their_shares():
    found = cases(180)
    test = held_out(found, 3)
    groups = {flag: {case.group for case, side in zip(found, test, strict=True) if side == flag} for flag in (0, 1)}
    assert not groups[0] & groups[1]
    counts = Counter(case.diagnosis for case, side in zip(found, test, strict=True) if side)
    assert all(abs(count - 20) <= 2 for count in counts.values())


def test_a_split_is_always_the_same():
    assert np.array_equal(held_out(cases(60), 3), held_out(cases(60), 3))


def test_the_official_split_is_kept():
    found = [replace(case, split="test" if int(case.id) % 5 < 2 else "train") for case in cases(60)]
    assert held_out(found, 3).tolist() == [case.split == "test" for case in found]


def test_a_class_on_one_side_only_is_refused():
    found = [replace(case, split="test" if case.diagnosis == "a" else "train") for case in cases(30)]
    with pytest.raises(UserError, match="class 'a' has no training images"):
        held_out(found, 3)


def test_a_class_with_too_few_images_is_refused():
    with pytest.raises(UserError, match="class 'b' has 2 images; it needs 3"):
        held_out([*cases(12, 1), *[replace(case, diagnosis="b", id="x") for case in cases(2, 1)]], 3)


def test_taking_fewer_keeps_the_shares_and_prefers_images_with_masks():
    taken = take(cases(300), 60)
    assert len(taken) == 60
    assert Counter(case.diagnosis for case in taken) == {"a": 20, "b": 20, "c": 20}
    assert all(case.masks for case in taken)
    assert [case.id for case in taken] == sorted(case.id for case in taken)


def test_a_rare_class_keeps_enough_to_be_split():
    rare = [replace(case, id=f"r{case.id}", diagnosis="rare", group=f"r{case.group}") for case in cases(12)]
    taken = take([*cases(2400), *rare], 240, least=3)
    assert Counter(case.diagnosis for case in taken)["rare"] == 3
    assert held_out(taken, 3).any()


def test_taking_all_takes_all():
    found = cases(12)
    assert take(found, None) == take(found, 12) == tuple(found)
