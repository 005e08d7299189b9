"""The summary of a pull request: what was checked, what was not, and what a maintainer does next."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.escaping import escape_markdown, markdown_code
from benchmark.phrases import format_count
from benchmark.storage.paths import ROOT
from benchmark.submission.checks.report import CheckReport

MAX_LISTED = 50
"""Maximum number of files or of lines that a section lists."""
REBUILD = "`python -m benchmark leaderboard`"
VERIFY = "`python -m benchmark check RECORD --checkpoint FILE --mark-verified`"
TO_DO = (
    "Look at the files that this pull request changes, .github/ first: it can change the workflow that wrote this.",
    "Read each entry in Python. It ran in a box here, and nowhere else.",
    f"Take over entries and the files of records alone. Make tables, figures and the page again: {REBUILD}.",
    f"Fetch the weights and verify the scores on a machine without secrets: {VERIFY}.",
    "A row without weights stays *self-reported*.",
    "Ask what the network was trained on. Nobody can see from outside whether it knows the test masks by heart.",
)


def summarize_pull_request(reports: Sequence[CheckReport], changed: Sequence[str]) -> str:
    """Returns a page of Markdown.

    Args:
        reports: Reports of entries and records.
        changed: Lines of `git diff --name-status`: a letter, a tab and a path. Reports of other files are listed only
            if they have problems.
    """
    files = [tuple(line.split("\t", 1)) for line in changed if "\t" in line]
    names = {path for _, path in files}
    shown = [report for report in reports if report.problems or _relative(report.path) in names]
    lines = ["# Check of this pull request", "", _verdict(shown), ""]
    for report in shown[:MAX_LISTED]:
        lines += _describe(report)
    lines += [*_more(len(shown), "reports"), ""]
    for title, note, paths in _sort_files(files):
        if paths:
            lines += [f"## {title}", "", note, "", *(f"- {markdown_code(path)}" for path in paths[:MAX_LISTED])]
            lines += [*_more(len(paths), "files"), ""]
    lines += ["## What a maintainer does", "", *(f"{number}. {text}" for number, text in enumerate(TO_DO, start=1))]
    return "\n".join(lines) + "\n"


def _verdict(reports: Sequence[CheckReport]) -> str:
    failed = sum(bool(report.problems) for report in reports)
    entries, records = (sum(report.kind == kind for report in reports) for kind in ("entry", "record"))
    outcome = f"**{failed} failed.**" if failed else "None failed."
    checked = f"{format_count(entries, 'entry', 'entries')} and {format_count(records, 'record')}"
    return f"{checked} were checked by the code of the base branch. {outcome} A check is not a verification."


def _describe(report: CheckReport) -> list[str]:
    state = "failed" if report.problems else "passed"
    lines = [f"- {markdown_code(_relative(report.path))} {state}"]
    notes = [("problem", text) for text in report.problems] + [("warning", text) for text in report.warnings]
    return lines + [f"  - {kind}: {escape_markdown(text)}" for kind, text in notes[:MAX_LISTED]]


def _sort_files(files: Sequence[tuple[str, ...]]) -> list[tuple[str, str, list[str]]]:
    """Sorts changed files into sections: title, note and paths."""
    code = [path for _, path in files if not path.startswith(("entries/", "results/"))]
    lost = [f"{state} {path}" for state, path in files if state != "A" and path not in code]
    made = [path for _, path in files if path.startswith("results/") and "/records/" not in path]
    return [
        ("Other files", "Not used here. Review them as code.", code),
        ("Existing entries and results that change (M) or disappear (D)", "No submission needs this.", lost),
        ("Tables and figures", "Not used here. Make them again, do not take them over.", made),
    ]


def _relative(path: Path) -> str:
    resolved = path.absolute()
    return resolved.relative_to(ROOT).as_posix() if resolved.is_relative_to(ROOT) else str(path)


def _more(count: int, what: str) -> list[str]:
    return [f"- and {count - MAX_LISTED} more {what}"] if count > MAX_LISTED else []
