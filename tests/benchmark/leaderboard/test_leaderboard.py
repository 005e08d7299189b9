"""The leaderboard as a pure function of the records: same bytes, without torch, and nothing damaged stops it."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmark.errors import UserError
from benchmark.leaderboard.analysis.baselines import against_baseline
from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.analysis.summary import headline
from benchmark.leaderboard.build import REGIMES_FIGURE, rebuild
from benchmark.leaderboard.columns import COLUMNS, HEADLINES
from benchmark.leaderboard.export.csv import contrasts_csv, pairs_csv, to_csv
from benchmark.leaderboard.export.latex import to_latex
from benchmark.leaderboard.figures.ranks import compute_ranks
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.statistics.tests import holm
from benchmark.storage.paths import ROOT
from benchmark.storage.upgrade import SCHEMA
from tests.benchmark.leaderboard.made_results import make_results

TABLES = (
    "leaderboard.csv",
    "leaderboard-gradient.csv",
    "leaderboard.md",
    "leaderboard.tex",
    "contrasts.csv",
    "pairs.csv",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three architectures in two regimes, of which one has two seeds; 30 images."""
    return make_results(tmp_path_factory.mktemp("results") / "made" / "quick", images=30, architectures=3, seeds=2)


@pytest.fixture
def copied(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "made" / "quick"))


@pytest.fixture(scope="module")
def leaderboards(made):
    return build_tables(read_results(made))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_table_without_figures_removes_those_of_another_table(copied):
    rebuild(copied)
    table = (copied / "leaderboard.csv").read_bytes(), (copied / "agreement.csv").read_bytes()
    assert (copied / REGIMES_FIGURE).is_file()
    assert REGIMES_FIGURE in (copied / "leaderboard.md").read_text(encoding="utf-8")
    rebuild(copied, draw=False)
    assert not list(copied.glob("*.png"))
    assert REGIMES_FIGURE not in (copied / "leaderboard.md").read_text(encoding="utf-8")
    assert table == ((copied / "leaderboard.csv").read_bytes(), (copied / "agreement.csv").read_bytes())


def harm_json(directory: Path) -> str:
    (directory / "records" / "xception-x-0.json").write_text("{", encoding="utf-8")
    return f"xception-x-0.json: no record of schema {SCHEMA}"


def harm_schema(directory: Path) -> str:
    path = next((directory / "records").glob("*-standard-0.json"))
    path.write_text(path.read_text(encoding="utf-8").replace(f'"schema_version": {SCHEMA}', '"schema_version": 9'))
    return f"{path.name}: made by another version of Loupe (schema 9, not {SCHEMA})"


def harm_depth(directory: Path) -> str:
    (directory / "records" / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    return f"deep.json: no record of schema {SCHEMA}"


def harm_scores(directory: Path) -> str:
    path = next((directory / "records").glob("*-standard-0.scores.parquet"))
    path.write_bytes(path.read_bytes()[:100])
    return f"{path.name.split('.')[0]}.json: its scores are damaged"


def harm_pages(directory: Path) -> str:
    """The ends of the file stay as they are: seen only when the scores are read."""
    path = next((directory / "records").glob("*-standard-0.scores.parquet"))
    whole = bytearray(path.read_bytes())
    whole[4 : len(whole) // 2] = bytes(len(whole) // 2 - 4)
    path.write_bytes(whole)
    return f"{path.name.split('.')[0]}.json: "


def harm_columns(directory: Path) -> str:
    path = next((directory / "records").glob("*-standard-0.predictions.parquet"))
    pd.read_parquet(path).drop(columns="group").to_parquet(path)
    return f"{path.name.split('.')[0]}.json: its predictions lack the column group"


def harm_images(directory: Path) -> str:
    path = max((directory / "records").glob("*-standard-1.predictions.parquet"))
    frame = pd.read_parquet(path)
    frame.assign(image=["other", *frame["image"][1:]]).to_parquet(path)
    return f"{path.name.split('.')[0]}.json: scores 'image00000', which is no test image"


def harm_absence(directory: Path) -> str:
    path = next((directory / "records").glob("*-standard-0.predictions.parquet"))
    path.unlink()
    return f"{path.name.split('.')[0]}.json: its scores or predictions are missing"


@pytest.mark.parametrize(
    "harm",
    [harm_json, harm_schema, harm_depth, harm_scores, harm_pages, harm_columns, harm_images, harm_absence],
    ids=lambda harm: harm.__name__,
)
def test_what_is_damaged_is_named_and_the_rest_is_shown(copied, harm):
    problem = harm(copied)
    leaderboard = build_tables(read_results(copied))[0]
    assert len(leaderboard.problems) == 1
    assert leaderboard.problems[0].startswith(problem)
    assert len(leaderboard.models) == 6
    assert all(np.isfinite(row.estimates["map_f1"].value) for row in leaderboard.models)


def test_the_verb_needs_no_torch_names_what_it_left_out_and_writes_the_same_bytes_each_time(copied):
    problems = [harm_json(copied), harm_images(copied)]
    code = (
        "import sys, benchmark.__main__ as m\n"
        f"sys.argv = ['loupe', 'leaderboard', {str(copied)!r}]\n"
        "try: m.main()\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    page = (copied / "leaderboard.md").read_text(encoding="utf-8")
    for line in problems:
        assert line in done.stdout
        assert f"- Left out: {line}" in page
    assert "2 records left out." in page
    assert "1 cell without a record" in page
    assert len(rows_of(copied / "leaderboard.csv")) == 8
    written = {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()}
    assert set(TABLES) <= set(written)
    for name in ("reliance.csv", "reliance-subgroups.csv"):
        (copied / name).write_text("of records that are no longer here", encoding="utf-8")
    rebuild(copied)
    assert {path.name: path.read_bytes() for path in copied.iterdir() if path.is_file()} == written


def test_nothing_usable_is_said_in_one_line(copied):
    for path in (copied / "records").glob("*.predictions.parquet"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no record that can be used"):
        read_results(copied)


def test_every_file_is_read_once(copied, monkeypatch):
    """However many methods and tables there are; the names of files that list the same rows are read once in all."""
    read, whole = [], pq.ParquetFile.iter_batches

    def counted(file, *args, columns, **options):
        read.append(tuple(columns))
        return whole(file, *args, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    (copied / "baselines.parquet").unlink()
    build_tables(read_results(copied))
    assert read.count(("value",)) == 12
    assert len(read) == 13


def test_what_is_equal_is_drawn_once(leaderboards):
    """The diagnosis in the tables of all methods; of many classes the sensitivity is the balanced accuracy."""
    first, second = ({row.label: row.estimates for row in leaderboard.models} for leaderboard in leaderboards)
    for label, known in first.items():
        assert known["sensitivity"].draws is known["balanced_accuracy"].draws
        assert known["balanced_accuracy"].draws is second[label]["balanced_accuracy"].draws
        assert known["macro_f1"].draws is not known["balanced_accuracy"].draws


def test_the_order_of_images_in_a_file_does_not_matter(copied, leaderboards):
    paths = list((copied / "records").glob("*-adversarial-*.parquet"))
    assert paths
    for path in paths:
        pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path)
    again = build_tables(read_results(copied))[0]
    for one, other in zip(leaderboards[0].rows, again.rows, strict=True):
        assert one.label == other.label
        for name, known in one.estimates.items():
            assert known.value == pytest.approx(other.estimates[name].value, nan_ok=True)
            assert known.low == pytest.approx(other.estimates[name].low, nan_ok=True)


def test_the_tables_say_the_same(leaderboards, tmp_path):
    leaderboard = leaderboards[0]
    (tmp_path / "table.csv").write_text(to_csv(leaderboard), encoding="utf-8")
    rows = rows_of(tmp_path / "table.csv")
    assert [row["name"] for row in rows] == [row.name for row in leaderboard.rows]
    for line, row in zip(rows, leaderboard.rows, strict=True):
        for column in COLUMNS:
            if column.name in row.estimates:
                assert float(line[column.name]) == pytest.approx(row.estimates[column.name].value, abs=1e-6)
                assert int(line[f"{column.name}_n"]) == row.estimates[column.name].images
    assert [row["map_f1_significance_group"] for row in rows[:6]] == [
        row.letters["map_f1"] for row in leaderboard.models
    ]
    assert [int(row["rank"]) for row in rows[:6]] == [row.rank for row in leaderboard.models]
    assert {row["interval"] for row in rows[:6]} == {"images and trainings"}
    assert {row["rank"] for row in rows[6:]} == {""}


def test_contrasts_are_paired_and_corrected_in_their_family(leaderboards, tmp_path):
    (tmp_path / "contrasts.csv").write_text(
        contrasts_csv(leaderboards, [compute_contrasts(leaderboard) for leaderboard in leaderboards]), encoding="utf-8"
    )
    lines = rows_of(tmp_path / "contrasts.csv")
    assert {line["method"] for line in lines} == {"grad-cam", "gradient"}
    family = [line for line in lines if line["method"] == "grad-cam" and line["column"] == "map_f1"]
    assert len(family) == 3
    assert {line["scope"] for line in family} == {"models"}
    assert [float(line["p_holm"]) for line in family] == pytest.approx(
        holm(np.array([float(line["p"]) for line in family])), rel=0.02
    )
    rows = {(row.name, row.regime): row for row in leaderboards[0].models}
    for each in compute_contrasts(leaderboards[0]):
        pair = [rows[each.name, regime].estimates[each.column.name].value for regime in (each.regime, "standard")]
        if each.column.name != "map_f1_right":  # which is compared on the images that both classify correctly
            assert each.difference.value == pytest.approx(pair[0] - pair[1])
        assert each.difference.low <= each.difference.value <= each.difference.high


def test_pairs_letters_ranks_and_figure_are_one_test(leaderboards, tmp_path):
    (tmp_path / "pairs.csv").write_text(pairs_csv(leaderboards[0]), encoding="utf-8")
    lines = rows_of(tmp_path / "pairs.csv")
    rows = {row.label: row for row in leaderboards[0].models}
    drawn = compute_ranks(leaderboards[0])
    assert len(lines) == 15
    for line in lines:
        first, second = rows[line["first"]], rows[line["second"]]
        apart = line["verdict"] == "significantly different"
        assert bool(set(first.letters["map_f1"]) & set(second.letters["map_f1"])) != apart
        assert (first.rank_interval[1] < second.rank_interval[0]) <= apart
        assert drawn.significant[drawn.names.index(first.label), drawn.names.index(second.label)] == apart
        assert line["scope"] == "models"


def test_the_summary_is_a_verdict_by_rule(leaderboards):
    leaderboard = leaderboards[0]
    contrasts = compute_contrasts(leaderboard)
    lines = headline(leaderboard, contrasts)
    comparison = against_baseline(leaderboard)
    assert lines[0].startswith("None yet" if not comparison.above else leaderboard.models[0].label)
    assert leaderboard.models[0].label in " ".join(lines[:2])
    assert f"({len([c for c in contrasts if c.column.name == 'map_f1'])} comparisons, Holm)" in lines[2]


def test_degenerate_maps_and_missing_cells_are_counted(copied):
    path = copied / "records" / "densenet121-standard-0.scores.parquet"
    frame = pd.read_parquet(path)
    constant = (frame["metric"] == "tv-ratio") & (frame["method"] == "grad-cam") & frame["image"].isin(["image00003"])
    frame.assign(value=frame["value"].mask(constant)).to_parquet(path)
    for gone in (copied / "records").glob("efficientnet_b0-adversarial-1.*"):
        gone.unlink()
    leaderboard = build_tables(read_results(copied))[0]
    assert {row.label: row.degenerate for row in leaderboard.models if row.degenerate} == {"densenet121/standard": 1}
    assert leaderboard.missing == ("efficientnet_b0/adversarial (seed 1)",)


def test_latex_is_complete_and_has_no_bare_special(copied):
    record = next((copied / "records").glob("*-standard-0.json"))
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(content | {"dataset": "a_b & 50 % #1 \\input{x}"}), encoding="utf-8")
    leaderboard = build_tables(read_results(copied))[0]
    text = to_latex(leaderboard, HEADLINES)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert not re.search(r"(?<!\\)[%#_]", body)
    assert r"\input" not in body
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1
    assert len(lines) == 2 + len(leaderboard.rows)
