"""Renders the page: one text with styles and scripts inside, which fetches nothing."""

import base64
import hashlib
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benchmark.leaderboard.analysis.chance import NO_PREDICTIONS
from benchmark.leaderboard.analysis.class_reliance import build_class_reliance
from benchmark.leaderboard.analysis.contrasts import BASE
from benchmark.leaderboard.analysis.fourfold import Fourfold, build_fourfold
from benchmark.leaderboard.analysis.legend import describe_intervals, describe_ranks
from benchmark.leaderboard.analysis.part_reliance import PartReliance
from benchmark.leaderboard.analysis.provenance import provenance_notes
from benchmark.leaderboard.analysis.subgroup_reliance import build_subgroup_reliance
from benchmark.leaderboard.columns import HEADLINES, RANKED_BY
from benchmark.leaderboard.export.markdown import describe_attacks, describe_other_protocol
from benchmark.leaderboard.export.reliance import (
    EXPLAIN_CLASSES,
    EXPLAIN_SUBGROUPS,
    explain,
    format_class_answer,
    format_class_estimate,
    format_class_images,
    format_estimate,
    format_images,
    format_verdict,
)
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
from benchmark.leaderboard.reliance_columns import CLASS_COLUMNS, FOURFOLD_COLUMNS, LESION_MASS, RELIANCE
from benchmark.leaderboard.synthetic import STAMP

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One table with its charts.

    Attributes:
        table: Table of one data set and saliency method.
        summary: The summary cards.
        slope_charts: Panels by name of the regime.
        scatter_plots: Panels of accuracy against map quality.
        fourfold: Whether networks use the lesion and maps show it. None without reliance.
        classes: Whether networks use the lesion, by class. Empty without reliance.
    """

    table: Table
    summary: tuple[SummaryCard, ...]
    slope_charts: dict[str, list[SlopeChart]]
    scatter_plots: tuple[ScatterPlot, ...]
    fourfold: Fourfold | None
    classes: tuple[PartReliance, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PageSection:
    """Everything on the page about one results directory.

    Attributes:
        name: Data set and preset.
        views: One per saliency method.
        cards: One per model, in the order of the main table.
        subgroups: Whether networks use the lesion, by subgroup. Empty without reliance or subgroups.
        gallery: None where no run wrote one.
        series: Index of each regime by its title. It selects color and mark.
    """

    name: str
    views: tuple[View, ...]
    cards: tuple[Card, ...]
    subgroups: tuple[PartReliance, ...]
    gallery: Gallery | None
    series: dict[str, int]


def page(inputs: Sequence[PageInput]) -> str:
    """Renders the whole page. The same records give the same text.

    Args:
        inputs: Results directories. The page opens with the first one.
    """
    sections = [_section(page_input) for page_input in inputs]
    scripts = [_bundle(), (TEMPLATES / "page.js").read_text(encoding="utf-8")]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            sections=sections,
            stamp=STAMP,
            badges=BADGES,
            headlines=HEADLINES,
            reliance_columns=FOURFOLD_COLUMNS,
            class_columns=CLASS_COLUMNS,
            explain_classes=EXPLAIN_CLASSES,
            explain_subgroups=EXPLAIN_SUBGROUPS,
            use_column=RELIANCE,
            show_column=LESION_MASS,
            ranked_by=RANKED_BY,
            no_predictions=NO_PREDICTIONS,
            max_shown=MAX_SHOWN_MODELS,
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 our own file
            scripts=[Markup(script) for script in scripts],  # noqa: S704 our own file and the library's
            hashes=[_hash(script) for script in scripts],
        )
    )


@cache
def _environment() -> Environment:
    """Returns what loads the templates. It compiles each of them once, which takes as long as a small page."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, GALLERY_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        digits=digits,
        describe_attacks=describe_attacks,
        describe_other_protocol=describe_other_protocol,
        describe_intervals=describe_intervals,
        describe_ranks=describe_ranks,
        explain_fourfold=explain,
        estimate=format_estimate,
        num_images=format_images,
        verdict=format_verdict,
        class_answer=format_class_answer,
        class_estimate=format_class_estimate,
        class_images=format_class_images,
        provenance_notes=provenance_notes,
    )
    return environment


def _section(page_input: PageInput) -> PageSection:
    main = page_input.leaderboards[0]
    titles = sorted({row.title for row in main.models}, key=lambda title: (title != BASE, title))
    series = {title: index for index, title in enumerate(titles)}
    models = select_shown_models(main)
    rows = [row for row in main.models if (row.name, row.regime) in models]
    perturbed = build_perturbation_panels(rows, page_input.published)
    return PageSection(
        name=f"{main.record.dataset}, {main.record.preset}",
        views=tuple(
            View(
                table=build_page_table(leaderboard, models),
                summary=tuple(build_summary_cards(leaderboard)),
                slope_charts=build_slope_charts(leaderboard, models, contrasts),
                scatter_plots=tuple(build_scatter_plots(leaderboard, models, series)),
                fourfold=build_fourfold(leaderboard),
                classes=_shown(build_class_reliance(leaderboard), models),
            )
            for leaderboard, contrasts in zip_longest(page_input.leaderboards, page_input.contrasts)
        ),
        cards=tuple(build_card(row, page_input.published, perturbed.get((row.name, row.regime), ())) for row in rows),
        subgroups=_shown(_subgroups(page_input), models),
        gallery=read_gallery(page_input.published.directory, main.record.protocol),
        series=series,
    )


def _subgroups(page_input: PageInput) -> Sequence[PartReliance]:
    known = page_input.subgroups
    return build_subgroup_reliance(page_input.published, page_input.leaderboards[0]) if known is None else known


def _shown(lines: Iterable[PartReliance], models: Container[tuple[str, str]]) -> tuple[PartReliance, ...]:
    return tuple(line for line in lines if (line.row.name, line.row.regime) in models)


@cache
def _bundle() -> str:
    """Returns DataTables and its dependencies as a classic script, from the bundle of the package itables."""
    spec = find_spec("itables")  # only its file is needed; importing it would search for notebooks
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package itables is missing; run `make setup`")
    text = (Path(spec.origin).parent / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    exported = re.search(r"export\{[^}]*?(\w+) as default[^}]*\};?", text)
    if exported is None:
        raise ValueError("dt_bundle.js of itables has no default export; install the version in requirements.lock")
    text = text.replace(exported[0], f";window.DataTable={exported[1]};")
    # HTML could read these as the start or end of an element. They occur in strings and patterns, where \x3C is equal.
    return re.sub(r"<(?=!--|/?script)", r"\\x3C", text, flags=re.IGNORECASE)


def _hash(script: str) -> str:
    """Returns the hash by which the content security policy allows a script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
