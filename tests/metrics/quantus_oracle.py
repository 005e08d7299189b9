"""Quantus 0.6.0 as an oracle: one image per call, since it divides by the maximum of the whole call."""

import warnings
from functools import partial

import numpy as np

with warnings.catch_warnings():
    # Three of its docstrings hold an invalid escape, which warns when no compiled file is cached yet.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    import quantus

SETTINGS = {"normalise": True, "disable_warnings": True, "display_progressbar": False}
SPARSENESS = quantus.Sparseness(abs=True, **SETTINGS)
COMPLEXITY = quantus.Complexity(abs=True, **SETTINGS)
EFFECTIVE_COMPLEXITY = quantus.EffectiveComplexity(abs=True, eps=1e-5, **SETTINGS)
RANK_ACCURACY = quantus.RelevanceRankAccuracy(abs=False, **SETTINGS)
MASS_ACCURACY = quantus.RelevanceMassAccuracy(abs=False, **SETTINGS)
ATTRIBUTION_LOCALISATION = quantus.AttributionLocalisation(abs=True, **SETTINGS)
AUC = quantus.AUC(abs=False, **SETTINGS)
top_k_intersection = partial(quantus.TopKIntersection, abs=False, **SETTINGS)
"""Takes k, a number of pixels."""


def each(metric, saliency, mask=None):
    """Scores of maps (N, H, W), each in a call of its own."""
    masks = [None] * len(saliency) if mask is None else mask.split(1)
    pairs = zip(saliency.split(1), masks, strict=True)
    return [float(score) for pair in pairs for score in at_once(metric, *pair)]


def at_once(metric, saliency, mask=None):
    """Scores of maps (N, H, W) in one call, as a user would make it; they share a maximum, so the scores may differ."""
    number, *shape = saliency.shape
    images = np.zeros((number, 3, *shape))
    masks = None if mask is None else mask.numpy()[:, None].astype(float)
    maps = saliency.numpy()[:, None].copy()
    return metric(model=None, x_batch=images, y_batch=np.zeros(number, int), a_batch=maps, s_batch=masks)


def unchecked(metric, saliency, mask=None):
    """The metric's own arithmetic on maps not negative, without the checks and conversions around it."""
    maps = saliency.numpy()[:, None] / saliency.numpy().max()
    given = {} if mask is None else {"s_batch": mask.numpy()[:, None]}
    return metric.evaluate_batch(x_batch=np.zeros((len(maps), 3, 1, 1)), a_batch=maps, **given)
