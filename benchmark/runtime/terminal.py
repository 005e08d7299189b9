"""The terminal: it shows names and messages from outside as plain text."""

from typing import Any

from rich.console import Console, RenderableType
from rich.progress import TextColumn
from rich.status import Status
from rich.text import Text

from datasets import printable


class Terminal(Console):
    """A console that takes no text for markup, emoji or control characters.

    Each printed text is one line. Styles are given by :func:`styled`.
    """

    def __init__(self, **options: Any) -> None:
        """Opens the terminal. The options are those of :class:`rich.console.Console`."""
        super().__init__(soft_wrap=True, markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Returns a text for every string that is printed, in a table too."""
        return super().render_str(printable(text), **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Returns a spinner with a text."""
        return _PlainStatus(_as_text(status), console=self, **options)


class _PlainStatus(Status):
    """A spinner whose text is no markup."""

    def update(self, status: RenderableType | None = None, **options: Any) -> None:
        """Shows another text."""
        super().update(_as_text(status), **options)


def _as_text(status: RenderableType | None) -> Any:
    return styled(status) if isinstance(status, str) else status


def styled(text: str, style: str = "") -> Text:
    """Returns a text in a style, such as "red"."""
    return Text(printable(text), style)


def text_column(field: str) -> TextColumn:
    """Returns a column of a progress bar with a text, such as `{task.description}`."""
    return _PlainColumn(field)


class _PlainColumn(TextColumn):
    """A column whose fields are no markup."""

    def __init__(self, field: str) -> None:
        super().__init__(field, markup=False)

    def render(self, task: Any) -> Text:
        """Returns the text of a task."""
        return styled(super().render(task).plain)
