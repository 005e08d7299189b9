"""A row says whose word its scores are, where that is not the repository's own."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmark.leaderboard.columns import HEADLINES
from benchmark.leaderboard.export.latex import to_latex
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.html.card import build_card
from benchmark.leaderboard.html.page_input import PageInput
from benchmark.leaderboard.html.render import page
from benchmark.leaderboard.load.badges import BADGES, MAPS_ONLY, OWN
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.benchmark.leaderboard.made_results import make_results

SUBMITTED = {"entry": "x.py", "sha256": "0" * 64}
AGAIN = {"images": ["a", "b"], "scores": {}, "environment": {}}
OF_SUBMISSIONS = {badge: meaning for badge, meaning in BADGES.items() if badge != MAPS_ONLY}
EXPECTED = {"densenet121": "verified", "efficientnet_b0": "self-reported", "inception_resnet_v2": ""}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Of the first network both seeds were scored again, of the second one of two; the third is our own."""
    directory = make_results(
        tmp_path_factory.mktemp("badges") / "quick", images=12, architectures=3, regimes=1, seeds=2
    )
    for name in ("densenet121-standard-0", "densenet121-standard-1", "efficientnet_b0-standard-1"):
        told(directory, name, submission=SUBMITTED, badge="verified", verification=AGAIN)
    told(directory, "efficientnet_b0-standard-0", submission=SUBMITTED)
    return read_results(directory)


def told(directory: Path, name: str, **changes) -> None:
    path = directory / "records" / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


class Badges(HTMLParser):
    """Title of each badge, by its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found, self.title = [], None

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.title = known["title"] if tag == "abbr" and "badge" in known.get("class", "") else None

    def handle_data(self, data):
        if self.title:
            self.found.append((data, self.title))
            self.title = None


def test_a_submission_has_the_weaker_badge_of_its_seeds_and_others_have_none(published):
    leaderboard = build_tables(published)[0]
    assert {row.name: row.badge for row in leaderboard.models} == EXPECTED
    assert {row.badge for row in leaderboard.rows if not row.is_model} == {""}


def test_the_markdown_says_it_beside_the_regime_and_explains_what_occurs(published):
    leaderboards = build_tables(published)
    text = to_markdown(leaderboards, [], [])
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    regimes = {cells[2].removesuffix(" †"): cells[3] for cells in lines if cells[2].removesuffix(" †") in EXPECTED}
    assert regimes == {name: f"standard, {badge}" if badge else "standard" for name, badge in EXPECTED.items()}
    assert all(f"*{badge}*: {meaning}" in text for badge, meaning in OF_SUBMISSIONS.items())
    assert "standard, self-reported &" in to_latex(leaderboards[0], HEADLINES)


def test_the_page_explains_each_badge_where_it_stands(published):
    leaderboards = build_tables(published)
    parsed = Badges()
    parsed.feed(page([PageInput(published=published, leaderboards=leaderboards)]))
    assert sorted(parsed.found) == sorted([*OF_SUBMISSIONS.items()] * len(leaderboards))


def test_a_table_without_submissions_is_as_plain_as_before(tmp_path):
    published = read_results(make_results(tmp_path / "quick", images=8, architectures=2, regimes=1))
    leaderboards = build_tables(published)
    text = to_markdown(leaderboards, [], [])
    assert not [word for word in (*BADGES, "badge") if word in text]
    assert 'class="badge' not in page([PageInput(published=published, leaderboards=leaderboards)])


def test_the_card_says_how_a_row_stands(published):
    rows = {row.name: row for row in build_tables(published)[0].models}
    standings = {name: dict(build_card(row, published).provenance)["status"] for name, row in rows.items()}
    assert standings["densenet121"] == f"verified (2 images): {BADGES['verified']}"
    assert standings["efficientnet_b0"].split(": ")[0] == "self-reported"  # of its first seed; the other follows
    assert "; verified (2 images): " in standings["efficientnet_b0"]
    assert standings["inception_resnet_v2"] == OWN
