"""Progress of cells on other machines."""


class ProgressBoard:
    """Stores the latest progress of each cell until it is collected."""

    def __init__(self) -> None:
        self._latest: dict[str, tuple[str, float]] = {}

    def post(self, cell: str, stage: str, fraction: float) -> None:
        """Replaces the progress of a cell."""
        self._latest[cell] = (stage, fraction)

    def collect(self) -> dict[str, tuple[str, float]]:
        """Returns the progress since the last call, by cell."""
        latest, self._latest = self._latest, {}
        return latest
