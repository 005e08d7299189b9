"""The leaderboard as CSV and Markdown, from the same rows."""

import csv
import io
import math

from benchmark.leaderboard.board import Board, Row
from benchmark.leaderboard.columns import COLUMNS, Column
from benchmark.leaderboard.statistics import Estimate

STAMP = "SYNTHETIC DATA: the images were rendered by a program, not photographed. No number says anything of patients."
DIAGNOSIS = ("balanced_accuracy", "macro_f1", "sensitivity", "specificity", "accuracy_under_attack")


def to_csv(board: Board) -> str:
    """Every row and column with value, ends of the 95 % interval, n and the number of undefined scores."""
    parts = ("", "_low", "_high", "_n", "_undefined")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    fixed = ["data", "method", "kind", "name", "regime", "regime_title", "seeds", "rank_best", "rank_worst"]
    writer.writerow([*fixed, *(column.name + part for column in COLUMNS for part in parts)])
    data = f"{board.record.dataset} (SYNTHETIC)" if board.record.synthetic else board.record.dataset
    for row in board.rows:
        kind = "model" if row.is_model else "yardstick"
        seeds = " ".join(map(str, row.seeds))
        cells: list[object] = [
            data,
            board.method,
            kind,
            row.name,
            row.regime,
            row.title,
            seeds,
            *(row.rank or ("", "")),
        ]
        for column in COLUMNS:
            cells += _csv_cells(row.estimates.get(column.name))
        writer.writerow(cells)
    return out.getvalue()


def _csv_cells(known: Estimate | None) -> list[object]:
    if known is None:
        return [""] * 5
    return [*(_digits(number, 6) for number in (known.value, known.low, known.high)), known.images, known.undefined]


def to_markdown(boards: list[Board], figures: list[tuple[str, str]]) -> str:
    """A page: the main table, the diagnosis, the other columns, per saliency method, and how it was made.

    Args:
        boards: One per saliency method; the first one is the main one.
        figures: File name and caption of the pictures that lie beside the page.
    """
    main = boards[0]
    record = main.record
    lines = [f"# Leaderboard: {record.dataset}, preset {record.preset}", ""]
    if record.synthetic:
        lines += [f"> **{STAMP}**", ""]
    lines += [_about(main), ""]
    for board in boards:
        lines += [f"## Maps by {board.method}", "", *_table(board, [c for c in COLUMNS if c.headline]), ""]
        if board is main:
            for file, caption in figures:
                lines += [f"![{caption}]({file})", ""]
            lines += ["## Diagnosis", "", *_table(main, [c for c in COLUMNS if c.name in DIAGNOSIS], yardsticks=False)]
            lines += ["", _attack(main), ""]
    for board in boards:
        rest = [c for c in COLUMNS if not c.headline and c.name not in DIAGNOSIS]
        lines += [f"## More scores of the maps by {board.method}", "", *_table(board, rest), ""]
    lines += ["## Columns", "", *(f"- **{c.heading}**: {c.definition}" for c in COLUMNS), ""]
    lines += _notes(boards)
    return "\n".join(lines).rstrip() + "\n"


def _about(board: Board) -> str:
    record = board.record
    images = record.images
    positive = f" Of the two classes, {board.positive} counts as positive." if board.positive else ""
    return (
        f"{len(board.models)} models, {images['test']} test images, {images['train']} for training, of "
        f"{images['available']} in the data set; classes: {', '.join(record.classes)}.{positive} Each cell: mean "
        "[95 % interval of a bootstrap over groups of images and seeds]. Rank: by the F1 of the maps, with its "
        "interval over the same bootstrap; rows whose ranks overlap are not told apart. Maps explain the predicted "
        "class, on all test images; where n is smaller, on a random part of them. † marks models whose balanced "
        "accuracy does not beat chance with its whole interval: their maps explain guesses."
    )


def _attack(board: Board) -> str:
    preset = board.record.settings["preset"]
    budgets = sorted(preset["attack_eps"])
    return (
        f"Accuracy under attack: PGD with {preset['attack_steps']} steps, L2 budget {budgets[len(budgets) // 2]:g} for "
        f"images of 224 px in [0, 1], scaled with the side ({preset['side']} px), no random start."
    )


def _table(board: Board, columns: list[Column], *, yardsticks: bool = True) -> list[str]:
    """Rows of a Markdown table; n stands in the first row, and beside a cell where it differs.

    Without yardsticks it is a table of the diagnosis, which the rank of the maps has no place in.
    """
    rows = [row for row in board.rows if row.is_model or yardsticks]
    columns = [column for column in columns if any(column.name in row.estimates for row in rows)]
    usual = {
        c.name: max((r.estimates[c.name].images for r in rows if c.name in r.estimates), default=0) for c in columns
    }
    table = [
        ["rank", "model", "regime", *(column.heading for column in columns)],
        ["---"] * (3 + len(columns)),
        ["", "*images*", "", *(f"*n = {usual[column.name]}*" for column in columns)],
    ]
    for number, row in enumerate(rows, start=1):
        place = f"{number} ({row.rank[0]}-{row.rank[1]})" if row.rank else ""
        names = [row.name + _dagger(row, board), row.title] if row.is_model else [f"*{row.name}*", "*yardstick*"]
        table.append([place, *names, *(_cell(row.estimates.get(c.name), usual[c.name]) for c in columns)])
    return ["| " + " | ".join(cells if yardsticks else cells[1:]) + " |" for cells in table]


def _dagger(row: Row, board: Board) -> str:
    accuracy = row.estimates["balanced_accuracy"]
    return "" if accuracy.low > 1 / len(board.record.classes) else " †"


def _cell(known: Estimate | None, usual: int) -> str:
    if known is None or not math.isfinite(known.value):
        return "-"
    fewer = f", n = {known.images}" if known.images != usual else ""
    return f"{_digits(known.value, 3)} [{_digits(known.low, 3)}, {_digits(known.high, 3)}{fewer}]"


def _digits(number: float, digits: int) -> str:
    return f"{number + 0.0:.{digits}f}" if math.isfinite(number) else ""


def _notes(boards: list[Board]) -> list[str]:
    record = boards[0].record
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
    lines += [f"- Left out: {problem}." for problem in boards[0].problems]
    lines += [line for board in boards for line in _undefined(board)]
    if record.synthetic:
        lines.append(f"- {STAMP}")
    return lines


def _undefined(board: Board) -> list[str]:
    """One line for each column in which scores were no number."""
    lines = []
    for column in COLUMNS:
        rows = [row for row in board.rows if column.name in row.estimates and row.estimates[column.name].undefined]
        if rows:
            counts = ", ".join(f"{_label(row)} {row.estimates[column.name].undefined}" for row in rows)
            lines.append(f"- Undefined scores of {column.title} ({board.method}), left out of the mean: {counts}.")
    return lines


def _label(row: Row) -> str:
    return f"{row.name}/{row.regime}" if row.is_model else row.name
