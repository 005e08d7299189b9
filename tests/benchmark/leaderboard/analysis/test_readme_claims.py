"""README repeats no claim that the evaluation does not support."""

import re

import pytest

from benchmark.storage.paths import ROOT

PAGES = sorted((ROOT / "results").glob("*/*/claims.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def outdated(page: str, readme: str) -> bool:
    """Whether a page sums up its verdicts and README, which links to it, does not repeat the sum."""
    summary = re.search(r"Of \d+ claims: .*\.", page)
    return summary is not None and summary[0] not in " ".join(readme.split())


def test_an_outdated_readme_is_found():
    page = "# Claims\n\nOf 16 claims: 0 seen, 0 opposite, 0 bounded, 0 undecided, 16 without a verdict.\n"
    assert outdated(page, "Of 16 claims: 1 seen, 0 opposite, 0 bounded, 15 undecided, 0 without a verdict.")
    assert not outdated(page, page.replace(": 0 seen, ", ":\n  0 seen, "))
    assert not outdated("One in twenty would be significant by chance.", "One is seen.")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parts[-3])
def test_readme_repeats_the_verdicts_of_each_page_it_links_to(path):
    if str(path.relative_to(ROOT)) in README:
        assert not outdated(path.read_text(encoding="utf-8"), README)
