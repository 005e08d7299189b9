"""Who may know whom: the harness knows the leaves; the leaves know neither it nor each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import datasets

ROOT = Path(__file__).parent.parent
LEAVES = ("architectures", "metrics", "datasets")
OURS = {*LEAVES, "benchmark", "tests"}
FILES = sorted(path for package in (*LEAVES, "benchmark") for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of what a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_knows_only_what_it_may(path):
    package = path.relative_to(ROOT).parts[0]
    allowed = {*LEAVES, "benchmark"} if package == "benchmark" else {package}
    assert (imported(path) & OURS) <= allowed


def test_datasets_is_the_folder_of_this_repository():
    assert Path(datasets.__file__) == ROOT / "datasets" / "__init__.py"


def test_the_leaderboard_and_the_help_need_no_torch():
    code = "import sys, benchmark.__main__, benchmark.leaderboard.build; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
