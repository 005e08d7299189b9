"""The perturbation curves of a cell as a table: the areas alone do not say where a probability falls."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from metrics.faithfulness import Curves

KINDS = ("deletion", "insertion")


def curves_frame(images: Sequence[str], method: str, curves: Curves) -> pd.DataFrame:
    """A row for each image, kind of curve and step.

    Args:
        images: Names of the N images.
        method: Name of the saliency method whose maps gave the order.
        curves: Of these images.

    Returns:
        Columns image, method, kind (:data:`KINDS`), step (from 0), share (of the pixels that have passed, in [0, 1])
        and probability (of the explained class, in [0, 1]; NaN where the map is no order), the last two float32.
    """
    shares = curves.fractions.cpu().numpy().astype(np.float32)
    found = np.stack([getattr(curves, kind).cpu().numpy() for kind in KINDS], axis=1).astype(np.float32)
    steps = len(shares)
    frame = pd.DataFrame(
        {
            "image": np.repeat(np.asarray(images, dtype=object), len(KINDS) * steps),
            "method": method,
            "kind": np.tile(np.repeat(KINDS, steps), len(images)),
            "step": np.tile(np.arange(steps, dtype=np.int16), len(images) * len(KINDS)),
            "share": np.tile(shares, len(images) * len(KINDS)),
            "probability": found.ravel(),
        }
    )
    return frame.astype({"image": "category", "method": "category", "kind": "category"})
