"""Scores are what pandas takes out of the file, however its rows lie and in however many pieces they are read."""

import numpy as np
import pandas as pd
import pytest

from benchmark.leaderboard.load import scores as reading
from benchmark.leaderboard.load.predictions import read_predictions
from benchmark.leaderboard.load.score_layout import LayoutBuilder
from benchmark.leaderboard.load.scores import ScoreReader, read_baselines

IMAGES = [f"i{number}" for number in range(12)]
METHODS = ["grad-cam", "gradient"]
KINDS = [("map-f1", "image"), ("map-f1", "characteristic"), ("sparsity", "map")]


def frame(seed: int = 0, rows: int = 400) -> pd.DataFrame:
    """Rows of any image, method, metric, level and characteristic; some are no number."""
    rng = np.random.default_rng(seed)
    named = {
        "image": IMAGES,
        "method": [*METHODS, "rise", ""],
        "metric": ["sparsity", "map-f1", "other"],
        "level": ["map", "image", "characteristic", "rater"],
        "characteristic": ["", "Scale", "Plaque", "Abrasion"],
    }
    value = np.where(rng.random(rows) < 0.1, np.nan, rng.random(rows))
    return pd.DataFrame({name: rng.choice(of, rows) for name, of in named.items()} | {"value": value})


def expected(rows: pd.DataFrame, method: str, kind: tuple[str, str]) -> list[np.ndarray]:
    """Places, characteristics and values."""
    numbers = {name: number for number, name in enumerate(sorted(set(rows["characteristic"])))}
    part = rows[rows["method"].isin([method, ""]) & (rows["metric"] == kind[0]) & (rows["level"] == kind[1])]
    return [part["image"].map(IMAGES.index), part["characteristic"].map(numbers), part["value"]]


def check(found, rows: pd.DataFrame) -> None:
    assert list(found) == METHODS
    for method, scores in found.items():
        assert set(scores) == {kind for kind in KINDS if len(expected(rows, method, kind)[0])}
        for kind, section in scores.items():
            places, characteristics, values = expected(rows, method, kind)
            np.testing.assert_array_equal(section.image_indices, places)
            np.testing.assert_array_equal(section.characteristics, characteristics)
            np.testing.assert_array_equal(section.values, values)


@pytest.mark.parametrize("categories", [True, False])
@pytest.mark.parametrize(("batch", "group"), [(2**20, 2**20), (7, 1000), (1000, 11), (64, 50)])
def test_sections_are_the_rows_of_the_file_in_their_order(tmp_path, monkeypatch, batch, group, categories):
    monkeypatch.setattr(reading, "BATCH", batch)
    rows = frame()
    names = [name for name in rows if name != "value"]
    (rows.astype(dict.fromkeys(names, "category")) if categories else rows).to_parquet(
        tmp_path / "scores.parquet", row_group_size=group
    )
    check(ScoreReader(IMAGES, METHODS).read(tmp_path / "scores.parquet", KINDS), rows)


def test_one_reader_reads_files_alike_and_unlike(tmp_path, monkeypatch):
    """Names are decoded again where any of them differs, and only there."""
    decoded, add = [], LayoutBuilder.add

    def counted(listing, *args):
        decoded.append(1)
        add(listing, *args)

    monkeypatch.setattr(LayoutBuilder, "add", counted)
    reader, rows = ScoreReader(IMAGES, METHODS), frame()
    one_off = rows.copy()
    one_off.loc[200, "characteristic"] = "Scale" if rows.loc[200, "characteristic"] != "Scale" else "Plaque"
    files = [
        (rows, 1),
        (rows.assign(value=rows["value"] / 2), 1),
        (one_off, 2),
        (rows.sample(frac=1, random_state=0), 3),
    ]
    files += [(rows.head(100), 4), (rows, 5)]
    for number, (each, times) in enumerate(files):
        path = tmp_path / f"{number}.parquet"
        each.to_parquet(path, index=False)
        check(reader.read(path, KINDS), each)
        assert len(decoded) == times
    fewer = reader.read(tmp_path / "5.parquet", KINDS[:1])
    assert all(set(scores) == set(KINDS[:1]) for scores in fewer.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "stranger", "metric": "other", "method": "gradient"}, "not among its predictions"),
        ({"level": None}, "empty cells in the column level"),
        ({"image": None}, "empty cells in the column image"),
    ],
)
def test_a_file_of_other_images_or_with_gaps_is_refused(tmp_path, change, said):
    """Whether or not the row is wanted; rows of other methods are nobody's concern."""
    rows = frame()
    rows.loc[17, list(change)] = list(change.values())
    rows.to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match=said):
        ScoreReader(IMAGES, METHODS).read(tmp_path / "scores.parquet", KINDS)
    if change.get("image") == "stranger":
        rows.loc[17, "method"] = "rise"
        rows.to_parquet(tmp_path / "scores.parquet")
        check(ScoreReader(IMAGES, METHODS).read(tmp_path / "scores.parquet", KINDS), rows)


def test_a_damaged_file_is_said_and_the_next_one_read(tmp_path):
    rows, reader = frame(), ScoreReader(IMAGES, METHODS)
    rows.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    rows.drop(columns="value").to_parquet(tmp_path / "less.parquet")
    for name, said in (("cut", "cut.parquet is damaged"), ("less", "lacks the column value"), ("none", "is damaged")):
        with pytest.raises(ValueError, match=said):
            reader.read(tmp_path / f"{name}.parquet", KINDS)
        check(reader.read(tmp_path / "whole.parquet", KINDS), rows)


def test_baselines_are_apart_by_method_and_name_in_the_order_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 130)
    named = {"zero": "", "noise": "gradient", "edges": "", "raters": "grad-cam"}
    parts = [
        frame(seed).assign(baseline=name, method=method, protocol="ours")
        for seed, (name, method) in enumerate(named.items())
    ]
    old = [part.assign(protocol="theirs", value=7.0) for part in parts]
    pd.concat([old[2], *parts[:2], old[1], *parts[2:]], ignore_index=True).to_parquet(tmp_path / "baselines.parquet")
    found = read_baselines(tmp_path / "baselines.parquet", "ours", IMAGES, METHODS, KINDS)
    assert {method: list(known) for method, known in found.items()} == {
        "grad-cam": ["zero", "edges", "raters"],
        "gradient": ["zero", "noise", "edges"],
    }
    for method, known in found.items():
        for name, scores in known.items():
            part = parts[list(named).index(name)]
            for kind, section in scores.items():
                np.testing.assert_array_equal(section.values, expected(part, method, kind)[2])
                np.testing.assert_array_equal(section.image_indices, expected(part, method, kind)[0])


def test_predictions_follow_the_images(tmp_path):
    rows = pd.DataFrame({"image": IMAGES, "group": IMAGES, "label": range(12), "predicted": 0, "p0": 0.5})
    rows.assign(**{"withstood:pgd": 1.0}).sample(frac=1, random_state=0).to_parquet(tmp_path / "predictions.parquet")
    found = read_predictions(tmp_path / "predictions.parquet", IMAGES)
    assert found["label"].tolist() == list(range(12))
    assert set(found) == {"label", "predicted", "withstood:pgd"}
    for other, said in ((IMAGES[:-1], "other test images"), ([*IMAGES[:-1], "x"], "other test images")):
        with pytest.raises(ValueError, match=said):
            read_predictions(tmp_path / "predictions.parquet", other)
    pd.concat([rows, rows[:1]]).to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(ValueError, match="duplicated"):
        read_predictions(tmp_path / "predictions.parquet", IMAGES)
