"""Quantus 0.6.0 as an oracle: one image per call, since it divides by the maximum of the whole call."""

import warnings

import numpy as np
import torch
from scipy.stats import spearmanr

with warnings.catch_warnings():
    # Three of its docstrings hold an invalid escape, which warns when no compiled file is cached yet.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=SyntaxWarning)
    import quantus

SILENT = {"disable_warnings": True, "display_progressbar": False}


def sparseness(saliency):
    return _each(quantus.Sparseness(abs=True, normalise=True, **SILENT), saliency)


def rank_accuracy(saliency, mask):
    return _each(quantus.RelevanceRankAccuracy(abs=False, normalise=True, **SILENT), saliency, mask)


def mass_accuracy(saliency, mask):
    return _each(quantus.RelevanceMassAccuracy(abs=False, normalise=True, **SILENT), saliency, mask)


def _each(metric, saliency, mask=None):
    scores = []
    for i, one in enumerate(saliency.numpy()):
        masks = None if mask is None else mask[i].numpy()[None, None].astype(float)
        images = np.zeros((1, 3, *one.shape))
        scores += metric(
            model=None, x_batch=images, y_batch=np.zeros(1, int), a_batch=one[None, None].copy(), s_batch=masks
        )
    return [float(score) for score in scores]


def max_sensitivity(probe, changed):
    """With maps divided by their norm, and the changed images (draws, N, 3, H, W) in place of its own."""
    return _under_noise(quantus.MaxSensitivity, probe, changed)


def local_lipschitz(probe, changed):
    """The same; it adds 1e-10 to the distance of the images."""
    return _under_noise(quantus.LocalLipschitzEstimate, probe, changed)


def _under_noise(kind, probe, changed):
    scores = []
    for i in range(len(probe.images)):
        draws = iter(changed[:, i].flatten(1).numpy())
        metric = kind(
            nr_samples=len(changed),
            normalise=True,
            normalise_func=lambda a: a / np.linalg.norm(a),
            perturb_func=lambda draws=draws, **_: next(draws)[None],
            **SILENT,
        )
        scores += metric(**_one(probe, i))
    return [float(score) for score in scores]


def random_logit(probe, classes):
    """With Spearman's correlation (its SSIM is that of a line of pixels); its seed is chosen to draw our class."""
    number = probe.logits(lambda jobs: probe.images[jobs], 1).shape[1]
    scores = []
    for i, other in enumerate(classes.tolist()):
        others = [label for label in range(number) if label != probe.classes[i]]
        seed = next(seed for seed in range(99) if others[_first_draw(seed, number - 1)] == other)
        metric = quantus.RandomLogit(similarity_func=_spearman, num_classes=number, seed=seed, **SILENT)
        scores += metric(**_one(probe, i))
    return [float(score) for score in scores]


def parameter_randomisation(probe, stages):
    """One minus the mean correlation; it counts the unchanged model as a stage, with a correlation of 1."""
    metric = quantus.MPRT(return_average_correlation=True, **SILENT)
    means = [metric(**_one(probe, i))[0] for i in range(len(probe.images))]
    return [1 - (mean * (stages + 1) - 1) / stages for mean in means]


def _one(probe, i):
    """A call for one image, in float64."""

    def explain(model, inputs, targets, **_):
        return probe.redraw(model, torch.as_tensor(inputs), torch.as_tensor(targets)).numpy()[:, None]

    return {
        "model": probe.model,
        "x_batch": probe.images[i : i + 1].numpy(),
        "y_batch": probe.classes[i : i + 1].numpy(),
        "a_batch": probe.saliency[i : i + 1, None].numpy(),
        "explain_func": explain,
    }


def _spearman(one, other, *, batched):
    assert batched
    return np.array([spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)])


def _first_draw(seed, number):
    return np.random.RandomState(seed).randint(0, number, 1)[0]
