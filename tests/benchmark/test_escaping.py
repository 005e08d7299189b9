"""Text from outside: whatever it is, each format shows it and does nothing else."""

import csv
import io
import re

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmark.escaping import (
    Markdown,
    csv_text,
    escape_csv,
    escape_latex,
    escape_markdown,
    escape_terminal,
    frame_csv,
    unescape_csv,
)
from benchmark.runtime.terminal import Terminal, styled
from datasets import printable
from datasets.files import find_name_fault

ACTIVE = "\\`*_{}[]()<>#+-=.!|~&$%^@:/'\"0 a\n\r\t\x1b\x9b\x07\u202e\u2028\u200b\u0430\uff1d1w"
TEXTS = st.one_of(st.text(ACTIVE, max_size=25), st.text(max_size=25))
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LATEX_WORDS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
}
LATEX_WORDS |= {"textbar": "|", "char34": '"', "uparrow": "↑", "downarrow": "↓", "dagger": "†"}


def read_latex(text: str) -> str:
    """What LaTeX would typeset. Fails on a comment, a bare special character or an unknown command."""
    shown = []
    position = 0
    tokens = re.compile(r"\$\\(\w+)\$|\\([a-z0-9]+)\{\}|\\([&%$#_{}])|\{([\[*])\}|([^\\&%$#_{}~^<>|\"\n\r])")
    while position < len(text):
        token = tokens.match(text, position)
        assert token, f"bare {text[position:][:5]!r} in {text!r}"
        word = token[1] or token[2]
        shown.append(LATEX_WORDS[word] if word else token[3] or token[4] or token[5])
        position = token.end()
    return "".join(shown)


def shown_markdown(text: str) -> str:
    """The text that a page shows. Fails if it has anything but text."""
    (inline,) = [token for token in PARSER.parse(text) if token.type == "inline"]
    kinds = {child.type for child in inline.children}
    assert kinds <= {"text", "text_special"}, (text, kinds)
    return "".join(child.content for child in inline.children)


@given(TEXTS)
@example("x\n\\input{/etc/passwd}")
@example("[4cm]")
def test_latex_typesets_the_text_in_one_line(text):
    assert read_latex(escape_latex(text)) == printable(text)


@given(TEXTS)
@example("[x](javascript:alert(1))")
@example("<img src=x onerror=alert(1)>")
@example("a | b")
@example("&lt;b&gt;")
@example("[1](http://a)")
@example("__a__")
@example("12. a")
def test_markdown_shows_the_text(text):
    plain = printable(text).strip()
    if plain:
        assert shown_markdown(f"a {escape_markdown(text)} b") == f"a {printable(text)} b"
        cells = [
            token for token in PARSER.parse(f"| a |\n| --- |\n| {escape_markdown(text)} |") if token.type == "inline"
        ]
        assert len(cells) == 2
        assert "".join(child.content for child in cells[1].children) == plain


@given(TEXTS)
@example("# a")
@example("- a")
@example("+ a")
@example("12. a")
@example("===")
@example("> a")
def test_markdown_at_the_start_of_a_line_is_a_paragraph(text):
    plain = printable(text).strip()
    if plain and not re.fullmatch(r"-+", plain):  # a dash is our own cell without a number
        assert PARSER.parse(escape_markdown(text).strip())[0].type == "paragraph_open"


@pytest.mark.parametrize(
    "text", ["http://evil.example", "www.evil.example", "a@evil.example", "$x$", "HTTPS://EVIL.EXAMPLE"]
)
def test_githubs_own_links_and_mathematics_are_escaped(text):
    assert not re.search(r"(?<!\\)(://|\$|@)|www\.", escape_markdown(text))


def test_our_own_markdown_and_our_numbers_stay():
    for text in (Markdown("**+0.1**"), "0.366 [-0.301, 0.402]", "resnet50_v2 †", "-", "+0.123"):
        assert escape_markdown(text) == text


NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?", re.IGNORECASE)


@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(["=HYPERLINK(1)", "'=1", "'-0.5", "-0.5", " =1", "'", "a\r=1", "a\n=1"])
def test_csv_is_no_formula_and_reads_back(cells):
    (row,) = csv.reader(io.StringIO(csv_text([cells]), newline=""), strict=True)
    for cell, read in zip(cells, row, strict=True):
        assert not re.match(r"\s*[=+\-@\t\r]", read) or NUMBER.fullmatch(read)
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", read)
        if find_name_fault(cell) is None:
            assert unescape_csv(read) == cell


def test_numbers_of_a_table_stay_numbers():
    assert [escape_csv(cell) for cell in (-0.5, "-0.500000", "+1e-3", 3, None)] == [-0.5, "-0.500000", "+1e-3", 3, None]
    frame = pd.DataFrame({"=of": ["@class", "b"], "value": [-0.5, float("nan")]})
    assert frame_csv(frame) == "'=of,value\n'@class,-0.5\nb,\n"


@given(TEXTS)
@example("[/data/x]")
@example("\x1b]0;title\x07")
@example(":boom: [red]a[/red]")
def test_the_terminal_shows_the_text(text):
    terminal = Terminal(file=io.StringIO(), width=10_000, force_terminal=True)
    terminal.print(text)
    assert terminal.file.getvalue() == f"{printable(text)}\n"


@given(TEXTS)
def test_errors_show_the_text_line_by_line(text):
    shown = escape_terminal(text)
    assert all(character == "\n" or character.isprintable() for character in shown)
    assert shown.count("\n") == text.count("\n")


def test_tables_styles_and_spinners_show_the_text():
    from rich.table import Table  # noqa: PLC0415

    terminal = Terminal(file=io.StringIO(), width=200)
    table = Table("[/a]\x1b", box=None)
    table.add_row("[/b]\x9b")
    terminal.print(table)
    terminal.print(styled("[/c]\x1b", "red"), "[/d]")
    with terminal.status("[/e]") as status:
        status.update("[/f]\x1b")
        assert status.renderable.text.plain == "[/f]\\x1b"
    assert terminal.file.getvalue().split() == ["[/a]\\x1b", "[/b]\\x9b", "[/c]\\x1b", "[/d]"]
