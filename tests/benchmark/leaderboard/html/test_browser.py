"""The page does in a browser what it promises."""

import os
import shutil
from base64 import b64encode
from pathlib import Path

import matplotlib as mpl
import pytest

from benchmark.leaderboard.columns import RANKED_BY
from tests.benchmark.leaderboard.html.shown import HOSTILE, MODELS, SIDE

TYPES = Path(mpl.get_data_path()) / "fonts" / "ttf"


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
