"""Writing tables and figures beside the records."""

from pathlib import Path

from benchmark.leaderboard.board import Board, boards_of, read_published
from benchmark.leaderboard.claims import judge
from benchmark.leaderboard.claims import to_markdown as to_claims
from benchmark.leaderboard.figures import regimes_figure
from benchmark.leaderboard.latex import to_latex
from benchmark.leaderboard.tables import CONTRASTED, contrasts_csv, pairs_csv, to_csv, to_markdown
from benchmark.store import write_text

DATA_FIGURE = "data.png"
REGIMES_FIGURE = "regimes.png"
SHEETS = {
    "maps-standard.png": "Maps of the standard models beside image and masks",
    "maps-adversarial.png": "Maps of the adversarially trained models beside image and masks",
}


def rebuild(folder: Path) -> list[Board]:
    """Writes leaderboard.csv, .md and .tex, the tables of details and the figures of a results folder.

    The first saliency method makes leaderboard.csv; every other one makes leaderboard-<method>.csv.

    Returns:
        One board per saliency method, the main one first.

    Raises:
        UserError: The folder holds no records that can be used.
    """
    boards = list(boards_of(read_published(folder)))
    main = boards[0]
    for number, board in enumerate(boards):
        suffix = f"-{board.method}" if number else ""
        write_text(folder / f"leaderboard{suffix}.csv", to_csv(board))
        write_text(folder / f"leaderboard{suffix}.tex", to_latex(board, CONTRASTED))
    write_text(folder / "contrasts.csv", contrasts_csv(boards))
    write_text(folder / "pairs.csv", pairs_csv(main))
    regimes_figure(main, folder / REGIMES_FIGURE)
    figures = [(REGIMES_FIGURE, "Standard against adversarial training, score by score")]
    figures += [(file, caption) for file, caption in SHEETS.items() if (folder / file).is_file()]
    if (folder / DATA_FIGURE).is_file():
        figures.append((DATA_FIGURE, "Test images"))
    if judged := judge(boards):
        write_text(folder / "claims.md", to_claims(judged, boards))
    write_text(folder / "leaderboard.md", to_markdown(boards, figures))
    return boards
