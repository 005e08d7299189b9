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
from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.export.markdown import describe_other_protocol
from benchmark.leaderboard.gallery.load import TEMPLATES as GALLERY_TEMPLATES
from benchmark.leaderboard.gallery.load import Gallery, read_gallery
from benchmark.leaderboard.html.card import Card, build_card
from benchmark.leaderboard.html.page_input import (
    MAX_SHOWN_MODELS,
    PageInput,
    Table,
    build_page_table,
    digits,
    select_shown_models,
)
from benchmark.leaderboard.html.perturbation_curves import build_perturbation_panels
from benchmark.leaderboard.html.scatter import ScatterPlot, build_scatter_plots
from benchmark.leaderboard.html.slope_chart import SlopeChart, build_slope_charts
from benchmark.leaderboard.html.summary_cards import SummaryCard, build_summary_cards
from benchmark.leaderboard.load.badges import BADGES
from benchmark.leaderboard.synthetic import STAMP

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
    facts: tuple[SummaryCard, ...]
    slopes: dict[str, list[SlopeChart]]
    planes: tuple[ScatterPlot, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSection:
    """All that the page shows of one results directory.

    Attributes:
        name: Data set and preset.
        shown: Where it comes from.
        views: One per saliency method.
        cards: One per model, in the order of the main table.
        gallery: None where no run left one.
        series: Number of each regime by its title, which decides its color.
    """

    name: str
    shown: PageInput
    views: tuple[View, ...]
    cards: tuple[Card, ...]
    gallery: Gallery | None
    series: dict[str, int]


def page(shown: Sequence[PageInput]) -> str:
    """The whole page, the same text for the same records.

    Args:
        shown: Results directories; the first one is seen first.
    """
    sections = [_section(each) for each in shown]
    scripts = [_bundle(), (TEMPLATES / "page.js").read_text(encoding="utf-8")]
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, GALLERY_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(digits=digits, describe_other_protocol=describe_other_protocol)
    return environment.get_template("page.html.jinja").render(
        sections=sections,
        stamp=STAMP,
        badges=BADGES,
        headlines=HEADLINES,
        ranked_by=RANKED_BY,
        most=MAX_SHOWN_MODELS,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 our own file and the library's
        hashes=[_hash(script) for script in scripts],
    )


def _section(shown: PageInput) -> PageSection:
    main = shown.leaderboards[0]
    titles = sorted({row.title for row in main.models}, key=lambda title: (title != BASE, title))
    series = {title: number for number, title in enumerate(titles)}
    models = select_shown_models(main)
    rows = [row for row in main.models if (row.name, row.regime) in models]
    perturbed = build_perturbation_panels(rows, shown.published)
    return PageSection(
        name=f"{main.record.dataset}, {main.record.preset}",
        shown=shown,
        views=tuple(
            View(
                table=build_page_table(leaderboard, models),
                facts=tuple(build_summary_cards(leaderboard)),
                slopes=build_slope_charts(leaderboard, models, contrasts),
                planes=tuple(build_scatter_plots(leaderboard, models, series)),
            )
            for leaderboard, contrasts in zip_longest(shown.leaderboards, shown.contrasts)
        ),
        cards=tuple(build_card(row, shown.published, perturbed.get((row.name, row.regime), ())) for row in rows),
        gallery=read_gallery(shown.published.directory, main.record.protocol),
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
