"""The images by which two models differ most, as a picture."""

from pathlib import Path

import numpy as np

from benchmark.data.load import Source
from benchmark.experiments.cached_maps import load_cached_maps
from benchmark.leaderboard.analysis.compare import Comparison
from benchmark.leaderboard.figures.sheets import map_sheet
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.synthetic import marked
from benchmark.storage.results import SPLIT_FILE


def plot_comparison(published: ResultsDirectory, comparison: Comparison, images: Path | None, path: Path) -> bool:
    """Draws image, masks and both maps of the first seed; False where images or maps are not there.

    Args:
        published: The records.
        comparison: What to draw.
        images: Directory of the data set; None is the embedded one.
        path: The PNG.
    """
    maps = {}
    data = None
    for letter, name in zip("AB", comparison.names, strict=True):
        record = min(
            (each for each in published.records.values() if f"{each.architecture}/{each.regime}" == name),
            key=lambda each: each.seed,
        )
        found = load_cached_maps(record, comparison.method, Source(directory=images), published.directory / SPLIT_FILE)
        if found is None:
            return False
        data, maps[f"{letter}: {name}"] = found
    if data is None:
        return False
    place = {str(name): number for number, name in enumerate(data.samples["id"].to_numpy()[data.test])}
    chosen = [place[pair.image] for pair in comparison.images]
    rows = data.test[chosen]
    merged = data.references[data.references["level"] == "image"]
    plane = dict(zip(merged["sample"], merged.index, strict=True))
    blank = np.zeros(data.images.shape[1:3], dtype=np.uint8)
    map_sheet(
        np.asarray(data.images[rows]),
        np.stack([np.asarray(data.mask_arrays[plane[row]]) if row in plane else blank for row in rows]),
        {name: each[chosen] for name, each in maps.items()},
        marked(
            f"{data.name}, {comparison.method}: where A and B differ most by {comparison.images_by}; "
            "A ahead in the upper rows, B in the lower ones",
            synthetic=data.synthetic,
        ),
        path,
    )
    return True
