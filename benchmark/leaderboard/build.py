"""Writes the tables and figures of a results directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.leaderboard.analysis.agreement import Agreement, agreement_csv, compute_agreements
from benchmark.leaderboard.analysis.claims import evaluate_claims
from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.analysis.stability import compute_stabilities
from benchmark.leaderboard.analysis.subgroup_reliance import build_subgroup_reliance
from benchmark.leaderboard.export.claims import claims_markdown
from benchmark.leaderboard.export.csv import contrasts_csv, pairs_csv, to_csv
from benchmark.leaderboard.export.latex import to_latex
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.export.reliance import (
    CLASS_RELIANCE,
    SUBGROUP_RELIANCE,
    class_reliance_csv,
    reliance_csv,
    subgroup_reliance_csv,
)
from benchmark.leaderboard.figures.ranks import agreement_figure, compute_ranks, critical_difference_figure
from benchmark.leaderboard.figures.sheets import regimes_figure
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.table import LeaderboardTable
from benchmark.leaderboard.tables import build_tables
from benchmark.runtime.collection import paused_collection
from benchmark.storage.files import write_text
from benchmark.storage.hashing import file_digest
from benchmark.storage.lock import writing
from benchmark.storage.protocol import read_protocol, write_protocol
from benchmark.storage.results import BASELINES_FILE, SPLIT_FILE

DATA_FIGURE = "data.webp"
PAGE = "leaderboard.html"
CLAIMS = "claims.md"
RELIANCE = "reliance.csv"
REGIMES_FIGURE = "regimes.png"
RANKS_FIGURE = "ranks.png"
AGREEMENT_FIGURE = "agreement.png"
RELIANCE_SHEETS = "reliance*.webp"
"""Pattern of the sheets that show reliance, one per variant, such as `reliance-imagenet.webp`."""
TABLES = (
    *("leaderboard*.*", "contrasts.csv", "pairs.csv", "agreement.csv", RELIANCE, CLASS_RELIANCE, CLAIMS),
    *(SUBGROUP_RELIANCE, BASELINES_FILE, SPLIT_FILE),
)
"""Patterns of the files whose digests are stored once the tables are complete."""
SHEETS = {
    "maps-standard.webp": "Maps of the standard models, with image and masks",
    "maps-adversarial.webp": "Maps of the adversarially trained models, with image and masks",
}


def write_joint_page(leaderboards: Mapping[Path, Sequence[LeaderboardTable]], path: Path) -> None:
    """Writes one page of several results directories, on which readers select the data set.

    Args:
        leaderboards: From :func:`rebuild`, by directory.
        path: Where to write the page.
    """
    inputs = [
        PageInput(published=read_results(directory), leaderboards=tables) for directory, tables in leaderboards.items()
    ]
    write_text(path, page(inputs))


def rebuild(directory: Path, *, draw: bool = True) -> list[LeaderboardTable]:
    """Writes leaderboard.csv, .md, .html and .tex, the tables of details and the figures of a results directory.

    The first saliency method is the main one and has leaderboard.csv. The others have leaderboard-<method>.csv.
    The protocol file is written last. It marks the tables as complete.

    Args:
        directory: The results directory.
        draw: Whether to draw the figures. Without it, those of earlier tables are removed. They take most of the time.

    Returns:
        One table per saliency method, the main one first.

    Raises:
        UserError: The directory has no usable records.
    """
    with writing(directory), paused_collection():
        return _rebuild(directory, draw=draw)


def _rebuild(directory: Path, *, draw: bool) -> list[LeaderboardTable]:
    published = read_results(directory)
    leaderboards = list(build_tables(published))
    main = leaderboards[0]
    contrasts = [compute_contrasts(leaderboard) for leaderboard in leaderboards]
    for index, leaderboard in enumerate(leaderboards):
        suffix = f"-{leaderboard.method}" if index else ""
        write_text(directory / f"leaderboard{suffix}.csv", to_csv(leaderboard))
        write_text(
            directory / f"leaderboard{suffix}.tex",
            to_latex(leaderboard, [column for column in leaderboard.columns if column.contrasted]),
        )
    write_text(directory / "contrasts.csv", contrasts_csv(leaderboards, contrasts))
    write_text(directory / "pairs.csv", pairs_csv(main))
    _write_or_remove(directory / RELIANCE, reliance_csv(leaderboards))
    _write_or_remove(directory / CLASS_RELIANCE, class_reliance_csv(leaderboards))
    subgroups = build_subgroup_reliance(published, main)
    _write_or_remove(directory / SUBGROUP_RELIANCE, subgroup_reliance_csv(subgroups, main))
    agreements = [compute_agreements(leaderboard) for leaderboard in leaderboards]
    write_text(directory / "agreement.csv", agreement_csv(leaderboards, agreements, compute_stabilities(leaderboards)))
    figures = _draw_figures(main, agreements[0], directory) if draw else _remove_figures(directory)
    figures += [(file, caption) for file, caption in SHEETS.items() if (directory / file).is_file()]
    sheets = sorted(path.name for path in directory.glob(RELIANCE_SHEETS))
    figures += [(file, "Images with the lesion and without it, the answers to both, and maps") for file in sheets]
    if (directory / DATA_FIGURE).is_file():
        figures.append((DATA_FIGURE, "Test images"))
    results = evaluate_claims(published, leaderboards)
    _write_or_remove(directory / CLAIMS, claims_markdown(results, leaderboards) if results else "")
    write_text(directory / "leaderboard.md", to_markdown(leaderboards, contrasts[0], figures, subgroups))
    page_input = PageInput(published=published, leaderboards=leaderboards, contrasts=contrasts, subgroups=subgroups)
    write_text(directory / PAGE, page([page_input]))
    keys = [record.key for record in published.records.values()]
    write_protocol(directory, published.protocol, keys, _digest_files(directory))
    return leaderboards


def _write_or_remove(path: Path, text: str) -> None:
    """Writes a table. Removes one of earlier records where these give none."""
    if text:
        write_text(path, text)
    else:
        path.unlink(missing_ok=True)


def _digest_files(directory: Path) -> dict[str, str]:
    """Computes the SHA-256 of the tables. What they were computed from retains the digest that a run wrote."""
    earlier = read_protocol(directory).get("files", {})
    inputs = {name: earlier[name] for name in (BASELINES_FILE, SPLIT_FILE) if name in earlier}
    names = [path for pattern in TABLES for path in directory.glob(pattern)]
    return {path.name: file_digest(path) for path in names if path.is_file()} | inputs


def _remove_figures(directory: Path) -> list[tuple[str, str]]:
    """Removes the figures of an earlier table, which would show other models. Returns no names."""
    for name in (REGIMES_FIGURE, RANKS_FIGURE, AGREEMENT_FIGURE):
        (directory / name).unlink(missing_ok=True)
    return []


def _draw_figures(main: LeaderboardTable, agreements: list[Agreement], directory: Path) -> list[tuple[str, str]]:
    """Draws the figures that the records allow. Returns file names and captions."""
    regimes_figure(main, directory / REGIMES_FIGURE)
    figures = [(REGIMES_FIGURE, "Scores by regime")]
    ranks = compute_ranks(main)
    if ranks is not None:
        critical_difference_figure(main, ranks, directory / RANKS_FIGURE)
        bars = "" if ranks.significant is None else "; bars join models that the table does not separate"
        figures.append((RANKS_FIGURE, f"Mean ranks by map F1{bars}"))
    else:
        # One of an earlier table would show other models.
        (directory / RANKS_FIGURE).unlink(missing_ok=True)
    if agreements:
        agreement_figure(main, agreements, directory / AGREEMENT_FIGURE)
        figures.append((AGREEMENT_FIGURE, "Agreement of the scores on models and on images"))
    return figures
