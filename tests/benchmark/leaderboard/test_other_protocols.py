"""What was made under another protocol stays in sight: below the table, ranked among itself alone."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.__main__ import app
from benchmark.leaderboard.analysis.diff import parse_table
from benchmark.leaderboard.build import rebuild
from benchmark.leaderboard.export.csv import OTHER_PROTOCOL, to_csv
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.benchmark.leaderboard.made_results import make_results

OLD = "0123456789abcdef"
NEW = "densenet121"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three networks, of which all but the first follow another protocol."""
    directory = make_results(tmp_path_factory.mktemp("apart") / "quick", images=20, architectures=3, regimes=1)
    for path in (directory / "records").glob("*.json"):
        if not path.name.startswith(NEW):
            text = path.read_text(encoding="utf-8")
            path.write_text(json.dumps(json.loads(text) | {"protocol": OLD}), encoding="utf-8")
    return directory


def alone(made: Path, target: Path) -> Path:
    """The same without the rows of the other protocol."""
    directory = Path(shutil.copytree(made, target))
    for path in (directory / "records").glob("*"):
        if not path.name.startswith(NEW):
            path.unlink()
    return directory


def test_the_rows_of_the_table_are_the_same_with_and_without_others(made, tmp_path):
    for leaderboard, bare in zip(
        *(build_tables(read_results(each)) for each in (made, alone(made, tmp_path / "alone"))), strict=True
    ):
        assert [row.label for row in leaderboard.models] == [f"{NEW}/standard"]
        assert leaderboard.models[0].rank == 1
        assert not leaderboard.problems
        for one, other in zip(leaderboard.rows, bare.rows, strict=True):
            assert one.letters == other.letters
            for name, known in one.estimates.items():
                assert np.array_equal(
                    [known.value, known.low], [other.estimates[name].value, other.estimates[name].low], equal_nan=True
                )


def test_the_others_are_a_board_of_their_own_for_each_method(made):
    for leaderboard in build_tables(read_results(made)):
        (other,) = leaderboard.other_protocols
        assert (other.method, other.record.protocol) == (leaderboard.method, OLD)
        assert {row.name for row in other.rows} == {"efficientnet_b0", "inception_resnet_v2"}
        assert {row.rank for row in other.models} == {1, 2}


def test_all_tables_show_them_marked(made):
    published = read_results(made)
    leaderboards = build_tables(published)
    rows = list(csv.DictReader(to_csv(leaderboards[0]).splitlines()))
    assert [row["name"] for row in rows if row["kind"] == "model"] == [NEW]
    others = [row for row in rows if row["kind"] == OTHER_PROTOCOL]
    assert [row["name"] for row in others] == [row.name for row in leaderboards[0].other_protocols[0].models]
    assert {row["rank"] + row["rank_best"] + row["map_f1_significance_group"] for row in others} == {""}
    assert all(float(row["map_f1"]) > 0 for row in others)
    text = to_markdown(leaderboards, [], [])
    above, below = text.split("## Made under another protocol")
    assert f"2 models of protocol {OLD}" in below
    for name in ("efficientnet_b0", "inception_resnet_v2"):
        assert f"| {name} " not in above
        assert f"| {name} " in below
    assert "2 models of another protocol below." in above
    whole = page([PageInput(published=published, leaderboards=leaderboards)])
    table = re.search(r"<h3>Made under another protocol</h3>.*?</table>", whole, re.DOTALL)[0]
    assert re.findall(r'<th scope="row">(\w+)', table) == [
        row.name for row in leaderboards[0].other_protocols[0].models
    ]


def test_what_moved_is_asked_of_the_table_alone(made):
    table = parse_table(to_csv(build_tables(read_results(made))[0]), "now")
    assert (NEW, "standard") in table
    assert ("efficientnet_b0", "standard") not in table


def test_one_that_cannot_be_read_is_left_out_by_name_and_stops_nothing(made, tmp_path):
    directory = Path(shutil.copytree(made, tmp_path / "quick"))
    for path in (directory / "records").glob("efficientnet*.scores.parquet"):
        whole = bytearray(path.read_bytes())
        whole[4 : len(whole) // 2] = bytes(len(whole) // 2 - 4)
        path.write_bytes(whole)
    leaderboard = build_tables(read_results(directory))[0]
    assert [row.name for row in leaderboard.other_protocols[0].models] == ["inception_resnet_v2"]
    assert [line.split(":")[0] for line in leaderboard.problems] == ["efficientnet_b0-standard-0.json"]
    for path in (directory / "records").glob("inception*.predictions.parquet"):
        path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    leaderboard = build_tables(read_results(directory))[0]
    assert leaderboard.other_protocols == ()
    assert len(leaderboard.problems) == 2
    assert [row.name for row in leaderboard.models] == [NEW]


def test_the_verb_says_so_in_its_line_and_finds_no_fault(made, tmp_path):
    directory = Path(shutil.copytree(made, tmp_path / "quick"))
    done = CliRunner().invoke(app, ["leaderboard", str(directory)])
    assert done.exit_code == 0, done.output
    line = " ".join(done.output.split())
    why = "equal settings, other data or code"
    assert line.endswith(f"1 model, and 2 of another protocol below ({why}); run them again to rank them all")
    assert rebuild(directory)[0].other_protocols
