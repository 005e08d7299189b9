"""The package `loupe` of an installation.

The build of a wheel puts this file at `loupe/__init__.py`, and the packages of the checkout into `loupe/_code`. Their
names are also those of other projects, so they must not be installed as they are. This module makes them importable in
its own process, and leaves all others alone. In the checkout it is not used.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

CODE = Path(__file__).parent / "_code"
PACKAGES = ("architectures", "benchmark", "datasets", "metrics")


def use_own_packages(code: Path = CODE) -> None:
    """Makes the packages of Loupe importable. Results and runs are in the current directory by default.

    Raises:
        ImportError: A package of the same name, of another project, is already imported.
    """
    for name in PACKAGES:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None) or ""
        if module is not None and not Path(file).is_relative_to(code):
            raise ImportError(
                f"another package named {name!r} is already imported from {file}; import loupe first, or use a process "
                "of its own: the command `loupe`"
            )
    if str(code) not in sys.path:
        sys.path.insert(0, str(code))
    for variable, directory in (("LOUPE_RESULTS", "results"), ("LOUPE_RUNS", "runs")):
        os.environ.setdefault(variable, str(Path.cwd() / directory))


def main() -> None:
    """Runs the command line. It is the command `loupe` of an installation."""
    os.environ.setdefault("LOUPE_PROGRAM", "loupe")
    import_module("benchmark.__main__").main()


def __getattr__(name: str) -> Any:
    """Returns a function of :mod:`benchmark.api`, such as `loupe.score_maps`."""
    api = import_module("benchmark.api")
    if name not in api.__all__:
        raise AttributeError(f"module 'loupe' has no attribute {name!r}")
    return getattr(api, name)


if __name__ == "loupe":
    use_own_packages()
