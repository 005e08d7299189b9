"""CSV and page state the displacement of a grid, where the record knows it."""

import csv
import io
import json

import pytest

from architectures.geometry import Axis, stretched
from benchmark.leaderboard.export.csv import GRID_COLUMNS, to_csv
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.storage.record import Alignment
from tests.benchmark.leaderboard.made_results import make_results

UNKNOWN = {"method": "none", "reason": "its surrogate is not linear"}
SYMMETRIC = Axis(first=0.0, spacing=32.0, cells=7, pixels=224)
VALID = Axis(first=37.0001, spacing=32.0, cells=5, pixels=224)


def alignment_of(rows: Axis, columns: Axis, method: str = "receptive-field") -> Alignment:
    return Alignment(
        method=method,
        grid=(rows.cells, columns.cells),
        first=(rows.first, columns.first),
        spacing=(rows.spacing, columns.spacing),
        displacement=(rows.displacement, columns.displacement),
    )


@pytest.mark.parametrize("axis", [SYMMETRIC, VALID, Axis(first=-1.0, spacing=4.0, cells=1, pixels=9)])
def test_outer_offset_is_that_of_the_farthest_cell(axis):
    distance = (stretched(axis.cells, axis.pixels).centers - axis.centers).abs()
    assert alignment_of(axis, SYMMETRIC).outer_offset == pytest.approx((distance.max().item(), 15.5))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Two architectures: one with a grid of valid padding, stretched, and one whose grid is unknown."""
    directory = make_results(tmp_path_factory.mktemp("results") / "made" / "quick", images=12, architectures=3)
    known = alignment_of(VALID, SYMMETRIC, "none").model_dump()
    for path in (directory / "records").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["alignment"] = {"densenet121": known, "efficientnet_b0": UNKNOWN}.get(record["architecture"])
        path.write_text(json.dumps(record), encoding="utf-8")
    return read_results(directory)


def test_columns_of_the_csv(published):
    rows = csv.DictReader(io.StringIO(to_csv(build_tables(published, ["grad-cam"])[0])))
    cells = {row["name"]: [row[name] for name in GRID_COLUMNS] for row in rows}
    assert cells["densenet121"] == ["none", "10.50", "15.50", "36.10", "15.50"]
    assert cells["efficientnet_b0"] == ["none", "", "", "", ""]
    assert cells["inception_resnet_v2"] == cells["uniform noise"] == [""] * 5


def test_column_and_cards_of_the_page(published):
    text = page([PageInput(published=published, leaderboards=build_tables(published, ["grad-cam"]))])
    assert text.count('data-name="displacement"') == 1
    assert text.count("<b>10.5, 15.5</b> <small>outer cells 36.1, 15.5 · not corrected</small>") == 2
    assert "none: displaced by 10.5 px down and 15.5 px right, outer cells by 36.1 px<" in text
    assert "grid stretched over the image: its surrogate is not linear" in text
    assert "grids stretched over the image, as in all records of older versions" in text
