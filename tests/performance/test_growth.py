"""The page of growth, made from points that are made up; and that each kind of work does its work."""

from pathlib import Path

import pytest

from tests.performance import growth

SMALL = {
    "tables": {"images": 20, "cells": 10},
    "tables_stepwise": {"images": 20, "cells": 10},
    "splitting": {"images": 600},
    "duplicates": {"images": 60},
    "training": {"architecture": "mobilenet"},
    "drawing": {"images": 2},
    "scoring": {"images": 2},
}


def told(points):
    keys = ("at", "seconds", "bytes")
    conditions = {"machine": "imagined", "date": "today", "commit": "0", "load": 0.1}
    return conditions | {"points": [dict(zip(keys, point, strict=True)) for point in points]}


def test_the_page_says_what_is_more_than_linear():
    found = {
        "split": told([(1000, 1.0, 2**30), (10_000, 10.0, 2**30)]),
        "duplicates": told([(1000, 1.0, 2**30), (10_000, 100.0, 2**31)]),
        "scoring-resolution": told([(100, 1.0, 2**30), (200, 4.0, 2**30)]),
    }
    lines = growth.page(found).splitlines()
    assert "| The split of a data set | images | 1.00 | 1.00 to 1.00 GiB |" in lines
    assert "| Near-duplicates across the split | images | **2.00** | 1.00 to 2.00 GiB |" in lines
    assert "| Scores of 64 maps, all cheap metrics | pixels | 1.00 | 1.00 to 1.00 GiB |" in lines
    assert sum("more than linear" in line for line in lines) == 1


def test_the_largest_case_is_told_as_it_was_measured():
    text = growth.page({"tables-large": told([(20, 40.0, 2**31), (1000, 1080.0, 11 * 2**29)])})
    assert "1,000 cells (200 models of 5 seeds) of 100,000 test" in text
    assert "took 18 minutes and 5.5 GiB" in text


@pytest.mark.parametrize("work", growth.WORK)
def test_work_is_done(work, tmp_path):
    result = growth.WORK[work](Path(tmp_path), **SMALL[work])()
    if work == "tables_stepwise":
        assert all(seconds > 0 for seconds in result["steps"].values())
