"""Quantus 0.6.0 as an oracle: one image per call, since it divides by the maximum of the whole call."""

import warnings

import numpy as np

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
