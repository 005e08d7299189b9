"""A Parquet file has what the table had to 24 bits, and is smaller than as pandas writes it."""

import numpy as np
import pandas as pd

from benchmark.storage.parquet import open_parquet, write_parquet

EXTREMES = [0.0, -0.0, np.inf, -np.inf, 5e-324, 1e300]


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


def test_only_digits_beyond_float32_are_lost(tmp_path):
    table = make_table(1000)
    table.loc[:5, "value"] = EXTREMES
    before = table.copy()
    write_parquet(table, tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(table, before, check_exact=True)
    found = pd.read_parquet(tmp_path / "table.parquet")
    others = [name for name in table if name != "value"]
    pd.testing.assert_frame_equal(found[others], table[others], check_exact=True)
    assert found["value"].dtype == np.float64
    assert found["value"][:6].tolist() == EXTREMES
    for one, other in zip(found["value"][6:], table["value"][6:], strict=True):
        assert (np.isnan(one) and np.isnan(other)) or one == np.float64(np.float32(other))
    assert np.array_equal(np.signbit(found["value"]), np.signbit(table["value"]))
    with open_parquet(tmp_path / "table.parquet", ["metric"]) as file:
        assert file.read().column("metric").to_pylist() == list(table["metric"])


def test_what_was_read_is_written_again_as_it_is(tmp_path):
    write_parquet(make_table(1000), tmp_path / "table.parquet")
    write_parquet(pd.read_parquet(tmp_path / "table.parquet"), tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "table.parquet").read_bytes()


def test_fractions_take_fewer_bytes(tmp_path):
    table = make_table(20_000)
    table.to_parquet(tmp_path / "usual.parquet")
    write_parquet(table, tmp_path / "table.parquet")
    assert (tmp_path / "table.parquet").stat().st_size < 0.5 * (tmp_path / "usual.parquet").stat().st_size


def test_a_table_without_rows(tmp_path):
    write_parquet(make_table(0), tmp_path / "table.parquet")
    assert len(pd.read_parquet(tmp_path / "table.parquet")) == 0
