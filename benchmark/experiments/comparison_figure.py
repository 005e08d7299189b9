"""A figure of the images on which two models differ most."""

from pathlib import Path

import numpy as np

from benchmark.data.load import Source
from benchmark.experiments.cached_maps import load_cached_maps
from benchmark.leaderboard.analysis.compare import Comparison
from benchmark.leaderboard.figures.sheets import map_sheet
from benchmark.leaderboard.load.results import ResultsDirectory
from benchmark.leaderboard.load.rows import model_name
from benchmark.leaderboard.synthetic import marked
from benchmark.storage.results import find_split_file


def plot_comparison(published: ResultsDirectory, comparison: Comparison, source: Source, path: Path) -> bool:
    """Plots image, masks and both maps of the first seed. Returns False if images or maps are missing.

    Args:
        published: Results directory with the records.
        comparison: The comparison to plot.
        source: The data set.
        path: The PNG file to write.
    """
    maps = {}
    data = None
    models = {model_name(model): paths for model, paths in published.models.items()}
    for letter, name in zip("AB", comparison.names, strict=True):
        path_of_record = min(models[name], key=lambda each: published.records[each].seed)
        record = published.records[path_of_record]
        # The two models may be of different directories or protocols.
        split = find_split_file(path_of_record.parent.parent, record.protocol)
        cached = load_cached_maps(record, comparison.method, source, split)
        if cached is None:
            return False
        data, maps[f"{letter}: {name}"] = cached
    if data is None:
        return False
    index = {str(name): position for position, name in enumerate(data.samples["id"].to_numpy()[data.test])}
    chosen = [index[pair.image] for pair in comparison.images]
    rows = data.test[chosen]
    merged = data.references[data.references["level"] == "image"]
    plane = dict(zip(merged["sample"], merged.index, strict=True))
    blank = np.zeros(data.images.shape[1:3], dtype=np.uint8)
    map_sheet(
        np.asarray(data.images[rows]),
        np.stack([np.asarray(data.mask_arrays[plane[row]]) if row in plane else blank for row in rows]),
        {name: model_maps[chosen] for name, model_maps in maps.items()},
        marked(
            f"{data.name}, {comparison.method}: where A and B differ most by {comparison.images_by}; "
            "A ahead in the upper rows, B in the lower ones",
            synthetic=data.synthetic,
        ),
        path,
    )
    return True
