"""Work cut into pieces that fit the memory."""

from collections.abc import Callable

import torch
from torch import Tensor


class Chunks:
    """Numbered jobs, done at most a chunk at a time; where memory runs out, the chunk is halved and stays so.

    Attributes:
        size: Most jobs at once.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def of(self, work: Callable[[Tensor], Tensor], number: int, device: torch.device) -> Tensor:
        """What the work gives for all jobs, joined in their order.

        Args:
            work: Given the numbers of some jobs, (M,), returns M rows.
            number: How many jobs there are, at least one.
            device: Where the numbers of the jobs lie.

        Returns:
            As many rows as there are jobs.

        Raises:
            torch.OutOfMemoryError: Not even a single job fits.

        Example:
            >>> Chunks(2).of(lambda jobs: jobs * 10, 5, torch.device("cpu")).tolist()
            [0, 10, 20, 30, 40]
        """
        jobs, done = torch.arange(number, device=device), list[Tensor]()
        while len(jobs):
            part = jobs[: self.size]
            try:
                done.append(work(part))
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.size = len(part) // 2
                continue
            jobs = jobs[len(part) :]
        return torch.cat(done)
