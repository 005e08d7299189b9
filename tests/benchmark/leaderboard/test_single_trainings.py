"""What tables say with one seed, with several, and with both: of trainings, of models, and in which words."""

import csv

import pytest

from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.analysis.legend import describe_intervals, describe_ranks
from benchmark.leaderboard.analysis.summary import SINGLE_TRAININGS, headline
from benchmark.leaderboard.export.csv import pairs_csv, to_csv
from benchmark.leaderboard.export.grid import grid
from benchmark.leaderboard.export.latex import to_latex
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.figures.ranks import compute_ranks
from benchmark.leaderboard.html.summary_cards import build_summary_cards
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.benchmark.leaderboard.made_results import make_results

OF_MODELS = ("significantly different from", "pairs of models", "share a letter", "better maps", "of 3 others")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("made") / "made" / "quick", images=24, architectures=3, seeds=2)


@pytest.fixture(scope="module")
def single(directory):
    """The table of the first seeds."""
    published = read_results(directory)
    records = {path: record for path, record in published.records.items() if record.seed == 0}
    return build_tables(type(published)(directory=directory, protocol=published.protocol, records=records, problems=()))


@pytest.fixture(scope="module")
def mixed(directory):
    """The table in which one model has one seed."""
    published = read_results(directory)
    records = {path: r for path, r in published.records.items() if (r.architecture, r.seed) != ("densenet121", 1)}
    return build_tables(type(published)(directory=directory, protocol=published.protocol, records=records, problems=()))


def test_one_training_each_says_nothing_of_models(single):
    table = single[0]
    contrasts = compute_contrasts(table)
    texts = [
        to_markdown(single, contrasts, []).partition("## Columns")[0],
        to_latex(table, table.columns[:2]),
        *(card.text for card in build_summary_cards(table)),
    ]
    assert SINGLE_TRAININGS in headline(table, contrasts)
    assert SINGLE_TRAININGS in describe_intervals(table)
    assert all(SINGLE_TRAININGS in text for text in texts[:2])
    assert not [words for words in OF_MODELS if any(words in text for text in texts)]
    assert not any(row.letters or row.rank_interval for row in table.rows)
    assert compute_ranks(table).significant is None
    assert {contrast.verdict.endswith(" in these trainings") for contrast in contrasts} == {True}
    assert not any(contrast.significant for contrast in contrasts)


def test_tables_without_letters_lack_their_column(single, mixed):
    text, names = "significance group", ["model", "regime"]
    for tables, headings in ((single, ["rank", *names]), (mixed, ["rank", text, *names])):
        table = tables[0]
        lines = grid(table, table.columns[:2])
        assert lines[0][: -len(table.columns[:2])] == headings
        assert {len(line) for line in lines} == {len(lines[0])}
        assert grid(table, table.columns[:2], ranks=False)[0][:2] == names
        assert (text in to_markdown(tables, [], [])) is (text in headings)
        assert rf"\begin{{tabular}}{{{'l' * len(headings)}rr}}" in to_latex(table, table.columns[:2])


def test_the_files_of_single_trainings_name_their_scope(single):
    pairs = list(csv.DictReader(pairs_csv(single[0]).splitlines()))
    assert len(pairs) == 15
    assert {line["scope"] for line in pairs} == {"trainings"}
    assert {line["verdict"].endswith(" in these trainings") for line in pairs} == {True}
    rows = [line for line in csv.DictReader(to_csv(single[0]).splitlines()) if line["kind"] == "model"]
    assert {line["interval"] for line in rows} == {"images"}


def test_rows_with_a_single_seed_have_the_common_variance_and_it_is_said(mixed):
    table = mixed[0]
    assert {row.estimates["map_f1"].kind for row in table.models} == {"images and trainings"}
    text = describe_intervals(table)
    assert "(4 with several, " in text
    assert "Rows with a single seed have the common variance." in text
    assert "of 15 pairs" in describe_ranks(table)
    assert all(row.letters["map_f1"] for row in table.models)
