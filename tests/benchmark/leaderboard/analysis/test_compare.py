"""Two models against each other, on the committed records."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import scipy.stats

from benchmark.errors import UserError
from benchmark.leaderboard.analysis import compare
from benchmark.leaderboard.analysis.compare import compare_models
from benchmark.leaderboard.load.results import read_results
from benchmark.statistics.tests import all_pairs
from benchmark.storage.paths import ROOT
from benchmark.storage.upgrade import upgrade_scores
from tests.committed import QUICK, committed_sidecar

PAIRS = [
    ("xception/standard", "resnet50/adversarial"),
    ("vgg16/standard", "vgg16/adversarial"),
    ("densenet121/standard", "densenet121/adversarial"),
]
OF_IMAGES = {
    "map_f1": ("map-f1", "image"),
    "sparsity": ("sparsity", "map"),
    "faithfulness": ("faithfulness", "map"),
    "sharpness": ("sharpness", "map"),
    "map_iou": ("map-iou", "image"),
    "tv_ratio": ("tv-ratio", "map"),
}


@pytest.fixture(scope="module")
def published():
    """A committed table, built once."""
    known = read_results(QUICK)
    tables = compare.build_tables(known, ["grad-cam"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compare, "build_tables", lambda *_: tables)
        yield known


def differences(names: tuple[str, str], metric: str, level: str) -> pd.Series:
    """Image by image, first less second, with the group of each image: by pandas, from the files."""
    sides = []
    for name in names:
        scores = upgrade_scores(pd.read_parquet(committed_sidecar(name, "scores.parquet")))
        rows = scores[(scores["method"] == "grad-cam") & (scores["metric"] == metric) & (scores["level"] == level)]
        sides.append(rows.set_index("image")["value"])
    groups = pd.read_parquet(committed_sidecar(name, "predictions.parquet")).set_index("image")["group"]
    gap = sides[0] - sides[1]
    return gap.groupby(groups.reindex(gap.index).to_numpy())


@pytest.mark.parametrize("names", PAIRS, ids=lambda names: names[0])
def test_swapping_the_two_turns_every_sign_exactly(published, names):
    there, back = (compare_models(published, each) for each in (names, names[::-1]))
    for one, other in zip(there.columns, back.columns, strict=True):
        assert (other.difference.value, other.difference.effect) == (-one.difference.value, -one.difference.effect)
        assert (other.difference.low, other.difference.high) == (-one.difference.high, -one.difference.low)
        assert other.difference.p == one.difference.p
        assert other.adjusted == pytest.approx(one.adjusted, nan_ok=True)
        assert other.verdict == one.verdict.translate(str.maketrans("AB", "BA"))


@pytest.mark.parametrize("names", PAIRS, ids=lambda names: names[0])
def test_the_tests_are_scipys_and_the_verdicts_are_those_of_the_table(published, names):
    columns = {each.column.name: each for each in compare_models(published, names).columns}
    table = compare.build_tables(published, ["grad-cam"])[0]
    labels = [row.label for row in table.ranked]
    pairs = all_pairs([row.estimates["map_f1"] for row in table.ranked], scope="trainings")
    for name, (metric, level) in OF_IMAGES.items():
        known, by_group = columns[name], differences(names, metric, level)
        every_image = by_group.sum().to_numpy()
        assert known.difference.value == pytest.approx(every_image.sum() / by_group.count().sum(), rel=1e-4)
        assert known.difference.images == by_group.count().sum()
        if (by_group.count() == 1).all():
            assert known.difference.p == pytest.approx(scipy.stats.ttest_1samp(every_image, 0).pvalue, rel=1e-3)
        assert (known.difference.low > 0 or known.difference.high < 0) == (known.difference.p < 0.05)
        assert known.difference.scope == "trainings"
    if set(names) <= set(labels):
        index = tuple(labels.index(name) for name in names)
        assert columns["map_f1"].adjusted == pytest.approx(pairs.adjusted[index])
        assert columns["map_f1"].verdict.startswith(("A ", "B ")) == pairs.significant[index]
    else:
        assert columns["map_f1"].verdict == "no verdict: does not beat chance"


def test_the_images_shown_are_those_that_differ_most(published):
    names = PAIRS[0]
    found = compare_models(published, names)
    gap = differences(names, "map-f1", "image").obj
    assert found.images[0].image == gap.idxmax()
    assert found.images[3].image == gap.idxmin()
    assert found.images[0].one - found.images[0].other == pytest.approx(gap.max())


def test_unknown_models_are_named_with_their_neighbors(published):
    with pytest.raises(UserError, match="unknown model 'xception/standrd'; nearest: xception/standard"):
        compare_models(published, ("xception/standrd", "vgg16/standard"))
    with pytest.raises(UserError, match="compared with itself"):
        compare_models(published, ("vgg16/standard", "vgg16/standard"))
    with pytest.raises(UserError, match="unknown method"):
        compare_models(published, PAIRS[0], "lime")


def test_the_verb_needs_no_torch_and_answers_in_json(tmp_path):
    code = (
        "import sys, benchmark.__main__ as m\n"
        "sys.argv = ['loupe', 'compare', 'xception/standard', 'vgg16/adversarial']\n"
        "sys.argv += ['--dataset', 'dermsynth', '--json']\n"
        "try: m.main()\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "", "LOUPE_RUNS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    (payload,) = json.loads(done.stdout)
    assert (payload["a"], payload["synthetic"], payload["picture"]) == ("xception/standard", True, None)
    f1 = next(each for each in payload["columns"] if each["column"] == "map_f1")
    assert f1["low"] <= f1["difference"] <= f1["high"]
    assert f1["scope"] == "trainings"
    assert f1["verdict"].endswith((", in these trainings", "does not beat chance"))
