"""The leaderboard as CSV and Markdown, from the same rows."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.analysis.summary import beats_chance, headline
from benchmark.leaderboard.columns import COLUMNS, Column
from benchmark.leaderboard.load.badges import explained
from benchmark.leaderboard.statistics.bootstrap import Estimate
from benchmark.leaderboard.statistics.ranks import win_shares
from benchmark.leaderboard.table import RANKED_BY, LeaderboardTable, Row

STAMP = "SYNTHETIC DATA: the images were rendered by a program, not photographed. No number says anything of patients."
DIAGNOSIS = ("balanced_accuracy", "macro_f1", "sensitivity", "specificity", "accuracy_under_attack")
HEADLINES = [column for column in COLUMNS if column.headline]
CONTRASTED = [*HEADLINES, *(column for column in COLUMNS if column.name == "balanced_accuracy")]
CONTRAST_HEADING = (
    *("data", "method", "column", "regime", "architecture", "difference", "low", "high"),
    *("p", "p_holm", "wilcoxon", "wilcoxon_holm", "rank_biserial", "groups", "verdict"),
)
APART = "model of another protocol"
"""The kind of such a row in the CSV files."""
LISTED_PAIRS = 150
"""So many models have their pairs listed: 11,175 lines."""
LISTED_MODELS = 100
"""So many models, the best ones, have a row in the tables that people read; the CSV files have all."""
NAMED_ROWS = 50
"""So many rows are named where something is said of each."""
SHOWN_REGIMES = 2
"""So many regimes have their contrasts architecture by architecture on the page; more are counted there."""


def to_csv(leaderboard: LeaderboardTable) -> str:
    """Every row and column with value, ends of the 95 % interval, n and the number of undefined scores."""
    parts = ("", "_low", "_high", "_n", "_undefined")
    fixed = ["data", "method", "kind", "name", "regime", "regime_title", "seeds", "rank_best", "rank_worst"]
    lines: list[list[object]] = [
        [
            *fixed,
            *(column.name + part for column in leaderboard.columns for part in parts),
            "p_best",
            *(f"{column.name}_group" for column in HEADLINES),
            "degenerate_maps",
        ]
    ]
    lines += [_csv_line(leaderboard, row, "model" if row.is_model else "baseline") for row in leaderboard.rows]
    unranked = [replace(row, rank=None, best=None, letters={}) for row in leaderboard.models_apart]
    lines += [_csv_line(leaderboard, row, APART) for row in unranked]
    return as_csv(lines)


def _csv_line(leaderboard: LeaderboardTable, row: Row, kind: str) -> list[object]:
    seeds = " ".join(map(str, row.seeds))
    line: list[object] = [data_name(leaderboard), leaderboard.method, kind, row.name, row.regime, row.title, seeds]
    line += row.rank or ("", "")
    for column in leaderboard.columns:
        line += _csv_cells(row.estimates.get(column.name))
    line.append("" if row.best is None else _digits(row.best, 4))
    line += [row.letters.get(column.name, "") for column in HEADLINES]
    line.append("" if row.degenerate is None else row.degenerate)
    return line


def contrasts_csv(leaderboards: Sequence[LeaderboardTable], contrasts: Sequence[Sequence[Contrast]]) -> str:
    """Standard training against each other regime: a line per method, column, regime and architecture."""
    lines: list[list[object]] = [list(CONTRAST_HEADING)]
    for leaderboard, of_board in zip(leaderboards, contrasts, strict=True):
        for each in of_board:
            known = each.difference
            line: list[object] = [data_name(leaderboard), leaderboard.method, each.column.name, each.regime, each.name]
            line += [_digits(number, 6) for number in (known.value, known.low, known.high)]
            line += [_p(p) for p in (known.p, each.adjusted, known.wilcoxon, each.wilcoxon_adjusted)]
            lines.append([*line, _digits(known.effect, 6), known.groups, each.verdict])
    return as_csv(lines)


def pairs_csv(leaderboard: LeaderboardTable) -> str:
    """Every pair of models by F1: difference, p-values, how often the first beats the second in the bootstrap.

    Of very many models no pairs are listed; the letters of leaderboard.csv say the same.
    """
    models, pairs = leaderboard.models, leaderboard.pairs
    lines: list[list[object]] = [["data", "method", "first", "second", "difference", "p", "p_holm", "win", "verdict"]]
    known = [row.estimates.get(RANKED_BY) for row in models]
    if 1 < len(models) <= LISTED_PAIRS and all(known):
        wins = win_shares(np.stack([each.draws for each in known if each]), higher_is_better=True)
        values = [each.value for each in known if each]
        for one in range(len(models)):
            for other in range(one + 1, len(models)):
                line: list[object] = [
                    data_name(leaderboard),
                    leaderboard.method,
                    models[one].label,
                    models[other].label,
                ]
                line += [
                    _digits(values[one] - values[other], 6),
                    _p(pairs.p[one, other]),
                    _p(pairs.adjusted[one, other]),
                ]
                verdict = "told apart" if pairs.apart[one, other] else "not told apart"
                lines.append([*line, _digits(wins[one, other], 4), verdict])
    return as_csv(lines)


def as_csv(lines: Sequence[Sequence[object]]) -> str:
    """Lines of cells as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def data_name(leaderboard: LeaderboardTable) -> str:
    """Name of the data set; what is synthetic says so."""
    return f"{leaderboard.record.dataset} (SYNTHETIC)" if leaderboard.record.synthetic else leaderboard.record.dataset


def _csv_cells(known: Estimate | None) -> list[object]:
    if known is None:
        return [""] * 5
    return [*(_digits(number, 6) for number in (known.value, known.low, known.high)), known.images, known.undefined]


def to_markdown(
    leaderboards: Sequence[LeaderboardTable], contrasts: Sequence[Contrast], figures: Sequence[tuple[str, str]]
) -> str:
    """A page: what the tables say, the main table per saliency method, the contrasts, the diagnosis, how it was made.

    Args:
        leaderboards: One per saliency method; the first one is the main one.
        contrasts: Of the main board.
        figures: File name and caption of the pictures that lie beside the page.
    """
    main = leaderboards[0]
    record = main.record
    lines = [f"# Leaderboard: {record.dataset}, preset {record.preset}", ""]
    if record.synthetic:
        lines += [f"> **{STAMP}**", ""]
    if said := headline(main, contrasts):
        lines += [f"**{said[0]}** {' '.join(said[1:])}".rstrip(), ""]
    for leaderboard in leaderboards:
        lines += [f"## Maps by {leaderboard.method}", ""]
        lines += [*markdown(grid(leaderboard, HEADLINES)), "", *_footer(leaderboard), ""]
        if leaderboard is main:
            lines += [_about(main), ""]
            for file, caption in figures:
                lines += [f"![{caption}]({file})", ""]
            lines += _contrasts(contrasts)
            lines += ["## Diagnosis", "", *markdown(_diagnosis(main)), "", _attack(main), ""]
    for other in main.apart:
        lines += ["## Made under another protocol", "", *markdown(grid(other, HEADLINES, baselines=False)), ""]
        lines += [describe_other_protocol(other), ""]
    lines += [
        "## Columns of the CSV files",
        "",
        *(f"- **{c.heading}** (`{c.name}`): {c.definition}" for c in leaderboards[0].columns),
    ]
    lines += ["", *_notes(leaderboards)]
    return "\n".join(lines).rstrip() + "\n"


def describe_other_protocol(leaderboard: LeaderboardTable) -> str:
    """What the rows of another protocol are."""
    return (
        f"{len(leaderboard.models)} models of protocol {leaderboard.record.protocol}, on {leaderboard.record.images['test']} test "
        "images: made by other code, or with other settings or images, than the rows above. They are ranked among "
        "themselves alone; run again, they stand above."
    )


def grid(leaderboard: LeaderboardTable, columns: Sequence[Column], *, baselines: bool = True) -> list[list[str]]:
    """Cells of a table for people: a heading, a line of n, a line per row; Markdown and LaTeX print the same.

    n stands in the second line, and beside a cell where it differs.
    """
    rows = list(leaderboard.models[:LISTED_MODELS])
    rows += [row for row in leaderboard.rows if not row.is_model and baselines]
    columns = [column for column in columns if any(column.name in row.estimates for row in rows)]
    usual = {
        c.name: max((r.estimates[c.name].images for r in rows if c.name in r.estimates), default=0) for c in columns
    }
    degenerate = any(row.degenerate for row in rows) and RANKED_BY in usual
    table = [
        ["rank", "group", "model", "regime", *(column.heading for column in columns)],
        ["", "", "*images*", "", *(f"*n = {usual[column.name]}*" for column in columns)],
    ]
    for number, row in enumerate(rows, start=1):
        place = f"{number} ({row.rank[0]}-{row.rank[1]})" if row.rank else ""
        names = [row.name + _dagger(row, leaderboard), _title(row)] if row.is_model else [f"*{row.name}*", "*baseline*"]
        cells = [_cell(row.estimates.get(c.name), usual[c.name]) for c in columns]
        table.append([place, row.letters.get(RANKED_BY, ""), *names, *cells])
    if degenerate:
        counts = ["" if row.degenerate is None else str(row.degenerate) for row in rows]
        for line, cell in zip(table, ["degenerate maps", "", *counts], strict=True):
            line.append(cell)
    return table


def markdown(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; the first line of cells is its heading."""
    lines = ["| " + " | ".join(cells) + " |" for cells in table]
    return [lines[0], "| " + " | ".join(["---"] * len(table[0])) + " |", *lines[1:]]


def _diagnosis(leaderboard: LeaderboardTable) -> list[list[str]]:
    """The table of the diagnosis, which rank and groups of the maps have no place in."""
    return [cells[2:] for cells in grid(leaderboard, [c for c in COLUMNS if c.name in DIAGNOSIS], baselines=False)]


def _about(leaderboard: LeaderboardTable) -> str:
    record = leaderboard.record
    images = record.images
    positive = f" Of the two classes, {leaderboard.positive} counts as positive." if leaderboard.positive else ""
    badges = explained(row.badge for row in leaderboard.models[:LISTED_MODELS])
    return (
        f"{len(leaderboard.models)} models, {images['test']} test images of {leaderboard.groups} groups (patients, lesions), "
        f"{images['train']} images for training, of {images['available']} in the data set; classes: "
        f"{', '.join(record.classes)}.{positive} Each cell: mean [95 % interval of a bootstrap over seeds and groups]. "
        "Rank: by F1, with its interval. Group: models that share a letter are not told apart by F1 (paired test over "
        "groups, all pairs, Holm, 5 %). Maps explain the predicted class, on all test images; where n is smaller, on "
        "a random part of them. † marks models whose balanced accuracy does not beat chance with its whole interval: "
        "their maps explain guesses. All columns are in the CSV files beside this page."
        + (f" Submissions have a badge beside their regime. {badges}" if badges else "")
    )


def _contrasts(contrasts: Sequence[Contrast]) -> list[str]:
    """The regimes against standard training: by architecture, or counted where there are many regimes."""
    regimes = list(dict.fromkeys((each.regime, each.title) for each in contrasts))
    columns = [column for column in CONTRASTED if any(each.column is column for each in contrasts)]
    if not regimes or not columns:
        return []
    lines = []
    for regime, title in regimes if len(regimes) <= SHOWN_REGIMES else []:
        family = [each for each in contrasts if each.regime == regime]
        found = {(each.name, each.column.name): each for each in family}
        table = [["architecture", *(column.heading for column in columns)]]
        table += [
            [name, *(_contrast_cell(found.get((name, column.name))) for column in columns)]
            for name in sorted({each.name for each in family})
        ]
        lines += [f"## Standard against {title}", "", *markdown(table), ""]
    if not lines:
        table = [["regime", *(column.heading for column in columns)]]
        for regime, title in regimes:
            of_regime = [[e for e in contrasts if e.regime == regime and e.column is column] for column in columns]
            table.append([title, *(_counted(family) for family in of_regime)])
        lines += ["## Standard against the other regimes", "", *markdown(table), ""]
    note = (
        "The regime less standard training, with the 95 % interval; bold where the two are told apart (Holm over the "
        "architectures of a column). P-values, Wilcoxon's test and effect sizes: `contrasts.csv`."
    )
    return [*lines, note, ""]


def _contrast_cell(known: Contrast | None) -> str:
    if known is None:
        return "-"
    each = known.difference
    ends = f" [{each.low:+.3f}, {each.high:+.3f}]" if math.isfinite(each.low) else ""
    return f"**{each.value:+.3f}**{ends} {known.verdict}" if known.told_apart else f"{each.value:+.3f}{ends}"


def _counted(family: list[Contrast]) -> str:
    apart = [each.verdict for each in family if each.told_apart]
    words = [f"{apart.count(word)} {word}" for word in ("better", "worse", "higher", "lower") if word in apart]
    return f"{', '.join(words) or 'none told apart'} of {len(family)}" if family else "-"


def _attack(leaderboard: LeaderboardTable) -> str:
    preset = leaderboard.record.settings["preset"]
    budgets = sorted(preset["attack_eps"])
    return (
        f"Accuracy under attack: PGD with {preset['attack_steps']} steps, L2 budget {budgets[len(budgets) // 2]:g} for "
        f"images of 224 px in [0, 1], scaled with the side ({preset['side']} px), no random start."
    )


def _title(row: Row) -> str:
    """The regime, and of a submission its badge."""
    return f"{row.title}, {row.badge}" if row.badge else row.title


def _dagger(row: Row, leaderboard: LeaderboardTable) -> str:
    return "" if beats_chance(row, leaderboard) else " †"


def _cell(known: Estimate | None, usual: int) -> str:
    if known is None or not math.isfinite(known.value):
        return "-"
    fewer = f", n = {known.images}" if known.images != usual else ""
    ends = (
        f"{_digits(known.low, 3)}, {_digits(known.high, 3)}" if math.isfinite(known.low) else "no interval: one group"
    )
    return f"{_digits(known.value, 3)} [{ends}{fewer}]"


def _digits(number: float, digits: int) -> str:
    return f"{number + 0.0:.{digits}f}" if math.isfinite(number) else ""


def _p(number: float) -> str:
    return f"{number:.3g}" if math.isfinite(number) else ""


def _footer(leaderboard: LeaderboardTable) -> list[str]:
    """What is not in the table: counted, never hidden."""
    parts = []
    if len(leaderboard.models) > LISTED_MODELS:
        parts.append(f"{LISTED_MODELS} of {len(leaderboard.models)} models listed, all in the CSV files")
    counts = [row.degenerate for row in leaderboard.rows if row.is_model and row.degenerate is not None]
    if counts:
        parts.append(f"{sum(counts) or 'no'} degenerate (constant) maps of models")
    undefined = sum(known.undefined for row in leaderboard.models for known in row.estimates.values())
    parts.append(f"{undefined or 'no'} undefined scores of models")
    parts.append(f"{len(leaderboard.missing) or 'no'} cells without a record")
    parts.append(f"{len(leaderboard.problems) or 'no'} records left out")
    if leaderboard.apart:
        parts.append(f"{len(leaderboard.models_apart)} models of another protocol below")
    text = ", ".join(parts) + "."
    return [text[:1].upper() + text[1:]]


def _notes(leaderboards: Sequence[LeaderboardTable]) -> list[str]:
    record = leaderboards[0].record
    training = record.settings["training"]
    environment = record.environment
    lines = ["## How it was made", ""]
    lines.append(
        f"- Trained from {record.settings['preset']['weights']} weights at {record.settings['preset']['side']} px, "
        f"batch {training['batch']}, AdamW with one cycle; epochs and learning rate of each are in the records."
    )
    accelerator = environment["accelerator"] or environment["processor"]
    lines.append(f"- On {accelerator} ({environment['device']}), torch {environment['packages']['torch']}.")
    lines.append(f"- Protocol `{record.protocol}`: records of another one never stand in this table.")
    lines += [f"- Left out: {problem}." for problem in leaderboards[0].problems]
    lines += [f"- No record of {cell}." for cell in leaderboards[0].missing[:LISTED_MODELS]]
    if len(leaderboards[0].missing) > LISTED_MODELS:
        lines.append(f"- No record of {len(leaderboards[0].missing) - LISTED_MODELS} cells more.")
    lines += [line for leaderboard in leaderboards for line in _undefined(leaderboard)]
    if record.synthetic:
        lines.append(f"- {STAMP}")
    return lines


def _undefined(leaderboard: LeaderboardTable) -> list[str]:
    """One line for each column in which scores were no number."""
    lines = []
    for column in leaderboard.columns:
        rows = [
            row for row in leaderboard.rows if column.name in row.estimates and row.estimates[column.name].undefined
        ]
        if rows:
            parts = [f"{row.label} {row.estimates[column.name].undefined}" for row in rows[:NAMED_ROWS]]
            parts += [f"{len(rows) - NAMED_ROWS} rows more"] if len(rows) > NAMED_ROWS else []
            told = ", ".join(parts)
            lines.append(f"- Undefined scores of {column.title} ({leaderboard.method}), left out of the mean: {told}.")
    return lines
