"""The figure of scores by regime: each dot is on its own interval, and all of them are in sight."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmark.leaderboard.figures.sheets import _draw_panel, regimes_figure
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.benchmark.leaderboard.made_results import make_results


@pytest.mark.parametrize("regimes", [1, 2, 9])
def test_dots_are_on_their_intervals_and_in_sight(tmp_path, regimes):
    directory = make_results(tmp_path / "made" / "quick", images=12, architectures=2, regimes=regimes)
    (leaderboard, *_) = build_tables(read_results(directory))
    order = list(dict.fromkeys(row.name for row in leaderboard.models))
    colors = {title: (0.0, 0.0, index / 9) for index, title in enumerate(sorted({r.title for r in leaderboard.models}))}
    assert len(colors) == regimes
    axis = Figure().subplots()
    column = next(column for column in leaderboard.columns if column.by_regime)
    _draw_panel(axis, leaderboard, column, order, colors)
    dots = np.asarray(axis.collections[0].get_offsets())
    assert len(dots) == len(leaderboard.models) == 2 * regimes
    lines = [np.asarray(line.get_xydata()) for line in axis.lines]
    intervals = [line for line in lines if len(line) == 2 and line[0, 1] == line[1, 1]]  # no baseline, which is upright
    for (x, y), interval in zip(dots, intervals, strict=True):
        assert interval[:, 1].tolist() == [y, y]
        assert interval[0, 0] <= x <= interval[1, 0]
    bottom, top = axis.get_ylim()
    assert all(top < y < bottom for y in dots[:, 1])
    assert len(set(dots[:, 1])) == len(dots)
    for row, y in zip(leaderboard.models, dots[:, 1], strict=True):
        assert round(y) == order.index(row.name)  # a dot is nearest to the line of its own architecture


def test_the_figure_of_many_regimes_is_drawn(tmp_path):
    directory = make_results(tmp_path / "made" / "quick", images=12, architectures=2, regimes=9)
    (leaderboard, *_) = build_tables(read_results(directory))
    regimes_figure(leaderboard, tmp_path / "regimes.png")
    assert (tmp_path / "regimes.png").stat().st_size > 10_000
