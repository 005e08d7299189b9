"""Where cells on other machines tell how they get on."""


class ProgressBoard:
    """The latest notice of each cell, until it is taken."""

    def __init__(self) -> None:
        self._pinned: dict[str, tuple[str, float]] = {}

    def pin(self, cell: str, stage: str, share: float) -> None:
        """Replaces the notice of a cell."""
        self._pinned[cell] = (stage, share)

    def take(self) -> dict[str, tuple[str, float]]:
        """All notices since they were last taken."""
        taken, self._pinned = self._pinned, {}
        return taken
