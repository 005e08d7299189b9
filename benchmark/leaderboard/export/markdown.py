"""The leaderboard as a page of Markdown."""

import math
from collections.abc import Sequence

from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.analysis.summary import headline
from benchmark.leaderboard.columns import HEADLINES
from benchmark.leaderboard.export.grid import MAX_LISTED_MODELS, grid, markdown
from benchmark.leaderboard.load.badges import explain_badges
from benchmark.leaderboard.synthetic import STAMP
from benchmark.leaderboard.table import LeaderboardTable

MAX_NAMED_ROWS = 50
"""So many rows are named where something is said of each."""
MAX_DETAILED_REGIMES = 2
"""So many regimes have their contrasts architecture by architecture on the page; more are counted there."""


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
    for other in main.other_protocols:
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
        f"{len(leaderboard.models)} models of protocol {leaderboard.record.protocol}, on "
        f"{leaderboard.record.images['test']} test images: made by other code, or with other settings or images, than "
        "the rows above. They are ranked among themselves alone; run again, they stand above."
    )


def _diagnosis(leaderboard: LeaderboardTable) -> list[list[str]]:
    """The table of the diagnosis, which rank and groups of the maps have no place in."""
    return [
        cells[2:] for cells in grid(leaderboard, [c for c in leaderboard.columns if c.classification], baselines=False)
    ]


def _about(leaderboard: LeaderboardTable) -> str:
    record = leaderboard.record
    images = record.images
    positive = f" Of the two classes, {leaderboard.positive} counts as positive." if leaderboard.positive else ""
    badges = explain_badges(row.badge for row in leaderboard.models[:MAX_LISTED_MODELS])
    return (
        f"{len(leaderboard.models)} models, {images['test']} test images of {leaderboard.groups} groups (patients, "
        f"lesions), {images['train']} images for training, of {images['available']} in the data set; classes: "
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
    columns = list({each.column.name: each.column for each in contrasts if each.column.contrasted}.values())
    if not regimes or not columns:
        return []
    lines = []
    for regime, title in regimes if len(regimes) <= MAX_DETAILED_REGIMES else []:
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
    return f"**{each.value:+.3f}**{ends} {known.verdict}" if known.significant else f"{each.value:+.3f}{ends}"


def _counted(family: list[Contrast]) -> str:
    apart = [each.verdict for each in family if each.significant]
    words = [f"{apart.count(word)} {word}" for word in ("better", "worse", "higher", "lower") if word in apart]
    return f"{', '.join(words) or 'none told apart'} of {len(family)}" if family else "-"


def _attack(leaderboard: LeaderboardTable) -> str:
    preset = leaderboard.record.settings["preset"]
    budgets = sorted(preset["attack_eps"])
    return (
        f"Accuracy under attack: PGD with {preset['attack_steps']} steps, L2 budget {budgets[len(budgets) // 2]:g} for "
        f"images of 224 px in [0, 1], scaled with the side ({preset['image_size']} px), no random start."
    )


def _footer(leaderboard: LeaderboardTable) -> list[str]:
    """What is not in the table: counted, never hidden."""
    parts = []
    if len(leaderboard.models) > MAX_LISTED_MODELS:
        parts.append(f"{MAX_LISTED_MODELS} of {len(leaderboard.models)} models listed, all in the CSV files")
    counts = [row.degenerate for row in leaderboard.rows if row.is_model and row.degenerate is not None]
    if counts:
        parts.append(f"{sum(counts) or 'no'} degenerate (constant) maps of models")
    undefined = sum(known.undefined for row in leaderboard.models for known in row.estimates.values())
    parts.append(f"{undefined or 'no'} undefined scores of models")
    parts.append(f"{len(leaderboard.missing) or 'no'} cells without a record")
    parts.append(f"{len(leaderboard.problems) or 'no'} records left out")
    if leaderboard.other_protocols:
        parts.append(f"{len(leaderboard.other_protocol_models)} models of another protocol below")
    text = ", ".join(parts) + "."
    return [text[:1].upper() + text[1:]]


def _notes(leaderboards: Sequence[LeaderboardTable]) -> list[str]:
    record = leaderboards[0].record
    training, preset = record.settings["training"], record.settings["preset"]
    environment = record.environment
    lines = ["## How it was made", ""]
    lines.append(
        f"- Trained from {preset['weights']} weights at {preset['image_size']} px, "
        f"batch {training['batch_size']}, AdamW with one cycle; epochs and learning rate of each are in the records."
    )
    accelerator = environment["accelerator"] or environment["processor"]
    lines.append(f"- On {accelerator} ({environment['device']}), torch {environment['packages']['torch']}.")
    lines.append(f"- Protocol `{record.protocol}`: records of another one never stand in this table.")
    lines += [f"- Left out: {problem}." for problem in leaderboards[0].problems]
    lines += [f"- No record of {cell}." for cell in leaderboards[0].missing[:MAX_LISTED_MODELS]]
    if len(leaderboards[0].missing) > MAX_LISTED_MODELS:
        lines.append(f"- No record of {len(leaderboards[0].missing) - MAX_LISTED_MODELS} cells more.")
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
            parts = [f"{row.label} {row.estimates[column.name].undefined}" for row in rows[:MAX_NAMED_ROWS]]
            parts += [f"{len(rows) - MAX_NAMED_ROWS} rows more"] if len(rows) > MAX_NAMED_ROWS else []
            told = ", ".join(parts)
            lines.append(f"- Undefined scores of {column.title} ({leaderboard.method}), left out of the mean: {told}.")
    return lines
