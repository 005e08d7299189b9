"""The masks that raters drew on an image, and the references that maps are scored against."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets import Aggregation, Counts, Mask, Sample
from datasets.aggregation import UNION
from datasets.image_io import read_mask

MaskArray = NDArray[np.uint8]
"""A mask as pixels, (H, W). 255 is fully marked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """One mask array that maps are scored against.

    Aggregated masks are soft, and a threshold does not recover what the raters drew. Where masks of three
    characteristics of one rater overlap, the additive aggregation leaves a third of the maximum where only one of them
    marks. On DermXDB, a threshold at half of the maximum retains nine tenths of the area that a rater marked, in the
    mean. On every tenth image it retains less than half. Hard masks are therefore unions at every level, computed at
    the image's own size.

    Attributes:
        level: One of the following. Soft: `image` (all raters and characteristics; the outlines of the whole lesion
            alone, if there are any), `characteristic`, `rater` (one rater alone), `others` (all but that rater) and
            `shortcut` (the planted mark of synthetic images). Hard: `union` (marked by any rater, or outlined, as for
            `image`), `characteristic-union` (marked as this characteristic by any rater) and `rater-union` (marked by
            that rater).
        rater: The rater, or for `others` the rater who is left out. "" for all raters.
        characteristic: The characteristic. "" for all.
        mask_array: (H, W), uint8. 255 is fully marked.
    """

    level: str
    rater: str = ""
    characteristic: str = ""
    mask_array: MaskArray


class Drawing:
    """The masks that raters drew on one image, at its own size.

    Arrays cover only the smallest rectangle that contains every mask, because most pixels of most images are unmarked.

    Attributes:
        shape: Height and width of the image.
        window: Rows and columns of the rectangle.
        raters: The raters with masks, sorted.
        characteristics: The characteristics with masks, sorted, without outlines of the whole lesion.
    """

    def __init__(self, masks: Collection[Mask], size: tuple[int, int] | None) -> None:
        """Reads the masks.

        Args:
            masks: Masks of one image and one reading, at least one.
            size: Width and height of the image. None uses those of the first mask.

        Raises:
            ValueError: A mask is damaged or does not fit.
        """
        arrays: dict[tuple[str, str | None], list[NDArray[np.bool_]]] = {}
        for mask in masks:
            array = read_mask(mask, size)
            size = size or array.shape[::-1]
            arrays.setdefault((mask.rater, mask.characteristic), []).append(array)
        self.shape = next(iter(arrays.values()))[0].shape
        self.raters = tuple(sorted({rater for rater, _ in arrays}))
        self.characteristics = tuple(sorted({name for _, name in arrays if name is not None}))
        self.window = _window([array for instances in arrays.values() for array in instances])
        # Instances of one rater and characteristic may overlap: their number per pixel is what aggregations count.
        self._counts = {
            key: np.sum([array[self.window] for array in instances], axis=0, dtype=np.uint16)
            for key, instances in arrays.items()
        }
        self._outlined = any(name is None for _, name in arrays)

    def merged(
        self, aggregation: Aggregation, raters: Collection[str] | None = None, characteristic: str | None = None
    ) -> MaskArray:
        """Computes the reference of some raters within the window.

        Args:
            aggregation: Combines the masks of several raters.
            raters: The raters to combine. None combines all.
            characteristic: The masks to combine. None combines the outlines or, if there are none, all masks.
        """
        selected = self.raters if raters is None else raters
        if characteristic is None:
            # Raters who drew only characteristics do not count in a vote on outlines.
            selected = [rater for rater in selected if self.drew(rater, None)] or selected
        return aggregation.combine(self._stack(selected, characteristic))

    def drew(self, rater: str, characteristic: str | None) -> bool:
        """Returns whether a rater has masks of a characteristic. None means outlines or, if there are none, any."""
        if characteristic is None and not self._outlined:
            return any(name == rater for name, _ in self._counts)
        return (rater, characteristic) in self._counts

    def whole(self, mask_array: MaskArray) -> MaskArray:
        """Pads an array of the window to the size of the image, (H, W)."""
        full = np.zeros(self.shape, dtype=np.uint8)
        full[self.window] = mask_array
        return full

    def _stack(self, raters: Collection[str], characteristic: str | None) -> Counts:
        """Returns the number of masks of each rater per pixel, (R, H, W)."""
        return np.stack([self._count(rater, characteristic) for rater in raters])

    def _count(self, rater: str, characteristic: str | None) -> Counts:
        if characteristic is None and not self._outlined:
            names: tuple[str | None, ...] = self.characteristics
        else:
            names = (characteristic,)
        height, width = (side.stop - side.start for side in self.window)
        total: NDArray[np.uint16] = np.zeros((height, width), dtype=np.uint16)
        for name in names:
            if (rater, name) in self._counts:
                total = total + self._counts[rater, name]
        return total


def references(sample: Sample, aggregation: Aggregation, size: tuple[int, int]) -> Iterator[Reference]:
    """Yields every reference of an image, level by level.

    Args:
        sample: The image with its masks.
        aggregation: Combines the masks of several raters.
        size: Width and height of the image.

    Raises:
        ValueError: A mask is damaged or does not fit.
    """
    if sample.marked:
        yield Reference(level="shortcut", mask_array=read_mask(sample.marked, size).astype(np.uint8) * np.uint8(255))
    masks = [mask for mask in sample.masks if mask.reading == 1]
    if not masks:
        return
    drawing = Drawing(masks, size)
    yield Reference(level="image", mask_array=drawing.whole(drawing.merged(aggregation)))
    yield Reference(level="union", mask_array=drawing.whole(drawing.merged(UNION)))
    for name in drawing.characteristics:
        array = drawing.whole(drawing.merged(aggregation, characteristic=name))
        yield Reference(level="characteristic", characteristic=name, mask_array=array)
        array = drawing.whole(drawing.merged(UNION, characteristic=name))
        yield Reference(level="characteristic-union", characteristic=name, mask_array=array)
    raters = [rater for rater in drawing.raters if drawing.drew(rater, None)]
    if len(raters) > 1:
        for rater in raters:
            others = [name for name in raters if name != rater]
            array = drawing.whole(drawing.merged(aggregation, [rater]))
            yield Reference(level="rater", rater=rater, mask_array=array)
            array = drawing.whole(drawing.merged(UNION, [rater]))
            yield Reference(level="rater-union", rater=rater, mask_array=array)
            array = drawing.whole(drawing.merged(aggregation, others))
            yield Reference(level="others", rater=rater, mask_array=array)


def _window(masks: Collection[NDArray[np.bool_]]) -> tuple[slice, slice]:
    """Returns the smallest rectangle that contains all marked pixels, or one pixel if there are none."""
    rows = np.logical_or.reduce([mask.any(axis=1) for mask in masks])
    columns = np.logical_or.reduce([mask.any(axis=0) for mask in masks])
    return _span(rows), _span(columns)


def _span(marked: NDArray[np.bool_]) -> slice:
    indices = np.flatnonzero(marked)
    return slice(int(indices[0]), int(indices[-1]) + 1) if len(indices) else slice(0, 1)
