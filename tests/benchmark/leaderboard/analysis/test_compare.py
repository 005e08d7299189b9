"""Two models against each other, on the committed records."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from benchmark.errors import UserError
from benchmark.leaderboard.analysis.compare import compare_models
from benchmark.leaderboard.load.results import read_results
from benchmark.storage.paths import ROOT
from benchmark.storage.upgrade import upgrade_scores

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


@pytest.fixture(scope="module", params=["dermsynth", "isic2018-128"])
def published(request):
    return read_results(ROOT / "results" / request.param / "quick")


def differences(published, names: tuple[str, str], metric: str, level: str) -> pd.Series:
    """Image by image, first less second, with the group of each image: by pandas, from the files."""
    sides = []
    for name in names:
        stem = published.directory / "records" / f"{name.replace('/', '-')}-0"
        scores = upgrade_scores(pd.read_parquet(stem.with_name(f"{stem.name}.scores.parquet")))
        kept = scores[(scores["method"] == "grad-cam") & (scores["metric"] == metric) & (scores["level"] == level)]
        sides.append(kept.set_index("image")["value"])
    groups = pd.read_parquet(stem.with_name(f"{stem.name}.predictions.parquet")).set_index("image")["group"]
    gap = sides[0] - sides[1]
    return gap.groupby(groups.reindex(gap.index).to_numpy())


@pytest.mark.parametrize("names", PAIRS, ids=lambda names: names[0])
def test_swapping_the_two_turns_every_sign_exactly(published, names):
    there, back = (compare_models(published, each) for each in (names, names[::-1]))
    for one, other in zip(there.columns, back.columns, strict=True):
        assert (other.difference.value, other.difference.effect) == (-one.difference.value, -one.difference.effect)
        assert (other.difference.low, other.difference.high) == (-one.difference.high, -one.difference.low)
        assert (other.difference.p, other.difference.wilcoxon, other.adjusted) == (
            one.difference.p,
            one.difference.wilcoxon,
            one.adjusted,
        )
        swapped = {"A better": "B better", "B better": "A better", "A higher": "B higher", "B higher": "A higher"}
        assert other.verdict == swapped.get(one.verdict, one.verdict)


@pytest.mark.parametrize("names", PAIRS, ids=lambda names: names[0])
def test_the_verdict_agrees_with_scipys_own_tests(published, names):
    found = compare_models(published, names)
    columns = {each.column.name: each for each in found.columns}
    adjusted = multipletests([each.difference.p for each in found.columns], method="holm")[1]
    assert [each.adjusted for each in found.columns] == pytest.approx(adjusted)
    for name, (metric, level) in OF_IMAGES.items():
        known, by_group = columns[name], differences(published, names, metric, level)
        if known.one.undefined or known.other.undefined:
            continue  # degenerate maps: the means are of different images, which no paired test of scipy's can take
        every_image = by_group.sum().to_numpy()
        assert known.difference.value == pytest.approx(every_image.sum() / by_group.count().sum())
        flips = scipy.stats.permutation_test(
            (every_image,), np.sum, permutation_type="samples", n_resamples=4999, vectorized=True, rng=0
        )
        # Where few images make most of a difference the two part, but not where anything hangs on it.
        if min(known.difference.p, flips.pvalue) < 0.1:
            assert known.difference.p == pytest.approx(flips.pvalue, abs=0.04)
        if (by_group.count() == 1).all():
            assert known.difference.p == pytest.approx(scipy.stats.ttest_1samp(every_image, 0).pvalue, rel=1e-3)
        assert known.difference.wilcoxon == pytest.approx(scipy.stats.wilcoxon(every_image).pvalue, rel=1e-3)
        # Where the adjusted p-value is clearly on one side, the verdict is that of the sign flips.
        if known.adjusted < 0.01:
            assert flips.pvalue < 0.05
            better = (known.difference.value > 0) == known.column.higher_is_better
            assert known.verdict == ("A better" if better else "B better")
        elif flips.pvalue > 0.06:
            assert known.verdict == "not significantly different at this n"


def test_the_images_shown_are_those_that_differ_most(published):
    names = PAIRS[0]
    found = compare_models(published, names)
    gap = differences(published, names, "map-f1", "image").obj
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
    (told,) = json.loads(done.stdout)
    assert (told["a"], told["synthetic"], told["picture"]) == ("xception/standard", True, None)
    f1 = next(each for each in told["columns"] if each["column"] == "map_f1")
    assert f1["low"] <= f1["difference"] <= f1["high"]
    assert f1["verdict"] in {"A better", "B better", "not significantly different at this n"}
