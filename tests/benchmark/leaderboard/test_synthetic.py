"""One label for what was made from rendered images."""

import ast

from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.synthetic import MARK, STAMP, SUFFIX
from benchmark.storage.paths import ROOT
from tests.benchmark.leaderboard.made_results import make_results


def test_no_other_module_has_a_label_of_its_own():
    found = {
        path.name
        for path in (ROOT / "benchmark").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "SYNTHETIC" in node.value
    }
    assert found == {"synthetic.py"}


def test_every_table_says_so(tmp_path):
    directory = make_results(tmp_path / "made" / "quick", images=24, architectures=3)
    rebuild(directory)
    for path in directory.glob("*.csv"):
        first = path.read_text(encoding="utf-8").splitlines()[1]
        assert first.startswith(f"made {SUFFIX},"), path.name
    for name in ("leaderboard.md", "leaderboard.tex", "leaderboard.html"):
        assert STAMP in (directory / name).read_text(encoding="utf-8")
    assert STAMP.startswith(MARK)
