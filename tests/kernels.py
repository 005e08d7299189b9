"""The numeric tests under other kernels than the machine's own.

    python -m tests.kernels [--short] [pytest's own options]

runs what is marked as numeric in a process for each set of kernels, one after the other: pytest's options go to each.
`--set avx2-1` takes one set, and may be repeated. The short version takes the tests marked `every_kernel` alone, with
the kernels that differ most.

The nine sets share the grids of parameters. Each set runs every numeric test, but of a test's parameters one ninth, at
least one. Together the sets run all. Tests marked `every_kernel` run with all parameters under each set.
"""

import os
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

DEFAULT = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """What a process is told of kernels and threads.

    Attributes:
        isa: Environment variables that hold torch and oneDNN back; empty for the machine's own kernels.
        threads: Of torch, in one process.
        share: Which ninth of the parameters of a test it runs, from 0.
    """

    name: str
    isa: tuple[tuple[str, str], ...]
    threads: int
    share: int

    @property
    def environment(self) -> dict[str, str]:
        threads = str(self.threads)
        return dict(self.isa) | {
            "LOUPE_TEST_THREADS": threads,
            "OMP_NUM_THREADS": threads,
            "LOUPE_TEST_SHARE": str(self.share),
        }


def _sets() -> tuple[Kernels, ...]:
    kinds: dict[str, dict[str, str]] = {"default": DEFAULT, "avx2": AVX2, "native": {}}
    grid = [(kind, threads) for kind in kinds for threads in (1, 2, 4)]
    return tuple(
        Kernels(name=f"{kind}-{threads}", isa=tuple(kinds[kind].items()), threads=threads, share=share)
        for share, (kind, threads) in enumerate(grid)
    )


SETS = _sets()
"""Three sets of kernels by three numbers of threads."""
NATIVE = next(each for each in SETS if each.name == "native-1")
SHORT = tuple(each for each in SETS if each.name in {"default-2", "avx2-1"})
"""Beside the machine's own kernels, which the other tests run with."""


def few() -> list[str]:
    """Words that choose the short version; files that are not in it are not even imported."""
    files = (path for path in Path(__file__).parent.rglob("test_*.py") if "mark.every_kernel" in path.read_text())
    return ["-m", "every_kernel", *map(str, sorted(files))]


def in_share(tests: Iterable[str], share: int, shares: int = len(SETS)) -> set[str]:
    """Which of the tests a share has, by pytest's names of them.

    The parameters of a test are in the order of their checksums, so a share of methods by architectures has no pattern.
    """
    grids: dict[str, list[str]] = {}
    for test in sorted(tests, key=lambda test: crc32(test.encode())):
        grids.setdefault(test.partition("[")[0], []).append(test)
    return {
        test
        for grid in grids.values()
        for rank, test in enumerate(grid)
        if rank % shares == share % min(shares, len(grid))
    }


def _options(words: list[str]) -> tuple[Namespace, list[str]]:
    """Our own options, and those of pytest."""
    parser = ArgumentParser(prog="python -m tests.kernels", allow_abbrev=False)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--set", action="append", choices=[each.name for each in SETS], dest="sets")
    return parser.parse_known_args(words)


def main(words: list[str]) -> int:
    """Exit code 1 where the tests fail under any set."""
    ours, words = _options(words)
    chosen = few() if ours.short else ["-m", "numeric"]
    sets = [each for each in SETS if each.name in ours.sets] if ours.sets else SHORT if ours.short else SETS
    failed = []
    for kernels in sets:
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", *chosen, *words]
        done = subprocess.run(command, env=os.environ | kernels.environment, check=False)
        sys.stdout.write(f"{kernels.name}: exit code {done.returncode}, {time.monotonic() - began:.0f} s\n")
        failed += [kernels.name] if done.returncode else []
    sys.stdout.write(f"failed under {', '.join(failed)}\n" if failed else "passed under every set of kernels\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
