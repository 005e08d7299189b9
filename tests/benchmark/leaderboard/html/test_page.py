"""The page is one file, the same each time, says what the board says, and does in a browser what it promises."""

import json
import os
import re
import shutil
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.gallery.load import GALLERY_DIR, read_gallery
from benchmark.leaderboard.gallery.write import OUTLINE, Explained, Picture, write_images, write_model
from benchmark.leaderboard.html.card import build_card
from benchmark.leaderboard.html.charts import MIN_LABEL_DISTANCE, Label, build_loss_curve, spread, ticks
from benchmark.leaderboard.html.page_input import PageInput, Scale, build_page_table, select_shown_models
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.html.scatter import build_scatter_plots
from benchmark.leaderboard.html.slope_chart import build_slope_charts
from benchmark.leaderboard.html.summary_cards import build_summary_cards
from benchmark.leaderboard.load.results import ResultsDirectory, read_results
from benchmark.leaderboard.tables import build_tables
from benchmark.statistics.tests import ALPHA, difference, holm
from benchmark.storage.paths import ROOT
from tests.committed import QUICK, committed_record, committed_sidecar

WITHOUT_GALLERY = "These records have no gallery"
MODELS = ("densenet121/standard", "densenet121/adversarial", "xception/standard", "xception/adversarial")
HOSTILE = "<script>document.title='taken'</script>\"'&"
SIDE = 40
CEILING = re.compile("rater|^ceiling of")
TYPES = Path(mpl.get_data_path()) / "fonts" / "ttf"


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


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Four of the committed records and a gallery."""
    target = tmp_path_factory.mktemp("results") / "dermsynth" / "quick"
    (target / "records").mkdir(parents=True)
    for name in ("protocol.json", "baselines.parquet"):
        shutil.copy(QUICK / name, target)
    for model in MODELS:
        for path in (QUICK / "records").glob(f"{committed_record(model).stem}.*"):
            shutil.copy(path, target / "records")
    marker = json.loads((target / "protocol.json").read_text(encoding="utf-8"))
    models = [("densenet121", "standard"), ("densenet121", "adversarial"), ("xception", "standard")]
    write_pictures(target / GALLERY_DIR, marker["protocol"], models)
    return target


@pytest.fixture(scope="module")
def shown(directory) -> PageInput:
    return shown_of(directory)


@pytest.fixture(scope="module")
def text(shown) -> str:
    return page([shown])


class Elements(HTMLParser):
    """Start tags with their attributes, text, and whatever is not closed in order."""

    VOID = frozenset({"meta", "link", "input", "br", "circle", "path", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.text.append(data)


@pytest.fixture(scope="module")
def elements(text) -> Elements:
    parsed = Elements()
    parsed.feed(text)
    return parsed


def test_the_page_is_whole_and_asks_for_nothing(elements):
    assert elements.open == []
    for tag, attributes in elements.found:
        for name in ("src", "href", "action", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
    names = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(names) == len(set(names))


def test_only_scripts_of_ours_may_run(text, elements):
    assert [attributes for tag, attributes in elements.found if tag == "script"] == [{"type": "module"}] * 2
    policy = next(attributes["content"] for tag, attributes in elements.found if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.count("'sha256-") == 2
    assert "unsafe-eval" not in policy
    assert text.count("<script") == 2


def test_what_a_submission_says_stays_text(text, elements):
    assert HOSTILE not in text
    assert "".join(elements.text).count(HOSTILE) > 5
    openers = {attributes["data-card"] for _, attributes in elements.found if "data-card" in attributes}
    assert f"0-{HOSTILE}-adversarial" in openers


def test_the_page_is_the_same_each_time(directory, text):
    assert page([shown_of(directory)]) == text


def test_the_page_of_all_committed_records_is_small():
    whole = page([shown_of(QUICK)])
    assert len(whole.encode()) < 2.8e6  # with 22 models' pictures, of 12 to 20 kB each, and their reliance by subgroup
    assert "SYNTHETIC DATA" in whole[: whole.index("<h1>")].rpartition("<body>")[2]
    assert WITHOUT_GALLERY not in whole


def test_a_page_of_records_without_gallery_says_so():
    """Pictures of real images are committed only where their license allows it."""
    assert WITHOUT_GALLERY in page([shown_of(ROOT / "results" / "Dataset_BUSI_with_GT" / "study")])


def test_every_row_stands_in_the_table_with_its_interval(shown, elements):
    said = "".join(elements.text)
    for leaderboard in shown.leaderboards:
        for row in leaderboard.rows:
            known = row.estimates[RANKED_BY]
            assert row.name in said
            assert f"{known.low:.3f} to {known.high:.3f}" in said


def test_real_data_is_not_called_synthetic(shown, text):
    def real(record):
        return record.model_copy(update={"synthetic": False})

    records = {path: real(record) for path, record in shown.published.records.items()}
    leaderboards = [replace(leaderboard, record=real(leaderboard.record)) for leaderboard in shown.leaderboards]
    other = page([PageInput(published=replace(shown.published, records=records), leaderboards=leaderboards)])
    assert [("synthetic" in said.partition("<body>")[2].partition("<script")[0].lower()) for said in (text, other)] == [
        True,
        False,
    ]


def test_the_first_glance_is_a_verdict_and_counts_no_models_of_one_training_each(shown):
    leaderboard = shown.leaderboards[0]
    cards = build_summary_cards(leaderboard)
    best = max(
        (row for row in leaderboard.rows if not row.is_model and not CEILING.search(row.name)),
        key=lambda row: row.estimates[RANKED_BY].value,
    )
    known = [row.estimates[RANKED_BY] for row in leaderboard.ranked]
    found = [difference(each, best.estimates[RANKED_BY]) for each in known]
    sure = (holm(np.array([each.p for each in found])) < ALPHA) & (np.array([each.value for each in found]) > 0)
    assert cards[0].number == (leaderboard.ranked[0].label if sure[0] else "None yet")
    assert ("on these images" in cards[0].text) == sure[0]
    assert best.name in cards[0].text
    assert leaderboard.ranked[0].label in cards[1].text
    assert cards[2].number == "1 training"
    assert not any("significantly different" in card.text for card in cards)


def test_lines_say_what_is_a_model_a_yardstick_and_a_ceiling(shown):
    table = build_page_table(shown.leaderboards[0], select_shown_models(shown.leaderboards[0]))
    kinds = [line.kind for line in table.lines]
    assert kinds.count("model") == 4
    assert kinds.count("ceiling") == 3  # two grids and a rater
    assert not any(line.gap or line.letters for line in table.lines)  # one training each
    assert [line.rank for line in table.lines[:4]] == [row.rank or 0 for row in shown.leaderboards[0].models]
    heading = table.headings[0]
    for line in table.lines:
        if cell := line.cells.get(RANKED_BY):
            place = heading.scale.position(cell.estimate.value)
            assert cell.outside == ("" if 0 <= place <= 100 else "over" if place > 100 else "under")
            assert (f"--v:{place:g}%" in cell.style) == (not cell.outside)


def test_no_slope_between_single_trainings_is_bold(shown):
    leaderboard = shown.leaderboards[0]
    rows = {(row.name, row.regime): row for row in leaderboard.models}
    panels = {
        panel.column.name: panel
        for panel in build_slope_charts(leaderboard, select_shown_models(leaderboard))["adversarial"]
    }
    assert {"map_f1", "sparsity", "balanced_accuracy"} <= set(panels)
    for name, panel in panels.items():
        one, other = (rows["densenet121", regime].estimates[name] for regime in ("standard", "adversarial"))
        assert [slope.verdict for slope in panel.slopes] == ["unsure"]
        assert f"{other.value - one.value:+.3f}" in panel.slopes[0].description
        assert "better" not in panel.description


def test_points_stand_where_their_numbers_are(shown):
    leaderboard = shown.leaderboards[0]
    plane = next(
        build_scatter_plots(leaderboard, select_shown_models(leaderboard), {row.title: 0 for row in leaderboard.models})
    )
    values = np.array([row.estimates["balanced_accuracy"].value for row in leaderboard.models])
    assert np.corrcoef(values, [point.x for point in plane.points])[0, 1] > 0.9999
    assert (
        np.corrcoef(
            [row.estimates[RANKED_BY].value for row in leaderboard.models], [point.y for point in plane.points]
        )[0, 1]
        < -0.9999
    )
    for point in plane.points:
        assert point.error_bars[0] <= point.x <= point.error_bars[1]
        assert point.error_bars[2] <= point.y <= point.error_bars[3]


@pytest.mark.parametrize("seed", range(20))
def test_labels_make_room_for_each_other(seed):
    rng = np.random.default_rng(seed)
    labels = [Label(text=str(number), y=y, at=y) for number, y in enumerate(rng.uniform(0, 200, 12))]
    placed = spread(labels, 200)
    assert [label.y for label in placed] == sorted(label.y for label in labels)
    assert min(np.diff([label.at for label in placed])) > MIN_LABEL_DISTANCE - 1e-9
    assert max(label.at for label in placed) <= 200


@pytest.mark.parametrize(("low", "high"), [(-0.03, 0.21), (0.0, 1e-4), (0.31, 0.72), (-5.0, 130.0)])
def test_ticks_are_round_few_and_within(low, high):
    found = ticks(Scale(low=low, high=high))
    assert 2 <= len(found) <= 6
    for text, place in found:
        assert 0 <= place <= 100
        assert Scale(low=low, high=high).position(float(text)) == pytest.approx(place, abs=0.2)


def test_the_confusion_counts_every_test_image(shown):
    row = shown.leaderboards[0].models[0]
    card = build_card(row, shown.published)
    path = committed_sidecar(f"{row.name}/{row.regime}", "predictions.parquet")
    frame = pd.read_parquet(path)
    counts = np.array([[count for count, _ in line] for line in card.confusion.rows])
    assert counts.sum() == len(frame)
    assert np.trace(counts) == (frame["label"] == frame["predicted"]).sum()
    assert counts.sum(axis=1).tolist() == frame["label"].value_counts().sort_index().tolist()
    assert dict(card.provenance)["key"] == card.record.key
    assert f"--architecture {row.name}" in card.command


def test_a_card_without_a_readable_diagnosis_says_so(shown, tmp_path):
    directory = shown.published.directory
    shutil.copytree(directory, tmp_path / "damaged")
    for number, path in enumerate(sorted((tmp_path / "damaged" / "records").glob("*.classification.csv"))):
        path.write_text("measure,of,value,low,high,n\naccuracy,,much,0,1,8\n" if number else "\0", encoding="utf-8")
        record = path.with_name(path.name.replace(".classification.csv", ".json"))
        content = json.loads(record.read_text(encoding="utf-8"))
        content["files"] = {}  # as in records of earlier versions, which name no digests
        content.pop("seal", None)
        record.write_text(json.dumps(content), encoding="utf-8")
    damaged = replace(shown, published=with_hostile_name(read_results(tmp_path / "damaged")))
    assert page([damaged]).count("No readable classification.csv") == len(MODELS)


def test_a_curve_has_a_point_per_epoch():
    curve = build_loss_curve([[2.0, 1.0, 0.5], [2.0, float("nan"), 0.6]], [[1.9, 1.2, 1.1]])
    assert [len(points.split()) for points in (*curve.losses, *curve.validation)] == [3, 2, 3]
    heights = [float(point.split(",")[1]) for point in curve.losses[0].split()]
    assert heights == sorted(heights)  # SVG counts downwards
    assert build_loss_curve([[1.0]], [[]]) is None


def test_the_gallery_keeps_pictures_of_its_protocol_alone(directory, tmp_path):
    protocol = json.loads((directory / "protocol.json").read_text())["protocol"]
    gallery = read_gallery(directory, protocol)
    assert gallery.content.columns == 3
    assert [image.raters for image in gallery.content.images] == [["Cem"], ["Ann", "Bob"]]
    assert len(gallery.models) == 3
    assert read_gallery(directory, "another") is None
    shutil.copytree(directory, tmp_path / "copy")
    gallery = tmp_path / "copy" / GALLERY_DIR
    (gallery / "xception-standard.webp").write_bytes(b"<svg onload='alert(1)'>")
    (gallery / "densenet121-standard.json").write_text("{", encoding="utf-8")
    assert set(read_gallery(tmp_path / "copy", protocol).models) == {("densenet121", "adversarial")}
    assert read_gallery(tmp_path, protocol) is None


def test_pictures_show_image_masks_and_map(directory):
    sheet = np.asarray(Image.open(directory / GALLERY_DIR / "images.webp").convert("RGB")).astype(int)
    assert sheet.shape == (2 * SIDE, 3 * SIDE, 3)
    plain, masked = sheet[SIDE:, :SIDE], sheet[SIDE:, SIDE : 2 * SIDE]
    assert masked[:8, :8].mean() < 0.6 * plain[:8, :8].mean()
    assert np.abs(masked[14:26, 14:26] - plain[14:26, 14:26]).mean() < 25
    assert np.abs(masked[10, 12:28] - OUTLINE).mean() < 60  # WebP is not exact
    row = np.asarray(Image.open(directory / GALLERY_DIR / "xception-standard.webp").convert("RGB"))
    assert row.shape == (SIDE, (2 + 2 * 2) * SIDE, 3)


# --- in a real browser ---


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("LOUPE_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if not path:
        why = "no Chromium here; install one (Debian: apt-get install chromium) or name it in LOUPE_CHROMIUM"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else [])
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory, text) -> Path:
    path = tmp_path_factory.mktemp("page") / "leaderboard.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def tab(browser, file):
    """The page in a fresh window; whatever it says on the console or asks of the network fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_selector("table.dataTable")
    yield opened
    context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}


def names(tab) -> list[str]:
    return tab.locator(".view:not([hidden]) tbody th[scope=row] :is(.open, .stick)").all_inner_texts()


def column(tab, name: str) -> list[float]:
    place = tab.locator(".view:not([hidden]) thead th").evaluate_all(
        "(all, name) => all.findIndex((each) => each.dataset.name === name)", name
    )
    cells = tab.locator(f".view:not([hidden]) tbody tr > :nth-child({place + 1}) b")
    return [float(cell) for cell in cells.all_inner_texts()]


def heading(tab, name: str):
    return tab.locator(f".view:not([hidden]) th[data-name={name}]")


def wait_until_sorted(tab, name: str, order: str) -> None:
    """The rows follow the click a moment later, on a busy machine after a long one."""
    tab.wait_for_selector(f".view:not([hidden]) th[data-name={name}][aria-sort={order}]")


def test_it_sorts_and_says_so(tab):
    assert heading(tab, "rank").get_attribute("aria-sort") == "ascending"
    heading(tab, RANKED_BY).click()
    wait_until_sorted(tab, RANKED_BY, "descending")
    assert column(tab, RANKED_BY) == sorted(column(tab, RANKED_BY), reverse=True)
    heading(tab, "sparsity").click()
    wait_until_sorted(tab, "sparsity", "descending")
    assert column(tab, "sparsity") == sorted(column(tab, "sparsity"), reverse=True)
    sorter = heading(tab, "sparsity").locator("[role=button]")
    sorter.focus()
    tab.keyboard.press("Enter")
    wait_until_sorted(tab, "sparsity", "ascending")
    assert column(tab, "sparsity") == sorted(column(tab, "sparsity"))
    tab.select_option("#part", "=deletion")
    heading(tab, "deletion").click()
    wait_until_sorted(tab, "deletion", "ascending")
    assert column(tab, "deletion") == sorted(column(tab, "deletion"))  # less is better, so the least comes first


def test_it_searches_and_filters(tab, shown):
    everything = names(tab)
    assert len(everything) == len(shown.leaderboards[0].rows)
    tab.fill("#find", "densenet")
    assert names(tab) == ["densenet121", "densenet121"]
    tab.fill("#find", "no such thing")
    assert names(tab) == []
    tab.fill("#find", "")
    tab.locator(".chip", has_text="baselines").click()
    assert len(names(tab)) == len(MODELS)
    tab.locator(".chip", has_text="standard").click()
    assert sorted(names(tab)) == sorted(["densenet121", HOSTILE])
    tab.locator(".chip", has_text="standard").click()
    tab.locator(".chip", has_text="baselines").click()
    assert names(tab) == everything


def test_it_shows_another_method_and_other_scores(tab, shown):
    before = column(tab, RANKED_BY)
    tab.select_option(".method:not([hidden]) select", "1")
    after = column(tab, RANKED_BY)
    assert after != before
    assert max(after) == pytest.approx(max(r.estimates[RANKED_BY].value for r in shown.leaderboards[1].rows), abs=6e-4)
    tab.select_option("#part", "classification")
    assert heading(tab, "macro_f1").is_visible()
    assert heading(tab, RANKED_BY).count() == 0
    assert len(names(tab)) == len(MODELS)  # no baseline diagnoses


def test_a_card_opens_by_keyboard_and_closes(tab):
    opener = tab.locator(".view:not([hidden]) .open", has_text="xception").first
    opener.focus()
    tab.keyboard.press("Enter")
    card = tab.locator("dialog[open]")
    assert card.get_by_role("heading", level=2).inner_text().startswith("xception")
    assert card.locator(".confusion tbody tr").count() == 6
    assert "SHA-256" in card.inner_text()
    tab.keyboard.press("Escape")
    assert card.count() == 0
    assert opener.evaluate("(element) => element === document.activeElement")


def test_a_point_of_a_chart_opens_its_card(tab):
    tab.locator(".view:not([hidden]) .chart a").first.click()
    assert tab.locator("dialog[open]").count() == 1


def test_pictures_are_loaded_and_change_with_the_choice(tab):
    loaded = tab.locator(".gallery .tile").first.evaluate(
        """async (element) => {
            const image = new Image();
            image.src = getComputedStyle(element).backgroundImage.slice(5, -2);
            await image.decode();
            return [image.naturalWidth, image.naturalHeight];
        }"""
    )
    assert loaded == [3 * SIDE, 2 * SIDE]
    visible = ".gallery figure:visible"
    assert tab.locator(visible).count() == 1 + 1 + 3
    tab.locator(".choose button").nth(1).click()
    assert tab.locator(visible).count() == 1 + 2 + 3
    assert tab.locator(visible).first.inner_text().endswith("image1")
    tab.locator(visible).nth(3).locator("button").click()
    extremes = tab.locator("dialog[open] .extreme")
    assert [text.splitlines()[0] for text in extremes.all_inner_texts()] == ["best: Acne", "worst: Acne"]


def test_a_hostile_name_stays_text_in_the_browser(tab):
    assert tab.title() == "Loupe: dermsynth, quick"
    tab.locator(".view:not([hidden]) .open", has_text="<script>").first.click()
    assert tab.locator("dialog[open] h2").inner_text().startswith(HOSTILE)
    assert tab.locator("body script").count() == 2
    assert tab.title() == "Loupe: dermsynth, quick"


def test_light_and_dark(tab):
    def ground() -> int:
        color = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, color.strip("rgb()").split(",")))

    tab.emulate_media(color_scheme="dark")
    assert ground() < 150
    tab.locator("#theme").click()
    assert ground() > 600
    tab.reload()
    tab.wait_for_selector("table.dataTable")
    assert ground() > 600  # as chosen, not as the system has it


FONTS = {
    "narrow": ("DejaVuSans", 80),
    "as-wide-as-liberation": ("DejaVuSans", 88),
    "dejavu": ("DejaVuSans", 100),
    "a-fifth-wider": ("DejaVuSans", 120),
    "serif-a-fifth-wider": ("DejaVuSerif", 120),
    "each-letter-as-wide-as-the-widest": ("DejaVuSansMono", 100),
}
"""Files that matplotlib brings along, and to how many percent they are stretched: none need be installed."""


def forced(name: str, percent: int) -> str:
    """A style sheet that sets all text in a font, whatever the page asks for."""
    faces = [
        f"@font-face {{ font-family: forced; font-weight: {weight}; size-adjust: {percent}%; "
        f"src: url(data:font/ttf;base64,{b64encode((TYPES / f'{name}{suffix}.ttf').read_bytes()).decode()}) }}"
        for weight, suffix in (("1 549", ""), ("550 1000", "-Bold"))
    ]
    return "\n".join([*faces, "* { font-family: forced !important }"])


@pytest.fixture
def narrow(browser, file):
    """The page in a window of a small telephone; its policy, which allows no fonts, is set aside."""
    context = browser.new_context(viewport={"width": 400, "height": 800}, bypass_csp=True)
    opened = context.new_page()
    opened.goto(file.as_uri())
    opened.wait_for_selector("table.dataTable")
    yield opened
    context.close()


@pytest.mark.parametrize("font", FONTS)
def test_it_reads_on_a_narrow_screen_in_any_font(narrow, font):
    narrow.add_style_tag(content=forced(*FONTS[font]))
    for weight in (400, 700):
        assert narrow.evaluate("async (font) => (await document.fonts.load(font)).length", f"{weight} 15px forced") == 1
    assert narrow.evaluate("document.documentElement.scrollWidth") == 400
    assert narrow.locator(".view:not([hidden]) th[data-part]:visible").count() == 1
    box = narrow.locator(".view:not([hidden]) table.board").bounding_box()
    assert box["x"] + box["width"] <= 400
