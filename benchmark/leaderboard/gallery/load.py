"""The gallery as the page shows it, from the files that a run left."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

GALLERY_DIR = "gallery"
TEMPLATES = Path(__file__).parent
"""Where the template lies that draws what is read here."""
LARGEST = 2**20
"""Bytes of a sheet that the page takes; one of 112 px and ten pictures has about 40,000."""


class ImageCaption(BaseModel):
    """An image of the gallery."""

    name: str
    label: str


class MapCaption(ImageCaption):
    """An image with a model's map: what was predicted, and how well the map meets the masks."""

    predicted: str
    score: float | None


class MaskCaption(ImageCaption):
    """An image with those who drew masks on it."""

    raters: list[str] = Field(max_length=40)


class Images(BaseModel):
    """What the sheet of images shows: a row per image, in it the image, then each rater's masks."""

    protocol: str
    method: str
    images: list[MaskCaption] = Field(max_length=40)

    @property
    def columns(self) -> int:
        """How many pictures stand in a row of the sheet."""
        return 1 + max((len(image.raters) for image in self.images), default=0)


class Maps(BaseModel):
    """What the sheet of a model shows, in one row: maps of all `images`, then image and map of each extreme."""

    protocol: str
    architecture: str
    regime: str
    seed: int
    fixed: list[MapCaption] = Field(max_length=40)
    extremes: list[MapCaption] = Field(max_length=4)

    @property
    def pictures(self) -> int:
        """How many pictures stand in the row."""
        return len(self.fixed) + 2 * len(self.extremes)


Told = TypeVar("Told", Images, Maps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Pictures of one model.

    Attributes:
        told: What they show.
        uri: The sheet as a data URI.
    """

    told: Maps
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The pictures of a results directory.

    Attributes:
        told: What the images are.
        uri: Their sheet as a data URI.
        models: Sheets by architecture and regime.
    """

    told: Images
    uri: str
    models: Mapping[tuple[str, str], Sheet]


def read_gallery(directory: Path, protocol: str) -> Gallery | None:
    """The gallery of a results directory; None where no run left one, or only one of another protocol.

    A sheet that is damaged or of another protocol is left out: the page says so where its pictures would stand.
    """
    found = _read(directory / GALLERY_DIR / "images.json", Images, protocol)
    if found is None:
        return None
    images, uri = found
    models = {}
    for path in sorted((directory / GALLERY_DIR).glob("[!.]*.json")):
        known = _read(path, Maps, protocol)
        if known and [each.name for each in known[0].fixed] == [each.name for each in images.images]:
            models[known[0].architecture, known[0].regime] = Sheet(told=known[0], uri=known[1])
    return Gallery(told=images, uri=uri, models=models)


def _read(path: Path, kind: type[Told], protocol: str) -> tuple[Told, str] | None:
    sheet = path.with_suffix(".webp")
    try:
        told = kind.model_validate_json(path.read_bytes())
        if told.protocol != protocol or sheet.stat().st_size > LARGEST:
            return None
        content = sheet.read_bytes()
    except (OSError, ValidationError):
        return None
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    return told, f"data:image/webp;base64,{base64.b64encode(content).decode()}"
