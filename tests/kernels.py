"""The numeric tests under other kernels than the machine's own.

    python -m tests.kernels [--short] [pytest's own options]

runs what is marked as numeric in a process for each set of kernels, one after the other: pytest's options go to each.
The short version takes the tests marked `every_kernel` alone, with the kernels that differ most.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

DEFAULT = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """What a process is told of kernels and threads.

    Attributes:
        isa: Environment variables that hold torch and oneDNN back; empty for the machine's own kernels.
        threads: Of torch, in one process.
    """

    name: str
    isa: tuple[tuple[str, str], ...]
    threads: int

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.isa) | {"LOUPE_TEST_THREADS": str(self.threads), "OMP_NUM_THREADS": str(self.threads)}


def _sets() -> tuple[Kernels, ...]:
    kinds: dict[str, dict[str, str]] = {"default": DEFAULT, "avx2": AVX2, "native": {}}
    return tuple(
        Kernels(name=f"{kind}-{threads}", isa=tuple(isa.items()), threads=threads)
        for kind, isa in kinds.items()
        for threads in (1, 2, 4)
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


def main(words: list[str]) -> int:
    """Exit code 1 where the tests fail under any set."""
    short = "--short" in words
    chosen = few() if short else ["-m", "numeric"]
    words = [word for word in words if word != "--short"]
    failed = []
    for kernels in SHORT if short else SETS:
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", *chosen, *words]
        done = subprocess.run(command, env=os.environ | kernels.environment, check=False)
        sys.stdout.write(f"{kernels.name}: exit code {done.returncode}, {time.monotonic() - began:.0f} s\n")
        failed += [kernels.name] if done.returncode else []
    sys.stdout.write(f"failed under {', '.join(failed)}\n" if failed else "passed under every set of kernels\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
