"""The rows of scores: decoded once for files that share their names, and searched for duplicates."""

import numpy as np
import pandas as pd
import pytest

from benchmark.leaderboard.admission.scores import NAMES, ScoreRows, ScoreTableReader


def table() -> pd.DataFrame:
    """Two metrics of three images."""
    frame = pd.DataFrame({"image": ["a", "b", "c"] * 2, "metric": ["map-f1"] * 3 + ["sparsity"] * 3})
    return frame.assign(method="grad-cam", level="image", rater="", characteristic="", value=np.arange(6.0))


@pytest.fixture
def read(tmp_path):
    """Writes a table and reads it, always with the same reader."""
    reader, numbers = ScoreTableReader(), iter(range(9))

    def read(frame: pd.DataFrame):
        path = tmp_path / f"{next(numbers)}.scores.parquet"
        frame.to_parquet(path)
        return reader.read(path, 3)

    return read


def test_files_with_the_same_names_share_their_rows_and_others_do_not(read):
    first, same = read(table()), read(table().assign(value=7.0))
    assert same.rows is first.rows
    assert (same.value == 7).all()
    other = read(table().assign(image=["a", "b", "d"] * 2))
    assert other.names["image"] == ("a", "b", "d")
    pd.testing.assert_frame_equal(other.frame()[["image", "metric"]], table().replace("c", "d")[["image", "metric"]])
    assert read(table()).rows is not first.rows, "only the latest is stored"


def test_what_follows_from_the_rows(read):
    rows = read(table().drop(index=4)).rows
    assert {name: found.tolist() for name, found in rows.by_metric.items()} == {
        "map-f1": [0, 1, 2],
        "sparsity": [3, 4],
    }
    assert rows.num_images == {("map-f1", "grad-cam"): 3, ("sparsity", "grad-cam"): 2}
    assert rows.kinds[1].tolist() == [3, 2]
    assert not rows.has_duplicates
    assert read(pd.concat([table(), table()[4:5]])).rows.has_duplicates


def test_duplicates_are_found_where_the_product_of_all_names_exceeds_64_bits():
    rng = np.random.default_rng(0)
    many = tuple(map(str, range(10**4)))
    codes = {name: rng.integers(0, len(many), 100) for name in NAMES}
    assert len(many) ** len(NAMES) > 2**63
    assert not ScoreRows(codes=codes, names=dict.fromkeys(NAMES, many)).has_duplicates
    twice = {name: np.append(values, values[5]) for name, values in codes.items()}
    assert ScoreRows(codes=twice, names=dict.fromkeys(NAMES, many)).has_duplicates
