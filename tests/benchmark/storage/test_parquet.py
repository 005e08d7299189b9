"""A Parquet file has what the table had, and is smaller than as pandas writes it."""

import numpy as np
import pandas as pd

from benchmark.storage.parquet import open_parquet, write_parquet


def make_table(rows: int) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "image": pd.Categorical([f"{index % 100:04d}" for index in range(rows)]),
            "metric": ["map-f1", "sparsity"] * (rows // 2),
            "label": generator.integers(0, 3, rows),
            "value": np.where(generator.random(rows) < 0.1, np.nan, generator.random(rows)),
            "probability": generator.random(rows, dtype=np.float32),
        }
    )


def test_nothing_is_lost(tmp_path):
    table = make_table(1000)
    table.loc[:4, "value"] = [0.0, -0.0, np.inf, -np.inf, 5e-324]
    write_parquet(table, tmp_path / "table.parquet")
    found = pd.read_parquet(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(found, table, check_exact=True)
    assert np.array_equal(np.signbit(found["value"]), np.signbit(table["value"]))
    with open_parquet(tmp_path / "table.parquet", ["metric"]) as file:
        assert file.read().column("metric").to_pylist() == list(table["metric"])


def test_fractions_take_fewer_bytes(tmp_path):
    table = make_table(20_000)
    table["value"] = table["value"].astype(np.float32).astype(np.float64)
    table.to_parquet(tmp_path / "usual.parquet")
    write_parquet(table, tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").stat().st_size < 0.7 * (tmp_path / "usual.parquet").stat().st_size


def test_a_table_without_rows(tmp_path):
    write_parquet(make_table(0), tmp_path / "table.parquet")
    assert len(pd.read_parquet(tmp_path / "table.parquet")) == 0
