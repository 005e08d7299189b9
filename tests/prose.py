"""How README, guides and site are written: words per sentence and semicolons. `python -m tests.prose` prints the table.

Code blocks, tables, headings, comments and directives are no sentences. A piece of inline code or a link's address
counts as one word. A list item or a paragraph ends its last sentence, with or without a full stop.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = (
    re.compile(r"^(`{3,}|:{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL),  # fenced code and directives
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"^\s*\|.*$", re.MULTILINE),  # tables
    re.compile(r"^#.*$", re.MULTILINE),  # headings
    re.compile(r"^(=+|-+)\s*$", re.MULTILINE),  # underlines of reStructuredText
    re.compile(r"^\(.*\)=$", re.MULTILINE),  # labels
    re.compile(r"^\.\. .*$", re.MULTILINE),  # directives of reStructuredText
    re.compile(r"!\[[^\]]*\]\([^)]*\)"),  # pictures
)
ITEM = re.compile(r"^\s*(?:[-*] |\d+\. |> )", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!al\.)(?<!vs\.)[\"')*_]*\s+(?=[\"'(*_`\[]*[A-Z0-9`])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prose:
    """The sentences of a page."""

    page: str
    sentences: tuple[str, ...]

    @property
    def lengths(self) -> list[int]:
        return sorted(len(sentence.split()) for sentence in self.sentences)

    @property
    def mean_length(self) -> float:
        return sum(self.lengths) / max(len(self.sentences), 1)

    @property
    def p90_length(self) -> int:
        return self.lengths[int(0.9 * (len(self.sentences) - 1))] if self.sentences else 0

    @property
    def semicolons(self) -> float:
        return sum(";" in sentence for sentence in self.sentences) / max(len(self.sentences), 1)


def pages(root: Path = ROOT) -> list[Path]:
    """README, the guides and the pages of the site."""
    named = [root / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*named, *sorted(path for path in (root / "docs").glob("*.*") if path.suffix in {".md", ".rst"})]


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a page in Markdown or reStructuredText.

    Example:
        >>> split_sentences("# Title\\n\\nOne `a b` here. Two\\nlines; two.\\n\\n- An item\\n")
        ('One CODE here.', 'Two lines; two.', 'An item')
    """
    text = text.replace("\r\n", "\n")
    for block in BLOCKS:
        text = block.sub("\n", text)
    text = re.sub(r":\w+:(?=`)", "", text)
    text = re.sub(r"``[^`]+``|`[^`]+`", "CODE", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = ITEM.sub("\n\n", text)
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    return tuple(sentence for each in paragraphs if each for sentence in SENTENCE_END.split(each))


def read_prose(page: Path) -> Prose:
    """The sentences of a page of the repository."""
    sentences = split_sentences(page.read_text(encoding="utf-8"))
    return Prose(page=page.relative_to(ROOT).as_posix(), sentences=sentences)


def together(parts: list[Prose]) -> Prose:
    """All pages as one."""
    return Prose(page="together", sentences=tuple(sentence for part in parts for sentence in part.sentences))


def table(parts: list[Prose]) -> str:
    """Words per sentence and share of sentences with a semicolon, page by page."""
    lines = [f"{'page':28s} {'sentences':>9s} {'mean':>6s} {'p90':>4s} {'longest':>7s} {'semicolons':>10s}"]
    for part in [*parts, together(parts)]:
        longest = max(part.lengths, default=0)
        lines.append(
            f"{part.page:28s} {len(part.sentences):9d} {part.mean_length:6.1f} {part.p90_length:4d} {longest:7d}"
            f" {part.semicolons:10.1%}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    found = [read_prose(page) for page in pages()]
    sys.stdout.write(table(found))
    if "--long" in sys.argv:
        for part in found:
            for sentence in part.sentences:
                if len(sentence.split()) > 25:
                    sys.stdout.write(f"\n{part.page}: {sentence}\n")
