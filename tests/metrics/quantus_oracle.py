"""Quantus 0.6.0 as an oracle: one image per call, since it divides by the maximum of the whole call."""

import warnings
from functools import partial

import numpy as np
import torch
from scipy.stats import spearmanr

with warnings.catch_warnings():
    # Three of its docstrings hold an invalid escape, which warns when no compiled file is cached yet.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    import quantus

SILENT = {"disable_warnings": True, "display_progressbar": False}
SETTINGS = {"normalise": True, **SILENT}
SPARSENESS = quantus.Sparseness(abs=True, **SETTINGS)
COMPLEXITY = quantus.Complexity(abs=True, **SETTINGS)
EFFECTIVE_COMPLEXITY = quantus.EffectiveComplexity(abs=True, eps=1e-5, **SETTINGS)
RANK_ACCURACY = quantus.RelevanceRankAccuracy(abs=False, **SETTINGS)
MASS_ACCURACY = quantus.RelevanceMassAccuracy(abs=False, **SETTINGS)
ATTRIBUTION_LOCALISATION = quantus.AttributionLocalisation(abs=True, **SETTINGS)
AUC = quantus.AUC(abs=False, **SETTINGS)
top_k_intersection = partial(quantus.TopKIntersection, abs=False, **SETTINGS)
"""Takes k, a number of pixels."""


def score_each(metric, saliency, mask=None):
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
    masks = {} if mask is None else {"s_batch": mask.numpy()[:, None]}
    return metric.evaluate_batch(x_batch=np.zeros((len(maps), 3, 1, 1)), a_batch=maps, **masks)


def max_sensitivity(context, changed):
    """With maps divided by their norm, and the changed images (draws, N, 3, H, W) in place of its own."""
    return _under_noise(quantus.MaxSensitivity, context, changed)


def local_lipschitz(context, changed):
    """The same; it adds 1e-10 to the distance of the images."""
    return _under_noise(quantus.LocalLipschitzEstimate, context, changed)


def _under_noise(kind, context, changed):
    scores = []
    for i in range(len(context.images)):
        draws = iter(changed[:, i].flatten(1).numpy())
        metric = kind(
            nr_samples=len(changed),
            normalise=True,
            normalise_func=lambda a: a / np.linalg.norm(a),
            perturb_func=lambda draws=draws, **_: next(draws)[None],
            **SILENT,
        )
        scores += metric(**_one(context, i))
    return [float(score) for score in scores]


def random_logit(context, classes):
    """With Spearman's correlation (its SSIM is that of a line of pixels); its seed is chosen to draw our class."""
    number = context.logits(lambda jobs: context.images[jobs], 1).shape[1]
    scores = []
    for i, other in enumerate(classes.tolist()):
        others = [label for label in range(number) if label != context.classes[i]]
        seed = next(seed for seed in range(99) if others[_first_draw(seed, number - 1)] == other)
        metric = quantus.RandomLogit(similarity_func=_spearman, num_classes=number, seed=seed, **SILENT)
        scores += metric(**_one(context, i))
    return [float(score) for score in scores]


def parameter_randomization(context, stages):
    """One minus the mean correlation; it counts the unchanged model as a stage, with a correlation of 1."""
    metric = quantus.MPRT(return_average_correlation=True, **SILENT)
    means = [metric(**_one(context, i))[0] for i in range(len(context.images))]
    return [1 - (mean * (stages + 1) - 1) / stages for mean in means]


def _one(context, i):
    """A call for one image, in float64."""

    def explain(model, inputs, targets, **_):
        return context.explain_fn(model, torch.as_tensor(inputs), torch.as_tensor(targets)).numpy()[:, None]

    return {
        "model": context.model,
        "x_batch": context.images[i : i + 1].numpy(),
        "y_batch": context.classes[i : i + 1].numpy(),
        "a_batch": context.saliency[i : i + 1, None].numpy(),
        "explain_func": explain,
    }


def _spearman(one, other, *, batched):
    assert batched
    return np.array([spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)])


def _first_draw(seed, number):
    return np.random.RandomState(seed).randint(0, number, 1)[0]
