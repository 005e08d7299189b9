"""Measures and trains on a GPU within a time limit: python -m tests.performance.gpu_study --data DIRECTORY.

In turn: the checks of `tests.device` on the GPU, images per second of all eleven networks beside bare passes, a profile
of one training step of each, and a study of the preset `medium` for the rest of the time. Everything to be committed
comes into one directory. The same command goes on: finished steps are skipped, and the study continues.

It needs no installed Loupe: where torch is at hand, it takes the packages that are there, and names those that are not.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROGRESS = "progress.json"
NVIDIA_SMI = "nvidia-smi"
RESERVE_S = 60.0
"""Time that is left for the tables, at most a quarter of all."""
GRACE_S = 20.0
"""Time to end after an interrupt, before a step is killed."""
TABLES = "tables"
"""The step that follows every study, finished or not."""
DONE, STOPPED, FAILED = "done", "stopped by the time limit", "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step of the study.

    Attributes:
        name: Unique name, and that of its log.
        module: Module to import first, so that a missing package is named.
        words: Command line, after Python.
        share: Largest fraction of the remaining time that it may take.
    """

    name: str
    module: str
    words: tuple[str, ...]
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a step.

    Attributes:
        status: One of the constants of this module, or what is missing.
        seconds: Time of all attempts.
        command: The command line.
    """

    status: str
    seconds: float
    command: str


def plan(data: str, device: str, run_options: Sequence[str]) -> list[Step]:
    """The steps, the dearest last."""
    networks = "standard or adversarial"
    run = ("-m", "benchmark", "run", "--preset", "medium", "--device", device)
    return [
        Step(
            name="checks",
            module="tests.device.checks",
            words=("-m", "tests.device", "--device", device),
            share=0.2,
        ),
        Step(
            name="throughput",
            module="tests.performance.test_throughput",
            words=("-m", "tests.performance.report", "-k", f"test_throughput and test_loupe and ({networks})"),
            share=0.35,
        ),
        Step(
            name="profile",
            module="tests.performance.profiling",
            words=("-m", "tests.performance.profiling", "--device", device, "--regime", "standard", "--steps", "3"),
            share=0.25,
        ),
        Step(
            name="study",
            module="benchmark.cli.run",
            words=(*run, *(("--data", data) if data else ()), *run_options),
            share=0.9,
        ),
        Step(name=TABLES, module="benchmark.cli.leaderboard", words=("-m", "benchmark", "leaderboard")),
    ]


def unmet_requirements() -> list[str]:
    """Packages of pyproject.toml that are missing, or at hand in another version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], "pytest>=8.3", "pytest-benchmark>=5.1", "pytest-timeout>=2.3"]
    return [problem for requirement in map(Requirement, wanted) if (problem := _problem(requirement))]


def _problem(requirement: Requirement) -> str:
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(version, prereleases=True)
    return "" if fits else f"{requirement.name} is {version}, not {requirement.specifier}"


def perform(step: Step, deadline: float, environment: dict[str, str], log: Path) -> str:
    """Runs a step until it ends or its time is up. Returns its status."""
    probe = subprocess.run(
        [sys.executable, "-c", f"import {step.module}"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        reason = (probe.stderr.strip().splitlines() or ["no reason"])[-1]
        log.write_text(probe.stderr, encoding="utf-8")
        return f"not run: {reason}"
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, *step.words],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return DONE if process.wait(max(deadline - time.monotonic(), 1.0)) == 0 else FAILED
        except subprocess.TimeoutExpired:
            _interrupt(process)
            return STOPPED
        except BaseException:
            _interrupt(process)
            raise


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ends a step and its children, as Ctrl-C does. A training resumes from its last saved epoch."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def load_progress(directory: Path) -> dict[str, Outcome]:
    """What earlier runs of the same command did."""
    path = directory / PROGRESS
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: Outcome(**outcome) for name, outcome in stored.items()}


def store_progress(directory: Path, outcomes: dict[str, Outcome], unmet: Sequence[str]) -> None:
    """Writes the progress, and a page about it."""
    content = {name: asdict(outcome) for name, outcome in outcomes.items()}
    (directory / PROGRESS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (directory / "README.md").write_text(page(outcomes, unmet), encoding="utf-8")


def page(outcomes: dict[str, Outcome], unmet: Sequence[str]) -> str:
    """The page of a study: the machine, what is missing, and what became of each step."""
    lines = ["# GPU study", "", f"Python {platform.python_version()}, {_accelerator()}.", ""]
    lines += ["Written by `python -m tests.performance.gpu_study`. The logs lie beside it.", ""]
    lines += [f"- {problem}" for problem in unmet] or ["All required packages are at hand."]
    lines += ["", "| step | status | seconds | command |", "|---|---|---|---|"]
    for name, outcome in outcomes.items():
        lines.append(f"| {name} | {outcome.status} | {outcome.seconds:.0f} | `{outcome.command}` |")
    return "\n".join(lines) + "\n"


def _accelerator() -> str:
    """Names torch and the GPU without an import of torch, which takes seconds."""
    try:
        query = [NVIDIA_SMI, "--query-gpu=name", "--format=csv,noheader"]
        names = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        names = ["no GPU"]
    torch = [d.version for d in importlib.metadata.distributions(name="torch")]
    return f"torch {torch[0] if torch else 'missing'}, {names[0]}"


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def study(words: argparse.Namespace) -> int:
    """Runs what is not done yet, until the time is up. Returns the exit code."""
    deadline, reserve = time.monotonic() + 60 * words.minutes, min(RESERVE_S, 15 * words.minutes)
    directory = Path(words.output).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "LOUPE_BENCH_DEVICE": words.device,
        "LOUPE_RESULTS": str(directory),
        "LOUPE_RUNS": str(Path(words.runs).resolve()),
    }
    outcomes, unmet = load_progress(directory), unmet_requirements()
    for problem in unmet:
        say(f"note: {problem}")
    steps = [step for step in plan(words.data, words.device, words.run_options) if step.name in words.steps]
    for step in steps:
        before = outcomes.get(step.name)
        if before and before.status == DONE and step.name != TABLES:
            continue
        start = time.monotonic()
        left = max(deadline - start, reserve) if step.name == TABLES else deadline - reserve - start
        if left <= 0:
            continue
        status = perform(step, start + step.share * left, environment, directory / f"{step.name}.log")
        seconds = time.monotonic() - start + (before.seconds if before else 0.0)
        outcomes[step.name] = Outcome(status=status, seconds=seconds, command=" ".join(("python", *step.words)))
        store_progress(directory, outcomes, unmet)
        say(f"{step.name}: {status}, {seconds:.0f} s")
    unfinished = [step.name for step in steps if step.name not in outcomes or outcomes[step.name].status != DONE]
    say(f"{directory}: {'all done' if not unfinished else 'not done: ' + ', '.join(unfinished)}")
    return 1 if unfinished else 0


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    names = [step.name for step in plan("", "", ())]
    parser = argparse.ArgumentParser(prog="python -m tests.performance.gpu_study", description="A study on a GPU.")
    parser.add_argument("--data", default="", help="directory of images; default: the embedded synthetic ones")
    parser.add_argument("--minutes", type=float, default=12.0, help="time limit of this call")
    parser.add_argument("--output", default="results/gpu", help="directory to commit")
    parser.add_argument("--runs", default="runs", help="directory of weights and caches")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", nargs="+", choices=names, default=names)
    parser.add_argument("run_options", nargs="*", help="after --: more options of python -m benchmark run")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(study(parsed(None)))
