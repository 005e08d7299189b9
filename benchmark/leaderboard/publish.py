"""Writing tables and figures beside the records."""

from pathlib import Path

from benchmark.leaderboard.board import Board, board_of, read_published
from benchmark.leaderboard.figures import regimes_figure
from benchmark.leaderboard.tables import to_csv, to_markdown
from benchmark.store import write_text

DATA_FIGURE = "data.png"
REGIMES_FIGURE = "regimes.png"
SHEETS = {
    "maps-standard.png": "Maps of the standard models beside image and masks",
    "maps-adversarial.png": "Maps of the adversarially trained models beside image and masks",
}


def rebuild(folder: Path) -> list[Board]:
    """Writes leaderboard.csv, leaderboard.md and the figures of a results folder from its records.

    The first saliency method makes leaderboard.csv; every other one makes leaderboard-<method>.csv.

    Returns:
        One board per saliency method, the main one first.

    Raises:
        UserError: The folder holds no records that can be used.
    """
    published = read_published(folder)
    methods = next(iter(published.records.values())).methods
    boards = [board_of(published, method) for method in methods]
    for number, board in enumerate(boards):
        name = f"leaderboard-{board.method}.csv" if number else "leaderboard.csv"
        write_text(folder / name, to_csv(board))
    regimes_figure(boards[0], folder / REGIMES_FIGURE)
    figures = [(REGIMES_FIGURE, "Standard against adversarial training, score by score")]
    figures += [(file, caption) for file, caption in SHEETS.items() if (folder / file).is_file()]
    if (folder / DATA_FIGURE).is_file():
        figures.append((DATA_FIGURE, "Test images"))
    write_text(folder / "leaderboard.md", to_markdown(boards, figures))
    return boards
