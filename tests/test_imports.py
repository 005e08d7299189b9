"""Who may import whom: the harness imports the leaves, and within the harness imports run downwards only."""

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
HARNESS = [path for path in FILES if path.is_relative_to(ROOT / "benchmark")]
LAYERS = (
    "errors",
    "escaping",
    "phrases",
    "registry",
    "storage",
    "runtime",
    "statistics",
    "config",
    "data",
    "map_files",
    "saliency",
    "attacks",
    "training",
    "reliance",
    "scoring",
    "baselines",
    "leaderboard",
    "experiments",
    "execution",
    "submission",
    "api",
    "cli",
    "__main__",
    "installed",
)
"""The modules and directories of `benchmark`, from the bottom up."""


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(name: str) -> int:
    return LAYERS.index(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_what_it_may(path):
    package = path.relative_to(ROOT).parts[0]
    allowed = {*LEAVES, "benchmark"} if package == "benchmark" else {package}
    assert {name.split(".")[0] for name in imported(path)} & OURS <= allowed


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: str(path.relative_to(ROOT)))
def test_within_the_harness_imports_run_downwards(path):
    inside = path.relative_to(ROOT / "benchmark").with_suffix("").parts
    if inside == ("__init__",):
        return
    below = {name.split(".")[1] for name in imported(path) if name.startswith("benchmark.")} - {"__version__"}
    assert [name for name in below if layer(name) > layer(inside[0])] == []


def test_every_directory_of_the_harness_is_a_layer():
    inside = {path.stem for path in (ROOT / "benchmark").iterdir() if path.stem != "__pycache__"}
    assert inside == {*LAYERS, "__init__"}


def test_datasets_is_the_directory_of_this_repository():
    assert Path(datasets.__file__) == ROOT / "datasets" / "__init__.py"


def test_the_leaderboard_the_help_and_the_api_need_no_torch():
    code = (
        "import sys, benchmark.__main__, benchmark.api, benchmark.leaderboard.build; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
