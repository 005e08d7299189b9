"""Exports the leaderboard as a page of Markdown."""

import math
from collections.abc import Sequence

from benchmark.escaping import Markdown, escape_markdown, markdown_code
from benchmark.leaderboard.analysis.contrasts import Contrast
from benchmark.leaderboard.analysis.fourfold import build_fourfold
from benchmark.leaderboard.analysis.fourfold import headline as fourfold_headline
from benchmark.leaderboard.analysis.legend import describe_intervals, describe_ranks
from benchmark.leaderboard.analysis.masking import explain_masking
from benchmark.leaderboard.analysis.part_reliance import PartReliance
from benchmark.leaderboard.analysis.provenance import provenance_notes
from benchmark.leaderboard.analysis.summary import headline
from benchmark.leaderboard.columns import CONSTANT_ANSWER, HEADLINES
from benchmark.leaderboard.export.grid import MAX_LISTED_MODELS, grid, markdown
from benchmark.leaderboard.export.reliance import reliance_section
from benchmark.leaderboard.load.badges import explain_badges
from benchmark.leaderboard.reliance_columns import RELIANCE_COLUMNS
from benchmark.leaderboard.synthetic import STAMP
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.phrases import format_count

MAX_NAMED_ROWS = 50
"""Maximum number of rows that a note names."""
MAX_DETAILED_REGIMES = 2
"""Maximum number of regimes whose contrasts are listed by architecture. Contrasts of more regimes are counted."""


def to_markdown(
    leaderboards: Sequence[LeaderboardTable],
    contrasts: Sequence[Contrast],
    figures: Sequence[tuple[str, str]],
    subgroups: Sequence[PartReliance] = (),
) -> str:
    """Returns a page: summary, main table per saliency method, contrasts, classification, columns, and notes.

    Args:
        leaderboards: One per saliency method, the main one first.
        contrasts: Contrasts of the main table.
        figures: File names and captions of the figures in the same directory.
        subgroups: Reliance by subgroup.
    """
    main = leaderboards[0]
    record = main.record
    lines = [f"# Leaderboard: {escape_markdown(f'{record.dataset}, preset {record.preset}')}", ""]
    if record.synthetic:
        lines += [f"> **{STAMP}**", ""]
    sentences = headline(main, contrasts)
    if sentences and (fourfold := build_fourfold(main)):
        sentences.append(fourfold_headline(fourfold))
    sentences = list(map(escape_markdown, sentences))
    if sentences:
        lines += [f"**{sentences[0]}** {' '.join(sentences[1:])}".rstrip(), ""]
    for leaderboard in leaderboards:
        lines += [f"## Maps by {escape_markdown(leaderboard.method)}", ""]
        lines += [*markdown(grid(leaderboard, HEADLINES)), "", *_footer(leaderboard), ""]
        if leaderboard is main:
            lines += [_about(main), ""]
            for file, caption in figures:
                lines += [f"![{caption}]({file})", ""]
            lines += reliance_section(leaderboards, subgroups)
            lines += _contrast_section(contrasts)
            lines += ["## Classification", "", *markdown(_classification_table(main)), ""]
            lines += [escape_markdown(describe_attacks(main)), ""]
    for other in main.other_protocols:
        lines += ["## Made under another protocol", "", *markdown(grid(other, HEADLINES, baselines=False)), ""]
        lines += [escape_markdown(describe_other_protocol(other)), ""]
    lines += [
        "## Columns of the CSV files",
        "",
        *(
            f"- **{escape_markdown(c.heading)}** ({markdown_code(c.name)}): {c.definition}"
            for c in leaderboards[0].columns
        ),
    ]
    lines += ["", *_notes(leaderboards)]
    return "\n".join(lines).rstrip() + "\n"


def describe_other_protocol(leaderboard: LeaderboardTable) -> str:
    """Explains the rows of another protocol."""
    images = format_count(leaderboard.record.images["test"], "test image")
    return (
        f"{format_count(len(leaderboard.models), 'model')} of protocol {leaderboard.record.protocol}, on {images}: "
        "their code, settings or images differ from those of the rows above. They are ranked among themselves only. "
        "Run them again to rank them with the rows above."
    )


def _classification_table(leaderboard: LeaderboardTable) -> list[list[str]]:
    """Returns the table of the classification, without rank and significance group, which are those of the maps."""
    columns = [column for column in leaderboard.columns if column.classification]
    return grid(leaderboard, columns, baselines=False, ranks=False)


def _about(leaderboard: LeaderboardTable) -> str:
    record = leaderboard.record
    images = record.images
    positive = f" The positive class is {leaderboard.positive}." if leaderboard.positive else ""
    badges = explain_badges(row.badge for row in leaderboard.models[:MAX_LISTED_MODELS])
    text = (
        f"{format_count(len(leaderboard.models), 'model')}, {format_count(images['test'], 'test image')} of "
        f"{format_count(leaderboard.groups, 'group')} (patients, lesions), {images['train']} training images, of "
        f"{images['available']} in the data set; classes: "
        f"{', '.join(record.classes)}.{positive} Each cell: mean and interval. {describe_intervals(leaderboard)} "
        f"{describe_ranks(leaderboard)} Maps explain the predicted class, on all "
        "test images. Where n is smaller, they are a random sample. † marks models whose balanced accuracy does not "
        "beat chance with its whole interval, or that came without predictions: their maps may explain guesses, so "
        "they have no rank. All columns are in the CSV files of this directory."
    )
    return escape_markdown(text) + (f" Submissions have a badge after their regime. {badges}" if badges else "")


def _contrast_section(contrasts: Sequence[Contrast]) -> list[str]:
    """Returns the regimes against standard training: by architecture, or as counts for many regimes."""
    regimes = list(dict.fromkeys((contrast.regime, contrast.title) for contrast in contrasts))
    columns = list({c.column.name: c.column for c in contrasts if c.column.contrasted}.values())
    if not regimes or not columns:
        return []
    lines = []
    for regime, title in regimes if len(regimes) <= MAX_DETAILED_REGIMES else []:
        family = [contrast for contrast in contrasts if contrast.regime == regime]
        cells = {(contrast.name, contrast.column.name): contrast for contrast in family}
        table = [["architecture", *(column.heading for column in columns)]]
        table += [
            [name, *(_contrast_cell(cells.get((name, column.name))) for column in columns)]
            for name in sorted({contrast.name for contrast in family})
        ]
        lines += [f"## Standard against {escape_markdown(title)}", "", *markdown(table), ""]
    if not lines:
        table = [["regime", *(column.heading for column in columns)]]
        for regime, title in regimes:
            families = [[c for c in contrasts if c.regime == regime and c.column is column] for column in columns]
            table.append([title, *(_count_cell(family) for family in families)])
        lines += ["## Standard against the other regimes", "", *markdown(table), ""]
    return [*lines, _contrast_note(contrasts), ""]


def _contrast_note(contrasts: Sequence[Contrast]) -> str:
    note = "The regime minus standard training of the same variant on common images, with the 95 % interval. "
    if any(contrast.difference.scope == "models" for contrast in contrasts):
        note += "Bold or counted: significantly different over new trainings (Holm over all cells of a column). "
    else:
        note += "These are differences between single trainings: another seed may change their sign. "
    return f"{note}No verdict where a classification does not beat chance. P-values and effect sizes: `contrasts.csv`."


def _contrast_cell(contrast: Contrast | None) -> str:
    if contrast is None:
        return "-"
    test = contrast.difference
    ends = f" [{test.low:+.3f}, {test.high:+.3f}]" if math.isfinite(test.low) else ""
    if not contrast.significant:
        return f"{test.value:+.3f}{ends}"
    return Markdown(f"**{test.value:+.3f}**{ends} {contrast.verdict}")


def _count_cell(family: list[Contrast]) -> str:
    family = [contrast for contrast in family if not contrast.guesses]
    if any(contrast.difference.scope == "trainings" for contrast in family):
        return "one training each"
    verdicts = [contrast.verdict for contrast in family if contrast.significant]
    counts = [f"{verdicts.count(word)} {word}" for word in ("better", "worse", "higher", "lower") if word in verdicts]
    return f"{', '.join(counts) or 'none'} of {len(family)}" if family else "no verdict"


def describe_attacks(leaderboard: LeaderboardTable) -> str:
    """Returns sentences about the attacks: steps, budget, what a constant answer scores, and what may be masked."""
    preset = leaderboard.record.settings["preset"]
    budgets = sorted(preset["attack_eps"])
    apgd = f" and APGD with {preset['apgd_steps']} steps" if preset.get("apgd_steps") else ""
    autoattack = " and AutoAttack" if preset.get("autoattack") else ""
    constant = next((e for row in leaderboard.models if (e := row.estimates.get(CONSTANT_ANSWER))), None)
    attacks = (
        f"Accuracy under attack: PGD with {preset['attack_steps']} steps{apgd}{autoattack}, L2 budget "
        f"{budgets[len(budgets) // 2]:g} for images of 224 px in [0, 1], scaled with the image size "
        f"({preset['image_size']} px), no random start."
    )
    accuracy = f"A constant answer has an accuracy under attack of {constant.value:.3f}." if constant else ""
    return " ".join(filter(None, (attacks, accuracy, explain_masking(leaderboard))))


def _footer(leaderboard: LeaderboardTable) -> list[str]:
    """Counts everything that is not in the table."""
    parts = []
    if len(leaderboard.models) > MAX_LISTED_MODELS:
        parts.append(f"{MAX_LISTED_MODELS} of {len(leaderboard.models)} models listed, all in the CSV files")
    counts = [row.degenerate for row in leaderboard.rows if row.is_model and row.degenerate is not None]
    if counts:
        parts.append(_count(sum(counts), "degenerate (constant) map") + " of models")
    # Reliance is undefined on every image whose lesion leaves no room elsewhere. Its own tables count these images.
    names = {column.name for column in leaderboard.columns} - {column.name for column in RELIANCE_COLUMNS}
    undefined = sum(
        estimate.undefined for row in leaderboard.models for name, estimate in row.estimates.items() if name in names
    )
    parts.append(_count(undefined, "undefined score") + " of models, reliance aside")
    parts.append(_count(len(leaderboard.missing), "cell") + " without a record")
    parts.append(_count(len(leaderboard.problems), "record") + " left out")
    if leaderboard.other_protocols:
        parts.append(_count(len(leaderboard.other_protocol_models), "model") + " of another protocol below")
    text = ", ".join(parts) + "."
    return [text[:1].upper() + text[1:]]


def _count(number: int, noun: str) -> str:
    return format_count(number, noun) if number else f"no {noun}s"


def _notes(leaderboards: Sequence[LeaderboardTable]) -> list[str]:
    record = leaderboards[0].record
    environment = record.environment
    lines = ["## How it was made", ""]
    lines += [f"- {escape_markdown(note)}" for note in provenance_notes(leaderboards[0].records)]
    lines.append(_training_note(leaderboards[0]))
    accelerator = environment["accelerator"] or environment["processor"]
    made = f"On {accelerator} ({environment['device']}), torch {environment['packages']['torch']}."
    lines.append(f"- {escape_markdown(made)}")
    lines.append(
        f"- Protocol {markdown_code(record.protocol)}: records of other protocols are never ranked in this table."
    )
    lines += [f"- Left out: {escape_markdown(problem)}." for problem in leaderboards[0].problems]
    lines += [f"- No record of {escape_markdown(cell)}." for cell in leaderboards[0].missing[:MAX_LISTED_MODELS]]
    if len(leaderboards[0].missing) > MAX_LISTED_MODELS:
        more = format_count(len(leaderboards[0].missing) - MAX_LISTED_MODELS, "more cell")
        lines.append(f"- No record of {more}.")
    lines += [f"- {escape_markdown(line)}" for leaderboard in leaderboards for line in _undefined(leaderboard)]
    if record.synthetic:
        lines.append(f"- {STAMP}")
    return lines


def _training_note(leaderboard: LeaderboardTable) -> str:
    trained = [record for record in leaderboard.records if record.training.losses]
    if not trained:
        image_size = leaderboard.record.settings["preset"]["image_size"]
        return f"- Nothing was trained here. Maps were scored at {image_size} px."
    training, preset = trained[0].settings["training"], trained[0].settings["preset"]
    return (
        f"- Own trainings: {preset['image_size']} px, batch {training['batch_size']}, AdamW with one cycle. "
        "Epochs, learning rate and duration of each are in the records."
    )


def _undefined(leaderboard: LeaderboardTable) -> list[str]:
    """Returns a line for the columns with equal undefined scores, and one for the means of each on common images."""
    titles: dict[str, list[str]] = {}
    means_of_common = []
    for column in leaderboard.columns:
        rows = [
            row for row in leaderboard.rows if column.name in row.estimates and row.estimates[column.name].undefined
        ]
        if rows:
            parts = [f"{row.label} {row.estimates[column.name].undefined}" for row in rows[:MAX_NAMED_ROWS]]
            parts += [format_count(len(rows) - MAX_NAMED_ROWS, "more row")] if len(rows) > MAX_NAMED_ROWS else []
            titles.setdefault(", ".join(parts), []).append(column.title)
        if common := [(row, *row.common[column.name]) for row in rows if column.name in row.common]:
            means = ", ".join(f"{row.label} {value:.3f}" for row, value, _ in common[:MAX_NAMED_ROWS])
            means_of_common.append(
                f"Mean {column.title} ({leaderboard.method}) of these on the {max(n for *_, n in common)} images "
                f"that all models have: {means}."
            )
    lines = [
        f"Undefined scores of {', '.join(names)} ({leaderboard.method}), left out of the mean: {counts}."
        for counts, names in titles.items()
    ]
    return lines + means_of_common
