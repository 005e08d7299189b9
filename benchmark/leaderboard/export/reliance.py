"""Exports the fourfold table, and the reliance by class and subgroup, as Markdown and CSV."""

import math
from collections.abc import Iterable, Sequence

from benchmark.escaping import csv_text, escape_markdown
from benchmark.leaderboard.analysis.class_reliance import build_class_reliance
from benchmark.leaderboard.analysis.fourfold import (
    MIN_GROUPS,
    NEGLIGIBLE,
    NO,
    YES,
    Fourfold,
    FourfoldRow,
    build_fourfold,
)
from benchmark.leaderboard.analysis.part_reliance import PartReliance
from benchmark.leaderboard.analysis.subgroup_reliance import SUBGROUP_COLUMNS
from benchmark.leaderboard.export.csv import data_name
from benchmark.leaderboard.export.grid import MAX_LISTED_MODELS, digits, markdown
from benchmark.leaderboard.reliance_columns import CLASS_COLUMNS, FOURFOLD_COLUMNS, RELIANCE, RELIANCE_COLUMNS
from benchmark.leaderboard.table import LeaderboardTable, Row
from benchmark.statistics.bootstrap import Estimate


def reliance_csv(leaderboards: Sequence[LeaderboardTable]) -> str:
    """Returns a line per saliency method and model, with all columns on reliance, both answers and the verdict.

    Returns:
        Text of the CSV file. Empty if no model has reliance.
    """
    names = [column.name for column in RELIANCE_COLUMNS]
    lines: list[list[object]] = []
    for leaderboard in leaderboards:
        table = build_fourfold(leaderboard)
        for line in table.rows if table else ():
            row = line.row
            cells: list[object] = [data_name(leaderboard), leaderboard.method, row.name, row.regime]
            cells.append(" ".join(map(str, row.seeds)))
            for name in names:
                cells += _numbers(row.estimates.get(name))
            lines.append([*cells, line.uses, line.shows, line.verdict, line.reason])
    if not lines:
        return ""
    parts = [f"{name}{part}" for name in names for part in ("", "_low", "_high")]
    return csv_text(
        [["data", "method", "name", "regime", "seeds", *parts, "uses", "shows", "verdict", "reason"], *lines]
    )


def class_reliance_csv(leaderboards: Sequence[LeaderboardTable]) -> str:
    """Returns a line per saliency method, model and class, with the reliance by each fill, groups and the answer.

    Returns:
        Text of the CSV file. Empty if no model has reliance.
    """
    lines = [
        [data_name(leaderboard), leaderboard.method, *_part_cells(line, CLASS_COLUMNS)]
        for leaderboard in leaderboards
        for line in build_class_reliance(leaderboard)
    ]
    return _part_csv(["data", "method"], ["class"], CLASS_COLUMNS, lines)


def subgroup_reliance_csv(subgroups: Sequence[PartReliance], leaderboard: LeaderboardTable) -> str:
    """Returns a line per model and subgroup, with the reliance by each fill, groups and the answer.

    Returns:
        Text of the CSV file. Empty without subgroups.
    """
    lines = [[data_name(leaderboard), *_part_cells(line, SUBGROUP_COLUMNS)] for line in subgroups]
    return _part_csv(["data"], ["attribute", "value"], SUBGROUP_COLUMNS, lines)


def _part_cells(line: PartReliance, names: Iterable[str]) -> list[object]:
    row, estimate = line.row, line.estimates[RELIANCE]
    numbers = [number for name in names for number in _numbers(line.estimates.get(name))]
    return [
        *(row.name, row.regime, " ".join(map(str, row.seeds)), *line.part),
        *(estimate.images, estimate.undefined, digits(line.groups, 1), *numbers, line.uses, line.reason),
    ]


def _part_csv(first: list[str], part: list[str], names: Iterable[str], lines: Sequence[Sequence[object]]) -> str:
    if not lines:
        return ""
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    heading = [*first, "name", "regime", "seeds", *part, "images", "undefined", "groups", *ends, "uses", "reason"]
    return csv_text([heading, *lines])


def _numbers(estimate: Estimate | None) -> list[str]:
    """Formats value and ends of the interval."""
    numbers = (estimate.value, estimate.low, estimate.high) if estimate else ()
    return [digits(number, 6) for number in numbers] or [""] * 3


def reliance_section(leaderboards: Sequence[LeaderboardTable], subgroups: Sequence[PartReliance] = ()) -> list[str]:
    """Returns the Markdown section of all saliency methods, and of subgroups. Empty if no model has reliance."""
    by_leaderboard = [(board, table) for board in leaderboards if (table := build_fourfold(board))]
    tables = [table for _, table in by_leaderboard]
    if not tables:
        return []
    lines = ["## Does the network use the lesion, and does the map show it?", ""]
    lines += [*markdown(_counts(tables)), "", escape_markdown(explain(tables[0])), ""]
    for leaderboard, table in by_leaderboard:
        lines += [f"### {escape_markdown(table.method)}", "", *markdown(_rows(table)), ""]
        if classes := build_class_reliance(leaderboard):
            lines += [EXPLAIN_CLASSES, "", *_short(_class_rows(classes), CLASS_RELIANCE), ""]
    if subgroups:
        lines += [
            "### By subgroup",
            "",
            EXPLAIN_SUBGROUPS,
            "",
            *_short(_subgroup_rows(subgroups), SUBGROUP_RELIANCE),
            "",
        ]
    return lines


def explain(table: Fourfold) -> str:
    """Explains the rules of the verdicts in a few sentences."""
    baseline = f"{table.baseline} ({table.baseline_mass:.3f})" if table.baseline else "none is at hand"
    return (
        "Reliance: drop of the predicted class's probability when the lesion is filled, less the drop when the same "
        "shape is filled elsewhere. A network uses the lesion if its reliance by each of three fills is above 0. It "
        f"does not if its reliance by each fill is below {NEGLIGIBLE:g}, and it uses it in no class. A map shows the "
        "lesion if its mass there is "
        f"above that of every map without a network; the best of these: {baseline}. Each rule needs the whole 95 % "
        "interval, and else the answer is undecided. Images without a mask, or with a region that leaves no room for "
        "its shape elsewhere, do not count. With one training, a verdict holds for that training. No verdict is "
        "corrected over rows."
    )


MAX_PART_LINES = 60
"""The largest number of lines of a Markdown table by class or subgroup."""

CLASS_RELIANCE, SUBGROUP_RELIANCE = "reliance-classes.csv", "reliance-subgroups.csv"
"""Names of the files that :func:`class_reliance_csv` and :func:`subgroup_reliance_csv` fill."""

EXPLAIN_CLASSES = (
    "By class: the reliance on the images of one true class, with the same rules. Groups are patients or lesions. "
    f"Those of unequal size count as fewer. A yes needs {MIN_GROUPS[YES]} groups, a no {MIN_GROUPS[NO]}."
)

EXPLAIN_SUBGROUPS = (
    "By subgroup: the reliance on images that get one answer of the network, on those of one value of an attribute, or "
    "on those where an expert marked a characteristic. The filled region is always the whole lesion. The rules are the "
    "same. "
    f"A yes needs {MIN_GROUPS[YES]} groups, a no {MIN_GROUPS[NO]}. The saliency method plays no part."
)


def _counts(tables: Sequence[Fourfold]) -> list[list[str]]:
    verdicts = list(tables[0].counts)
    return [["method", *verdicts], *([t.method, *(str(t.counts[verdict]) for verdict in verdicts)] for t in tables)]


def _rows(table: Fourfold) -> list[list[str]]:
    rows = [["model", "regime", "images", *FOURFOLD_COLUMNS.values(), "uses", "shows", "verdict"]]
    for line in table.rows[:MAX_LISTED_MODELS]:
        cells = [format_estimate(line.row, name) for name in FOURFOLD_COLUMNS]
        rows.append(
            [
                line.row.name,
                line.row.title,
                format_images(line.row),
                *cells,
                line.uses,
                line.shows,
                format_verdict(line),
            ]
        )
    return rows


def _class_rows(classes: Sequence[PartReliance]) -> list[list[str]]:
    rows = [["model", "regime", "class", "images", "groups", *CLASS_COLUMNS.values(), "uses"]]
    listed = list(dict.fromkeys(line.row.label for line in classes))[:MAX_LISTED_MODELS]
    for line in classes:
        if line.row.label in listed:
            cells = [format_class_images(line), digits(line.groups, 1)]
            cells += [format_class_estimate(line, name) for name in CLASS_COLUMNS]
            rows.append([line.row.name, line.row.title, *line.part, *cells, format_class_answer(line)])
    return rows


def _subgroup_rows(subgroups: Sequence[PartReliance]) -> list[list[str]]:
    rows = [["model", "regime", "attribute", "value", "images", "groups", CLASS_COLUMNS[RELIANCE], "uses"]]
    listed = list(dict.fromkeys(line.row.label for line in subgroups))[:MAX_LISTED_MODELS]
    for line in subgroups:
        if line.row.label in listed:
            cells = [format_class_images(line), digits(line.groups, 1), format_class_estimate(line, RELIANCE)]
            rows.append([line.row.name, line.row.title, *line.part, *cells, format_class_answer(line)])
    return rows


def _short(rows: list[list[str]], file: str) -> list[str]:
    """Returns the Markdown table of a part. One that nobody would read to its end becomes a reference to its file."""
    number = len(rows) - 1
    if number <= MAX_PART_LINES:
        return markdown(rows)
    return [f"This table has {number:,} lines. They are in [{file}]({file}), and by model in `leaderboard.html`."]


def format_class_images(line: PartReliance) -> str:
    """Formats the number of images of a class or subgroup, per seed, whose reliance is defined, and of all."""
    return _images(line.estimates[RELIANCE], line.row)


def format_class_answer(line: PartReliance) -> str:
    """Formats whether a network uses the lesion in a class or subgroup, with the reason if that is undecided."""
    return f"{line.uses} ({line.reason})" if line.reason else line.uses


def format_class_estimate(line: PartReliance, name: str) -> str:
    """Formats an estimate of a class or subgroup with its interval. A dash without a finite one."""
    return _with_interval(line.estimates.get(name))


def format_images(row: Row) -> str:
    """Formats the number of images, per seed, whose reliance is defined, and of all."""
    return _images(row.estimates[RELIANCE], row)


def _images(estimate: Estimate, row: Row) -> str:
    return f"{estimate.images} of {estimate.images + round(estimate.undefined / len(row.seeds))}"


def format_estimate(row: Row, name: str) -> str:
    """Formats an estimate with its interval. A dash without a finite one."""
    return _with_interval(row.estimates.get(name))


def _with_interval(estimate: Estimate | None) -> str:
    if estimate is None or not math.isfinite(estimate.value):
        return "-"
    interval = f" [{digits(estimate.low, 3)}, {digits(estimate.high, 3)}]" if math.isfinite(estimate.low) else ""
    return f"{digits(estimate.value, 3)}{interval}"


def format_verdict(line: FourfoldRow) -> str:
    """Formats the verdict, with the reason if it is undecided."""
    return f"{line.verdict} ({line.reason})" if line.reason else line.verdict
