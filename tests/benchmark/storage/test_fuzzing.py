"""A short run of the fuzzer: no damage is silent, none ends in a traceback."""

import pytest

from benchmark.registry import entries
from tests.benchmark.storage.fuzzing import DERIVED, Bench, fuzz


@pytest.mark.slow
def test_damage_is_repaired_or_named():
    outcomes = fuzz(2 * len(DERIVED), seed=3)
    assert {outcome for _, outcome in outcomes} <= {"repaired", "named", "unnoticed"}
    assert sum(outcomes.values()) == 2 * len(DERIVED)


def test_a_run_writes_a_damaged_admission_file_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LOUPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("LOUPE_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr("benchmark.registry._external", {})
    bench = Bench(tmp_path)
    bench.run()
    (path,) = (tmp_path / "results").rglob("admission.json")
    content = path.read_bytes()
    for damaged in (b"", b"{", content.replace(b"protocols", b"protocolz")):
        path.write_bytes(damaged)
        bench.run()
        assert path.read_bytes() == content
    assert "admission.json is damaged" in caplog.text
    entries.cache_clear()
