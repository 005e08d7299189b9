"""The page is one file, the same each time, and says what the board says."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.leaderboard.columns import RANKED_BY
from benchmark.leaderboard.gallery.load import GALLERY_DIR, read_gallery
from benchmark.leaderboard.gallery.write import OUTLINE
from benchmark.leaderboard.html.card import build_card
from benchmark.leaderboard.html.charts import MIN_LABEL_DISTANCE, Label, build_loss_curve, spread, ticks
from benchmark.leaderboard.html.page_input import PageInput, Scale, build_page_table, select_shown_models
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.html.scatter import build_scatter_plots
from benchmark.leaderboard.html.slope_chart import build_slope_charts
from benchmark.leaderboard.html.summary_cards import build_summary_cards
from benchmark.leaderboard.load.results import read_results
from benchmark.statistics.tests import ALPHA, difference, holm
from benchmark.storage.paths import ROOT
from tests.benchmark.leaderboard.html.shown import HOSTILE, MODELS, SIDE, shown_of, with_hostile_name
from tests.committed import QUICK, committed_sidecar

WITHOUT_GALLERY = "These records have no gallery"
CEILING = re.compile("rater|^ceiling of")


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
    assert WITHOUT_GALLERY in page([shown_of(ROOT / "results" / "Dataset_BUSI_with_GT" / "small")])


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


def test_lines_say_what_is_a_model_a_baseline_and_a_ceiling(shown):
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
