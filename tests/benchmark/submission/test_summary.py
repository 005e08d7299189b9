"""The summary of a pull request: nothing in it is more than text, and it says what is left to do."""

import re

from benchmark.storage.paths import ROOT
from benchmark.submission.checks.report import CheckReport
from benchmark.submission.checks.summary import MAX_LISTED, TO_DO, summarize_pull_request

ENTRY = ROOT / "entries" / "mine.py"
HOSTILE = "<img src=x> [x](javascript:y)\n# heading `code` ![a](http://b)"


def test_changed_files_and_problems_are_listed_and_other_reports_are_not():
    fine = CheckReport(kind="record", path=ROOT / "results/d/quick/records/a.json")
    entry = CheckReport(kind="entry", path=ENTRY, warnings=["has no license"])
    bad = CheckReport(kind="record", path=ROOT / "results/d/quick/records/b.json", problems=["has no scores"])
    changed = ["A\tentries/mine.py", "M\tbenchmark/a.py", "D\tresults/d/quick/x.md"]
    text = summarize_pull_request([fine, entry, bad], changed)
    assert "1 entry and 1 record were checked" in text
    assert "**1 failed.**" in text
    assert "a.json" not in text
    assert "- `entries/mine.py` passed\n  - warning: has no license" in text
    assert "- `results/d/quick/records/b.json` failed\n  - problem: has no scores" in text
    listed = [
        "## Other files",
        "- `benchmark/a.py`",
        "## Existing",
        "- `D results/d/quick/x.md`",
        "## Tables",
        "- `results",
    ]
    places = [text.rindex(line) for line in listed]
    assert places == sorted(places)
    assert all(f"{number}. {line}" in text for number, line in enumerate(TO_DO, start=1))


def test_nothing_from_outside_is_more_than_text():
    report = CheckReport(kind="entry", path=ROOT / f"entries/{HOSTILE}.py", problems=[HOSTILE])
    text = summarize_pull_request([report], [f"A\tentries/{HOSTILE}.py"])
    code = re.compile(r"`[^`\n]*`")
    assert not re.search(r"(?<!\\)(<img|\[x|!\[)|^# heading", code.sub("", text), re.MULTILINE)


def test_long_lists_are_cut():
    text = summarize_pull_request([], [f"A\tbenchmark/{number}.py" for number in range(MAX_LISTED + 3)])
    assert text.count("- `benchmark/") == MAX_LISTED
    assert "- and 3 more files" in text
