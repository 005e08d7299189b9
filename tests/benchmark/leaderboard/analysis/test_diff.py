"""Our numbers beside published ones and beside our own of an earlier day."""

import csv
import subprocess

import pytest
from scipy.stats import kendalltau

from benchmark.errors import UserError
from benchmark.leaderboard.analysis.diff import diff_tables, format_diff, load_earlier_table, parse_table
from benchmark.leaderboard.analysis.published import (
    TABLES_DIR,
    compute_published_agreements,
    load_published_table,
    published_agreement_csv,
    published_agreement_markdown,
)
from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.committed import QUICK

HEADING = "kind,name,regime,map_f1,map_f1_low,map_f1_high\n"


@pytest.fixture(scope="module")
def leaderboard():
    return build_tables(read_results(QUICK), ["grad-cam"])[0]


@pytest.mark.parametrize("path", sorted(TABLES_DIR.glob("*.csv")), ids=lambda path: path.stem)
def test_every_published_table_has_a_source_and_known_columns(path):
    published = load_published_table(path.stem)
    assert published.sources
    assert published.differences
    assert {column for _, column in published.values} <= {column.name for column in COLUMNS}
    assert all(0 < value < 1 and 0 <= sd < 0.2 for each in published.values.values() for value, sd in each.values())


def test_published_values_are_those_of_the_paper():
    published = load_published_table("dermxdb-2023").values
    assert published["A", "map_f1"]["xception"] == (0.415, 0.002)
    assert published["A", "characteristic_sensitivity"]["nasnet_mobile"] == (0.49, 0.0)
    assert published["B", "map_f1"]["xception"] == (0.443, 0.007)
    assert len(published["A", "map_f1"]) == len(published["B", "map_f1"]) == 10


def test_rank_correlations_are_scipys_and_lie_in_their_intervals(leaderboard):
    published = load_published_table("dermxdb-2023")
    found = compute_published_agreements(leaderboard, published)
    standard = {row.name: row for row in leaderboard.models if row.regime == "standard"}
    for each in found:
        ours = [standard[name].estimates[each.column.name].value for name, *_ in each.rows]
        theirs = [published.values[each.set_name, each.column.name][name][0] for name, *_ in each.rows]
        assert each.tau == pytest.approx(kendalltau(ours, theirs).statistic)
        assert each.low <= each.high
        assert -1 <= each.low <= each.tau + 0.15
        assert each.tau - 0.15 <= each.high <= 1
    page = published_agreement_markdown(leaderboard, published, found)
    assert "SYNTHETIC" in page
    assert all(text in page for text in (*published.differences, *published.sources))
    lines = list(csv.DictReader(published_agreement_csv(leaderboard, found).splitlines()))
    assert {line["set"] for line in lines} == {"A", "B"}


def test_an_unknown_published_table_is_named():
    with pytest.raises(UserError, match="unknown published table 'dermxdb'; nearest: dermxdb-2023"):
        load_published_table("dermxdb")


def test_what_moved_beyond_the_intervals_is_told_from_what_moved_within():
    before = parse_table(
        HEADING + "model,a,x,0.50,0.45,0.55\nmodel,b,x,0.40,0.35,0.45\nmodel,gone,x,0.1,0.1,0.1\n", "then"
    )
    after = parse_table(HEADING + "model,b,x,0.60,0.55,0.65\nmodel,a,x,0.52,0.47,0.57\nbaseline,new,,0.2,,\n", "now")
    found = diff_tables(before, after)
    assert [(move.label, move.beyond) for move in found.moves] == [("b/x", True), ("a/x", False)]
    assert (found.new, found.gone, found.scores) == (("new",), ("gone/x",), 2)
    assert found.ranks == (("b/x", 2, 1), ("a/x", 1, 2))
    lines = format_diff(found, "v1")
    assert lines[0] == "Since v1: 2 of 2 scores changed, 1 of them beyond their intervals."
    assert "beyond: b/x, map F1: 0.400 -> 0.600" in lines


def test_a_table_that_is_the_same_has_not_moved():
    table = load_earlier_table(str(QUICK / "leaderboard.csv"), QUICK)
    found = diff_tables(table, table)
    assert not found.moves
    assert not found.ranks
    assert found.scores > 400


def test_an_earlier_table_comes_from_git(tmp_path):
    directory = tmp_path / "quick"
    directory.mkdir()
    (directory / "leaderboard.csv").write_text(HEADING + "model,a,x,0.5,0.4,0.6\n", encoding="utf-8")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    (directory / "leaderboard.csv").write_text("changed", encoding="utf-8")
    assert load_earlier_table("HEAD", directory)["a", "x"]["map_f1"] == "0.5"
    for wrong in ("v9", "--output=x", "HEAD~7"):
        with pytest.raises(UserError, match="--diff"):
            load_earlier_table(wrong, directory)
    with pytest.raises(UserError, match="no table of a leaderboard"):
        load_earlier_table(str(directory / "leaderboard.csv"), directory)
