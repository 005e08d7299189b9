"""Metrics that are called directly take what a notebook has, and refuse what they were not made for."""

import numpy as np
import pytest
import torch

from benchmark.registry import entries
from metrics import Metric
from metrics.inputs import check_inputs
from metrics.normalize import normalize
from metrics.overlap import map_f1
from metrics.sparsity import gini
from metrics.threshold import roc_auc

SALIENCY = torch.linspace(0, 1, 24).reshape(2, 3, 4)
MASK = SALIENCY % 0.3 > 0.15
REFERENCE = MASK.float()


def test_the_usual_masks_of_a_notebook_give_the_usual_score():
    """8-bit masks of 0 and 255 gave .0035 without an error."""
    expected = map_f1(SALIENCY, REFERENCE)
    wide = np.where(MASK.numpy(), 255, 0)  # int64
    eight = MASK.byte() * 255
    for reference in (
        MASK,
        MASK.byte(),
        eight,
        eight.numpy(),
        REFERENCE.numpy(),
        wide,
        wide // 255,
        wide.astype(">i4"),
    ):
        torch.testing.assert_close(map_f1(SALIENCY, reference), expected)
    torch.testing.assert_close(map_f1(SALIENCY.numpy(), REFERENCE.numpy()), expected)
    expected = roc_auc(SALIENCY, MASK)
    assert expected.isfinite().all()
    flipped = MASK.flip(1).numpy()[:, ::-1]
    for mask in (MASK.byte(), MASK.byte() * 255, MASK.long(), REFERENCE, MASK.numpy(), flipped):
        torch.testing.assert_close(roc_auc(SALIENCY, mask), expected)


def test_maps_of_eight_bits_are_degrees():
    levels = (SALIENCY * 255).round().byte()
    torch.testing.assert_close(map_f1(levels, REFERENCE), map_f1(levels.float() / 255, REFERENCE))


@pytest.mark.parametrize("kind", ["u2", ">f4", ">i2"])
def test_arrays_of_any_type_and_byte_order_are_scaled(kind):
    steps = np.arange(24).reshape(2, 3, 4)
    torch.testing.assert_close(gini(steps.astype(kind)), gini(steps.astype(float)))
    assert normalize(steps.astype("f4")).amax(dim=(1, 2)).tolist() == [1, 1]


WRONG = {
    "one map": (ValueError, r"saliency has the shape \(3, 4\).*saliency\[None\]", (SALIENCY[0], REFERENCE)),
    "channels": (ValueError, r"saliency\[:, 0\]", (SALIENCY[:, None], REFERENCE)),
    "one mask": (ValueError, r"reference\[None\]", (SALIENCY, REFERENCE[0])),
    "other size": (ValueError, "sizes differ", (SALIENCY, REFERENCE[:, :2])),
    "other count": (ValueError, "sizes differ.*one of each per image", (SALIENCY, REFERENCE[:1])),
    "no image": (ValueError, "at least one image", (SALIENCY[:0], REFERENCE[:0])),
    "raw map": (ValueError, "saliency has values from 0 to 3.*normalize", (SALIENCY * 3, REFERENCE)),
    "signed map": (ValueError, "saliency has values from -1", (SALIENCY - 1, REFERENCE)),
    "reference of 255": (ValueError, "reference has values from 0 to 255.*divide", (SALIENCY, REFERENCE * 255)),
    "reference of NaN": (ValueError, "reference has values that are not finite", (SALIENCY, REFERENCE * torch.nan)),
    "reference of classes": (TypeError, "reference has integers other than 0, 1 and 255", (SALIENCY, MASK.long() * 3)),
    "complex map": (TypeError, "saliency has values of type", (SALIENCY.to(torch.complex64), REFERENCE)),
    "words": (TypeError, "saliency has values of type", (np.full((2, 3, 4), "high"), REFERENCE)),
    "list": (TypeError, "saliency is a list", (SALIENCY.tolist(), REFERENCE)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_with_a_remedy(name):
    kind, message, inputs = WRONG[name]
    with pytest.raises(kind, match=message) as refused:
        map_f1(*inputs)
    assert "\n" not in str(refused.value)


def test_inputs_on_two_devices_are_refused():
    with pytest.raises(ValueError, match="devices differ: saliency on cpu and mask on meta"):
        check_inputs(saliency=SALIENCY, mask=MASK.to("meta"))


@pytest.mark.parametrize("mask", [SALIENCY, MASK.byte() * 2, MASK.float() * 0.5, -MASK.float()])
def test_soft_masks_are_no_hard_masks(mask):
    with pytest.raises(ValueError, match=r"mask is soft.*> 0\.5"):
        roc_auc(SALIENCY, mask)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(2, 5, 4, 3), r"permute\(0, 3, 1, 2\)"),
        (torch.rand(2, 1, 3, 4), "RGB images"),
        (torch.rand(2, 3, 3, 4) * 255, "divide images of 8 bits by 255"),
        (torch.rand(2, 3, 5, 4), "sizes differ"),
        (torch.rand(0, 3, 3, 4), "at least one image"),
    ],
)
def test_wrong_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        check_inputs(saliency=SALIENCY, images=images)


def test_a_map_that_is_not_finite_passes_and_has_no_score():
    broken = SALIENCY.clone()
    broken[0, 0, 0] = torch.nan
    assert map_f1(broken, REFERENCE).isnan().tolist() == [True, False]
    assert gini(broken).isnan().tolist() == [True, False]


def test_every_metric_of_maps_is_checked_and_the_benchmark_pays_nothing():
    for metric in entries(Metric).values():
        if metric.inputs & {"curves", "context"}:
            continue
        module = __import__(metric.compute.__module__, fromlist=["_"])
        public = getattr(module, metric.compute.__name__)
        assert public.unchecked is metric.compute
        with pytest.raises(ValueError, match="saliency has the shape"):
            public(**dict.fromkeys(metric.inputs, SALIENCY[0]))
