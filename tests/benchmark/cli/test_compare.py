"""`compare` prints a line per score, whole at any width."""

import re

import pytest
from typer.testing import CliRunner

from benchmark.__main__ import app
from benchmark.storage.paths import ROOT

TABLE = ROOT / "results" / "dermsynth" / "quick"


@pytest.mark.parametrize("width", [80, 200])
def test_every_score_has_one_line_with_its_whole_interval(width, monkeypatch, tmp_path):
    monkeypatch.setattr("benchmark.cli.compare.console.width", width)
    words = ["compare", "xception/standard", "mobilenet/standard", "--results", str(TABLE)]
    words += ["--output", str(tmp_path / "figure.png")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    start = next(index for index, line in enumerate(lines) if line.split()[:2] == ["score", "A"])
    rows = lines[start + 1 : next(index for index, line in enumerate(lines) if line.startswith("Paired test"))]
    assert len(rows) > 30
    for row in rows:
        assert re.search(r"  (\[[+-][\d.]+, [+-][\d.]+\]|-) +", row), row
        assert row.rstrip().endswith(("not significant", " better", " higher")) or "no verdict" in row, row
    assert "\u2026" not in done.output
