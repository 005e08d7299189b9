"""Loupe from Python, such as from a notebook: draw maps, score them, add a row to a table, and read results.

Importing this module loads neither torch nor pandas. The functions do when they are called.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from benchmark.experiments.external_maps import ScoredMaps
    from metrics.inputs import Array

__all__ = ["evaluate", "explain", "load_images", "load_leaderboard", "load_predictions", "load_scores", "score_maps"]


class Images(NamedTuple):
    """Images of a data set with their masks.

    Attributes:
        names: Names of the images.
        images: (N, S, S, 3), uint8.
        masks: Merged masks of all raters, (N, S, S), in [0, 1]. All zero for images without a mask, which have no
            scores against it.
        labels: Index of the class of each image, (N,).
        classes: Names of the classes.
    """

    names: list[str]
    images: "NDArray[np.uint8]"
    masks: "NDArray[np.float32]"
    labels: "NDArray[np.int64]"
    classes: tuple[str, ...]


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Normalization of most networks with ImageNet weights, such as those of torchvision."""


def load_images(
    data: str | Path | None = None, *, size: int = 224, limit: int | None = None, layout: str | None = None
) -> Images:
    """Loads the images and masks of a data set in any layout that Loupe reads.

    Args:
        data: Directory of the data set. None is the embedded one.
        size: Side of images and masks in pixels. The aspect ratio is ignored.
        limit: Maximum number of images, about the same fraction of each class. None loads all.
        layout: Name of the layout. None detects it.

    Raises:
        UserError: The data cannot be used as it is.
    """
    from dataclasses import replace  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415

    from benchmark.config.presets import QUICK  # noqa: PLC0415
    from benchmark.data.dataset import prepare_dataset  # noqa: PLC0415
    from benchmark.data.load import Source, load_index  # noqa: PLC0415

    source = Source(directory=Path(data) if data is not None else None, layout=layout)
    dataset = prepare_dataset(load_index(source), replace(QUICK, image_size=size, limit=limit, test_folds=0))
    # A training needs some images of every class, so a small limit leaves more than it says.
    by_class = dataset.samples.groupby("label")
    place = (by_class.cumcount() + 0.5) / by_class["label"].transform("size")
    indices = np.sort(place.to_numpy().argsort(kind="stable")[:limit])
    return Images(
        names=[str(name) for name in dataset.samples["id"].iloc[indices]],
        images=np.array(dataset.images[indices]),
        masks=np.nan_to_num(dataset.masks(indices)).astype(np.float32),
        labels=dataset.samples["label"].to_numpy()[indices],
        classes=dataset.classes,
    )


def explain(  # noqa: PLR0913 - the options of a notebook
    model: "nn.Module",
    images: "Array",
    *,
    method: str = "grad-cam",
    layer: str | None = None,
    classes: "Sequence[int] | NDArray[Any] | Tensor | None" = None,
    mean: Sequence[float] = (0.0, 0.0, 0.0),
    std: Sequence[float] = (1.0, 1.0, 1.0),
    alignment: str = "receptive-field",
) -> "NDArray[np.float32]":
    """Draws the saliency maps of a network.

    Args:
        model: Returns logits (N, num_classes). It is evaluated in evaluation mode, and its mode is restored.
        images: (N, 3, H, W), floats in [0, 1] or 8-bit.
        method: Name of a saliency method: `python -m benchmark list methods`.
        layer: Dotted name of the layer of the CAM family. None takes the last one with a spatial grid.
        classes: The class to explain for each image, (N,). None explains the predicted ones.
        mean: Mean of each channel that the model expects to be subtracted.
        std: Standard deviation of each channel that it expects to be divided by.
        alignment: "receptive-field" places the cells of a grid at the centers of their receptive fields, where these
            can be computed. "none" stretches the grid over the image, as other tools do.

    Returns:
        Maps (N, H, W) in [0, 1], each divided by its maximum. A map that says nothing is zero.

    Raises:
        UserError: There is no such method or layer. The message lists the nearest names.
        ValueError: The images are no images, or the network has no layer with a grid.
    """
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from architectures.network import Network  # noqa: PLC0415
    from architectures.target_layer import last_grid  # noqa: PLC0415
    from benchmark.registry import resolve_name, select  # noqa: PLC0415
    from benchmark.saliency import Method  # noqa: PLC0415
    from benchmark.saliency.compute import scale_to_max  # noqa: PLC0415
    from metrics.inputs import check_inputs  # noqa: PLC0415

    (chosen,) = select(Method, [method])
    pixels = check_inputs(images=images)["images"].float()
    was_training = model.training
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    network = Network(model, mean, std).to(device).eval()
    try:
        layer = resolve_name(layer, dict(model.named_modules()), "layer") if layer else last_grid(model)
        upsample_fn = _placement(network, f"body.{layer}", pixels.shape[-2:]) if alignment != "none" else None
        draw = chosen.with_upsampling(upsample_fn)
        maps = []
        for part in range(0, len(pixels), 16):
            batch = pixels[part : part + 16].to(device)
            if classes is None:
                with torch.no_grad():
                    targets = network(batch).argmax(dim=1)
            else:
                targets = torch.as_tensor(classes, device=device)[part : part + 16]
            maps.append(scale_to_max(draw(network, f"body.{layer}", batch, targets)).half().cpu())
    finally:
        model.train(was_training)
    return np.asarray(torch.cat(maps).float().numpy())


def _placement(network: "nn.Module", layer: str, size: Sequence[int]) -> "Callable[..., Tensor] | None":
    """Returns what places the cells of a layer's grid, or None where their positions cannot be computed."""
    from architectures.geometry import grid_geometry  # noqa: PLC0415
    from benchmark.saliency.placement import Placement  # noqa: PLC0415

    try:
        return Placement(grid_geometry(network, layer, size))
    except ValueError:
        return None


def score_maps(
    maps: "Array", masks: "Array", *, images: "Array | None" = None, metrics: Sequence[str] = ()
) -> "pd.DataFrame":
    """Scores maps against masks, with every metric that needs no model.

    Maps are scaled to [0, 1] by their minimum and maximum where a metric compares them with soft masks, as the
    benchmark does.

    Args:
        maps: (N, H, W), real.
        masks: (N, H, W): bool, 0 and 1, 0 and 255, or soft in [0, 1]. Metrics of hard masks use values above one half.
        images: (N, 3, H, W), floats in [0, 1] or 8-bit. Without them, metrics that read the image are left out.
        metrics: Names of metrics. Default: all that the inputs allow.

    Returns:
        A row per image and a column per metric. NaN where a score is undefined, such as for an empty mask.

    Raises:
        UserError: There is no such metric.
        ValueError: An input has another shape or range, or a metric needs an input that is missing.
    """
    import pandas as pd  # noqa: PLC0415

    from benchmark.registry import entries, select  # noqa: PLC0415
    from metrics import Metric  # noqa: PLC0415
    from metrics.inputs import check_inputs  # noqa: PLC0415
    from metrics.normalize import normalize  # noqa: PLC0415

    given = {"saliency": maps, "images": images} if images is not None else {"saliency": maps}
    inputs = check_inputs(**given)
    try:
        inputs |= check_inputs(reference=masks)
    except (TypeError, ValueError) as error:  # metrics have another name for what is a mask here
        raise type(error)(str(error).replace("reference", "masks", 1)) from None
    inputs["mask"] = inputs["reference"] > 0.5
    check_inputs(saliency=inputs["saliency"], mask=inputs["mask"])  # sizes and devices
    chosen = select(Metric, metrics) if metrics else [m for m in entries(Metric).values() if m.inputs <= inputs.keys()]
    scores = {}
    for metric in chosen:
        if missing := sorted(metric.inputs - inputs.keys()):
            raise ValueError(f"metric {metric.name} needs {', '.join(missing)}, which this function does not have")
        used = {name: inputs[name] for name in metric.inputs}
        if "reference" in used:
            used["saliency"] = normalize(used["saliency"])
        scores[metric.name] = metric.compute(**used).double().cpu().numpy()
    return pd.DataFrame(scores)


def evaluate(
    maps: str | Path,
    *,
    data: str | Path | None = None,
    name: str,
    method: str = "unknown",
    **options: Any,
) -> "ScoredMaps":
    """Scores a directory of maps and adds their row to the tables, like `python -m benchmark score`.

    Args:
        maps: Directory or file of the maps.
        data: Directory of the data set. None is the embedded one.
        name: Name of the row.
        method: What made the maps.
        **options: Further fields of :class:`benchmark.experiments.external_maps.ScoreRequest`, such as
            `predictions`, fields of :class:`benchmark.submission.external_network.NetworkOptions`, such as
            `checkpoint`, and `layout` and `image_dir` of the data set.

    Returns:
        The record, the results directory, and notes.

    Raises:
        UserError: The maps, the data or the options cannot be used. Nothing was written to the results.
    """
    from benchmark.data.load import Source  # noqa: PLC0415
    from benchmark.experiments.external_maps import ScoreRequest  # noqa: PLC0415
    from benchmark.leaderboard.build import rebuild  # noqa: PLC0415
    from benchmark.registry import resolve_name  # noqa: PLC0415
    from benchmark.submission.external_network import NetworkOptions, score_with_network  # noqa: PLC0415

    source = Source(
        directory=Path(data) if data is not None else None,
        layout=options.pop("layout", None),
        images=options.pop("image_dir", None),
    )
    fields = {**ScoreRequest.__dataclass_fields__, **NetworkOptions.__dataclass_fields__}
    for option in options:
        resolve_name(option, fields, "option")
    network = {name: options.pop(name) for name in NetworkOptions.__dataclass_fields__ if name in options}
    request = ScoreRequest(maps=Path(maps), source=source, name=name, method=method, **options)
    scored = score_with_network(request, NetworkOptions(**network))
    rebuild(scored.directory)
    return scored


def load_leaderboard(directory: str | Path, method: str = "") -> "pd.DataFrame":
    """Loads a table with all columns and intervals.

    Args:
        directory: A results directory, such as results/dermsynth/quick.
        method: The saliency method. Default: that of the main table.

    Raises:
        UserError: There is no such table.
    """
    import pandas as pd  # noqa: PLC0415

    from benchmark.errors import UserError  # noqa: PLC0415

    path = Path(directory) / (f"leaderboard-{method}.csv" if method else "leaderboard.csv")
    if not path.is_file():
        raise UserError(f"{path} does not exist; make it with `python -m benchmark leaderboard {directory}`")
    return pd.read_csv(path)


def load_scores(directory: str | Path, *, every_protocol: bool = False) -> "pd.DataFrame":
    """Loads the score of every image, of the records of the table of a results directory.

    Args:
        directory: A results directory, such as results/dermsynth/quick.
        every_protocol: Whether records of other protocols are loaded too. Their scores do not compare.

    Returns:
        Columns architecture, regime (with the label of a variant), seed, protocol, and those of
        :func:`benchmark.scoring.score.score_maps` with the method.

    Raises:
        UserError: The directory has no usable records.
    """
    return _load_tables(directory, "scores.parquet", every_protocol=every_protocol)


def load_predictions(directory: str | Path, *, every_protocol: bool = False) -> "pd.DataFrame":
    """Loads the predictions of every test image, of the records of the table of a results directory.

    Args:
        directory: A results directory, such as results/dermsynth/quick.
        every_protocol: Whether records of other protocols are loaded too.

    Returns:
        Columns architecture, regime (with the label of a variant), seed, protocol, image, group, label, predicted (-1
        if unknown), and a probability per class, p0, p1 and so on, where they are known.

    Raises:
        UserError: The directory has no usable records.
    """
    return _load_tables(directory, "predictions.parquet", every_protocol=every_protocol)


def _load_tables(directory: str | Path, suffix: str, *, every_protocol: bool) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415

    from benchmark.leaderboard.load.results import read_results  # noqa: PLC0415
    from benchmark.storage.results import sidecar_file  # noqa: PLC0415

    published = read_results(Path(directory))
    records = published.records | (published.others if every_protocol else {})
    frames = []
    for path, record in records.items():
        frame = pd.read_parquet(sidecar_file(path, suffix))
        if record.external_maps is not None and "method" in frame:
            frame["method"] = record.external_maps.method
        frame.insert(0, "architecture", record.architecture)
        frame.insert(1, "regime", record.training_name)
        frame.insert(2, "seed", record.seed)
        frame.insert(3, "protocol", record.protocol)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
