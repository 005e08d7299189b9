"""What `make bench` does: runs the suites and writes their times to `results/performance/<machine>.md`.

The name of a test says for whom it speaks: with the word `loupe` for us, with `floor` for work that nobody can leave
out, else for a peer, what a user would take instead. The page compares within a group only. A JSON file beside it keeps
the numbers, each group with its own date, commit and load, so that a run of some groups leaves the others as they are.
"""

import json
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.runtime.environment import environment
from benchmark.storage.files import atomic_file
from benchmark.storage.paths import ROOT
from benchmark.storage.results import results_dir
from tests.performance.measuring import chosen_device

OPTIONS = ("--benchmark-enable", "--benchmark-only", "--benchmark-group-by=group")
OWN_LOAD = 1.25
LEGEND = """\
Written by `make bench`, never by hand; the numbers lie in the JSON file beside. *best* is the shortest of all rounds.
*Loupe's lead* tells how many times as long a peer takes as Loupe; below 1 the peer is faster. *times the floor* sets
each row against the work that nobody can leave out. *memory* is the peak above what was held before the test.
"""


def role(name: str) -> str:
    """For whom a test speaks, by the words of its name and parameters.

    Example:
        >>> role("test_metric[loupe-gini]"), role("test_floor_of_curves"), role("test_captum")
        ('loupe', 'floor', 'peer')
    """
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next((word for word in ("loupe", "floor") if word in words), "peer")


def groups_of(measured: dict[str, Any], made_with: dict[str, Any]) -> dict[str, Any]:
    """Groups by name, out of the JSON of pytest-benchmark, with the conditions that they were measured in."""
    groups: dict[str, Any] = {}
    for test in measured["benchmarks"]:
        notes, times = test["extra_info"], test["stats"]
        group = groups.setdefault(
            test["group"] or "without group",
            {
                "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                "commit": made_with["commit"],
                "uncommitted_changes": made_with["uncommitted_changes"],
                "torch": made_with["packages"]["torch"],
                "threads": notes["threads"],
                "nice": notes["nice"],
                "load": 0.0,
                "rows": [],
            },
        )
        group["load"] = max(group["load"], round(notes["load"], 2))
        group["rows"].append(
            {
                "name": test["name"].removeprefix("test_"),
                "role": role(test["name"]),
                "best": times["min"],
                "rounds": times["rounds"],
                "memory": notes["memory"],
                "told": notes.get("told", ""),
            }
        )
    return groups


def merged(old: dict[str, Any], new: dict[str, Any], *, selected: bool) -> dict[str, Any]:
    """The groups of both; a group is taken whole from one run, since times of two runs are no comparison.

    Args:
        old: Groups on the page.
        new: Groups just measured.
        selected: Only some tests were asked for: a group that lost rows by it stays as it was.
    """
    part = {name for name in old.keys() & new.keys() if _names(new[name]) < _names(old[name])}
    return old | {name: group for name, group in new.items() if not (selected and name in part)}


def _names(group: dict[str, Any]) -> set[str]:
    return {row["name"] for row in group["rows"]}


def page(machine: dict[str, Any], groups: dict[str, Any]) -> str:
    """The table of every group under the conditions it was measured in, in Markdown."""
    noisy = [name for name, group in groups.items() if why_noisy(group, machine["cores"])]
    lines = [f"# Speed on {_title(machine)}", "", LEGEND]
    if noisy:
        lines += [
            f"> **{len(noisy)} of {len(groups)} groups are noisy: the machine was busy. Measure them again.**",
            "",
        ]
    for name in sorted(groups):
        lines += _section(name, groups[name], machine["cores"])
    return "\n".join(lines)


def why_noisy(group: dict[str, Any], cores: int) -> list[str]:
    """Reasons to distrust the times of a group."""
    # What is measured on all cores makes a load of as many, and a little more where its workers wait for each other.
    most = cores * (OWN_LOAD if group["threads"] >= cores else 1)
    reasons = [f"load {group['load']:.1f} on {cores} cores"] if group["load"] > most else []
    return reasons + ([f"run with nice {group['nice']}, behind others"] if group["nice"] > 0 else [])


def _title(machine: dict[str, Any]) -> str:
    card = f"{machine['accelerator']}, " if machine["accelerator"] else ""
    return f"{card}{machine['processor']}, {machine['cores']} cores"


def _section(name: str, group: dict[str, Any], cores: int) -> list[str]:
    commit = group["commit"][:8] + (" with uncommitted changes" if group["uncommitted_changes"] else "")
    threads = f"{group['threads']} thread{'' if group['threads'] == 1 else 's'}"
    told = f"{group['date']}, commit {commit}, torch {group['torch']}, {threads}, load {group['load']:.1f}."
    reasons = why_noisy(group, cores)
    warning = ["", f"**Noisy: {'; '.join(reasons)}. No claim rests on this table.**"] if reasons else []
    head = ["| | best | Loupe's lead | times the floor | rounds | memory |", "|:--|--:|--:|--:|--:|--:|"]
    return [f"## {name}", "", told, *warning, "", *head, *_rows(group["rows"]), ""]


def _rows(rows: list[dict[str, Any]]) -> list[str]:
    """Peers have a lead where one row alone is ours; of several floors the longest binds.

    What a test told of itself (`extra_info["told"]`) stands behind its name.
    """
    ours = [row["best"] for row in rows if row["role"] == "loupe"]
    floor = max((row["best"] for row in rows if row["role"] == "floor"), default=None)
    cells = []
    for row in sorted(rows, key=lambda row: (("loupe", "peer", "floor").index(row["role"]), row["best"])):
        lead = _ratio(row["best"], ours[0]) if row["role"] == "peer" and len(ours) == 1 else ""
        above = _ratio(row["best"], floor) if floor and row["role"] != "floor" else ""
        memory = "" if row["memory"] is None else f"{row['memory'] / 2**20:.0f} MiB"
        name = f"{row['name']} ({row['told']})" if row.get("told") else row["name"]
        cells.append(f"| {name} | {duration(row['best'])} | {lead} | {above} | {row['rounds']} | {memory} |")
    return cells


def _ratio(above: float, below: float) -> str:
    return f"{above / below:.2f}" if above < 10 * below else f"{above / below:.0f}"


def duration(seconds: float) -> str:
    """Three digits in a fitting unit.

    Example:
        >>> duration(12.3456), duration(0.0123456), duration(0.0000123456)
        ('12.3 s', '12.3 ms', '12.3 us')
    """
    unit, size = next((pair for pair in (("s", 1.0), ("ms", 1e-3)) if seconds >= pair[1]), ("us", 1e-6))
    number = seconds / size
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"


def told(parts: dict[str, float]) -> str:
    """What the seconds of a test went to, to stand behind its name.

    Example:
        >>> told({"train": 25.0, "score": 0.5})
        'train 25.0 s, score 500 ms'
    """
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items())


def file_stem(machine: dict[str, Any]) -> str:
    """The name of a machine's files: its card's, or its processor's with the cores."""
    name = machine["accelerator"] or f"{machine['processor']} {machine['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("(r)", "").replace("(tm)", "")).strip("-")


def write(measured: dict[str, Any], made_with: dict[str, Any], directory: Path, *, selected: bool) -> Path:
    """Merges what was measured into the page of this machine, and returns the page's path."""
    machine = {name: made_with[name] for name in ("processor", "cores", "accelerator")}
    kept = directory / f"{file_stem(machine)}.json"
    old = json.loads(kept.read_text(encoding="utf-8"))["groups"] if kept.exists() else {}
    groups = merged(old, groups_of(measured, made_with), selected=selected)
    with atomic_file(kept) as path:
        path.write_text(json.dumps({"machine": machine, "groups": groups}, indent=1) + "\n", encoding="utf-8")
    with atomic_file(kept.with_suffix(".md")) as path:
        path.write_text(page(machine, groups), encoding="utf-8")
    return kept.with_suffix(".md")


def main(arguments: list[str]) -> int:
    """Runs the suites, more options of pytest given, and writes what did not fail; returns pytest's exit status."""
    made_with = environment(chosen_device())
    with tempfile.TemporaryDirectory() as directory:
        told = Path(directory) / "measured.json"
        words = ["tests/performance", *OPTIONS, f"--benchmark-json={told}", *arguments]
        done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False)
        if told.exists():
            measured = json.loads(told.read_text(encoding="utf-8"))
            written = write(measured, made_with, results_dir() / "performance", selected=bool(arguments))
            print(f"written: {written}")  # noqa: T201 - the last word of a program
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
