"""Perturbation curves of a cell as a table. Areas alone do not show where a probability falls."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metrics.faithfulness import Curves

KINDS = ("deletion", "insertion")


def curves_frame(images: Sequence[str], method: str, curves: Curves) -> pd.DataFrame:
    """Builds a table with a row for each image, kind of curve and step.

    Args:
        images: Names of the N images.
        method: Name of the saliency method whose maps determine the order of pixels.
        curves: Curves of these images.

    Returns:
        Columns image, method, kind (:data:`KINDS`), step (from 0), share (of the pixels inserted or deleted, in
        [0, 1]) and probability (of the explained class, in [0, 1]). The probability is NaN where the map defines no
        order. The last two columns are float32.
    """
    fractions = curves.fractions.cpu().numpy().astype(np.float32)
    probabilities = np.stack([getattr(curves, kind).cpu().numpy() for kind in KINDS], axis=1).astype(np.float32)
    num_steps = len(fractions)
    frame = pd.DataFrame(
        {
            "image": np.repeat(np.asarray(images, dtype=object), len(KINDS) * num_steps),
            "method": method,
            "kind": np.tile(np.repeat(KINDS, num_steps), len(images)),
            "step": np.tile(np.arange(num_steps, dtype=np.int16), len(images) * len(KINDS)),
            "share": np.tile(fractions, len(images) * len(KINDS)),
            "probability": probabilities.ravel(),
        }
    )
    return frame.astype({"image": "category", "method": "category", "kind": "category"})
