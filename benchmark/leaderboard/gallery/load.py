"""Loads the gallery that a run wrote, for the page."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

GALLERY_DIR = "gallery"
"""Name of the directory within a results directory."""
TEMPLATES = Path(__file__).parent
"""Directory of the template of the gallery."""
MAX_SHEET_BYTES = 2**20
"""Maximum size of a sheet. One with ten pictures of 112 px has about 40,000 bytes."""


class ImageCaption(BaseModel):
    """An image of the gallery."""

    name: str
    label: str


class MapCaption(ImageCaption):
    """An image with a model's map: the predicted class, and how well the map agrees with the masks."""

    predicted: str
    score: float | None


class MaskCaption(ImageCaption):
    """An image with the names of its raters."""

    raters: list[str] = Field(max_length=40)


class Images(BaseModel):
    """Content of the sheet of images: one row per image, with the image and then the masks of each rater."""

    protocol: str
    method: str
    images: list[MaskCaption] = Field(max_length=40)

    @property
    def columns(self) -> int:
        """Number of pictures in a row of the sheet."""
        return 1 + max((len(image.raters) for image in self.images), default=0)


class Maps(BaseModel):
    """Content of the sheet of a model, a single row: maps of all images, then image and map of each extreme."""

    protocol: str
    architecture: str
    regime: str
    seed: int
    fixed: list[MapCaption] = Field(max_length=40)
    extremes: list[MapCaption] = Field(max_length=4)

    @property
    def pictures(self) -> int:
        """Number of pictures in the row."""
        return len(self.fixed) + 2 * len(self.extremes)


Content = TypeVar("Content", Images, Maps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """Pictures of one model.

    Attributes:
        content: What they show.
        uri: The sheet as a data URI.
    """

    content: Maps
    uri: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The pictures of a results directory.

    Attributes:
        content: What the images are.
        uri: Their sheet as a data URI.
        models: Sheets by architecture and regime.
    """

    content: Images
    uri: str
    models: Mapping[tuple[str, str], Sheet]


def read_gallery(directory: Path, protocol: str) -> Gallery | None:
    """Reads the gallery of a results directory.

    A sheet that is damaged or of another protocol is left out. The page then shows a note in place of its pictures.

    Returns:
        The gallery. None where no run wrote one, or only one of another protocol.
    """
    images = _read_sheet(directory / GALLERY_DIR / "images.json", Images, protocol)
    if images is None:
        return None
    content, uri = images
    names = [image.name for image in content.images]
    models = {}
    for path in sorted((directory / GALLERY_DIR).glob("[!.]*.json")):
        sheet = _read_sheet(path, Maps, protocol)
        if sheet and [image.name for image in sheet[0].fixed] == names:
            models[sheet[0].architecture, sheet[0].regime] = Sheet(content=sheet[0], uri=sheet[1])
    return Gallery(content=content, uri=uri, models=models)


def _read_sheet(path: Path, kind: type[Content], protocol: str) -> tuple[Content, str] | None:
    sheet = path.with_suffix(".webp")
    try:
        content = kind.model_validate_json(path.read_bytes())
        if content.protocol != protocol or sheet.stat().st_size > MAX_SHEET_BYTES:
            return None
        pixels = sheet.read_bytes()
    except (OSError, ValidationError):
        return None
    # Only WebP goes into the page: a file of another type, such as SVG, could carry scripts.
    if pixels[:4] != b"RIFF" or pixels[8:12] != b"WEBP":
        return None
    return content, f"data:image/webp;base64,{base64.b64encode(pixels).decode()}"
