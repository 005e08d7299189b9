"""The package `loupe` of an installation, laid out as the build of a wheel does."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from benchmark.installed import PACKAGES
from benchmark.storage.paths import ROOT

MAPPING = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["force-include"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The files of the wheel, linked instead of copied."""
    root = tmp_path_factory.mktemp("site-packages")
    for source, target in MAPPING.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            (root / target).symlink_to(ROOT / source, target_is_directory=True)
        else:
            shutil.copyfile(ROOT / source, root / target)
    return root


def run(installed, code, directory):
    own = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOUPE_")} | own
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_every_package_is_in_the_wheel_below_one_name():
    assert {f"loupe/_code/{name}" for name in PACKAGES} < set(MAPPING.values())
    assert all(target.startswith("loupe/") for target in MAPPING.values())


def test_the_functions_are_there_and_results_are_where_the_user_is(installed, tmp_path):
    code = (
        "import loupe, os, sys; assert 'torch' not in sys.modules; loupe.load_scores; "
        "print(os.environ['LOUPE_RESULTS']); import datasets; print(datasets.__file__)"
    )
    done = run(installed, code, tmp_path)
    assert done.stdout.splitlines() == [str(tmp_path / "results"), str(installed / "loupe/_code/datasets/__init__.py")]


def test_a_package_of_another_project_is_not_replaced(installed, tmp_path):
    (tmp_path / "datasets.py").write_text("")
    done = run(installed, "import datasets, loupe", tmp_path)
    assert "another package named 'datasets' is already imported" in done.stderr


def test_the_command_of_the_wheel_runs(installed, tmp_path):
    done = run(installed, "import sys, loupe; sys.argv = ['loupe', 'score', 'missing']; loupe.main()", tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: missing does not exist; give a directory of maps or a file\n")
    assert list(tmp_path.iterdir()) == []
