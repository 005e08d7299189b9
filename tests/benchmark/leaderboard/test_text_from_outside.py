"""Tables of hostile records: each field of record and row is text in them, whatever it holds."""

import csv
import io
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmark.leaderboard.analysis.contrasts import compute_contrasts
from benchmark.leaderboard.columns import HEADLINES
from benchmark.leaderboard.export.csv import contrasts_csv, pairs_csv, to_csv
from benchmark.leaderboard.export.latex import to_latex
from benchmark.leaderboard.export.markdown import to_markdown
from benchmark.leaderboard.figures.ranks import compute_ranks, critical_difference_figure
from benchmark.leaderboard.figures.sheets import regimes_figure
from benchmark.leaderboard.load.results import read_results
from benchmark.leaderboard.tables import build_tables
from tests.benchmark.leaderboard.made_results import make_results

ACTIVE = "\\`*_{}[]()<>#+-=.!|~&$%^@:/'\"0 a\n\r\x1b\x9b\u202e\u2028"
TEXTS = st.text(ACTIVE, min_size=1, max_size=20).filter(str.strip)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
WORDS = ("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "char34")
ESCAPED = re.compile(rf"\\(?:{'|'.join(WORDS)})\{{\}}|\\[&%$#_{{}}]|\{{[\[*]\}}")
EXAMPLES = (
    "x\n\\input{/etc/passwd}</td><script>alert(1)</script><img src=x onerror=alert(1)>",
    "[x](javascript:alert(1)) ![t](http://a/t.png)\x1b]0;title\x07[/x]\u202e\x9b",
    "=HYPERLINK(1)\r\n# heading\n\n| a | b |",
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    directory = make_results(tmp_path_factory.mktemp("made") / "quick", images=12, architectures=2, regimes=2)
    (leaderboard, *_) = build_tables(read_results(directory))
    contrasts = compute_contrasts(leaderboard)
    return leaderboard, contrasts, write(leaderboard, contrasts, "plain")


def with_text(leaderboard, text):
    """The same table, with a text from outside in each field."""
    environment = leaderboard.record.environment | {"processor": text, "accelerator": "", "device": text}
    fields = {"dataset": text, "classes": (text, text), "preset": text, "environment": environment}
    record = leaderboard.record.model_copy(update=fields)
    named = {"name": text, "title": text, "badge": text}
    rows = tuple(
        replace(row, **named, origin=f"{text}{index}") if row.is_model else replace(row, name=text)
        for index, row in enumerate(leaderboard.rows)
    )
    more = {"problems": (text,), "missing": (text,), "positive": text, "records": (record,)}
    return replace(leaderboard, record=record, rows=rows, **more)


def write(leaderboard, contrasts, text) -> dict[str, str]:
    leaderboard = with_text(leaderboard, text)
    contrasts = [replace(contrast, name=text, title=text) for contrast in contrasts]
    return {
        "markdown": to_markdown([leaderboard], contrasts, [("Figure", "a.png")]),
        "latex": to_latex(leaderboard, HEADLINES),
        "csv": to_csv(leaderboard) + pairs_csv(leaderboard) + contrasts_csv([leaderboard], [contrasts]),
    }


def blocks(text: str) -> list[str]:
    return [token.type for token in PARSER.parse(text)]


def inlines(text: str) -> list[str]:
    """Everything within lines that is more than text."""
    children = (child for token in PARSER.parse(text) if token.children for child in token.children)
    return [child.type for child in children if child.type not in {"text", "text_special"}]


def commands(text: str) -> list[list[str]]:
    """The commands, braces and cells of each line of LaTeX that escape nothing."""
    return [re.findall(r"\\[A-Za-z]+|[&{}$%^~]", ESCAPED.sub("", line)) for line in text.splitlines()]


@settings(max_examples=2, deadline=None)
@given(TEXTS)
@example(EXAMPLES[0])
@example(EXAMPLES[1])
@example(EXAMPLES[2])
def test_every_field_is_text_in_every_table(tables, text):
    leaderboard, contrasts, plain = tables
    hostile = write(leaderboard, contrasts, text)
    assert blocks(hostile["markdown"]) == blocks(plain["markdown"])
    assert inlines(hostile["markdown"]) == inlines(plain["markdown"])
    assert commands(hostile["latex"]) == commands(plain["latex"])
    rows, expected = (list(csv.reader(io.StringIO(text["csv"], newline=""))) for text in (hostile, plain))
    assert list(map(len, rows)) == list(map(len, expected))
    assert not [cell for row in rows for cell in row if re.match(r"\s*[=+@\t\r]|\s*-(?![\d.])", cell)]
    for content in hostile.values():
        assert not [character for character in content if character != "\n" and not character.isprintable()]


def test_figures_of_a_hostile_table_are_drawn_without_a_warning(tables, tmp_path):
    leaderboard = with_text(tables[0], "\x1b\u202e$x$")
    regimes_figure(leaderboard, tmp_path / "regimes.png")
    critical_difference_figure(leaderboard, compute_ranks(leaderboard), tmp_path / "ranks.png")
    assert len(list(tmp_path.iterdir())) == 2
