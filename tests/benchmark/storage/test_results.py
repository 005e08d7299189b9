"""Paths under results/."""

from benchmark.storage.results import find_sidecar_file, sidecar_file


def test_a_file_of_schema_2_is_read_by_its_older_name_where_only_that_exists(tmp_path):
    record = tmp_path / "xception-standard-0.json"
    newer, older = (sidecar_file(record, name) for name in ("classification.csv", "diagnosis.csv"))
    assert find_sidecar_file(record, "classification.csv") == newer
    older.touch()
    assert find_sidecar_file(record, "classification.csv") == older
    newer.symlink_to(tmp_path / "nowhere")
    assert find_sidecar_file(record, "classification.csv") == newer
    assert find_sidecar_file(record, "scores.parquet") == sidecar_file(record, "scores.parquet")
