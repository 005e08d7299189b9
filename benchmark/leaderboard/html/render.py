"""The page as text: templates filled, styles and scripts within, nothing fetched from anywhere."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmark.leaderboard.analysis.contrasts import BASE
from benchmark.leaderboard.export.markdown import HEADLINES, STAMP, said_of_apart
from benchmark.leaderboard.gallery.load import Gallery, read_gallery
from benchmark.leaderboard.html.card import Card, card_of
from benchmark.leaderboard.html.page_input import SHOWN_MODELS, Shown, Table, digits, models_shown, table_of
from benchmark.leaderboard.html.perturbation_curves import perturbed_of
from benchmark.leaderboard.html.scatter import Plane, planes_of
from benchmark.leaderboard.html.slope_chart import Slopes, slopes_of
from benchmark.leaderboard.html.summary_cards import Fact, facts_of
from benchmark.leaderboard.load.badges import BADGES

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One table with its charts.

    Attributes:
        table: Of one data set and saliency method.
        facts: Its first glance.
        slopes: Panels by name of the regime.
        planes: Panels of accuracy against quality.
    """

    table: Table
    facts: tuple[Fact, ...]
    slopes: dict[str, list[Slopes]]
    planes: tuple[Plane, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """All that the page shows of one results folder.

    Attributes:
        name: Data set and preset.
        shown: Where it comes from.
        views: One per saliency method.
        cards: One per model, in the order of the main table.
        gallery: None where no run left one.
        series: Number of each regime by its title, which decides its colour.
    """

    name: str
    shown: Shown
    views: tuple[View, ...]
    cards: tuple[Card, ...]
    gallery: Gallery | None
    series: dict[str, int]


def page(shown: Sequence[Shown]) -> str:
    """The whole page, the same text for the same records.

    Args:
        shown: Results folders; the first one is seen first.
    """
    sections = [_section(each) for each in shown]
    scripts = [_bundle(), (TEMPLATES / "page.js").read_text(encoding="utf-8")]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(digits=digits, said_of_apart=said_of_apart)
    return environment.get_template("page.html.jinja").render(
        sections=sections,
        stamp=STAMP,
        badges=BADGES,
        headlines=HEADLINES,
        most=SHOWN_MODELS,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 our own file and the library's
        hashes=[_hash(script) for script in scripts],
    )


def _section(shown: Shown) -> Section:
    main = shown.boards[0]
    titles = sorted({row.title for row in main.models}, key=lambda title: (title != BASE, title))
    series = {title: number for number, title in enumerate(titles)}
    models = models_shown(main)
    rows = [row for row in main.models if (row.name, row.regime) in models]
    perturbed = perturbed_of(rows, shown.published)
    return Section(
        name=f"{main.record.dataset}, {main.record.preset}",
        shown=shown,
        views=tuple(
            View(
                table=table_of(board, models),
                facts=tuple(facts_of(board)),
                slopes=slopes_of(board, models, contrasts),
                planes=tuple(planes_of(board, models, series)),
            )
            for board, contrasts in zip_longest(shown.boards, shown.contrasts)
        ),
        cards=tuple(card_of(row, shown.published, perturbed.get((row.name, row.regime), ())) for row in rows),
        gallery=read_gallery(shown.published.folder, main.record.protocol),
        series=series,
    )


@cache
def _bundle() -> str:
    """DataTables with what it stands on, as the package itables brings it, for a script element of our own."""
    found = find_spec("itables")  # its files alone are wanted: to import it would look for notebooks
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the package itables is missing; run `make setup`")
    text = (Path(found.origin).parent / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    exported = re.search(r"export\{[^}]*?(\w+) as default[^}]*\};?", text)
    if exported is None:
        raise ValueError("dt_bundle.js of itables exports nothing by default: another version than requirements.lock's")
    text = text.replace(exported[0], f";window.DataTable={exported[1]};")
    # What HTML would read as the beginning or end of an element stands in strings and patterns, which read \x3C alike.
    return re.sub(r"<(?=!--|/?script)", r"\\x3C", text, flags=re.IGNORECASE)


def _hash(script: str) -> str:
    """How a content security policy names a script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
