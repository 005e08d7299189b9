"""A row says whose word its scores are, where that is not the repository's own."""

from html.parser import HTMLParser

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
from benchmark.storage.ledger import enter_verification
from benchmark.storage.record import Verification
from tests.benchmark.leaderboard.made_results import make_results, make_submission

AGAIN = Verification(images=("a", "b"), scores={}, environment={})
OF_SUBMISSIONS = {badge: meaning for badge, meaning in BADGES.items() if badge != MAPS_ONLY}
EXPECTED = {"checked": "verified", "claimed": "self-reported", "inception_resnet_v2": ""}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Of the first submission both seeds were scored again, of the second none; the third network is our own."""
    directory = make_results(
        tmp_path_factory.mktemp("badges") / "quick", images=12, architectures=3, regimes=1, seeds=2
    )
    for seed in range(2):
        enter_verification(make_submission(directory, f"densenet121-standard-{seed}", "checked"), AGAIN)
        # A record may say what it likes of itself.
        boast = {"badge": "verified", "verification": AGAIN.model_dump(mode="json")}
        make_submission(directory, f"efficientnet_b0-standard-{seed}", "claimed", **boast)
    return read_results(directory)


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


def test_the_ledger_gives_the_badge_and_the_record_does_not(published):
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
    assert standings["checked"] == f"verified (2 images): {BADGES['verified']}"
    assert standings["claimed"] == f"self-reported: {BADGES['self-reported']}"
    assert standings["inception_resnet_v2"] == OWN


def test_a_seed_that_nobody_verified_does_not_join_a_verified_row(tmp_path):
    directory = make_results(tmp_path / "quick", images=12, architectures=2, regimes=1, seeds=2)
    enter_verification(make_submission(directory, "densenet121-standard-0", "checked"), AGAIN)
    make_submission(directory, "densenet121-standard-1", "checked")
    published = read_results(directory)
    assert [record.seed for record in published.records.values() if record.architecture == "checked"] == [0]
    assert "checked-standard-1.json: is not verified, unlike checked-standard-0.json" in published.problems[0]
