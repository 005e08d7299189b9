"""A page of four committed records, of which one has a hostile name, with a gallery of made pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.leaderboard.gallery.write import Explained, Picture, write_images, write_model
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.load.results import ResultsDirectory, read_results
from benchmark.leaderboard.tables import build_tables
from tests.committed import committed_record

MODELS = ("densenet121/standard", "densenet121/adversarial", "xception/standard", "xception/adversarial")
HOSTILE = "<script>document.title='taken'</script>\"'&"
SIDE = 40


def with_hostile_name(published: ResultsDirectory) -> ResultsDirectory:
    """Renames one of the models."""
    hostile = {"architecture": HOSTILE, "regime_title": HOSTILE}
    alone = len(published.records) == len(MODELS)
    return replace(
        published,
        records={
            path: record.model_copy(update=hostile)
            if alone and path == committed_record(MODELS[-1], directory=path.parents[1])
            else record
            for path, record in published.records.items()
        },
    )


def shown_of(directory: Path) -> PageInput:
    """What the page of a directory gets. No record with the hostile name would be admitted, but pages must hold."""
    published = with_hostile_name(read_results(directory))
    methods = next(iter(published.records.values())).methods
    return PageInput(published=published, leaderboards=[build_tables(published, [method])[0] for method in methods])


def picture(number: int) -> Picture:
    rng = np.random.default_rng(number)
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[10:30, 10:30] = 255
    return Picture(
        name=f"image{number}",
        label="Acne",
        image=rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        mask=mask,
        raters={"Ann": mask, "Bob": mask} if number else {"Cem": mask},
    )


def write_pictures(directory: Path, protocol: str, models: list[tuple[str, str]]) -> None:
    facts = {"protocol": protocol, "method": "grad-cam"}
    pictures = [picture(number) for number in range(2)]
    write_images(directory, facts, pictures)
    explained = [
        Explained(picture=each, saliency=np.full((SIDE, SIDE), 0.5, np.float16), predicted=name, score=0.25)
        for each, name in zip(pictures, ("Acne", "Vitiligo"), strict=True)
    ]
    for architecture, regime in models:
        write_model(
            directory, {**facts, "architecture": architecture, "regime": regime, "seed": 0}, explained, explained
        )
