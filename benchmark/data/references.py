"""What raters drew on an image, and the references that maps are scored against."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets import Aggregation, Counts, Mask, Sample
from datasets.aggregation import UNION
from datasets.image_io import read_mask

Plane = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """One plane to score maps against.

    A merge is soft, and cutting it would not give back what was drawn: where somebody's masks of three characteristics
    overlap, the additive merge leaves a third of full marks to what lies under one of them. (On DermXDB, half of full
    marks keeps nine tenths of the area that a rater marked, in the mean, and less than half of it on every tenth
    image.) So hard masks are unions at every level, drawn at the image's own size.

    Attributes:
        level: `image` (all raters and characteristics merged; where there are outlines of the whole lesion, those
            alone), `characteristic`, `rater` (one rater's own merge), `others` (the merge of all but that rater) or
            `shortcut` (the planted mark of synthetic images). Hard: `union` (what anybody marked, or outlined, as for
            `image`), `characteristic-union` (what anybody marked as such) and `rater-union` (what that rater marked).
        rater: Whom it is of or, for `others`, without; "" for all.
        characteristic: What was drawn; "" for everything.
        plane: (H, W), uint8; 255 is full marks.
    """

    level: str
    rater: str = ""
    characteristic: str = ""
    plane: Plane


class Drawing:
    """What raters drew on one image, at its own size.

    Planes are those of the smallest rectangle that holds every mask: most of most images is unmarked.

    Attributes:
        shape: Height and width of the image.
        window: Rows and columns of the rectangle.
        raters: Who drew something, sorted.
        characteristics: What was drawn, sorted, but for outlines of the whole.
    """

    def __init__(self, masks: Collection[Mask], size: tuple[int, int] | None) -> None:
        """Reads the masks.

        Args:
            masks: Of one image and one reading; at least one.
            size: Width and height of the image; None takes those of the first mask.

        Raises:
            ValueError: A mask is damaged or does not fit.
        """
        read: dict[tuple[str, str | None], list[NDArray[np.bool_]]] = {}
        for mask in masks:
            drawn = read_mask(mask, size)
            size = size or drawn.shape[::-1]
            read.setdefault((mask.rater, mask.characteristic), []).append(drawn)
        self.shape = next(iter(read.values()))[0].shape
        self.raters = tuple(sorted({rater for rater, _ in read}))
        self.characteristics = tuple(sorted({name for _, name in read if name is not None}))
        self.window = _window([drawn for found in read.values() for drawn in found])
        self._counts = {
            key: np.sum([d[self.window] for d in found], axis=0, dtype=np.uint16) for key, found in read.items()
        }
        self._outlined = any(name is None for _, name in read)

    def merged(
        self, merge: Aggregation, raters: Collection[str] | None = None, characteristic: str | None = None
    ) -> Plane:
        """The reference of some raters within the window.

        Args:
            merge: How raters become one.
            raters: Whose masks; None takes all.
            characteristic: Which masks; None takes the outlines or, where there are none, all.
        """
        chosen = self.raters if raters is None else raters
        if characteristic is None:
            # Who drew characteristics only has no say on outlines.
            chosen = [rater for rater in chosen if self.drew(rater, None)] or chosen
        return merge.merge(self._stack(chosen, characteristic))

    def drew(self, rater: str, characteristic: str | None) -> bool:
        """Whether a rater has masks of this characteristic; None asks for outlines or, where there are none, any."""
        if characteristic is None and not self._outlined:
            return any(who == rater for who, _ in self._counts)
        return (rater, characteristic) in self._counts

    def whole(self, plane: Plane) -> Plane:
        """A plane of the window as one of the image, (H, W)."""
        full = np.zeros(self.shape, dtype=np.uint8)
        full[self.window] = plane
        return full

    def _stack(self, raters: Collection[str], characteristic: str | None) -> Counts:
        """Masks of each rater per pixel, (R, H, W)."""
        return np.stack([self._of(rater, characteristic) for rater in raters])

    def _of(self, rater: str, characteristic: str | None) -> Counts:
        if characteristic is None and not self._outlined:
            names: tuple[str | None, ...] = self.characteristics
        else:
            names = (characteristic,)
        found = [self._counts[rater, name] for name in names if (rater, name) in self._counts]
        height, width = (side.stop - side.start for side in self.window)
        total: NDArray[np.uint16] = np.zeros((height, width), dtype=np.uint16)
        for plane in found:
            total = total + plane
        return total


def references(sample: Sample, merge: Aggregation, size: tuple[int, int]) -> Iterator[Reference]:
    """Every reference of an image, level by level.

    Args:
        sample: The image with its masks.
        merge: How raters become one.
        size: Width and height of the image.

    Raises:
        ValueError: A mask is damaged or does not fit.
    """
    if sample.marked:
        yield Reference(level="shortcut", plane=read_mask(sample.marked, size).astype(np.uint8) * np.uint8(255))
    masks = [mask for mask in sample.masks if mask.reading == 1]
    if not masks:
        return
    drawing = Drawing(masks, size)
    yield Reference(level="image", plane=drawing.whole(drawing.merged(merge)))
    yield Reference(level="union", plane=drawing.whole(drawing.merged(UNION)))
    for name in drawing.characteristics:
        plane = drawing.whole(drawing.merged(merge, characteristic=name))
        yield Reference(level="characteristic", characteristic=name, plane=plane)
        plane = drawing.whole(drawing.merged(UNION, characteristic=name))
        yield Reference(level="characteristic-union", characteristic=name, plane=plane)
    raters = [rater for rater in drawing.raters if drawing.drew(rater, None)]
    if len(raters) > 1:
        for rater in raters:
            others = [name for name in raters if name != rater]
            yield Reference(level="rater", rater=rater, plane=drawing.whole(drawing.merged(merge, [rater])))
            yield Reference(level="rater-union", rater=rater, plane=drawing.whole(drawing.merged(UNION, [rater])))
            yield Reference(level="others", rater=rater, plane=drawing.whole(drawing.merged(merge, others)))


def _window(planes: Collection[NDArray[np.bool_]]) -> tuple[slice, slice]:
    """The smallest rectangle that holds all marks; one pixel where there are none."""
    rows = np.logical_or.reduce([plane.any(axis=1) for plane in planes])
    columns = np.logical_or.reduce([plane.any(axis=0) for plane in planes])
    return _span(rows), _span(columns)


def _span(marked: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(marked)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 1)
